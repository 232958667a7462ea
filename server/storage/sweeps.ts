/** Sweeps: which params took which values, and the runs they made (UX-77). */
import { createHash } from 'node:crypto'
import { and, eq, sql } from 'drizzle-orm'
import { pipelines, runs, sweeps } from '../../drizzle/schema'
import { type SweepAxis, sweepValues } from '../../nodes/_kit/sweep'
import { AppError } from '../errors'
import type { Queryer } from './db'
import { isId } from './ids'
import { listRuns, type RunRow } from './runs'

/** The same key makes the same id, so that a request asked again goes on where it broke off. */
const idOf = (owner: string, key: string): string => {
  const hex = createHash('sha256').update(`sweep\n${owner}\n${key}`).digest('hex')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

export async function insertSweep(
  db: Queryer,
  owner: string,
  values: { pipelineId: string; axes: SweepAxis[]; idempotencyKey: string },
): Promise<string> {
  const id = idOf(owner, values.idempotencyKey)
  await db
    .insert(sweeps)
    .values({ id, ownerId: owner, pipelineId: values.pipelineId, spec: { axes: values.axes } })
    .onConflictDoNothing()
  return id
}

export type SweepView = {
  id: string
  pipelineId: string
  pipelineName: string
  axes: SweepAxis[]
  createdAt: Date
  /** In the order of their values; discarded ones are left out. */
  runs: (RunRow & { values: unknown[] })[]
}

/** @throws AppError NOT_FOUND */
export async function getSweep(db: Queryer, owner: string, id: string): Promise<SweepView> {
  const [row] = isId(id)
    ? await db
        .select({
          id: sweeps.id,
          pipelineId: sweeps.pipelineId,
          pipelineName: pipelines.name,
          spec: sweeps.spec,
          createdAt: sweeps.createdAt,
        })
        .from(sweeps)
        .innerJoin(pipelines, eq(pipelines.id, sweeps.pipelineId))
        .where(and(eq(sweeps.id, id), eq(sweeps.ownerId, owner)))
    : []
  if (!row) throw new AppError('NOT_FOUND', { message: 'There is no such sweep.', got: id })
  const { axes } = row.spec as { axes: SweepAxis[] }
  const places = await db
    .select({ id: runs.id, place: sql<number>`split_part(${runs.idempotencyKey}, ':', 3)::int` })
    .from(runs)
    .where(and(eq(runs.sweepId, id), eq(runs.ownerId, owner)))
  const placeOf = new Map(places.map((one) => [one.id, one.place]))
  const rows = await listRuns(db, owner, { sweepId: id, limit: 500 })
  return {
    id: row.id,
    pipelineId: row.pipelineId,
    pipelineName: row.pipelineName,
    axes,
    createdAt: row.createdAt,
    runs: rows
      .map((run) => ({ ...run, values: sweepValues(axes, placeOf.get(run.id) ?? 0) }))
      .sort((a, b) => (placeOf.get(a.id) ?? 0) - (placeOf.get(b.id) ?? 0)),
  }
}
