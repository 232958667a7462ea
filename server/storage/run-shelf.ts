/** The history as people keep it: names, notes and tags of runs, how much they hold, and letting go of them. */
import { and, eq, inArray, sql } from 'drizzle-orm'
import { runs } from '../../drizzle/schema'
import { AppError } from '../errors'
import { lockForCollection } from './collect'
import { type Db, type Queryer, rowsOf, type Tx } from './db'
import { isId } from './ids'

export const TAGS = { most: 20, chars: 40 } as const

/** @throws AppError NOT_FOUND */
export async function describeRun(
  db: Queryer,
  owner: string,
  id: string,
  values: { name?: string | null | undefined; note?: string | undefined; tags?: string[] | undefined },
): Promise<void> {
  const { name, note, tags } = values
  const set = {
    ...(name !== undefined && { name: name || null }),
    ...(note !== undefined && { note }),
    ...(tags !== undefined && { tags }),
  }
  if (Object.keys(set).length === 0) return
  const rows = isId(id)
    ? await db
        .update(runs)
        .set(set)
        .where(and(eq(runs.id, id), eq(runs.ownerId, owner)))
        .returning({ id: runs.id })
    : []
  if (rows.length === 0) throw new AppError('NOT_FOUND', { message: 'There is no such run.', got: id })
}

/** Tags in use, most used first. */
export async function tagsInUse(db: Queryer, owner: string): Promise<{ tag: string; runs: number }[]> {
  return rowsOf(
    db,
    sql`select t as tag, count(*)::int as runs from runs, json_array_elements_text(runs.tags) t
        where owner_id = ${owner} and removed_at is null group by t order by 2 desc, 1 limit 200`,
  )
}

export type Held = { bytes: number; artifacts: number }

// What only these runs keep: every holder of the bytes is one of their node runs, results or checkpoints.
const ownHolders = (ids: readonly string[]) => sql`
  select 'node_run' as kind, n.id from node_runs n where n.run_id in ${ids}
  union all select 'checkpoint', c.id from checkpoints c join node_runs n on n.id = c.node_run_id where n.run_id in ${ids}
  union all select 'result', s.id from results s join node_runs n on n.id = s.node_run_id where n.run_id in ${ids}
    and not exists (select 1 from node_runs later join runs r on r.id = later.run_id
      where later.reused_from = n.id and r.removed_at is null and r.id not in ${ids})`

/** What discarding these runs would free. Ids of other people's runs count for nothing. */
export async function heldOnlyBy(db: Queryer, owner: string, ids: readonly string[]): Promise<Held> {
  const mine = await ownIds(db, owner, ids)
  if (mine.length === 0) return { bytes: 0, artifacts: 0 }
  const [row] = await rowsOf<{ bytes: string; artifacts: number }>(
    db,
    sql`with own as (${ownHolders(mine)})
        select coalesce(sum(a.size_bytes), 0)::bigint as bytes, count(*)::int as artifacts from artifacts a
        where exists (select 1 from artifact_refs r join own on own.kind = r.holder_kind and own.id = r.holder_id where r.digest = a.digest)
          and not exists (select 1 from artifact_refs r left join own on own.kind = r.holder_kind and own.id = r.holder_id
            where r.digest = a.digest and own.id is null)`,
  )
  return { bytes: Number(row?.bytes ?? 0), artifacts: row?.artifacts ?? 0 }
}

async function ownIds(db: Queryer, owner: string, ids: readonly string[]): Promise<string[]> {
  const able = ids.filter(isId)
  if (able.length === 0) return []
  const rows = await db
    .select({ id: runs.id })
    .from(runs)
    .where(and(eq(runs.ownerId, owner), inArray(runs.id, able)))
  return rows.map((row) => row.id)
}

/**
 * Takes runs off every list and lets go of what only they held; the bytes themselves go with the next collection. What a run that stays reuses
 * stays with it. Calling it again changes nothing.
 * @throws AppError CONFLICT for a run that is not over
 */
export async function discardRuns(db: Db, owner: string, ids: readonly string[]): Promise<Held> {
  return db.transaction(async (tx) => {
    // Nobody may take over a result while its bytes are let go.
    await lockForCollection(tx)
    const mine = await ownIds(tx, owner, ids)
    if (mine.length === 0) return { bytes: 0, artifacts: 0 }
    const open = await tx
      .select({ number: runs.number })
      .from(runs)
      .where(and(inArray(runs.id, mine), sql`${runs.endedAt} is null`))
      .limit(1)
    if (open[0])
      throw new AppError('CONFLICT', {
        message: `Run ${open[0].number} is not over.`,
        where: `run ${open[0].number}`,
        fix: 'Stop it first.',
      })
    const held = await heldOnlyBy(tx, owner, mine)
    await letGo(tx, mine)
    return held
  })
}

async function letGo(tx: Tx, ids: readonly string[]): Promise<void> {
  // A result that a kept run reuses moves to that run, so that it can still be found by its key.
  await tx.execute(sql`update results s set node_run_id = kept.id from (
      select distinct on (later.reused_from) later.reused_from, later.id from node_runs later join runs r on r.id = later.run_id
      where r.removed_at is null and r.id not in ${ids} order by later.reused_from, later.id
    ) kept where kept.reused_from = s.node_run_id and s.node_run_id in (select id from node_runs where run_id in ${ids})`)
  await tx.execute(sql`delete from artifact_refs r using (${ownHolders(ids)}) own where own.kind = r.holder_kind and own.id = r.holder_id`)
  await tx.execute(sql`delete from results s using node_runs n where n.id = s.node_run_id and n.run_id in ${ids}`)
  await tx.execute(sql`update node_runs set checkpoint_id = null where run_id in ${ids}`)
  await tx.execute(sql`delete from checkpoints c using node_runs n where n.id = c.node_run_id and n.run_id in ${ids}`)
  // Curves of a training that a kept run reuses are drawn from here.
  await tx.execute(sql`delete from run_events e where e.run_id in ${ids} and not exists (
      select 1 from node_runs n join node_runs later on later.reused_from = n.id join runs r on r.id = later.run_id
      where n.run_id = e.run_id and n.node_id = e.node_id and r.removed_at is null and r.id not in ${ids})`)
  await tx
    .update(runs)
    .set({ removedAt: sql`now()` })
    .where(inArray(runs.id, [...ids]))
}

export type DiskUse = { artifacts: number; bytes: number; unused: number; byKind: { kind: string; bytes: number; artifacts: number }[] }

/** Everything in the store that this database knows of. `unused`: bytes that nothing refers to and that the next collection may take. */
export async function diskUse(db: Queryer): Promise<DiskUse> {
  const rows = await rowsOf<{ kind: string; bytes: string; artifacts: number; unused: string }>(
    db,
    sql`select kind, sum(size_bytes)::bigint as bytes, count(*)::int as artifacts,
          coalesce(sum(size_bytes) filter (where not exists (select 1 from artifact_refs r where r.digest = artifacts.digest)), 0)::bigint as unused
        from artifacts group by kind order by 2 desc`,
  )
  return {
    artifacts: rows.reduce((sum, row) => sum + row.artifacts, 0),
    bytes: rows.reduce((sum, row) => sum + Number(row.bytes), 0),
    unused: rows.reduce((sum, row) => sum + Number(row.unused), 0),
    byKind: rows.map(({ kind, bytes, artifacts }) => ({ kind, bytes: Number(bytes), artifacts })),
  }
}
