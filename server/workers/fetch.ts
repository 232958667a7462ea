/** Brings models to a local path, on behalf of a trainer that has no network (A-3, SEC-10): built-in packages, local folders and files, the hub. */
import { createWriteStream } from 'node:fs'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { downloadFile, listFiles, modelInfo } from '@huggingface/hub'
import { AppError } from '../errors'

export type Fetched = { path: string; name: string; license: string | null }
export type FetchProgress = (done: number, total: number, unit: string) => void
export type FetchDeps = {
  cache: string
  hfToken: string | undefined
  /** The endpoint the operator named, exactly as named; nothing else may be asked (SEC-10). */
  hfEndpoint: string | undefined
  /** Local path of a source that is already here; null when it must be fetched. Refuses what may not be read (SEC-6). */
  localModel(source: string): Promise<{ path: string; name: string; license: string | null } | null>
  /** Downloads a built-in model to the cache. */
  fetchBuiltIn(id: string, onProgress: FetchProgress, signal: AbortSignal): Promise<Fetched>
}

const HUB = /^hub:([A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95})(?:@([\w./-]{1,100}))?$/
/** What of a repository is the model; the rest (images, other frameworks' weights) is left there. */
const WANTED =
  /^(?:[^/]+\.safetensors|[^/]+\.safetensors\.index\.json|config\.json|generation_config\.json|tokenizer\.json|tokenizer_config\.json|special_tokens_map\.json|added_tokens\.json|vocab\.json|merges\.txt|chat_template\.jinja|chat_template\.json)$/

/** @throws AppError NOT_FOUND, PATH_REFUSED, NETWORK */
export async function fetchModel(deps: FetchDeps, source: string, onProgress: FetchProgress, signal: AbortSignal): Promise<Fetched> {
  const local = await deps.localModel(source)
  if (local) return local
  const builtIn = /^builtin:([a-z0-9][a-z0-9.-]{0,80})$/.exec(source)
  if (builtIn) return deps.fetchBuiltIn(builtIn[1] ?? '', onProgress, signal)
  const hub = HUB.exec(source)
  if (hub) return fetchHub(deps, hub[1] ?? '', hub[2], onProgress, signal)
  throw new AppError('NOT_FOUND', {
    message: 'This model cannot be fetched.',
    where: source.slice(0, 200),
    expected: 'builtin:<id>, hub:<owner>/<name>[@revision], or a path',
    got: source.slice(0, 200),
  })
}

/** The same folder that facts are read from: once it exists it is complete, because it gets its name last. */
export const hubFolder = (cache: string, repo: string, revision: string | undefined) =>
  join(cache, 'models', 'hub', `${repo.replace('/', '--')}${revision ? `--${revision.replaceAll('/', '-')}` : ''}`)

async function fetchHub(
  deps: FetchDeps,
  repo: string,
  revision: string | undefined,
  onProgress: FetchProgress,
  signal: AbortSignal,
): Promise<Fetched> {
  const folder = hubFolder(deps.cache, repo, revision)
  const place = {
    repo: { type: 'model' as const, name: repo },
    ...(revision !== undefined && { revision }),
    ...(deps.hfEndpoint !== undefined && { hubUrl: deps.hfEndpoint }),
    ...(deps.hfToken !== undefined && { accessToken: deps.hfToken }),
    fetch: (url: URL | RequestInfo, init?: RequestInit) => fetch(url, { ...init, signal }),
  }
  const work = `${folder}.part-${process.pid}`
  try {
    const { repo: _, ...access } = place
    const info = await modelInfo({ name: repo, ...access, additionalFields: ['cardData'] })
    const files: { path: string; size: number }[] = []
    for await (const entry of listFiles({ ...place, recursive: false })) {
      if (entry.type === 'file' && WANTED.test(entry.path)) files.push({ path: entry.path, size: entry.lfs?.size ?? entry.size })
    }
    if (!files.some((file) => file.path.endsWith('.safetensors'))) {
      throw new AppError('BAD_MODEL', {
        message: `${repo} has no safetensors weights; other formats may run code when they are read.`,
        where: `hub:${repo}`,
        expected: 'model.safetensors',
        got: files.map((file) => file.path).join(', ') || 'none of the files of a model',
        fix: 'Choose a repository with safetensors.',
      })
    }
    const total = files.reduce((sum, file) => sum + file.size, 0)
    await rm(work, { recursive: true, force: true })
    await mkdir(work, { recursive: true })
    let done = 0
    for (const file of files) {
      const blob = await downloadFile({ ...place, path: file.path })
      if (!blob) throw new AppError('NETWORK', { message: `${file.path} of ${repo} could not be downloaded.`, where: `hub:${repo}` })
      const before = done
      await pipeline(
        Readable.fromWeb(blob.stream() as never),
        async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            done += chunk.byteLength
            onProgress(done, total, 'bytes')
            yield chunk
          }
        },
        createWriteStream(join(work, basename(file.path))),
        { signal },
      )
      if (done - before !== file.size) {
        throw new AppError('NETWORK', {
          message: `${file.path} came incomplete.`,
          where: `hub:${repo}`,
          expected: `${file.size} bytes`,
          got: `${done - before}`,
        })
      }
    }
    await mkdir(dirname(folder), { recursive: true })
    await rename(work, folder).catch(async (cause) => {
      // Another worker was first; its folder is as good as ours.
      if (!(await stat(folder).catch(() => null))) throw cause
    })
    const license = (info as { cardData?: { license?: string } }).cardData?.license ?? null
    return { path: folder, name: repo.split('/').at(-1) ?? repo, license }
  } catch (cause) {
    if (cause instanceof AppError) throw cause
    const status = (cause as { statusCode?: number }).statusCode
    if (status === 401 || status === 403 || status === 404) {
      throw new AppError('NOT_FOUND', {
        message: status === 404 ? `There is no model ${repo} on the hub.` : `The hub does not let you read ${repo}.`,
        where: `hub:${repo}`,
        got: `HTTP ${status}`,
        fix: status === 404 ? 'Check the name.' : 'Accept its licence on the hub, and set HF_TOKEN.',
        cause,
      })
    }
    throw new AppError('NETWORK', {
      message: `${repo} could not be downloaded.`,
      where: `hub:${repo}`,
      got: cause instanceof Error ? cause.message : String(cause),
      fix: 'Check the network and run again, or load the model from a local folder.',
      cause,
    })
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}
