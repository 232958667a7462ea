/**
 * Live events for readers in this process (R-81 … R-88): one LISTEN connection, one query per notification and run whatever the number of
 * readers, batches of 200 ms to each.
 *
 * Every reader holds, per run, the number of the last event it took. Because numbers have no gaps, the next one is `last + 1` and nothing
 * else: what is older is dropped, and when something newer comes first the reader is *behind* and fills up from the table. So a lost
 * notification, a reconnect, an overflow and two deliveries crossing each other all end in the same repair.
 */
import pg from 'pg'
import { AppError } from '../errors'
import { connectionOf, type Storage } from './db'
import { EVENTS_CHANNEL, eventBounds, type RunEvent, readEvents } from './events'

export type Cursors = Record<string, number>
/** An event as it goes over the wire; kind `reset` says that the cursor cannot be served and a new snapshot is due. */
export type FeedEvent = { run: string; seq: number; node: string | null; at: string; kind: RunEvent['kind'] | 'reset'; data: unknown }

const BATCH_MS = 200
const QUEUE_LIMIT = 5_000
const PAGE = 1_000
const POLL_MS = 5_000
const RECONNECT_MS = 300
/** Per owner (SEC-15). */
export const STREAM_LIMIT = 250

type Reader = {
  owner: string
  /** Last event put into `queue`, by run. */
  taken: Map<string, number>
  /** Last event given to the caller, by run. */
  given: Map<string, number>
  queue: FeedEvent[]
  /** Runs to be read from the table. */
  behind: Set<string>
  wake: () => void
}
type Watch = { owner: string; last: number; readers: Set<Reader>; busy: boolean; again: boolean }

const outgoing = (run: string, event: RunEvent): FeedEvent => ({
  run,
  seq: event.seq,
  node: event.nodeId,
  at: event.at.toISOString(),
  kind: event.kind,
  data: event.data,
})

export class EventHub {
  /** Queries made because of notifications, for tests and the status page. */
  queries = 0
  readonly #storage: Storage
  readonly #watches = new Map<string, Watch>()
  readonly #readers = new Set<Reader>()
  #client: pg.Client | null = null
  #started = false
  #closed = false
  #poll: ReturnType<typeof setInterval> | undefined

  constructor(storage: Storage) {
    this.#storage = storage
  }

  get readers(): number {
    return this.#readers.size
  }

  /**
   * Events of several runs after their cursors, in order, none twice, until `signal` aborts. Runs of somebody else are left out.
   * @throws AppError NOT_FOUND when no run is left, TOO_MANY_REQUESTS beyond 250 streams of one owner.
   */
  async *read(owner: string, cursors: Cursors, signal: AbortSignal): AsyncGenerator<{ cursors: Cursors; events: FeedEvent[] }> {
    let streams = 0
    for (const reader of this.#readers) if (reader.owner === owner) streams += 1
    if (streams >= STREAM_LIMIT)
      throw new AppError('TOO_MANY_REQUESTS', {
        message: 'Too many live streams are open.',
        expected: `at most ${STREAM_LIMIT}`,
        fix: 'Close some tabs.',
      })
    this.#start()
    const reader: Reader = { owner, taken: new Map(), given: new Map(), queue: [], behind: new Set(), wake: () => {} }
    this.#readers.add(reader)
    const onAbort = () => reader.wake()
    signal.addEventListener('abort', onAbort)
    try {
      for (const [run, cursor] of Object.entries(cursors)) await this.#join(reader, run, cursor)
      if (reader.taken.size === 0 && Object.keys(cursors).length > 0)
        throw new AppError('NOT_FOUND', { message: 'There is no such run.', got: Object.keys(cursors).join(', ') })
      while (!signal.aborted) {
        for (const run of [...reader.behind]) await this.#fill(reader, run)
        if (signal.aborted) break
        if (reader.queue.length === 0) {
          if (reader.behind.size === 0) await this.#sleep(reader, signal)
          continue
        }
        const events = reader.queue
        reader.queue = []
        for (const event of events) reader.given.set(event.run, event.seq)
        yield { cursors: Object.fromEntries(reader.given), events }
        // What comes in the meantime makes one batch; the first after a pause goes at once.
        await pause(BATCH_MS, signal)
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      this.#readers.delete(reader)
      for (const run of reader.taken.keys()) {
        const watch = this.#watches.get(run)
        watch?.readers.delete(reader)
        if (watch?.readers.size === 0) this.#watches.delete(run)
      }
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#poll)
    for (const reader of this.#readers) reader.wake()
    await this.#client?.end().catch(() => {})
  }

  async #join(reader: Reader, run: string, cursor: number): Promise<void> {
    const bounds = await eventBounds(this.#storage.db, reader.owner, run)
    if (!bounds) return
    let from = cursor
    if (cursor < bounds.oldest - 1 || cursor > bounds.newest) {
      reader.queue.push({ run, seq: bounds.newest, node: null, at: new Date().toISOString(), kind: 'reset', data: {} })
      from = bounds.newest
    }
    reader.taken.set(run, from)
    reader.given.set(run, from)
    const watch = this.#watches.get(run) ?? { owner: reader.owner, last: bounds.newest, readers: new Set(), busy: false, again: false }
    this.#watches.set(run, watch)
    watch.readers.add(reader)
    // Also when nothing seems to be missing: an event may have come between the look and the joining.
    reader.behind.add(run)
  }

  /** Reads one page from the table. Deliveries that arrive meanwhile are told apart by number. */
  async #fill(reader: Reader, run: string): Promise<void> {
    reader.behind.delete(run)
    const rows = await readEvents(this.#storage.db, reader.owner, run, reader.taken.get(run) ?? 0, PAGE)
    this.#deliver(reader, run, rows)
    if (rows.length === PAGE) reader.behind.add(run)
  }

  #deliver(reader: Reader, run: string, rows: readonly RunEvent[]): void {
    let last = reader.taken.get(run) ?? 0
    for (const row of rows) {
      if (row.seq <= last) continue
      if (row.seq !== last + 1) {
        reader.behind.add(run)
        break
      }
      reader.queue.push(outgoing(run, row))
      last = row.seq
    }
    reader.taken.set(run, last)
    if (reader.queue.length > QUEUE_LIMIT) {
      // The reader is slow: forget what waits, keep what it has, and read from the table when it comes back.
      reader.queue = reader.queue.filter((event) => event.kind === 'reset')
      for (const [id, seq] of reader.given) {
        reader.taken.set(id, seq)
        reader.behind.add(id)
      }
    }
    reader.wake()
  }

  #sleep(reader: Reader, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      reader.wake = () => {
        reader.wake = () => {}
        resolve()
      }
      if (signal.aborted || this.#closed || reader.queue.length > 0 || reader.behind.size > 0) reader.wake()
    })
  }

  /** One query for all readers of a run. */
  async #pull(run: string): Promise<void> {
    const watch = this.#watches.get(run)
    if (!watch) return
    if (watch.busy) {
      watch.again = true
      return
    }
    watch.busy = true
    try {
      do {
        watch.again = false
        this.queries += 1
        const rows = await readEvents(this.#storage.db, watch.owner, run, watch.last, PAGE)
        const newest = rows.at(-1)
        if (!newest) continue
        watch.last = newest.seq
        for (const reader of watch.readers) this.#deliver(reader, run, rows)
        if (rows.length === PAGE) watch.again = true
      } while (watch.again)
    } catch {
      // The database is away; the poll and the reconnect ask again.
    } finally {
      watch.busy = false
    }
  }

  #pullAll(): void {
    for (const run of this.#watches.keys()) void this.#pull(run)
  }

  #start(): void {
    if (this.#started) return
    this.#started = true
    void this.#listen()
    this.#poll = setInterval(() => this.#pullAll(), POLL_MS)
    this.#poll.unref()
  }

  async #listen(): Promise<void> {
    if (this.#closed) return
    const client = new pg.Client({ ...connectionOf(this.#storage.directUrl), application_name: 'thaw events' })
    let gone = false
    const again = () => {
      if (gone) return
      gone = true
      void client.end().catch(() => {})
      if (!this.#closed) setTimeout(() => void this.#listen(), RECONNECT_MS).unref()
    }
    client.on('error', again)
    client.on('end', again)
    client.on('notification', (message) => message.payload && void this.#pull(message.payload))
    try {
      await client.connect()
      await client.query(`listen ${EVENTS_CHANNEL}`)
      this.#client = client
      this.#pullAll()
    } catch {
      again()
    }
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}
