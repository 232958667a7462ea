/** Phi-3: Llama whose q, k, v are one stored matrix, and gate, up another. */
import * as z from 'zod'
import { swiglu } from '../graph/layers/activation'
import type { Architecture } from './architecture'
import { count, optional, unsupported } from './config'
import {
  type DecoderConfig,
  decoder,
  decoderFields,
  decoderGguf,
  decoderParameters,
  mustBe,
  normaliser,
  PRE_NORMS,
  type Projection,
  projector,
  readDecoder,
} from './decoder'

export interface Phi3Config extends DecoderConfig {
  /** Positions that a query sees, itself included; undefined: all. */
  readonly window: number | undefined
}

const rotaryShare = z.object({ partial_rotary_factor: z.number().nullish() }).nullish().catch(undefined)

const schema = z
  .looseObject({
    model_type: z.literal('phi3'),
    ...decoderFields,
    sliding_window: optional(count),
    hidden_act: optional(z.string()),
    partial_rotary_factor: optional(z.number()),
  })
  .transform((c): Phi3Config => {
    mustBe('hidden_act', c.hidden_act, ['silu'])
    const share = c.partial_rotary_factor ?? rotaryShare.parse(c.rope_parameters)?.partial_rotary_factor ?? 1
    if (share !== 1) unsupported('partial_rotary_factor', share, '1: all of a head is rotated')
    return { ...readDecoder('phi3', c, { contextLength: 4096, normEpsilon: 1e-5 }), window: c.sliding_window }
  })

const projections = (c: Phi3Config): Projection[] => [
  { name: 'self_attn.qkv_proj', part: 'attention', rows: (c.heads + 2 * c.kvHeads) * c.headDim, columns: c.hiddenSize },
  { name: 'self_attn.o_proj', part: 'attention', rows: c.hiddenSize, columns: c.heads * c.headDim },
  { name: 'mlp.gate_up_proj', part: 'mlp', rows: 2 * c.intermediateSize, columns: c.hiddenSize },
  { name: 'mlp.down_proj', part: 'mlp', rows: c.hiddenSize, columns: c.intermediateSize },
]

export const phi3: Architecture<Phi3Config> = {
  ...decoder,
  modelType: 'phi3',
  config: schema,
  parameters: (c) => decoderParameters(c, projections(c), PRE_NORMS),

  block: (n, c, block, x) => {
    const { g } = n
    const { heads, kvHeads, headDim, window } = c
    const project = projector(n, block)
    const norm = normaliser(n, c, block)
    const [joined] = project(norm('input_layernorm', x), false, 'self_attn.qkv_proj')
    const [q, k, v] = g.split(joined, 1, [heads * headDim, kvHeads * headDim, kvHeads * headDim] as const)
    const mixed = n.attention(block, { q, k, v, heads, kvHeads, headDim, scale: headDim ** -0.5, rotary: true, window })
    const [attended] = project(n.narrow(block, mixed), false, 'self_attn.o_proj')
    const between = g.add(n.narrow(block, x), attended)
    const [both] = project(norm('post_attention_layernorm', between), false, 'mlp.gate_up_proj')
    const [gate, up] = g.split(both, 1, [c.intermediateSize, c.intermediateSize] as const)
    const [down] = project(swiglu(g, gate, up), false, 'mlp.down_proj')
    return g.add(between, down)
  },

  gguf: {
    name: 'phi3',
    tensors: (c) => {
      const names = decoderGguf(c, { more: [['attn_qkv', 'self_attn.qkv_proj']] })
      for (let block = 0; block < c.blocks; block++)
        names.set(`blk.${block}.ffn_up.weight`, { parameter: `model.layers.${block}.mlp.gate_up_proj.weight` })
      return names
    },
  },
}
