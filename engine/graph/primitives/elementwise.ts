/** Ops that work element by element, with broadcasting where they take two inputs. */

import type { Builder } from '../builder'
import { type } from '../lowering'
import { type DType, type Primitive, sizeOf, type Tensor, type TensorType } from '../types'
import { at, broadcastShapes, FLOATS, refuse, sameTypes } from './check'

type None = Record<never, never>
const floatCost = (_: readonly TensorType[], outputs: readonly TensorType[]) => {
  const elements = outputs.reduce((sum, output) => sum + sizeOf(output.shape), 0)
  return { flops: elements, bytes: 0 }
}

/** `derivative` returns dy/dx given x and y. */
function unary(name: string, op: string, derivative: (g: Builder, x: Tensor, y: Tensor) => Tensor): Primitive<None> {
  return {
    name,
    infer: (inputs) => {
      sameTypes(name, inputs, FLOATS)
      return [at(inputs, 0, name)]
    },
    vjp: ({ g, inputs: [x], outputs: [y], gradients: [dy] }) => (x && y && dy ? [g.mul(dy, derivative(g, x, y))] : []),
    cost: floatCost,
    lower: (emit, inputs, { outputTypes: [out] }) => [emit.node(op, inputs, { T: type((out as TensorType).dtype) })],
  }
}

export const neg: Primitive<None> = {
  ...unary('neg', 'Neg', (g, x) => g.fill(-1, x.dtype)),
  vjp: ({ g, gradients: [dy] }) => [dy ? g.neg(dy) : null],
}
export const exp = unary('exp', 'Exp', (_, __, y) => y)
export const log: Primitive<None> = {
  ...unary('log', 'Log', (_, x) => x),
  vjp: ({ g, inputs: [x], gradients: [dy] }) => [x && dy ? g.div(dy, x) : null],
}
export const sqrt = unary('sqrt', 'Sqrt', (g, x, y) => g.div(g.fill(0.5, x.dtype), y))
/** d x^-1/2 = -1/2 · y³ */
export const rsqrt = unary('rsqrt', 'Rsqrt', (g, x, y) => g.mul(g.mul(g.square(y), y), g.fill(-0.5, x.dtype)))
export const square = unary('square', 'Square', (g, x) => g.mul(x, g.fill(2, x.dtype)))
export const tanh = unary('tanh', 'Tanh', (g, x, y) => g.sub(g.fill(1, x.dtype), g.square(y)))
/** d erf(x) = 2/√π · exp(−x²) */
export const erf = unary('erf', 'Erf', (g, x) => g.mul(g.exp(g.neg(g.square(x))), g.fill(2 / Math.sqrt(Math.PI), x.dtype)))
export const sigmoid = unary('sigmoid', 'Sigmoid', (g, x, y) => g.mul(y, g.sub(g.fill(1, x.dtype), y)))

function binary(
  name: string,
  op: string,
  dtypes: readonly DType[],
  vjp: Primitive<None>['vjp'] | undefined,
  result?: DType,
): Primitive<None> {
  const primitive: Primitive<None> = {
    name,
    infer: (inputs) => {
      const dtype = sameTypes(name, inputs, dtypes)
      return [{ shape: broadcastShapes(name, at(inputs, 0, name), at(inputs, 1, name)), dtype: result ?? dtype }]
    },
    cost: floatCost,
    lower: (emit, inputs, { inputTypes: [a] }) => [
      emit.node(op, inputs, op.startsWith('Logical') ? {} : { T: type((a as TensorType).dtype) }),
    ],
  }
  return vjp ? { ...primitive, vjp } : primitive
}

const NUMBERS = ['f32', 'bf16', 'i32'] as const
export const add = binary('add', 'AddV2', NUMBERS, ({ g, inputs: [a, b], gradients: [dy], needs }) =>
  a && b && dy ? [needs[0] ? g.unbroadcast(dy, a.shape) : null, needs[1] ? g.unbroadcast(dy, b.shape) : null] : [],
)
export const sub = binary('sub', 'Sub', NUMBERS, ({ g, inputs: [a, b], gradients: [dy], needs }) =>
  a && b && dy ? [needs[0] ? g.unbroadcast(dy, a.shape) : null, needs[1] ? g.unbroadcast(g.neg(dy), b.shape) : null] : [],
)
export const mul = binary('mul', 'Mul', NUMBERS, ({ g, inputs: [a, b], gradients: [dy], needs }) =>
  a && b && dy ? [needs[0] ? g.unbroadcast(g.mul(dy, b), a.shape) : null, needs[1] ? g.unbroadcast(g.mul(dy, a), b.shape) : null] : [],
)
export const div = binary('div', 'RealDiv', FLOATS, ({ g, inputs: [a, b], outputs: [y], gradients: [dy], needs }) => {
  if (!(a && b && y && dy)) return []
  const da = g.div(dy, b)
  return [needs[0] ? g.unbroadcast(da, a.shape) : null, needs[1] ? g.unbroadcast(g.neg(g.mul(da, y)), b.shape) : null]
})
// No derivative: only used on norms and positions. A tie would need a convention.
export const minimum = binary('minimum', 'Minimum', NUMBERS, undefined)
export const maximum = binary('maximum', 'Maximum', NUMBERS, undefined)
export const less = binary('less', 'Less', NUMBERS, undefined, 'bool')
export const lessEqual = binary('lessEqual', 'LessEqual', NUMBERS, undefined, 'bool')
export const equal = binary('equal', 'Equal', NUMBERS, undefined, 'bool')
export const and = binary('and', 'LogicalAnd', ['bool'], undefined)

/** condition ? a : b; all three broadcast. */
export const select: Primitive<None> = {
  name: 'select',
  infer: (inputs) => {
    const [condition, a, b] = [at(inputs, 0, 'select'), at(inputs, 1, 'select'), at(inputs, 2, 'select')]
    if (condition.dtype !== 'bool') refuse('select', inputs, 'the condition is not bool')
    const dtype = sameTypes('select', [a, b], NUMBERS)
    const shape = broadcastShapes('select', a, b)
    return [{ shape: broadcastShapes('select', condition, { shape, dtype }), dtype }]
  },
  vjp: ({ g, inputs: [condition, a, b], gradients: [dy], needs }) => {
    if (!(condition && a && b && dy)) return []
    const zero = g.fill(0, dy.dtype)
    return [
      null,
      needs[1] ? g.unbroadcast(g.select(condition, dy, zero), a.shape) : null,
      needs[2] ? g.unbroadcast(g.select(condition, zero, dy), b.shape) : null,
    ]
  },
  lower: (emit, inputs, { outputTypes: [out] }) => [emit.node('SelectV2', inputs, { T: type((out as TensorType).dtype) })],
}

/** Rounds to nearest even on the way to bf16; bool becomes 0 or 1. */
export const cast: Primitive<{ dtype: DType }> = {
  name: 'cast',
  infer: (inputs, { dtype }) => [{ shape: at(inputs, 0, 'cast').shape, dtype }],
  vjp: ({ g, inputs: [x], gradients: [dy] }) => [x && dy && (x.dtype === 'f32' || x.dtype === 'bf16') ? g.cast(dy, x.dtype) : null],
  lower: (emit, inputs, { inputTypes: [x], attributes }) => [
    emit.node('Cast', inputs, { SrcT: type((x as TensorType).dtype), DstT: type(attributes.dtype), Truncate: { bool: false } }),
  ],
}
