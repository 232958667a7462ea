/**
 * The states of runs and node runs, and the only ways between them.
 *
 * A **run** is `queued` from submit until its first node run is claimed, then `running` until every node run is terminal. It ends `failed`
 * when any node run failed, else `stopped` when any was stopped or cancelled, else `succeeded`. `paused` is a run whose unfinished node runs
 * are all paused; Resume makes it `running` again. What the user asked for is not a state but the column `wanted`.
 *
 * A **node run** starts `waiting` (an input is missing), `queued` (a job wakes a worker) or `reused` (the plan knew its result). A claim makes it
 * `running` with attempt + 1; a claim of a `running` one is the next attempt after a lost one. It ends
 *   `done`      with outputs of its own,
 *   `reused`    with the outputs of an earlier node run,
 *   `failed`    with an error,
 *   `stopped`   by the user while it ran, its checkpoint kept,
 *   `cancelled` by the user before it ran,
 *   `skipped`   because a node run above it failed.
 * A terminal state never changes: trying again is a new run.
 */
import { assert } from '../errors'
import type { NodeRunStatus, RunStatus } from '../storage/node-runs'

const NODE_RUN: Record<NodeRunStatus, readonly NodeRunStatus[]> = {
  waiting: ['queued', 'reused', 'paused', 'skipped', 'cancelled'],
  queued: ['running', 'waiting', 'paused', 'cancelled', 'skipped'],
  // `queued` again: released by a worker that shuts down, or a transient failure that is tried again.
  running: ['running', 'queued', 'paused', 'done', 'reused', 'failed', 'stopped'],
  paused: ['queued', 'waiting', 'skipped', 'cancelled', 'stopped'],
  done: [],
  reused: [],
  failed: [],
  stopped: [],
  skipped: [],
  cancelled: [],
}
const RUN: Record<RunStatus, readonly RunStatus[]> = {
  queued: ['running', 'paused', 'succeeded', 'failed', 'stopped'],
  running: ['paused', 'succeeded', 'failed', 'stopped'],
  paused: ['running', 'stopped', 'failed', 'succeeded'],
  succeeded: [],
  failed: [],
  stopped: [],
}

export const isTerminal = (status: NodeRunStatus): boolean => NODE_RUN[status].length === 0
/** Whether its outputs can be used. */
export const hasOutputs = (status: NodeRunStatus): boolean => status === 'done' || status === 'reused'

export function assertNodeRunChange(from: NodeRunStatus, to: NodeRunStatus): void {
  assert(NODE_RUN[from].includes(to), `a node run does not go from ${from} to ${to}`)
}
export function assertRunChange(from: RunStatus, to: RunStatus): void {
  assert(RUN[from].includes(to), `a run does not go from ${from} to ${to}`)
}

/** What a run is, given its node runs and what is wanted of it. */
export function runStatusOf(nodeRuns: readonly NodeRunStatus[]): RunStatus {
  if (nodeRuns.every(isTerminal)) {
    if (nodeRuns.includes('failed')) return 'failed'
    return nodeRuns.some((status) => status === 'stopped' || status === 'cancelled') ? 'stopped' : 'succeeded'
  }
  const open = nodeRuns.filter((status) => !isTerminal(status))
  if (open.every((status) => status === 'paused')) return 'paused'
  return nodeRuns.some((status) => status === 'running' || hasOutputs(status)) ? 'running' : 'queued'
}
