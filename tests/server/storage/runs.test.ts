import { expect, test } from 'vitest'
import { appendEvents } from '../../../server/storage/events'
import { newId } from '../../../server/storage/ids'
import { invalidateResult, recordResult, resultsByKey } from '../../../server/storage/results'
import { getRun, listRuns, outputsOf, runSnapshot } from '../../../server/storage/runs'
import { testDatabase } from '../../kit/postgres'
import { madeRun, OWNER, STRANGER } from '../../kit/rows'

test('R-29, T-17: two submits with one idempotency key at the same moment make one run', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { pipelineId } = await madeRun(db)
  const idempotencyKey = newId()
  const both = await Promise.all([madeRun(db, { pipelineId, idempotencyKey }), madeRun(db, { pipelineId, idempotencyKey })])
  expect(both[0].run).toBe(both[1].run)
  expect(both.map((one) => one.existing).sort()).toEqual([false, true])
  expect(await listRuns(db, OWNER, { pipelineId })).toHaveLength(2)
})

test('Runs are numbered 1, 2, 3 per owner, also when they are submitted at the same moment', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { pipelineId } = await madeRun(db)
  await Promise.all(Array.from({ length: 5 }, () => madeRun(db, { pipelineId })))
  expect((await listRuns(db, OWNER)).map((run) => run.number)).toEqual([6, 5, 4, 3, 2, 1])
  expect((await listRuns(db, OWNER, { before: 3, limit: 1 })).map((run) => run.number)).toEqual([2])
  expect((await madeRun(db, { owner: STRANGER })).number).toBe(1)
})

test('T-17: a submit that is rolled back leaves neither run nor node run nor counter', async () => {
  await using database = await testDatabase()
  const { db, pool } = { db: database.storage.db, pool: database.storage.pool }
  await expect(
    db.transaction(async (tx) => {
      await madeRun(tx as never)
      throw new Error('undo')
    }),
  ).rejects.toThrow('undo')
  for (const table of ['runs', 'node_runs', 'run_seq']) {
    expect((await pool.query(`select count(*)::int as n from ${table}`)).rows[0].n).toBe(0)
  }
})

test('R-85: a snapshot holds the run, its nodes and the number of the last event it includes', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db, {
    nodes: [
      { nodeId: 'data', params: { file: 'a.csv' } },
      { nodeId: 'later', status: 'waiting', wires: { data: { node: 'data', port: 'data' } } },
    ],
  })
  await appendEvents(db, run, [{ nodeId: null, kind: 'run', data: { status: 'queued' } }])
  const snapshot = await runSnapshot(db, OWNER, run)
  expect(snapshot).toMatchObject({ run: { id: run, number: 1, status: 'queued', pipelineName: 'Test', versionNumber: 1 }, seq: 1 })
  expect(snapshot.nodes.map((node) => [node.nodeId, node.status, node.attempt])).toEqual([
    ['data', 'queued', 0],
    ['later', 'waiting', 0],
  ])
})

test('SEC-16: a run of somebody else is not found', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { run } = await madeRun(db)
  for (const ask of [() => getRun(db, STRANGER, run), () => runSnapshot(db, STRANGER, run), () => outputsOf(db, STRANGER, run, 'data')]) {
    await expect(ask()).rejects.toMatchObject({ code: 'NOT_FOUND' })
  }
  expect(await listRuns(db, STRANGER)).toEqual([])
})

test('R-63: the first result of a key wins; a forgotten one is reported as such until another takes its place', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { nodeRuns } = await madeRun(db)
  const of = { key: 'k'.repeat(64), nodeRunId: nodeRuns.data ?? '', type: 'load-data', provenance: {} }
  expect(await recordResult(db, OWNER, { ...of, outputs: { n: 1 } })).not.toBeNull()
  expect(await recordResult(db, OWNER, { ...of, outputs: { n: 2 } })).toBeNull()
  expect((await resultsByKey(db, OWNER, [of.key])).get(of.key)).toMatchObject({ outputs: { n: 1 }, invalidated: false, run: 1 })
  expect(await invalidateResult(db, OWNER, of.key)).toBe(true)
  expect((await resultsByKey(db, OWNER, [of.key])).get(of.key)?.invalidated).toBe(true)
  expect(await recordResult(db, OWNER, { ...of, outputs: { n: 3 } })).not.toBeNull()
  expect((await resultsByKey(db, OWNER, [of.key])).get(of.key)).toMatchObject({ outputs: { n: 3 }, invalidated: false })
  expect((await resultsByKey(db, STRANGER, [of.key])).size).toBe(0)
})
