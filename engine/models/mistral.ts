/** Mistral: Llama without biases, every block with one sliding window where config.json sets it. */
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
  mustBe,
  PRE_NORMS,
  readDecoder,
} from './decoder'

export interface MistralConfig extends DecoderConfig {
  /** Positions that a query sees, itself included; undefined: all. */
  readonly window: number | undefined
}

const schema = z
  .looseObject({
    model_type: z.literal('mistral'),
    ...decoderFields,
    // null switches it off; a file that does not speak of it means the 4096 of the first Mistral.
    sliding_window: count.nullish(),
    hidden_act: optional(z.string()),
  })
  .transform((c): MistralConfig => {
    mustBe('hidden_act', c.hidden_act, ['silu'])
    return {
      ...readDecoder('mistral', c, { kvHeads: 8, contextLength: 131072 }),
      window: c.sliding_window === undefined ? 4096 : (c.sliding_window ?? undefined),
    }
  })

export const mistral: Architecture<MistralConfig> = {
  ...decoder,
  modelType: 'mistral',
  config: schema,
  parameters: (c) => decoderParameters(c, [...attentionProjections(c), ...gatedProjections(c)], PRE_NORMS),
  block: (n, c, block, x) => decoderBlock(n, c, block, x, { window: c.window }),
  // Files of Mistral models say that they are llama, and open as that.
  gguf: { name: 'llama', tensors: (c) => decoderGguf(c, { permuted: true }) },
}
