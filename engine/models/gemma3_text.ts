/**
 * Gemma 3, the text part: Gemma 2 with an RMSNorm over each head of q and k, most blocks with a window, and rotary angles of their own for
 * these.
 */
import * as z from 'zod'
import { ropeFrequencies, ropeTable } from '../graph/layers/rope'
import type { Architecture } from './architecture'
import { count, optional, type RopeSettings, readRope, ropeSettings } from './config'
import { decoderGguf, HEAD_NORMS, readWindows } from './decoder'
import { type GemmaConfig, GGUF_NORMS, gemma, gemmaBlock, gemmaFields, readGemma } from './gemma2'

export interface Gemma3Config extends GemmaConfig {
  /** Rotary settings of the blocks with a window; `rope` is that of the others. */
  readonly localRope: RopeSettings
}

const schema = z
  .looseObject({
    model_type: z.literal('gemma3_text'),
    ...gemmaFields,
    rope_local_base_freq: optional(z.number().positive()),
    sliding_window_pattern: optional(count),
    // transformers 5: one entry for each kind of block.
    rope_parameters: optional(z.looseObject({ full_attention: optional(ropeSettings), sliding_attention: optional(ropeSettings) })),
  })
  .transform((c): Gemma3Config => {
    const { full_attention: full, sliding_attention: local } = c.rope_parameters ?? {}
    // The scaling of a hub file speaks of the blocks without a window.
    const rope = readRope(full ? { rope_parameters: full } : { rope_theta: c.rope_theta, rope_scaling: c.rope_scaling }, 1_000_000)
    const localRope = readRope(local ? { rope_parameters: local } : { rope_theta: c.rope_local_base_freq }, 10_000)
    const pattern = c.sliding_window_pattern ?? 6
    return {
      ...readGemma('gemma3_text', { ...c, rope_parameters: undefined }, { contextLength: 131072, softcaps: {} }),
      rope,
      localRope,
      windows: readWindows(c.layer_types, c.num_hidden_layers, c.sliding_window ?? 4096, (block) => (block + 1) % pattern !== 0),
    }
  })

export const gemma3_text: Architecture<Gemma3Config> = {
  ...gemma,
  modelType: 'gemma3_text',
  config: schema,
  parameters: (c) => gemma.parameters(c, HEAD_NORMS),
  rope: (c, positions, kind) => {
    const { theta, scaling } = kind === 'local' ? c.localRope : c.rope
    return ropeTable(ropeFrequencies(c.headDim, theta, scaling), positions)
  },
  block: (n, c, block, x) => gemmaBlock(n, c, block, x, { headNorms: true, ...(c.windows[block] !== undefined && { ropeKind: 'local' }) }),
  gguf: {
    name: 'gemma3',
    tensors: (c) =>
      decoderGguf(c, {
        plusOne: true,
        more: [...GGUF_NORMS, ['attn_q_norm', HEAD_NORMS[0]], ['attn_k_norm', HEAD_NORMS[1]]],
      }),
  },
}
