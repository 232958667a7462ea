/**
 * A GGUF file as a Hugging Face model: config.json, tokenizer files, chat template and generation settings made from its metadata, and
 * its tensors under Hugging Face names in Hugging Face layout. What cannot be told for certain is refused, never guessed (F-26).
 */
import { EngineError } from '../errors'
import { describeModel } from '../models/index'
import { GgufFile } from './gguf'
import { CONFIGS, Metadata, ROPE_FACTORS } from './gguf-config'
import { makeTokenizerTexts } from './gguf-tokenizer'
import type { ModelText } from './model-texts'
import type { ModelSource, StoredTensor } from './source'

/** The other way round: Hugging Face row s·d/2+i of each head becomes file row 2i+s. */
export function permuteRows(values: Float32Array, heads: number, rows: number): Float32Array {
  const columns = values.length / rows
  const headDim = rows / heads
  const halfDim = headDim / 2
  const out = new Float32Array(values.length)
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < halfDim; i++) {
      for (let s = 0; s < 2; s++) {
        const from = (h * headDim + s * halfDim + i) * columns
        out.set(values.subarray(from, from + columns), (h * headDim + 2 * i + s) * columns)
      }
    }
  }
  return out
}

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

/** [rows, columns] → [columns, rows]: Conv1D weights, which GGUF holds as Linear ones. */
export function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
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
      const turned = spec?.outputAxis === 1 && spec.role === 'matrix'
      const [rows = 1, columns = 1] = shape
      tensors.set(place.parameter, { shape: turned ? [columns, rows] : shape, dtype: type })
      read.set(place.parameter, () => {
        const values = file.readFloat32(stored)
        if (place.plusOne) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) - 1
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
