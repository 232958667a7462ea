/**
 * Gemma 2: norms that scale by 1 + weight, before and after attention and feed-forward; GELU gates; embeddings scaled by √hidden; scores and
 * logits squeezed by tanh; every other block sees a window only.
 */
import * as z from 'zod'
import { geluTanh } from '../graph/layers/activation'
import { rmsNorm } from '../graph/layers/norm'
import type { Tensor } from '../graph/types'
import type { Architecture } from './architecture'
import { count, optional } from './config'
import {
  at,
  attentionProjections,
  type DecoderConfig,
  type DecoderDefaults,
  decoder,
  decoderFields,
  decoderGguf,
  decoderParameters,
  FINAL_NORM,
  gatedProjections,
  HEAD_NORMS,
  layerTypes,
  mustBe,
  projector,
  readDecoder,
  readWindows,
} from './decoder'
import type { AttentionCall, Network } from './network'

export interface GemmaConfig extends DecoderConfig {
  /** Of each block: how many positions a query sees, itself included; undefined: all. */
  readonly windows: readonly (number | undefined)[]
  /** Scores are divided by √ of it. */
  readonly queryScale: number
  readonly attentionBias: boolean
  readonly attentionSoftcap: number | undefined
  readonly finalSoftcap: number | undefined
}

/** What Gemma 2 and 3 read besides the fields of every decoder. */
export const gemmaFields = {
  ...decoderFields,
  hidden_activation: optional(z.string()),
  attention_bias: optional(z.boolean()),
  query_pre_attn_scalar: optional(z.number().positive()),
  attn_logit_softcapping: z.number().positive().nullish(),
  final_logit_softcapping: z.number().positive().nullish(),
  sliding_window: optional(count),
  layer_types: layerTypes,
}

/** All but the windows. `softcaps` are those of a file that does not speak of them; null in a file switches them off. */
export function readGemma(
  modelType: string,
  c: z.output<z.ZodObject<typeof gemmaFields>>,
  defaults: DecoderDefaults & { softcaps: { attention?: number; final?: number } },
): Omit<GemmaConfig, 'windows'> {
  mustBe('hidden_activation', c.hidden_activation, ['gelu_pytorch_tanh'])
  const softcap = (value: number | null | undefined, silent: number | undefined) => (value === undefined ? silent : (value ?? undefined))
  return {
    ...readDecoder(modelType, c, { kvHeads: 4, headDim: 256, tiedEmbeddings: true, ...defaults }),
    queryScale: c.query_pre_attn_scalar ?? 256,
    attentionBias: c.attention_bias ?? false,
    attentionSoftcap: softcap(c.attn_logit_softcapping, defaults.softcaps.attention),
    finalSoftcap: softcap(c.final_logit_softcapping, defaults.softcaps.final),
  }
}

const NORMS = ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm'] as const

/** RMSNorm whose stored weight is the distance from 1. */
const norm = (n: Network, c: DecoderConfig, name: string, x: Tensor): Tensor =>
  rmsNorm(n.g, x, n.g.add(n.vector(name), n.g.fill(1, 'f32')), c.normEpsilon)

/** One block. `headNorms` normalises q and k head by head (Gemma 3). */
export function gemmaBlock(
  n: Network,
  c: GemmaConfig,
  block: number,
  x: Tensor,
  { headNorms = false, ropeKind }: { headNorms?: boolean; ropeKind?: string } = {},
): Tensor {
  const { g } = n
  const { heads, kvHeads, headDim } = c
  const project = projector(n, block)
  const own = (name: string, value: Tensor) => norm(n, c, `${at(block)}${name}.weight`, value)
  const head = (name: string, value: Tensor) =>
    headNorms ? g.reshape(own(name, g.reshape(value, [(n.rows * (value.shape[1] as number)) / headDim, headDim])), value.shape) : value
  const normal = own('input_layernorm', x)
  const [q, k, v] = project(normal, c.attentionBias, 'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj')
  const call: AttentionCall = {
    q: head(HEAD_NORMS[0], q),
    k: head(HEAD_NORMS[1], k),
    v,
    heads,
    kvHeads,
    headDim,
    scale: c.queryScale ** -0.5,
    rotary: true,
    ropeKind,
    window: c.windows[block],
    softcap: c.attentionSoftcap,
  }
  const [attended] = project(n.narrow(block, n.attention(block, call)), c.attentionBias, 'self_attn.o_proj')
  const between = g.add(n.narrow(block, x), own('post_attention_layernorm', attended))
  const [gate, up] = project(own('pre_feedforward_layernorm', between), false, 'mlp.gate_proj', 'mlp.up_proj')
  const [down] = project(g.mul(geluTanh(g, gate), up), false, 'mlp.down_proj')
  return g.add(between, own('post_feedforward_layernorm', down))
}

/** What Gemma 2 and 3 share around and beside their blocks. */
export const gemma = {
  ...decoder,
  parameters: (c, headNorms: readonly string[] = []) =>
    decoderParameters(c, [...attentionProjections(c, c.attentionBias), ...gatedProjections(c)], NORMS, headNorms),
  embed: (n, c) => n.g.mul(decoder.embed(n, c), n.g.fill(Math.fround(Math.sqrt(c.hiddenSize)), 'f32')),
  norm: (n, c, x) => norm(n, c, FINAL_NORM, x),
  logits: ({ g }, { finalSoftcap: cap }, products) =>
    cap ? g.mul(g.tanh(g.mul(products, g.fill(1 / cap, 'f32'))), g.fill(cap, 'f32')) : products,
} satisfies Partial<Architecture<GemmaConfig>>

const schema = z.looseObject({ model_type: z.literal('gemma2'), ...gemmaFields }).transform(
  (c): GemmaConfig => ({
    ...readGemma('gemma2', c, { contextLength: 8192, softcaps: { attention: 50, final: 30 } }),
    windows: readWindows(c.layer_types, c.num_hidden_layers, c.sliding_window ?? 4096, (block) => block % 2 === 0),
  }),
)

export const gemma2: Architecture<GemmaConfig> = {
  ...gemma,
  modelType: 'gemma2',
  config: schema,
  parameters: (c) => gemma.parameters(c),
  block: gemmaBlock,
  gguf: { name: 'gemma2', tensors: (c) => decoderGguf(c, { plusOne: true, more: GGUF_NORMS }) },
}

/** What llama.cpp calls the two further norms of a block, and the one that others have after attention. */
export const GGUF_NORMS = [
  ['post_attention_norm', 'post_attention_layernorm'],
  ['ffn_norm', 'pre_feedforward_layernorm'],
  ['post_ffw_norm', 'post_feedforward_layernorm'],
] as const
