/** Ops that fold axes. */
import { bool, type } from '../lowering'
import { type Primitive, sizeOf, type TensorType } from '../types'
import { at, checkAxis, FLOATS, refuse, sameTypes } from './check'

export type Reduction = { axes: readonly number[]; keep: boolean }

function reduction(name: string, op: string, vjp: Primitive<Reduction>['vjp']): Primitive<Reduction> {
  const primitive: Primitive<Reduction> = {
    name,
    infer: (inputs, { axes, keep }) => {
      const x = at(inputs, 0, name)
      sameTypes(name, inputs, FLOATS)
      for (const axis of axes) checkAxis(name, x, axis)
      const shape = keep ? x.shape.map((size, i) => (axes.includes(i) ? 1 : size)) : x.shape.filter((_, i) => !axes.includes(i))
      return [{ shape, dtype: x.dtype }]
    },
    cost: (inputs) => ({ flops: sizeOf(at(inputs, 0, name).shape), bytes: 0 }),
    lower: (emit, [x], { attributes, outputTypes: [out] }) => [
      emit.node(op, [x as string, emit.ints(attributes.axes)], {
        T: type((out as TensorType).dtype),
        Tidx: type('i32'),
        keep_dims: bool(attributes.keep),
      }),
    ],
  }
  return vjp ? { ...primitive, vjp } : primitive
}

const keptShape = (x: TensorType, axes: readonly number[]) => x.shape.map((size, i) => (axes.includes(i) ? 1 : size))

export const sum = reduction('sum', 'Sum', ({ g, inputs: [x], gradients: [dy], attributes: { axes } }) =>
  x && dy ? [g.broadcast(g.reshape(dy, keptShape(x, axes)), x.shape)] : [],
)
export const mean = reduction('mean', 'Mean', ({ g, inputs: [x], gradients: [dy], attributes: { axes } }) => {
  if (!(x && dy)) return []
  const count = axes.reduce((product, axis) => product * (x.shape[axis] as number), 1)
  return [g.broadcast(g.mul(g.reshape(dy, keptShape(x, axes)), g.fill(1 / count, x.dtype)), x.shape)]
})
/** No derivative: used to steady exponentials, where the maximum cancels. */
export const max = reduction('max', 'Max', undefined)

/** Index of the largest element of the last axis; the first of equals. */
export const argMax: Primitive<Record<never, never>> = {
  name: 'argMax',
  infer: (inputs) => {
    const x = at(inputs, 0, 'argMax')
    if (x.shape.length === 0) refuse('argMax', inputs, 'a scalar has no axis')
    return [{ shape: x.shape.slice(0, -1), dtype: 'i32' }]
  },
  lower: (emit, [x], { inputTypes: [from] }) => {
    const { shape, dtype } = from as TensorType
    return [emit.node('ArgMax', [x as string, emit.int(shape.length - 1)], { T: type(dtype), Tidx: type('i32'), output_type: type('i32') })]
  },
}
