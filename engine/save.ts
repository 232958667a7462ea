/** Writing a model as a Hugging Face folder that transformers loads (F-10), and the changed weights alone. */
import type { FloatDtype } from './formats/dtypes'
import { writeHfFolder } from './formats/hf-folder'
import { MODEL_TEXTS } from './formats/model-texts'
import { floatTensor, writeSafetensors } from './formats/safetensors'
import type { LoadedModel } from './model'
import type { TrainedWeights } from './train/train'

const TORCH_DTYPE: Record<FloatDtype, string> = { F32: 'float32', BF16: 'bfloat16', F16: 'float16' }

export type SaveOptions = {
  /** Default F32. */
  readonly dtype?: FloatDtype
  /** Weights that training changed; all others come from the model. */
  readonly values?: TrainedWeights
  /** safetensors metadata: text by text (F-54). */
  readonly metadata?: Record<string, string>
  /** README.md. */
  readonly card?: string
  /** Weights beyond this size are spread over several files. Default: one file. */
  readonly shardBytes?: number
}

/** config.json as it is exported: the model's own, with the dtype of what is written, in the spelling it came in. */
export function exportedConfig(model: LoadedModel, dtype: FloatDtype): Record<string, unknown> {
  const config = { ...model.source.config }
  config['dtype' in config && !('torch_dtype' in config) ? 'dtype' : 'torch_dtype'] = TORCH_DTYPE[dtype]
  delete config._name_or_path
  return config
}

/** generation_config.json with every stop token, the end of turn of the chat template among them (F-14); unchanged bytes where nothing lacks. */
export function exportedGeneration(model: LoadedModel): string {
  const text = model.source.text('generation_config.json')
  const config = text ? (JSON.parse(text) as Record<string, unknown>) : {}
  const known = [config.eos_token_id].flat().filter((id) => Number.isInteger(id))
  if (text && model.stopIds.every((id) => known.includes(id))) return text
  if (!model.stopIds.length) return text ?? '{}\n'
  return `${JSON.stringify({ ...config, eos_token_id: model.stopIds.length === 1 ? model.stopIds[0] : model.stopIds }, null, 2)}\n`
}

/** Writes the folder; it appears under its name only when whole. Returns the names of its files. */
export async function saveModel(folder: string, model: LoadedModel, options: SaveOptions = {}): Promise<string[]> {
  const { dtype = 'F32', values } = options
  const changed = new Set(values?.names)
  return writeHfFolder(folder, {
    config: exportedConfig(model, dtype),
    tensors: model.model.parameters.map(({ name, shape }) =>
      floatTensor(name, shape, dtype, () => (values && changed.has(name) ? values.read(name) : model.read(name))),
    ),
    ...(options.metadata && { metadata: options.metadata }),
    ...(options.shardBytes && { shardBytes: options.shardBytes }),
    texts: {
      ...Object.fromEntries(MODEL_TEXTS.map((name) => [name, model.source.text(name)])),
      'generation_config.json': exportedGeneration(model),
      ...(options.card !== undefined && { 'README.md': options.card }),
    },
    companions: model.source.companions,
  })
}

/**
 * Writes exactly the parameters whose values differ from the base: what `values` changed, and what an earlier training did. Returns their
 * names; the file is valid and empty when nothing differs.
 */
export async function saveDelta(file: string, model: LoadedModel, values: TrainedWeights): Promise<string[]> {
  const trained = new Set(values.names)
  // By name: values come in sets of neighbours, in this order.
  const candidates = model.model.parameters
    .filter(({ name }) => trained.has(name) || model.changed.includes(name))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const current = (name: string) => (trained.has(name) ? values.read(name) : Promise.resolve(model.read(name)))
  const changed: typeof candidates = []
  for (const spec of candidates) if (!sameBits(await current(spec.name), model.readBase(spec.name))) changed.push(spec)
  await writeSafetensors(
    file,
    changed.map(({ name, shape }) => floatTensor(name, shape, 'F32', () => current(name))),
  )
  return changed.map(({ name }) => name)
}

const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))
