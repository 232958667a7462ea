/** Rows by index, and their transposes. */
import { int, type } from '../lowering'
import { type Primitive, type Shape, sameShape, type TensorType } from '../types'
import { at, FLOATS, refuse, sameTypes } from './check'

type None = Record<never, never>

/** table [n, …], indices i32 […k] → […k, …]. Every index must be inside. */
export const gather: Primitive<None> = {
  name: 'gather',
  infer: (inputs) => {
    const [table, indices] = [at(inputs, 0, 'gather'), at(inputs, 1, 'gather')]
    if (indices.dtype !== 'i32') refuse('gather', inputs, 'the indices are not i32')
    if (table.shape.length === 0) refuse('gather', inputs, 'a scalar has no rows')
    return [{ shape: [...indices.shape, ...table.shape.slice(1)], dtype: table.dtype }]
  },
  vjp: ({ g, inputs: [table, indices], gradients: [dy] }) => {
    if (!(table && indices && dy)) return []
    const count = indices.shape.reduce((a, b) => a * b, 1)
    const rows = g.reshape(dy, [count, ...table.shape.slice(1)])
    return [g.segmentSum(rows, g.reshape(indices, [count]), table.shape[0] as number), null]
  },
  lower: (emit, [table, indices], { outputTypes: [out] }) => [
    emit.node('GatherV2', [table as string, indices as string, emit.int(0)], {
      Tparams: type((out as TensorType).dtype),
      Tindices: type('i32'),
      Taxis: type('i32'),
      batch_dims: int(0),
    }),
  ],
}

const rowsFit = (rows: TensorType, indices: TensorType) => indices.dtype === 'i32' && sameShape(rows.shape.slice(0, 1), indices.shape)

/** rows [k, …], indices i32 [k] → [count, …]: each output row is the sum of the rows with its index, zero where there is none. */
export const segmentSum: Primitive<{ count: number }> = {
  name: 'segmentSum',
  infer: (inputs, { count }) => {
    const [rows, indices] = [at(inputs, 0, 'segmentSum'), at(inputs, 1, 'segmentSum')]
    sameTypes('segmentSum', [rows], FLOATS)
    if (!rowsFit(rows, indices)) refuse('segmentSum', inputs, 'needs one i32 index per row')
    return [{ shape: [count, ...rows.shape.slice(1)], dtype: rows.dtype }]
  },
  vjp: ({ g, inputs: [, indices], gradients: [dy] }) => [indices && dy ? g.gather(dy, indices) : null, null],
  lower: (emit, [rows, indices], { attributes, outputTypes: [out] }) => [
    emit.node('UnsortedSegmentSum', [rows as string, indices as string, emit.int(attributes.count)], {
      T: type((out as TensorType).dtype),
      Tindices: type('i32'),
      Tnumsegments: type('i32'),
    }),
  ],
}

/** base [n, …] plus rows [k, …] at indices i32 [k]: spares the dense zeros of segmentSum where a gradient exists already. */
export const scatterAdd: Primitive<None> = {
  name: 'scatterAdd',
  infer: (inputs) => {
    const [base, rows, indices] = [at(inputs, 0, 'scatterAdd'), at(inputs, 1, 'scatterAdd'), at(inputs, 2, 'scatterAdd')]
    sameTypes('scatterAdd', [base, rows], FLOATS)
    if (!rowsFit(rows, indices) || !sameShape(base.shape.slice(1), rows.shape.slice(1)))
      refuse('scatterAdd', inputs, 'the rows do not fit the base or the indices')
    return [{ shape: base.shape, dtype: base.dtype }]
  },
  vjp: ({ g, inputs: [, , indices], gradients: [dy], needs }) => (indices && dy ? [dy, needs[1] ? g.gather(dy, indices) : null, null] : []),
  lower: (emit, [base, rows, indices], { inputTypes: [, rowType], outputTypes: [out] }) => {
    const column: Shape = [(rowType as TensorType).shape[0] as number, 1]
    const index = emit.node('Reshape', [indices as string, emit.ints(column)], { T: type('i32'), Tshape: type('i32') })
    return [
      emit.node('TensorScatterAdd', [base as string, index, rows as string], { T: type((out as TensorType).dtype), Tindices: type('i32') }),
    ]
  },
}
