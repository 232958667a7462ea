/** What is measured: models by shape, which parameters train, batch and precision. */
import { describeModel, type Model } from '../engine/models/index'

export type Shape = 'gpt2-small' | 'smollm2-135m'

const CONFIGS: Readonly<Record<Shape, Record<string, unknown>>> = {
  'gpt2-small': { model_type: 'gpt2', vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 },
  'smollm2-135m': {
    model_type: 'llama',
    vocab_size: 49152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    tie_word_embeddings: true,
    rope_theta: 100000,
    max_position_embeddings: 8192,
  },
}

export type Job = {
  readonly name: string
  readonly shape: Shape
  /** Blocks from here on train, with the final norm; 0: everything. */
  readonly firstTrained: number
  readonly batch: number
  readonly length: number
  /** Tokens of a row that are in the loss. */
  readonly labelsPerRow: number
  readonly bf16: boolean
  /** From the second epoch on: the outputs of the frozen blocks are fed. */
  readonly cached?: boolean
}

export const modelOf = (shape: Shape): Model => describeModel(CONFIGS[shape])

/** Exact names of what trains. */
export function trainableOf(model: Model, firstTrained: number): string[] {
  return model.parameters
    .filter(({ block, part }) => firstTrained === 0 || (block === null ? part === 'norm' : block >= firstTrained))
    .map(({ name }) => name)
}

/** The rows of the table, in the order they are measured. Rows of the real job have a third of their tokens in the loss. */
export function jobs({ quick = false, all = false } = {}): Job[] {
  const list: Job[] = []
  for (const bf16 of [false, true]) {
    const mark = bf16 ? 'bf16' : 'fp32'
    list.push({ name: `GPT-2 small, full, ${mark}`, shape: 'gpt2-small', firstTrained: 0, batch: 4, length: 128, labelsPerRow: 127, bf16 })
    list.push({
      name: `GPT-2 small, frozen 10 of 12, ${mark}`,
      shape: 'gpt2-small',
      firstTrained: 10,
      batch: 4,
      length: 128,
      labelsPerRow: 127,
      bf16,
    })
  }
  list.push({
    name: 'GPT-2 small, frozen 10 of 12 and cached, bf16',
    shape: 'gpt2-small',
    firstTrained: 10,
    batch: 4,
    length: 128,
    labelsPerRow: 127,
    bf16: true,
    cached: true,
  })
  list.push({
    name: 'SmolLM2-135M, full, bf16',
    shape: 'smollm2-135m',
    firstTrained: 0,
    batch: 4,
    length: 192,
    labelsPerRow: 191,
    bf16: true,
  })
  list.push({
    name: 'SmolLM2-135M, upper third, 64 of 192 tokens in the loss, bf16',
    shape: 'smollm2-135m',
    firstTrained: 20,
    batch: 4,
    length: 192,
    labelsPerRow: 64,
    bf16: true,
  })
  list.push({
    name: 'SmolLM2-135M, upper third, frozen blocks cached, bf16',
    shape: 'smollm2-135m',
    firstTrained: 20,
    batch: 4,
    length: 192,
    labelsPerRow: 64,
    bf16: true,
    cached: true,
  })
  if (quick) return list.filter(({ bf16 }) => bf16)
  // More than a minute by itself.
  if (!all) return list
  list.push({
    name: 'SmolLM2-135M, full, fp32',
    shape: 'smollm2-135m',
    firstTrained: 0,
    batch: 4,
    length: 192,
    labelsPerRow: 191,
    bf16: false,
  })
  return list
}
