/** Generation with key/value caches that stay in the session. See spec.ts. */
import { Builder } from '../graph/builder'
import type { Program } from '../graph/types'
import type { Network } from '../models/network'
import { cachedNetwork, headLogits } from './network'
import type { GenerateSpec } from './spec'
import type { WeightPlan } from './weights'

/** Prompt into caches, which are made anew, and the first prediction. */
export function prefill(plan: WeightPlan, { batch, length, cacheLength, name }: GenerateSpec): Program {
  const g = new Builder()
  const ids = g.feed('ids', [batch, length], 'i32')
  const starts = g.feed('starts', [batch], 'i32')
  const last = g.constant(
    Int32Array.from({ length: batch }, (_, b) => b * length + length - 1),
    [batch],
    'i32',
  )
  const network = cachedNetwork(g, plan, { batch, queries: length, slots: cacheLength }, ids, starts, undefined, last)
  return predict(g, plan, network, name ?? `prefill-${batch}x${length}-of${cacheLength}`)
}

/** One more token per row. Runs after a prefill of the same batch and cacheLength. */
export function decode(plan: WeightPlan, { batch, cacheLength, name }: Omit<GenerateSpec, 'length'>): Program {
  const g = new Builder()
  const ids = g.reshape(g.feed('ids', [batch], 'i32'), [batch, 1])
  const starts = g.feed('starts', [batch], 'i32')
  const network = cachedNetwork(g, plan, { batch, queries: 1, slots: cacheLength }, ids, starts, g.feed('slot', [], 'i32'))
  return predict(g, plan, network, name ?? `decode-${batch}-of${cacheLength}`)
}

function predict(g: Builder, plan: WeightPlan, network: Network, name: string): Program {
  const { architecture, config } = plan.model
  let x = architecture.embed(network, config)
  for (let block = 0; block < config.blocks; block++) x = architecture.block(network, config, block, x)
  const logits = headLogits(plan, network, x)
  return g.finish(name, { next: g.argMax(logits), logits })
}
