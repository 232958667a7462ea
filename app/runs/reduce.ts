/**
 * From run events to what a page shows: a pure fold. Events carry gapless sequence numbers; one that was seen is dropped, and a
 * missing one is noted in `gap`, so that the feed fetches again instead of showing a state that is not true (D-3).
 */
import {
  type Checkpoint,
  type LogLine,
  NODE_ENDED,
  type NodeStatus,
  type Progress,
  RUN_ENDED,
  type RunError,
  type RunEvent,
  type RunStatus,
} from './events'
import { addPoints, cutFrom, EMPTY_SERIES, type Series } from './series'

/** Lines kept per node in the browser; the file behind the log has them all. */
export const LOG_KEPT = 5_000

export type NodeRun = {
  status: NodeStatus
  /** 0 before the first attempt. */
  attempt: number
  /** Why it is in this state: "waits for Load data", "because Train failed", "same settings, same data". */
  reason: string | null
  progress: Progress | null
  series: Series
  log: readonly LogLine[]
  checkpoints: readonly Checkpoint[]
  /** Set exactly when the node is done, reused, or stopped with a usable result. */
  outputs: Readonly<Record<string, unknown>> | null
  /** Set exactly when the node failed. */
  error: RunError | null
  key: string | null
  /** What a reused result came from, as the server says it: a run id, or an object with run and number. */
  reusedFrom: unknown
  startedAt: string | null
  endedAt: string | null
  /** A new attempt began and its first point is still to come; rows at or after that point belong to the attempt before. */
  fresh: boolean
}

export type RunState = {
  id: string
  /** Last event folded in. */
  seq: number
  status: RunStatus
  wanted: string | null
  nodes: Readonly<Record<string, NodeRun>>
  startedAt: string | null
  endedAt: string | null
  /** An event is missing before this sequence number: fetch from `seq` again. */
  gap: number | null
}

export const emptyRun = (id: string): RunState => ({
  id,
  seq: 0,
  status: 'queued',
  wanted: null,
  nodes: {},
  startedAt: null,
  endedAt: null,
  gap: null,
})

export const emptyNodeRun: NodeRun = {
  status: 'waiting',
  attempt: 0,
  reason: null,
  progress: null,
  series: EMPTY_SERIES,
  log: [],
  checkpoints: [],
  outputs: null,
  error: null,
  key: null,
  reusedFrom: null,
  startedAt: null,
  endedAt: null,
  fresh: false,
}

function foldNode(node: NodeRun, event: RunEvent): NodeRun {
  switch (event.kind) {
    case 'run':
      return node
    case 'node': {
      const { status, attempt, reason, outputs, error, key, reusedFrom } = event.data
      const again = attempt > node.attempt
      const ended = NODE_ENDED.has(status)
      const begins = status === 'running' && (again || node.status !== 'running')
      return {
        ...node,
        status,
        attempt: Math.max(attempt ?? 0, node.attempt),
        reason: reason ?? null,
        outputs: outputs ?? (ended ? node.outputs : null),
        error: status === 'failed' ? (error ?? node.error) : null,
        key: key ?? node.key,
        reusedFrom: reusedFrom ?? node.reusedFrom,
        // A bar never jumps back (D-44): a new attempt starts without one until it says where it stands.
        progress: again || ended ? null : node.progress,
        startedAt: begins ? event.at : node.startedAt,
        endedAt: ended ? event.at : null,
        fresh: node.fresh || again,
      }
    }
    case 'progress':
      return { ...node, progress: event.data }
    case 'metric': {
      const first = event.data.points[0]
      const kept = node.fresh && first ? cutFrom(node.series, first.step) : node.series
      return { ...node, series: addPoints(kept, event.data.points), fresh: first ? false : node.fresh }
    }
    case 'log':
      return { ...node, log: [...node.log, ...event.data.lines].slice(-LOG_KEPT) }
    case 'checkpoint':
      return { ...node, checkpoints: [...node.checkpoints.filter((c) => c.step !== event.data.step), event.data] }
    default:
      return node
  }
}

/** Folds a batch of one run's events, in the order of their numbers. Returns the same object when nothing was new. */
export function foldEvents(run: RunState, events: readonly RunEvent[]): RunState {
  const fresh = events.filter((event) => event.seq > run.seq).sort((a, b) => a.seq - b.seq)
  if (fresh.length === 0) return run
  const next = { ...run, gap: null as number | null }
  const nodes: Record<string, NodeRun> = { ...run.nodes }
  for (const event of fresh) {
    if (event.seq === next.seq) continue
    if (event.seq !== next.seq + 1) {
      next.gap = event.seq
      break
    }
    next.seq = event.seq
    if (event.kind === 'run') {
      next.status = event.data.status
      next.wanted = event.data.wanted ?? next.wanted
      if (event.data.status === 'running') next.startedAt ??= event.at
      next.endedAt = RUN_ENDED.has(event.data.status) ? event.at : null
    } else if (event.nodeId !== null) {
      nodes[event.nodeId] = foldNode(nodes[event.nodeId] ?? emptyNodeRun, event)
    }
  }
  next.nodes = nodes
  return next
}

/** Share of the whole run that is done, 0…1, each node counting alike; null before anything is known. */
export function runShare(run: RunState): number | null {
  const all = Object.values(run.nodes)
  if (all.length === 0) return null
  const done = all.reduce(
    (sum, node) =>
      sum +
      (NODE_ENDED.has(node.status)
        ? 1
        : node.progress && node.progress.total > 0
          ? Math.min(1, node.progress.done / node.progress.total)
          : 0),
    0,
  )
  return done / all.length
}

/** The node to speak about: the running one that has most work left, else the failed one. */
export function busiest(run: RunState): { id: string; node: NodeRun } | null {
  const running = Object.entries(run.nodes).filter(([, node]) => node.status === 'running')
  running.sort(([, a], [, b]) => (b.progress?.etaSeconds ?? b.series.steps.length) - (a.progress?.etaSeconds ?? a.series.steps.length))
  const [id, node] = running[0] ?? Object.entries(run.nodes).find(([, n]) => n.status === 'failed') ?? []
  return id !== undefined && node ? { id, node } : null
}
