/** Qwen2 and Qwen2.5: Llama with biases on q, k and v, and on request a sliding window in the upper layers. */
import * as z from 'zod'
import type { Architecture } from './architecture'
import { count, optional } from './config'
import {
  attentionProjections,
  type DecoderConfig,
  decoder,
  decoderBlock,
  decoderFields,
  decoderGguf,
  decoderParameters,
  gatedProjections,
  layerTypes,
  mustBe,
  PRE_NORMS,
  readDecoder,
  readWindows,
} from './decoder'

export interface Qwen2Config extends DecoderConfig {
  /** Of each block: how many positions a query sees, itself included; undefined: all. */
  readonly windows: readonly (number | undefined)[]
}

/** Which blocks of Qwen2 and Qwen3 see a window only. */
export const slidingFields = {
  use_sliding_window: optional(z.boolean()),
  sliding_window: optional(count),
  max_window_layers: optional(z.int().nonnegative()),
  layer_types: layerTypes,
}
export function readSliding(c: z.output<z.ZodObject<typeof slidingFields>>, blocks: number): (number | undefined)[] {
  const window = c.use_sliding_window ? c.sliding_window : undefined
  const lowest = c.max_window_layers ?? 28
  return readWindows(c.layer_types, blocks, window, (block) => block >= lowest)
}

const schema = z
  .looseObject({ model_type: z.literal('qwen2'), ...decoderFields, ...slidingFields, hidden_act: optional(z.string()) })
  .transform((c): Qwen2Config => {
    mustBe('hidden_act', c.hidden_act, ['silu'])
    return { ...readDecoder('qwen2', c, { kvHeads: 32, contextLength: 32768 }), windows: readSliding(c, c.num_hidden_layers) }
  })

export const qwen2: Architecture<Qwen2Config> = {
  ...decoder,
  modelType: 'qwen2',
  config: schema,
  parameters: (c) => decoderParameters(c, [...attentionProjections(c, true, false), ...gatedProjections(c)], PRE_NORMS),
  block: (n, c, block, x) => decoderBlock(n, c, block, x, { biased: true, outputBiased: false, window: c.windows[block] }),
  gguf: { name: 'qwen2', tensors: (c) => decoderGguf(c) },
}
