/**
 * What the executor writes about node runs: scheduling under the run's row lock, and a worker's writes under its attempt number. Every write of
 * a worker carries `attempt = mine and status = 'running'`; no row touched means that somebody else has the node run now.
 * Lock order everywhere: run, node runs, counter.
 */
import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import {
  type AttemptOutcome,
  attempts,
  checkpoints,
  type NodeRunStatus,
  nodeRuns,
  pipelineVersions,
  type ResourceClass,
  type RunStatus,
  type RunWanted,
  runs,
  type StoredError,
} from '../../drizzle/schema'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Queryer, rowsOf, type Tx } from './db'
import { newId } from './ids'

export type { AttemptOutcome, NodeRunStatus, ResourceClass, RunStatus, RunWanted, StoredError } from '../../drizzle/schema'

/** The right of one attempt to write about its node run. */
export type Held = { runId: string; nodeRunId: string; attempt: number }
export type LockedRun = {
  id: string
  ownerId: string
  number: number
  versionId: string
  status: RunStatus
  wanted: RunWanted
  priority: number
}
/** A node run as the scheduler sees it. */
export type Scheduled = {
  id: string
  nodeId: string
  type: string
  status: NodeRunStatus
  resource: ResourceClass
  wires: Record<string, { node: string; port: string }>
  jobId: string | null
  endedAt: Date | null
}

const heldBy = (held: Held) => and(eq(nodeRuns.id, held.nodeRunId), eq(nodeRuns.attempt, held.attempt), eq(nodeRuns.status, 'running'))

/** First lock of every scheduling transaction: two parents that finish together cannot both leave the child behind. */
export async function lockRun(tx: Tx, runId: string): Promise<LockedRun | null> {
  const [row] = await tx
    .select({
      id: runs.id,
      ownerId: runs.ownerId,
      number: runs.number,
      versionId: runs.versionId,
      status: runs.status,
      wanted: runs.wanted,
      priority: runs.priority,
    })
    .from(runs)
    .where(eq(runs.id, runId))
    .for('update')
  return row ?? null
}

export async function scheduledOf(tx: Queryer, runId: string): Promise<Scheduled[]> {
  return tx
    .select({
      id: nodeRuns.id,
      nodeId: nodeRuns.nodeId,
      type: nodeRuns.type,
      status: nodeRuns.status,
      resource: nodeRuns.resource,
      wires: nodeRuns.wires,
      jobId: nodeRuns.jobId,
      endedAt: nodeRuns.endedAt,
    })
    .from(nodeRuns)
    .where(eq(nodeRuns.runId, runId))
    .orderBy(nodeRuns.id)
}

/** Moves node runs that nobody works on to another status; the caller holds the run's lock and has checked the way. */
export async function moveNodeRun(
  tx: Tx,
  id: string,
  from: NodeRunStatus,
  to: NodeRunStatus,
  set: { jobId?: string | null; skippedBy?: string | null; notBefore?: Date | null } = {},
): Promise<boolean> {
  const ends = to === 'skipped' || to === 'cancelled' || to === 'stopped'
  const rows = await tx
    .update(nodeRuns)
    .set({
      status: to,
      ...(to === 'queued' && { queuedAt: sql`now()` }),
      ...(ends && { endedAt: sql`now()` }),
      ...(to !== 'queued' && to !== 'running' && { jobId: null }),
      workerId: null,
      ...set,
    })
    .where(and(eq(nodeRuns.id, id), eq(nodeRuns.status, from)))
    .returning({ id: nodeRuns.id })
  return rows.length === 1
}

export async function setRunStatus(tx: Tx, runId: string, status: RunStatus, rootCause: string | null = null): Promise<void> {
  const ended = status === 'succeeded' || status === 'failed' || status === 'stopped'
  await tx
    .update(runs)
    .set({
      status,
      ...(status === 'running' && { startedAt: sql`coalesce(started_at, now())` }),
      ...(ended && { endedAt: sql`now()`, rootCause }),
    })
    .where(eq(runs.id, runId))
}

export async function setRunWanted(tx: Tx, runId: string, wanted: RunWanted): Promise<void> {
  await tx.update(runs).set({ wanted }).where(eq(runs.id, runId))
}

/** The failed node run that ended first: what the failure card shows. */
export async function earliestFailure(tx: Queryer, runId: string): Promise<string | null> {
  const [row] = await tx
    .select({ id: nodeRuns.id })
    .from(nodeRuns)
    .where(and(eq(nodeRuns.runId, runId), eq(nodeRuns.status, 'failed')))
    .orderBy(nodeRuns.endedAt, nodeRuns.id)
    .limit(1)
  return row?.id ?? null
}

export async function runOf(db: Queryer, nodeRunId: string): Promise<string | null> {
  const [row] = await db.select({ runId: nodeRuns.runId }).from(nodeRuns).where(eq(nodeRuns.id, nodeRunId))
  return row?.runId ?? null
}

export type Claimed = {
  held: Held
  ownerId: string
  nodeId: string
  type: string
  params: Record<string, unknown>
  wires: Record<string, { node: string; port: string }>
  recipe: { version: number; implDigest: string | null; estimatedSeconds: number | null; forced?: boolean } | null
  /** What the last attempt left behind: it was running and nobody ended it. */
  lost: boolean
  lostInARow: number
  checkpointId: string | null
  runNumber: number
  runStatus: RunStatus
  wanted: RunWanted
  document: Pipeline
}

/** Takes a node run: attempt + 1. Null when it is not there to be taken. The caller holds the run's lock. */
export async function claimNodeRun(tx: Tx, run: LockedRun, nodeRunId: string, workerId: string, jobId: string): Promise<Claimed | null> {
  const [before] = await tx.select().from(nodeRuns).where(eq(nodeRuns.id, nodeRunId)).for('update')
  if (!before || (before.status !== 'queued' && before.status !== 'running')) return null
  const lost = before.status === 'running'
  const lostInARow = lost ? before.lostInARow + 1 : before.lostInARow
  const attempt = before.attempt + 1
  if (lost) await closeAttempt(tx, nodeRunId, before.attempt, { outcome: 'lost' })
  await tx
    .update(nodeRuns)
    .set({
      status: 'running',
      attempt,
      workerId,
      jobId,
      lostInARow,
      notBefore: null,
      startedAt: sql`coalesce(started_at, now())`,
      lastBeat: sql`now()`,
    })
    .where(eq(nodeRuns.id, nodeRunId))
  await tx.insert(attempts).values({ id: newId(), ownerId: before.ownerId, nodeRunId, attempt, workerId })
  const [version] = await tx
    .select({ document: pipelineVersions.document })
    .from(pipelineVersions)
    .where(eq(pipelineVersions.id, run.versionId))
  if (!version) return null
  return {
    held: { runId: run.id, nodeRunId, attempt },
    ownerId: before.ownerId,
    nodeId: before.nodeId,
    type: before.type,
    params: before.params,
    wires: before.wires,
    recipe: before.recipe,
    lost,
    lostInARow,
    checkpointId: before.checkpointId,
    runNumber: run.number,
    runStatus: run.status,
    wanted: run.wanted,
    document: version.document as Pipeline,
  }
}

/** Ends the running attempt as lost and starts the next under the same lease, after a trainer died. Null when the attempt no longer holds. */
export async function nextAttempt(tx: Tx, held: Held, workerId: string, error: StoredError): Promise<Held | null> {
  const rows = await tx
    .update(nodeRuns)
    .set({ attempt: held.attempt + 1, lostInARow: sql`lost_in_a_row + 1`, lastBeat: sql`now()` })
    .where(heldBy(held))
    .returning({ ownerId: nodeRuns.ownerId })
  const row = rows[0]
  if (!row) return null
  await closeAttempt(tx, held.nodeRunId, held.attempt, { outcome: 'lost', error })
  const next = { ...held, attempt: held.attempt + 1 }
  await tx.insert(attempts).values({ id: newId(), ownerId: row.ownerId, nodeRunId: held.nodeRunId, attempt: next.attempt, workerId })
  return next
}

/** How many attempts were lost since the last checkpoint; null when the attempt no longer holds. */
export async function lostInARow(db: Queryer, held: Held): Promise<number | null> {
  const [row] = await db.select({ lostInARow: nodeRuns.lostInARow }).from(nodeRuns).where(heldBy(held))
  return row?.lostInARow ?? null
}

export async function closeAttempt(
  tx: Tx,
  nodeRunId: string,
  attempt: number,
  end: { outcome: AttemptOutcome; error?: StoredError | null; toStep?: number | null },
): Promise<void> {
  await tx
    .update(attempts)
    .set({ outcome: end.outcome, error: end.error ?? null, endedAt: sql`now()`, ...(end.toStep != null && { toStep: end.toStep }) })
    .where(and(eq(attempts.nodeRunId, nodeRunId), eq(attempts.attempt, attempt), isNull(attempts.outcome)))
}

/** Facts about an attempt that come to light while it runs. */
export async function noteAttempt(
  db: Queryer,
  held: Held,
  facts: {
    trainerPid?: number
    fromStep?: number
    key?: string
    identityKey?: string
    inputs?: Record<string, string>
    source?: string | null
    implDigest?: string
  },
): Promise<boolean> {
  const { trainerPid, fromStep, key, identityKey, inputs, source, implDigest } = facts
  if (trainerPid !== undefined || fromStep !== undefined) {
    await db
      .update(attempts)
      .set({ ...(trainerPid !== undefined && { trainerPid }), ...(fromStep !== undefined && { fromStep }) })
      .where(and(eq(attempts.nodeRunId, held.nodeRunId), eq(attempts.attempt, held.attempt)))
  }
  if (key === undefined) return true
  const rows = await db
    .update(nodeRuns)
    .set({
      key,
      identityKey: identityKey ?? null,
      recipe: sql`json_build_object(
        'version', coalesce((recipe ->> 'version')::int, 1),
        'implDigest', ${implDigest ?? null}::text,
        'inputs', ${JSON.stringify(inputs ?? null)}::json,
        'source', ${source ?? null}::text,
        'estimatedSeconds', recipe -> 'estimatedSeconds',
        'forced', recipe -> 'forced')`,
    })
    .where(heldBy(held))
    .returning({ id: nodeRuns.id })
  return rows.length === 1
}

/** Sign of life of an attempt. @returns what is wanted of the run, or null when the attempt no longer holds. */
export async function beat(db: Queryer, held: Held): Promise<RunWanted | null> {
  const rows = await rowsOf<{ wanted: RunWanted }>(
    db,
    sql`update node_runs n set last_beat = now() from runs r
        where n.id = ${held.nodeRunId} and n.attempt = ${held.attempt} and n.status = 'running' and r.id = n.run_id
        returning r.wanted`,
  )
  return rows[0]?.wanted ?? null
}

export async function wantedOf(db: Queryer, runId: string): Promise<RunWanted | null> {
  const [row] = await db.select({ wanted: runs.wanted }).from(runs).where(eq(runs.id, runId))
  return row?.wanted ?? null
}

/** Ends or releases the held node run. False when the attempt no longer holds: then nothing was written. */
export async function leaveNodeRun(
  tx: Tx,
  held: Held,
  to:
    | { status: 'done'; outputs: Record<string, unknown>; step: number | null }
    | { status: 'reused'; outputs: Record<string, unknown>; reusedFrom: string }
    | { status: 'failed'; error: StoredError; step: number | null }
    | { status: 'stopped'; step: number | null }
    | { status: 'paused'; step: number | null }
    | { status: 'queued'; jobId: string; notBefore: Date | null },
): Promise<boolean> {
  const ends = to.status !== 'paused' && to.status !== 'queued'
  const rows = await tx
    .update(nodeRuns)
    .set({
      status: to.status,
      workerId: null,
      jobId: to.status === 'queued' ? to.jobId : null,
      ...(to.status === 'queued' && { queuedAt: sql`now()`, notBefore: to.notBefore }),
      ...('outputs' in to && { outputs: to.outputs }),
      ...('reusedFrom' in to && { reusedFrom: to.reusedFrom }),
      ...('error' in to && { error: to.error }),
      ...('step' in to && to.step !== null && { step: to.step }),
      ...(ends && { endedAt: sql`now()` }),
    })
    .where(heldBy(held))
    .returning({ id: nodeRuns.id })
  return rows.length === 1
}

/** How many attempts of a node run failed for a reason that passes by itself. */
export async function transientFailures(tx: Queryer, nodeRunId: string): Promise<number> {
  const rows = await rowsOf<{ count: number }>(
    tx,
    sql`select count(*)::int as count from attempts where node_run_id = ${nodeRunId} and outcome = 'failed' and error ->> 'failure' = 'transient'`,
  )
  return rows[0]?.count ?? 0
}

/** Records a checkpoint under the attempt's guard and forgets the lost attempts before it. Null when the attempt no longer holds. */
export async function addCheckpoint(
  tx: Tx,
  held: Held,
  values: { identityKey: string; step: number; manifest: string; metric: number | null },
): Promise<{ id: string; dropped: string[] } | null> {
  const [row] = await tx.select({ ownerId: nodeRuns.ownerId }).from(nodeRuns).where(heldBy(held)).for('update')
  if (!row) return null
  const [written] = await tx
    .insert(checkpoints)
    .values({ id: newId(), ownerId: row.ownerId, nodeRunId: held.nodeRunId, ...values })
    // The same step again, after a resume: the newest bytes count.
    .onConflictDoUpdate({
      target: [checkpoints.nodeRunId, checkpoints.step],
      set: { manifest: values.manifest, metric: values.metric, identityKey: values.identityKey },
    })
    .returning({ id: checkpoints.id })
  if (!written) return null
  await tx.update(nodeRuns).set({ checkpointId: written.id, step: values.step, lostInARow: 0 }).where(eq(nodeRuns.id, held.nodeRunId))
  await tx
    .update(attempts)
    .set({ toStep: values.step })
    .where(and(eq(attempts.nodeRunId, held.nodeRunId), eq(attempts.attempt, held.attempt)))
  return { id: written.id, dropped: await pruneCheckpoints(tx, held.nodeRunId) }
}

/** Unpinned, the last three and the best are kept. @returns ids of those that went. */
async function pruneCheckpoints(tx: Tx, nodeRunId: string): Promise<string[]> {
  const rows = await rowsOf<{ id: string }>(
    tx,
    sql`delete from checkpoints where node_run_id = ${nodeRunId} and not pinned
          and id not in (select id from checkpoints where node_run_id = ${nodeRunId} order by step desc limit 3)
          and id not in (select id from checkpoints where node_run_id = ${nodeRunId} and metric is not null order by metric, step desc limit 1)
        returning id`,
  )
  return rows.map((row) => row.id)
}

/** Handles on the inputs of a node run, by node and port. Null when one of them is not there. */
export async function outputsByNode(
  db: Queryer,
  runId: string,
  nodes: readonly string[],
): Promise<Map<string, { type: string; outputs: Record<string, unknown> }>> {
  if (nodes.length === 0) return new Map()
  const rows = await db
    .select({ nodeId: nodeRuns.nodeId, type: nodeRuns.type, outputs: nodeRuns.outputs })
    .from(nodeRuns)
    .where(and(eq(nodeRuns.runId, runId), inArray(nodeRuns.nodeId, [...nodes])))
  return new Map(rows.flatMap((row) => (row.outputs ? [[row.nodeId, { type: row.type, outputs: row.outputs }] as const] : [])))
}

/** Runs that are not over, oldest first: what the reconciler looks at. */
export async function openRuns(db: Queryer): Promise<string[]> {
  const rows = await db.select({ id: runs.id }).from(runs).where(isNull(runs.endedAt)).orderBy(runs.createdAt)
  return rows.map((row) => row.id)
}

/** Node runs that a worker holds, with their jobs: what is given back when it turns out dead. */
export async function heldByWorker(
  db: Queryer,
  workerId: string,
): Promise<{ id: string; jobId: string | null; resource: ResourceClass }[]> {
  return db
    .select({ id: nodeRuns.id, jobId: nodeRuns.jobId, resource: nodeRuns.resource })
    .from(nodeRuns)
    .where(and(eq(nodeRuns.workerId, workerId), eq(nodeRuns.status, 'running')))
}

/** Takes a lock for the length of the transaction unless somebody else has it. */
export async function tryLockFor(tx: Tx, ...words: string[]): Promise<boolean> {
  const rows = await rowsOf<{ taken: boolean }>(tx, sql`select pg_try_advisory_xact_lock(hashtextextended(${words.join(' ')}, 7)) as taken`)
  return rows[0]?.taken === true
}

/** Runs made to try this one again, oldest first. */
export async function childRuns(
  db: Queryer,
  owner: string,
  runId: string,
): Promise<{ id: string; number: number; endedAt: Date | null }[]> {
  return db
    .select({ id: runs.id, number: runs.number, endedAt: runs.endedAt })
    .from(runs)
    .where(and(eq(runs.parentRun, runId), eq(runs.ownerId, owner)))
    .orderBy(runs.number)
}

/** Another node run of this owner that works on the same recipe right now, the longest at it; null when nobody does. */
export async function workingOn(db: Queryer, owner: string, key: string, except: string): Promise<{ nodeRun: string; run: number } | null> {
  const [row] = await rowsOf<{ node_run: string; run: number }>(
    db,
    sql`select n.id as node_run, r.number as run from node_runs n join runs r on r.id = n.run_id
        where n.owner_id = ${owner} and n.key = ${key} and n.status = 'running' and n.id <> ${except} order by n.started_at, n.id limit 1`,
  )
  return row ? { nodeRun: row.node_run, run: row.run } : null
}

/** Node runs that stepped back for somebody at work on this recipe. Those that wait after a failure keep their waiting time. */
export async function waitingFor(db: Queryer, owner: string, key: string, except: string): Promise<{ id: string; runId: string }[]> {
  const rows = await rowsOf<{ id: string; run_id: string }>(
    db,
    sql`select n.id, n.run_id from node_runs n
        join attempts a on a.node_run_id = n.id and a.attempt = n.attempt and a.outcome = 'released'
        where n.owner_id = ${owner} and n.key = ${key} and n.status = 'queued' and n.id <> ${except}`,
  )
  return rows.map(({ id, run_id }) => ({ id, runId: run_id }))
}
