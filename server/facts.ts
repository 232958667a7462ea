/**
 * What the server can say about a model or a data file before anything runs: from headers and first rows, never from weights, never with
 * TensorFlow. Answers are remembered until the file changes.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, readdir, readFile, realpath, stat } from 'node:fs/promises'
import { basename, isAbsolute, join } from 'node:path'
import * as z from 'zod'
import { dataHeader } from '../analysis'
import type { Fact, FactRequest, ModelHeader } from '../nodes/_kit/facts'
import { factKey } from '../nodes/_kit/infer'
import { AppError, fromUnknown } from './errors'
import { digestOfFile, type FileSources, openFileParam } from './files'

export type SourceDigest = { digest: string; name: string }

export type Facts = {
  /** Never throws for a file or model that cannot be read: that is an answer. */
  resolve(request: FactRequest): Promise<Fact>
  /** Answers by `factKey`. */
  lookAt(requests: readonly FactRequest[]): Promise<Record<string, Fact>>
  /** Digest of the content behind a request, which stands for its path in cache keys (R-61); null when it is not there. */
  digestOf(request: FactRequest): Promise<SourceDigest | null>
  /** Where a model lies on this machine; null while it must be fetched first. @throws AppError NOT_FOUND, PATH_REFUSED */
  localModel(source: string): Promise<{ path: string; name: string; license: string | null } | null>
}

export type FactsOptions = {
  files: FileSources
  /** THAW_CACHE: where built-in and hub models lie once fetched. */
  cache: string
  /** Reads a model's config and headers (engine/inspect.ts). */
  inspectModel(
    path: string,
  ): Promise<Omit<ModelHeader, 'license' | 'downloaded' | 'name'> & { name: string | null; license: string | null }>
}

/** The shipped catalogue of built-in models (models/catalog.json): what is known of them before they are fetched. */
const Catalog = z.object({
  models: z.array(
    z.looseObject({
      id: z.string(),
      title: z.string(),
      license: z.string().nullable(),
      fetch: z.looseObject({ kind: z.string(), sha256: z.string().optional(), file: z.string().optional(), path: z.string().optional() }),
      header: z.record(z.string(), z.unknown()).nullable(),
    }),
  ),
})
type CatalogEntry = z.infer<typeof Catalog>['models'][number]

const failed = (error: AppError): Fact => ({
  kind: 'error',
  code: error.code,
  message: error.message,
  ...(error.fix === undefined ? {} : { fix: error.fix }),
})

/** Answers kept; each is a few kilobytes, a model's with all its parameter names up to 100. */
const REMEMBERED = 200

export function openFacts(options: FactsOptions): Facts {
  const remembered = new Map<string, { stamp: string; fact: Fact }>()
  const digests = new Map<string, { stamp: string; digest: string }>()
  let catalog: Promise<Map<string, CatalogEntry>> | undefined

  const keep = <T>(map: Map<string, T>, key: string, value: T): T => {
    map.delete(key)
    map.set(key, value)
    if (map.size > REMEMBERED) map.delete(map.keys().next().value as string)
    return value
  }

  async function builtIn(id: string): Promise<CatalogEntry | undefined> {
    catalog ??= readFile(join(options.files.root, 'models', 'catalog.json'), 'utf8').then(
      (text) => new Map(Catalog.parse(JSON.parse(text)).models.map((m) => [m.id, m])),
    )
    return (await catalog).get(id)
  }

  async function data(file: string): Promise<Fact> {
    const opened = await openFileParam(options.files, file)
    try {
      const known = remembered.get(`data:${file}`)
      if (known?.stamp === opened.stamp) return known.fact
      const slice = async (start: number, end: number = opened.sizeBytes): Promise<ArrayBuffer> => {
        const bytes = Buffer.alloc(Math.max(0, Math.min(end, opened.sizeBytes) - start))
        let filled = 0
        while (filled < bytes.length) {
          const { bytesRead } = await opened.file.read(bytes, filled, bytes.length - filled, start + filled)
          if (bytesRead === 0) break
          filled += bytesRead
        }
        return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + filled)
      }
      const read = await dataHeader(opened.name, { byteLength: opened.sizeBytes, slice })
      const fact: Fact = 'error' in read ? { kind: 'error', ...read.error } : { kind: 'data', header: read.header }
      keep(remembered, `data:${file}`, { stamp: opened.stamp, fact })
      return fact
    } finally {
      await opened.file.close()
    }
  }

  /** Local path of a model, or null while it has not been fetched. */
  async function pathOf(source: string): Promise<{ path: string | null; entry: CatalogEntry | null }> {
    const id = /^builtin:([a-z0-9][a-z0-9.-]{0,80})$/.exec(source)?.[1]
    if (id !== undefined) {
      const entry = await builtIn(id)
      if (!entry)
        throw new AppError('NOT_FOUND', {
          message: `There is no built-in model "${id}".`,
          expected: [...(await (catalog ?? Promise.resolve(new Map())))].map(([name]) => `builtin:${name}`).join(', '),
          got: source,
          fix: 'Choose one of the built-in models.',
        })
      const bundled = join(options.files.root, entry.fetch.path ?? join('models', id))
      const fetched = entry.fetch.file === undefined ? null : join(options.cache, 'models', entry.fetch.file)
      const path = existsSync(bundled) ? bundled : fetched && existsSync(fetched) ? fetched : null
      return { path, entry }
    }
    const hub = /^hub:([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?:@([\w./-]{1,100}))?$/.exec(source)
    if (hub) {
      const folder = join(
        options.cache,
        'models',
        'hub',
        `${(hub[1] as string).replace('/', '--')}${hub[2] ? `--${hub[2].replaceAll('/', '-')}` : ''}`,
      )
      return { path: existsSync(folder) ? folder : null, entry: null }
    }
    if (/^(builtin|hub):/.test(source))
      throw new AppError('PATH_REFUSED', {
        message: 'This is not the name of a model.',
        expected: 'builtin:<id>, hub:<owner>/<name>[@revision], or a path',
        got: source.slice(0, 200),
      })
    if (source.length === 0) throw new AppError('INVALID_PARAM', { message: 'No model is chosen.', param: 'model', fix: 'Choose a model.' })
    if (source.length > 4_095 || source.includes('\0') || !isAbsolute(source))
      throw new AppError('PATH_REFUSED', {
        message: 'The path of a model must be absolute here.',
        got: source.slice(0, 200),
        fix: 'Give the whole path.',
      })
    const path = await realpath(source).catch(() => null)
    if (path === null)
      throw new AppError('NOT_FOUND', {
        message: `There is no model at ${source}.`,
        got: source,
        fix: 'Check the path: a folder with config.json and safetensors, or a .gguf file.',
      })
    return { path, entry: null }
  }

  async function model(source: string): Promise<Fact> {
    const { path, entry } = await pathOf(source)
    if (path === null) {
      if (entry?.header)
        return { kind: 'model', header: { ...(entry.header as unknown as ModelHeader), license: entry.license, downloaded: false } }
      return {
        kind: 'error',
        code: 'NOT_DOWNLOADED',
        message: 'This model has not been downloaded yet, so its layers are not known.',
        fix: 'Run the Load model node once; it is downloaded then.',
      }
    }
    const stamp = await stampOf(path)
    const known = remembered.get(`model:${source}`)
    if (known?.stamp === stamp) return known.fact
    const header = await options.inspectModel(path)
    const name = (entry?.header?.name as string | undefined) ?? entry?.title ?? header.name ?? basename(path).replace(/\.gguf$/i, '')
    const fact: Fact = { kind: 'model', header: { ...header, name, license: entry?.license ?? header.license ?? null, downloaded: true } }
    keep(remembered, `model:${source}`, { stamp, fact })
    return fact
  }

  async function hashed(path: string): Promise<string> {
    const info = await stat(path)
    const stamp = `${info.dev}:${info.ino}:${info.size}:${info.mtimeMs}`
    const known = digests.get(path)
    if (known?.stamp === stamp) return known.digest
    const file = await open(path, 'r')
    try {
      const digest = await digestOfFile(file)
      keep(digests, path, { stamp, digest })
      return digest
    } finally {
      await file.close()
    }
  }

  async function digestOfModel(source: string): Promise<SourceDigest | null> {
    const { path, entry } = await pathOf(source)
    // A built-in model is pinned by the hash of its file, so its key is known before it is fetched.
    if (entry?.fetch.sha256) return { digest: entry.fetch.sha256, name: entry.title }
    // A hub model is named by its source before and after the download, so that one run's key is found by the next.
    if (source.startsWith('hub:')) return { digest: createHash('sha256').update(source).digest('hex'), name: source }
    if (path === null) return null
    if ((await stat(path)).isFile()) return { digest: await hashed(path), name: basename(path) }
    const names = (await modelFiles(path)).sort()
    const whole = createHash('sha256')
    for (const name of names) whole.update(`${name}\0${await hashed(join(path, name))}\n`)
    return names.length === 0 ? null : { digest: whole.digest('hex'), name: entry?.title ?? basename(path) }
  }

  async function digestOfData(file: string): Promise<SourceDigest | null> {
    const opened = await openFileParam(options.files, file)
    try {
      if (opened.digest !== null) return { digest: opened.digest, name: opened.name }
      const known = digests.get(file)
      if (known?.stamp === opened.stamp) return { digest: known.digest, name: opened.name }
      const digest = await digestOfFile(opened.file)
      keep(digests, file, { stamp: opened.stamp, digest })
      return { digest, name: opened.name }
    } finally {
      await opened.file.close()
    }
  }

  const facts: Facts = {
    async localModel(source) {
      const { path, entry } = await pathOf(source)
      const name = (entry?.header?.name as string | undefined) ?? entry?.title
      return path === null ? null : { path, name: name ?? basename(path).replace(/\.gguf$/i, ''), license: entry?.license ?? null }
    },
    async resolve(request) {
      try {
        return request.kind === 'data' ? await data(request.file) : await model(request.source)
      } catch (error) {
        return failed(fromUnknown(error))
      }
    },
    async lookAt(requests) {
      return Object.fromEntries(
        await Promise.all(requests.map(async (request) => [factKey(request), await facts.resolve(request)] as const)),
      )
    },
    async digestOf(request) {
      try {
        return request.kind === 'data' ? await digestOfData(request.file) : await digestOfModel(request.source)
      } catch (error) {
        const { code } = fromUnknown(error)
        // What the facts already say in words need not stop the plan.
        if (code === 'NOT_FOUND' || code === 'PATH_REFUSED' || code === 'INVALID_PARAM' || code === 'ARTIFACT_MISSING') return null
        throw error
      }
    },
  }
  return facts
}

/** The files that decide what a model folder is. */
async function modelFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true })
  return entries
    .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && /\.(safetensors|json|jinja|txt|model)$/.test(entry.name))
    .map((entry) => entry.name)
}

/** Changes when any file of the model changes. */
async function stampOf(path: string): Promise<string> {
  const info = await stat(path)
  if (info.isFile()) return `${info.dev}:${info.ino}:${info.size}:${info.mtimeMs}`
  const names = (await modelFiles(path)).sort()
  const stamps = await Promise.all(
    names.map(async (name) => `${name}:${await stat(join(path, name)).then((s) => `${s.size}:${s.mtimeMs}`)}`),
  )
  return stamps.join('|')
}
