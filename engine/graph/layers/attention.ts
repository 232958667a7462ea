/** Softmax attention with grouped query heads. */
import type { Builder } from '../builder'
import type { Tensor } from '../types'

export interface Heads {
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Scores are squeezed into ±softcap: softcap · tanh(score / softcap). */
  readonly softcap?: number | undefined
}

/** Added room below every real score; scores stay within a few hundred of zero, so a hidden one becomes exactly 0 after the softmax. */
const HIDDEN = 1e9

/** 0 where query i may see key j, else HIDDEN: [1, 1, 1, length, length]. `window`: only keys with i − j < window. */
export function causalMask(g: Builder, length: number, window?: number): Tensor {
  const values = new Float32Array(length * length)
  for (let i = 0; i < length; i++)
    for (let j = 0; j < length; j++) if (j > i || (window !== undefined && i - j >= window)) values[i * length + j] = HIDDEN
  return g.constant(values, [1, 1, 1, length, length], 'f32')
}

/** The same with blocks: only positions of one non-zero segment see each other. segments i32 [batch, length] → [batch, 1, 1, length, length]. */
export function segmentMask(g: Builder, segments: Tensor, window?: number): Tensor {
  const [batch, length] = segments.shape as [number, number]
  const same = g.equal(g.reshape(segments, [batch, 1, 1, length, 1]), g.reshape(segments, [batch, 1, 1, 1, length]))
  const hidden = g.select(same, g.fill(0, 'f32'), g.fill(HIDDEN, 'f32'))
  return g.maximum(hidden, causalMask(g, length, window))
}

/** Mask for one query a row at slot `at` of `slots` keys: key j is seen iff j ≤ at, and at − j < window. at i32 [rows] → [rows, 1, 1, 1, slots] */
export function slotMask(g: Builder, at: Tensor, slots: number, window?: number): Tensor {
  const keys = g.constant(
    Int32Array.from({ length: slots }, (_, j) => j),
    [1, 1, 1, 1, slots],
    'i32',
  )
  const own = g.reshape(at, [at.shape[0] as number, 1, 1, 1, 1])
  let visible = g.lessEqual(keys, own)
  if (window !== undefined) visible = g.and(visible, g.less(own, g.add(keys, g.fill(window, 'i32'))))
  return g.select(visible, g.fill(0, 'f32'), g.fill(HIDDEN, 'f32'))
}

/** [batch · length, heads · d] → [batch, kvHeads, heads / kvHeads · length, d]: the queries that share a key head lie together. */
export function groupQueries(g: Builder, q: Tensor, batch: number, length: number, { heads, kvHeads, headDim }: Heads): Tensor {
  const group = heads / kvHeads
  const split = g.reshape(q, [batch, length, kvHeads, group, headDim])
  return g.reshape(g.transpose(split, [0, 2, 3, 1, 4]), [batch, kvHeads, group * length, headDim])
}

/** [batch · length, kvHeads · d] → [batch, kvHeads, length, d] */
export function splitHeads(
  g: Builder,
  x: Tensor,
  batch: number,
  length: number,
  { kvHeads, headDim }: Pick<Heads, 'kvHeads' | 'headDim'>,
): Tensor {
  return g.transpose(g.reshape(x, [batch, length, kvHeads, headDim]), [0, 2, 1, 3])
}

/**
 * softmax(cap(q·kᵀ) − mask)·v, where cap does nothing, or is softcap · tanh(· / softcap). q [batch, kvHeads, group·queries, d] (already
 * scaled), k and v [batch, kvHeads, keys, d], all of one dtype; mask broadcasts to [batch, kvHeads, group, queries, keys], float32. Returns [batch · queries, heads · d] in the dtype of q.
 *
 * The softmax is float32; what is kept of it for the backward pass is the copy in the dtype of q that the second product uses.
 * The mask is subtracted: TensorFlow fuses BatchMatMul · scale + Add into a oneDNN product whose only implementation is the reference loop.
 */
export function attend(
  g: Builder,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor,
  queries: number,
  { heads, kvHeads, headDim, softcap }: Heads,
): Tensor {
  const batch = q.shape[0] as number
  const keys = k.shape[2] as number
  const group = heads / kvHeads
  const apart = [batch, kvHeads, group, queries, keys]
  const together = [batch, kvHeads, group * queries, keys]
  let weights: Tensor
  /** tanh(score / softcap), which the backward pass needs. */
  let squeezed: Tensor | null = null
  return g.composite(
    [q, k, v],
    () => {
      let scores = g.reshape(g.cast(g.batchMatmul(q, k, { transposeB: true }), 'f32'), apart)
      if (softcap) {
        squeezed = g.tanh(g.mul(scores, g.fill(1 / softcap, 'f32')))
        scores = g.mul(squeezed, g.fill(softcap, 'f32'))
      }
      weights = g.reshape(g.cast(g.softmax(g.sub(scores, mask)), q.dtype), together)
      const mixed = g.reshape(g.batchMatmul(weights, v), [batch, kvHeads, group, queries, headDim])
      return g.reshape(g.transpose(mixed, [0, 3, 1, 2, 4]), [batch * queries, heads * headDim])
    },
    (dy, needs) => {
      const split = g.reshape(dy, [batch, queries, kvHeads, group, headDim])
      const dMixed = g.reshape(g.transpose(split, [0, 2, 3, 1, 4]), [batch, kvHeads, group * queries, headDim])
      // Through the softmax: dS = P · (dP − Σ dP·P).
      const dScores = () => {
        const p = g.cast(g.after(weights, dy), 'f32')
        const dWeights = g.mul(g.cast(g.batchMatmul(dMixed, v, { transposeB: true }), 'f32'), p)
        const dCapped = g.sub(dWeights, g.mul(p, g.sum(dWeights, [3], true)))
        if (!squeezed) return g.cast(dCapped, q.dtype)
        // d cap = 1 − tanh².
        const slope = g.sub(g.fill(1, 'f32'), g.square(g.reshape(squeezed, together)))
        return g.cast(g.mul(dCapped, slope), q.dtype)
      }
      const dS = needs[0] || needs[1] ? dScores() : null
      return [
        dS && needs[0] ? g.batchMatmul(dS, k) : null,
        dS && needs[1] ? g.batchMatmul(dS, q, { transposeA: true }) : null,
        needs[2] ? g.batchMatmul(weights, dMixed, { transposeA: true }) : null,
      ]
    },
  )
}
