/** A model as stored on disk, whatever the container: configuration, tensors under Hugging Face names, and its text files. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../errors'
import { openGgufModel } from './gguf-model'
import { openHfFolder } from './hf-folder'

/** Text files that belong to a model besides config.json. Each is what a Hugging Face folder would hold. */
export const MODEL_TEXTS = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'generation_config.json',
] as const
export type ModelText = (typeof MODEL_TEXTS)[number]

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

type NamedShape = { readonly name: string; readonly shape: readonly number[] }

/** Buffers that checkpoints carry and no model needs, by the rule that drops them (F-16). */
const IGNORED: readonly { rule: string; pattern: RegExp }[] = [
  { rule: 'GPT-2 causal masks', pattern: /(^|\.)attn\.(masked_)?bias$/ },
  { rule: 'rotary frequencies, computed from the config', pattern: /rotary_emb\.inv_freq$/ },
]

/**
 * Stored name of every parameter. A missing `transformer.` or `model.` prefix is understood (formats.md section 4); every stored tensor is used
 * once, ignored by a rule, or an error, and every parameter is filled exactly once (F-16).
 * With tied embeddings a stored `lm_head.weight` is ignored: the reference library ties over it.
 */
export function resolveNames(source: ModelSource, parameters: readonly NamedShape[], tied: boolean): Map<string, string> {
  const used = new Map<string, string>()
  const missing: string[] = []
  for (const { name, shape } of parameters) {
    const stored = [name, name.replace(/^(transformer|model)\./, '')].find((candidate) => source.tensors.has(candidate))
    if (stored === undefined) {
      missing.push(name)
      continue
    }
    const got = source.tensors.get(stored)?.shape as readonly number[]
    if (got.length !== shape.length || got.some((size, i) => size !== shape[i])) {
      throw new EngineError('mismatch', `tensor "${stored}" does not have the shape that config.json asks for`, {
        where: source.path,
        expected: `[${shape}]`,
        got: `[${got}]`,
      })
    }
    used.set(name, stored)
  }
  if (missing.length) {
    throw new EngineError('mismatch', `${missing.length} of the model's ${parameters.length} tensors are missing`, {
      where: source.path,
      expected: missing.slice(0, 5).join(', '),
    })
  }
  const taken = new Set(used.values())
  const unknown = [...source.tensors.keys()].filter(
    (name) => !taken.has(name) && !IGNORED.some(({ pattern }) => pattern.test(name)) && !(tied && name === 'lm_head.weight'),
  )
  if (unknown.length) {
    throw new EngineError('mismatch', `${unknown.length} tensors belong to no part of this architecture`, {
      where: source.path,
      got: unknown.slice(0, 5).join(', '),
      fix: 'the file may be an adapter, or a model of another architecture than its config.json says',
    })
  }
  return used
}
