/** What a program offers an architecture while it writes the network: weights, products, positions and attention, whatever the job. */
import type { Builder } from '../graph/builder'
import type { Tensor } from '../graph/types'

export interface AttentionCall {
  /** float32 or bf16, [rows, heads · headDim], before rotation and scaling. */
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Scores are multiplied by it: 1/√headDim. */
  readonly scale: number
  /** Whether q and k are rotated by position (with the architecture's `rope` table). */
  readonly rotary: boolean
  /** Which of the architecture's rotary tables, where it has more than one. */
  readonly ropeKind?: string | undefined
  /** Scores are squeezed into ±softcap before the mask: softcap · tanh(score / softcap). */
  readonly softcap?: number | undefined
  /** Sliding window: query i sees key j iff 0 ≤ i − j < window. */
  readonly window?: number | undefined
}

export interface Network {
  readonly g: Builder
  /** batch · length. */
  readonly rows: number
  /** Token ids, i32 [batch, length]. */
  readonly ids: Tensor
  /** i32 [batch, length] or [1, length], where rows share their positions. */
  readonly positions: Tensor
  /** A norm weight or bias, float32. */
  vector(name: string): Tensor
  /** Rows of a table by i32 indices of any shape: float32 [indices…, width]. */
  lookup(name: string, indices: Tensor): Tensor
  /**
   * x [rows, in] times each named matrix (given in Hugging Face layout) plus its bias: float32 [rows, out] each. Matrices that share an
   * input are asked for together, so that they can be one product.
   */
  linear<const Names extends readonly string[]>(
    x: Tensor,
    names: Names,
    biases?: readonly (string | null)[],
  ): { readonly [I in keyof Names]: Tensor }
  /**
   * The rows of `x` that are still needed once attention of this block has mixed them: all, but in the last block only those that are
   * predicted from. Applied to both the attention's output and the residual stream.
   */
  narrow(block: number, x: Tensor): Tensor
  /** Attention of one block over what the program holds as context: [rows, heads · headDim]. */
  attention(block: number, call: AttentionCall): Tensor
}
