/** Llama and everything that is built like it (SmolLM2, TinyLlama, Llama 3): rotary, RMSNorm, SwiGLU, grouped queries. */
import * as z from 'zod'
import { swiglu } from '../graph/layers/activation'
import type { Architecture } from './architecture'
import { optional } from './config'
import {
  attentionProjections,
  type DecoderConfig,
  decoder,
  decoderFields,
  decoderGguf,
  decoderParameters,
  gatedProjections,
  mustBe,
  normaliser,
  PRE_NORMS,
  projector,
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

  block: (n, c, block, x) => {
    const { g } = n
    const project = projector(n, block)
    const norm = normaliser(n, c, block)
    const [q, k, v] = project(norm('input_layernorm', x), c.attentionBias, 'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj')
    const { heads, kvHeads, headDim } = c
    const mixed = n.attention(block, { q, k, v, heads, kvHeads, headDim, scale: headDim ** -0.5, rotary: true })
    const [attended] = project(n.narrow(block, mixed), c.attentionBias, 'self_attn.o_proj')
    const between = g.add(n.narrow(block, x), attended)
    const [gate, up] = project(norm('post_attention_layernorm', between), c.mlpBias, 'mlp.gate_proj', 'mlp.up_proj')
    const [down] = project(swiglu(g, gate, up), c.mlpBias, 'mlp.down_proj')
    return g.add(between, down)
  },

  gguf: {
    name: 'llama',
    tensors: (c) =>
      decoderGguf(c, [
        ['attn_norm', 'input_layernorm'],
        ['ffn_norm', 'post_attention_layernorm'],
        ['attn_q', 'self_attn.q_proj', c.heads],
        ['attn_k', 'self_attn.k_proj', c.kvHeads],
        ['attn_v', 'self_attn.v_proj'],
        ['attn_output', 'self_attn.o_proj'],
        ['ffn_gate', 'mlp.gate_proj'],
        ['ffn_up', 'mlp.up_proj'],
        ['ffn_down', 'mlp.down_proj'],
      ]),
  },
}
