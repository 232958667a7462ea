/**
 * What a primitive may say to TensorFlow: nodes with attributes. Pure data, so that graph/ needs no TensorFlow and the whole emission
 * can be tested without it. The TensorFlow backend implements `Lowering`.
 */
import type { DType, Shape, Variable } from './types'

/** Name of a node's output as a NodeDef input spells it: `name` or `name:1`. */
export type NodeRef = string

/** Values of tensorflow.DataType that we write. */
export const TF_TYPE: Readonly<Record<DType, number>> & { readonly resource: number } = { f32: 1, i32: 3, bool: 10, bf16: 14, resource: 20 }

export type Attribute =
  | { readonly type: number }
  | { readonly int: number }
  | { readonly float: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly shape: Shape }
  | { readonly ints: readonly number[] }
  | { readonly tensor: { readonly dtype: DType; readonly shape: Shape; readonly bytes: Uint8Array } }

export interface Lowering {
  /** Adds a node; returns the reference of its first output. */
  node(
    op: string,
    inputs: readonly NodeRef[],
    attributes: Readonly<Record<string, Attribute>>,
    options?: { control?: readonly NodeRef[] },
  ): NodeRef
  /** A constant vector of int32; equal ones are shared. */
  ints(values: readonly number[]): NodeRef
  /** A constant int32 scalar. */
  int(value: number): NodeRef
  /** A constant scalar of a float type. */
  float(value: number, dtype: DType): NodeRef
  /** A constant tensor; equal ones are shared. */
  constant(values: ArrayLike<number>, shape: Shape, dtype: DType): NodeRef
  /** The resource handle of a variable. */
  handle(variable: Variable): NodeRef
  /** Current value of a variable, read after every earlier write of this program. */
  read(variable: Variable): NodeRef
  /**
   * Adds a node that changes a variable: after every earlier read and write of it. The program's fetches wait for it.
   */
  write(variable: Variable, op: string, inputs: readonly NodeRef[], attributes: Readonly<Record<string, Attribute>>): NodeRef
}

export const type = (dtype: DType): Attribute => ({ type: TF_TYPE[dtype] })
export const bool = (value: boolean): Attribute => ({ bool: value })
export const int = (value: number): Attribute => ({ int: value })
