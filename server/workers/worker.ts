/**
 * Entry of the worker process: `worker.mjs [--slot N] [--resource cpu,gpu]`. Started by the supervisor, by `thaw run` for its own life, or by hand on
 * another machine as `thaw worker`. Ends with its parent, and on SIGTERM after saving what runs.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { registry } from '../../nodes'
import { installedEngine } from '../../scripts/engine-install.mjs'
import { fetchSmolLm2 } from '../../scripts/model-fetch.mjs'
import { childEnv, env } from '../env'
import { AppError, fromUnknown } from '../errors'
import { openFacts } from '../facts'
import { readImplDigests } from '../impl-digests'
import { takeLock, waitForLock } from '../lock-file'
import { ArtifactStore } from '../storage/artifact-store'
import { openStorage } from '../storage/db'
import { assertSchema } from '../storage/migrate'
import type { ResourceClass } from '../storage/node-runs'
import { readSupervisor } from '../supervisor-state'
import { fetchModel } from './fetch'
import { trainerEnv } from './trainer-process'
import { type RunningWorker, startWorker } from './work'

const CLASSES: readonly ResourceClass[] = ['cpu', 'gpu']

function options(): { slot: number; resources: ResourceClass[] } {
  const { values } = parseArgs({ options: { slot: { type: 'string' }, resource: { type: 'string', multiple: true } } })
  const slot = Number(values.slot ?? 0)
  if (!Number.isInteger(slot) || slot < 0)
    throw new AppError('INVALID_INPUT', { message: 'The slot of a worker is a whole number.', got: values.slot })
  const asked = (values.resource ?? []).flatMap((list) => list.split(','))
  const unknown = asked.find((name) => !CLASSES.includes(name as ResourceClass))
  if (unknown !== undefined) {
    throw new AppError('INVALID_INPUT', {
      message: `There is no resource "${unknown}".`,
      where: '--resource',
      expected: CLASSES.join(', '),
      got: unknown,
    })
  }
  return { slot, resources: asked.length > 0 ? (asked as ResourceClass[]) : installed().kind === 'cuda' ? ['gpu', 'cpu'] : ['cpu'] }
}

function installed(): { kind: 'cpu' | 'cuda' | 'none'; libraryPath: string[] } {
  const engine = installedEngine({ cache: env().cache }) as { kind: 'cpu' | 'cuda'; libraryPath: string[] } | null
  return engine ?? { kind: 'none', libraryPath: [] }
}

/** Each slot of a THAW_HOME belongs to one living worker: it names its folder, and its device on the CPU. */
async function freeSlot(home: string, wanted: number): Promise<number> {
  for (let slot = wanted; ; slot++) {
    const path = join(home, 'workers', `slot-${slot}.lock`)
    // The one that was asked for may belong to a worker that is just ending.
    if (slot === wanted ? await waitForLock(path, 2_000) : takeLock(path).taken) return slot
  }
}

const log = (line: string) => console.log(`${new Date().toISOString()} ${line}`)

async function start(): Promise<RunningWorker & { close(): Promise<void> }> {
  const settings = env()
  const { home, root, cache, hfToken, hfEndpoint } = settings
  const databaseUrl = settings.databaseUrl ?? readSupervisor(home)?.databaseUrl
  if (databaseUrl === undefined) {
    throw new AppError('DATABASE_AWAY', {
      message: 'No database is running for this THAW_HOME.',
      where: home,
      fix: 'Start Thaw with npm start, or set DATABASE_URL.',
    })
  }
  const { slot: wanted, resources } = options()
  const slot = await freeSlot(home, wanted)
  const storage = openStorage({
    databaseUrl,
    databaseDirectUrl: settings.databaseDirectUrl,
    applicationName: `thaw worker ${slot}`,
    max: 5,
  })
  await assertSchema(storage, root)
  const store = new ArtifactStore(join(home, 'artifacts'))
  const facts = openFacts({
    files: { root, home, artifacts: store },
    cache,
    // A worker asks facts for digests and places only.
    inspectModel: () => Promise.reject(new AppError('INTERNAL', { message: 'A worker does not look into models; its trainer does.' })),
  })
  const libraryPath = installed().libraryPath.join(':')
  const worker = await startWorker({
    storage,
    store,
    home,
    registry,
    implDigests: readImplDigests(root),
    thawVersion: String(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version),
    slot,
    resources,
    trainer: {
      script: join(import.meta.dirname, 'trainer.mjs'),
      args: [String(slot), resources.includes('gpu') ? 'gpu' : 'cpu'],
      env: trainerEnv(childEnv(), { THAW_HOME: home, THAW_CACHE: cache, ...(libraryPath && { LD_LIBRARY_PATH: libraryPath }) }),
    },
    digestOf: (request) => facts.digestOf(request),
    fetchModel: (source, onProgress, signal) =>
      fetchModel(
        {
          cache,
          hfToken,
          hfEndpoint,
          localModel: (name) => facts.localModel(name),
          async fetchBuiltIn(id, progress, aborted) {
            if (id !== 'smollm2-135m-instruct') {
              throw new AppError('NOT_FOUND', {
                message: `There is no built-in model "${id}".`,
                where: source,
                expected: 'builtin:smollm2-135m-instruct or builtin:thaw-tiny',
                got: id,
              })
            }
            try {
              await fetchSmolLm2({ cache, signal: aborted, onProgress: (done: number, total: number) => progress(done, total, 'bytes') })
            } catch (cause) {
              throw new AppError('NETWORK', {
                message: cause instanceof Error ? cause.message : String(cause),
                where: source,
                fix: 'Check the network and Python with pip, then run again.',
                cause,
              })
            }
            const fetched = await facts.localModel(source)
            if (!fetched) throw new AppError('INTERNAL', { message: 'The model was fetched and is not there.', where: source })
            return fetched
          },
        },
        source,
        onProgress,
        signal,
      ),
    inspections: true,
    secret: async (name) => (name === 'hf' ? (hfToken ?? null) : null),
    log,
  })
  log(`worker ${slot} on ${hostname()} serves ${resources.join(', ')}`)
  return {
    ...worker,
    async close() {
      await worker.stop()
      await storage.close()
    },
  }
}

const complain = (error: unknown): never => {
  const app = fromUnknown(error)
  console.error(
    [
      app.message,
      app.where && `  where: ${app.where}`,
      app.expected && `  expected: ${app.expected}`,
      app.got && `  got: ${app.got}`,
      app.fix && `  fix: ${app.fix}`,
    ]
      .filter(Boolean)
      .join('\n'),
  )
  process.exit(1)
}

const worker = await start().catch(complain)
let ending = false
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // A second signal skips the wait.
    if (ending) process.exit(1)
    ending = true
    void worker.close().then(
      () => process.exit(0),
      (error) => complain(error),
    )
  })
}
// The supervisor is gone: so are we, at once; what ran goes on from its checkpoint elsewhere.
process.on('disconnect', () => process.exit(0))
process.send?.({ type: 'ready', worker: worker.id })
