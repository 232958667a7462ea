/** Files in and out: uploads streamed to artifacts (SEC-7), outputs of runs as attachments of a fixed type (SEC-14). */
import { Readable } from 'node:stream'
import { Zip, ZipPassThrough } from 'fflate'
import * as z from 'zod'
import { PORTS } from '../../nodes/_kit/ports'
import { AppError } from '../errors'
import type { ArtifactStore, ManifestFile } from '../storage/artifact-store'
import { recordArtifacts } from '../storage/artifacts'
import type { Storage } from '../storage/db'
import { newId } from '../storage/ids'
import { outputsOf } from '../storage/runs'
import { DATA_HEADERS } from './guard'

export const UPLOAD_LIMIT = 4 * 1024 ** 3
/** The plain zip format ends here; larger exports are copied from the folder that the CLI names. */
const ZIP_LIMIT = 2 ** 32 - 1

type Stores = { storage: Storage; artifacts: ArtifactStore }

/** The last part of a name, without anything that means something to a file system or a terminal. */
export function cleanName(given: string): string {
  const last = given.normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const name = [...last]
    .filter((char) => char >= ' ' && char !== '\u007f' && !'<>:"|?*'.includes(char))
    .join('')
    .replace(/^\.+/, '')
    .trim()
  return name.slice(-150) || 'file'
}

/**
 * The body is the file; its name is a label. No field of the request names a file on this machine, so only bytes that came through the wire
 * can be stored. The content type is fixed, which also keeps forms of other pages out.
 */
export async function upload(
  request: Request,
  owner: string,
  { storage, artifacts }: Stores,
  limitBytes = UPLOAD_LIMIT,
): Promise<Response> {
  if (request.headers.get('content-type')?.split(';')[0]?.trim() !== 'application/octet-stream') {
    throw new AppError('INVALID_INPUT', {
      message: 'An upload is the bytes of one file.',
      where: 'content-type',
      expected: 'application/octet-stream',
      got: request.headers.get('content-type')?.slice(0, 100) ?? 'nothing',
    })
  }
  const announced = Number(request.headers.get('content-length') ?? 0)
  if (announced > limitBytes)
    throw new AppError('TOO_LARGE', {
      message: 'The file is too large.',
      expected: `at most ${limitBytes} bytes`,
      got: `${announced} bytes`,
    })
  if (!request.body) throw new AppError('INVALID_INPUT', { message: 'The upload has no body.' })
  const name = cleanName(new URL(request.url).searchParams.get('name') ?? '')
  const stored = await artifacts.putStream(request.body as unknown as AsyncIterable<Uint8Array>, { limitBytes })
  if (stored.sizeBytes === 0) throw new AppError('INVALID_INPUT', { message: 'The file is empty.', got: '0 bytes' })
  await storage.db.transaction((tx) =>
    recordArtifacts(tx, artifacts, owner, { kind: 'upload', id: newId() }, [{ ...stored, kind: 'upload', meta: { name } }]),
  )
  return Response.json(
    { file: `upload:${stored.digest}/${name}`, digest: stored.digest, name, sizeBytes: stored.sizeBytes },
    { headers: DATA_HEADERS },
  )
}

const Datasets = z.object({ artifact: z.string(), name: z.string(), format: z.string() })
const Reports = PORTS.report
const Models = PORTS.model

/** An output of a run: one file as it is, several as a zip that stores them. Reached through the run and its owner, never by digest (SEC-16). */
export async function download(
  owner: string,
  of: { run: string; node: string; port: string },
  { storage, artifacts }: Stores,
): Promise<Response> {
  const { outputs } = await outputsOf(storage.db, owner, of.run, of.node)
  const value = outputs && Object.hasOwn(outputs, of.port) ? outputs[of.port] : undefined
  if (value === undefined) throw new AppError('NOT_FOUND', { message: 'This node has no such output yet.', got: `${of.node}.${of.port}` })

  const file = PORTS.file.safeParse(value)
  if (file.success) {
    const files = await artifacts.readManifest(file.data.manifest)
    const [only] = files
    if (only && files.length === 1) return attachment(artifacts, only.digest, cleanName(only.path))
    return zipped(artifacts, files, cleanName(file.data.name))
  }
  const dataset = Datasets.safeParse(value)
  if (dataset.success)
    return attachment(artifacts, dataset.data.artifact, `${cleanName(dataset.data.name).replace(/\.\w{1,8}$/, '')}.jsonl`)
  const report = Reports.safeParse(value)
  if (report.success) {
    const ending = { 'application/json': 'json', 'text/markdown': 'md', 'text/html': 'html' }[report.data.mediaType]
    return attachment(artifacts, report.data.artifact, `${cleanName(report.data.title)}.${ending}`)
  }
  if (Models.safeParse(value).success) {
    throw new AppError('UNSUPPORTED', {
      message: 'A model on a wire has no file of its own.',
      fix: 'Add an Export node after it and download from there.',
    })
  }
  return new Response(`${JSON.stringify(value, null, 2)}\n`, {
    headers: { ...DATA_HEADERS, ...asAttachment(`${of.node}-${of.port}.json`) },
  })
}

/** Headers of a download: always a file of a fixed type, never shown inline (SEC-14). */
export const asAttachment = (name: string, type = 'application/octet-stream') => ({
  'content-type': type,
  'content-disposition': `attachment; filename="${name.replace(/[^\x20-\x7e]|["\\%]/g, '_')}"; filename*=UTF-8''${encodeURIComponent(name).replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`,
})

async function attachment(artifacts: ArtifactStore, digest: string, name: string): Promise<Response> {
  if (!(await artifacts.verify(digest))) await artifacts.verifiedPath(digest)
  const sizeBytes = await artifacts.has(digest)
  const stream = Readable.toWeb(await artifacts.open(digest)) as ReadableStream<Uint8Array>
  return new Response(stream, { headers: { ...DATA_HEADERS, ...asAttachment(name), 'content-length': String(sizeBytes) } })
}

/** Bytes of a stored zip with these entries: header and descriptor before and after each file, the directory at the end. */
export function zipSize(files: readonly { path: string; size: number }[]): number {
  return files.reduce((sum, file) => sum + 30 + 16 + 46 + 2 * Buffer.byteLength(file.path) + file.size, 22)
}

async function zipped(artifacts: ArtifactStore, files: readonly ManifestFile[], name: string): Promise<Response> {
  const size = zipSize(files)
  if (size > ZIP_LIMIT) {
    throw new AppError('TOO_LARGE', {
      message: `${name} is too large for one zip file.`,
      expected: 'less than 4 GiB',
      got: `${size} bytes`,
      fix: 'Run the pipeline with npx thaw run, which writes the folder under THAW_HOME/exports.',
    })
  }
  // Everything is checked before the first byte leaves: a broken download would look like a broken model.
  for (const file of files) await artifacts.verifiedPath(file.digest)
  const chunks = zipChunks(
    files.map((file) => ({ path: file.path, chunks: async () => (await artifacts.open(file.digest)) as AsyncIterable<Uint8Array> })),
  )
  return new Response(streamOf(chunks), {
    headers: { ...DATA_HEADERS, ...asAttachment(`${name}.zip`, 'application/zip'), 'content-length': String(size) },
  })
}

/** Pulled as fast as the receiver takes it; a receiver that goes away ends the work. */
export const streamOf = (chunks: AsyncGenerator<Uint8Array, void>): ReadableStream<Uint8Array> =>
  new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { value, done } = await chunks.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    async cancel() {
      await chunks.return(undefined)
    },
  })

export type ZipSource = { readonly path: string; chunks(): Promise<AsyncIterable<Uint8Array>> }

/** Weights do not compress; storing them keeps the download as fast as the disk. One chunk is in memory at a time. */
export async function* zipChunks(files: readonly ZipSource[]): AsyncGenerator<Uint8Array, void> {
  let ready: Uint8Array[] = []
  let failed: Error | null = null
  const zip = new Zip((error, chunk) => {
    if (error) failed = error
    else ready.push(chunk)
  })
  function* take() {
    if (failed) throw failed
    const out = ready
    ready = []
    yield* out
  }
  for (const file of files) {
    const entry = new ZipPassThrough(file.path)
    // The same bytes give the same zip, whenever it is downloaded.
    entry.mtime = new Date(1980, 0, 1)
    zip.add(entry)
    for await (const chunk of await file.chunks()) {
      entry.push(chunk)
      yield* take()
    }
    entry.push(new Uint8Array(0), true)
    yield* take()
  }
  zip.end()
  yield* take()
}
