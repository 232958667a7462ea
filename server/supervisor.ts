/**
 * The supervisor (R-17 … ): PostgreSQL, then migrations, then the web server and the workers, each kept alive. It holds no state of
 * its own: kill -9 it, start it again, and it adopts what is left.
 *
 * States: starting → up → stopping. A second start for the same THAW_HOME prints the first one's URL and ends.
 */
import { createServer } from 'node:net'
import { join } from 'node:path'
import { childEnv, type Env, loadEnv } from './env'
import { AppError, fromUnknown, redact } from './errors'
import { takeLock } from './lock-file'
import { type RunningPostgres, startPostgres } from './postgres'
import { ArtifactStore } from './storage/artifact-store'
import { migrateDatabase } from './storage/migrate'
import { Child } from './supervisor-children'
import { clearSupervisor, readSupervisor, type SupervisorState, supervisorLock, writeSupervisor } from './supervisor-state'
import { ensureToken } from './web/guard'

const WEB_GRACE_MS = 1_500
/** a checkpoint may take up to 30 s; a little more for committing it. */
const WORKER_GRACE_MS = 33_000
/** Long enough for a machine that is busy with a training; a healthy start takes half a second. */
const WEB_READY_MS = 120_000
const WATCH_POSTGRES_MS = 500

const say = (line: string) => process.stdout.write(`${redact(line)}\n`)
/** The one line that must carry the token. */
const sayUrl = (origin: string, token: string) => process.stdout.write(`\n  Thaw is ready:  ${origin}/api/login?token=${token}\n\n`)

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** The port asked for, or the next free one above it. */
export async function freePort(from: number): Promise<number> {
  for (let port = from; port < Math.min(from + 200, 65_536); port++) {
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer()
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
    })
    if (free) return port
  }
  throw new AppError('INTERNAL', { message: `No free port from ${from} on.`, fix: 'Set PORT to another number.' })
}

/** Waits until the web server answers: its proxy does, before any page or route is loaded. */
async function webAnswers(origin: string, web: Child, stopped: () => boolean): Promise<void> {
  const until = Date.now() + WEB_READY_MS
  while (Date.now() < until && !stopped()) {
    const answered = await fetch(origin, { signal: AbortSignal.timeout(WEB_READY_MS) }).then(
      () => true,
      () => false,
    )
    if (answered) return
    await sleep(20)
  }
  if (!stopped())
    throw new AppError('INTERNAL', {
      message: `The web server did not answer within ${WEB_READY_MS / 1_000} s.`,
      where: origin,
      details: web.lines.slice(-10).join('\n'),
    })
}

/** Loads the first page's code and the router while the person is still reaching for the mouse. */
async function warmUp(origin: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` }
  await Promise.allSettled([fetch(origin, { headers }), fetch(`${origin}/api/trpc/templates.list`, { headers })])
}

async function supervise(env: Env, development: boolean): Promise<void> {
  const token = ensureToken(env.home)
  const lock = await lockOrRunning(env)
  if ('origin' in lock) {
    say('Thaw is already running for this THAW_HOME.')
    sayUrl(lock.origin, token)
    return
  }

  let stopping = false
  let hurry = () => {}
  const hurried = new Promise<void>((resolve) => {
    hurry = resolve
  })
  let postgres: RunningPostgres | null = null
  const children: Child[] = []
  let state: Omit<SupervisorState, 'pid' | 'started'> | null = null
  const publish = () => {
    if (!state || stopping) return
    state.children = children.map((child) => child.state)
    writeSupervisor(env.home, state)
  }

  const stop = async (code: number) => {
    if (stopping) return hurry()
    stopping = true
    clearInterval(watch)
    // Whoever starts from now on waits for the lock instead of taking an address that is about to go.
    clearSupervisor(env.home)
    // Web first, so that nothing new is asked for; workers save; the database last.
    await Promise.all(children.map((child) => child.stop(hurried)))
    for (const child of children) child.close()
    await postgres?.release().catch(() => {})
    lock.release()
    process.exit(code)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0))

  let bringing = false
  const watch = setInterval(async () => {
    if (!postgres || postgres.alive() || bringing || stopping) return
    bringing = true
    try {
      const before = postgres.url
      postgres = await startPostgres({ home: env.home, cache: env.cache, root: env.root, log: say })
      if (state) state.databaseUrl = postgres.url
      // Only when the old port was taken in between do the children have to learn a new address.
      if (postgres.url !== before)
        await Promise.all(children.map((child) => child.restart(environment(env, postgres?.url ?? before, port))))
      publish()
    } catch (error) {
      say(`The database ended and could not be started again: ${fromUnknown(error).message}`)
    } finally {
      bringing = false
    }
  }, WATCH_POSTGRES_MS)

  let port = env.port
  try {
    const found = freePort(env.port)
    found.catch(() => {})
    if (env.databaseUrl === undefined) postgres = await startPostgres({ home: env.home, cache: env.cache, root: env.root, log: say })
    const databaseUrl = postgres?.url ?? (env.databaseUrl as string)
    const { from, to } = await migrateDatabase({ databaseUrl, root: env.root })
    if (from !== to && from !== 'empty') say(`Brought the database from ${from} to ${to}.`)

    port = await found
    if (port !== env.port) say(`Port ${env.port} is taken; using ${port}.`)
    const origin = `http://127.0.0.1:${port}`
    state = { origin, databaseUrl, children: [] }
    const base = { cwd: env.root, env: environment(env, databaseUrl, port, development), onChange: publish }
    const web = new Child({
      ...base,
      name: 'web',
      args: [
        ...['--import', new URL('./die-with-parent.mjs', import.meta.url).href],
        ...[join(env.root, 'node_modules/next/dist/bin/next'), development ? 'dev' : 'start', '-H', '127.0.0.1', '-p', String(port)],
      ],
      logFile: join(env.home, 'logs', 'web.log'),
      graceMs: WEB_GRACE_MS,
    })
    children.push(web)
    if (stopping) return
    web.start()
    await webAnswers(origin, web, () => stopping)
    for (let slot = 0; slot < env.workers && !stopping; slot++) {
      const worker = new Child({
        ...base,
        name: env.workers === 1 ? 'worker' : `worker ${slot + 1}`,
        args: ['--enable-source-maps', join(env.root, 'dist', 'worker.mjs'), '--slot', String(slot)],
        logFile: join(env.home, 'logs', `worker-${slot}.log`),
        graceMs: WORKER_GRACE_MS,
      })
      children.push(worker)
      worker.start()
    }
    if (stopping) return
    publish()
    sayUrl(origin, token)
    await warmUp(origin, token)
    // What killed writers left behind long ago; nobody waits for it.
    await new ArtifactStore(join(env.home, 'artifacts')).sweep().catch(() => 0)
  } catch (error) {
    if (stopping) return
    const app = fromUnknown(error)
    complain(app)
    await stop(1)
  }
}

/** What web and workers get: our own environment with the answers we found filled in. */
function environment(env: Env, databaseUrl: string, port: number, development = false): NodeJS.ProcessEnv {
  return childEnv({
    DATABASE_URL: databaseUrl,
    THAW_HOME: env.home,
    THAW_CACHE: env.cache,
    HOST: undefined,
    PORT: String(port),
    NODE_ENV: development ? 'development' : 'production',
    NEXT_TELEMETRY_DISABLED: '1',
    NEXT_IGNORE_INCORRECT_LOCKFILE: '1',
  })
}

/** The lock, or the address of the supervisor that holds it. That one may still be starting, or about to end: then it has no address. */
async function lockOrRunning(env: Env): Promise<{ release(): void } | { origin: string }> {
  const until = Date.now() + WEB_READY_MS
  while (Date.now() < until) {
    const lock = takeLock(supervisorLock(env.home))
    if (lock.taken) return lock
    const running = readSupervisor(env.home)
    if (running) return running
    await sleep(100)
  }
  throw new AppError('INTERNAL', {
    message: 'Another Thaw is starting or ending for this THAW_HOME and does not get ready.',
    where: env.home,
    fix: 'End it and start again.',
  })
}

function complain(error: AppError): void {
  const lines = [`Thaw cannot start: ${error.message}`]
  if (error.where) lines.push(`  where:    ${error.where}`)
  if (error.expected) lines.push(`  expected: ${error.expected}`)
  if (error.got) lines.push(`  got:      ${error.got}`)
  if (error.fix) lines.push(`  do:       ${error.fix}`)
  if (error.details) lines.push('', error.details)
  if (error.failure === 'internal' && error.cause instanceof Error) lines.push('', error.cause.stack ?? '')
  process.stderr.write(`${redact(lines.join('\n'))}\n`)
}

/** Called by scripts/start.mjs once everything is built. */
export async function main(source: Record<string, string | undefined>, options: { development?: boolean } = {}): Promise<void> {
  try {
    await supervise(loadEnv(source), options.development ?? false)
  } catch (error) {
    complain(fromUnknown(error))
    process.exit(1)
  }
}
