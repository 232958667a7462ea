/**
 * The one way from a file param to bytes (SEC-6): `template:<template>/<file>`, `upload:<digest>/<name>`, or a path. The path is resolved
 * first and then opened without following links, and what was opened is compared with what was resolved, so a link swapped in between
 * opens nothing.
 */
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises'
import { basename, isAbsolute, join, sep } from 'node:path'
import { AppError } from './errors'
import type { ArtifactStore } from './storage/artifact-store'

export type FileParam =
  | { kind: 'template'; template: string; file: string }
  | { kind: 'upload'; digest: string; name: string }
  | { kind: 'path'; path: string }

const refused = (got: string, message: string, fix?: string) => new AppError('PATH_REFUSED', { message, got: got.slice(0, 200), fix })
const NAME = /^[^/\\\0]{1,255}$/

/** @throws AppError PATH_REFUSED for anything that could mean another file than it says. */
export function parseFileParam(value: string): FileParam {
  if (value.length === 0) throw new AppError('INVALID_PARAM', { message: 'No file is chosen.', param: 'file', fix: 'Choose a file.' })
  if (value.length > 4_095 || value.includes('\0')) throw refused(value, 'This is not a file name.')
  const template = /^template:([a-z0-9][a-z0-9-]{0,63})\/([A-Za-z0-9][A-Za-z0-9._-]{0,200})$/.exec(value)
  if (template) return { kind: 'template', template: template[1] as string, file: template[2] as string }
  const upload = /^upload:([0-9a-f]{64})\/(.+)$/s.exec(value)
  if (upload && NAME.test(upload[2] as string)) return { kind: 'upload', digest: upload[1] as string, name: upload[2] as string }
  if (/^(template|upload):/.test(value)) throw refused(value, 'This is not the name of a shipped or uploaded file.')
  return { kind: 'path', path: value }
}

export type FileSources = {
  /** The checkout, for templates/. */
  root: string
  /** THAW_HOME: its secrets are never data. */
  home: string
  artifacts: ArtifactStore
  /** Folders that paths must lie under. In local mode the account's own files are trusted: everything but devices and our secrets. */
  allowed?: readonly string[]
}

export type OpenedFile = {
  name: string
  sizeBytes: number
  /** Equal stamps mean: not changed since (R-61: they decide only whether to hash again). */
  stamp: string
  /** Known without reading for uploads. */
  digest: string | null
  file: FileHandle
}

/**
 * The account's own files are trusted (security.md section 1), but a page that got hold of a login should not be able to show these as rows.
 * Not a boundary: the boundary is the token.
 */
const SYSTEM = [
  '/proc',
  '/sys',
  '/dev',
  '/etc',
  '/boot',
  '/run/secrets',
  '/run/user',
  '/bin',
  '/sbin',
  '/lib',
  '/usr',
  '/var/lib',
  '/var/log',
  '/var/spool',
  '/private/etc',
  'C:\\Windows',
]
const CREDENTIALS = /[/\\](\.(ssh|gnupg|aws|azure|kube|docker|netrc|npmrc|pypirc|git-credentials|env)|\.config[/\\]gcloud)([/\\]|$)/i
const belongsToSystem = (path: string) => SYSTEM.some((folder) => under(path, folder)) || CREDENTIALS.test(path)

const under = (path: string, folder: string) => path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)

/** Opens for reading; the caller closes. @throws AppError PATH_REFUSED, NOT_FOUND, ARTIFACT_MISSING */
export async function openFileParam(sources: FileSources, value: string): Promise<OpenedFile> {
  const param = parseFileParam(value)
  if (param.kind === 'upload') {
    if ((await sources.artifacts.has(param.digest)) === null) {
      throw new AppError('NOT_FOUND', {
        message: `The uploaded file ${param.name} is not here any more.`,
        got: value,
        fix: 'Upload it again.',
      })
    }
    return { ...(await openRegular(sources.artifacts.path(param.digest))), name: param.name, digest: param.digest }
  }
  const asked = param.kind === 'template' ? join(sources.root, 'templates', param.template, param.file) : param.path
  if (!isAbsolute(asked)) {
    throw refused(
      value,
      'A path must be absolute here.',
      'Give the whole path, choose the file in the form, or use npx thaw run, which reads paths beside the pipeline file.',
    )
  }
  const path = await resolved(asked, value)
  const folders = param.kind === 'template' ? [await realpath(join(sources.root, 'templates'))] : (sources.allowed ?? [sep])
  if (!folders.some((folder) => under(path, folder)) && process.platform !== 'win32')
    throw refused(value, 'This file is outside the folders that Thaw may read.')
  if (param.kind === 'path' && belongsToSystem(path))
    throw refused(value, 'This file belongs to the system or holds credentials; it is no data.')
  const home = await realpath(sources.home).catch(() => sources.home)
  if (under(path, home) && !['artifacts', 'exports', 'uploads'].some((name) => under(path, join(home, name)))) {
    throw refused(value, "This file belongs to Thaw's own state.")
  }
  return { ...(await openRegular(path)), name: basename(path), digest: null }
}

async function resolved(asked: string, value: string): Promise<string> {
  try {
    return await realpath(asked)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new AppError('NOT_FOUND', {
        message: `There is no file ${value}.`,
        got: value.slice(0, 400),
        fix: 'Check the path, or choose the file again.',
      })
    if (code === 'EACCES' || code === 'EPERM') throw refused(value, 'The account that runs Thaw may not read this file.')
    throw refused(value, 'This path cannot be followed.')
  }
}

async function openRegular(path: string): Promise<Omit<OpenedFile, 'name' | 'digest'>> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ELOOP') throw refused(path, 'A link appeared in place of the file.')
    if (code === 'EISDIR') throw refused(path, 'This is a folder, not a file.')
    throw refused(path, 'The account that runs Thaw may not read this file.')
  }
  try {
    const info = await file.stat()
    if (info.isDirectory()) throw refused(path, 'This is a folder, not a file.')
    if (!info.isFile()) throw refused(path, 'This is no regular file.')
    // A folder above may have been replaced by a link after it was resolved: ask the kernel what was opened.
    if (process.platform === 'linux' && (await readlink(`/proc/self/fd/${file.fd}`)) !== path)
      throw refused(path, 'The file moved while it was opened.')
    return { file, sizeBytes: info.size, stamp: `${info.dev}:${info.ino}:${info.size}:${info.mtimeMs}` }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** sha256 of an opened file, from its beginning. */
export async function digestOfFile(file: FileHandle): Promise<string> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(1 << 20)
  for (let position = 0; ; ) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position)
    if (bytesRead === 0) return hash.digest('hex')
    hash.update(buffer.subarray(0, bytesRead))
    position += bytesRead
  }
}

/** Reads a whole file param. @throws AppError TOO_LARGE beyond `limitBytes` */
export async function readFileParam(
  sources: FileSources,
  value: string,
  limitBytes = 2 ** 31,
): Promise<{ bytes: Uint8Array; name: string; digest: string }> {
  const opened = await openFileParam(sources, value)
  try {
    if (opened.sizeBytes > limitBytes)
      throw new AppError('TOO_LARGE', {
        message: `${opened.name} is too large to read at once.`,
        expected: `at most ${limitBytes} bytes`,
        got: `${opened.sizeBytes} bytes`,
      })
    const bytes = await opened.file.readFile()
    return { bytes, name: opened.name, digest: createHash('sha256').update(bytes).digest('hex') }
  } finally {
    await opened.file.close()
  }
}
