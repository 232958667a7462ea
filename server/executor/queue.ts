/**
 * Wake-ups with a lease, on pg-boss. `node_runs` is the truth; everything here can be emptied and rebuilt from it. This file is all
 * that knows pg-boss.
 *
 * Workers fetch by themselves instead of through `boss.work`: a worker serves several queues with one trainer, and its lease must live on
 * through database outages that pg-boss would report as a lost job. The notification is ours, sent in the same transaction as the job.
 */
import { sql } from 'drizzle-orm'
import { fromDrizzle, PgBoss } from 'pg-boss'
import { assert } from '../errors'
import type { Queryer, Storage, Tx } from '../storage/db'

export const QUEUE_NAMES = ['cpu', 'gpu', 'inspect'] as const
export type QueueName = (typeof QUEUE_NAMES)[number]
export const JOBS_CHANNEL = 'thaw_jobs'

/** The least that pg-boss allows; with it another worker takes over 10 to 15 s after a worker died. */
export const HEARTBEAT_SECONDS = 10
export const TOUCH_EVERY_MS = 3_000
export const POLL_EVERY_MS = 500
const EXPIRE_SECONDS = 23 * 3_600

/** Id of the node run or inspection that the job wakes. */
export type Job = { id: string }
/** The right to work on a job until somebody else gets it. `retryCount` fences: it grows with each lease. */
export type Lease = { queue: QueueName; jobId: string; retryCount: number; job: Job }

export type Queue = {
  send(tx: Tx, queue: QueueName, job: Job, options?: { priority?: number; startAfter?: Date }): Promise<string>
  /** The first waiting job of the queues, asked in that order; null when there is none. */
  fetch(queues: readonly QueueName[]): Promise<Lease | null>
  /** Keeps the lease; false when somebody else has it. */
  touch(lease: Lease, db?: Queryer): Promise<boolean>
  /** Ends the lease with the work done; false when it was lost. */
  complete(lease: Lease, db: Queryer): Promise<boolean>
  /** Gives the lease back, so that the job is delivered again at once. */
  release(lease: Lease, db?: Queryer): Promise<boolean>
  /** Gives back the lease that a dead worker held. */
  releaseJob(queue: QueueName, jobId: string): Promise<boolean>
  cancel(db: Queryer, queue: QueueName, jobId: string): Promise<void>
  /** Which of these jobs are waiting or leased. */
  live(queue: QueueName, jobIds: readonly string[], db?: Queryer): Promise<Set<string>>
  close(): Promise<void>
}

/**
 * @param maintain true in workers: they hand on the leases of dead workers and tidy the queue. The web process does neither.
 * @param onError database trouble in the background; work goes on.
 */
export async function openQueue(storage: Storage, options: { maintain: boolean; onError?: (error: unknown) => void }): Promise<Queue> {
  const boss = new PgBoss({
    db: { executeSql: (text, values) => storage.pool.query(text, values) },
    migrate: false,
    createSchema: false,
    schedule: false,
    supervise: options.maintain,
    superviseIntervalSeconds: 5,
    monitorIntervalSeconds: 5,
    registerInstance: false,
  })
  boss.on('error', (error) => options.onError?.(error))
  await boss.start()
  for (const name of QUEUE_NAMES) {
    if (await boss.getQueue(name)) continue
    await boss.createQueue(name, {
      policy: 'standard',
      notify: false,
      heartbeatSeconds: HEARTBEAT_SECONDS,
      // Attempts are counted and limited by us; the queue must never decide that a job is dead.
      retryLimit: 10_000,
      retryDelay: 0,
      expireInSeconds: EXPIRE_SECONDS,
      retentionSeconds: 14 * 24 * 3_600,
    })
  }

  const over = (db: Queryer | undefined) => (db ? { db: fromDrizzle(db, sql) } : {})
  const fence = (lease: Lease) => ({ id: lease.jobId, retryCount: lease.retryCount })
  // The count is in every answer of pg-boss 12.38 but not in its types.
  const one = (response: object) => 'affected' in response && response.affected === 1

  return {
    async send(tx, queue, job, { priority = 0, startAfter } = {}) {
      const id = await boss.send(queue, job, { priority, ...(startAfter && { startAfter }), ...over(tx) })
      assert(id !== null, 'a job of a standard queue always gets an id')
      await tx.execute(sql`select pg_notify(${JOBS_CHANNEL}, ${queue})`)
      return id
    },
    async fetch(queues) {
      for (const queue of queues) {
        const [job] = await boss.fetch<Job>(queue, { batchSize: 1, includeMetadata: true })
        if (job) return { queue, jobId: job.id, retryCount: job.retryCount, job: job.data }
      }
      return null
    },
    touch: async (lease, db) => one(await boss.touch(lease.queue, fence(lease), over(db))),
    complete: async (lease, db) => one(await boss.complete(lease.queue, fence(lease), null, over(db))),
    release: async (lease, db) => one(await boss.fail(lease.queue, fence(lease), null, over(db))),
    async releaseJob(queue, jobId) {
      const job = await boss.getJobById<Job>(queue, jobId)
      if (job?.state !== 'active') return false
      return one(await boss.fail(queue, { id: jobId, retryCount: job.retryCount }))
    },
    async cancel(db, queue, jobId) {
      await boss.cancel(queue, jobId, over(db))
    },
    async live(queue, jobIds, db) {
      const found = new Set<string>()
      for (const id of jobIds) {
        const job = await boss.getJobById(queue, id, over(db))
        if (job && (job.state === 'created' || job.state === 'retry' || job.state === 'active')) found.add(id)
      }
      return found
    },
    close: () => boss.stop({ graceful: false, close: false }),
  }
}
