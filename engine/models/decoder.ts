/**
 * What Llama's relatives have in common: the settings of config.json, the names and shapes of a block's weights, its projections, and
 * embedding, final norm and head. The file of an architecture says what it does differently, and writes its block out.
 */
import * as z from 'zod'
import { swiglu } from '../graph/layers/activation'
import { rmsNorm } from '../graph/layers/norm'
import { ropeFrequencies, ropeTable } from '../graph/layers/rope'
import type { Tensor } from '../graph/types'
import type { Architecture, CommonConfig, GgufTensor, ParameterSpec } from './architecture'
import { count, optional, type RopeSettings, readRope, ropeFields, unsupported } from './config'
import type { Network } from './network'

export interface DecoderConfig extends CommonConfig {
  readonly normEpsilon: number
  readonly rope: RopeSettings
}

/** Fields of config.json that all of them read; spread into an architecture's schema. */
export const decoderFields = {
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: optional(count),
  head_dim: optional(count),
  max_position_embeddings: optional(count),
  rms_norm_eps: optional(z.number().positive()),
  tie_word_embeddings: optional(z.boolean()),
  ...ropeFields,
}

/** What transformers assumes where config.json is silent. */
export interface DecoderDefaults {
  /** Default: as many as heads. */
  readonly kvHeads?: number
  /** Default: hidden size / heads. */
  readonly headDim?: number
  readonly contextLength: number
  readonly tiedEmbeddings?: boolean
  readonly normEpsilon?: number
}

/** The fields of `decoderFields` as an architecture's configuration. Throws `unsupported` for what no head can be made of. */
export function readDecoder(modelType: string, c: z.output<z.ZodObject<typeof decoderFields>>, defaults: DecoderDefaults): DecoderConfig {
  const kvHeads = c.num_key_value_heads ?? defaults.kvHeads ?? c.num_attention_heads
  if (c.num_attention_heads % kvHeads)
    unsupported('num_key_value_heads', kvHeads, `a divisor of num_attention_heads (${c.num_attention_heads})`)
  const headDim = c.head_dim ?? defaults.headDim ?? c.hidden_size / c.num_attention_heads
  if (!Number.isInteger(headDim) || headDim % 2) unsupported('head_dim', headDim, 'an even whole number')
  return {
    modelType,
    blocks: c.num_hidden_layers,
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    heads: c.num_attention_heads,
    kvHeads,
    headDim,
    vocabSize: c.vocab_size,
    contextLength: c.max_position_embeddings ?? defaults.contextLength,
    tiedEmbeddings: c.tie_word_embeddings ?? defaults.tiedEmbeddings ?? false,
    normEpsilon: c.rms_norm_eps ?? defaults.normEpsilon ?? 1e-6,
    rope: readRope(c),
  }
}

/** Refuses an activation that is not the one the file was written for. */
export function mustBe(field: string, got: string | undefined, allowed: readonly string[]): void {
  if (!allowed.includes(got ?? (allowed[0] as string))) unsupported(field, got, allowed.join(' or '))
}

/** `layer_types` of config.json: which blocks see a window only. */
export const layerTypes = optional(z.array(z.string()))
const SLIDING: Readonly<Record<string, boolean>> = { sliding_attention: true, full_attention: false }
/** For each block its window, or undefined where it sees everything; `slides` decides where config.json has no list. */
export function readWindows(
  types: readonly string[] | undefined,
  blocks: number,
  window: number | undefined,
  slides: (block: number) => boolean,
): (number | undefined)[] {
  if (types && types.length !== blocks) unsupported('layer_types', types, `one entry for each of ${blocks} layers`)
  return Array.from({ length: blocks }, (_, block) => {
    const type = types?.[block]
    const own = type === undefined ? slides(block) : (SLIDING[type] ?? unsupported('layer_types', type, Object.keys(SLIDING).join(' or ')))
    return own ? window : undefined
  })
}

export const EMBEDDING = 'model.embed_tokens.weight'
export const HEAD = 'lm_head.weight'
export const FINAL_NORM = 'model.norm.weight'
/** What the names of a block's weights begin with. */
export const at = (block: number): string => `model.layers.${block}.`

/** A linear layer of a block: its name below the block, rows and columns of its weight, whether it has a bias. */
export interface Projection {
  readonly name: string
  readonly part: ParameterSpec['part']
  readonly rows: number
  readonly columns: number
  readonly biased?: boolean
  /** See ParameterSpec.fuse. */
  readonly fuse?: string
}

/** q, k and v side by side, and o. `biased` speaks of q, k and v; o has a bias only when `outputBiased`. */
export function attentionProjections(c: CommonConfig, biased = false, outputBiased = biased): Projection[] {
  const [queries, keys] = [c.heads * c.headDim, c.kvHeads * c.headDim]
  const part = 'attention' as const
  const input = { part, columns: c.hiddenSize, biased, fuse: 'qkv' }
  return [
    { ...input, name: 'self_attn.q_proj', rows: queries },
    { ...input, name: 'self_attn.k_proj', rows: keys },
    { ...input, name: 'self_attn.v_proj', rows: keys },
    { part, name: 'self_attn.o_proj', rows: c.hiddenSize, columns: queries, biased: outputBiased },
  ]
}

/** gate, up and down. */
export function gatedProjections(c: CommonConfig, biased = false): Projection[] {
  const wide = { part: 'mlp' as const, rows: c.intermediateSize, columns: c.hiddenSize, biased }
  return [
    { ...wide, name: 'mlp.gate_proj' },
    { ...wide, name: 'mlp.up_proj' },
    { part: 'mlp', name: 'mlp.down_proj', rows: c.hiddenSize, columns: c.intermediateSize, biased },
  ]
}

/** Norms around attention and feed-forward of Llama and most others. */
export const PRE_NORMS = ['input_layernorm', 'post_attention_layernorm'] as const

/**
 * All parameters: embedding, blocks, final norm, head. `norms` are those of a block, as long as the hidden state; `headNorms` those over
 * the features of one head.
 */
export function decoderParameters(
  c: CommonConfig,
  projections: readonly Projection[],
  norms: readonly string[],
  headNorms: readonly string[] = [],
): ParameterSpec[] {
  const outer = { block: null } as const
  const list: ParameterSpec[] = [{ ...outer, name: EMBEDDING, shape: [c.vocabSize, c.hiddenSize], part: 'embedding', role: 'table' }]
  for (let block = 0; block < c.blocks; block++) {
    const prefix = at(block)
    for (const { name, part, rows, columns, fuse } of projections)
      list.push({
        block,
        name: `${prefix}${name}.weight`,
        shape: [rows, columns],
        part,
        role: 'matrix',
        outputAxis: 0,
        ...(fuse ? { fuse: prefix + fuse } : {}),
      })
    for (const { name, part, rows, biased } of projections)
      if (biased) list.push({ block, name: `${prefix}${name}.bias`, shape: [rows], part, role: 'vector' })
    for (const name of norms) list.push({ block, name: `${prefix}${name}.weight`, shape: [c.hiddenSize], part: 'norm', role: 'vector' })
    for (const name of headNorms) list.push({ block, name: `${prefix}${name}.weight`, shape: [c.headDim], part: 'norm', role: 'vector' })
  }
  list.push({ ...outer, name: FINAL_NORM, shape: [c.hiddenSize], part: 'norm', role: 'vector' })
  if (!c.tiedEmbeddings) list.push({ ...outer, name: HEAD, shape: [c.vocabSize, c.hiddenSize], part: 'head', role: 'table' })
  return list
}

/** The input times each named projection of a block, plus its bias where it has one. */
export const projector =
  (n: Network, block: number) =>
  <const Names extends readonly string[]>(input: Tensor, biased: boolean, ...names: Names) =>
    n.linear(
      input,
      names.map((name) => `${at(block)}${name}.weight`) as { [I in keyof Names]: string },
      biased ? names.map((name) => `${at(block)}${name}.bias`) : undefined,
    )

/** RMSNorm of a block by the name of its weight. */
export const normaliser = (n: Network, c: DecoderConfig, block: number) => (name: string, x: Tensor) =>
  rmsNorm(n.g, x, n.vector(`${at(block)}${name}.weight`), c.normEpsilon)

/** RMSNorm over the features of each head of x [rows, heads · headDim]. */
export function normaliseHeads(n: Network, c: DecoderConfig, x: Tensor, weight: Tensor): Tensor {
  const heads = (x.shape[1] as number) / c.headDim
  return n.g.reshape(rmsNorm(n.g, n.g.reshape(x, [n.rows * heads, c.headDim]), weight, c.normEpsilon), x.shape)
}

/**
 * A whole block in Llama's order: norm, attention, sum; norm, gated feed-forward, sum. `window` is the number of positions a query sees;
 * `headNorms` normalises q and k head by head before they are rotated.
 */
export function decoderBlock(
  n: Network,
  c: DecoderConfig,
  block: number,
  x: Tensor,
  options: {
    readonly biased?: boolean
    readonly outputBiased?: boolean
    readonly mlpBiased?: boolean
    readonly window?: number | undefined
    readonly headNorms?: boolean
  } = {},
): Tensor {
  const { biased = false, outputBiased = biased, mlpBiased = false, window, headNorms = false } = options
  const { g } = n
  const project = projector(n, block)
  const norm = normaliser(n, c, block)
  const { heads, kvHeads, headDim } = c
  const head = (name: string, value: Tensor) =>
    headNorms ? normaliseHeads(n, c, value, n.vector(`${at(block)}self_attn.${name}.weight`)) : value
  const [wideQ, wideK, v] = project(norm('input_layernorm', x), biased, 'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj')
  const [q, k] = [head('q_norm', wideQ), head('k_norm', wideK)]
  const mixed = n.attention(block, { q, k, v, heads, kvHeads, headDim, scale: headDim ** -0.5, rotary: true, window })
  const [attended] = project(n.narrow(block, mixed), outputBiased, 'self_attn.o_proj')
  const between = g.add(n.narrow(block, x), attended)
  const [gate, up] = project(norm('post_attention_layernorm', between), mlpBiased, 'mlp.gate_proj', 'mlp.up_proj')
  const [down] = project(swiglu(g, gate, up), mlpBiased, 'mlp.down_proj')
  return g.add(between, down)
}

/** Norms of q and k, where a model has them. */
export const HEAD_NORMS = ['self_attn.q_norm', 'self_attn.k_norm'] as const

/** Everything of an architecture around its blocks, where that is as in Llama. */
export const decoder = {
  // Frequencies that old checkpoints stored; they follow from the config.
  canonicalName: (stored) => (stored.endsWith('rotary_emb.inv_freq') ? null : stored),
  rope: (c, positions) => ropeTable(ropeFrequencies(c.headDim, c.rope.theta, c.rope.scaling), positions),
  embed: (n, c) => n.g.reshape(n.lookup(EMBEDDING, n.ids), [n.rows, c.hiddenSize]),
  norm: (n, c, x) => rmsNorm(n.g, x, n.vector(FINAL_NORM), c.normEpsilon),
  head: (c) => (c.tiedEmbeddings ? EMBEDDING : HEAD),
} satisfies Partial<Architecture<DecoderConfig>>

/**
 * Names of a GGUF file. Rows of q and k lie rotated in files of the llama family (`permuted`); `more` pairs further names below `blk.N.`
 * with ours below `model.layers.N.` and wins over what is paired here; norms of a `plusOne` file lie there as 1 + w.
 */
export function decoderGguf(
  c: CommonConfig,
  {
    permuted = false,
    plusOne = false,
    more = [],
  }: { permuted?: boolean; plusOne?: boolean; more?: readonly (readonly [string, string])[] } = {},
): Map<string, GgufTensor> {
  const norm = plusOne ? { plusOne } : {}
  const names = new Map<string, GgufTensor>([
    ['token_embd.weight', { parameter: EMBEDDING }],
    ['output_norm.weight', { parameter: FINAL_NORM, ...norm }],
    ['output.weight', { parameter: HEAD }],
  ])
  const inner: readonly (readonly [string, string, number?])[] = [
    ['attn_norm', 'input_layernorm'],
    ['ffn_norm', 'post_attention_layernorm'],
    ['attn_q', 'self_attn.q_proj', c.heads],
    ['attn_k', 'self_attn.k_proj', c.kvHeads],
    ['attn_v', 'self_attn.v_proj'],
    ['attn_output', 'self_attn.o_proj'],
    ['ffn_gate', 'mlp.gate_proj'],
    ['ffn_up', 'mlp.up_proj'],
    ['ffn_down', 'mlp.down_proj'],
    ...more,
  ]
  for (let block = 0; block < c.blocks; block++)
    for (const [from, to, heads] of inner)
      for (const end of ['weight', 'bias'])
        names.set(`blk.${block}.${from}.${end}`, {
          parameter: `${at(block)}${to}.${end}`,
          ...(permuted && heads ? { permutedHeads: heads } : {}),
          ...(from.endsWith('norm') ? norm : {}),
        })
  return names
}
