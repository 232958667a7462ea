/** Complete successes by cache key, and the checkpoints that later work may continue from: what makes a rerun cheap (R-58 … R-68). */
import { and, desc, eq, inArray, isNull, sql } from 'drizzle-orm'
import { checkpoints, nodeRuns, results, runs } from '../../drizzle/schema'
import type { Queryer } from './db'
import { isId, newId } from './ids'

export type ResultRow = {
  key: string
  run: number
  nodeRun: string
  type: string
  outputs: Record<string, unknown>
  provenance: Record<string, unknown>
  /** True when the only results under this key were forgotten by the user. */
  invalidated: boolean
}

/** What is recorded under these keys; a key without an entry was never finished. */
export async function resultsByKey(db: Queryer, owner: string, keys: readonly string[]): Promise<Map<string, ResultRow>> {
  if (keys.length === 0) return new Map()
  const rows = await db
    .select({
      key: results.key,
      run: runs.number,
      nodeRun: results.nodeRunId,
      type: results.type,
      outputs: results.outputs,
      provenance: results.provenance,
      invalidatedAt: results.invalidatedAt,
    })
    .from(results)
    .innerJoin(nodeRuns, eq(nodeRuns.id, results.nodeRunId))
    .innerJoin(runs, eq(runs.id, nodeRuns.runId))
    .where(and(eq(results.ownerId, owner), inArray(results.key, [...keys])))
    .orderBy(desc(results.createdAt))
  const found = new Map<string, ResultRow>()
  for (const { invalidatedAt, ...row } of rows) {
    const known = found.get(row.key)
    if (!known || (known.invalidated && invalidatedAt === null)) found.set(row.key, { ...row, invalidated: invalidatedAt !== null })
  }
  return found
}

/** Records a success; the first writer of a key wins. @returns whether this one was recorded. */
export async function recordResult(
  db: Queryer,
  owner: string,
  values: { key: string; nodeRunId: string; type: string; outputs: Record<string, unknown>; provenance: Record<string, unknown> },
): Promise<string | null> {
  const rows = await db
    .insert(results)
    .values({ id: newId(), ownerId: owner, ...values })
    .onConflictDoNothing()
    .returning({ id: results.id })
  return rows[0]?.id ?? null
}

/** "Forget this result": the next plan runs the node again and says why. */
export async function invalidateResult(db: Queryer, owner: string, key: string): Promise<boolean> {
  const rows = await db
    .update(results)
    .set({ invalidatedAt: sql`now()` })
    .where(and(eq(results.ownerId, owner), eq(results.key, key), isNull(results.invalidatedAt)))
    .returning({ id: results.id })
  return rows.length > 0
}

export type CheckpointRow = {
  id: string
  identityKey: string
  step: number
  manifest: string
  metric: number | null
  run: number
  nodeRun: string
  params: Record<string, unknown>
  createdAt: Date
}

/** By identity key, newest step first. */
export async function checkpointsByIdentity(
  db: Queryer,
  owner: string,
  identityKeys: readonly string[],
): Promise<Map<string, CheckpointRow[]>> {
  const found = new Map<string, CheckpointRow[]>()
  if (identityKeys.length === 0) return found
  const rows = await db
    .select({
      id: checkpoints.id,
      identityKey: checkpoints.identityKey,
      step: checkpoints.step,
      manifest: checkpoints.manifest,
      metric: checkpoints.metric,
      run: runs.number,
      nodeRun: checkpoints.nodeRunId,
      params: nodeRuns.params,
      createdAt: checkpoints.createdAt,
    })
    .from(checkpoints)
    .innerJoin(nodeRuns, eq(nodeRuns.id, checkpoints.nodeRunId))
    .innerJoin(runs, eq(runs.id, nodeRuns.runId))
    .where(and(eq(checkpoints.ownerId, owner), inArray(checkpoints.identityKey, [...identityKeys])))
    .orderBy(desc(checkpoints.step), desc(checkpoints.createdAt))
  for (const row of rows) found.set(row.identityKey, [...(found.get(row.identityKey) ?? []), row])
  return found
}

/** Checkpoints of one node run, newest step first. */
export async function checkpointsOf(db: Queryer, owner: string, nodeRunId: string) {
  if (!isId(nodeRunId)) return []
  return db
    .select()
    .from(checkpoints)
    .where(and(eq(checkpoints.nodeRunId, nodeRunId), eq(checkpoints.ownerId, owner)))
    .orderBy(desc(checkpoints.step))
}
