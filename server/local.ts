/**
 * Thaw without a browser: the database of the running supervisor of this THAW_HOME, else one of our own for as long as we need it, and for a run one worker
 * besides. What the command line does, it does through this.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { openSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { registry } from '../nodes'
import type { Pipeline } from '../nodes/_kit/graph'
import type { Plan } from '../nodes/_kit/plan'
import type { FileHandle } from '../nodes/_kit/ports'
import { childEnv, type Env } from './env'
import { AppError } from './errors'
import type { RerunRequest } from './executor/rerun'
import { writeExport } from './exports'
import { type ComposedServices, composeServices } from './main'
import { startPostgres } from './postgres'
import { compareInputs, type InputComparison } from './rerun-data'
import { LOCAL_OWNER } from './storage/db'
import type { FeedEvent } from './storage/event-hub'
import { migrateDatabase } from './storage/migrate'
import { getVersion, pipelineOfFile } from './storage/pipelines'
import { getRun, listNodeRuns, listRuns, type NodeRunRow, type RunRow } from './storage/runs'
import { readSupervisor } from './supervisor-state'

const WORKER_READY_MS = 60_000
const WORKER_STOP_MS = 40_000

export type LocalThaw = {
  /** Whether a supervisor runs, so that its workers do the work. */
  supervised: boolean
  plan(request: {
    sourceFile: string
    name: string
    document: Pipeline
    target: string[] | null
    inputs: Record<string, unknown>
  }): Promise<Plan>
  submit(request: {
    sourceFile: string
    name: string
    document: Pipeline
    target: string[] | null
    inputs: Record<string, unknown>
    idempotencyKey: string
  }): Promise<{ run: string; number: number }>
  /** The run of this number. @throws AppError NOT_FOUND */
  runOf(number: number): Promise<RunRow>
  /** What is new in the data, and what the rerun would do. */
  planRerun(request: Omit<RerunRequest, 'idempotencyKey'>): Promise<{ data: InputComparison[]; plan: Plan }>
  rerun(request: RerunRequest): Promise<{ run: string; number: number }>
  /** What params of each exposed input's node name a file or a model: their values may be paths. */
  inputsOf(run: string): Promise<{ id: string; node: string; param: string; type: string }[]>
  /** Every event of a run from the first, until it is over. */
  follow(run: string): AsyncGenerator<FeedEvent>
  stop(run: string, how: 'keep' | 'now'): Promise<void>
  result(run: string): Promise<{ run: RunRow; nodes: NodeRunRow[] }>
  /** Writes the folder of a `file` handle. @returns its path */
  writeExport(name: string, handle: FileHandle): Promise<string>
  close(): Promise<void>
}

/**
 * @param worker start one unless a supervisor runs.
 * @param log one line about what takes a while.
 * @throws AppError POSTGRES_UNAVAILABLE, SCHEMA_UNKNOWN, TRAINER_LOST
 */
export async function openLocal(env: Env, options: { worker: boolean; log?: (line: string) => void }): Promise<LocalThaw> {
  await mkdir(env.home, { recursive: true, mode: 0o700 })
  const supervisor = readSupervisor(env.home)
  const own = supervisor === null && env.databaseUrl === undefined
  const postgres = own
    ? await startPostgres({ home: env.home, cache: env.cache, root: env.root, ...(options.log && { log: options.log }) })
    : null
  let services: ComposedServices | null = null
  let worker: ChildProcess | null = null
  const close = async () => {
    if (worker) await stopWorker(worker)
    await services?.close()
    await postgres?.release()
  }
  try {
    const databaseUrl = postgres?.url ?? supervisor?.databaseUrl ?? env.databaseUrl ?? ''
    if (!supervisor) await migrateDatabase({ databaseUrl, root: env.root })
    services = await composeServices(env, { applicationName: 'thaw cli', databaseUrl, maxConnections: 5 })
    if (options.worker && !supervisor) worker = await startWorker(env, databaseUrl)
    return { supervised: supervisor !== null, ...operations(env, services, () => worker), close }
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

function operations(env: Env, services: ComposedServices, worker: () => ChildProcess | null): Omit<LocalThaw, 'supervised' | 'close'> {
  const { storage, runs, hub, artifacts } = services
  const owner = LOCAL_OWNER
  const pipelineId = async (request: { sourceFile: string; name: string; document: Pipeline }) =>
    (await pipelineOfFile(storage.db, owner, request)).id
  return {
    async plan({ sourceFile, name, document, target, inputs }) {
      // The file's own history, so that the plan can say what changed.
      return runs.plan(owner, { pipelineId: await pipelineId({ sourceFile, name, document }), document, target, inputs })
    },
    async submit({ sourceFile, name, document, target, inputs, idempotencyKey }) {
      const id = await pipelineId({ sourceFile, name, document })
      return runs.submit(owner, { pipelineId: id, document, target, inputs, idempotencyKey, parentRun: null, force: [] })
    },
    async runOf(number) {
      const [row] = await listRuns(storage.db, owner, { before: number + 1, limit: 1 })
      if (row?.number !== number)
        throw new AppError('NOT_FOUND', {
          message: `There is no run ${number}.`,
          got: String(number),
          fix: 'The list of runs has the numbers.',
        })
      return row
    },
    async planRerun(request) {
      const row = await getRun(storage.db, owner, request.run)
      const { document } = await getVersion(storage.db, owner, row.versionId)
      const [data, plan] = await Promise.all([
        compareInputs(services.files, registry, document, row.inputs, request.inputs),
        runs.planRerun(owner, { ...request, inputs: { ...request.inputs } }),
      ])
      return { data, plan }
    },
    rerun: (request) => runs.rerun(owner, { ...request, inputs: { ...request.inputs } }),
    async inputsOf(run) {
      const row = await getRun(storage.db, owner, run)
      const { document } = await getVersion(storage.db, owner, row.versionId)
      return document.inputs.map(({ id, node, param }) => ({ id, node, param, type: document.nodes[node]?.type ?? '' }))
    },
    async *follow(run) {
      const ending = new AbortController()
      // Our own worker gone for good: nobody would end this run while we wait.
      const gone = () =>
        ending.abort(
          new AppError('TRAINER_LOST', { message: 'The worker of this run ended.', where: join(env.home, 'logs', 'worker-cli.log') }),
        )
      worker()?.once('exit', gone)
      try {
        for await (const batch of hub.read(owner, { [run]: 0 }, ending.signal)) {
          for (const event of batch.events) {
            yield event
            const status = event.kind === 'run' ? (event.data as { status: string }).status : ''
            if (status === 'succeeded' || status === 'failed' || status === 'stopped') return
          }
        }
        if (ending.signal.aborted) throw ending.signal.reason
      } finally {
        worker()?.off('exit', gone)
        ending.abort()
      }
    },
    stop: (run, how) => runs.stop(owner, run, how),
    async result(run) {
      return { run: await getRun(storage.db, owner, run), nodes: await listNodeRuns(storage.db, owner, run) }
    },
    writeExport: (name, handle) => writeExport(artifacts, env.home, name, handle),
  }
}

async function startWorker(env: Env, databaseUrl: string): Promise<ChildProcess> {
  await mkdir(join(env.home, 'logs'), { recursive: true, mode: 0o700 })
  const logFile = join(env.home, 'logs', 'worker-cli.log')
  const log = openSync(logFile, 'a', 0o600)
  const child = fork(join(env.root, 'dist', 'worker.mjs'), [], {
    cwd: env.root,
    env: childEnv({ DATABASE_URL: databaseUrl, THAW_HOME: env.home, THAW_CACHE: env.cache, NODE_ENV: 'production' }) as NodeJS.ProcessEnv,
    execArgv: ['--enable-source-maps'],
    // Its own group: Ctrl-C is ours to answer, and the worker is told when it is to end.
    detached: true,
    stdio: ['ignore', log, log, 'ipc'],
  })
  return new Promise((resolve, reject) => {
    const fail = (got: string) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new AppError('TRAINER_LOST', { message: 'The worker did not start.', where: logFile, got, fix: `Look into ${logFile}.` }))
    }
    const timer = setTimeout(() => fail('silence'), WORKER_READY_MS)
    child.once('exit', (code, signal) => fail(signal ?? `exit code ${code}`))
    child.once('error', (error) => fail(error.message))
    child.once('message', () => {
      clearTimeout(timer)
      child.removeAllListeners('exit')
      resolve(child)
    })
  })
}

/** Lets it save what runs, within bounds. */
async function stopWorker(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), WORKER_STOP_MS)
  await ended
  clearTimeout(timer)
}

export type { FeedEvent }
