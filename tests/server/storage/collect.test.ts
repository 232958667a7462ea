import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ArtifactStore } from '../../../server/storage/artifact-store'
import { dropRefs, recordArtifacts } from '../../../server/storage/artifacts'
import { collectGarbage, GRACE_MS } from '../../../server/storage/collect'
import { newId } from '../../../server/storage/ids'
import { testDatabase } from '../../kit/postgres'
import { madeRun, OWNER } from '../../kit/rows'
import { tempFolder } from '../../kit/temp'

const LATER = () => Date.now() + GRACE_MS + 60_000

async function world() {
  const database = await testDatabase()
  const folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const { db } = database.storage
  return {
    db,
    store,
    /** Stores bytes and keeps them by a new holder. */
    async keep(text: string, kind: 'checkpoint' | 'result' = 'checkpoint') {
      const stored = await store.put(text)
      const holder = { kind, id: newId() } as const
      await db.transaction((tx) => recordArtifacts(tx, store, OWNER, holder, [{ ...stored, kind: 'file' }]))
      return { ...stored, holder }
    },
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('R-76: bytes that nothing refers to go after a day, and nothing else', async () => {
  await using here = await world()
  const { db, store } = here
  const dropped = await here.keep('an old checkpoint')
  const kept = await here.keep('a result', 'result')
  const shared = await here.keep('held twice')
  await here.keep('held twice', 'result')
  const foreign = await store.put('of another database')
  for (const { holder } of [dropped, shared]) await dropRefs(db, holder)

  expect(await collectGarbage({ db, store })).toEqual({ artifacts: 0, bytes: 0 })
  expect(await collectGarbage({ db, store, now: LATER() })).toEqual({ artifacts: 1, bytes: dropped.sizeBytes })
  expect(await store.has(dropped.digest)).toBeNull()
  for (const { digest, sizeBytes } of [kept, shared, foreign]) expect(await store.has(digest)).toBe(sizeBytes)
  expect(await collectGarbage({ db, store, now: LATER() })).toEqual({ artifacts: 0, bytes: 0 })
  // The same bytes may come again.
  const again = await here.keep('an old checkpoint')
  expect(await store.verify(again.digest)).toBe(true)
})

test('R-76: nothing that an open attempt may have stored is a candidate', async () => {
  await using here = await world()
  const { db, store } = here
  const { nodeRuns } = await madeRun(db)
  await db.execute(
    `insert into attempts (id, owner_id, node_run_id, attempt, started_at) values ('${newId()}', '${OWNER}', '${nodeRuns.data}', 1, now() - interval '1 hour')`,
  )
  const { digest, holder } = await here.keep('put by it, in an earlier life')
  await dropRefs(db, holder)
  expect(await collectGarbage({ db, store, now: LATER() })).toEqual({ artifacts: 0, bytes: 0 })
  await db.execute('update attempts set ended_at = now()')
  expect((await collectGarbage({ db, store, now: LATER() })).artifacts).toBe(1)
  expect(await store.has(digest)).toBeNull()
})

test('R-76: who collects and who records the same bytes at the same moment never leave a reference to nothing', async () => {
  await using here = await world()
  const { db, store } = here
  let collected = 0
  for (let round = 0; round < 12; round++) {
    const text = `contested ${round}`
    const first = await here.keep(text)
    await dropRefs(db, first.holder)
    // In the future, so that what is stored meanwhile counts as old too: the worst case.
    const collect = () => collectGarbage({ db, store, now: Date.now() + 60_000, graceMs: 0 })
    const [kept, ...runs] = await Promise.allSettled([here.keep(text), collect(), collect()])
    const { rows } = await db.execute(`select count(*)::int as n from artifact_refs where digest = '${first.digest}'`)
    const there = (await store.has(first.digest)) !== null
    expect({ there, rows }).toEqual({ there: kept.status === 'fulfilled', rows: [{ n: kept.status === 'fulfilled' ? 1 : 0 }] })
    if (kept.status === 'rejected') expect(kept.reason).toMatchObject({ code: 'ARTIFACT_MISSING' })
    collected += runs.reduce((sum, run) => sum + (run.status === 'fulfilled' ? run.value.artifacts : Number.NaN), 0)
  }
  expect(collected).not.toBeNaN()
})
