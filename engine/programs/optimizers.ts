/** The last part of a training step: clipping, and the update of every trainable weight by one of the optimizers. */
import type { Builder } from '../graph/builder'
import type { Shape, Tensor, Variable } from '../graph/types'
import { adafactorState, adafactorUpdate, squareShare } from './adafactor'
import { adamFeeds, adamUpdate } from './adam'
import { averageShare, trackAverage } from './average'
import type { LionSpec, OptimizerSpec, SgdSpec } from './spec'
import { declareState, declareWeight, type Moment, type StoredWeight } from './weights'

/** What one weight's update is made of. */
export interface Update {
  readonly weight: StoredWeight
  readonly variable: Variable
  /** After clipping. */
  readonly gradient: Tensor
  /** Scalars of the weight's group, as optimizerFeeds() gives them. */
  readonly stepSize: Tensor
  readonly decay: Tensor
  /** A further scalar that the optimizer is fed with. */
  feed(name: string): Tensor
}

/**
 * Adds clipping and the update of every trainable weight. `gradients[i]` belongs to `weights[i]`. Returns the global norm before clipping.
 */
export function applyOptimizer(g: Builder, spec: OptimizerSpec, weights: readonly StoredWeight[], gradients: readonly Tensor[]): Tensor {
  const groups = 1 + (spec.groups?.length ?? 0)
  // Where only norms and biases train, nothing decays; the decay is fed all the same.
  const scalars = (name: string) =>
    g.split(g.feed(name, [groups], 'f32', { always: true }), 0, Array<number>(groups).fill(1)).map((x) => g.reshape(x, []))
  const [stepSizes, decays] = [scalars('stepSize'), scalars('decay')]
  const feed = (name: string) => g.reshape(g.feed(name, [1], 'f32'), [])
  const norm = globalNorm(g, gradients)
  const clip =
    spec.maxGradNorm > 0 ? g.minimum(g.fill(1, 'f32'), g.div(g.fill(spec.maxGradNorm, 'f32'), g.add(norm, g.fill(1e-6, 'f32')))) : null
  for (const [i, weight] of weights.entries()) {
    const gradient = gradients[i] as Tensor
    const group = groupOf(spec, weight)
    const variable = declareWeight(g, weight)
    update(g, spec, {
      weight,
      variable,
      gradient: clip ? g.mul(gradient, clip) : gradient,
      stepSize: stepSizes[group] as Tensor,
      decay: decays[group] as Tensor,
      feed,
    })
    if (spec.averageDecay) trackAverage(g, weight, variable, feed('averageShare'))
  }
  return norm
}

function update(g: Builder, spec: OptimizerSpec, own: Update): void {
  if (spec.name === 'adafactor') adafactorUpdate(g, spec, own)
  else if (spec.name === 'lion') lionUpdate(g, spec, own)
  else if (spec.name === 'sgd') sgdUpdate(g, spec, own)
  else adamUpdate(g, spec, own)
}

/** p ← p·(1 − lr·wd) − lr · sign(β₁m + (1 − β₁)g); m ← β₂m + (1 − β₂)g. */
function lionUpdate(g: Builder, { beta1, beta2 }: LionSpec, { weight, variable, gradient, stepSize, decay }: Update): void {
  const moment = declareState(g, weight, 'first')
  const mix = (beta: number) => g.add(g.mul(g.read(moment), g.fill(beta, 'f32')), g.mul(gradient, g.fill(1 - beta, 'f32')))
  const direction = mix(beta1)
  const zero = g.fill(0, 'f32')
  const sign = g.sub(g.cast(g.less(zero, direction), 'f32'), g.cast(g.less(direction, zero), 'f32'))
  const kept = weight.shape.length >= 2 ? g.mul(g.read(variable), decay) : g.read(variable)
  g.assign(variable, g.sub(kept, g.mul(sign, stepSize)))
  g.assign(moment, mix(beta2))
}

/** g ← g + wd·p; m ← μm + g; p ← p − lr · (m, or with Nesterov g + μm). A moment that begins as zero is torch's, which begins as g. */
function sgdUpdate(g: Builder, { momentum, nesterov }: SgdSpec, { weight, variable, gradient, stepSize, decay }: Update): void {
  const value = g.read(variable)
  const whole = weight.shape.length >= 2 ? g.add(gradient, g.mul(value, decay)) : gradient
  let step = whole
  if (momentum > 0) {
    const moment = declareState(g, weight, 'first')
    const mu = g.fill(momentum, 'f32')
    const next = g.add(g.mul(g.read(moment), mu), whole)
    step = nesterov ? g.add(whole, g.mul(next, mu)) : next
    g.assign(moment, next)
  }
  g.assign(variable, g.sub(value, g.mul(step, stepSize)))
}

export type State = Exclude<Moment, 'gradient'>

/** State that is kept beside each weight, and that a checkpoint must hold. */
export const momentsOf = (spec: OptimizerSpec): readonly State[] => {
  const average: readonly State[] = spec.averageDecay ? ['average'] : []
  if (spec.name === 'lion') return ['first', ...average]
  if (spec.name === 'sgd') return [...(spec.momentum > 0 ? (['first'] as const) : []), ...average]
  if (spec.name === 'adafactor') return ['rows', 'columns', 'second', ...average]
  return ['first', 'second', ...average]
}

/** Shape of a state beside a parameter of this shape; null where the optimizer keeps none. */
export function stateShape(spec: OptimizerSpec, shape: Shape, state: State): Shape | null {
  if (!momentsOf(spec).includes(state)) return null
  if (spec.name !== 'adafactor' || state === 'average' || state === 'first') return shape
  return adafactorState(shape)[state] ?? null
}

/** What `trainStep` and `applyGradients` take besides data. Rates and decays are per group; `step` is the number of this update, from 1 on. */
export function optimizerFeeds({
  learningRate,
  weightDecay,
  step,
  optimizer,
}: {
  readonly learningRate: readonly number[]
  /** Applies to parameters of two or more dimensions. */
  readonly weightDecay: readonly number[]
  readonly step: number
  readonly optimizer: OptimizerSpec
}): Record<string, Float32Array> {
  const own = ownFeeds({ learningRate, weightDecay, step, optimizer })
  return optimizer.averageDecay ? { ...own, averageShare: Float32Array.of(averageShare(optimizer.averageDecay, step)) } : own
}

function ownFeeds({ learningRate, weightDecay, step, optimizer }: Parameters<typeof optimizerFeeds>[0]): Record<string, Float32Array> {
  const stepSize = Float32Array.from(learningRate)
  const decay = Float32Array.from(learningRate, (rate, i) => 1 - rate * (weightDecay[i] ?? 0))
  if (optimizer.name === 'lion') return { stepSize, decay }
  if (optimizer.name === 'adafactor') return { stepSize, decay, squareShare: Float32Array.of(squareShare(optimizer, step)) }
  if (optimizer.name === 'sgd') return { stepSize, decay: Float32Array.from(learningRate, (_, i) => weightDecay[i] ?? 0) }
  return adamFeeds({ learningRate, weightDecay, step, optimizer })
}

/** √ Σ g² over all gradients. */
function globalNorm(g: Builder, gradients: readonly Tensor[]): Tensor {
  const total = gradients.map((gradient) => g.halfSquaredNorm(gradient)).reduce((sum, own) => g.add(sum, own))
  return g.sqrt(g.mul(total, g.fill(2, 'f32')))
}

const groupOf = (spec: OptimizerSpec, { parameters }: StoredWeight): number =>
  1 + (spec.groups ?? []).findIndex((names) => parameters.every(({ spec: { name } }) => names.includes(name)))
