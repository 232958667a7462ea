/** AdamW as torch.optim.AdamW computes it, split between JavaScript (scalars, float64) and the graph (everything per element). */
import type { Builder } from '../graph/builder'
import type { Tensor } from '../graph/types'
import type { AdamWSpec } from './spec'
import { declareState, declareWeight, type StoredWeight } from './weights'

export interface AdamFeeds {
  /** Per group. */
  readonly learningRate: readonly number[]
  /** Per group; applies to parameters of two or more dimensions. */
  readonly weightDecay: readonly number[]
  /** Number of this update, from 1 on. */
  readonly step: number
  readonly optimizer: Pick<AdamWSpec, 'beta1' | 'beta2' | 'epsilon'>
}

/**
 * The feeds that `trainStep` and `applyGradients` take besides data.
 *
 * torch: p ← p·(1 − lr·wd); p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε). The kernel computes p − stepSize · m / (√v + epsilon); the two are
 * equal with stepSize = lr·√(1−β₂ᵗ)/(1−β₁ᵗ) and epsilon = ε·√(1−β₂ᵗ). Computed here in float64, because 1 − 0.999ᵗ loses digits in float32.
 *
 * The kernel forms 1 − β in float32, which for β₂ = 0.999 is off by 1.3e-5 from the factor torch uses. Both moments are linear in that factor,
 * so it is divided out of the two scalars exactly.
 */
export function adamFeeds({
  learningRate,
  weightDecay,
  step,
  optimizer: { beta1, beta2, epsilon },
}: AdamFeeds): Record<'stepSize' | 'decay' | 'epsilon', Float32Array> {
  const excess = (beta: number) => (1 - Math.fround(beta)) / Math.fround(1 - beta)
  const root = Math.sqrt((1 - beta2 ** step) * excess(beta2))
  const scale = root / ((1 - beta1 ** step) * excess(beta1))
  return {
    stepSize: Float32Array.from(learningRate, (rate) => rate * scale),
    decay: Float32Array.from(learningRate, (rate, i) => 1 - rate * (weightDecay[i] ?? 0)),
    epsilon: Float32Array.of(epsilon * root),
  }
}

/**
 * Adds clipping and the update of every trainable weight. `gradients[i]` belongs to `weights[i]`. Returns the global norm before clipping.
 */
export function applyAdamW(g: Builder, spec: AdamWSpec, weights: readonly StoredWeight[], gradients: readonly Tensor[]): Tensor {
  const groups = 1 + (spec.groups?.length ?? 0)
  const scalars = (name: string) => g.split(g.feed(name, [groups], 'f32'), 0, Array<number>(groups).fill(1)).map((x) => g.reshape(x, []))
  const [stepSizes, decays] = [scalars('stepSize'), scalars('decay')]
  const epsilon = g.reshape(g.feed('epsilon', [1], 'f32'), [])
  const norm = globalNorm(g, gradients)
  const clip =
    spec.maxGradNorm > 0 ? g.minimum(g.fill(1, 'f32'), g.div(g.fill(spec.maxGradNorm, 'f32'), g.add(norm, g.fill(1e-6, 'f32')))) : null
  for (const [i, weight] of weights.entries()) {
    const gradient = gradients[i] as Tensor
    const variable = declareWeight(g, weight)
    const group = groupOf(spec, weight)
    if (weight.shape.length >= 2) g.assign(variable, g.mul(g.read(variable), decays[group] as Tensor))
    g.adam(
      {
        variable,
        first: declareState(g, weight, 'first'),
        second: declareState(g, weight, 'second'),
        beta1: spec.beta1,
        beta2: spec.beta2,
      },
      clip ? g.mul(gradient, clip) : gradient,
      stepSizes[group] as Tensor,
      epsilon,
    )
  }
  return norm
}

/** √ Σ g² over all gradients. */
function globalNorm(g: Builder, gradients: readonly Tensor[]): Tensor {
  const total = gradients.map((gradient) => g.halfSquaredNorm(gradient)).reduce((sum, own) => g.add(sum, own))
  return g.sqrt(g.mul(total, g.fill(2, 'f32')))
}

const groupOf = (spec: AdamWSpec, { parameters }: StoredWeight): number =>
  1 + (spec.groups ?? []).findIndex((names) => parameters.every(({ spec: { name } }) => names.includes(name)))
