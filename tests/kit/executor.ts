/**
 * An executor with everything real but the nodes: a PostgreSQL of its own, a THAW_HOME of its own, workers and trainers as processes of their own that can
 * be killed. `await using` ends all of it.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as esbuild from 'esbuild'
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Plan } from '../../nodes/_kit/plan'
import { findRoot } from '../../server/env'
import { openQueue, type Queue } from '../../server/executor/queue'
import { createExecutor, type Executor, type SubmitRequest } from '../../server/executor/run'
import { openFacts } from '../../server/facts'
import { startPostgres } from '../../server/postgres'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { LOCAL_OWNER, openStorage, type Storage } from '../../server/storage/db'
import { type RunEvent, readEvents } from '../../server/storage/events'
import { migrateDatabase } from '../../server/storage/migrate'
import { createPipeline } from '../../server/storage/pipelines'
import { getRun, listAttempts, listNodeRuns, type NodeRunRow, type RunRow } from '../../server/storage/runs'
import type { LIMITS } from '../../server/workers/work'
import { documentOf } from './documents'
import { descendants, isAlive } from './processes'
import { stubDigests, stubRegistry } from './stub-nodes'
import { tempFolder } from './temp'
import { until } from './wait'

const root = findRoot([import.meta.dirname])
export const OWNER = LOCAL_OWNER

/** Bundles of the stub processes, once per test process. */
let bundles: Promise<{ worker: string; trainer: string }> | undefined
function stubBundles() {
  bundles ??= (async () => {
    const outdir = join(root, 'node_modules', '.cache', 'thaw-tests', String(process.pid))
    await esbuild.build({
      entryPoints: {
        worker: join(root, 'tests/kit/stub-worker.ts'),
        trainer: join(root, 'tests/kit/stub-trainer.ts'),
        watchdog: join(root, 'server/workers/watchdog.ts'),
      },
      outdir,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      format: 'esm',
      platform: 'node',
      target: 'node22',
      packages: 'external',
      logLevel: 'warning',
      tsconfig: join(root, 'tsconfig.json'),
    })
    return { worker: join(outdir, 'worker.mjs'), trainer: join(outdir, 'trainer.mjs') }
  })()
  return bundles
}

export type WorkerHandle = {
  id: string
  child: ChildProcess
  pid: number
  kill(signal?: NodeJS.Signals): void
  ended: Promise<void>
  lines: string[]
}

export type TestHome = AsyncDisposable & {
  home: string
  storage: Storage
  store: ArtifactStore
  queue: Queue
  executor: Executor
  databaseUrl: string
  journal: string
  lines(): string[]
  count(line: string): number
  startWorker(slot?: number, limits?: Partial<typeof LIMITS>): Promise<WorkerHandle>
  pipeline(document: Pipeline): Promise<string>
  submit(document: Pipeline, more?: Partial<SubmitRequest>): Promise<{ run: string; number: number; plan: Plan; existing: boolean }>
  finished(run: string, timeoutMs?: number): Promise<{ run: RunRow; nodes: Record<string, NodeRunRow> }>
  nodes(run: string): Promise<Record<string, NodeRunRow>>
  events(run: string): Promise<RunEvent[]>
  attempts(run: string): ReturnType<typeof listAttempts>
  trainerPid(run: string, node: string): Promise<number>
  /** kill -9 of the database and all its backends; back after `awayMs`. */
  losePostgres(awayMs: number): Promise<void>
}

export async function testHome(): Promise<TestHome> {
  const folder = await tempFolder()
  const home = join(folder.path, 'home')
  const cache = join(folder.path, 'cache')
  mkdirSync(home, { recursive: true })
  let postgres = await startPostgres({ home, cache, root })
  await migrateDatabase({ databaseUrl: postgres.url, root })
  const storage = openStorage({ databaseUrl: postgres.url, applicationName: 'thaw test' })
  const store = new ArtifactStore(join(home, 'artifacts'))
  const queue = await openQueue(storage, { maintain: false })
  const facts = openFacts({ files: { root, home, artifacts: store }, cache, inspectModel: () => Promise.reject(new Error('none')) })
  const executor = createExecutor({
    storage,
    queue,
    registry: stubRegistry,
    implDigests: stubDigests,
    lookAt: facts.lookAt,
    digestOf: facts.digestOf,
    present: async (digest) => (await store.has(digest)) !== null,
  })
  const workers: WorkerHandle[] = []
  const journal = join(folder.path, 'journal')
  const lines = () => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').filter(Boolean) : [])
  const pipelines = new Map<string, string>()
  let keys = 0

  const nodes = async (run: string) => Object.fromEntries((await listNodeRuns(storage.db, OWNER, run)).map((row) => [row.nodeId, row]))
  const self: TestHome = {
    home,
    storage,
    store,
    queue,
    executor,
    databaseUrl: postgres.url,
    journal,
    lines,
    count: (line) => lines().filter((one) => one === line).length,
    async startWorker(slot = 0, limits = {}) {
      const { worker, trainer } = await stubBundles()
      const child = fork(worker, [String(slot), trainer, JSON.stringify(limits)], {
        env: {
          PATH: process.env.PATH,
          HOME: folder.path,
          THAW_HOME: home,
          THAW_CACHE: cache,
          DATABASE_URL: postgres.url,
          NODE_ENV: 'test',
        },
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      })
      const said: string[] = []
      for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => said.push(String(data)))
      const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      const id = await new Promise<string>((resolve, reject) => {
        child.once('message', (message) => resolve((message as { ready: string }).ready))
        child.once('exit', (code, signal) => reject(new Error(`worker ended (${code ?? signal}): ${said.join('')}`)))
      })
      const handle: WorkerHandle = {
        id,
        child,
        pid: child.pid ?? 0,
        lines: said,
        ended,
        kill: (signal = 'SIGKILL') => {
          child.kill(signal)
        },
      }
      workers.push(handle)
      return handle
    },
    async pipeline(document) {
      const key = Object.keys(document.nodes).sort().join()
      const known = pipelines.get(key)
      if (known) return known
      const row = await createPipeline(storage.db, OWNER, { name: 'test', document })
      pipelines.set(key, row.id)
      return row.id
    },
    async submit(document, more = {}) {
      const pipelineId = more.pipelineId ?? (await self.pipeline(document))
      return executor.submit(OWNER, { pipelineId, document, idempotencyKey: `key-${++keys}`, ...more })
    },
    async finished(run, timeoutMs = 120_000) {
      const row = await until(
        `run ${run} to end (workers said: ${workers.map((worker) => worker.lines.join('')).join(' | ')})`,
        async () => {
          const now = await getRun(storage.db, OWNER, run)
          return now.endedAt ? now : null
        },
        { timeoutMs, everyMs: 50 },
      )
      return { run: row, nodes: await nodes(run) }
    },
    nodes,
    events: (run) => readEvents(storage.db, OWNER, run, 0, 10_000),
    attempts: (run) => listAttempts(storage.db, OWNER, run),
    async trainerPid(run, node) {
      return until(
        `a trainer at ${node}`,
        async () => (await listAttempts(storage.db, OWNER, run))[node]?.find((attempt) => attempt.outcome === null)?.trainerPid,
        { everyMs: 20, timeoutMs: 120_000 },
      )
    },
    async losePostgres(awayMs) {
      const backends = await descendants(postgres.pid)
      // The postmaster first, or it would start new ones.
      process.kill(postgres.pid, 'SIGKILL')
      for (const { pid } of backends) if (await isAlive(pid)) process.kill(pid, 'SIGKILL')
      await sleep(awayMs)
      postgres = await startPostgres({ home, cache, root }).catch((error) => {
        throw new Error(`${error.message}\n${readFileSync(join(home, 'postgres', 'log'), 'utf8').slice(-3_000)}`)
      })
      if (postgres.url !== self.databaseUrl) throw new Error('the database came back elsewhere')
    },
    async [Symbol.asyncDispose]() {
      for (const worker of workers) worker.kill()
      await Promise.all(workers.map((worker) => worker.ended))
      await queue.close()
      await storage.close()
      await postgres.release()
      await folder[Symbol.asyncDispose]()
    },
  }
  return self
}

/**
 * A limit of the specification, in milliseconds, on a machine that does nothing else; on a busy one as much longer as there are processes waiting for a
 * core. What it guards against (a poll where a signal was meant, a heartbeat where a wake-up was) is slower by far.
 */
export const within = (ms: number): number => ms * Math.max(1, (loadavg()[0] ?? 1) / availableParallelism())

/** What a training came to. */
export const lossOf = (row: NodeRunRow | undefined): number =>
  (row?.outputs as { metrics: { loss: number } } | null | undefined)?.metrics.loss ?? Number.NaN
/** Digest of the rows that a node gave. */
export const artifactOf = (row: NodeRunRow | undefined): string =>
  (row?.outputs as { data: { artifact: string } } | null | undefined)?.data.artifact ?? ''

/** Load model, load data → freeze → train (a checkpoint every 5 steps) → check → export: the graph of the kill matrix. */
export function killGraph(journal: string, train: Record<string, unknown> = {}, data: Record<string, unknown> = {}): Pipeline {
  return documentOf(
    {
      model: ['stub-model', { journal }],
      data: ['stub-data', { journal, ...data }],
      freeze: ['stub-freeze', { journal }],
      train: ['stub-train', { journal, ...train }],
      check: ['stub-check', { journal }],
      export: ['stub-export', { journal }],
    },
    [
      'model.model -> freeze.model',
      'freeze.model -> train.model',
      'data.data -> train.data',
      'train.model -> check.model',
      'data.data -> check.data',
      'train.model -> export.model',
    ],
  )
}

export { documentOf }
