/**
 * One attempt at a node run, from claim to settle (R-31 … R-36). The worker calls these; each is one transaction, and each write carries the attempt
 * number, so that a worker that was taken for dead can change nothing when it wakes.
 */
import { artifactsOf, cacheKey, contentDigest, identityKey, seedOf } from '../../nodes/_kit/cache-key'
import { type AnyNode, type PortDef, type Registry, versionOf } from '../../nodes/_kit/define-node'
import { factKey } from '../../nodes/_kit/infer'
import { fittingCheckpoint } from '../../nodes/_kit/plan'
import { AppError } from '../errors'
import { type Bytes, dropRefs, type NewArtifact, recordArtifacts } from '../storage/artifacts'
import { lockFor, type Storage, type Tx } from '../storage/db'
import { appendEvents } from '../storage/events'
import {
  type AttemptOutcome,
  addCheckpoint,
  type Claimed,
  claimNodeRun,
  closeAttempt,
  type Held,
  type LockedRun,
  leaveNodeRun,
  lockRun,
  lostInARow,
  moveNodeRun,
  nextAttempt,
  noteAttempt,
  outputsByNode,
  runOf,
  type StoredError,
  scheduledOf,
  setRunStatus,
  transientFailures,
  waitingFor,
  workingOn,
} from '../storage/node-runs'
import { checkpointsByIdentity, recordResult, resultsByKey } from '../storage/results'
import { shareArtifacts } from '../storage/runs'
import type { Lease, Queue } from './queue'
import { advance, nodeEvent } from './schedule'

/** Three lost attempts without a new checkpoint end a node run. */
const LOST_LIMIT = 3
/** Waiting times before the second, third and fourth attempt after a transient failure. */
const TRANSIENT_DELAYS_MS = [5_000, 30_000, 120_000]
/** When one that waits for another's result looks by itself. */
const SHARED_AGAIN_MS = 60_000

export type SourceDigest = { digest: string; name: string }

export type AttemptsDeps = {
  storage: Storage
  queue: Queue
  registry: Registry
  implDigests: Readonly<Record<string, string>>
  /** Digest of the file or model behind a fact request; null when it is not there. */
  digestOf(request: { kind: 'data'; file: string } | { kind: 'model'; source: string }): Promise<SourceDigest | null>
  /** Full check of stored bytes, once per process and digest. */
  verify(digest: string): Promise<boolean>
  bytes: Bytes
}

/** An attempt ready to work: what it reads, what it is called, where it may continue. */
export type Prepared = Claimed & {
  def: AnyNode
  lease: Lease
  inputs: Record<string, unknown>
  key: string | null
  identityKey: string | null
  seed: number
  sources: Record<string, string>
  checkpoints: { step: number; manifest: string; metric?: number }[]
}

export type ClaimOutcome =
  /** Nothing to do: done elsewhere, cancelled, or the lease was lost in between. */
  | { kind: 'dropped' }
  /** Settled without a trainer: reused, or failed for good. */
  | { kind: 'settled' }
  | { kind: 'work'; attempt: Prepared }

/** Raised when a write found the attempt superseded: the trainer is killed and nothing more is written. */
export class LeaseLost extends AppError {
  constructor(held: Held) {
    super('LEASE_LOST', {
      message: 'Another worker has taken over this node run.',
      where: `node run ${held.nodeRunId}, attempt ${held.attempt}`,
    })
  }
}

export type Attempts = ReturnType<typeof createAttempts>

export function createAttempts(deps: AttemptsDeps) {
  const { storage, queue, registry, implDigests } = deps
  const db = storage.db

  /** Runs `change` with the run locked and the lease proven; completes the lease with it, or nothing happens at all. */
  async function settle(held: Held, lease: Lease, change: (tx: Tx, run: LockedRun) => Promise<void>): Promise<void> {
    await db.transaction(async (tx) => {
      const run = await lockRun(tx, held.runId)
      if (!run) throw new LeaseLost(held)
      await change(tx, run)
      if (!(await queue.complete(lease, tx))) throw new LeaseLost(held)
    })
  }

  async function claim(lease: Lease, workerId: string): Promise<ClaimOutcome> {
    const runId = await runOf(db, lease.job.id)
    const claimed = runId === null ? null : await db.transaction(async (tx) => take(tx, lease, workerId, runId))
    if (!claimed) {
      // Nothing to take: the job is a leftover, and the table is the truth.
      await queue.complete(lease, db)
      return { kind: 'dropped' }
    }
    const def = Object.hasOwn(registry, claimed.type) ? registry[claimed.type] : undefined
    const attempt: Prepared = {
      ...claimed,
      def: def as AnyNode,
      lease,
      inputs: {},
      key: null,
      identityKey: null,
      seed: 0,
      sources: {},
      checkpoints: [],
    }
    try {
      if (!def) {
        throw new AppError('UNKNOWN_NODE_TYPE', {
          message: `This worker does not know the node type "${claimed.type}".`,
          where: claimed.nodeId,
          expected: Object.keys(registry).join(', '),
          got: claimed.type,
          fix: 'Start all of Thaw from the same version.',
        })
      }
      if (claimed.lostInARow >= LOST_LIMIT) throw lostRepeatedly(claimed.nodeId)
      return (await prepare(attempt)) ? { kind: 'work', attempt } : { kind: 'settled' }
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (error instanceof LeaseLost) throw error
      await fail(attempt, error)
      return { kind: 'settled' }
    }
  }

  async function take(tx: Tx, lease: Lease, workerId: string, runId: string): Promise<Claimed | null> {
    const run = await lockRun(tx, runId)
    if (!run || !(await queue.touch(lease, tx))) return null
    // What a request to stop left queued is cancelled by that request; what still runs here is the next attempt of a lost one.
    const claimed = await claimNodeRun(tx, run, lease.job.id, workerId, lease.jobId)
    if (!claimed) return null
    const events = [
      nodeEvent(claimed.nodeId, { status: 'running', attempt: claimed.held.attempt, ...(claimed.lost && { reason: { code: 'lost' } }) }),
    ]
    if (run.status === 'queued' || run.status === 'paused') {
      await setRunStatus(tx, run.id, 'running')
      await appendEvents(tx, run.id, [{ nodeId: null, kind: 'run', data: { status: 'running' } }, ...events])
    } else await appendEvents(tx, run.id, events)
    return claimed
  }

  /** Reads the inputs, computes the key and looks again. False when the node run was settled as reused. */
  async function prepare(attempt: Prepared): Promise<boolean> {
    const { def, held, wires, params } = attempt
    const made = await outputsByNode(db, held.runId, [...new Set(Object.values(wires).map((end) => end.node))])
    const digests: Record<string, string> = {}
    for (const [port, input] of Object.entries(def.inputs as Record<string, PortDef>)) {
      const from = wires[port]
      if (!from) continue
      const value = made.get(from.node)?.outputs[from.port]
      if (value === undefined) {
        throw new AppError('INTERNAL', {
          message: `The input ${input.title} is not there.`,
          where: `${attempt.nodeId}.${port}`,
          got: `${from.node}.${from.port}`,
        })
      }
      attempt.inputs[port] = value
      digests[port] = contentDigest(input.kind, value)
      for (const digest of artifactsOf(input.kind, value)) {
        if (await deps.verify(digest)) continue
        throw new AppError('ARTIFACT_CORRUPT', {
          message: `The stored input ${input.title} is missing or damaged.`,
          where: `${attempt.nodeId}.${port}`,
          got: digest,
          fix: `Run again: what made it (${from.node}) will run anew.`,
        })
      }
    }
    attempt.seed = seedOf(def, params) ?? 0
    const request = def.facts?.(params) ?? null
    const source = request ? await deps.digestOf(request) : null
    const value = request ? (request.kind === 'model' ? request.source : request.file) : ''
    if (request && !source) {
      throw new AppError('NOT_FOUND', {
        message: `${value} was not found.`,
        where: `${attempt.nodeId} (${factKey(request)})`,
        fix: 'Choose another file, or put it back.',
      })
    }
    if (source) attempt.sources = { [value]: source.digest }
    const implDigest = implDigests[def.type]
    if (implDigest === undefined) return true
    const recipe = { def, version: versionOf(def), implDigest, params, inputs: digests, source: source ? { ...source, value } : undefined }
    attempt.key = cacheKey(recipe)
    attempt.identityKey = identityKey(recipe)
    const noted = await noteAttempt(db, held, {
      key: attempt.key,
      identityKey: attempt.identityKey,
      inputs: digests,
      source: source?.digest ?? null,
      implDigest,
    })
    if (!noted) throw new LeaseLost(held)
    if (def.purity !== 'volatile' && !attempt.recipe?.forced && ((await reuse(attempt)) || (await waitForSame(attempt)))) return false
    const saved = (await checkpointsByIdentity(db, attempt.ownerId, [attempt.identityKey])).get(attempt.identityKey) ?? []
    for (let left = saved; ; ) {
      const fit = fittingCheckpoint(def, params, left)
      const row = fit && saved.find((candidate) => candidate.manifest === fit.checkpoint.manifest && candidate.step === fit.checkpoint.step)
      if (!row || attempt.checkpoints.length >= 4) break
      attempt.checkpoints.push({ step: row.step, manifest: row.manifest, ...(row.metric !== null && { metric: row.metric }) })
      left = left.filter((candidate) => candidate !== fit.checkpoint)
    }
    return true
  }

  async function reuse(attempt: Prepared): Promise<boolean> {
    const { key, held, lease } = attempt
    if (key === null) return false
    const result = (await resultsByKey(db, attempt.ownerId, [key])).get(key)
    if (!result || result.invalidated) return false
    for (const [port, output] of Object.entries(attempt.def.outputs as Record<string, PortDef>)) {
      const value = result.outputs[port]
      if (value === undefined) return false
      for (const digest of artifactsOf(output.kind, value)) if (!(await deps.verify(digest))) return false
    }
    await settle(held, lease, async (tx, run) => {
      const left = await leaveNodeRun(tx, held, { status: 'reused', outputs: result.outputs, reusedFrom: result.nodeRun })
      if (!left) throw new LeaseLost(held)
      await shareArtifacts(tx, [result.nodeRun], { nodeRun: held.nodeRunId })
      await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'reused' })
      await advance(tx, queue, run, [
        nodeEvent(attempt.nodeId, {
          status: 'reused',
          attempt: held.attempt,
          reason: { code: 'same-content', run: result.run },
          reusedFrom: { run: result.run, nodeRun: result.nodeRun },
          key,
          outputs: result.outputs,
        }),
      ])
    })
    return true
  }

  /**
   * Two runs that need the same result at the same moment share one execution: the later one goes back into the queue and finds the result there
   * when it is woken. Its job comes due by itself as well, in case whoever works on it dies between finishing and waking.
   */
  async function waitForSame(attempt: Prepared): Promise<boolean> {
    const { key, held, lease, ownerId } = attempt
    if (key === null || !(await workingOn(db, ownerId, key, held.nodeRunId))) return false
    return db.transaction(async (tx) => {
      const run = await lockRun(tx, held.runId)
      if (!run) throw new LeaseLost(held)
      // Of two that meet here, the first steps back and the second no longer sees it working.
      await lockFor(tx, 'same recipe', ownerId, key)
      const other = run.wanted === 'run' ? await workingOn(tx, ownerId, key, held.nodeRunId) : null
      if (!other) return false
      const notBefore = new Date(Date.now() + SHARED_AGAIN_MS)
      const jobId = await queue.send(tx, lease.queue, lease.job, { priority: run.priority, startAfter: notBefore })
      await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'released' })
      if (!(await leaveNodeRun(tx, held, { status: 'queued', jobId, notBefore }))) throw new LeaseLost(held)
      await advance(tx, queue, run, [
        nodeEvent(attempt.nodeId, { status: 'queued', attempt: held.attempt, reason: { code: 'shared', run: other.run } }),
      ])
      if (!(await queue.complete(lease, tx))) throw new LeaseLost(held)
      return true
    })
  }

  /** Wakes those that wait for what this attempt was at, whatever came of it. */
  async function wakeWaiting(attempt: Pick<Prepared, 'held'> & Partial<Pick<Prepared, 'key' | 'ownerId'>>): Promise<void> {
    const { key, ownerId, held } = attempt
    if (key == null || ownerId === undefined) return
    for (const waiting of await waitingFor(db, ownerId, key, held.nodeRunId)) {
      await db.transaction(async (tx) => {
        const run = await lockRun(tx, waiting.runId)
        const node = run && (await scheduledOf(tx, waiting.runId)).find((one) => one.id === waiting.id)
        if (!run || !node || node.status !== 'queued') return
        if (node.jobId !== null) await queue.cancel(tx, node.resource, node.jobId)
        const jobId = await queue.send(tx, node.resource, { id: node.id }, { priority: run.priority })
        await moveNodeRun(tx, node.id, 'queued', 'queued', { jobId, notBefore: null })
      })
    }
  }

  /** Outputs are already parsed against their ports and their artifacts stored. */
  async function done(
    attempt: Prepared,
    result: {
      outputs: Record<string, unknown>
      artifacts: readonly NewArtifact[]
      provenance: Record<string, unknown>
      step: number | null
    },
  ): Promise<void> {
    const { held, lease, key } = attempt
    await settle(held, lease, async (tx, run) => {
      if (!(await leaveNodeRun(tx, held, { status: 'done', outputs: result.outputs, step: result.step }))) throw new LeaseLost(held)
      await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'done', toStep: result.step })
      await recordArtifacts(tx, deps.bytes, attempt.ownerId, { kind: 'node_run', id: held.nodeRunId }, result.artifacts)
      if (key !== null) {
        const id = await recordResult(tx, attempt.ownerId, {
          key,
          nodeRunId: held.nodeRunId,
          type: attempt.type,
          outputs: result.outputs,
          provenance: result.provenance,
        })
        if (id !== null) await recordArtifacts(tx, deps.bytes, attempt.ownerId, { kind: 'result', id }, result.artifacts)
      }
      await advance(tx, queue, run, [nodeEvent(attempt.nodeId, { status: 'done', attempt: held.attempt, key, outputs: result.outputs })])
    })
  }

  /** Ends the node run as failed, or sends it round again when the failure may pass by itself. */
  async function fail(attempt: Pick<Prepared, 'held' | 'lease' | 'nodeId'>, error: AppError, step: number | null = null): Promise<void> {
    const { held, lease } = attempt
    const stored = error.toStored()
    await settle(held, lease, async (tx, run) => {
      const tried = error.failure === 'transient' ? await transientFailures(tx, held.nodeRunId) : TRANSIENT_DELAYS_MS.length
      const delay = TRANSIENT_DELAYS_MS[tried]
      await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'failed', error: stored, toStep: step })
      if (delay !== undefined && run.wanted === 'run') {
        const notBefore = new Date(Date.now() + delay)
        const jobId = await queue.send(tx, lease.queue, lease.job, { priority: run.priority, startAfter: notBefore })
        if (!(await leaveNodeRun(tx, held, { status: 'queued', jobId, notBefore }))) throw new LeaseLost(held)
        await advance(tx, queue, run, [
          nodeEvent(attempt.nodeId, {
            status: 'queued',
            attempt: held.attempt,
            reason: { code: 'transient', seconds: delay / 1_000 },
            error: stored,
          }),
        ])
        return
      }
      await endFailed(tx, run, attempt, stored, step)
    })
  }

  async function endFailed(
    tx: Tx,
    run: LockedRun,
    attempt: Pick<Prepared, 'held' | 'nodeId'>,
    error: StoredError,
    step: number | null,
  ): Promise<void> {
    const { held, nodeId } = attempt
    if (!(await leaveNodeRun(tx, held, { status: 'failed', error, step }))) throw new LeaseLost(held)
    await advance(tx, queue, run, [nodeEvent(nodeId, { status: 'failed', attempt: held.attempt, error })])
  }

  /** Ends the node run as failed; its last attempt may have ended in another way than that. */
  async function end(attempt: Prepared, error: AppError, last: { outcome: AttemptOutcome; error: StoredError }): Promise<void> {
    const { held, lease } = attempt
    await settle(held, lease, async (tx, run) => {
      await closeAttempt(tx, held.nodeRunId, held.attempt, last)
      await endFailed(tx, run, attempt, error.toStored(), null)
    })
  }

  /** The user's stop or pause reached it; `step` is that of its last checkpoint. */
  async function stopped(attempt: Prepared, as: 'stopped' | 'paused', step: number | null): Promise<void> {
    const { held, lease } = attempt
    await settle(held, lease, async (tx, run) => {
      if (!(await leaveNodeRun(tx, held, { status: as, step }))) throw new LeaseLost(held)
      await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'stopped', toStep: step })
      await advance(tx, queue, run, [nodeEvent(attempt.nodeId, { status: as, attempt: held.attempt, ...(step !== null && { step }) })])
    })
  }

  /** The worker shuts down: the node run goes back to the queue with its checkpoint. */
  async function released(attempt: Prepared, step: number | null): Promise<void> {
    const { held, lease } = attempt
    await settle(held, lease, async (tx, run) => {
      const jobId = await queue.send(tx, lease.queue, lease.job, { priority: run.priority })
      if (!(await leaveNodeRun(tx, held, { status: 'queued', jobId, notBefore: null }))) throw new LeaseLost(held)
      await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'released', toStep: step })
      await advance(tx, queue, run, [nodeEvent(attempt.nodeId, { status: 'queued', attempt: held.attempt, reason: { code: 'released' } })])
    })
  }

  /**
   * The trainer died under a living lease: counts the attempt as lost and starts the next one at once, from the checkpoint.
   * @returns the new attempt, or null when the node run was settled (lost too often).
   */
  async function retryLost(attempt: Prepared, workerId: string, error: AppError): Promise<Prepared | null> {
    const stored = error.toStored()
    const lostBefore = await lostInARow(db, attempt.held)
    if (lostBefore === null) throw new LeaseLost(attempt.held)
    if (lostBefore + 1 >= LOST_LIMIT) {
      await end(attempt, lostRepeatedly(attempt.nodeId, stored), { outcome: 'lost', error: stored })
      return null
    }
    const held = await db.transaction(async (tx) => {
      const run = await lockRun(tx, attempt.held.runId)
      const started = run && (await nextAttempt(tx, attempt.held, workerId, stored))
      if (!run || !started) throw new LeaseLost(attempt.held)
      await appendEvents(tx, run.id, [
        nodeEvent(attempt.nodeId, { status: 'running', attempt: started.attempt, reason: { code: 'lost', message: stored.message } }),
      ])
      return started
    })
    const again: Prepared = { ...attempt, held, inputs: {}, sources: {}, checkpoints: [] }
    return (await prepare(again)) ? again : null
  }

  /** Commits a checkpoint: it exists for everybody from here on. */
  async function checkpoint(
    attempt: Prepared,
    saved: { step: number; manifest: string; metric: number | null; artifacts: readonly NewArtifact[] },
  ): Promise<void> {
    await db.transaction(async (tx) => {
      const run = await lockRun(tx, attempt.held.runId)
      const written =
        run &&
        (await addCheckpoint(tx, attempt.held, {
          // Without an implementation digest nothing may continue from it but this very node run.
          identityKey: attempt.identityKey ?? attempt.held.nodeRunId,
          step: saved.step,
          manifest: saved.manifest,
          metric: saved.metric,
        }))
      if (!written) throw new LeaseLost(attempt.held)
      await recordArtifacts(tx, deps.bytes, attempt.ownerId, { kind: 'checkpoint', id: written.id }, saved.artifacts)
      for (const id of written.dropped) await dropRefs(tx, { kind: 'checkpoint', id })
      await appendEvents(tx, attempt.held.runId, [
        { nodeId: attempt.nodeId, kind: 'checkpoint', data: { step: saved.step, manifest: saved.manifest } },
      ])
    })
  }

  /** Settles, then wakes. What was settled stays so when waking fails: the sleepers' own time comes. */
  const waking =
    <A extends Pick<Prepared, 'held'>, Rest extends unknown[]>(end: (attempt: A, ...rest: Rest) => Promise<void>) =>
    async (attempt: A, ...rest: Rest): Promise<void> => {
      await end(attempt, ...rest)
      await wakeWaiting(attempt).catch(() => {})
    }

  return {
    claim,
    done: waking(done),
    fail: waking(fail),
    stopped: waking(stopped),
    released: waking(released),
    retryLost,
    checkpoint,
  }
}

const lostRepeatedly = (node: string, last?: StoredError) =>
  new AppError('LOST_REPEATEDLY', {
    message: `The process that worked on ${node} died three times without getting to a checkpoint.`,
    where: node,
    got: last?.message,
    details: last?.details,
    fix: 'Give it less to hold in memory (smaller batch or max_length), or look into the log for what ended it.',
  })
