import { expect, test } from 'vitest'
import { EventHub, type FeedEvent } from '../../../server/storage/event-hub'
import { appendEvents, appendEventsOf, eventBounds, metricPoints, readEvents } from '../../../server/storage/events'
import { testDatabase } from '../../kit/postgres'
import { madeRun, OWNER, STRANGER } from '../../kit/rows'
import { until } from '../../kit/wait'

const line = (text: string) => ({ nodeId: 'data', kind: 'log' as const, data: { lines: [{ at: 0, level: 'info', text }] } })
const numbers = (events: readonly { seq: number }[]) => events.map((event) => event.seq)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

test('R-80: eight writers at once give numbers without a gap and without a double, and a reader that follows never skips one', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  const seen: number[] = []
  let writing = true
  const reader = (async () => {
    while (writing || seen.length < 400) {
      const rows = await readEvents(db, OWNER, run, seen.at(-1) ?? 0)
      seen.push(...numbers(rows))
    }
  })()
  await Promise.all(
    upTo(8).map(async (writer) => {
      for (let i = 0; i < 25; i++) await appendEvents(db, run, [line(`${writer}`), line(`${writer} again`)])
    }),
  )
  writing = false
  await reader
  expect(seen).toEqual(upTo(400))
  expect(await eventBounds(db, OWNER, run)).toEqual({ oldest: 1, newest: 400 })
})

test('R-80: a rolled-back transaction leaves no hole', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  await appendEvents(db, run, [line('one')])
  await expect(
    db.transaction(async (tx) => {
      await appendEvents(tx, run, [line('lost')])
      throw new Error('undo')
    }),
  ).rejects.toThrow('undo')
  await appendEvents(db, run, [line('two')])
  expect(numbers(await readEvents(db, OWNER, run, 0))).toEqual([1, 2])
})

test('R-32: an attempt that no longer holds the node run writes no event', async () => {
  await using database = await testDatabase()
  const { db, pool } = { db: database.storage.db, pool: database.storage.pool }
  const { run, nodeRuns } = await madeRun(db)
  const nodeRunId = nodeRuns.data ?? ''
  await pool.query("update node_runs set status = 'running', attempt = 2 where id = $1", [nodeRunId])
  expect(await appendEventsOf(db, { runId: run, nodeRunId, attempt: 1 }, [line('zombie')])).toBeNull()
  expect(await appendEventsOf(db, { runId: run, nodeRunId, attempt: 2 }, [line('mine')])).toBe(1)
  await pool.query("update node_runs set status = 'done' where id = $1", [nodeRunId])
  expect(await appendEventsOf(db, { runId: run, nodeRunId, attempt: 2 }, [line('late')])).toBeNull()
  expect(await readEvents(db, OWNER, run, 0)).toHaveLength(1)
})

test('R-91: events of somebody else are not there', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  await appendEvents(db, run, [{ nodeId: 'data', kind: 'metric', data: { points: [{ step: 1, loss: 2.5 }] } }])
  expect(await readEvents(db, STRANGER, run, 0)).toEqual([])
  expect(await eventBounds(db, STRANGER, run)).toBeNull()
  expect(await metricPoints(db, STRANGER, run, 'data')).toEqual([])
  expect(await metricPoints(db, OWNER, run, 'data')).toEqual([{ step: 1, loss: 2.5 }])
})

/** Reads until `enough`, then leaves. */
async function follow(
  hub: EventHub,
  cursors: Record<string, number>,
  enough: (events: FeedEvent[]) => boolean,
  owner = OWNER,
): Promise<FeedEvent[]> {
  const abort = new AbortController()
  const events: FeedEvent[] = []
  for await (const batch of hub.read(owner, cursors, abort.signal)) {
    events.push(...batch.events)
    if (enough(events)) abort.abort()
  }
  return events
}

test('R-83, R-84, R-88: twenty readers from different cursors get every later event once and in order, with one query per notification', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  const hub = new EventHub(database.storage)
  try {
    for (let i = 0; i < 50; i++) await appendEvents(db, run, [line(`before ${i}`)])
    const reading = upTo(20).map((n) => follow(hub, { [run]: n }, (events) => events.at(-1)?.seq === 150))
    await until('all readers', () => hub.readers === 20)
    for (let i = 0; i < 100; i++) await appendEvents(db, run, [line(`after ${i}`)])
    const all = await Promise.all(reading)
    all.forEach((events, i) => {
      expect(numbers(events)).toEqual(upTo(150).slice(i + 1))
    })
    expect(hub.queries).toBeLessThan(250)
    expect(hub.readers).toBe(0)
  } finally {
    await hub.close()
  }
})

test('R-81: after its LISTEN connection is cut the hub pulls what it missed', async () => {
  await using database = await testDatabase()
  const { db, pool } = { db: database.storage.db, pool: database.storage.pool }
  const { run } = await madeRun(db)
  const hub = new EventHub(database.storage)
  try {
    const reading = follow(hub, { [run]: 0 }, (events) => events.length === 20)
    await until(
      'the listener',
      async () =>
        (await pool.query("select 1 from pg_stat_activity where application_name = 'thaw events' and datname = current_database()")).rows
          .length === 1,
    )
    for (let i = 0; i < 10; i++) await appendEvents(db, run, [line('a')])
    await pool.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'thaw events' and datname = current_database()",
    )
    for (let i = 0; i < 10; i++) await appendEvents(db, run, [line('b')])
    expect(numbers(await reading)).toEqual(upTo(20))
  } finally {
    await hub.close()
  }
})

test('R-88: a slow reader is cut to a bounded queue and still gets everything once', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  const hub = new EventHub(database.storage)
  const abort = new AbortController()
  try {
    const stream = hub.read(OWNER, { [run]: 0 }, abort.signal)
    await appendEvents(db, run, [line('first')])
    const got = [...((await stream.next()).value?.events ?? [])]
    // Nobody reads while twelve thousand events arrive, more than twice the queue.
    for (let i = 0; i < 12; i++)
      await appendEvents(
        db,
        run,
        Array.from({ length: 1_000 }, () => line('x')),
      )
    await new Promise((resolve) => setTimeout(resolve, 300))
    while (got.length < 12_001) got.push(...((await stream.next()).value?.events ?? []))
    expect(numbers(got)).toEqual(upTo(12_001))
    abort.abort()
    await stream.return(undefined)
  } finally {
    await hub.close()
  }
})

test('R-85: a cursor that is not kept any more, or was never given, is answered with reset', async () => {
  await using database = await testDatabase()
  const { db, pool } = { db: database.storage.db, pool: database.storage.pool }
  const { run } = await madeRun(db)
  const hub = new EventHub(database.storage)
  try {
    await appendEvents(
      db,
      run,
      upTo(10).map((n) => line(`${n}`)),
    )
    await pool.query('delete from run_events where seq <= 5')
    expect((await follow(hub, { [run]: 2 }, (events) => events.length > 0))[0]).toMatchObject({ kind: 'reset', run, seq: 10 })
    expect((await follow(hub, { [run]: 999 }, (events) => events.length > 0))[0]).toMatchObject({ kind: 'reset', seq: 10 })
    expect(numbers(await follow(hub, { [run]: 5 }, (events) => events.length === 5))).toEqual([6, 7, 8, 9, 10])
  } finally {
    await hub.close()
  }
})

test('SEC-15, SEC-16: a stream of another owner is not found, and the 251st stream of one owner is refused', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  const hub = new EventHub(database.storage)
  const abort = new AbortController()
  try {
    await expect(follow(hub, { [run]: 0 }, () => true, STRANGER)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const streams = upTo(250).map(() => hub.read(OWNER, { [run]: 0 }, abort.signal))
    const waiting = streams.map((stream) => stream.next())
    await until('250 streams', () => hub.readers === 250)
    await expect(hub.read(OWNER, { [run]: 0 }, abort.signal).next()).rejects.toMatchObject({ code: 'TOO_MANY_REQUESTS' })
    abort.abort()
    await Promise.all(waiting)
    expect(hub.readers).toBe(0)
  } finally {
    await hub.close()
  }
})
