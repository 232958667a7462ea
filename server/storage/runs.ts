/** Runs and node runs as submitters and readers see them. What workers write, under their attempt number, is in node-runs.ts. */
import { and, desc, eq, inArray, isNotNull, isNull, lt, sql } from 'drizzle-orm'
import {
  attempts,
  checkpoints,
  type NodeRunStatus,
  nodeRuns,
  pipelines,
  pipelineVersions,
  type ResourceClass,
  type RunStatus,
  type RunWanted,
  runSeq,
  runs,
  type StoredError,
} from '../../drizzle/schema'
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Plan } from '../../nodes/_kit/plan'
import { AppError } from '../errors'
import { lockAgainstCollection } from './collect'
import { type Db, lockFor, type Queryer, type Tx } from './db'
import { isId, newId } from './ids'

export type RunRow = {
  id: string
  number: number
  pipelineId: string
  pipelineName: string
  versionId: string
  versionNumber: number
  parentRun: string | null
  target: string[] | null
  inputs: Record<string, unknown>
  status: RunStatus
  wanted: RunWanted
  rootCause: string | null
  /** Given by a person. */
  name: string | null
  note: string
  tags: string[]
  sweepId: string | null
  /** The number it is known by: exact match of a validation, else its loss. */
  headline: { name: 'exact_match' | 'eval_loss'; value: number } | null
  createdAt: Date
  startedAt: Date | null
  endedAt: Date | null
}
export type NodeRunRow = {
  id: string
  nodeId: string
  type: string
  status: NodeRunStatus
  resource: ResourceClass
  params: Record<string, unknown>
  key: string | null
  attempt: number
  outputs: Record<string, unknown> | null
  error: StoredError | null
  step: number | null
  checkpoint: { step: number; manifest: string; metric: number | null } | null
  skippedBy: string | null
  reusedFrom: { run: string; number: number } | null
  queuedAt: Date | null
  startedAt: Date | null
  lastBeat: Date | null
  endedAt: Date | null
}
export type AttemptRow = {
  attempt: number
  workerId: string | null
  trainerPid: number | null
  fromStep: number | null
  toStep: number | null
  outcome: string | null
  error: StoredError | null
  startedAt: Date
  endedAt: Date | null
}
/** A run with everything a page draws first; subscribe to its events from `seq` on (R-85). */
export type RunSnapshot = { run: RunRow; document: Pipeline; plan: Plan; nodes: NodeRunRow[]; seq: number }

export type NewNodeRun = {
  id?: string
  nodeId: string
  type: string
  status: Extract<NodeRunStatus, 'waiting' | 'queued' | 'reused' | 'done'>
  resource: ResourceClass
  params: Record<string, unknown>
  wires: Record<string, { node: string; port: string }>
  recipe?: (typeof nodeRuns.$inferInsert)['recipe']
  key?: string | null
  identityKey?: string | null
  outputs?: Record<string, unknown> | null
  reusedFrom?: string | null
  checkpointId?: string | null
}
export type NewRun = {
  pipelineId: string
  versionId: string
  parentRun?: string | null
  target: string[] | null
  inputs: Record<string, unknown>
  plan: Plan
  /** Same key, same run: a double click makes one (R-29). */
  idempotencyKey: string
  priority?: number
  name?: string | null
  note?: string
  sweepId?: string | null
  nodes: readonly NewNodeRun[]
}

/** Inserts a run with its node runs and its event counter. `existing` is true when the idempotency key was known; then nothing is written. */
export async function insertRun(
  tx: Tx,
  owner: string,
  values: NewRun,
): Promise<{
  id: string
  number: number
  existing: boolean
  nodeRuns: { id: string; nodeId: string; status: NodeRunStatus; resource: ResourceClass }[]
}> {
  await lockFor(tx, 'run-number', owner)
  const [known] = await tx
    .select({ id: runs.id, number: runs.number })
    .from(runs)
    .where(and(eq(runs.ownerId, owner), eq(runs.idempotencyKey, values.idempotencyKey)))
  if (known) return { ...known, existing: true, nodeRuns: [] }
  const id = newId()
  const [run] = await tx
    .insert(runs)
    .values({
      id,
      ownerId: owner,
      pipelineId: values.pipelineId,
      versionId: values.versionId,
      number: sql`(select coalesce(max(number), 0) + 1 from runs where owner_id = ${owner})`,
      parentRun: values.parentRun ?? null,
      target: values.target,
      inputs: values.inputs,
      plan: values.plan,
      idempotencyKey: values.idempotencyKey,
      priority: values.priority ?? 0,
      name: values.name ?? null,
      note: values.note ?? '',
      sweepId: values.sweepId ?? null,
    })
    .returning({ number: runs.number })
  await tx.insert(runSeq).values({ runId: id, ownerId: owner })
  const now = sql`now()`
  const written =
    values.nodes.length === 0
      ? []
      : await tx
          .insert(nodeRuns)
          .values(
            values.nodes.map((node) => ({
              id: node.id ?? newId(),
              ownerId: owner,
              runId: id,
              nodeId: node.nodeId,
              type: node.type,
              status: node.status,
              resource: node.resource,
              params: node.params,
              wires: node.wires,
              recipe: node.recipe ?? null,
              key: node.key ?? null,
              identityKey: node.identityKey ?? null,
              outputs: node.outputs ?? null,
              reusedFrom: node.reusedFrom ?? null,
              checkpointId: node.checkpointId ?? null,
              queuedAt: node.status === 'queued' ? now : null,
              endedAt: node.status === 'reused' || node.status === 'done' ? now : null,
            })),
          )
          .returning({ id: nodeRuns.id, nodeId: nodeRuns.nodeId, status: nodeRuns.status, resource: nodeRuns.resource })
  if (!run) throw new AppError('INTERNAL', { message: 'The run was not stored.' })
  const reused = values.nodes.flatMap((node) => node.reusedFrom ?? [])
  if (reused.length > 0) await shareArtifacts(tx, reused, { run: id })
  return { id, number: run.number, existing: false, nodeRuns: written }
}

/**
 * Lets node runs hold the bytes of the results they reuse, so that these outlive the run that made them.
 * @param which all node runs of a run, or one
 * @throws AppError CONFLICT when one of the sources was discarded in between.
 */
export async function shareArtifacts(tx: Tx, sources: readonly string[], which: { run: string } | { nodeRun: string }): Promise<void> {
  await lockAgainstCollection(tx)
  const [gone] = await tx
    .select({ number: runs.number })
    .from(nodeRuns)
    .innerJoin(runs, eq(runs.id, nodeRuns.runId))
    .where(and(inArray(nodeRuns.id, [...sources]), isNotNull(runs.removedAt)))
    .limit(1)
  if (gone)
    throw new AppError('CONFLICT', { message: `Run ${gone.number}, whose result was to be reused, was just discarded.`, fix: 'Try again.' })
  await tx.execute(sql`insert into artifact_refs (digest, holder_kind, holder_id, owner_id)
    select r.digest, 'node_run', n.id, n.owner_id from node_runs n
    join artifact_refs r on r.holder_kind = 'node_run' and r.holder_id = n.reused_from
    where ${'run' in which ? sql`n.run_id = ${which.run}` : sql`n.id = ${which.nodeRun}`} on conflict do nothing`)
}

// Of the first validation that has an exact match, else of the first that has a loss; a training's own loss is no score.
const headline = sql<{ name: 'exact_match' | 'eval_loss'; value: number } | null>`(
  select case when m.exact is not null then json_build_object('name', 'exact_match', 'value', m.exact)
              else json_build_object('name', 'eval_loss', 'value', m.loss) end
  from (select n.id, (n.outputs -> 'metrics' ->> 'exact_match')::float8 as exact, (n.outputs -> 'metrics' ->> 'eval_loss')::float8 as loss
    from node_runs n where n.run_id = ${runs.id} and n.type not like 'train%' and n.outputs -> 'metrics' is not null) m
  where m.exact is not null or m.loss is not null order by m.exact is null, m.id limit 1)`

const runColumns = {
  id: runs.id,
  number: runs.number,
  pipelineId: runs.pipelineId,
  pipelineName: pipelines.name,
  versionId: runs.versionId,
  versionNumber: pipelineVersions.number,
  parentRun: runs.parentRun,
  target: runs.target,
  inputs: runs.inputs,
  status: runs.status,
  wanted: runs.wanted,
  rootCause: runs.rootCause,
  name: runs.name,
  note: runs.note,
  tags: runs.tags,
  sweepId: runs.sweepId,
  headline,
  createdAt: runs.createdAt,
  startedAt: runs.startedAt,
  endedAt: runs.endedAt,
}

const runQuery = (db: Queryer) =>
  db
    .select(runColumns)
    .from(runs)
    .innerJoin(pipelines, eq(pipelines.id, runs.pipelineId))
    .innerJoin(pipelineVersions, eq(pipelineVersions.id, runs.versionId))

const notFound = (id: string) => new AppError('NOT_FOUND', { message: 'There is no such run.', got: id })

/** @throws AppError NOT_FOUND, also for a run of somebody else. */
export async function getRun(db: Queryer, owner: string, id: string): Promise<RunRow> {
  const [row] = isId(id) ? await runQuery(db).where(and(eq(runs.id, id), eq(runs.ownerId, owner))) : []
  if (!row) throw notFound(id)
  return row
}

export type RunFilter = {
  pipelineId?: string | undefined
  /** Number of the last run already shown. */
  before?: number | undefined
  limit?: number | undefined
  open?: boolean | undefined
  /** Every word occurs in the name, note, tags or pipeline, or is the number. */
  search?: string | undefined
  tag?: string | undefined
  sweepId?: string | undefined
}

function conditionsOf(owner: string, filter: RunFilter) {
  const words = (filter.search ?? '').split(/\s+/).filter(Boolean).slice(0, 10)
  const hay = sql`lower(concat_ws(' ', ${runs.number}::text, ${runs.name}, ${runs.note}, ${runs.tags}::text, ${pipelines.name}, ${runs.status}))`
  return and(
    eq(runs.ownerId, owner),
    isNull(runs.removedAt),
    filter.pipelineId === undefined ? undefined : eq(runs.pipelineId, filter.pipelineId),
    filter.before === undefined ? undefined : lt(runs.number, filter.before),
    filter.open ? isNull(runs.endedAt) : undefined,
    filter.sweepId === undefined ? undefined : eq(runs.sweepId, filter.sweepId),
    filter.tag === undefined ? undefined : sql`exists (select 1 from json_array_elements_text(${runs.tags}) t where t = ${filter.tag})`,
    ...words.map((word) => sql`position(${word.toLowerCase()} in ${hay}) > 0`),
  )
}

/** Newest first, without those that were discarded. */
export async function listRuns(db: Queryer, owner: string, filter: RunFilter = {}): Promise<RunRow[]> {
  if ((filter.pipelineId !== undefined && !isId(filter.pipelineId)) || (filter.sweepId !== undefined && !isId(filter.sweepId))) return []
  return runQuery(db)
    .where(conditionsOf(owner, filter))
    .orderBy(desc(runs.number))
    .limit(Math.min(filter.limit ?? 50, 500))
}

const reusedRun = sql<{ run: string; number: number } | null>`(
  select json_build_object('run', r.id, 'number', r.number) from node_runs source join runs r on r.id = source.run_id where source.id = ${nodeRuns.reusedFrom}
)`

export async function listNodeRuns(db: Queryer, owner: string, runId: string): Promise<NodeRunRow[]> {
  if (!isId(runId)) return []
  const rows = await db
    .select({
      id: nodeRuns.id,
      nodeId: nodeRuns.nodeId,
      type: nodeRuns.type,
      status: nodeRuns.status,
      resource: nodeRuns.resource,
      params: nodeRuns.params,
      key: nodeRuns.key,
      attempt: nodeRuns.attempt,
      outputs: nodeRuns.outputs,
      error: nodeRuns.error,
      step: nodeRuns.step,
      skippedBy: nodeRuns.skippedBy,
      reusedFrom: reusedRun,
      checkpointStep: checkpoints.step,
      checkpointManifest: checkpoints.manifest,
      checkpointMetric: checkpoints.metric,
      queuedAt: nodeRuns.queuedAt,
      startedAt: nodeRuns.startedAt,
      lastBeat: nodeRuns.lastBeat,
      endedAt: nodeRuns.endedAt,
    })
    .from(nodeRuns)
    .leftJoin(checkpoints, eq(checkpoints.id, nodeRuns.checkpointId))
    .where(and(eq(nodeRuns.runId, runId), eq(nodeRuns.ownerId, owner)))
    .orderBy(nodeRuns.id)
  return rows.map(({ checkpointStep, checkpointManifest, checkpointMetric, ...row }) => ({
    ...row,
    checkpoint:
      checkpointStep !== null && checkpointManifest !== null
        ? { step: checkpointStep, manifest: checkpointManifest, metric: checkpointMetric }
        : null,
  }))
}

/** Every try of every node of a run, by node id, oldest first (R-51). */
export async function listAttempts(db: Queryer, owner: string, runId: string): Promise<Record<string, AttemptRow[]>> {
  if (!isId(runId)) return {}
  const rows = await db
    .select({
      nodeId: nodeRuns.nodeId,
      attempt: attempts.attempt,
      workerId: attempts.workerId,
      trainerPid: attempts.trainerPid,
      fromStep: attempts.fromStep,
      toStep: attempts.toStep,
      outcome: attempts.outcome,
      error: attempts.error,
      startedAt: attempts.startedAt,
      endedAt: attempts.endedAt,
    })
    .from(attempts)
    .innerJoin(nodeRuns, eq(nodeRuns.id, attempts.nodeRunId))
    .where(and(eq(nodeRuns.runId, runId), eq(attempts.ownerId, owner)))
    .orderBy(attempts.attempt)
  const byNode: Record<string, AttemptRow[]> = {}
  for (const { nodeId, ...attempt } of rows) {
    byNode[nodeId] ??= []
    byNode[nodeId].push(attempt)
  }
  return byNode
}

/** One consistent look at a run and the number of the last event it includes. */
export async function runSnapshot(db: Db, owner: string, id: string): Promise<RunSnapshot> {
  if (!isId(id)) throw notFound(id)
  return db.transaction(
    async (tx) => {
      const run = await getRun(tx, owner, id)
      const [stored] = await tx
        .select({ document: pipelineVersions.document, plan: runs.plan, seq: runSeq.seq })
        .from(runs)
        .innerJoin(pipelineVersions, eq(pipelineVersions.id, runs.versionId))
        .innerJoin(runSeq, eq(runSeq.runId, runs.id))
        .where(eq(runs.id, id))
      if (!stored) throw notFound(id)
      return {
        run,
        document: stored.document as Pipeline,
        plan: stored.plan as Plan,
        nodes: await listNodeRuns(tx, owner, id),
        seq: stored.seq,
      }
    },
    { isolationLevel: 'repeatable read', accessMode: 'read only' },
  )
}

/** Outputs of one node of a run; null while it has none. @throws AppError NOT_FOUND */
export async function outputsOf(
  db: Queryer,
  owner: string,
  runId: string,
  nodeId: string,
): Promise<{ type: string; outputs: Record<string, unknown> | null }> {
  const [row] = isId(runId)
    ? await db
        .select({ type: nodeRuns.type, outputs: nodeRuns.outputs })
        .from(nodeRuns)
        .where(and(eq(nodeRuns.runId, runId), eq(nodeRuns.nodeId, nodeId), eq(nodeRuns.ownerId, owner)))
    : []
  if (!row) throw new AppError('NOT_FOUND', { message: 'There is no such node in this run.', got: `${runId} ${nodeId}` })
  return row
}

export type PlannedFrom = { run: number; nodeRun: string }

/** Newest ended node run of each node of a pipeline: what a plan compares with ("Learning rate changed from 1e-4 to 2e-4"). */
export async function lastNodeRuns(db: Queryer, owner: string, pipelineId: string) {
  if (!isId(pipelineId)) return []
  return db
    .selectDistinctOn([nodeRuns.nodeId], {
      nodeId: nodeRuns.nodeId,
      type: nodeRuns.type,
      run: runs.number,
      nodeRun: nodeRuns.id,
      status: nodeRuns.status,
      params: nodeRuns.params,
      recipe: nodeRuns.recipe,
      seconds: sql<number | null>`extract(epoch from ${nodeRuns.endedAt} - ${nodeRuns.startedAt})::float8`,
    })
    .from(nodeRuns)
    .innerJoin(runs, eq(runs.id, nodeRuns.runId))
    .where(
      and(eq(runs.pipelineId, pipelineId), eq(nodeRuns.ownerId, owner), inArray(nodeRuns.status, ['done', 'reused', 'failed', 'stopped'])),
    )
    .orderBy(nodeRuns.nodeId, desc(runs.number))
}
