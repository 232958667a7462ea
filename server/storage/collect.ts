/**
 * Garbage collection of artifacts: bytes that nothing refers to any more, such as those of dropped checkpoints, go after a day.
 *
 * What an attempt in progress has put is not recorded before it settles, so nothing younger than the oldest open attempt is looked at. Deleting
 * and recording exclude each other by one lock; storing the same bytes again makes the file young, which is asked under that lock.
 */
import { sql } from 'drizzle-orm'
import type { ArtifactStore } from './artifact-store'
import { type Db, rowsOf, type Tx } from './db'

/** How long unreferenced bytes stay. */
export const GRACE_MS = 24 * 3_600_000
const LOCK = sql`hashtextextended('artifact references', 7)`

/** Taken by whoever records a reference; collection waits for it, other recorders do not. Held to the end of the transaction. */
export async function lockAgainstCollection(tx: Tx): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock_shared(${LOCK})`)
}

/** Taken by whoever lets references go: nobody records or reuses meanwhile. */
export async function lockForCollection(tx: Tx): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${LOCK})`)
}

export type Collected = { artifacts: number; bytes: number }

/** Deletes what nothing refers to. Any number of processes may call it at once. `now` in ms since 1970, for tests. */
export async function collectGarbage({
  db,
  store,
  now = Date.now(),
  graceMs = GRACE_MS,
}: {
  db: Db
  store: ArtifactStore
  now?: number
  graceMs?: number
}): Promise<Collected> {
  const [open] = await rowsOf<{ oldest: number | null }>(
    db,
    sql`select (extract(epoch from min(started_at)) * 1000)::float8 as oldest from attempts where ended_at is null`,
  )
  const before = Math.min(now - graceMs, open?.oldest ?? Number.POSITIVE_INFINITY)
  // Only what this database knew: another one may use the same folder.
  const candidates = await rowsOf<{ digest: string; size: string }>(
    db,
    sql`select digest, size_bytes as size from artifacts
        where created_at < to_timestamp(${before / 1000}) and not exists (select 1 from artifact_refs r where r.digest = artifacts.digest)`,
  )
  const collected = { artifacts: 0, bytes: 0 }
  for (const { digest, size } of candidates) {
    const gone = await db.transaction(async (tx) => {
      await lockForCollection(tx)
      const [held] = await rowsOf(tx, sql`select 1 from artifact_refs where digest = ${digest} limit 1`)
      if (held || !(await store.isOlder(digest, before))) return false
      await tx.execute(sql`delete from artifacts where digest = ${digest}`)
      await store.delete(digest)
      return true
    })
    if (!gone) continue
    collected.artifacts += 1
    collected.bytes += Number(size)
  }
  return collected
}
