/**
 * The intermediate representation: a program is a list of typed tensor operations on static shapes. Architectures and programs
 * write it, backends execute it. Nothing here knows TensorFlow.
 */

import type { Builder } from './builder'
import type { Lowering, NodeRef } from './lowering'

/** `bf16` exists on the TensorFlow backend only; the tfjs backends compute it in float32. */
export type DType = 'f32' | 'bf16' | 'i32' | 'bool'
export type Shape = readonly number[]
export interface TensorType {
  readonly shape: Shape
  readonly dtype: DType
}
/** A value inside one program. `id` is unique in its builder. */
export interface Tensor extends TensorType {
  readonly id: number
}

/** Work of one op: multiply and add count as two floating-point operations, `bytes` is what it must read and write at least. */
export type Cost = { readonly flops: number; readonly bytes: number }

export interface VjpArguments<A> {
  readonly g: Builder
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** Gradient of the loss by each output; null where no path from the loss reaches it. At least one is not null. */
  readonly gradients: readonly (Tensor | null)[]
  /** Which inputs want a gradient. Work for the others may be skipped. */
  readonly needs: readonly boolean[]
  readonly attributes: A
}

/** One entry of the table of operations: all that shape checking, differentiation, planning and emission need to know of it. */
export interface Primitive<A> {
  readonly name: string
  /** Types of the outputs. Throws an EngineError that names the primitive and the shapes. */
  infer(inputs: readonly TensorType[], attributes: A): readonly TensorType[]
  /** Vector-Jacobian product: the gradient by each input, or null. Left out where no gradient exists. */
  vjp?(args: VjpArguments<A>): readonly (Tensor | null)[]
  /** Defaults to no arithmetic and one pass over inputs and outputs. */
  cost?(inputs: readonly TensorType[], outputs: readonly TensorType[], attributes: A): Cost
  /** Writes the TensorFlow nodes that compute it and returns one reference per output. */
  lower(
    emit: Lowering,
    inputs: readonly NodeRef[],
    call: { attributes: A; inputTypes: readonly TensorType[]; outputTypes: readonly TensorType[] },
  ): readonly NodeRef[]
  /** Ops with effects are never removed as unused and keep their order per variable. */
  readonly effect?: 'read' | 'write'
}

export interface Op {
  readonly primitive: Primitive<unknown>
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly attributes: unknown
}

/**
 * State that outlives a call: weights, moments, gradient sums, key/value caches. Programs compiled together share variables of the
 * same name; two declarations of one name must agree.
 */
export interface Variable extends TensorType {
  readonly name: string
  /** `zeros`: filled when compiled. `unset`: must be written before the first run that reads it. */
  readonly initial: 'zeros' | 'unset'
}

/** A finished computation. Feeds and fetches are found by name; what each means stands with the program that made it. */
export interface Program {
  readonly name: string
  readonly ops: readonly Op[]
  readonly feeds: Readonly<Record<string, Tensor>>
  readonly fetches: Readonly<Record<string, Tensor>>
  readonly variables: Readonly<Record<string, Variable>>
  readonly cost: Cost
}

export const DTYPE_BYTES: Readonly<Record<DType, number>> = { f32: 4, bf16: 2, i32: 4, bool: 1 }
export const sizeOf = (shape: Shape): number => shape.reduce((count, size) => count * size, 1)
export const bytesOf = (type: TensorType): number => sizeOf(type.shape) * DTYPE_BYTES[type.dtype]
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i])
export const showType = (type: TensorType): string => `${type.dtype}[${type.shape.join(', ')}]`
