/**
 * A worker: takes node runs from the queue one at a time, hands each to its trainer, and keeps lease, heartbeat and database. It never runs node
 * code, so nothing that a node does can cost it the lease.
 *
 * One attempt: claim → (reused | trainer) → settle. While the trainer works, the lease is touched every 3 s. Three things can end it early: the user
 * wants the run stopped, the lease is gone (then nothing more may be written, R-32), or the trainer died (then the next attempt starts at once, R-49).
 * A database that is away is none of them: touching and writing simply wait.
 */
import { mkdir, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { artifactsOf, graphDigest } from '../../nodes/_kit/cache-key'
import type { PortDef, Registry } from '../../nodes/_kit/define-node'
import { writeDocument } from '../../nodes/_kit/migrate'
import { AppError, fromUnknown, redact } from '../errors'
import { createAttempts, LeaseLost, type Prepared, type SourceDigest } from '../executor/attempts'
import { type EventSink, openEvents } from '../executor/events'
import { JOBS_CHANNEL, type Lease, openQueue, POLL_EVERY_MS, TOUCH_EVERY_MS } from '../executor/queue'
import { RECONCILE_EVERY_MS, reconcile } from '../executor/reconcile'
import { isAlive } from '../lock-file'
import type { ArtifactStore } from '../storage/artifact-store'
import type { NewArtifact } from '../storage/artifacts'
import { collectGarbage } from '../storage/collect'
import type { Storage } from '../storage/db'
import { appendEventsOf, CONTROL_CHANNEL, curvesOf } from '../storage/events'
import { listen } from '../storage/listen'
import { beat, heldByWorker, noteAttempt, type ResourceClass, type RunWanted, wantedOf } from '../storage/node-runs'
import { endWorker, registerWorker, unendedWorkers, workerBeat } from '../storage/worker-rows'
import { startInspector } from './inspections'
import type { FromTrainer, StoredArtifact } from './messages'
import { lost, TrainerProcess, type TrainerSpec } from './trainer-process'

export type WorkerDeps = {
  storage: Storage
  store: ArtifactStore
  home: string
  registry: Registry
  implDigests: Readonly<Record<string, string>>
  thawVersion: string
  slot: number
  resources: readonly ResourceClass[]
  trainer: Omit<TrainerSpec, 'cwd'>
  digestOf(request: { kind: 'data'; file: string } | { kind: 'model'; source: string }): Promise<SourceDigest | null>
  fetchModel(
    source: string,
    onProgress: (done: number, total: number, unit: string) => void,
    signal: AbortSignal,
  ): Promise<{ path: string; name: string; license: string | null }>
  secret(name: string): Promise<string | null>
  /** Whether this worker answers inspections. */
  inspections?: boolean
  log(line: string): void
  limits?: Partial<typeof LIMITS>
}
export const LIMITS = {
  /** After a wish to stop, the trainer has this long to save and end. */
  stopMs: 30_000,
  /** Silence that is shown. */
  silentMs: 60_000,
  /** Silence that ends it. */
  deadMs: 10 * 60_000,
  /** A lease older than this is exchanged for a fresh one at the next checkpoint. */
  rolloverMs: 12 * 3_600_000,
}

const COLLECT_EVERY_MS = 10 * 60_000

export type RunningWorker = {
  id: string
  /** Saves what runs, gives it back and ends. */
  stop(): Promise<void>
  /** Resolves when it takes no more work. */
  readonly stopped: Promise<void>
}

/** Codes of PostgreSQL and of sockets that mean "away", not "wrong". */
const isAway = (error: unknown): boolean => {
  const known = fromUnknown(error)
  if (known.code === 'DATABASE_AWAY' || known.code === 'NETWORK') return true
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const text = cause instanceof Error ? cause.message : ''
  return /Connection terminated|timeout exceeded when trying to connect|the database system is|ECONNREFUSED|Client has encountered a connection error/i.test(
    text,
  )
}

export async function startWorker(deps: WorkerDeps): Promise<RunningWorker> {
  const { storage, store } = deps
  const limits = { ...LIMITS, ...deps.limits }
  const tmpRoot = join(deps.home, 'tmp', `worker-${deps.slot}`)
  await rm(tmpRoot, { recursive: true, force: true })
  await mkdir(tmpRoot, { recursive: true, mode: 0o700 })

  const queue = await openQueue(storage, { maintain: true, onError: (error) => deps.log(`queue: ${fromUnknown(error).message}`) })
  const host = hostname()
  const workerId = await registerWorker(storage.db, {
    host,
    slot: deps.slot,
    pid: process.pid,
    resources: [...deps.resources],
    devices: [],
    versions: { thaw: deps.thawVersion, node: process.versions.node },
  })
  const attempts = createAttempts({
    storage,
    queue,
    registry: deps.registry,
    implDigests: deps.implDigests,
    digestOf: deps.digestOf,
    verify: async (digest) => store.verify(digest),
    bytes: store,
  })

  let stopping = false
  let trainer: TrainerProcess | null = null
  /** What the trainer computes with; null until it loaded its engine. */
  let backend: { name: string; device: string; reason: string } | null = null
  let current: { attempt: Prepared; onWanted(wanted: RunWanted): void } | null = null
  let wake = () => {}
  const names = (['gpu', 'cpu'] as const).filter((name) => deps.resources.includes(name))
  const inspector = deps.inspections
    ? startInspector({ storage, queue, workerId, trainer: { ...deps.trainer, cwd: tmpRoot }, fetchModel: deps.fetchModel, log: deps.log })
    : null

  const control = await listen(storage, {
    [JOBS_CHANNEL]: () => {
      wake()
      inspector?.wake()
    },
    [CONTROL_CHANNEL]: (runId) => {
      if (current?.attempt.held.runId !== runId) return
      void wantedOf(storage.db, runId).then(
        (wanted) => wanted && current?.attempt.held.runId === runId && current.onWanted(wanted),
        () => {},
      )
    },
  })
  const touch = () => void workerBeat(storage.db, workerId, backend ? [backend] : []).catch(() => {})
  const own = setInterval(touch, TOUCH_EVERY_MS)
  const repair = setInterval(() => void tidy(), RECONCILE_EVERY_MS)
  const collection = setInterval(() => void collect(), COLLECT_EVERY_MS)

  /** Leases of dead workers of this host are given back at once; the queue is repaired from the tables. */
  async function tidy(): Promise<void> {
    try {
      for (const other of await unendedWorkers(storage.db, host, workerId)) {
        if (isAlive({ pid: other.pid, started: null }) && other.pid !== process.pid) continue
        for (const held of await heldByWorker(storage.db, other.id)) {
          if (held.jobId !== null && (await queue.releaseJob(held.resource, held.jobId))) {
            deps.log(`took back what a worker with process ${other.pid} had left`)
          }
        }
        await endWorker(storage.db, other.id)
      }
      await reconcile(storage, queue)
    } catch (error) {
      deps.log(`tidying failed: ${fromUnknown(error).message}`)
    }
  }

  /** Bytes that nothing refers to any more. */
  async function collect(): Promise<void> {
    try {
      const { artifacts, bytes } = await collectGarbage({ db: storage.db, store })
      if (artifacts > 0) deps.log(`removed ${artifacts} artifacts that nothing refers to, ${(bytes / 1e6).toFixed(0)} MB`)
    } catch (error) {
      deps.log(`collecting garbage failed: ${fromUnknown(error).message}`)
    }
  }

  /** Repeats a database write while the database is away; any other error is the caller's. */
  async function persist<T>(write: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (error instanceof AppError && error.code !== 'DATABASE_AWAY') throw error
        if (!isAway(error)) throw error
        await sleep(300)
      }
    }
  }

  async function warmTrainer(): Promise<TrainerProcess> {
    if (trainer?.alive) return trainer
    trainer = await TrainerProcess.start({ ...deps.trainer, cwd: tmpRoot })
    return trainer
  }

  function dropTrainer(): void {
    trainer?.kill()
    trainer = null
  }

  async function handle(lease: Lease): Promise<void> {
    // Also while inputs are verified and a trainer starts, which may take longer than the lease lives.
    const keep = setInterval(() => void queue.touch(lease).catch(() => {}), TOUCH_EVERY_MS)
    try {
      const claimed = await persist(() => attempts.claim(lease, workerId))
      let attempt: Prepared | null = claimed.kind === 'work' ? claimed.attempt : null
      while (attempt) attempt = await work(attempt)
    } finally {
      clearInterval(keep)
    }
  }

  /** One attempt. @returns the next one when this was lost under a living lease. */
  async function work(attempt: Prepared): Promise<Prepared | null> {
    const { held, lease, nodeId } = attempt
    const tmp = join(tmpRoot, `${held.nodeRunId}-${held.attempt}`)
    await mkdir(tmp, { recursive: true, mode: 0o700 })
    let child: TrainerProcess
    try {
      child = await warmTrainer()
    } catch (error) {
      trainer = null
      return persist(() => attempts.retryLost(attempt, workerId, fromUnknown(error)))
    }
    let end: (outcome: Outcome) => void = () => {}
    const ended = new Promise<Outcome>((resolve) => {
      end = resolve
    })
    const events = openEvents(storage, held, nodeId, { onLost: () => end({ kind: 'lease-lost' }), redact })
    const begun = Date.now()
    const fetching = new AbortController()
    let wanted: RunWanted = 'run'
    let step: number | null = null
    let silent = false
    let rolling = false
    const timers: NodeJS.Timeout[] = []

    // One after the other, and all before the node run is settled: an event of an attempt that is over would be refused.
    let said: Promise<unknown> = Promise.resolve()
    const say = (reason: Record<string, unknown>) => {
      said = said
        .then(() =>
          appendEventsOf(storage.db, held, [{ nodeId, kind: 'node', data: { status: 'running', attempt: held.attempt, reason } }]),
        )
        .catch(() => {})
    }
    const listensAgain = () => {
      if (!silent) return
      silent = false
      say({ code: 'responding' })
    }

    const finishSoon = (why: RunWanted | 'shutdown' | 'rollover') => {
      child.send({ type: 'stop' })
      timers.push(setTimeout(() => end({ kind: 'stopped', step }), limits.stopMs))
      say({ code: 'stopping', wanted: why })
    }
    current = {
      attempt,
      onWanted(next) {
        if (next === wanted || stopping) return
        wanted = next
        if (next === 'cancel') {
          say({ code: 'stopping', wanted: next })
          end({ kind: 'stopped', step })
        } else if (next === 'stop' || next === 'pause') finishSoon(next)
      },
    }
    stopCurrent = () => finishSoon('shutdown')

    const keep = setInterval(() => {
      void (async () => {
        if (!(await queue.touch(lease))) return end({ kind: 'lease-lost' })
        const now = await beat(storage.db, held)
        if (now === null) return end({ kind: 'lease-lost' })
        current?.onWanted(now)
      })().catch(() => {
        // The database is away: the lease is not lost, it is only not refreshed.
      })
      const silence = Date.now() - child.lastHeard
      if (silence > limits.deadMs) return end({ kind: 'silent', ms: silence })
      if (silence <= limits.silentMs) listensAgain()
      else if (!silent) {
        silent = true
        say({ code: 'not-responding', seconds: Math.round(silence / 1_000) })
      }
      if (!rolling && Date.now() - begun > limits.rolloverMs) {
        // It goes back to the queue with its checkpoint, and whoever takes it next goes on; the trainer stays warm.
        rolling = true
        finishSoon('rollover')
      }
    }, TOUCH_EVERY_MS)

    child.listen((message) => {
      listensAgain()
      switch (message.type) {
        case 'progress':
          return events.progress({ done: message.done, total: message.total, unit: message.unit })
        case 'metric':
          return events.metrics(message.points)
        case 'log':
          return events.log(message.lines)
        case 'checkpoint':
          return void answer(child, message.ask, async () => {
            await persist(() =>
              attempts.checkpoint(attempt, {
                step: message.step,
                manifest: message.manifest,
                metric: message.metric ?? null,
                artifacts: message.artifacts.map(asArtifact),
              }),
            )
            step = message.step
            return null
          }).then((error) => error instanceof LeaseLost && end({ kind: 'lease-lost' }))
        case 'backend':
          backend = { name: message.name, device: message.device, reason: message.reason }
          // The start page says so now, not with the next beat.
          return touch()
        case 'ask':
          return void answer(child, message.ask, () =>
            message.request.kind === 'curves'
              ? curvesOf(storage.db, attempt.ownerId, held.runId, message.request.node)
              : message.request.kind === 'fetch-model'
                ? deps.fetchModel(message.request.source, (done, total, unit) => events.progress({ done, total, unit }), fetching.signal)
                : secretFor(message.request.name),
          )
        case 'output':
          return end({ kind: 'output', message })
        case 'stopped':
          return end({ kind: 'stopped', step: message.step ?? step, killed: false })
        case 'error':
          return end({ kind: 'error', error: AppError.fromStored(message.error) })
      }
    })
    void child.exited.then((exit) => end({ kind: 'exit', error: lost(exit) }))
    void noteAttempt(storage.db, held, {
      trainerPid: child.pid,
      ...(attempt.checkpoints[0] && { fromStep: attempt.checkpoints[0].step }),
    }).catch(() => {})
    child.send({
      type: 'run',
      attempt: held.attempt,
      nodeRun: held.nodeRunId,
      node: nodeId,
      nodeType: attempt.type,
      params: attempt.params,
      inputs: attempt.inputs,
      seed: attempt.seed,
      tmp,
      checkpoints: attempt.checkpoints,
      sources: attempt.sources,
      provenance: { thawVersion: deps.thawVersion, graph: writeDocument(attempt.document), graphDigest: graphDigest(attempt.document) },
    })
    // A wish that came between the claim and now.
    if (stopping) stopCurrent()
    else
      void wantedOf(storage.db, held.runId).then(
        (now) => now && current?.onWanted(now),
        () => {},
      )

    const outcome = await ended
    clearInterval(keep)
    for (const timer of timers) clearTimeout(timer)
    fetching.abort()
    current = null
    stopCurrent = null
    child.listen(() => {})
    await said
    try {
      return await settle(attempt, outcome, events, wanted, Date.now() - begun)
    } catch (error) {
      if (!(error instanceof LeaseLost)) throw error
      // Somebody else has it: the trainer must end before it can do anything more.
      dropTrainer()
      deps.log(`gave up ${nodeId}: ${error.message}`)
      return null
    } finally {
      await rm(tmp, { recursive: true, force: true }).catch(() => {})
    }
  }
  let stopCurrent: (() => void) | null = null

  async function settle(attempt: Prepared, outcome: Outcome, events: EventSink, wanted: RunWanted, ms: number): Promise<Prepared | null> {
    switch (outcome.kind) {
      case 'output': {
        await events.close()
        let artifacts: NewArtifact[]
        try {
          artifacts = await artifactsBehind(attempt, outcome.message.outputs, outcome.message.artifacts)
        } catch (error) {
          await persist(() => attempts.fail(attempt, fromUnknown(error)))
          return null
        }
        await persist(() =>
          attempts.done(attempt, {
            outputs: outcome.message.outputs,
            artifacts,
            step: null,
            provenance: {
              backend,
              seconds: ms / 1_000,
              host,
              thaw: deps.thawVersion,
              bytes: artifacts.reduce((sum, one) => sum + one.sizeBytes, 0),
            },
          }),
        )
        return null
      }
      case 'error':
        await events.close()
        if (outcome.error.failure !== 'user') dropTrainer()
        await persist(() => attempts.fail(attempt, outcome.error))
        return null
      case 'stopped':
        await events.close()
        // It may still be at work (it did not end in time, or was to end at once).
        if (wanted === 'cancel' || outcome.killed !== false) dropTrainer()
        if (wanted === 'run') await persist(() => attempts.released(attempt, outcome.step))
        else await persist(() => attempts.stopped(attempt, wanted === 'pause' ? 'paused' : 'stopped', outcome.step))
        return null
      case 'silent':
      case 'exit': {
        await events.close()
        dropTrainer()
        const error =
          outcome.kind === 'exit'
            ? outcome.error
            : new AppError('TRAINER_SILENT', {
                message: `The trainer said nothing for ${Math.round(outcome.ms / 60_000)} minutes and was ended.`,
                expected: 'a sign of life every second',
                got: 'silence',
              })
        if (stopping) {
          await persist(() => attempts.released(attempt, null))
          return null
        }
        if (wanted !== 'run') {
          await persist(() => attempts.stopped(attempt, wanted === 'pause' ? 'paused' : 'stopped', null))
          return null
        }
        return persist(() => attempts.retryLost(attempt, workerId, error))
      }
      case 'lease-lost':
        throw new LeaseLost(attempt.held)
    }
  }

  /** Everything that the outputs name, down to the files of manifests, so that all of it is kept alive. */
  async function artifactsBehind(
    attempt: Prepared,
    outputs: Record<string, unknown>,
    stored: readonly StoredArtifact[],
  ): Promise<NewArtifact[]> {
    const known = new Map(stored.map((one) => [one.digest, one]))
    const found = new Map<string, NewArtifact>()
    const add = async (digest: string) => {
      if (found.has(digest)) return
      const sizeBytes = await store.has(digest)
      if (sizeBytes === null) {
        throw new AppError('BAD_OUTPUT', {
          message: `${attempt.def.title} named an artifact that it did not store.`,
          where: attempt.nodeId,
          got: digest,
          fix: 'This is a fault of Thaw, not of your pipeline.',
        })
      }
      found.set(digest, { digest, sizeBytes, kind: known.get(digest)?.kind ?? 'file' })
    }
    for (const [port, output] of Object.entries(attempt.def.outputs as Record<string, PortDef>)) {
      const value = outputs[port]
      for (const digest of artifactsOf(output.kind, value)) await add(digest)
      if (output.kind === 'model') {
        for (const file of await store.readManifest((value as { base: { manifest: string } }).base.manifest)) await add(file.digest)
      }
    }
    return [...found.values()]
  }

  async function secretFor(name: string): Promise<string> {
    const value = await deps.secret(name)
    if (value === null) {
      throw new AppError('SECRET_MISSING', {
        message: `The secret "${name}" is not set.`,
        where: name,
        fix: 'Set it in the settings, then run again.',
      })
    }
    return value
  }

  /** Carries out what the trainer asked and tells it the answer. @returns the error, if there was one. */
  async function answer(child: TrainerProcess, ask: number, act: () => Promise<unknown>): Promise<unknown> {
    try {
      child.send({ type: 'answer', ask, ok: true, value: await act() })
      return null
    } catch (error) {
      child.send({ type: 'answer', ask, ok: false, error: fromUnknown(error).toStored() })
      return error
    }
  }

  async function loop(): Promise<void> {
    while (!stopping) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      try {
        const lease = await queue.fetch(names)
        if (lease) {
          await handle(lease)
          continue
        }
      } catch (error) {
        deps.log(`${isAway(error) ? 'the database is away' : 'a node run was dropped'}: ${fromUnknown(error).message}`)
        if (!isAway(error)) dropTrainer()
        await sleep(300)
      }
      if (!stopping) await Promise.race([woken, sleep(POLL_EVERY_MS, undefined, { ref: true })])
    }
  }

  await tidy()
  const stopped = loop()
  return {
    id: workerId,
    stopped,
    async stop() {
      stopping = true
      wake()
      stopCurrent?.()
      await Promise.all([stopped, inspector?.stop()])
      clearInterval(own)
      clearInterval(repair)
      clearInterval(collection)
      dropTrainer()
      await control.close()
      await endWorker(storage.db, workerId).catch(() => {})
      await queue.close().catch(() => {})
      await rm(tmpRoot, { recursive: true, force: true })
    },
  }
}

type Outcome =
  | { kind: 'output'; message: Extract<FromTrainer, { type: 'output' }> }
  | { kind: 'error'; error: AppError }
  /** `killed: false`: the trainer itself said that it has stopped. */
  | { kind: 'stopped'; step: number | null; killed?: false }
  | { kind: 'exit'; error: AppError }
  | { kind: 'silent'; ms: number }
  | { kind: 'lease-lost' }

const asArtifact = (one: StoredArtifact): NewArtifact => ({ digest: one.digest, sizeBytes: one.size, kind: one.kind })
