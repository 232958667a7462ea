/** Low-rank changes beside the products of a network (LoRA, DoRA): what LowRank says, in ops. */
import type { Builder } from '../graph/builder'
import type { Tensor } from '../graph/types'
import type { LowRank } from '../models/architecture'

export interface AdaptedProducts {
  readonly g: Builder
  readonly adapters: ReadonlyMap<string, LowRank>
  /** Input of all products, [rows, inputs]. */
  readonly x: Tensor
  /** The weights, by name, and x times each, float32 [rows, outputs]. */
  readonly names: readonly string[]
  readonly outputs: readonly Tensor[]
  /** x times each named matrix, float32. */
  readonly linear: (x: Tensor, names: readonly string[]) => readonly Tensor[]
  /** Value of one parameter as it is stored, and which of its axes are the outputs. */
  readonly matrix: (name: string) => { value: Tensor; outputAxis: 0 | 1 }
  readonly trains: (name: string) => boolean
}

/** The products with their changes; those without one are returned as they are. With B = 0 nothing changes, not even the last bit (E-8). */
export function addLowRank(products: AdaptedProducts): readonly Tensor[] {
  const { g, adapters, x, names, outputs, linear } = products
  const changes = names.map((name) => adapters.get(name))
  const present = changes.filter((change) => change !== undefined)
  if (!present.length) return outputs
  // The A's of one input are asked for together: they may be stored, and multiplied, as one.
  const low = new Map(
    linear(
      x,
      present.map(({ a }) => a),
    ).map((value, i) => [present[i], value] as const),
  )
  return outputs.map((output, i) => {
    const change = changes[i]
    if (!change) return output
    const scaled = scale(g, low.get(change) as Tensor, change.scale)
    const sum = g.add(output, linear(scaled, [change.b])[0] as Tensor)
    return change.magnitude ? g.mul(sum, magnitudeShare(products, names[i] as string, change, change.magnitude)) : sum
  })
}

const scale = (g: Builder, x: Tensor, by: number): Tensor => (by === 1 ? x : g.mul(x, g.fill(by, 'f32')))

/**
 * m / ‖W + s·B·A‖ by output, where the length has no gradient. Its square is Σ W² + 2s Σ B∘(W·Aᵀ) + s² Σ B∘(B·A·Aᵀ): nothing of the size of
 * W is made, unless W trains too and its own squares must be summed up again.
 */
function magnitudeShare({ g, matrix, trains }: AdaptedProducts, name: string, change: LowRank, magnitude: string): Tensor {
  const value = (parameter: string) => g.cast(matrix(parameter).value, 'f32')
  const length = g.withoutGradient(() => {
    const { value: w, outputAxis } = matrix(name)
    const [a, b] = [value(change.a), value(change.b)]
    // In the dtype of W: widening it would cost more than the product.
    const turned = g.cast(g.matmul(w, g.cast(a, w.dtype), { transposeA: outputAxis === 1, transposeB: true }), 'f32')
    const own = change.squares && !trains(name) ? value(change.squares) : g.sum(g.square(g.cast(w, 'f32')), [outputAxis === 1 ? 0 : 1])
    const mixed = g.sum(g.mul(b, turned), [1])
    const low = g.sum(g.mul(b, g.matmul(b, g.matmul(a, a, { transposeB: true }))), [1])
    return g.sqrt(g.add(g.add(own, scale(g, mixed, 2 * change.scale)), scale(g, low, change.scale ** 2)))
  })
  return g.div(value(magnitude), length)
}
