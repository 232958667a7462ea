/** Llama and everything that is built like it (SmolLM2, TinyLlama, Llama 3): rotary, RMSNorm, SwiGLU, grouped queries. */
import * as z from 'zod'
import type { Architecture } from './architecture'
import { optional } from './config'
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

export interface LlamaConfig extends DecoderConfig {
  readonly attentionBias: boolean
  readonly mlpBias: boolean
}

const schema = z
  .looseObject({
    model_type: z.literal('llama'),
    ...decoderFields,
    hidden_act: optional(z.string()),
    attention_bias: optional(z.boolean()),
    mlp_bias: optional(z.boolean()),
  })
  .transform((c): LlamaConfig => {
    mustBe('hidden_act', c.hidden_act, ['silu'])
    return {
      ...readDecoder('llama', c, { contextLength: 2048 }),
      attentionBias: c.attention_bias ?? false,
      mlpBias: c.mlp_bias ?? false,
    }
  })

export const llama: Architecture<LlamaConfig> = {
  ...decoder,
  modelType: 'llama',
  config: schema,
  parameters: (c) => decoderParameters(c, [...attentionProjections(c, c.attentionBias), ...gatedProjections(c, c.mlpBias)], PRE_NORMS),
  block: (n, c, block, x) => decoderBlock(n, c, block, x, { biased: c.attentionBias, mlpBiased: c.mlpBias }),
  // Mistral models come under this name too.
  gguf: { name: 'llama', tensors: (c) => decoderGguf(c, { permuted: true }) },
}
