/**
 * What follows from a change to a run's node runs: children whose inputs are all there are queued, descendants of a failure are skipped, and the
 * run ends when nothing is left. Always inside a transaction that holds the run's row lock, and the same for submit, settle, resume and
 * reconcile, so that there is one place where a run moves on.
 */
import { assert } from '../errors'
import type { Tx } from '../storage/db'
import { appendEvents, type NewEvent } from '../storage/events'
import {
  earliestFailure,
  type LockedRun,
  moveNodeRun,
  type NodeRunStatus,
  type Scheduled,
  scheduledOf,
  setRunStatus,
} from '../storage/node-runs'
import type { Queue } from './queue'
import { assertNodeRunChange, assertRunChange, hasOutputs, isTerminal, runStatusOf } from './states'

/**
 * Moves a run on as far as it goes without work.
 * @param before events of the change that led here; they come first in the log.
 */
export async function advance(tx: Tx, queue: Queue, run: LockedRun, before: readonly NewEvent[] = []): Promise<void> {
  const nodes = await scheduledOf(tx, run.id)
  const events: NewEvent[] = [...before]
  const byNode = new Map(nodes.map((node) => [node.nodeId, node]))
  const parents = (node: Scheduled) => Object.values(node.wires).map((end) => byNode.get(end.node))

  // Repeated until nothing changes: skipping goes down several levels, and the order of rows says nothing about the graph.
  for (let changed = true; changed; ) {
    changed = false
    for (const node of nodes) {
      if (node.status !== 'waiting' && node.status !== 'paused') continue
      const failed = parents(node).find((parent) => parent?.status === 'failed' || parent?.status === 'skipped')
      const ended = parents(node).find((parent) => parent?.status === 'stopped' || parent?.status === 'cancelled')
      if (failed) {
        const cause = failed.status === 'failed' ? failed.id : (failed as Scheduled & { skippedBy?: string }).skippedBy
        await move(tx, node, 'skipped', { skippedBy: cause ?? failed.id })
        Object.assign(node, { skippedBy: cause ?? failed.id })
        events.push(nodeEvent(node.nodeId, { status: 'skipped', reason: { code: 'upstream-failed', node: failed.nodeId } }))
        changed = true
      } else if (ended) {
        await move(tx, node, 'cancelled')
        events.push(nodeEvent(node.nodeId, { status: 'cancelled' }))
        changed = true
      }
    }
  }
  if (run.wanted === 'run') {
    for (const node of nodes) {
      if (node.status !== 'waiting' || !parents(node).every((parent) => parent && hasOutputs(parent.status))) continue
      await enqueue(tx, queue, run, node)
      events.push(nodeEvent(node.nodeId, { status: 'queued' }))
    }
  }
  const status = runStatusOf(nodes.map((node) => node.status))
  if (status !== run.status && !(status === 'queued' && run.status === 'running')) {
    assertRunChange(run.status, status)
    const ended = nodes.every((node) => isTerminal(node.status))
    const cause = status === 'failed' && ended ? await earliestFailure(tx, run.id) : null
    await setRunStatus(tx, run.id, status, cause)
    run.status = status
    events.push({ nodeId: null, kind: 'run', data: { status } })
  }
  if (events.length > 0) await appendEvents(tx, run.id, events)
}

/** Queues a node run with a fresh job, whatever it waited for. */
export async function enqueue(tx: Tx, queue: Queue, run: LockedRun, node: Scheduled): Promise<void> {
  assertNodeRunChange(node.status, 'queued')
  const jobId = await queue.send(tx, node.resource, { id: node.id }, { priority: run.priority })
  const moved = await moveNodeRun(tx, node.id, node.status, 'queued', { jobId })
  assert(moved, `node run ${node.id} left ${node.status} although its run is locked`)
  Object.assign(node, { status: 'queued', jobId })
}

export async function move(tx: Tx, node: Scheduled, to: NodeRunStatus, set: { skippedBy?: string } = {}): Promise<void> {
  assertNodeRunChange(node.status, to)
  const moved = await moveNodeRun(tx, node.id, node.status, to, set)
  assert(moved, `node run ${node.id} left ${node.status} although its run is locked`)
  node.status = to
}

export const nodeEvent = (nodeId: string, data: Record<string, unknown> & { status: NodeRunStatus }): NewEvent => ({
  nodeId,
  kind: 'node',
  data,
})
