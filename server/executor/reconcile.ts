/**
 * Repairs the queue from the tables, one process at a time: what runs or waits without a live job gets one, what could go on is moved on, what
 * is over is closed. It heals a restored database, an emptied queue, and the queue's own retention.
 */
import { assert } from '../errors'
import type { Storage } from '../storage/db'
import { lockRun, moveNodeRun, openRuns, type Scheduled, scheduledOf, tryLockFor } from '../storage/node-runs'
import type { Queue, QueueName } from './queue'
import { advance } from './schedule'

export const RECONCILE_EVERY_MS = 30_000

/** @returns how many jobs were sent or cancelled; 0 also when another process is at it. */
export async function reconcile(storage: Storage, queue: Queue): Promise<number> {
  let repaired = 0
  for (const runId of await openRuns(storage.db)) {
    repaired += await storage.db.transaction(async (tx) => {
      if (!(await tryLockFor(tx, 'reconcile'))) return 0
      const run = await lockRun(tx, runId)
      if (!run || run.status === 'succeeded' || run.status === 'failed' || run.status === 'stopped') return 0
      const nodes = await scheduledOf(tx, runId)
      let changes = 0
      for (const [name, jobs] of jobsByQueue(nodes)) {
        const live = await queue.live(name, [...jobs.keys()], tx)
        for (const [jobId, node] of jobs) {
          const works = node.status === 'queued' || node.status === 'running'
          if (works && !live.has(jobId)) {
            const fresh = await queue.send(tx, name, { id: node.id }, { priority: run.priority })
            // The status stays: a `running` one becomes the next attempt when it is claimed.
            assert(await moveNodeRun(tx, node.id, node.status, node.status, { jobId: fresh }), 'the run is locked')
            changes++
          } else if (!works && live.has(jobId)) {
            await queue.cancel(tx, name, jobId)
            changes++
          }
        }
      }
      for (const node of nodes) {
        if ((node.status !== 'queued' && node.status !== 'running') || node.jobId !== null) continue
        const fresh = await queue.send(tx, node.resource, { id: node.id }, { priority: run.priority })
        assert(await moveNodeRun(tx, node.id, node.status, node.status, { jobId: fresh }), 'the run is locked')
        changes++
      }
      await advance(tx, queue, run)
      return changes
    })
  }
  return repaired
}

function jobsByQueue(nodes: readonly Scheduled[]): Map<QueueName, Map<string, Scheduled>> {
  const found = new Map<QueueName, Map<string, Scheduled>>()
  for (const node of nodes) {
    if (node.jobId === null) continue
    const jobs = found.get(node.resource) ?? new Map<string, Scheduled>()
    found.set(node.resource, jobs.set(node.jobId, node))
  }
  return found
}
