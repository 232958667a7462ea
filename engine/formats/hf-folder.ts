/** The Hugging Face model folder (F-10): reading with all its checks, and writing. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { EngineError } from '../errors'
import { MODEL_TEXTS, type ModelText } from './model-texts'
import { DTYPE_BYTES, elementCount, SafetensorsFile, type TensorToWrite, writeSafetensors } from './safetensors'
import type { ModelSource } from './source'

const MAX_JSON_BYTES = 256 * 1024 * 1024
const MAX_SHARDS = 1000
/** Never carried along on export: weights in any form, optimizer state, and what the writer makes itself. */
const NOT_COMPANIONS =
  /\.(safetensors|bin|pt|pth|ckpt|h5|msgpack|onnx|gguf|pkl|pickle|npz|partial)$|\.index\.json$|^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|trainer_state|complete)\.json$|^(merges\.txt|chat_template\.jinja|README\.md|training_args\..*)$|^\./
const MAX_COMPANION_BYTES = 4 * 1024 * 1024

/** Reads a JSON object from a file of bounded size; the error names the file and the cause. */
export function readJsonObject(file: string): Record<string, unknown> {
  const { size } = fs.statSync(file)
  if (size > MAX_JSON_BYTES)
    throw new EngineError('bad_file', 'the JSON file is too large', {
      where: file,
      expected: `at most ${MAX_JSON_BYTES} bytes`,
      got: String(size),
    })
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(file)))
  } catch (cause) {
    throw new EngineError('bad_file', `${path.basename(file)} is not JSON`, {
      where: file,
      got: cause instanceof Error ? cause.message : String(cause),
      cause,
    })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new EngineError('bad_file', `${path.basename(file)} is not an object`, { where: file })
  return value as Record<string, unknown>
}

/** Shard file names of a folder, from the index or the single file. */
function weightFiles(folder: string): { files: string[]; index: Record<string, unknown> | null } {
  if (fs.existsSync(path.join(folder, 'model.safetensors'))) return { files: ['model.safetensors'], index: null }
  const indexPath = path.join(folder, 'model.safetensors.index.json')
  if (!fs.existsSync(indexPath)) {
    const pickles = fs.readdirSync(folder).filter((name) => /\.(bin|pt|pth)$/.test(name))
    throw new EngineError('missing', 'the folder has no model.safetensors', {
      where: folder,
      got: pickles.length ? `${pickles[0]}, a pickle file: Thaw never reads those` : 'no weights',
      fix: pickles.length ? 'convert it with transformers: model.save_pretrained(folder)' : 'download the folder again',
    })
  }
  const map = readJsonObject(indexPath).weight_map
  if (typeof map !== 'object' || map === null || Array.isArray(map))
    throw new EngineError('bad_file', 'the shard index has no weight_map', { where: indexPath })
  const files = [...new Set(Object.values(map))]
  if (files.length > MAX_SHARDS)
    throw new EngineError('bad_file', 'the shard index names too many files', { where: indexPath, got: String(files.length) })
  for (const file of files) {
    // A shard is a plain name beside the index: anything else could reach out of the folder (SEC-6).
    if (typeof file !== 'string' || !/^[\w][\w.-]*\.safetensors$/.test(file))
      throw new EngineError('bad_file', 'the shard index names a file that is not a plain name', {
        where: indexPath,
        got: String(file).slice(0, 100),
      })
    if (!fs.existsSync(path.join(folder, file)))
      throw new EngineError('missing', `the shard ${file} is missing`, { where: folder, fix: 'download the folder again' })
  }
  return { files: files as string[], index: map as Record<string, unknown> }
}

/** Opens a folder: all headers checked, no weights read. */
export function openHfFolder(folder: string): ModelSource {
  const config = readJsonObject(path.join(folder, 'config.json'))
  const { files, index } = weightFiles(folder)
  const shards: SafetensorsFile[] = []
  const owner = new Map<string, SafetensorsFile>()
  try {
    for (const file of files) {
      const shard = SafetensorsFile.open(path.join(folder, file))
      shards.push(shard)
      for (const name of shard.tensors.keys()) {
        if (owner.has(name)) throw new EngineError('bad_file', `tensor "${name}" occurs in two shards`, { where: folder })
        if (index && index[name] !== file)
          throw new EngineError('bad_file', `tensor "${name}" of ${file} is not where the shard index says`, {
            where: folder,
            expected: String(index[name]),
          })
        owner.set(name, shard)
      }
    }
    for (const name of Object.keys(index ?? {}))
      if (!owner.has(name))
        throw new EngineError('bad_file', `the shard index names tensor "${name}", which no shard holds`, { where: folder })
  } catch (error) {
    for (const shard of shards) shard.close()
    throw error
  }

  const readText = (name: string): string | null => {
    const file = path.join(folder, name)
    return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null
  }
  // Read now and resolved now: a model stays open longer than a folder of links to it may exist.
  const texts = new Map(MODEL_TEXTS.map((name) => [name, readText(name)]))
  texts.set('chat_template.jinja', texts.get('chat_template.jinja') ?? embeddedTemplate(texts.get('tokenizer_config.json') ?? null))
  return {
    container: 'hf',
    path: folder,
    config,
    tensors: new Map([...owner].map(([name, shard]) => [name, shard.tensors.get(name) as { shape: readonly number[]; dtype: string }])),
    sizeBytes: shards.reduce((sum, shard) => sum + shard.sizeBytes, 0),
    license: licenseOf(readText('README.md')),
    name: typeof config._name_or_path === 'string' && config._name_or_path ? config._name_or_path : null,
    readFloat32: (name) => {
      const shard = owner.get(name)
      if (!shard) throw new EngineError('missing', `the model has no tensor "${name}"`, { where: folder })
      return shard.readFloat32(name)
    },
    text: (name: ModelText) => texts.get(name) ?? null,
    companions: fs.readdirSync(folder).flatMap((name) => {
      if (NOT_COMPANIONS.test(name)) return []
      const file = fs.realpathSync(path.join(folder, name))
      const stat = fs.statSync(file)
      return stat.isFile() && stat.size <= MAX_COMPANION_BYTES ? [{ name, path: file }] : []
    }),
    close: () => {
      for (const shard of shards) shard.close()
    },
  }
}

/** `chat_template` of tokenizer_config.json: a text, or a list of named ones of which `default` counts (F-35). */
function embeddedTemplate(tokenizerConfig: string | null): string | null {
  if (tokenizerConfig === null) return null
  let template: unknown
  try {
    template = (JSON.parse(tokenizerConfig) as { chat_template?: unknown }).chat_template
  } catch {
    return null
  }
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return null
  const named = template as { name?: unknown; template?: unknown }[]
  const chosen = (named.find((t) => t?.name === 'default') ?? named[0])?.template
  return typeof chosen === 'string' ? chosen : null
}

/** `license:` of a model card's front matter. */
function licenseOf(card: string | null): string | null {
  const front = card?.match(/^---\r?\n([\s\S]*?)\r?\n---/)?.[1]
  return front?.match(/^license:\s*["']?([\w.+-]+)/m)?.[1] ?? null
}

export type HfFolderToWrite = {
  config: Readonly<Record<string, unknown>>
  tensors: Iterable<TensorToWrite>
  metadata?: Record<string, string>
  /** Text files by name; null ones are left out. */
  texts: Readonly<Record<string, string | null>>
  /** Files to copy as they are. */
  companions?: readonly { name: string; path: string }[]
  /** Weights beyond this size are spread over several files with an index (F-10). Default: one file. */
  shardBytes?: number
}

/** Tensors in files of at most `limit` bytes, in their order; a tensor is never cut. */
function shardsOf(tensors: readonly TensorToWrite[], limit: number): TensorToWrite[][] {
  const shards: TensorToWrite[][] = []
  let room = 0
  for (const tensor of tensors) {
    const size = (elementCount(tensor.shape) ?? 0) * DTYPE_BYTES[tensor.dtype]
    if (size > room || !shards.length) {
      shards.push([])
      room = limit
    }
    shards.at(-1)?.push(tensor)
    room -= size
  }
  return shards
}

async function writeWeights(folder: string, { tensors, metadata, shardBytes = Number.POSITIVE_INFINITY }: HfFolderToWrite): Promise<void> {
  const list = [...tensors]
  const shards = shardsOf(list, shardBytes)
  if (shards.length <= 1) return writeSafetensors(path.join(folder, 'model.safetensors'), list, metadata)
  const map: Record<string, string> = {}
  let total = 0
  for (const [i, shard] of shards.entries()) {
    const number = (n: number) => String(n).padStart(5, '0')
    const name = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`
    await writeSafetensors(path.join(folder, name), shard, metadata)
    for (const tensor of shard) {
      map[tensor.name] = name
      total += (elementCount(tensor.shape) ?? 0) * DTYPE_BYTES[tensor.dtype]
    }
  }
  fs.writeFileSync(path.join(folder, 'model.safetensors.index.json'), hfJson({ metadata: { total_size: total }, weight_map: map }), {
    flush: true,
  })
}

/** JSON as the reference library writes it: keys sorted, two spaces, a final newline. */
export const hfJson = (value: Readonly<Record<string, unknown>>): string => {
  const sorted = (v: unknown): unknown => {
    if (Array.isArray(v)) return v.map(sorted)
    if (typeof v !== 'object' || v === null) return v
    return Object.fromEntries(
      Object.entries(v)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, x]) => [k, sorted(x)]),
    )
  }
  return `${JSON.stringify(sorted(value), null, 2)}\n`
}

/**
 * Writes a folder that transformers loads. `folder` must not exist: everything goes to a sibling first, is synced, and is renamed, so a
 * folder of that name is always whole (F-8). Returns the names written.
 */
export async function writeHfFolder(folder: string, model: HfFolderToWrite): Promise<string[]> {
  if (fs.existsSync(folder)) throw new EngineError('bad_argument', 'the folder to write exists already', { where: folder })
  const partial = `${folder}.partial`
  fs.rmSync(partial, { recursive: true, force: true })
  fs.mkdirSync(partial, { recursive: true })
  try {
    for (const { name, path: from } of model.companions ?? []) fs.copyFileSync(from, path.join(partial, path.basename(name)))
    const texts = { 'config.json': hfJson(model.config), ...model.texts }
    for (const [name, text] of Object.entries(texts)) if (text !== null) fs.writeFileSync(path.join(partial, name), text, { flush: true })
    await writeWeights(partial, model)
    fs.renameSync(partial, folder)
  } catch (error) {
    fs.rmSync(partial, { recursive: true, force: true })
    throw error
  }
  return fs.readdirSync(folder).sort()
}
