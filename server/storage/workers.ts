/** Who is there to do the work. */
import { desc, gt, sql } from 'drizzle-orm'
import { type ResourceClass, workers } from '../../drizzle/schema'
import type { Queryer } from './db'

export type WorkerRow = {
  id: string
  host: string
  slot: number
  pid: number
  resources: ResourceClass[]
  devices: unknown
  versions: Record<string, string>
  startedAt: Date
  lastBeat: Date
  /** No beat for 10 s, or it said goodbye. */
  alive: boolean
}

/** Workers seen in the last ten minutes, newest beat first. */
export async function listWorkers(db: Queryer): Promise<WorkerRow[]> {
  return db
    .select({
      id: workers.id,
      host: workers.host,
      slot: workers.slot,
      pid: workers.pid,
      resources: workers.resources,
      devices: workers.devices,
      versions: workers.versions,
      startedAt: workers.startedAt,
      lastBeat: workers.lastBeat,
      alive: sql<boolean>`${workers.endedAt} is null and ${workers.lastBeat} > now() - interval '10 seconds'`,
    })
    .from(workers)
    .where(gt(workers.lastBeat, sql`now() - interval '10 minutes'`))
    .orderBy(desc(workers.lastBeat))
}
