/** The network from input to hidden states, and from chosen rows to the loss. */
import type { Builder } from '../graph/builder'
import { tokenLoss } from '../graph/layers/token-loss'
import type { Tensor } from '../graph/types'
import type { Network } from '../models/network'
import { headLogits, rowNetwork } from './network'
import type { BatchSpec, LabelSpec } from './spec'
import type { WeightPlan } from './weights'

export interface Hidden {
  readonly network: Network
  /** Output of the last block that was asked for, float32 [batch · length, hidden]. */
  readonly x: Tensor
}

/**
 * Runs blocks `spec.fromBlock ?? 0` … `toBlock − 1` (all by default). With `chosen` (i32 [n]), `x` has only these rows, and the last block
 * computes only these behind its attention.
 */
export function forward(
  g: Builder,
  plan: WeightPlan,
  spec: BatchSpec,
  { toBlock = plan.model.config.blocks, chosen }: { toBlock?: number; chosen?: Tensor } = {},
): Hidden {
  const { architecture, config } = plan.model
  const network = rowNetwork(g, plan, spec, chosen)
  const from = spec.fromBlock ?? 0
  const fed = () => g.cast(g.feed('hidden', [spec.batch * spec.length, config.hiddenSize], hiddenDtype(plan, spec)), 'f32')
  let x = from > 0 ? fed() : architecture.embed(network, config)
  if (spec.noise && from === 0) x = g.add(x, g.feed('noise', x.shape, 'f32'))
  for (let block = from; block < toBlock; block++) x = architecture.block(network, config, block, x)
  // No block ran that could have narrowed.
  if (chosen && from >= config.blocks) x = g.gather(x, chosen)
  return { network, x }
}

export const hiddenDtype = (plan: WeightPlan, spec: Pick<BatchSpec, 'hiddenDtype'>) =>
  spec.hiddenDtype ?? (plan.precision === 'bf16' ? 'bf16' : 'f32')

/** Which rows are predicted from. */
export const rowsFeed = (g: Builder, labels: number): Tensor => g.feed('rows', [labels], 'i32')

/** loss = Σ weight · cross-entropy (nats); logProbs[i] = weight[i] · ln p(target[i]). Norm, head and loss see only positions that count. */
export function labelLoss(g: Builder, plan: WeightPlan, spec: BatchSpec & LabelSpec): { loss: Tensor; logProbs: Tensor } {
  const { network, x } = forward(g, plan, spec, { chosen: rowsFeed(g, spec.labels) })
  const entropy = tokenLoss(g, headLogits(plan, network, x), g.feed('targets', [spec.labels], 'i32'))
  const weighted = g.mul(entropy, g.feed('weights', [spec.labels], 'f32'))
  return { loss: g.sum(weighted, [0]), logProbs: g.withoutGradient(() => g.neg(weighted)) }
}
