import { join } from 'node:path'
import { eq } from 'drizzle-orm'
import { expect, test } from 'vitest'
import { nodeRuns, runs } from '../../../drizzle/schema'
import { ArtifactStore } from '../../../server/storage/artifact-store'
import { recordArtifacts } from '../../../server/storage/artifacts'
import { collectGarbage, GRACE_MS } from '../../../server/storage/collect'
import { recordResult, resultsByKey } from '../../../server/storage/results'
import { describeRun, discardRuns, diskUse, heldOnlyBy, tagsInUse } from '../../../server/storage/run-shelf'
import { listRuns } from '../../../server/storage/runs'
import { testDatabase } from '../../kit/postgres'
import { madeRun, OWNER, STRANGER } from '../../kit/rows'
import { tempFolder } from '../../kit/temp'

async function world() {
  const database = await testDatabase()
  const folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const { db } = database.storage
  return {
    db,
    store,
    end: (run: string) => db.update(runs).set({ status: 'succeeded', endedAt: new Date() }).where(eq(runs.id, run)),
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}

test('R-77: a discarded run frees what only it held; what a kept run reuses stays, and its result is still found', async () => {
  await using here = await world()
  const { db, store } = here
  const first = await madeRun(db, { nodes: [{ nodeId: 'data' }, { nodeId: 'train' }] })
  const put = async (text: string, kind: 'node_run' | 'result', id: string) => {
    const stored = await store.put(text)
    await db.transaction((tx) => recordArtifacts(tx, store, OWNER, { kind, id }, [{ ...stored, kind: 'file' }]))
    return stored
  }
  const [data, train] = [first.nodeRuns.data as string, first.nodeRuns.train as string]
  const shared = await put('rows that two runs use', 'node_run', data)
  const alone = await put('weights of the first run alone', 'node_run', train)
  for (const [key, nodeRunId, text] of [
    ['k-data', data, 'rows that two runs use'],
    ['k-train', train, 'weights of the first run alone'],
  ] as const) {
    const id = await recordResult(db, OWNER, { key, nodeRunId, type: 't', outputs: {}, provenance: {} })
    await put(text, 'result', id as string)
  }
  const second = await madeRun(db, {
    pipelineId: first.pipelineId,
    nodes: [{ nodeId: 'data', status: 'reused', reusedFrom: data, outputs: {} }],
  })

  await expect(discardRuns(db, OWNER, [first.run])).rejects.toMatchObject({ code: 'CONFLICT' })
  await here.end(first.run)
  expect(await heldOnlyBy(db, OWNER, [first.run])).toEqual({ bytes: alone.sizeBytes, artifacts: 1 })
  expect(await heldOnlyBy(db, STRANGER, [first.run])).toEqual({ bytes: 0, artifacts: 0 })
  expect(await discardRuns(db, STRANGER, [first.run])).toEqual({ bytes: 0, artifacts: 0 })
  expect((await listRuns(db, OWNER)).map((run) => run.number)).toEqual([2, 1])

  expect(await discardRuns(db, OWNER, [first.run])).toEqual({ bytes: alone.sizeBytes, artifacts: 1 })
  expect((await listRuns(db, OWNER)).map((run) => run.number)).toEqual([2])
  expect(await diskUse(db)).toMatchObject({ artifacts: 2, unused: alone.sizeBytes })
  const found = await resultsByKey(db, OWNER, ['k-data', 'k-train'])
  expect([...found.keys()]).toEqual(['k-data'])
  expect(found.get('k-data')?.nodeRun).toBe(second.nodeRuns.data)
  await collectGarbage({ db, store, now: Date.now() + GRACE_MS + 60_000 })
  expect(await store.has(alone.digest)).toBeNull()
  expect(await store.has(shared.digest)).toBe(shared.sizeBytes)
  // Again: nothing more to free.
  expect(await discardRuns(db, OWNER, [first.run])).toEqual({ bytes: 0, artifacts: 0 })
  // The result of a discarded run cannot be taken over by whoever planned with it.
  await expect(madeRun(db, { nodes: [{ status: 'reused', reusedFrom: train, outputs: {} }] })).rejects.toMatchObject({ code: 'CONFLICT' })
})

test('UX-79: runs are found by name, note, tag, number and state, and know their headline', async () => {
  await using here = await world()
  const { db } = here
  const made = [await madeRun(db), await madeRun(db), await madeRun(db)]
  const [a, b] = made as [(typeof made)[0], (typeof made)[0]]
  await describeRun(db, OWNER, a.run, { name: 'Baseline 100%_x', tags: ['paper', 'seed 1'] })
  await describeRun(db, OWNER, b.run, { note: 'with more DATA', tags: ['paper'] })
  await here.end(a.run)
  await db
    .update(nodeRuns)
    .set({ outputs: { metrics: { exact_match: 0.25, eval_loss: 2 } } })
    .where(eq(nodeRuns.id, a.nodeRuns.data as string))
  const numbers = async (filter: Parameters<typeof listRuns>[2]) => (await listRuns(db, OWNER, filter)).map((run) => run.number)
  expect(await numbers({ search: 'baseline' })).toEqual([1])
  expect(await numbers({ search: '100%_x' })).toEqual([1])
  expect(await numbers({ search: '%' })).toEqual([1])
  expect(await numbers({ search: 'more data' })).toEqual([2])
  expect(await numbers({ search: 'queued' })).toEqual([3, 2])
  expect(await numbers({ tag: 'paper' })).toEqual([2, 1])
  expect(await numbers({ tag: 'pap' })).toEqual([])
  expect(await tagsInUse(db, OWNER)).toEqual([
    { tag: 'paper', runs: 2 },
    { tag: 'seed 1', runs: 1 },
  ])
  expect((await listRuns(db, OWNER)).map((run) => run.headline)).toEqual([null, null, { name: 'exact_match', value: 0.25 }])
  await expect(describeRun(db, STRANGER, a.run, { name: 'mine' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
