/** What the primitives' shape rules share. Every refusal names the primitive and the types it got. */
import { EngineError } from '../../errors'
import { type DType, type Shape, showType, type TensorType } from '../types'

export function refuse(primitive: string, inputs: readonly TensorType[], reason: string, expected?: string): never {
  throw new EngineError('shape', `${primitive}: ${reason}`, { got: inputs.map(showType).join(' and '), ...(expected ? { expected } : {}) })
}

/** The i-th input; a missing one is a mistake of the caller. */
export function at(inputs: readonly TensorType[], i: number, primitive: string): TensorType {
  return inputs[i] ?? refuse(primitive, inputs, `input ${i} is missing`)
}

export function sameTypes(primitive: string, inputs: readonly TensorType[], allowed: readonly DType[]): DType {
  const dtype = at(inputs, 0, primitive).dtype
  if (inputs.some((input) => input.dtype !== dtype)) refuse(primitive, inputs, 'the inputs differ in dtype')
  if (!allowed.includes(dtype)) refuse(primitive, inputs, `not defined for ${dtype}`, allowed.join(' or '))
  return dtype
}

/** NumPy broadcasting of two shapes. */
export function broadcastShapes(primitive: string, a: TensorType, b: TensorType): Shape {
  const rank = Math.max(a.shape.length, b.shape.length)
  return Array.from({ length: rank }, (_, i) => {
    const x = a.shape[a.shape.length - rank + i] ?? 1
    const y = b.shape[b.shape.length - rank + i] ?? 1
    if (x !== y && x !== 1 && y !== 1) refuse(primitive, [a, b], 'the shapes do not broadcast')
    return x === 1 ? y : x
  })
}

export function checkAxis(primitive: string, input: TensorType, axis: number): number {
  if (!Number.isInteger(axis) || axis < 0 || axis >= input.shape.length) refuse(primitive, [input], `there is no axis ${axis}`)
  return axis
}

export const FLOATS = ['f32', 'bf16'] as const
