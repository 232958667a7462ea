/** The network from input to hidden states, and from chosen rows to the loss. */
import type { Builder } from '../graph/builder'
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

/** Runs blocks `spec.fromBlock ?? 0` … `toBlock − 1` (all by default). */
export function forward(g: Builder, plan: WeightPlan, spec: BatchSpec, toBlock = plan.model.config.blocks): Hidden {
  const { architecture, config } = plan.model
  const network = rowNetwork(g, plan, spec)
  const from = spec.fromBlock ?? 0
  let x =
    from > 0
      ? g.cast(g.feed('hidden', [spec.batch * spec.length, config.hiddenSize], hiddenDtype(plan, spec)), 'f32')
      : architecture.embed(network, config)
  for (let block = from; block < toBlock; block++) x = architecture.block(network, config, block, x)
  return { network, x }
}

export const hiddenDtype = (plan: WeightPlan, spec: Pick<BatchSpec, 'hiddenDtype'>) =>
  spec.hiddenDtype ?? (plan.precision === 'bf16' ? 'bf16' : 'f32')

/** Rows are chosen before the final norm, so that norm, head and loss only see positions that count. */
export function chosenLogits(g: Builder, plan: WeightPlan, { network, x }: Hidden, labels: number): Tensor {
  return headLogits(g, plan, network, g.gather(x, g.feed('rows', [labels], 'i32')))
}

/** loss = Σ weight · cross-entropy (nats); logProbs[i] = weight[i] · ln p(target[i]). */
export function labelLoss(g: Builder, plan: WeightPlan, { labels }: LabelSpec, hidden: Hidden): { loss: Tensor; logProbs: Tensor } {
  const entropy = g.crossEntropy(chosenLogits(g, plan, hidden, labels), g.feed('targets', [labels], 'i32'))
  const weighted = g.mul(entropy, g.feed('weights', [labels], 'f32'))
  return { loss: g.sum(weighted, [0]), logProbs: g.withoutGradient(() => g.neg(weighted)) }
}
