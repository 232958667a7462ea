/** Matrix products. Nearly all the time of a training step is spent here. */
import { bool, type } from '../lowering'
import { bytesOf, type Primitive, sameShape, type TensorType } from '../types'
import { at, FLOATS, refuse, sameTypes } from './check'

export type Transposes = { transposeA: boolean; transposeB: boolean }

function productShape(name: string, inputs: readonly TensorType[], { transposeA, transposeB }: Transposes) {
  const [a, b] = [at(inputs, 0, name), at(inputs, 1, name)]
  const rank = a.shape.length
  if (b.shape.length !== rank || rank < 2) refuse(name, inputs, 'both inputs need the same rank, at least 2')
  if (!sameShape(a.shape.slice(0, -2), b.shape.slice(0, -2))) refuse(name, inputs, 'the batch axes differ')
  const size = (t: TensorType, axis: number) => t.shape[rank + axis] as number
  const [rows, innerA] = transposeA ? [size(a, -1), size(a, -2)] : [size(a, -2), size(a, -1)]
  const [innerB, columns] = transposeB ? [size(b, -1), size(b, -2)] : [size(b, -2), size(b, -1)]
  if (innerA !== innerB)
    refuse(name, inputs, `the inner sizes ${innerA} and ${innerB} differ (transposeA ${transposeA}, transposeB ${transposeB})`)
  return { rows, columns, inner: innerA, batch: a.shape.slice(0, -2) }
}

function product(name: string, op: string, flags: readonly [string, string], rank: (rank: number) => boolean): Primitive<Transposes> {
  return {
    name,
    infer: (inputs, attributes) => {
      const dtype = sameTypes(name, inputs, FLOATS)
      if (!rank(at(inputs, 0, name).shape.length)) refuse(name, inputs, 'the rank does not fit')
      const { batch, rows, columns } = productShape(name, inputs, attributes)
      return [{ shape: [...batch, rows, columns], dtype }]
    },
    // y = op(a)·op(b): da = dy·op(b)ᵀ, db = op(a)ᵀ·dy, each transposed back where the input was.
    vjp: ({ g, inputs: [a, b], gradients: [dy], needs, attributes: { transposeA: ta, transposeB: tb } }) => {
      if (!(a && b && dy)) return []
      const times = (x: typeof a, y: typeof a, transposeA: boolean, transposeB: boolean) =>
        name === 'matmul' ? g.matmul(x, y, { transposeA, transposeB }) : g.batchMatmul(x, y, { transposeA, transposeB })
      return [
        needs[0] ? (ta ? times(b, dy, tb, true) : times(dy, b, false, !tb)) : null,
        needs[1] ? (tb ? times(dy, a, true, ta) : times(a, dy, !ta, false)) : null,
      ]
    },
    cost: (inputs, outputs, attributes) => {
      const { batch, rows, columns, inner } = productShape(name, inputs, attributes)
      const count = batch.reduce((x, y) => x * y, 1)
      return { flops: 2 * count * rows * columns * inner, bytes: [...inputs, ...outputs].reduce((sum, t) => sum + bytesOf(t), 0) }
    },
    lower: (emit, inputs, { attributes, inputTypes: [a] }) => [
      emit.node(op, inputs, {
        T: type((a as TensorType).dtype),
        [flags[0]]: bool(attributes.transposeA),
        [flags[1]]: bool(attributes.transposeB),
      }),
    ],
  }
}

/** [m, k] · [k, n] → [m, n], either input transposed on request. */
export const matmul = product('matmul', 'MatMul', ['transpose_a', 'transpose_b'], (rank) => rank === 2)
/** The same over equal leading axes. */
export const batchMatmul = product('batchMatmul', 'BatchMatMulV2', ['adj_x', 'adj_y'], (rank) => rank > 2)
