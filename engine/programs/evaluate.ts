/** Programs that only look: losses and log-probabilities, logits, and the output of frozen blocks. See spec.ts. */
import { Builder } from '../graph/builder'
import type { Program } from '../graph/types'
import { forward, hiddenDtype, labelLoss, rowsFeed } from './forward'
import { headLogits } from './network'
import type { EvaluateSpec, LogitsSpec, PrefixSpec } from './spec'
import { programName } from './train-step'
import type { WeightPlan } from './weights'

export function evaluate(plan: WeightPlan, spec: EvaluateSpec): Program {
  const g = new Builder()
  const { loss, logProbs } = labelLoss(g, plan, spec)
  return g.finish(spec.name ?? programName('evaluate', spec), { loss, logProbs })
}

export function logits(plan: WeightPlan, spec: LogitsSpec): Program {
  const g = new Builder()
  const { network, x } = forward(g, plan, spec, spec.labels === undefined ? {} : { chosen: rowsFeed(g, spec.labels) })
  const values = headLogits(plan, network, x)
  return g.finish(spec.name ?? programName('logits', spec), { logits: values })
}

export function prefix(plan: WeightPlan, spec: PrefixSpec): Program {
  const g = new Builder()
  const { x } = forward(g, plan, spec, { toBlock: spec.block })
  return g.finish(spec.name ?? `${programName('prefix', spec)}-to${spec.block}`, { hidden: g.cast(x, hiddenDtype(plan, spec)) })
}

/** First block that must be computed anew after every update: all below it, and the embeddings, are frozen. 0: nothing can be cached. */
export function lowestTrainableBlock(plan: WeightPlan): number {
  const head = plan.model.architecture.head(plan.model.config)
  let lowest = plan.model.config.blocks
  for (const { name, block, part } of plan.model.parameters) {
    if (!plan.trainable.has(name)) continue
    if (block !== null) lowest = Math.min(lowest, block)
    // The final norm and an untied head come after the blocks; any other outer parameter comes before them.
    else if (part === 'embedding' || (name === head && plan.model.config.tiedEmbeddings)) lowest = 0
  }
  return lowest
}
