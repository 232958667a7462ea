import { expect, test } from 'vitest'
import { graphDigest } from '../../../nodes/_kit/cache-key'
import * as pipelines from '../../../server/storage/pipelines'
import { testDatabase } from '../../kit/postgres'
import { documentWith, madeRun, OWNER, STRANGER } from '../../kit/rows'

test('R-99: a save with the last revision is taken, one with an older revision returns both documents and overwrites nothing', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const made = await pipelines.createPipeline(db, OWNER, { name: 'Contracts', document: documentWith() })
  expect(made.revision).toBe(1)
  const first = await pipelines.savePipeline(db, OWNER, made.id, { document: documentWith({ file: 'a.csv' }), revision: 1 })
  expect(first).toMatchObject({ saved: true, revision: 2 })
  const late = await pipelines.savePipeline(db, OWNER, made.id, { document: documentWith({ file: 'b.csv' }), revision: 1 })
  expect(late).toMatchObject({ saved: false, revision: 2, document: documentWith({ file: 'a.csv' }) })
  expect((await pipelines.getPipeline(db, OWNER, made.id)).document).toEqual(documentWith({ file: 'a.csv' }))
})

test('R-99: of two saves of the same revision at the same moment exactly one wins', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { id } = await pipelines.createPipeline(db, OWNER, { name: 'Race', document: documentWith() })
  const results = await Promise.all(
    ['a', 'b', 'c', 'd'].map((file) => pipelines.savePipeline(db, OWNER, id, { document: documentWith({ file }), revision: 1 })),
  )
  expect(results.filter((result) => result.saved)).toHaveLength(1)
})

test('R-90: a document comes back with its keys in the order and its numbers in the form they were written', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const document = documentWith({ zeta: 1e-7, alpha: 0.1, Beta: 12345678901, list: [1, 2.5, -0.001] })
  const { id } = await pipelines.createPipeline(db, OWNER, { name: 'Exact', document })
  const back = (await pipelines.getPipeline(db, OWNER, id)).document
  expect(JSON.stringify(back)).toBe(JSON.stringify(document))
})

test('R-99: versions are numbered without gaps, restoring adds one, and a run of an unchanged document adds none', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { id } = await pipelines.createPipeline(db, OWNER, { name: 'History', document: documentWith() })
  const [first] = await pipelines.listVersions(db, OWNER, id)
  await pipelines.savePipeline(db, OWNER, id, { document: documentWith({ file: 'new.csv' }), revision: 1 })
  const [second, again] = await db.transaction(async (tx) => [
    await pipelines.versionFor(tx, OWNER, id, documentWith({ file: 'new.csv' }), 'run'),
    await pipelines.versionFor(tx, OWNER, id, documentWith({ file: 'new.csv' }), 'run'),
  ])
  expect(again?.id).toBe(second?.id)
  const restored = await pipelines.restoreVersion(db, OWNER, first?.id ?? '')
  expect(restored.document).toEqual(documentWith())
  const versions = await pipelines.listVersions(db, OWNER, id)
  expect(versions.map((version) => [version.number, version.reason])).toEqual([
    [3, 'restore'],
    [2, 'run'],
    [1, 'import'],
  ])
  expect(versions[0]?.graphDigest).toBe(graphDigest(documentWith()))
})

test('R-99: while somebody edits, a version is written by itself at most every five minutes, and not for a moved box', async () => {
  await using database = await testDatabase()
  const { db, pool } = { db: database.storage.db, pool: database.storage.pool }
  const { id } = await pipelines.createPipeline(db, OWNER, { name: 'Auto', document: documentWith() })
  await pipelines.savePipeline(db, OWNER, id, { document: documentWith({ file: 'a.csv' }), revision: 1 })
  expect(await pipelines.listVersions(db, OWNER, id)).toHaveLength(1)
  await pool.query("update pipeline_versions set created_at = now() - interval '6 minutes'")
  const moved = { ...documentWith(), layout: { nodes: { data: { x: 500, y: 500 } }, groups: [] } }
  await pipelines.savePipeline(db, OWNER, id, { document: moved, revision: 2 })
  expect(await pipelines.listVersions(db, OWNER, id)).toHaveLength(1)
  await pipelines.savePipeline(db, OWNER, id, { document: documentWith({ file: 'b.csv' }), revision: 3 })
  expect((await pipelines.listVersions(db, OWNER, id)).map((version) => version.reason)).toEqual(['auto', 'import'])
})

test('SEC-16: nothing of one owner can be read or changed by another', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const { id } = await pipelines.createPipeline(db, OWNER, { name: 'Mine', document: documentWith() })
  const [version] = await pipelines.listVersions(db, OWNER, id)
  const notFound = { code: 'NOT_FOUND' }
  await expect(pipelines.getPipeline(db, STRANGER, id)).rejects.toMatchObject(notFound)
  await expect(pipelines.savePipeline(db, STRANGER, id, { document: documentWith(), revision: 1 })).rejects.toMatchObject(notFound)
  await expect(pipelines.renamePipeline(db, STRANGER, id, 'Theirs')).rejects.toMatchObject(notFound)
  await expect(pipelines.removePipeline(db, STRANGER, id)).rejects.toMatchObject(notFound)
  await expect(pipelines.duplicatePipeline(db, STRANGER, id, 'Copy')).rejects.toMatchObject(notFound)
  await expect(pipelines.getVersion(db, STRANGER, version?.id ?? '')).rejects.toMatchObject(notFound)
  await expect(pipelines.restoreVersion(db, STRANGER, version?.id ?? '')).rejects.toMatchObject(notFound)
  expect(await pipelines.listVersions(db, STRANGER, id)).toEqual([])
  expect(await pipelines.listPipelines(db, STRANGER)).toEqual([])
  expect(await pipelines.listPipelines(db, OWNER)).toHaveLength(1)
})

test('R-91: what is no id is not found, without a database error', async () => {
  await using database = await testDatabase()
  await expect(pipelines.getPipeline(database.storage.db, OWNER, "x' or 1=1")).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('A pipeline in the list carries its newest run; a removed one disappears and its runs stay', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const made = await madeRun(db)
  await madeRun(db, { pipelineId: made.pipelineId })
  const [listed] = await pipelines.listPipelines(db, OWNER)
  expect(listed).toMatchObject({ id: made.pipelineId, nodes: 1, lastRun: { number: 2, status: 'queued' } })
  await pipelines.removePipeline(db, OWNER, made.pipelineId)
  expect(await pipelines.listPipelines(db, OWNER)).toEqual([])
  const { rows } = await database.storage.pool.query('select count(*)::int as n from runs')
  expect(rows[0].n).toBe(2)
})

test('Runs of one file are versions of one pipeline', async () => {
  await using database = await testDatabase()
  const { db } = database.storage
  const first = await pipelines.pipelineOfFile(db, OWNER, { sourceFile: '/data/p.json', name: 'p', document: documentWith() })
  const second = await pipelines.pipelineOfFile(db, OWNER, { sourceFile: '/data/p.json', name: 'p', document: documentWith({ file: 'x' }) })
  expect(second.id).toBe(first.id)
  expect(second.document).toEqual(documentWith({ file: 'x' }))
})
