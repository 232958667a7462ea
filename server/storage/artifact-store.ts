/**
 * Content-addressed bytes on the local disk (R-71 … R-75): `sha256/ab/<digest>` holds what is complete, `incoming/` what is being written,
 * `damaged/` what turned out not to match its name.
 *
 * A file appears under its digest in one step (`link`), after its bytes are on disk, and never changes again (0444). So any number of
 * processes may put the same bytes at once, each may be killed at any moment, and what is under `sha256/` is right. The database is not asked
 * here; who keeps an artifact alive is in artifacts.ts.
 */
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, type ReadStream } from 'node:fs'
import {
  chmod,
  constants,
  copyFile,
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  unlink,
  utimes,
} from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { AppError } from '../errors'
import { isAlive, processStart } from '../lock-file'

export type Stored = { digest: string; sizeBytes: number }
export type ManifestFile = { path: string; digest: string; size: number; role?: string | undefined }

const DIGEST = /^[0-9a-f]{64}$/
const CHUNK = 1 << 20
const LEFTOVER_MS = 24 * 3_600_000

/** Relative, forward slashes, no `..`, nothing empty: safe to join onto any folder. */
export function isManifestPath(path: string): boolean {
  if (path.length === 0 || path.length > 1_024 || /[\\\0]/.test(path) || /^[A-Za-z]:/.test(path)) return false
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

const Manifest = z.strictObject({
  files: z
    .array(
      z.strictObject({
        path: z.string().refine(isManifestPath, 'must be a relative path without ..'),
        digest: z.string().regex(DIGEST),
        size: z.int().min(0),
        role: z.string().optional(),
      }),
    )
    .max(100_000),
})

export class ArtifactStore {
  readonly folder: string
  /** Digests whose bytes this process has hashed; value: whether they matched. */
  readonly #verified = new Map<string, Promise<boolean>>()
  #ready: Promise<void> | undefined

  /** @param folder THAW_HOME/artifacts */
  constructor(folder: string) {
    this.folder = folder
  }

  /** Where the bytes of a digest are, or would be. @throws AppError PATH_REFUSED for anything that is not a digest (SEC-6). */
  path(digest: string): string {
    if (!DIGEST.test(digest))
      throw new AppError('PATH_REFUSED', {
        message: 'This is not the digest of an artifact.',
        expected: '64 hexadecimal digits',
        got: digest.slice(0, 80),
      })
    return join(this.folder, 'sha256', digest.slice(0, 2), digest)
  }

  /** Size in bytes, or null when it is not here. */
  async has(digest: string): Promise<number | null> {
    try {
      return (await stat(this.path(digest))).size
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
      throw error
    }
  }

  /** Stores what arrives, hashing it on the way. @throws AppError TOO_LARGE as soon as `limitBytes` is passed; nothing is kept then. */
  async putStream(chunks: AsyncIterable<Uint8Array>, options: { limitBytes?: number } = {}): Promise<Stored> {
    const incoming = await this.#incoming()
    const hash = createHash('sha256')
    let sizeBytes = 0
    let file: FileHandle | undefined
    try {
      file = await open(incoming, 'wx', 0o600)
      for await (const chunk of chunks) {
        sizeBytes += chunk.byteLength
        if (options.limitBytes !== undefined && sizeBytes > options.limitBytes) {
          throw new AppError('TOO_LARGE', {
            message: 'The file is too large.',
            expected: `at most ${options.limitBytes} bytes`,
            got: 'more',
          })
        }
        hash.update(chunk)
        for (let at = 0; at < chunk.byteLength; ) at += (await file.write(chunk, at)).bytesWritten
      }
      await file.sync()
      await file.close()
      file = undefined
      return await this.#settle(incoming, { digest: hash.digest('hex'), sizeBytes })
    } catch (error) {
      await file?.close().catch(() => {})
      await rm(incoming, { force: true })
      throw error
    }
  }

  async put(bytes: Uint8Array | string): Promise<Stored> {
    const data = typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes
    // Small artifacts are put again and again (tokenizers, manifests): look before writing.
    const digest = createHash('sha256').update(data).digest('hex')
    if ((await this.has(digest)) === data.byteLength && (await this.#touch(digest))) return { digest, sizeBytes: data.byteLength }
    return this.putStream(
      (async function* () {
        yield data
      })(),
    )
  }

  /**
   * Stores a file. `move`: the caller made it and gives it up. `link`: it will never be changed (a download under THAW_CACHE); where a hard
   * link is not possible it is copied. `copy`: anything else; the file system shares the bytes where it can.
   */
  async putFile(path: string, how: 'move' | 'link' | 'copy' = 'copy'): Promise<Stored> {
    const incoming = await this.#incoming()
    try {
      if (how === 'move' && (await attempt(() => rename(path, incoming), ['EXDEV'])))
        return await this.#settle(incoming, await hashFile(incoming, true))
      if (how === 'link' && (await attempt(() => link(path, incoming), ['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EACCES']))) {
        return await this.#settle(incoming, await hashFile(incoming, false))
      }
      if (
        await attempt(
          () => copyFile(path, incoming, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE),
          ['ENOTSUP', 'ENOSYS', 'EXDEV', 'EINVAL', 'ENOTTY', 'EPERM', 'EOPNOTSUPP'],
        )
      ) {
        await chmod(incoming, 0o600)
        return await this.#settle(incoming, await hashFile(incoming, true))
      }
      await rm(incoming, { force: true })
      const stored = await this.putStream(createReadStream(path, { highWaterMark: CHUNK }))
      if (how === 'move') await rm(path, { force: true })
      return stored
    } catch (error) {
      await rm(incoming, { force: true })
      throw error
    }
  }

  /** Stores a manifest: the sorted list of a folder's files, itself an artifact. */
  async putManifest(files: readonly ManifestFile[]): Promise<Stored> {
    const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
    const seen = new Map<string, string>()
    for (const { path } of sorted) {
      if (!isManifestPath(path))
        throw new AppError('PATH_REFUSED', {
          message: 'A file in a manifest has an unsafe path.',
          expected: 'a relative path without ..',
          got: path.slice(0, 200),
        })
      const other = seen.get(path.toLowerCase())
      if (other !== undefined)
        throw new AppError('PATH_REFUSED', {
          message: 'Two files of a manifest differ at most in upper and lower case.',
          got: `${other}, ${path}`,
        })
      seen.set(path.toLowerCase(), path)
    }
    const entries = sorted.map(({ path, digest, size, role }) => ({ path, digest, size, ...(role === undefined ? {} : { role }) }))
    return this.put(JSON.stringify({ files: entries }))
  }

  /** @throws AppError ARTIFACT_MISSING, ARTIFACT_CORRUPT */
  async readManifest(digest: string): Promise<ManifestFile[]> {
    const parsed = Manifest.safeParse(parseJson(await this.readText(digest)))
    if (!parsed.success)
      throw new AppError('ARTIFACT_CORRUPT', {
        message: 'This artifact is not a manifest.',
        where: digest,
        got: z.prettifyError(parsed.error).slice(0, 500),
      })
    return parsed.data.files
  }

  /** A stream over the bytes, for reading only. @param range first and last byte, both included. */
  async open(digest: string, range?: { start: number; end: number }): Promise<ReadStream> {
    if ((await this.has(digest)) === null) throw this.#missing(digest)
    return createReadStream(this.path(digest), { highWaterMark: CHUNK, ...range })
  }

  async read(digest: string): Promise<Uint8Array> {
    try {
      return await readFile(this.path(digest))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw this.#missing(digest)
      throw error
    }
  }

  async readText(digest: string): Promise<string> {
    return Buffer.from(await this.read(digest)).toString('utf8')
  }

  /** Path of verified bytes, for reading only. @throws AppError ARTIFACT_MISSING, ARTIFACT_CORRUPT */
  async verifiedPath(digest: string): Promise<string> {
    if (!(await this.verify(digest))) {
      if ((await this.has(digest)) === null) throw this.#missing(digest)
      throw new AppError('ARTIFACT_CORRUPT', {
        message: 'Stored bytes changed on disk and were set aside.',
        where: digest,
        fix: 'Run again: what made them runs once more.',
      })
    }
    return this.path(digest)
  }

  /** Whether the bytes are here and match their name. The full digest is computed once per process; damaged files are moved aside. */
  verify(digest: string): Promise<boolean> {
    const known = this.#verified.get(digest)
    if (known) return known
    const checked = this.#verifyNow(digest)
    this.#verified.set(digest, checked)
    // Only a good answer is worth remembering: what is missing may be stored later.
    void checked.then(
      (good) => good || this.#verified.delete(digest),
      () => this.#verified.delete(digest),
    )
    return checked
  }

  async #verifyNow(digest: string): Promise<boolean> {
    if ((await this.has(digest)) === null) return false
    const actual = await hashFile(this.path(digest), false)
    if (actual.digest === digest) return true
    await this.setAside(digest)
    return false
  }

  /** Verifies a manifest and every file in it; returns what is not right. */
  async verifyManifest(digest: string): Promise<{ ok: true; files: ManifestFile[] } | { ok: false; digest: string }> {
    if (!(await this.verify(digest))) return { ok: false, digest }
    const files = await this.readManifest(digest)
    for (const file of files) if (!(await this.verify(file.digest))) return { ok: false, digest: file.digest }
    return { ok: true, files }
  }

  /** Takes a damaged file out of the way, so that putting the right bytes works again. */
  async setAside(digest: string): Promise<void> {
    this.#verified.delete(digest)
    const folder = join(this.folder, 'damaged')
    await mkdir(folder, { recursive: true })
    await attempt(() => rename(this.path(digest), join(folder, `${digest}.${Date.now()}`)), ['ENOENT'])
  }

  /** Removes the bytes. Only for garbage collection, under its lock on the digest. */
  async delete(digest: string): Promise<void> {
    this.#verified.delete(digest)
    await rm(this.path(digest), { force: true })
  }

  /**
   * Whether nobody has stored these bytes since `ms` (since 1970). By the time of the last change to the name: a linked download keeps the old
   * time of its bytes.
   */
  async isOlder(digest: string, ms: number): Promise<boolean> {
    const info = await stat(this.path(digest)).catch(() => null)
    return info === null || info.ctimeMs < ms
  }

  /** Removes what killed writers left behind. @returns how many files. */
  async sweep(now = Date.now()): Promise<number> {
    await this.#prepare()
    const folder = join(this.folder, 'incoming')
    let removed = 0
    for (const name of await readdir(folder)) {
      const path = join(folder, name)
      const info = await stat(path).catch(() => null)
      if (!info || now - info.mtimeMs < LEFTOVER_MS) continue
      const [pid, started] = name.split('-')
      if (isAlive({ pid: Number(pid), started: started || null })) continue
      await rm(path, { force: true })
      removed += 1
    }
    return removed
  }

  /** Stored again: garbage collection goes by this time. @returns false when the file is gone. */
  async #touch(digest: string): Promise<boolean> {
    const now = new Date()
    return utimes(this.path(digest), now, now).then(
      () => true,
      (error) => (error as NodeJS.ErrnoException).code !== 'ENOENT',
    )
  }

  #missing(digest: string): AppError {
    return new AppError('ARTIFACT_MISSING', {
      message: 'Stored bytes are missing.',
      where: this.path(digest),
      fix: 'Run again: what made them runs once more.',
    })
  }

  #prepare(): Promise<void> {
    this.#ready ??= (async () => {
      await mkdir(join(this.folder, 'incoming'), { recursive: true, mode: 0o700 })
      await mkdir(join(this.folder, 'sha256'), { recursive: true, mode: 0o700 })
    })()
    return this.#ready
  }

  /** A name in `incoming/` that says who writes it. */
  async #incoming(): Promise<string> {
    await this.#prepare()
    return join(this.folder, 'incoming', `${process.pid}-${processStart(process.pid) ?? ''}-${randomUUID()}`)
  }

  /** Gives a complete, synced file its name. */
  async #settle(incoming: string, stored: Stored): Promise<Stored> {
    const target = this.path(stored.digest)
    const folder = join(this.folder, 'sha256', stored.digest.slice(0, 2))
    await chmod(incoming, 0o444)
    const made = await mkdir(folder, { recursive: true, mode: 0o700 })
    if (made) await syncFolder(join(this.folder, 'sha256'))
    if (!(await attempt(() => link(incoming, target), ['EEXIST']))) {
      // Already here. A different size means the old bytes are damaged; the same size is taken as equal, `verify` says for sure.
      if ((await this.has(stored.digest)) !== stored.sizeBytes) {
        await this.setAside(stored.digest)
        await link(incoming, target)
      } else await this.#touch(stored.digest)
    }
    await unlink(incoming)
    await syncFolder(folder)
    return stored
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** true when it worked, false for the errors that mean "try another way"; anything else is thrown. */
async function attempt(work: () => Promise<unknown>, otherwise: readonly string[]): Promise<boolean> {
  try {
    await work()
    return true
  } catch (error) {
    if (otherwise.includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}

async function hashFile(path: string, sync: boolean): Promise<Stored> {
  const file = await open(path, 'r')
  try {
    const hash = createHash('sha256')
    const buffer = Buffer.allocUnsafe(CHUNK)
    let sizeBytes = 0
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK, null)
      if (bytesRead === 0) break
      hash.update(buffer.subarray(0, bytesRead))
      sizeBytes += bytesRead
    }
    if (sync) await file.sync()
    return { digest: hash.digest('hex'), sizeBytes }
  } finally {
    await file.close()
  }
}

/** So that the new name itself survives a power loss. Windows cannot open folders and needs no such call. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
