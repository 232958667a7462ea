/** Training: forward, backward, and the update. What goes in and out is said in spec.ts. */
import { EngineError } from '../errors'
import { Builder } from '../graph/builder'
import type { Program, Tensor } from '../graph/types'
import { labelLoss } from './forward'
import { applyOptimizer } from './optimizers'
import type { AccumulateSpec, ApplySpec, BatchSpec, LabelSpec, TrainStepSpec } from './spec'
import { declareState, declareWeight, type StoredWeight, type WeightPlan } from './weights'

export function trainStep(plan: WeightPlan, spec: TrainStepSpec): Program {
  const g = new Builder()
  const { loss, weights, gradients } = backward(g, plan, spec)
  const gradNorm = applyOptimizer(g, spec.optimizer, weights, gradients)
  return g.finish(spec.name ?? programName('train', spec), { loss, gradNorm })
}

export function accumulate(plan: WeightPlan, spec: AccumulateSpec): Program {
  const g = new Builder()
  const { loss, ...own } = backward(g, plan, spec)
  addGradients(g, own)
  return g.finish(spec.name ?? programName('accumulate', spec), { loss })
}

export function applyGradients(plan: WeightPlan, spec: ApplySpec): Program {
  const g = new Builder()
  const weights = trainable(plan)
  const sums = weights.map((weight) => declareState(g, weight, 'gradient'))
  const gradNorm = applyOptimizer(
    g,
    spec.optimizer,
    weights,
    sums.map((sum) => g.read(sum)),
  )
  for (const sum of sums) g.assign(sum, g.zeros(sum.shape, 'f32'))
  return g.finish(spec.name ?? 'apply', { gradNorm })
}

function trainable(plan: WeightPlan): StoredWeight[] {
  const weights = plan.stored.filter((weight) => weight.trainable)
  if (weights.length === 0) throw new EngineError('bad_argument', 'nothing is trainable', { fix: 'open at least one parameter' })
  return weights
}

type Gradients = { readonly weights: readonly StoredWeight[]; readonly gradients: readonly Tensor[] }

/** Adds to the sums that applyGradients uses. */
export function addGradients(g: Builder, { weights, gradients }: Gradients): void {
  for (const [i, weight] of weights.entries()) g.assignAdd(declareState(g, weight, 'gradient'), gradients[i] as Tensor)
}

function backward(g: Builder, plan: WeightPlan, spec: BatchSpec & LabelSpec): Gradients & { loss: Tensor } {
  const { loss } = labelLoss(g, plan, spec)
  return { loss, ...gradientsOf(g, plan, g.mul(loss, g.feed('scale', [], 'f32')), spec) }
}

/** Gradients of a loss by every trainable weight, in the plan's order. */
export function gradientsOf(g: Builder, plan: WeightPlan, loss: Tensor, spec: BatchSpec): Gradients {
  const weights = trainable(plan)
  const values = weights.map((weight) => g.read(declareWeight(g, weight)))
  const gradients = g.gradients(loss, values).map((gradient, i) => {
    if (gradient) return gradient
    const names = weights[i]?.parameters.map((parameter) => parameter.spec.name).join(', ') ?? ''
    throw new EngineError('bad_argument', 'a trainable parameter has no part in the loss', {
      where: names,
      fix: spec.fromBlock ? 'do not start above a trainable block' : 'freeze it',
    })
  })
  return { weights, gradients }
}

/** Programs of different shapes need different names; the shape makes them. */
export const programName = (kind: string, { batch, length, labels, fromBlock, attention, noise }: BatchSpec & Partial<LabelSpec>): string =>
  [
    kind,
    `${batch}x${length}`,
    ...(labels === undefined ? [] : [`l${labels}`]),
    ...(fromBlock ? [`b${fromBlock}`] : []),
    ...(attention === 'segments' ? ['packed'] : []),
    ...(noise ? ['noise'] : []),
  ].join('-')
