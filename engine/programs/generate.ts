/** Generation with key/value caches that stay in the session. See spec.ts. */
import { Builder } from '../graph/builder'
import type { Program, Tensor } from '../graph/types'
import { cachedNetwork, headLogits } from './network'
import type { GenerateSpec } from './spec'
import type { WeightPlan } from './weights'

/** Prompt into caches, which are made anew, and the first prediction. */
export function prefill(plan: WeightPlan, { batch, length, cacheLength, name }: GenerateSpec): Program {
  const g = new Builder()
  const ids = g.feed('ids', [batch, length], 'i32')
  const starts = g.feed('starts', [batch], 'i32')
  const x = blocks(g, plan, { batch, queries: length, slots: cacheLength }, ids, starts)
  const last = g.gather(
    x.hidden,
    g.constant(
      Int32Array.from({ length: batch }, (_, b) => b * length + length - 1),
      [batch],
      'i32',
    ),
  )
  return finish(g, plan, x.network, last, name ?? `prefill-${batch}x${length}-of${cacheLength}`)
}

/** One more token per row. Runs after a prefill of the same batch and cacheLength. */
export function decode(plan: WeightPlan, { batch, cacheLength, name }: Omit<GenerateSpec, 'length'>): Program {
  const g = new Builder()
  const ids = g.reshape(g.feed('ids', [batch], 'i32'), [batch, 1])
  const starts = g.feed('starts', [batch], 'i32')
  const x = blocks(g, plan, { batch, queries: 1, slots: cacheLength }, ids, starts, g.feed('slot', [], 'i32'))
  return finish(g, plan, x.network, x.hidden, name ?? `decode-${batch}-of${cacheLength}`)
}

function blocks(
  g: Builder,
  plan: WeightPlan,
  spec: { batch: number; queries: number; slots: number },
  ids: Tensor,
  starts: Tensor,
  slot?: Tensor,
) {
  const { architecture, config } = plan.model
  const network = cachedNetwork(g, plan, spec, ids, starts, slot)
  let hidden = architecture.embed(network, config)
  for (let block = 0; block < config.blocks; block++) hidden = architecture.block(network, config, block, hidden)
  return { network, hidden }
}

function finish(g: Builder, plan: WeightPlan, network: ReturnType<typeof cachedNetwork>, last: Tensor, name: string): Program {
  const logits = headLogits(g, plan, network, last)
  return g.finish(name, { next: g.argMax(logits), logits })
}
