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
  reasonWords,
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
  /** Newest attempt whose beginning was read from the events. */
  seenAttempt: number
  /** It began and its first point is still to come; rows at or after that point belong to the attempt before. */
  fresh: boolean
  /** Last sign of life of the worker that holds it, as the last snapshot said; live events are younger. */
  lastBeat: string | null
}

export type RunState = {
  id: string
  /** Last event folded in. */
  seq: number
  /** States up to this event came with a snapshot; older events, read for their curves and logs, do not move them again. */
  settled: number
  status: RunStatus
  /** `pause`, `stop` or `cancel` while that was asked for and has not happened yet; null when nothing was. */
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
  settled: 0,
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
  seenAttempt: 0,
  fresh: false,
  lastBeat: null,
}

/** Events that are read again for their curves are older than what the snapshot said. */
const later = (a: string | null, b: string): string => (a !== null && a > b ? a : b)

function foldNode(node: NodeRun, event: RunEvent, settled: boolean): NodeRun {
  switch (event.kind) {
    case 'run':
      return node
    case 'node': {
      const { status, reason, outputs, error, key, reusedFrom } = event.data
      const attempt = event.data.attempt ?? node.attempt
      const again = attempt > node.seenAttempt
      const seen = { seenAttempt: Math.max(attempt, node.seenAttempt), fresh: node.fresh || again }
      if (settled) return { ...node, ...seen }
      const ended = NODE_ENDED.has(status)
      const begins = status === 'running' && (attempt > node.attempt || node.status !== 'running')
      return {
        ...node,
        ...seen,
        status,
        attempt: Math.max(attempt, node.attempt),
        reason: reasonWords(reason),
        outputs: outputs ?? (ended ? node.outputs : null),
        error: status === 'failed' ? (error ?? node.error) : null,
        key: key ?? node.key,
        reusedFrom: reusedFrom ?? node.reusedFrom,
        // A bar never jumps back (D-44): a new attempt starts without one until it says where it stands.
        progress: begins || ended ? null : node.progress,
        startedAt: begins ? event.at : node.startedAt,
        endedAt: ended ? event.at : null,
        lastBeat: later(node.lastBeat, event.at),
      }
    }
    case 'progress':
      return settled && NODE_ENDED.has(node.status) ? node : { ...node, progress: event.data, lastBeat: later(node.lastBeat, event.at) }
    case 'metric': {
      const first = event.data.points[0]
      const kept = node.fresh && first ? cutFrom(node.series, first.step) : node.series
      return {
        ...node,
        series: addPoints(kept, event.data.points),
        fresh: first ? false : node.fresh,
        lastBeat: later(node.lastBeat, event.at),
      }
    }
    case 'log':
      return { ...node, log: [...node.log, ...event.data.lines].slice(-LOG_KEPT), lastBeat: later(node.lastBeat, event.at) }
    case 'checkpoint':
      return {
        ...node,
        checkpoints: [...node.checkpoints.filter((c) => c.step !== event.data.step), event.data].sort((a, b) => a.step - b.step),
        lastBeat: later(node.lastBeat, event.at),
      }
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
    const settled = event.seq <= run.settled
    if (event.kind === 'run') {
      if (settled) continue
      next.status = event.data.status
      if (event.data.wanted !== undefined) next.wanted = event.data.wanted === 'run' ? null : event.data.wanted
      if (event.data.status === 'running') next.startedAt ??= event.at
      next.endedAt = RUN_ENDED.has(event.data.status) ? event.at : null
      if (next.endedAt !== null) next.wanted = null
    } else if (event.node !== null) {
      nodes[event.node] = foldNode(nodes[event.node] ?? emptyNodeRun, event, settled)
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

/** A worker that says nothing for this long is lost (UX-71): heartbeat 3 s, lease 10 s, and as much again for a late poll. */
export const SILENT_AFTER_MS = 15_000

/** Running by the books, but nobody has vouched for it: shown as Lost, never stored. Pure over `now`. */
export const isLost = (node: NodeRun, now: number): boolean =>
  node.status === 'running' && node.lastBeat !== null && now - Date.parse(node.lastBeat) > SILENT_AFTER_MS
