'use client'
/**
 * Between the server and the store: what a run looked like when it was asked for, then its events, whichever tab they come through.
 */
import { type QueryClient, useQuery, useQueryClient } from '@tanstack/react-query'
import type { TRPCClient } from '@trpc/client'
import type { inferRouterOutputs } from '@trpc/server'
import { useEffect } from 'react'
import type { AppRouter } from '../../server/trpc/router'
import { useTRPC, useTRPCClient } from '../trpc'
import type { RunEvent } from './events'
import { RUN_ENDED } from './events'
import { type Cursors, Feed, type Source } from './feed'
import { emptyNodeRun, emptyRun, type NodeRun, type RunState } from './reduce'
import { addPoints, EMPTY_SERIES } from './series'
import { ingest, loadRun, setLink, showRun, useRuns } from './store'

export type Snapshot = inferRouterOutputs<AppRouter>['runs']['get']

/** Events read again for their log lines and curves when a run is opened; a longer run has its curves from `runs.series`. */
const TAIL = 4_000

const iso = (date: Date | null): string | null => date?.toISOString() ?? null

/** null unless somebody asked for something else than running on. */
const wantedOf = (wanted: string | null): string | null => (wanted === 'run' ? null : wanted)

/** What a page shows at once. `tail` events before the snapshot are then read again for what a snapshot does not hold: curves and logs. */
export function fromSnapshot({ run, nodes, seq }: Snapshot, tail = TAIL): RunState {
  const states: Record<string, NodeRun> = {}
  for (const row of nodes) {
    states[row.nodeId] = {
      ...emptyNodeRun,
      status: row.status,
      attempt: row.attempt,
      outputs: row.outputs,
      error: row.error,
      key: row.key,
      reusedFrom: row.reusedFrom,
      checkpoints: row.checkpoint ? [{ ...row.checkpoint, metric: row.checkpoint.metric ?? undefined }] : [],
      startedAt: iso(row.startedAt),
      endedAt: iso(row.endedAt),
      lastBeat: iso(row.lastBeat),
    }
  }
  return {
    ...emptyRun(run.id),
    seq: Math.max(0, seq - tail),
    settled: seq,
    status: run.status,
    wanted: wantedOf(run.wanted),
    nodes: states,
    startedAt: iso(run.startedAt),
    endedAt: iso(run.endedAt),
  }
}

/** What a later snapshot knows better: who still lives, and how it ended if the events never came. */
function refresh(known: RunState, snapshot: Snapshot): RunState {
  const nodes = { ...known.nodes }
  for (const row of snapshot.nodes) {
    const node = nodes[row.nodeId]
    const beat = iso(row.lastBeat)
    if (node && beat && (node.lastBeat === null || beat > node.lastBeat)) nodes[row.nodeId] = { ...node, lastBeat: beat }
  }
  return { ...known, nodes, wanted: RUN_ENDED.has(known.status) ? null : wantedOf(snapshot.run.wanted) }
}

const sourceOf =
  (client: TRPCClient<AppRouter>): Source =>
  (cursors: Cursors, on) => {
    const subscription = client.runs.events.subscribe(
      { cursors },
      {
        onData: ({ data }) => {
          const byRun = new Map<string, RunEvent[]>()
          for (const event of data) {
            if (event.kind === 'reset') on.reset(event.run)
            // The rows were written by our own executor through one schema; the fold ignores what it does not know.
            else byRun.set(event.run, [...(byRun.get(event.run) ?? []), event as RunEvent])
          }
          for (const [run, events] of byRun) on.events(run, events)
        },
        onConnectionStateChange: ({ state }) => on.link(state === 'pending' ? 'live' : state === 'connecting' ? 'connecting' : 'idle'),
        onError: () => on.link('lost'),
      },
    )
    return () => subscription.unsubscribe()
  }

let feed: Feed | null = null

function feedOf(client: TRPCClient<AppRouter>, queries: QueryClient, snapshotKey: (run: string) => readonly unknown[]): Feed {
  feed ??= new Feed({
    source: sourceOf(client),
    onEvents: (run, events) => {
      const state = ingest(run, events)
      if (state.gap !== null) feed?.rewind(run, state.seq)
      // Lists show the run's state too.
      if (events.some((event) => event.kind === 'run')) void queries.invalidateQueries({ predicate: ({ queryKey }) => isRunList(queryKey) })
    },
    onReset: (run) => {
      useRuns.setState(({ runs: { [run]: _, ...rest } }) => ({ runs: rest }))
      void queries.invalidateQueries({ queryKey: snapshotKey(run) })
    },
    onLink: setLink,
  })
  return feed
}

const isRunList = (key: readonly unknown[]): boolean => {
  const path = Array.isArray(key[0]) ? (key[0] as string[]).join('.') : ''
  return path === 'runs.list' || path === 'pipelines.list' || path === 'system.status'
}

/**
 * Loads a run, follows it, and keeps it in the store under its id. `shown` also makes it the run that `useRun()` and `useNodeRun(id)` speak
 * of, in this tab. While it runs the snapshot is asked for every 5 s: only it says that a worker has fallen silent (UX-71).
 */
export function useLiveRun(id: string | null, { shown = true }: { shown?: boolean } = {}) {
  const trpc = useTRPC()
  const client = useTRPCClient()
  const queries = useQueryClient()
  const loaded = useRuns(({ runs }) => id !== null && runs[id] !== undefined)
  // An ended run is followed only until its log and curves have been read.
  const follow = useRuns(({ runs }) => {
    const run = id === null ? undefined : runs[id]
    return run !== undefined && !(RUN_ENDED.has(run.status) && run.seq >= run.settled)
  })
  const ended = useRuns(({ runs }) => (id === null ? true : RUN_ENDED.has(runs[id]?.status ?? 'queued')))
  const query = useQuery({
    ...trpc.runs.get.queryOptions({ id: id ?? '' }),
    enabled: id !== null,
    refetchInterval: ended && loaded ? false : 5_000,
  })
  const snapshot = query.data

  useEffect(() => {
    if (shown) showRun(id)
  }, [id, shown])

  useEffect(() => {
    if (!snapshot || snapshot.run.id !== id) return
    const known = useRuns.getState().runs[id]
    if (known) loadRun(refresh(known, snapshot), true)
    else {
      const state = loadRun(fromSnapshot(snapshot))
      if (state.seq > 0) void fillSeries(client, snapshot)
    }
  }, [snapshot, id, client])

  useEffect(() => {
    const state = id === null ? undefined : useRuns.getState().runs[id]
    if (id === null || !follow || !state) return
    return feedOf(client, queries, (run) => trpc.runs.get.queryKey({ id: run })).watch(id, state.seq)
  }, [id, follow, client, queries, trpc])

  return query
}

/** Curves of a run that has more events than are read again. */
async function fillSeries(client: TRPCClient<AppRouter>, { run, nodes }: Snapshot) {
  for (const node of nodes) {
    if (!node.type.startsWith('train') || node.attempt === 0) continue
    try {
      const { points } = await client.runs.series.query({ id: run.id, node: node.nodeId, points: 2_000 })
      const state = useRuns.getState().runs[run.id]
      const current = state?.nodes[node.nodeId]
      if (!state || !current) continue
      const known = points.flatMap(({ step, ...values }) => (typeof step === 'number' ? [{ ...values, step }] : []))
      const series = addPoints(addPoints(EMPTY_SERIES, known), pointsOf(current))
      loadRun({ ...state, nodes: { ...state.nodes, [node.nodeId]: { ...current, series } } }, true)
    } catch {
      // The tail of the events still draws; the page's own query shows what is wrong with the connection.
    }
  }
}

const pointsOf = ({ series }: NodeRun) =>
  series.steps.map((step, i) => {
    const values: Record<string, number> = {}
    for (const [name, column] of Object.entries(series.columns)) {
      const value = column[i]
      if (value !== null && value !== undefined) values[name] = value
    }
    return { ...values, step }
  })
