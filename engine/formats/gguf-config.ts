/**
 * config.json ⇄ the hyperparameters of a GGUF file (F-25), by `general.architecture`. What a file cannot say, or its readers would take
 * for something else, is refused by name in both directions.
 */
import { EngineError } from '../errors'
import { ropeFrequencies } from '../graph/layers/rope'
import type { CommonConfig, Model } from '../models/architecture'
import type { DecoderConfig } from '../models/decoder'
import type { GemmaConfig } from '../models/gemma2'
import type { Gpt2Config } from '../models/gpt2'
import type { GgufEntry, GgufFile, GgufValue } from './gguf'
import { ggufCount, ggufFloat, ggufText } from './gguf-write'

/** Holds the RoPE scaling factors, which config.json expresses as settings. */
export const ROPE_FACTORS = 'rope_freqs.weight'

/** Shortest decimal that is the same float32: 9.999999747378752e-06 was written as 1e-05. */
function shortFloat(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === Math.fround(value)) return short
  }
  return value
}

export class Metadata {
  readonly file: GgufFile
  constructor(file: GgufFile) {
    this.file = file
  }
  get(key: string): GgufValue | undefined {
    return this.file.metadata.get(key)?.value
  }
  #fail(key: string, expected: string): never {
    throw new EngineError('bad_file', `the metadata key "${key}" is ${this.get(key) === undefined ? 'missing' : 'of the wrong kind'}`, {
      where: this.file.path,
      expected,
    })
  }
  number(key: string): number {
    const value = this.get(key)
    return typeof value === 'number' && Number.isFinite(value) ? value : this.#fail(key, 'a number')
  }
  count(key: string): number {
    const value = this.number(key)
    return Number.isSafeInteger(value) && value > 0 && value < 2 ** 31 ? value : this.#fail(key, 'a count above zero')
  }
  optionalCount(key: string): number | undefined {
    return this.get(key) === undefined ? undefined : this.count(key)
  }
  text(key: string): string | null {
    const value = this.get(key)
    return typeof value === 'string' ? value : null
  }
}

/** Settings of the `llama3` RoPE scaling whose factors equal the ones stored in the file. */
function ropeScaling(
  file: GgufFile,
  meta: Metadata,
  prefix: string,
  headDim: number,
  theta: number,
  contextLength: number,
): Record<string, unknown> | null {
  const kind = meta.text(`${prefix}.rope.scaling.type`)
  if (kind && kind !== 'none' && kind !== 'llama3') {
    if (kind === 'linear') return { rope_type: 'linear', factor: meta.number(`${prefix}.rope.scaling.factor`) }
    throw new EngineError('unsupported', 'this kind of RoPE scaling is not built yet', {
      where: `${file.path}, ${prefix}.rope.scaling.type`,
      expected: 'none, linear or llama3',
      got: kind,
    })
  }
  if (!file.tensors.has(ROPE_FACTORS)) return null
  const stored = file.readFloat32(ROPE_FACTORS)
  for (const factor of [8, 32, 4, 16]) {
    for (const original of [8192, contextLength / factor]) {
      const factors = Float32Array.from({ length: headDim / 2 }, (_, i) => {
        const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim)
        if (wavelength < original / 4) return 1
        if (wavelength > original) return factor
        const smooth = (original / wavelength - 1) / 3
        return 1 / ((1 - smooth) / factor + smooth)
      })
      if (factors.length === stored.length && factors.every((f, i) => Math.abs(f - (stored[i] as number)) <= 1e-5 * f)) {
        return { rope_type: 'llama3', factor, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: original }
      }
    }
  }
  throw new EngineError('unsupported', 'the RoPE factors of this file belong to no known scaling', {
    where: `${file.path}, ${ROPE_FACTORS}`,
    fix: 'use the original Hugging Face folder',
  })
}

function rowsOfEmbedding(file: GgufFile): number {
  const embedding = file.tensors.get('token_embd.weight')
  if (!embedding) throw new EngineError('bad_file', 'the file has no token embedding', { where: file.path, expected: 'token_embd.weight' })
  return embedding.shape[0] as number
}

/** What every decoder's file says, as config.json spells it. */
function decoderConfig(file: GgufFile, meta: Metadata, prefix: string): Record<string, unknown> {
  const key = (name: string) => `${prefix}.${name}`
  if ((meta.optionalCount(key('expert_count')) ?? 1) > 1)
    throw new EngineError('unsupported', 'mixture-of-experts models are not built yet', { where: file.path })
  const hidden = meta.count(key('embedding_length'))
  const heads = meta.count(key('attention.head_count'))
  const headDim = meta.optionalCount(key('attention.key_length')) ?? meta.optionalCount(key('rope.dimension_count')) ?? hidden / heads
  const contextLength = meta.count(key('context_length'))
  const theta = meta.get(key('rope.freq_base')) === undefined ? 10_000 : shortFloat(meta.number(key('rope.freq_base')))
  if (!Number.isInteger(headDim) || headDim % 2)
    throw new EngineError('bad_file', 'the head size is not an even number', { where: file.path, got: String(headDim) })
  return {
    attention_dropout: 0,
    bos_token_id: meta.get('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: meta.get('tokenizer.ggml.eos_token_id') ?? null,
    head_dim: headDim,
    hidden_size: hidden,
    initializer_range: 0.02,
    intermediate_size: meta.count(key('feed_forward_length')),
    max_position_embeddings: contextLength,
    num_attention_heads: heads,
    num_hidden_layers: meta.count(key('block_count')),
    num_key_value_heads: meta.optionalCount(key('attention.head_count_kv')) ?? heads,
    pad_token_id: meta.get('tokenizer.ggml.padding_token_id') ?? null,
    rms_norm_eps: shortFloat(meta.number(key('attention.layer_norm_rms_epsilon'))),
    rope_scaling: ropeScaling(file, meta, prefix, headDim, theta, contextLength),
    rope_theta: theta,
    tie_word_embeddings: !file.tensors.has('output.weight'),
    torch_dtype: 'float32',
    use_cache: true,
    vocab_size: rowsOfEmbedding(file),
  }
}

function llamaConfig(file: GgufFile, meta: Metadata): Record<string, unknown> {
  return {
    ...decoderConfig(file, meta, 'llama'),
    architectures: ['LlamaForCausalLM'],
    attention_bias: file.tensors.has('blk.0.attn_q.bias'),
    hidden_act: 'silu',
    mlp_bias: file.tensors.has('blk.0.ffn_gate.bias'),
    model_type: 'llama',
    pretraining_tp: 1,
  }
}

const qwenConfig =
  (modelType: 'qwen2' | 'qwen3', architecture: string) =>
  (file: GgufFile, meta: Metadata): Record<string, unknown> => ({
    ...decoderConfig(file, meta, modelType),
    architectures: [architecture],
    hidden_act: 'silu',
    model_type: modelType,
    sliding_window: null,
    use_sliding_window: false,
  })

function phi3Config(file: GgufFile, meta: Metadata): Record<string, unknown> {
  const config = decoderConfig(file, meta, 'phi3')
  const rotary = meta.optionalCount('phi3.rope.dimension_count')
  const long = [...file.tensors.keys()].find((name) => name.startsWith('rope_factors_'))
  if (long || (rotary !== undefined && rotary !== Number(config.hidden_size) / Number(config.num_attention_heads)))
    throw new EngineError('unsupported', 'Phi-3 with long-context factors, or rotated in part, is not built', {
      where: file.path,
      got: long ?? `phi3.rope.dimension_count ${rotary}`,
    })
  return { ...config, architectures: ['Phi3ForCausalLM'], hidden_act: 'silu', model_type: 'phi3', sliding_window: null }
}

/** Gemma files do not say by what scores are divided: readers take the width of a head. */
const gemmaConfig =
  (prefix: 'gemma2' | 'gemma3', modelType: string, architecture: string) =>
  (file: GgufFile, meta: Metadata): Record<string, unknown> => {
    const config = decoderConfig(file, meta, prefix)
    const blocks = Number(config.num_hidden_layers)
    if (GEMMA_OTHER_SCALE[prefix] === blocks)
      throw new EngineError('unsupported', 'this size of Gemma divides its scores by something else, which is not built', {
        where: file.path,
      })
    const cap = (name: string) =>
      meta.get(`${prefix}.${name}`) === undefined ? null : shortFloat(meta.number(`${prefix}.${name}`)) || null
    const slides = (block: number) => (prefix === 'gemma2' ? block % 2 === 0 : (block + 1) % 6 !== 0)
    return {
      ...config,
      architectures: [architecture],
      attention_bias: false,
      attn_logit_softcapping: cap('attn_logit_softcapping'),
      final_logit_softcapping: cap('final_logit_softcapping'),
      hidden_activation: 'gelu_pytorch_tanh',
      layer_types: Array.from({ length: blocks }, (_, block) => (slides(block) ? 'sliding_attention' : 'full_attention')),
      model_type: modelType,
      query_pre_attn_scalar: config.head_dim,
      ...(prefix === 'gemma3' && { rope_local_base_freq: 10_000 }),
      sliding_window: meta.count(`${prefix}.attention.sliding_window`),
    }
  }
/** Blocks of the one size of each family whose scores are divided by another number (llama.cpp tells it by the count of blocks). */
const GEMMA_OTHER_SCALE = { gemma2: 46, gemma3: 62 } as const

function gpt2Config(file: GgufFile, meta: Metadata): Record<string, unknown> {
  const contextLength = meta.count('gpt2.context_length')
  return {
    activation_function: 'gelu_new',
    architectures: ['GPT2LMHeadModel'],
    attn_pdrop: 0,
    bos_token_id: meta.get('tokenizer.ggml.bos_token_id') ?? null,
    embd_pdrop: 0,
    eos_token_id: meta.get('tokenizer.ggml.eos_token_id') ?? null,
    initializer_range: 0.02,
    layer_norm_epsilon: shortFloat(meta.number('gpt2.attention.layer_norm_epsilon')),
    model_type: 'gpt2',
    n_embd: meta.count('gpt2.embedding_length'),
    n_head: meta.count('gpt2.attention.head_count'),
    n_inner: meta.optionalCount('gpt2.feed_forward_length') ?? null,
    n_layer: meta.count('gpt2.block_count'),
    n_positions: contextLength,
    pad_token_id: meta.get('tokenizer.ggml.padding_token_id') ?? null,
    resid_pdrop: 0,
    tie_word_embeddings: !file.tensors.has('output.weight'),
    torch_dtype: 'float32',
    vocab_size: rowsOfEmbedding(file),
  }
}

/** What config.json of a Hugging Face folder would say, by `general.architecture`. */
export const CONFIGS: Readonly<Record<string, (file: GgufFile, meta: Metadata) => Record<string, unknown>>> = {
  llama: llamaConfig,
  gpt2: gpt2Config,
  qwen2: qwenConfig('qwen2', 'Qwen2ForCausalLM'),
  qwen3: qwenConfig('qwen3', 'Qwen3ForCausalLM'),
  gemma2: gemmaConfig('gemma2', 'gemma2', 'Gemma2ForCausalLM'),
  gemma3: gemmaConfig('gemma3', 'gemma3_text', 'Gemma3ForCausalLM'),
  phi3: phi3Config,
}

const cannot = (field: string, got: unknown, expected: string): never => {
  throw new EngineError('unsupported', `a GGUF file cannot say what the model asks for: ${field}`, {
    where: `config.json, ${field}`,
    got: JSON.stringify(got) ?? 'nothing',
    expected,
    fix: 'export the Hugging Face folder instead',
  })
}

export type Hyperparameters = {
  /** `general.architecture`. */
  readonly architecture: string
  readonly entries: ReadonlyMap<string, GgufEntry>
  /** Values of `rope_freqs.weight`, where positions are scaled as in Llama 3. */
  readonly ropeFactors: Float32Array | null
  /** Said where the file promises less than config.json: readers know no window over every block. */
  readonly note: string | null
}

/** The keys that describe a model. Throws `unsupported` for a setting that readers of such a file would get wrong. */
export function hyperparametersOf(model: Model): Hyperparameters {
  const { architecture, modelType } = model
  const name = architecture.gguf?.name
  if (!name) return cannot('model_type', modelType, Object.keys(CONFIGS).join(', '))
  const config: CommonConfig = model.config
  const entries = new Map<string, GgufEntry>()
  const put = (key: string, entry: GgufEntry) => entries.set(`${name}.${key}`, entry)
  put('vocab_size', ggufCount(config.vocabSize))
  put('context_length', ggufCount(config.contextLength))
  put('embedding_length', ggufCount(config.hiddenSize))
  put('block_count', ggufCount(config.blocks))
  put('feed_forward_length', ggufCount(config.intermediateSize))
  put('attention.head_count', ggufCount(config.heads))
  put('attention.head_count_kv', ggufCount(config.kvHeads))
  if (modelType === 'gpt2') {
    const { normEpsilon, activation, scaledScores, scaledByBlock } = config as Gpt2Config
    if (!['gelu_new', 'gelu_pytorch_tanh', 'gelu_fast'].includes(activation)) cannot('activation_function', activation, 'gelu_new')
    if (!scaledScores) cannot('scale_attn_weights', scaledScores, 'true')
    if (scaledByBlock) cannot('scale_attn_by_inverse_layer_idx', scaledByBlock, 'false')
    put('attention.layer_norm_epsilon', ggufFloat(normEpsilon))
    return { architecture: name, entries, ropeFactors: null, note: null }
  }
  const decoder = config as DecoderConfig
  put('attention.layer_norm_rms_epsilon', ggufFloat(decoder.normEpsilon))
  put('rope.freq_base', ggufFloat(decoder.rope.theta))
  put('rope.dimension_count', ggufCount(config.headDim))
  put('attention.key_length', ggufCount(config.headDim))
  put('attention.value_length', ggufCount(config.headDim))
  const { scaling } = decoder.rope
  if (scaling.type === 'linear') {
    put('rope.scaling.type', ggufText('linear'))
    put('rope.scaling.factor', ggufFloat(scaling.factor))
  }
  const plain = ropeFrequencies(config.headDim, decoder.rope.theta, { type: 'default' })
  const ropeFactors =
    scaling.type === 'llama3'
      ? Float32Array.from(ropeFrequencies(config.headDim, decoder.rope.theta, scaling), (slowed, i) => (plain[i] as number) / slowed)
      : null
  if (ropeFactors && name !== 'llama') cannot('rope_scaling', scaling.type, 'none or linear')
  let note: string | null = null
  if (modelType === 'gemma2' || modelType === 'gemma3_text') gemmaEntries(name as 'gemma2' | 'gemma3', config as GemmaConfig, put)
  else note = limitToWindow(config, put)
  if (modelType === 'qwen3' && (config as { attentionBias?: boolean }).attentionBias) cannot('attention_bias', true, 'false')
  return { architecture: name, entries, ropeFactors, note }
}

/** Readers of these files attend to everything; up to the smallest window that is the same, so the file promises no longer context. */
function limitToWindow(config: CommonConfig, put: (key: string, entry: GgufEntry) => void): string | null {
  const { window, windows } = config as { window?: number; windows?: readonly (number | undefined)[] }
  const smallest = Math.min(window ?? Number.POSITIVE_INFINITY, ...(windows ?? []).map((w) => w ?? Number.POSITIVE_INFINITY))
  if (smallest >= config.contextLength) return null
  put('context_length', ggufCount(smallest))
  return `The model sees a window of ${smallest} tokens, which GGUF readers do not know: the file says a context of ${smallest}.`
}

function gemmaEntries(name: 'gemma2' | 'gemma3', config: GemmaConfig, put: (key: string, entry: GgufEntry) => void): void {
  const slides = (block: number) => (name === 'gemma2' ? block % 2 === 0 : (block + 1) % 6 !== 0)
  const window = config.windows.find((w) => w !== undefined)
  if (config.windows.some((w, block) => w !== (slides(block) ? window : undefined)))
    cannot('layer_types', config.windows, name === 'gemma2' ? 'every other layer with a window' : 'five of six layers with a window')
  if (config.queryScale !== config.headDim || GEMMA_OTHER_SCALE[name] === config.blocks)
    cannot('query_pre_attn_scalar', config.queryScale, `the size of a head (${config.headDim})`)
  if (config.attentionBias) cannot('attention_bias', true, 'false')
  if (name === 'gemma3') {
    const { localRope } = config as GemmaConfig & { localRope: DecoderConfig['rope'] }
    if (localRope.theta !== 10_000 || localRope.scaling.type !== 'default') cannot('rope_local_base_freq', localRope.theta, '10000')
  }
  put('attention.sliding_window', ggufCount(window ?? config.contextLength))
  if (config.attentionSoftcap) put('attn_logit_softcapping', ggufFloat(config.attentionSoftcap))
  else if (name === 'gemma2') cannot('attn_logit_softcapping', null, 'a number')
  if (config.finalSoftcap) put('final_logit_softcapping', ggufFloat(config.finalSoftcap))
  else if (name === 'gemma2') cannot('final_logit_softcapping', null, 'a number')
}
