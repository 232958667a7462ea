/**
 * Bundles: a pipeline with its data and the results of its last run as one zip, for another installation. Reading one is reading a stranger's
 * archive (SEC-8): entries are known by their whole name, nothing is written under a name from inside, and files, sizes and ratios have limits.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { Unzip, UnzipInflate } from 'fflate'
import { registry } from '../../nodes'
import type { Registry } from '../../nodes/_kit/define-node'
import { LIMITS, type Pipeline } from '../../nodes/_kit/graph'
import { loadDocument } from '../../nodes/_kit/migrate'
import { readPipelineFile, writePipelineFile } from '../../nodes/_kit/pipeline-file'
import { portable } from '../../nodes/_kit/portable'
import { PORTS } from '../../nodes/_kit/ports'
import { paramSchemas } from '../../nodes/_kit/problems'
import { AppError } from '../errors'
import { type FileSources, openFileParam } from '../files'
import { recordArtifacts } from '../storage/artifacts'
import type { Storage } from '../storage/db'
import { metricPoints } from '../storage/events'
import { newId } from '../storage/ids'
import { createPipeline, getPipeline } from '../storage/pipelines'
import { listRuns, runSnapshot } from '../storage/runs'
import { DATA_HEADERS } from './guard'
import { asAttachment, cleanName, streamOf, type ZipSource, zipChunks } from './transfer'

type Stores = { storage: Storage; files: FileSources; version: string }

const PIPELINE = 'pipeline.thaw.json'
const DATA = /^data\/([0-9a-f]{64})\/([^/\\\0]{1,255})$/
const RESULT = /^results\/[A-Za-z0-9_][A-Za-z0-9_.-]{0,150}$/
export const BUNDLE_LIMITS = { files: 500, bytes: 4 * 1024 ** 3, results: 64 * 1024 * 1024, ratio: 200 } as const

const types: Registry = registry

/** Params of a node that name a file. */
function fileParams(type: string, params: Record<string, unknown>): [string, string][] {
  const def = Object.hasOwn(types, type) ? types[type] : undefined
  if (!def) return []
  const schemas = paramSchemas(def)
  return Object.entries(params).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string' && entry[1] !== '' && schemas[entry[0]]?.meta()?.widget === 'file',
  )
}

/** The document with its files as uploads, and those files. What cannot be opened stays named and is left out. */
async function collectData(document: Pipeline, owner: string, { storage, files }: Stores) {
  const data = new Map<string, { path: string; digest: string; sizeBytes: number; name: string }>()
  const nodes: Pipeline['nodes'] = {}
  for (const [id, node] of Object.entries(document.nodes)) {
    const params = { ...node.params }
    for (const [name, value] of fileParams(node.type, node.params)) {
      const opened = await openFileParam(files, value).catch(() => null)
      if (!opened) continue
      try {
        const stored =
          opened.digest === null
            ? await files.artifacts.putStream(opened.file.createReadStream({ autoClose: false }) as AsyncIterable<Uint8Array>)
            : { digest: opened.digest, sizeBytes: opened.sizeBytes }
        const clean = cleanName(opened.name)
        data.set(stored.digest, { ...stored, name: clean, path: `data/${stored.digest}/${clean}` })
        params[name] = `upload:${stored.digest}/${clean}`
      } finally {
        await opened.file.close()
      }
    }
    nodes[id] = { ...node, params }
  }
  const list = [...data.values()]
  if (list.length)
    await storage.db.transaction((tx) =>
      recordArtifacts(
        tx,
        files.artifacts,
        owner,
        { kind: 'upload', id: newId() },
        list.map(({ digest, sizeBytes, name }) => ({ digest, sizeBytes, kind: 'upload', meta: { name } })),
      ),
    )
  return { document: { ...document, nodes }, data: list }
}

/** What the last run found, as files that open anywhere: its summary, metrics, reports and curves. Weights travel as exports, not here. */
async function collectResults(pipelineId: string, owner: string, { storage, files }: Stores): Promise<ZipSource[]> {
  const [last] = await listRuns(storage.db, owner, { pipelineId, limit: 1 })
  if (!last) return []
  const { run, nodes } = await runSnapshot(storage.db, owner, last.id)
  const list: ZipSource[] = []
  const json = (path: string, value: unknown) => list.push(textSource(`results/${path}`, `${JSON.stringify(value, null, 2)}\n`))
  json('run.json', {
    number: run.number,
    status: run.status,
    createdAt: run.createdAt,
    endedAt: run.endedAt,
    nodes: nodes.map(({ nodeId, type, status }) => ({ node: nodeId, type, status })),
  })
  for (const node of nodes) {
    const points = await metricPoints(storage.db, owner, run.id, node.nodeId)
    if (points.length) json(`${node.nodeId}.curves.json`, points)
    for (const [port, value] of Object.entries(node.outputs ?? {})) {
      const report = PORTS.report.safeParse(value)
      const metrics = PORTS.metrics.safeParse(value)
      if (report.success && (await files.artifacts.has(report.data.artifact)) !== null) {
        const ending = { 'application/json': 'json', 'text/markdown': 'md', 'text/html': 'html' }[report.data.mediaType]
        const { artifact } = report.data
        list.push({
          path: `results/${node.nodeId}.${port}.${ending}`,
          chunks: async () => (await files.artifacts.open(artifact)) as AsyncIterable<Uint8Array>,
        })
      } else if (metrics.success && Object.keys(metrics.data).length) json(`${node.nodeId}.${port}.json`, metrics.data)
    }
  }
  return list
}

const textSource = (path: string, text: string): ZipSource => ({
  path,
  chunks: async () =>
    (async function* () {
      yield new TextEncoder().encode(text)
    })(),
})

/** The zip. @throws AppError NOT_FOUND, TOO_LARGE */
export async function bundle(owner: string, pipelineId: string, stores: Stores): Promise<Response> {
  const row = await getPipeline(stores.storage.db, owner, pipelineId)
  const loaded = loadDocument(row.document, registry)
  const { document, data } = await collectData(loaded.ok ? loaded.document : row.document, owner, stores)
  const total = data.reduce((sum, file) => sum + file.sizeBytes, 0)
  if (total > BUNDLE_LIMITS.bytes)
    throw new AppError('TOO_LARGE', {
      message: 'The data of this pipeline are too large for a bundle.',
      expected: 'at most 4 GiB',
      got: `${total} bytes`,
      fix: 'Pass the pipeline file on, and the data by another way.',
    })
  const sources: ZipSource[] = [
    textSource(PIPELINE, writePipelineFile(portable(document, types).document, row.name, stores.version)),
    ...data.map(({ path, digest }) => ({
      path,
      chunks: async () => (await stores.files.artifacts.open(digest)) as AsyncIterable<Uint8Array>,
    })),
    ...(await collectResults(pipelineId, owner, stores)),
  ]
  return new Response(streamOf(zipChunks(sources)), {
    headers: { ...DATA_HEADERS, ...asAttachment(`${cleanName(row.name)}.thaw.zip`, 'application/zip') },
  })
}

const refused = (message: string, facts: { where?: string; expected?: string; got?: string } = {}) =>
  new AppError('INVALID_INPUT', { message, ...facts, fix: 'Make the bundle again with Share, Bundle.' })

type Unpacked = { pipeline: string; data: { digest: string; name: string; path: string; sizeBytes: number }[]; results: number }

/** Writes data entries under `folder` with names of our own; nothing else of the archive reaches the disk. */
async function unpack(body: AsyncIterable<Uint8Array>, folder: string): Promise<Unpacked> {
  const data: Unpacked['data'] = []
  const seen = new Set<string>()
  const pipeline: Uint8Array[] = []
  const open = new Set<number>()
  const close = (fd: number) => {
    if (open.delete(fd)) fs.closeSync(fd)
  }
  let failed: Error | null = null
  let files = 0
  let results = 0
  let read = 0
  let written = 0
  const fail = (error: Error) => {
    failed ??= error
  }
  const unzip = new Unzip((entry) => {
    const { name } = entry
    const named = DATA.exec(name)
    files += 1
    if (files > BUNDLE_LIMITS.files)
      return fail(refused('The bundle holds too many files.', { expected: `at most ${BUNDLE_LIMITS.files}` }))
    if (seen.has(name.toLowerCase())) return fail(refused('The bundle holds a file twice.', { got: name.slice(0, 200) }))
    seen.add(name.toLowerCase())
    if (!named && name !== PIPELINE && !RESULT.test(name))
      return fail(
        refused('The bundle holds a file that does not belong there.', {
          expected: `${PIPELINE}, data/<sha256>/<name>, results/<name>`,
          got: name.slice(0, 200),
        }),
      )
    const limit = named ? BUNDLE_LIMITS.bytes : name === PIPELINE ? 2 * LIMITS.bytes : BUNDLE_LIMITS.results
    const path = join(folder, `${data.length}`)
    const fd = named ? fs.openSync(path, 'wx', 0o600) : null
    if (fd !== null) open.add(fd)
    const hash = createHash('sha256')
    let size = 0
    if (!named && name !== PIPELINE) results += 1
    entry.ondata = (error, chunk, final) => {
      if (error) fail(refused('The bundle is damaged.', { where: name, got: error.message }))
      size += chunk?.length ?? 0
      written += chunk?.length ?? 0
      if (size > limit || written > BUNDLE_LIMITS.bytes)
        fail(new AppError('TOO_LARGE', { message: 'A file of the bundle is too large.', where: name, expected: `at most ${limit} bytes` }))
      // 1 MiB is let through first: small files of zeros are no bombs.
      if (written > 1 << 20 && written > BUNDLE_LIMITS.ratio * read)
        fail(
          new AppError('TOO_LARGE', {
            message: 'The bundle unpacks to far more than it holds.',
            where: name,
            expected: `at most ${BUNDLE_LIMITS.ratio} times`,
          }),
        )
      if (failed) {
        if (fd !== null) close(fd)
        return
      }
      if (fd !== null) fs.writeSync(fd, chunk)
      if (name === PIPELINE) pipeline.push(chunk.slice())
      hash.update(chunk)
      if (!final || !named || fd === null) return
      fs.fsyncSync(fd)
      close(fd)
      const digest = hash.digest('hex')
      if (digest !== named[1])
        return fail(
          refused('A data file of the bundle is not what its name says.', { where: name, expected: named[1] as string, got: digest }),
        )
      data.push({ digest, name: named[2] as string, path, sizeBytes: size })
    }
    entry.start()
  })
  unzip.register(UnzipInflate)
  try {
    for await (const chunk of body) {
      // In small pieces: what one of them unpacks to is in memory at once.
      for (let at = 0; at < chunk.length && !failed; at += 1 << 14) {
        const part = chunk.subarray(at, at + (1 << 14))
        read += part.length
        unzip.push(part)
      }
      if (failed) break
    }
    if (!failed) unzip.push(new Uint8Array(0), true)
  } catch (cause) {
    fail(
      cause instanceof AppError
        ? cause
        : refused('This is no bundle, or it is damaged.', { got: cause instanceof Error ? cause.message : String(cause) }),
    )
  }
  for (const fd of open) close(fd)
  if (failed) throw failed
  if (pipeline.length === 0)
    throw refused('There is no pipeline in this file.', {
      expected: PIPELINE,
      got: files ? [...seen].slice(0, 5).join(', ') : 'no zip entries',
    })
  return { pipeline: Buffer.concat(pipeline).toString('utf8'), data, results }
}

/** Opens a bundle as a new pipeline. Nothing in it runs. @throws AppError INVALID_INPUT, INVALID_DOCUMENT, TOO_LARGE */
export async function importBundle(request: Request, owner: string, { storage, files }: Stores): Promise<Response> {
  if (request.headers.get('content-type')?.split(';')[0]?.trim() !== 'application/octet-stream' || !request.body)
    throw new AppError('INVALID_INPUT', {
      message: 'A bundle is sent as the bytes of one file.',
      where: 'content-type',
      expected: 'application/octet-stream',
    })
  const incoming = join(files.home, 'incoming')
  fs.mkdirSync(incoming, { recursive: true, mode: 0o700 })
  const folder = fs.mkdtempSync(join(incoming, 'bundle-'))
  try {
    const unpacked = await unpack(request.body as unknown as AsyncIterable<Uint8Array>, folder)
    const found = readPipelineFile(parseJson(unpacked.pipeline))
    const loaded = found && loadDocument(found.document, registry)
    if (!found || !loaded?.ok) {
      const [first] = loaded && !loaded.ok ? loaded.problems : []
      throw new AppError('INVALID_DOCUMENT', {
        message: first?.message ?? 'The pipeline of this bundle cannot be read.',
        where: first?.where ?? PIPELINE,
        fix: first?.fix,
      })
    }
    for (const file of unpacked.data) await files.artifacts.putFile(file.path, 'move')
    await storage.db.transaction((tx) =>
      recordArtifacts(
        tx,
        files.artifacts,
        owner,
        { kind: 'upload', id: newId() },
        unpacked.data.map(({ digest, sizeBytes, name }) => ({ digest, sizeBytes, kind: 'upload', meta: { name: cleanName(name) } })),
      ),
    )
    const { id, name } = await createPipeline(storage.db, owner, { name: found.name ?? 'Bundle', document: loaded.document })
    return Response.json({ id, name, data: unpacked.data.length, results: unpacked.results }, { headers: DATA_HEADERS })
  } finally {
    fs.rmSync(folder, { recursive: true, force: true })
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
