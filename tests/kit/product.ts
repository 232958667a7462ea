/**
 * Starts the product as `npm start` does: supervisor, real PostgreSQL, web server, worker and trainer, on a home of its own.
 * Downloads (engine, models) lie in the machine's THAW_CACHE, so that an empty home fetches nothing twice.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { descendants, isAlive, type ProcessInfo } from './processes'
import { until } from './wait'

export const ROOT = join(import.meta.dirname, '../..')
/** Node 24, with which every script of ours runs. Tests run on it too. */
export const NODE = process.execPath

export type Part = 'web' | 'worker' | 'trainer' | 'postgres'

export interface Product extends AsyncDisposable {
  readonly home: string
  /** What was printed for the browser, with the token. */
  readonly url: string
  readonly origin: string
  readonly pid: number
  /** From the start of the program to the printed URL. */
  readonly startMs: number
  output(): string
  /** Living processes of one part. */
  part(part: Part): Promise<ProcessInfo[]>
  /** kill -9 of one part; resolves to the pid that is gone. Of PostgreSQL, the postmaster: its backends end themselves. */
  kill(part: Part): Promise<number>
  /** A request with the install's token, as a script would send it. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** SIGTERM, waits for the end, and fails when a process is left over. */
  stop(): Promise<void>
  /** kill -9 of the supervisor. */
  crash(): Promise<void>
  /** kill -9 of the supervisor, of everything it started and of the database, adopted or not, before one of them can notice. */
  crashAll(): Promise<void>
}

type Options = { home: string; port?: number; env?: Record<string, string>; root?: string; timeoutMs?: number }

/** Starts and waits for the URL, for minutes where pages must be built on a busy machine. `home` is created. Throws with the output when the program ends before. */
export async function startProduct({ home, port, env = {}, root = ROOT, timeoutMs = 560_000 }: Options): Promise<Product> {
  await mkdir(home, { recursive: true })
  const from = performance.now()
  let text = ''
  let ended: string | null = null
  const child: ChildProcess = spawn(NODE, [join(root, 'scripts/start.mjs')], {
    cwd: root,
    env: { ...process.env, THAW_HOME: home, ...(port ? { PORT: String(port) } : {}), NO_COLOR: '1', NEXT_TELEMETRY_DISABLED: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const pid = child.pid
  if (pid === undefined) throw new Error('The product could not be started.')
  child.stdout?.on('data', (chunk) => {
    text += chunk
  })
  child.stderr?.on('data', (chunk) => {
    text += chunk
  })
  child.on('exit', (code, signal) => {
    ended = `exit code ${code}, signal ${signal}`
  })
  const url = await until(
    'the printed URL',
    () => {
      if (ended) throw new Error(`The product ended (${ended}) before it printed a URL:\n${text}`)
      return /http:\/\/(?:127\.0\.0\.1|localhost):\d+\/\S*/.exec(text)?.[0]
    },
    { timeoutMs, everyMs: 20 },
  ).catch(async (error) => {
    if (await isAlive(pid)) process.kill(pid, 'SIGKILL')
    throw new Error(`${error.message}\n${text}`, { cause: error })
  })
  const startMs = performance.now() - from
  const { origin } = new URL(url)
  let known: ProcessInfo[] = []
  let cookie: string | null = null

  const part = async (name: Part): Promise<ProcessInfo[]> => {
    known = await descendants(pid)
    return known.filter((info) => PARTS[name].test(info.command))
  }

  const product: Product = {
    home,
    url,
    origin,
    pid,
    startMs,
    output: () => text,
    part,
    async kill(name) {
      const [victim] = name === 'postgres' ? [{ pid: await postmasterOf(home) }] : await part(name)
      if (!victim) throw new Error(`No ${name} to kill. Processes:\n${known.map((info) => `${info.pid} ${info.command}`).join('\n')}`)
      process.kill(victim.pid, 'SIGKILL')
      await until(`the end of ${name}`, async () => !(await isAlive(victim.pid)))
      return victim.pid
    },
    async fetch(path, init = {}) {
      cookie ??= await logIn(url)
      return fetch(new URL(path, origin), { ...init, redirect: 'manual', headers: { cookie, ...(init.headers ?? {}) } })
    },
    async stop() {
      if (ended) return
      const family = await descendants(pid)
      child.kill('SIGTERM')
      await until('the product to end', () => ended, { timeoutMs: 45_000 }).catch((error) => {
        child.kill('SIGKILL')
        throw new Error(`${error.message}\n${text.slice(-4_000)}`, { cause: error })
      })
      await until(
        'its processes to end',
        async () => (await Promise.all(family.map((info) => isAlive(info.pid)))).every((alive) => !alive),
        { timeoutMs: 15_000 },
      )
    },
    async crash() {
      child.kill('SIGKILL')
      await until('the supervisor to end', () => ended)
    },
    async crashAll() {
      const family = [pid, ...(await descendants(pid)).map((info) => info.pid), await postmasterOf(home)]
      for (const victim of new Set(family)) {
        try {
          process.kill(victim, 'SIGKILL')
        } catch (error) {
          // A backend may have left between listing and killing.
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
        }
      }
      await until('all of it to end', async () => (await Promise.all(family.map(isAlive))).every((alive) => !alive))
    },
    async [Symbol.asyncDispose]() {
      await product.stop()
    },
  }
  return product
}

/** The database server of a home. After a kill -9 of the supervisor it lives on, so it is no descendant of the next one (R-11). */
async function postmasterOf(home: string): Promise<number> {
  const [pid] = (await readFile(join(home, 'postgres/data/postmaster.pid'), 'utf8')).split('\n')
  return Number(pid)
}

/** How each part is recognised by its command line. */
const PARTS: Record<Part, RegExp> = {
  web: /next|web\.mjs/,
  worker: /worker\.(m?js|ts)/,
  trainer: /trainer\.(m?js|ts)/,
  postgres: /postgres/,
}

/** Exchanges the printed URL for the session cookie, as the browser does. */
async function logIn(url: string): Promise<string> {
  const answer = await fetch(url, { redirect: 'manual' })
  const cookie = answer.headers.getSetCookie().map((line) => line.split(';')[0])
  if (cookie.length === 0) throw new Error(`GET of the printed URL set no cookie: ${answer.status} ${await answer.text()}`)
  return cookie.join('; ')
}

/** Runs `npx thaw …` on a home and returns exit code, the JSON lines of stdout, and stderr. */
export async function thaw(
  args: readonly string[],
  { home, env = {}, cwd = ROOT, timeoutMs = 600_000 }: { home: string; env?: Record<string, string>; cwd?: string; timeoutMs?: number },
): Promise<{ code: number; lines: Record<string, unknown>[]; stdout: string; stderr: string }> {
  const manifest = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { bin: { thaw: string } }
  const child = spawn(NODE, [join(ROOT, manifest.bin.thaw), ...args], {
    cwd,
    env: { ...process.env, THAW_HOME: home, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const code = await Promise.race([
    new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (exit) => resolve(exit ?? 1))
    }),
    sleep(timeoutMs, null, { ref: false }).then(() => {
      child.kill('SIGKILL')
      throw new Error(`thaw ${args.join(' ')} did not end in ${timeoutMs / 1000} s:\n${stderr.slice(-4_000)}`)
    }),
  ])
  const lines = args.includes('--json')
    ? stdout
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : []
  return { code, lines, stdout, stderr }
}
