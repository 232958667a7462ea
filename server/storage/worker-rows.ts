/** The workers that have said hello, and which of them still live. */
import { and, eq, isNull, ne, sql } from 'drizzle-orm'
import { type ResourceClass, workers } from '../../drizzle/schema'
import { type Queryer, rowsOf } from './db'
import { newId } from './ids'

export type WorkerRow = typeof workers.$inferSelect

/** A worker that has not beaten for this long is taken to be gone: three beats and some. */
export const WORKER_ALIVE_SECONDS = 15

export async function registerWorker(
  db: Queryer,
  values: { host: string; slot: number; pid: number; resources: ResourceClass[]; devices: unknown; versions: Record<string, string> },
): Promise<string> {
  const id = newId()
  await db.insert(workers).values({ id, ...values })
  return id
}

/** `devices`: what its trainer computes with, as far as it knows by now; a worker opens its engine with the first node that needs one. */
export async function workerBeat(db: Queryer, id: string, devices: readonly unknown[]): Promise<void> {
  await db
    .update(workers)
    .set({ lastBeat: sql`now()`, devices: [...devices] })
    .where(eq(workers.id, id))
}

export async function endWorker(db: Queryer, id: string): Promise<void> {
  await db
    .update(workers)
    .set({ endedAt: sql`now()` })
    .where(and(eq(workers.id, id), isNull(workers.endedAt)))
}

/** Workers of this host that never said goodbye, without `self`. Whether their processes live is for the caller to find out. */
export async function unendedWorkers(db: Queryer, host: string, self: string): Promise<WorkerRow[]> {
  return db
    .select()
    .from(workers)
    .where(and(eq(workers.host, host), ne(workers.id, self), isNull(workers.endedAt)))
}

/** Queue classes that some living worker serves. */
export async function servedClasses(db: Queryer): Promise<ResourceClass[]> {
  const rows = await rowsOf<{ resource: ResourceClass }>(
    db,
    sql`select distinct r.value as resource from workers w, json_array_elements_text(w.resources) r
        where w.ended_at is null and w.last_beat > now() - make_interval(secs => ${WORKER_ALIVE_SECONDS})`,
  )
  return rows.map((row) => row.resource)
}
