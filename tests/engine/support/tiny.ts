/** Tiny models with random weights, for properties that need no reference values. */
import { sizeOf } from '../../../engine/graph/types'
import { describeModel, type Model } from '../../../engine/models/index'

export const TINY_LLAMA = {
  model_type: 'llama',
  vocab_size: 120,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
  rope_theta: 10000,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 64,
} // prettier-ignore
export const TINY_GPT2 = { model_type: 'gpt2', vocab_size: 120, n_embd: 32, n_layer: 4, n_head: 4, n_positions: 64 }

/** The same numbers for the same seed, in −0.5 … 0.5. */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32 - 0.5
  }
}

export function randomModel(config: Record<string, unknown>, seed = 1): { model: Model; read(name: string): Float32Array } {
  const model = describeModel(config)
  const next = randomNumbers(seed)
  const weights = new Map(
    model.parameters.map(({ name, shape, part }) => {
      const centre = part === 'norm' && name.endsWith('weight') ? 1 : 0
      return [name, Float32Array.from({ length: sizeOf(shape) }, () => centre + next() * 0.3)] as const
    }),
  )
  return {
    model,
    read: (name) => {
      const value = weights.get(name)
      if (!value) throw new Error(`no ${name}`)
      return value
    },
  }
}

export const randomIds = (count: number, vocab: number, seed = 3): Int32Array => {
  const next = randomNumbers(seed)
  return Int32Array.from({ length: count }, () => Math.floor((next() + 0.5) * vocab))
}

/** Every position of every row but the last predicts the next token. */
export function allLabels(ids: Int32Array, length: number) {
  const rows = Int32Array.from(ids.keys()).filter((i) => i % length !== length - 1)
  return { rows, targets: rows.map((row) => ids[row + 1] as number), weights: new Float32Array(rows.length).fill(1) }
}
