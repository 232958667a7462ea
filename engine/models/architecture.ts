/** What one architecture file must say. The file's name is the Hugging Face `model_type` it implements. */
import type * as z from 'zod'
import type { Shape, Tensor } from '../graph/types'
import type { Network } from './network'

export type Part = 'embedding' | 'attention' | 'mlp' | 'norm' | 'head'

/** One named weight. `name` and `shape` are those of the Hugging Face checkpoint. */
export interface ParameterSpec {
  readonly name: string
  readonly shape: Shape
  /** Index of the transformer block, or null outside the blocks. */
  readonly block: number | null
  readonly part: Part
  /**
   * Role in the arithmetic. `matrix` weights enter matrix products (and may be kept in bf16), `table` is looked up by row (and may be the
   * head's matrix as well), `vector` is a norm weight or a bias and always stays float32.
   */
  readonly role: 'matrix' | 'table' | 'vector'
  /** Axis of the output features of a matrix: 0 for nn.Linear [out, in], 1 for GPT-2's Conv1D [in, out]. */
  readonly outputAxis?: 0 | 1
  /**
   * Matrices with the same `fuse` stand next to each other in the list, share their input and have outputAxis 0: where all of them
   * train, or none does, they are kept as one variable and multiplied at once.
   */
  readonly fuse?: string
  /** Follows from other parameters: neither trained nor stored. */
  readonly derived?: boolean
}

/** What every architecture's configuration comes down to; its own file adds more. */
export interface CommonConfig {
  readonly modelType: string
  readonly blocks: number
  readonly hiddenSize: number
  readonly intermediateSize: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocabSize: number
  /** Positions the model was made for: `max_position_embeddings` or `n_positions`. */
  readonly contextLength: number
  readonly tiedEmbeddings: boolean
}

export interface RopeTable {
  /** cos and sin of every position, [positions, headDim / 2] each, float32 values computed in float64. */
  readonly cos: Float32Array
  readonly sin: Float32Array
}

/** Where a tensor of a GGUF file goes. */
export interface GgufTensor {
  readonly parameter: string
  /** llama.cpp stores the rows of q and k interleaved: file row 2i+s of a head is Hugging Face row s·d/2+i. Number of heads, or undefined. */
  readonly permutedHeads?: number
  /** The file stores 1 + w (Gemma's norms). */
  readonly plusOne?: boolean
}

export interface Architecture<C extends CommonConfig = CommonConfig> {
  readonly modelType: string
  /** Parses config.json of either spelling; throws EngineError `unsupported` naming the field that is not built. */
  readonly config: z.ZodType<C>
  /** In the model's own order. A tied head is not listed: it is the embedding. */
  parameters(config: C): readonly ParameterSpec[]
  /** Name as our list has it for a name found in a checkpoint; null for entries that are no parameters (masks, inverse frequencies). */
  canonicalName?(stored: string): string | null
  /** cos/sin by position, or null without rotary embedding. `kind` as attention asks for it (AttentionCall.ropeKind). */
  rope(config: C, positions: number, kind?: string): RopeTable | null
  /** Token (and learned position) embedding: [rows, hidden]. */
  embed(network: Network, config: C): Tensor
  /** One transformer block: [rows, hidden] → [rows, hidden], or fewer rows where the network narrows (see Network.narrow). */
  block(network: Network, config: C, index: number, x: Tensor): Tensor
  /** Final norm over any number of rows: [n, hidden] → [n, hidden]. */
  norm(network: Network, config: C, x: Tensor): Tensor
  /** Parameter whose rows are the head's output vectors, [vocab, hidden]; the embedding when tied. */
  head(config: C): string
  /** What becomes of the head's products, float32 [n, vocab], where they are not the logits already. */
  logits?(network: Network, config: C, products: Tensor): Tensor
  /** Names of a GGUF file (`general.architecture` equal to `ggufName`). */
  readonly gguf?: { readonly name: string; tensors(config: C): ReadonlyMap<string, GgufTensor> }
}

/**
 * A low-rank change beside a matrix W, by parameter names: y = x·Wᵀ + scale·(x·Aᵀ)·Bᵀ. With magnitudes m (DoRA) the whole, before the bias,
 * is multiplied by m / ‖W + scale·B·A‖ of each output, where the length counts as a constant in the backward pass.
 */
export interface LowRank {
  /** [rank, inputs] */
  readonly a: string
  /** [outputs, rank] */
  readonly b: string
  /** [outputs] */
  readonly magnitude?: string
  /** [outputs]: Σ W² of each output, so that the length of a frozen W need not be summed up in every step. */
  readonly squares?: string
  readonly scale: number
}

/** An architecture with its parsed configuration: all that programs need. Holds no weights. */
export interface Model {
  /** Low-rank changes by the name of the weight beside which they stand. Their matrices are listed among the parameters. */
  readonly adapters?: ReadonlyMap<string, LowRank>
  readonly modelType: string
  readonly config: CommonConfig
  readonly parameters: readonly ParameterSpec[]
  readonly architecture: Architecture
}
