/** Qwen3 (dense): Llama with an RMSNorm over each head of q and k before they are rotated. Its head size is free of hidden size / heads. */
import * as z from 'zod'
import type { Architecture } from './architecture'
import { optional } from './config'
import {
  attentionProjections,
  decoder,
  decoderBlock,
  decoderFields,
  decoderGguf,
  decoderParameters,
  gatedProjections,
  HEAD_NORMS,
  mustBe,
  PRE_NORMS,
  readDecoder,
} from './decoder'
import { type Qwen2Config, readSliding, slidingFields } from './qwen2'

export interface Qwen3Config extends Qwen2Config {
  readonly attentionBias: boolean
}

const schema = z
  .looseObject({
    model_type: z.literal('qwen3'),
    ...decoderFields,
    ...slidingFields,
    hidden_act: optional(z.string()),
    attention_bias: optional(z.boolean()),
  })
  .transform((c): Qwen3Config => {
    mustBe('hidden_act', c.hidden_act, ['silu'])
    return {
      ...readDecoder('qwen3', c, { kvHeads: 32, headDim: 128, contextLength: 32768 }),
      windows: readSliding(c, c.num_hidden_layers),
      attentionBias: c.attention_bias ?? false,
    }
  })

export const qwen3: Architecture<Qwen3Config> = {
  ...decoder,
  modelType: 'qwen3',
  config: schema,
  parameters: (c) => decoderParameters(c, [...attentionProjections(c, c.attentionBias), ...gatedProjections(c)], PRE_NORMS, HEAD_NORMS),
  block: (n, c, block, x) => decoderBlock(n, c, block, x, { biased: c.attentionBias, window: c.windows[block], headNorms: true }),
  gguf: {
    name: 'qwen3',
    tensors: (c) =>
      decoderGguf(c, {
        more: [
          ['attn_q_norm', 'self_attn.q_norm'],
          ['attn_k_norm', 'self_attn.k_norm'],
        ],
      }),
  },
}
