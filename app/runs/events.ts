/**
 * What a run tells the browser (ARCHITECTURE.md, "Run events"). The shapes are written here as this side reads them: an event comes over
 * the wire as JSON of a stored row, and a newer server may send kinds that this page does not know; those are counted and otherwise left alone.
 */

export type RunStatus = 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'stopped'
export type NodeStatus = 'waiting' | 'queued' | 'running' | 'paused' | 'done' | 'reused' | 'failed' | 'stopped' | 'skipped' | 'cancelled'

export const RUN_ENDED: ReadonlySet<RunStatus> = new Set(['succeeded', 'failed', 'stopped'])
export const NODE_ENDED: ReadonlySet<NodeStatus> = new Set(['done', 'reused', 'failed', 'stopped', 'skipped', 'cancelled'])

/** A fault as a row stores it (A-6, UX-85). Everything but code and message may be missing. */
export type RunError = {
  code: string
  message: string
  /** Decides what is offered: `resource` has a fix, `transient` was retried, `lost` goes on from the checkpoint. */
  failure?: 'user' | 'internal' | 'resource' | 'transient' | 'lost'
  reason?: string | undefined
  /** Param of the node it belongs to. */
  param?: string | undefined
  where?: string | undefined
  expected?: string | undefined
  got?: string | undefined
  fix?: string | undefined
  details?: string | undefined
}

/** `at`: milliseconds since 1970, by the clock of the worker. */
export type LogLine = { at: number; level: 'info' | 'warn' | 'error'; text: string }
export type Progress = { done: number; total: number; unit: string; etaSeconds: number | null }
export type Checkpoint = { step: number; manifest: string; metric?: number }
/** One point of the live curves; `step` is the x axis. */
export type Point = { step: number } & Record<string, number>

/** Why a node is in its state; codes of the executor and of a plan. */
export type ReasonData = { code: string; text?: string; node?: string; run?: number; seconds?: number; message?: string }

/** A reason in words; null when it says nothing that the state does not say. */
export function reasonWords(reason: string | ReasonData | null | undefined): string | null {
  if (reason === null || reason === undefined || typeof reason === 'string') return reason ?? null
  if (typeof reason.text === 'string') return reason.text
  switch (reason.code) {
    case 'upstream-failed':
      return `because ${reason.node ?? 'a node before it'} failed`
    case 'same-content':
      return 'its inputs came out the same'
    case 'transient':
      return `tried again in ${Math.round(reason.seconds ?? 0)} s`
    case 'lost':
      return 'its worker was lost; another goes on'
    case 'released':
      return 'given back by a worker that stopped'
    default:
      return reason.message ?? null
  }
}

type Kinds = {
  run: { status: RunStatus; wanted?: string }
  node: {
    status: NodeStatus
    /** Absent where none was made: waiting, queued, skipped. */
    attempt?: number | null
    /** In words, or as the executor says it. */
    reason?: string | ReasonData | null
    outputs?: Record<string, unknown> | null
    error?: RunError | null
    key?: string | null
    reusedFrom?: unknown
  }
  progress: Progress
  metric: { points: readonly Point[] }
  log: { lines: readonly LogLine[] }
  checkpoint: Checkpoint
}
export type EventKind = keyof Kinds

export type RunEvent = {
  [K in EventKind]: { run: string; seq: number; node: string | null; at: string; kind: K; data: Kinds[K] }
}[EventKind]
