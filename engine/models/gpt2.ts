/** GPT-2: learned positions, LayerNorm with bias, GELU or another activation, Conv1D weights stored [in, out]. */
import * as z from 'zod'
import type { Builder } from '../graph/builder'
import { geluErf, geluTanh, relu, sigmoidGate } from '../graph/layers/activation'
import { layerNorm } from '../graph/layers/norm'
import type { Tensor } from '../graph/types'
import type { Architecture, CommonConfig, GgufTensor, ParameterSpec } from './architecture'
import { count, optional, unsupported } from './config'

export interface Gpt2Config extends CommonConfig {
  readonly normEpsilon: number
  /** A key of ACTIVATIONS. */
  readonly activation: string
  /** Attention scores are divided by the root of the head's width. */
  readonly scaledScores: boolean
  /** And by the number of their block, counted from 1. */
  readonly scaledByBlock: boolean
}

/** By transformers' names (ACT2FN); `gelu_fast` is the tanh form with its factors in another order. */
const ACTIVATIONS: ReadonlyMap<string, (g: Builder, x: Tensor) => Tensor> = new Map([
  ['gelu_new', geluTanh],
  ['gelu_pytorch_tanh', geluTanh],
  ['gelu_fast', geluTanh],
  ['gelu', geluErf],
  ['quick_gelu', (g, x) => sigmoidGate(g, x, 1.702)],
  ['silu', (g, x) => sigmoidGate(g, x)],
  ['swish', (g, x) => sigmoidGate(g, x)],
  ['relu', relu],
  ['tanh', (g, x) => g.tanh(x)],
])

const schema = z
  .looseObject({
    model_type: z.literal('gpt2'),
    vocab_size: count,
    n_embd: count,
    n_layer: count,
    n_head: count,
    n_positions: count,
    n_inner: optional(count),
    activation_function: optional(z.string()),
    layer_norm_epsilon: optional(z.number().positive()),
    tie_word_embeddings: optional(z.boolean()),
    scale_attn_weights: optional(z.boolean()),
    scale_attn_by_inverse_layer_idx: optional(z.boolean()),
    add_cross_attention: optional(z.boolean()),
  })
  .transform((c): Gpt2Config => {
    const activation = c.activation_function ?? 'gelu_new'
    if (!ACTIVATIONS.has(activation)) unsupported('activation_function', activation, [...ACTIVATIONS.keys()].join(', '))
    if (c.add_cross_attention) unsupported('add_cross_attention', true, 'false')
    // reorder_and_upcast_attn asks for float32 scores, scaled before the product: attention is computed in float32 here anyway.
    if (c.n_embd % c.n_head) unsupported('n_head', c.n_head, `a divisor of n_embd (${c.n_embd})`)
    return {
      modelType: 'gpt2',
      blocks: c.n_layer,
      hiddenSize: c.n_embd,
      intermediateSize: c.n_inner ?? 4 * c.n_embd,
      heads: c.n_head,
      kvHeads: c.n_head,
      headDim: c.n_embd / c.n_head,
      vocabSize: c.vocab_size,
      contextLength: c.n_positions,
      tiedEmbeddings: c.tie_word_embeddings ?? true,
      normEpsilon: c.layer_norm_epsilon ?? 1e-5,
      activation,
      scaledScores: c.scale_attn_weights ?? true,
      scaledByBlock: c.scale_attn_by_inverse_layer_idx ?? false,
    }
  })

const TOKENS = 'transformer.wte.weight'
const POSITIONS = 'transformer.wpe.weight'
const HEAD = 'lm_head.weight'
const at = (block: number) => `transformer.h.${block}.`

/** Layers of one block in checkpoint order: name, part, shape of the weight; each has a bias as long as the last axis. */
const layers = (c: Gpt2Config) =>
  [
    ['ln_1', 'norm', [c.hiddenSize]],
    ['attn.c_attn', 'attention', [c.hiddenSize, 3 * c.hiddenSize]],
    ['attn.c_proj', 'attention', [c.hiddenSize, c.hiddenSize]],
    ['ln_2', 'norm', [c.hiddenSize]],
    ['mlp.c_fc', 'mlp', [c.hiddenSize, c.intermediateSize]],
    ['mlp.c_proj', 'mlp', [c.intermediateSize, c.hiddenSize]],
  ] as const

export const gpt2: Architecture<Gpt2Config> = {
  modelType: 'gpt2',
  config: schema,

  parameters: (c) => {
    const list: ParameterSpec[] = [
      { name: TOKENS, shape: [c.vocabSize, c.hiddenSize], block: null, part: 'embedding', role: 'table' },
      { name: POSITIONS, shape: [c.contextLength, c.hiddenSize], block: null, part: 'embedding', role: 'table' },
    ]
    const layer = (block: number | null, prefix: string, part: ParameterSpec['part'], shape: readonly number[]) => {
      const weight = shape.length === 2 ? ({ role: 'matrix', outputAxis: 1 } as const) : ({ role: 'vector' } as const)
      list.push({ name: `${prefix}.weight`, shape, block, part, ...weight })
      list.push({ name: `${prefix}.bias`, shape: shape.slice(-1), block, part, role: 'vector' })
    }
    for (let block = 0; block < c.blocks; block++) for (const [name, part, shape] of layers(c)) layer(block, at(block) + name, part, shape)
    layer(null, 'transformer.ln_f', 'norm', [c.hiddenSize])
    if (!c.tiedEmbeddings) list.push({ name: HEAD, shape: [c.vocabSize, c.hiddenSize], block: null, part: 'head', role: 'table' })
    return list
  },

  // The hub's gpt2 has no prefix and stores its causal masks.
  canonicalName: (stored) => {
    if (/(^|\.)attn\.(masked_)?bias$/.test(stored)) return null
    return stored.startsWith('transformer.') || stored === HEAD ? stored : `transformer.${stored}`
  },

  rope: () => null,

  embed: (n, c) => {
    return n.g.reshape(n.g.add(n.lookup(TOKENS, n.ids), n.lookup(POSITIONS, n.positions)), [n.rows, c.hiddenSize])
  },

  block: (n, c, block, x) => {
    const { g } = n
    const p = at(block)
    const norm = (name: string, input: typeof x) =>
      layerNorm(g, input, n.vector(`${p}${name}.weight`), n.vector(`${p}${name}.bias`), c.normEpsilon)
    const conv = (name: string, input: typeof x) => n.linear(input, [`${p}${name}.weight`], [`${p}${name}.bias`])[0]
    const [q, k, v] = g.split(conv('attn.c_attn', norm('ln_1', x)), 1, [c.hiddenSize, c.hiddenSize, c.hiddenSize] as const)
    const { heads, kvHeads, headDim } = c
    const scale = (c.scaledScores ? headDim ** -0.5 : 1) / (c.scaledByBlock ? block + 1 : 1)
    const mixed = n.attention(block, { q, k, v, heads, kvHeads, headDim, scale, rotary: false })
    const between = g.add(n.narrow(block, x), conv('attn.c_proj', n.narrow(block, mixed)))
    const inner = conv('mlp.c_fc', norm('ln_2', between))
    const active = (ACTIVATIONS.get(c.activation) as typeof geluTanh)(g, inner)
    return g.add(between, conv('mlp.c_proj', active))
  },

  norm: (n, c, x) => layerNorm(n.g, x, n.vector('transformer.ln_f.weight'), n.vector('transformer.ln_f.bias'), c.normEpsilon),
  head: (c) => (c.tiedEmbeddings ? TOKENS : HEAD),

  gguf: {
    name: 'gpt2',
    tensors: (c) => {
      const names = new Map<string, GgufTensor>([
        ['token_embd.weight', { parameter: TOKENS }],
        ['position_embd.weight', { parameter: POSITIONS }],
        ['output.weight', { parameter: HEAD }],
      ])
      const layer = (from: string, to: string) => {
        for (const end of ['weight', 'bias']) names.set(`${from}.${end}`, { parameter: `${to}.${end}` })
      }
      layer('output_norm', 'transformer.ln_f')
      const inner = {
        attn_norm: 'ln_1',
        attn_qkv: 'attn.c_attn',
        attn_output: 'attn.c_proj',
        ffn_norm: 'ln_2',
        ffn_up: 'mlp.c_fc',
        ffn_down: 'mlp.c_proj',
      }
      for (let block = 0; block < c.blocks; block++)
        for (const [from, to] of Object.entries(inner)) layer(`blk.${block}.${from}`, at(block) + to)
      return names
    },
  },
}
