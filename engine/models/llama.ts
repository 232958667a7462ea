/** Llama and everything that is built like it (SmolLM2, TinyLlama, Llama 3): rotary, RMSNorm, SwiGLU, grouped queries. */
import * as z from 'zod'
import { swiglu } from '../graph/layers/activation'
import { rmsNorm } from '../graph/layers/norm'
import { type RopeScaling, ropeFrequencies, ropeTable } from '../graph/layers/rope'
import type { Architecture, CommonConfig, GgufTensor, ParameterSpec } from './architecture'
import { count, optional, readRope, ropeFields, unsupported } from './config'

export interface LlamaConfig extends CommonConfig {
  readonly normEpsilon: number
  readonly rope: { readonly theta: number; readonly scaling: RopeScaling }
  readonly attentionBias: boolean
  readonly mlpBias: boolean
}

const schema = z
  .looseObject({
    model_type: z.literal('llama'),
    vocab_size: count,
    hidden_size: count,
    intermediate_size: count,
    num_hidden_layers: count,
    num_attention_heads: count,
    num_key_value_heads: optional(count),
    head_dim: optional(count),
    hidden_act: optional(z.string()),
    max_position_embeddings: optional(count),
    rms_norm_eps: optional(z.number().positive()),
    attention_bias: optional(z.boolean()),
    mlp_bias: optional(z.boolean()),
    tie_word_embeddings: optional(z.boolean()),
    pretraining_tp: optional(z.number()),
    quantization_config: z.unknown().optional(),
    ...ropeFields,
  })
  .transform((c): LlamaConfig => {
    if ((c.hidden_act ?? 'silu') !== 'silu') unsupported('hidden_act', c.hidden_act, 'silu')
    if (c.quantization_config !== undefined && c.quantization_config !== null)
      unsupported('quantization_config', c.quantization_config, 'unquantised weights, or a GGUF file')
    const kvHeads = c.num_key_value_heads ?? c.num_attention_heads
    if (c.num_attention_heads % kvHeads)
      unsupported('num_key_value_heads', kvHeads, `a divisor of num_attention_heads (${c.num_attention_heads})`)
    const headDim = c.head_dim ?? c.hidden_size / c.num_attention_heads
    if (!Number.isInteger(headDim) || headDim % 2) unsupported('head_dim', headDim, 'an even whole number')
    return {
      modelType: 'llama',
      blocks: c.num_hidden_layers,
      hiddenSize: c.hidden_size,
      intermediateSize: c.intermediate_size,
      heads: c.num_attention_heads,
      kvHeads,
      headDim,
      vocabSize: c.vocab_size,
      contextLength: c.max_position_embeddings ?? 2048,
      tiedEmbeddings: c.tie_word_embeddings ?? false,
      normEpsilon: c.rms_norm_eps ?? 1e-6,
      rope: readRope(c),
      attentionBias: c.attention_bias ?? false,
      mlpBias: c.mlp_bias ?? false,
    }
  })

const EMBEDDING = 'model.embed_tokens.weight'
const HEAD = 'lm_head.weight'
const at = (block: number) => `model.layers.${block}.`

/** The matrices of one block: name below the block, part, rows, columns, bias, what it is fused with. */
const matrices = (c: LlamaConfig) =>
  [
    ['self_attn.q_proj', 'attention', c.heads * c.headDim, c.hiddenSize, c.attentionBias, 'qkv'],
    ['self_attn.k_proj', 'attention', c.kvHeads * c.headDim, c.hiddenSize, c.attentionBias, 'qkv'],
    ['self_attn.v_proj', 'attention', c.kvHeads * c.headDim, c.hiddenSize, c.attentionBias, 'qkv'],
    ['self_attn.o_proj', 'attention', c.hiddenSize, c.heads * c.headDim, c.attentionBias, null],
    ['mlp.gate_proj', 'mlp', c.intermediateSize, c.hiddenSize, c.mlpBias, null],
    ['mlp.up_proj', 'mlp', c.intermediateSize, c.hiddenSize, c.mlpBias, null],
    ['mlp.down_proj', 'mlp', c.hiddenSize, c.intermediateSize, c.mlpBias, null],
  ] as const

export const llama: Architecture<LlamaConfig> = {
  modelType: 'llama',
  config: schema,

  parameters: (c) => {
    const list: ParameterSpec[] = [{ name: EMBEDDING, shape: [c.vocabSize, c.hiddenSize], block: null, part: 'embedding', role: 'table' }]
    for (let block = 0; block < c.blocks; block++) {
      const own = { block } as const
      for (const [name, part, rows, columns, , fuse] of matrices(c)) {
        list.push({
          ...own,
          name: `${at(block)}${name}.weight`,
          shape: [rows, columns],
          part,
          role: 'matrix',
          outputAxis: 0,
          ...(fuse ? { fuse: at(block) + fuse } : {}),
        })
      }
      for (const [name, part, rows, , biased] of matrices(c))
        if (biased) list.push({ ...own, name: `${at(block)}${name}.bias`, shape: [rows], part, role: 'vector' })
      for (const name of ['input_layernorm', 'post_attention_layernorm'])
        list.push({ ...own, name: `${at(block)}${name}.weight`, shape: [c.hiddenSize], part: 'norm', role: 'vector' })
    }
    list.push({ name: 'model.norm.weight', shape: [c.hiddenSize], block: null, part: 'norm', role: 'vector' })
    if (!c.tiedEmbeddings) list.push({ name: HEAD, shape: [c.vocabSize, c.hiddenSize], block: null, part: 'head', role: 'table' })
    return list
  },

  // Frequencies that old checkpoints stored; they follow from the config.
  canonicalName: (stored) => (stored.endsWith('rotary_emb.inv_freq') ? null : stored),

  rope: (c, positions) => ropeTable(ropeFrequencies(c.headDim, c.rope.theta, c.rope.scaling), positions),

  embed: (n, c) => n.g.reshape(n.lookup(EMBEDDING, n.ids), [n.rows, c.hiddenSize]),

  block: (n, c, block, x) => {
    const { g } = n
    const p = at(block)
    const project = <const Names extends readonly string[]>(input: typeof x, biased: boolean, ...names: Names) =>
      n.linear(
        input,
        names.map((name) => `${p}${name}.weight`) as { [I in keyof Names]: string },
        biased ? names.map((name) => `${p}${name}.bias`) : undefined,
      )
    const normal = rmsNorm(g, x, n.vector(`${p}input_layernorm.weight`), c.normEpsilon)
    const [q, k, v] = project(normal, c.attentionBias, 'self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj')
    const { heads, kvHeads, headDim } = c
    const mixed = n.attention(block, { q, k, v, heads, kvHeads, headDim, scale: headDim ** -0.5, rotary: true })
    const [attended] = project(n.narrow(block, mixed), c.attentionBias, 'self_attn.o_proj')
    const between = g.add(n.narrow(block, x), attended)
    const second = rmsNorm(g, between, n.vector(`${p}post_attention_layernorm.weight`), c.normEpsilon)
    const [gate, up] = project(second, c.mlpBias, 'mlp.gate_proj', 'mlp.up_proj')
    const [down] = project(swiglu(g, gate, up), c.mlpBias, 'mlp.down_proj')
    return g.add(between, down)
  },

  norm: (n, c, x) => rmsNorm(n.g, x, n.vector('model.norm.weight'), c.normEpsilon),
  head: (c) => (c.tiedEmbeddings ? EMBEDDING : HEAD),

  gguf: {
    name: 'llama',
    tensors: (c) => {
      const names = new Map<string, GgufTensor>([
        ['token_embd.weight', { parameter: EMBEDDING }],
        ['output_norm.weight', { parameter: 'model.norm.weight' }],
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
      ]
      for (let block = 0; block < c.blocks; block++)
        for (const [from, to, permutedHeads] of inner)
          for (const end of ['weight', 'bias'])
            names.set(`blk.${block}.${from}.${end}`, { parameter: `${at(block)}${to}.${end}`, ...(permutedHeads ? { permutedHeads } : {}) })
      return names
    },
  },
}
