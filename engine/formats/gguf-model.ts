/**
 * A GGUF file as a Hugging Face model: config.json, tokenizer files, chat template and generation settings made from its metadata, and
 * its tensors under Hugging Face names in Hugging Face layout. What cannot be told for certain is refused, never guessed (F-26).
 */
import { EngineError } from '../errors'
import { describeModel } from '../models/index'
import { GgufFile, type GgufValue } from './gguf'
import { makeTokenizerTexts } from './gguf-tokenizer'
import type { ModelText } from './model-texts'
import type { ModelSource, StoredTensor } from './source'

/** Holds the RoPE scaling factors, which config.json expresses as settings. */
const ROPE_FACTORS = 'rope_freqs.weight'

/**
 * Undoes the row permutation of q and k: within each head, file row 2i+s is Hugging Face row s·d/2+i (formats.md section 4).
 * `rows` is heads × headDim; works for weights [rows, columns] and biases [rows].
 */
export function unpermuteRows(values: Float32Array, heads: number, rows: number): Float32Array {
  const columns = values.length / rows
  const headDim = rows / heads
  const halfDim = headDim / 2
  const out = new Float32Array(values.length)
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < halfDim; i++) {
      for (let s = 0; s < 2; s++) {
        const from = (h * headDim + 2 * i + s) * columns
        out.set(values.subarray(from, from + columns), (h * headDim + s * halfDim + i) * columns)
      }
    }
  }
  return out
}

/** Shortest decimal that is the same float32: 9.999999747378752e-06 was written as 1e-05. */
function shortFloat(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === Math.fround(value)) return short
  }
  return value
}

class Metadata {
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
  headDim: number,
  theta: number,
  contextLength: number,
): Record<string, unknown> | null {
  const kind = meta.text('llama.rope.scaling.type')
  if (kind && kind !== 'none' && kind !== 'llama3') {
    if (kind === 'linear') return { rope_type: 'linear', factor: meta.number('llama.rope.scaling.factor') }
    throw new EngineError('unsupported', 'this kind of RoPE scaling is not built yet', {
      where: `${file.path}, llama.rope.scaling.type`,
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

function llamaConfig(file: GgufFile, meta: Metadata): Record<string, unknown> {
  if ((meta.optionalCount('llama.expert_count') ?? 1) > 1)
    throw new EngineError('unsupported', 'mixture-of-experts models are not built yet', { where: file.path })
  const hidden = meta.count('llama.embedding_length')
  const heads = meta.count('llama.attention.head_count')
  const headDim = meta.optionalCount('llama.attention.key_length') ?? meta.optionalCount('llama.rope.dimension_count') ?? hidden / heads
  const contextLength = meta.count('llama.context_length')
  const theta = meta.get('llama.rope.freq_base') === undefined ? 10_000 : shortFloat(meta.number('llama.rope.freq_base'))
  if (!Number.isInteger(headDim) || headDim % 2)
    throw new EngineError('bad_file', 'the head size is not an even number', { where: file.path, got: String(headDim) })
  return {
    architectures: ['LlamaForCausalLM'],
    attention_bias: file.tensors.has('blk.0.attn_q.bias'),
    attention_dropout: 0,
    bos_token_id: meta.get('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: meta.get('tokenizer.ggml.eos_token_id') ?? null,
    head_dim: headDim,
    hidden_act: 'silu',
    hidden_size: hidden,
    initializer_range: 0.02,
    intermediate_size: meta.count('llama.feed_forward_length'),
    max_position_embeddings: contextLength,
    mlp_bias: file.tensors.has('blk.0.ffn_gate.bias'),
    model_type: 'llama',
    num_attention_heads: heads,
    num_hidden_layers: meta.count('llama.block_count'),
    num_key_value_heads: meta.optionalCount('llama.attention.head_count_kv') ?? heads,
    pad_token_id: meta.get('tokenizer.ggml.padding_token_id') ?? null,
    pretraining_tp: 1,
    rms_norm_eps: shortFloat(meta.number('llama.attention.layer_norm_rms_epsilon')),
    rope_scaling: ropeScaling(file, meta, headDim, theta, contextLength),
    rope_theta: theta,
    tie_word_embeddings: !file.tensors.has('output.weight'),
    torch_dtype: 'float32',
    use_cache: true,
    vocab_size: rowsOfEmbedding(file),
  }
}

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
const CONFIGS: Readonly<Record<string, (file: GgufFile, meta: Metadata) => Record<string, unknown>>> = {
  llama: llamaConfig,
  gpt2: gpt2Config,
}

/** [rows, columns] → [columns, rows]: Conv1D weights, which GGUF holds as Linear ones. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c] as number
  return out
}

/** Opens a GGUF file as a model. Weights are dequantised to float32 one tensor at a time, when asked for. */
export function openGgufModel(path: string): ModelSource {
  const file = GgufFile.open(path)
  try {
    const meta = new Metadata(file)
    const kind = meta.text('general.type')
    if (kind && kind !== 'model') throw new EngineError('unsupported', `the file holds a GGUF ${kind}, not a model`, { where: path })
    const name = meta.text('general.architecture') ?? 'nothing'
    const makeConfig = Object.hasOwn(CONFIGS, name) ? CONFIGS[name] : undefined
    if (!makeConfig) {
      throw new EngineError('unsupported', 'this GGUF architecture is not built yet', {
        where: `${path}, general.architecture`,
        expected: Object.keys(CONFIGS).join(' or '),
        got: name,
        fix: 'use the Hugging Face folder of the model',
      })
    }
    const config = makeConfig(file, meta)
    const model = describeModel(config)
    const places = model.architecture.gguf?.tensors(model.config)
    const specs = new Map(model.parameters.map((spec) => [spec.name, spec]))
    const tensors = new Map<string, StoredTensor>()
    const read = new Map<string, () => Float32Array>()
    for (const { name: stored, shape, type } of file.tensors.values()) {
      if (stored === ROPE_FACTORS) continue
      const place = places?.get(stored)
      if (!place) throw new EngineError('unsupported', `the tensor "${stored}" belongs to no part of a ${name} model`, { where: path })
      // A tied model may still store its head; the reference ties over it.
      const spec = specs.get(place.parameter)
      const turned = spec?.outputAxis === 1
      const [rows = 1, columns = 1] = shape
      tensors.set(place.parameter, { shape: turned ? [columns, rows] : shape, dtype: type })
      read.set(place.parameter, () => {
        const values = file.readFloat32(stored)
        if (turned) return transpose(values, rows, columns)
        return place.permutedHeads ? unpermuteRows(values, place.permutedHeads, rows) : values
      })
    }
    let texts: Record<ModelText, string | null> | undefined
    return {
      container: 'gguf',
      path,
      config,
      tensors,
      sizeBytes: file.sizeBytes,
      license: meta.text('general.license'),
      name: meta.text('general.name'),
      readFloat32: (parameter) => {
        const values = read.get(parameter)
        if (!values) throw new EngineError('missing', `the model has no tensor "${parameter}"`, { where: path })
        return values()
      },
      text: (wanted) => {
        texts ??= makeTokenizerTexts(file)
        return texts[wanted]
      },
      companions: [],
      close: () => file.close(),
    }
  } catch (error) {
    file.close()
    throw error
  }
}
