/** A model as stored on disk, whatever the container: configuration, tensors under Hugging Face names, and its text files. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../errors'
import { canonicalName, type Model } from '../models/index'
import { openGgufModel } from './gguf-model'
import { openHfFolder } from './hf-folder'
import type { ModelText } from './model-texts'

export type StoredTensor = {
  /** Row-major, Hugging Face layout. */
  readonly shape: readonly number[]
  /** 'F32', 'F16', 'BF16' or a GGUF type. */
  readonly dtype: string
}

export interface ModelSource {
  readonly container: 'hf' | 'gguf'
  readonly path: string
  /** As in config.json; made from the metadata for a GGUF. */
  readonly config: Readonly<Record<string, unknown>>
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Weight files only. */
  readonly sizeBytes: number
  /** From the file's own metadata; null when it does not say. */
  readonly license: string | null
  readonly name: string | null
  /** float32 values in Hugging Face layout (llama's q and k un-permuted). */
  readFloat32(name: string): Float32Array
  text(name: ModelText): string | null
  /** Other files to carry along on export, such as licences: name in the folder and absolute path. */
  readonly companions: readonly { name: string; path: string }[]
  close(): void
}

/** Opens a Hugging Face folder, or a .gguf file. Headers are read and checked; weights are not. */
export function openModelSource(location: string): ModelSource {
  const stat = fs.statSync(location, { throwIfNoEntry: false })
  if (!stat) throw new EngineError('missing', 'there is no such model file or folder', { where: location })
  if (!stat.isDirectory()) return openGgufModel(location)
  if (fs.existsSync(path.join(location, 'config.json'))) return openHfFolder(location)
  const ggufs = fs.readdirSync(location).filter((name) => name.endsWith('.gguf'))
  if (ggufs.length === 1) return openGgufModel(path.join(location, ggufs[0] as string))
  throw new EngineError(
    'missing',
    ggufs.length ? 'the folder holds several GGUF files' : 'the folder is not a model: it has no config.json and no GGUF file',
    {
      where: location,
      got: ggufs.slice(0, 5).join(', ') || 'neither',
      fix: ggufs.length ? 'name one of the files' : 'choose the folder that holds config.json and model.safetensors',
    },
  )
}

/** The stored dtype of most elements: what people call the model's type. */
export function dominantDtype(source: ModelSource): string {
  const sizes = new Map<string, number>()
  for (const { shape, dtype } of source.tensors.values()) {
    const elements = shape.reduce((a, b) => a * b, 1)
    sizes.set(dtype, (sizes.get(dtype) ?? 0) + elements)
  }
  return [...sizes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'F32'
}

/**
 * Stored name of every parameter. Every stored tensor is used once, ignored by the architecture's rule (masks, frequencies, a missing
 * prefix), or an error, and every parameter is filled exactly once (F-16). With tied embeddings a stored head is ignored: the reference
 * library ties over it.
 */
export function resolveNames(source: ModelSource, model: Model): Map<string, string> {
  const specs = new Map(model.parameters.map((spec) => [spec.name, spec]))
  const used = new Map<string, string>()
  const unknown: string[] = []
  for (const [stored, { shape: got }] of source.tensors) {
    const name = canonicalName(model, stored)
    if (name === null || (model.config.tiedEmbeddings && name === 'lm_head.weight')) continue
    const spec = specs.get(name)
    if (!spec) {
      unknown.push(stored)
      continue
    }
    if (used.has(name))
      throw new EngineError('mismatch', `the parameter "${name}" occurs twice`, {
        where: source.path,
        got: `${used.get(name)} and ${stored}`,
      })
    if (got.length !== spec.shape.length || got.some((size, i) => size !== spec.shape[i])) {
      throw new EngineError('mismatch', `tensor "${stored}" does not have the shape that config.json asks for`, {
        where: source.path,
        expected: `[${spec.shape}]`,
        got: `[${got}]`,
      })
    }
    used.set(name, stored)
  }
  const missing = [...specs.keys()].filter((name) => !used.has(name))
  if (missing.length) {
    throw new EngineError('mismatch', `${missing.length} of the model's ${specs.size} tensors are missing`, {
      where: source.path,
      expected: missing.slice(0, 5).join(', '),
    })
  }
  if (unknown.length) {
    throw new EngineError('mismatch', `${unknown.length} tensors belong to no part of this architecture`, {
      where: source.path,
      got: unknown.slice(0, 5).join(', '),
      fix: 'the file may be an adapter, or a model of another architecture than its config.json says',
    })
  }
  return used
}
