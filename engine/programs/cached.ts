/**
 * Networks whose context is kept in key and value caches: one that reads whole rows, laid end to end without padding, and one that adds a
 * position to each row.
 *
 * A cache is [rows · kvHeads · slots, headDim], so that a position is one matrix row per batch row and head; position p of a row lies in slot
 * p. Reading assigns a cache whole, which gives it memory of its own; only then may a step write single rows in place (zero-filled variables
 * may share one buffer).
 */
import type { Builder } from '../graph/builder'
import { attend, causalMask, groupQueries, slotMask, splitHeads } from '../graph/layers/attention'
import type { Tensor, Variable } from '../graph/types'
import type { Network } from '../models/network'
import { anglesAt, makeNetwork, prepare } from './network'
import type { WeightPlan } from './weights'

/** Which caches a network uses: `name` tells those of different models apart. */
export interface CacheSpec {
  readonly name: string
  readonly rows: number
  readonly slots: number
}

const cacheOf = (g: Builder, plan: WeightPlan, { name, rows, slots }: CacheSpec, block: number, what: string): Variable => {
  const { kvHeads, headDim } = plan.model.config
  return g.variable(
    `cache/${name}/${rows}x${slots}/${block}/${what}`,
    [rows * kvHeads * slots, headDim],
    plan.precision === 'bf16' ? 'bf16' : 'f32',
  )
}

export interface PackedRows {
  readonly batch: number
  /** Positions of the longest row. */
  readonly length: number
  /** i32 [1, tokens]: all rows end to end, and the position of each token in its row. */
  readonly ids: Tensor
  readonly positions: Tensor
  /** i32 [batch · length]: the token at each place of a padded batch (any token where there is none); i32 [tokens]: the place of each token. */
  readonly spread: Tensor
  readonly places: Tensor
  /** Tokens with which the last block goes on, i32 [n]. */
  readonly chosen: Tensor
}

/**
 * Reads rows. Products, norms and activations see tokens only; attention alone spreads them out to [batch, length]. `copies`: a cache is
 * filled so many times over, for as many rows that go on differently after the same beginning.
 */
export function packedNetwork(
  g: Builder,
  plan: WeightPlan,
  rows: PackedRows,
  { cache, copies = 1 }: { cache?: CacheSpec | undefined; copies?: number },
): Network {
  const { batch, length, ids, positions, spread, places, chosen } = rows
  const [, tokens] = ids.shape as [number, number]
  const angles = anglesAt(g, plan, positions, length)
  const masks = new Map<number | undefined, Tensor>()
  const keep = (block: number, what: string, split: Tensor): Tensor => {
    if (!cache) return split
    const variable = cacheOf(g, plan, cache, block, what)
    const padded = g.pad(split, [
      [0, 0],
      [0, 0],
      [0, cache.slots - length],
      [0, 0],
    ])
    g.assign(variable, g.reshape(g.concat(Array<Tensor>(copies).fill(padded), 0), variable.shape))
    return split
  }
  return makeNetwork({
    g,
    plan,
    ids,
    positions,
    chosen,
    attention: (block, call) => {
      const { q, k, v } = prepare(g, plan, call, 1, tokens, angles)
      const mask = masks.get(call.window) ?? causalMask(g, length, call.window)
      masks.set(call.window, mask)
      const [keys, values] = [k, v].map((x) => splitHeads(g, g.gather(x, spread), batch, length, call)) as [Tensor, Tensor]
      const queries = groupQueries(g, g.gather(q, spread), batch, length, call)
      const mixed = attend(g, queries, keep(block, 'keys', keys), keep(block, 'values', values), mask, length, call)
      return g.gather(mixed, places)
    },
  })
}

/** Adds a position to each row. ids and at, the position's number, i32 [rows]. */
export function stepNetwork(g: Builder, plan: WeightPlan, ids: Tensor, at: Tensor, cache: CacheSpec): Network {
  const { rows: count, slots } = cache
  const { kvHeads, headDim } = plan.model.config
  const positions = g.reshape(at, [count, 1])
  const angles = anglesAt(g, plan, positions, slots)
  const heads = count * kvHeads
  const first = g.constant(
    Int32Array.from({ length: heads }, (_, i) => i * slots),
    [count, kvHeads],
    'i32',
  )
  const places = g.reshape(g.add(first, positions), [heads])
  const masks = new Map<number | undefined, Tensor>()
  const store = (block: number, what: string, x: Tensor): Tensor => {
    // One position: [rows, kvHeads · d] is [rows · kvHeads, d] already.
    const value = g.updateRows(cacheOf(g, plan, cache, block, what), places, g.reshape(x, [heads, headDim]))
    return g.reshape(value, [count, kvHeads, slots, headDim])
  }
  return makeNetwork({
    g,
    plan,
    ids: g.reshape(ids, [count, 1]),
    positions,
    attention: (block, call) => {
      const { q, k, v } = prepare(g, plan, call, count, 1, angles)
      const mask = masks.get(call.window) ?? slotMask(g, at, slots, call.window)
      masks.set(call.window, mask)
      const queries = g.reshape(q, [count, kvHeads, call.heads / kvHeads, headDim])
      return attend(g, queries, store(block, 'keys', k), store(block, 'values', v), mask, 1, call)
    },
  })
}
