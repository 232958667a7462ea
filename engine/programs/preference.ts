/** Training on preferences: DPO and its relatives, ORPO, SimPO, CPO over pairs; KTO over single replies. */
import { EngineError } from '../errors'
import { Builder } from '../graph/builder'
import { type KtoLoss, ktoLosses, needsReference, type PairLoss, pairLosses } from '../graph/layers/preference'
import type { Program, Tensor } from '../graph/types'
import { forward, rowsFeed } from './forward'
import { headLogits } from './network'
import { applyOptimizer } from './optimizers'
import type { BatchSpec, LabelSpec, OptimizerSpec } from './spec'
import { addGradients, gradientsOf, programName } from './train-step'
import type { WeightPlan } from './weights'

/**
 * Pairs lie in one batch: row i is the chosen reply of pair i, row batch/2 + i the rejected one. KTO takes single rows.
 *
 * Feeds besides those of BatchSpec and of LabelSpec, whose `weights` are 1 on tokens of the reply:
 * `owners` i32[labels]: the row of each label; `rowWeights` f32[pairs] (KTO: [batch]): weight of each pair or row, 0 for padding;
 * `scale` f32[]: 1 / Σ of what counts in the whole step;
 * `references` f32[batch]: Σ ln p of each reply under the reference model, for losses that compare with one — the sums of `logProbs` of
 * an `evaluate` program, computed once for all of training;
 * with `nllWeight`: `nllWeights` f32[labels], 1 on tokens whose cross-entropy is added (ORPO: chosen prompt and reply; CPO: chosen reply),
 * and `nllScale` f32[]: 1 / such tokens of the step;
 * KTO: `desirable` f32[batch], 1 or 0, and `kl` f32[]: max(0, mean of ln p − reference over mismatched replies).
 *
 * Fetches: `loss` f32[] = Σ weight · loss · scale + nllWeight · Σ cross-entropy · nllScale; `losses` of each pair or row; `logProbs` f32[batch];
 * `chosenRewards` and `rejectedRewards` f32[pairs] (KTO: `rewards` f32[batch]).
 */
export interface PreferenceSpec extends BatchSpec, LabelSpec {
  readonly loss: PairLoss | KtoLoss
  /** Share of the cross-entropy beside the preference: 1 for ORPO and CPO, 0 by default. */
  readonly nllWeight?: number
}

/**
 * KTO's `kl`: max(0, mean of ln p − reference) over replies paired with prompts that are not theirs. Both in nats, one number for each reply.
 */
export function mismatchKl(policy: ArrayLike<number>, reference: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < policy.length; i++) sum += (policy[i] as number) - (reference[i] as number)
  return policy.length ? Math.max(0, sum / policy.length) : 0
}

type Result = Readonly<Record<string, Tensor>> & { readonly loss: Tensor }

/** From ln p of each label [labels] to the loss. */
export function preferenceLoss(g: Builder, spec: Omit<PreferenceSpec, 'length'>, logProbs: Tensor): Result {
  const { batch, labels, loss } = spec
  if (loss.type !== 'kto' && batch % 2)
    throw new EngineError('bad_argument', 'a batch of pairs has an even number of rows', { got: String(batch) })
  const weights = g.feed('weights', [labels], 'f32')
  const owners = g.feed('owners', [labels], 'i32')
  const perRow = (values: Tensor) => g.reshape(g.segmentSum(g.reshape(values, [labels, 1]), owners, batch), [batch])
  const sums = perRow(g.mul(logProbs, weights))
  const own = loss.type === 'kto' ? ktoResult(g, spec, loss, sums) : pairResult(g, spec, loss, sums, perRow(weights))
  const rowWeights = g.feed('rowWeights', own.losses.shape, 'f32')
  const preferred = g.mul(g.sum(g.mul(own.losses, rowWeights), [0]), g.feed('scale', [], 'f32'))
  const result = { ...own, logProbs: sums }
  if (!spec.nllWeight) return { ...result, loss: preferred }
  const nll = g.neg(g.sum(g.mul(logProbs, g.feed('nllWeights', [labels], 'f32')), [0]))
  const scaled = g.mul(nll, g.mul(g.feed('nllScale', [], 'f32'), g.fill(spec.nllWeight, 'f32')))
  return { ...result, loss: g.add(preferred, scaled) }
}

function pairResult(g: Builder, { batch }: { batch: number }, loss: PairLoss, sums: Tensor, tokens: Tensor) {
  const pairs = batch / 2
  const halves = (x: Tensor) => g.split(x, 0, [pairs, pairs] as const)
  const [[chosen, rejected], [chosenTokens, rejectedTokens]] = [halves(sums), halves(tokens)]
  const values = { chosen, rejected, chosenTokens, rejectedTokens }
  if (!needsReference(loss)) return pairLosses(g, loss, values)
  const [chosenReference, rejectedReference] = halves(g.feed('references', [batch], 'f32'))
  return pairLosses(g, loss, { ...values, chosenReference, rejectedReference })
}

function ktoResult(g: Builder, { batch }: { batch: number }, loss: KtoLoss, sums: Tensor) {
  const ratio = g.sub(sums, g.feed('references', [batch], 'f32'))
  const losses = ktoLosses(g, loss, ratio, g.feed('desirable', [batch], 'f32'), g.feed('kl', [], 'f32'))
  return { losses, rewards: g.withoutGradient(() => g.mul(ratio, g.fill(loss.beta, 'f32'))) }
}

function lossOf(g: Builder, plan: WeightPlan, spec: PreferenceSpec): Result {
  const { network, x } = forward(g, plan, spec, { chosen: rowsFeed(g, spec.labels) })
  const entropy = g.crossEntropy(headLogits(plan, network, x), g.feed('targets', [spec.labels], 'i32'))
  return preferenceLoss(g, spec, g.neg(entropy))
}

const nameOf = (kind: string, spec: PreferenceSpec) => `${programName(kind, spec)}-${spec.loss.type}`

/** One optimizer step over one batch, fused. Feeds and fetches as above, besides optimizerFeeds() and `gradNorm`. */
export function preferenceStep(plan: WeightPlan, spec: PreferenceSpec & { optimizer: OptimizerSpec; name?: string }): Program {
  const g = new Builder()
  const result = lossOf(g, plan, spec)
  const { weights, gradients } = gradientsOf(g, plan, result.loss, spec)
  return g.finish(spec.name ?? nameOf('prefer', spec), { ...result, gradNorm: applyOptimizer(g, spec.optimizer, weights, gradients) })
}

/** The same, adding gradients up for `applyGradients`. */
export function accumulatePreference(plan: WeightPlan, spec: PreferenceSpec & { name?: string }): Program {
  const g = new Builder()
  const result = lossOf(g, plan, spec)
  addGradients(g, gradientsOf(g, plan, result.loss, spec))
  return g.finish(spec.name ?? nameOf('prefer-accumulate', spec), result)
}

/** Only looking: for evaluation. */
export function evaluatePreference(plan: WeightPlan, spec: PreferenceSpec & { name?: string }): Program {
  const g = new Builder()
  return g.finish(spec.name ?? nameOf('prefer-evaluate', spec), lossOf(g, plan, spec))
}
