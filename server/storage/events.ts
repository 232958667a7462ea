/**
 * The event log of a run. `seq` has no gaps and commit order equals seq order, because the counter's row stays locked from the number's
 * assignment to the commit; so a reader that asks for `seq > last` never skips one. NOTIFY carries only the run id.
 */
import { sql } from 'drizzle-orm'
import type { EventKind } from '../../drizzle/schema'
import { type Queryer, rowsOf, type Tx } from './db'

export type NewEvent = { nodeId: string | null; kind: EventKind; data: unknown }
export type RunEvent = { seq: number; nodeId: string | null; kind: EventKind; data: unknown; at: Date }

export const EVENTS_CHANNEL = 'run_events'
export const CONTROL_CHANNEL = 'run_control'

const columnsOf = (events: readonly NewEvent[]) => ({
  nodes: sql.param(events.map((event) => event.nodeId)),
  kinds: sql.param(events.map((event) => event.kind)),
  data: sql.param(events.map((event) => JSON.stringify(event.data))),
})

/**
 * Appends events and wakes the readers when the transaction commits. Lock order: run, node runs, counter.
 * @returns the last number given.
 */
export async function appendEvents(db: Queryer, runId: string, events: readonly NewEvent[]): Promise<number> {
  const appended = await append(db, runId, events, sql`true`)
  if (appended === null) throw new Error(`Run ${runId} has no event counter.`)
  return appended
}

/** As `appendEvents`, for a worker: writes nothing and returns null unless the attempt still holds the node run. */
export function appendEventsOf(
  db: Queryer,
  of: { runId: string; nodeRunId: string; attempt: number },
  events: readonly NewEvent[],
): Promise<number | null> {
  return append(
    db,
    of.runId,
    events,
    sql`exists (select 1 from node_runs where id = ${of.nodeRunId} and run_id = ${of.runId} and attempt = ${of.attempt} and status = 'running' for share)`,
  )
}

async function append(db: Queryer, runId: string, events: readonly NewEvent[], guard: ReturnType<typeof sql>): Promise<number | null> {
  const { nodes, kinds, data } = columnsOf(events)
  const rows = await rowsOf<{ seq: string }>(
    db,
    sql`with counter as (
          update run_seq set seq = seq + ${events.length}::int where run_id = ${runId} and ${guard}
          returning seq - ${events.length}::int as base, owner_id
        ), written as (
          insert into run_events (run_id, seq, owner_id, node_id, kind, data, at)
          select ${runId}, counter.base + e.place, counter.owner_id, e.node_id, e.kind, e.data::json, clock_timestamp()
          from counter, unnest(${nodes}::text[], ${kinds}::text[], ${data}::text[]) with ordinality as e(node_id, kind, data, place)
        )
        select (base + ${events.length}::int)::text as seq, pg_notify(${EVENTS_CHANNEL}, ${runId}) from counter`,
  )
  return rows[0] ? Number(rows[0].seq) : null
}

/** Tells workers to look at what their runs want. */
export async function notifyControl(tx: Tx, runId: string): Promise<void> {
  await tx.execute(sql`select pg_notify(${CONTROL_CHANNEL}, ${runId})`)
}

/** Events after `after`, oldest first, at most `limit`. Empty for a run of somebody else. */
export async function readEvents(db: Queryer, owner: string, runId: string, after: number, limit = 1_000): Promise<RunEvent[]> {
  const rows = await rowsOf<{ seq: string; node_id: string | null; kind: EventKind; data: unknown; at: Date }>(
    db,
    sql`select seq, node_id, kind, data, at from run_events
        where run_id = ${runId} and owner_id = ${owner} and seq > ${after} order by seq limit ${limit}`,
  )
  return rows.map((row) => ({ seq: Number(row.seq), nodeId: row.node_id, kind: row.kind, data: row.data, at: new Date(row.at) }))
}

/** Oldest number still kept and newest given; null for a run of somebody else. A cursor below `oldest - 1` needs a new snapshot. */
export async function eventBounds(db: Queryer, owner: string, runId: string): Promise<{ oldest: number; newest: number } | null> {
  const rows = await rowsOf<{ seq: string; oldest: string | null }>(
    db,
    sql`select s.seq, (select min(seq) from run_events e where e.run_id = s.run_id) as oldest
        from run_seq s where s.run_id = ${runId} and s.owner_id = ${owner}`,
  )
  const row = rows[0]
  return row ? { newest: Number(row.seq), oldest: row.oldest === null ? Number(row.seq) + 1 : Number(row.oldest) } : null
}

export type MetricPoint = Record<string, number>

/** Points of a node in a run, or in the run that its result came from. */
export async function curvesOf(db: Queryer, owner: string, runId: string, nodeId: string): Promise<MetricPoint[]> {
  const own = await metricPoints(db, owner, runId, nodeId)
  if (own.length > 0) return own
  const [from] = await rowsOf<{ run_id: string; node_id: string }>(
    db,
    sql`select made.run_id, made.node_id from node_runs here join node_runs made on made.id = here.reused_from
      where here.run_id = ${runId} and here.node_id = ${nodeId} and here.owner_id = ${owner} and made.owner_id = ${owner}`,
  )
  return from ? metricPoints(db, owner, from.run_id, from.node_id) : []
}

/** All points a node has reported in a run, in order. */
export async function metricPoints(db: Queryer, owner: string, runId: string, nodeId: string): Promise<MetricPoint[]> {
  const rows = await rowsOf<{ data: { points?: MetricPoint[] } }>(
    db,
    sql`select data from run_events where run_id = ${runId} and owner_id = ${owner} and node_id = ${nodeId} and kind = 'metric' order by seq`,
  )
  return rows.flatMap((row) => row.data.points ?? [])
}
