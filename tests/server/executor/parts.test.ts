import { readFileSync } from 'node:fs'
import { appendFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NODE_RUN_STATUS, type NodeRunStatus } from '../../../drizzle/schema'
import { etaOf } from '../../../server/executor/events'
import { assertNodeRunChange, assertRunChange, isTerminal, runStatusOf } from '../../../server/executor/states'
import { writeExport } from '../../../server/exports'
import { ArtifactStore } from '../../../server/storage/artifact-store'
import { tempFolder } from '../../kit/temp'

test('R-45: a forbidden change of state names both states; terminal states never change (R-52)', () => {
  expect(() => assertNodeRunChange('done', 'running')).toThrow('from done to running')
  expect(() => assertNodeRunChange('waiting', 'done')).toThrow('from waiting to done')
  expect(() => assertRunChange('succeeded', 'running')).toThrow('from succeeded to running')
  for (const from of NODE_RUN_STATUS.filter(isTerminal))
    for (const to of NODE_RUN_STATUS) expect(() => assertNodeRunChange(from, to)).toThrow()
})

test('a run ends exactly when every node run has: failed before stopped before succeeded', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...NODE_RUN_STATUS), { minLength: 1 }), (statuses) => {
      const status = runStatusOf(statuses)
      const ended = statuses.every(isTerminal)
      expect(['succeeded', 'failed', 'stopped'].includes(status)).toBe(ended)
      if (!ended) return
      const has = (one: NodeRunStatus) => statuses.includes(one)
      expect(status).toBe(has('failed') ? 'failed' : has('stopped') || has('cancelled') ? 'stopped' : 'succeeded')
    }),
  )
})

test('time left comes from the recent pace, and is not guessed', () => {
  expect(etaOf([], 100)).toBeNull()
  expect(etaOf([{ at: 0, done: 0 }], 100)).toBeNull()
  expect(
    etaOf(
      [
        { at: 0, done: 0 },
        { at: 500, done: 10 },
      ],
      100,
    ),
  ).toBeNull()
  expect(
    etaOf(
      [
        { at: 0, done: 10 },
        { at: 10_000, done: 20 },
      ],
      100,
    ),
  ).toBe(80)
  expect(
    etaOf(
      [
        { at: 0, done: 10 },
        { at: 10_000, done: 10 },
      ],
      100,
    ),
  ).toBeNull()
  expect(
    etaOf(
      [
        { at: 0, done: 10 },
        { at: 10_000, done: 100 },
      ],
      100,
    ),
  ).toBeNull()
})

test('an export folder is whole, is the user’s own copy, and is mended when it was changed', async () => {
  await using folder = await tempFolder()
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const files = []
  for (const [path, text] of [
    ['config.json', '{}'],
    ['sub/weights.bin', 'www'],
  ] as const) {
    const { digest, sizeBytes } = await store.put(text)
    files.push({ path, digest, size: sizeBytes })
  }
  const { digest: manifest } = await store.putManifest(files)
  const handle = { manifest, name: 'x', bytes: 5, files }
  const path = await writeExport(store, folder.path, 'My Pipeline ÄÖ/../x', handle)
  expect(path).toBe(join(folder.path, 'exports', `my-pipeline-x-${manifest.slice(0, 12)}`))
  expect(readFileSync(join(path, 'sub/weights.bin'), 'utf8')).toBe('www')
  expect(await writeExport(store, folder.path, 'My Pipeline ÄÖ/../x', handle)).toBe(path)

  // What is done to the folder does not reach the store.
  await appendFile(join(path, 'config.json'), 'changed')
  expect(await store.verify(files[0]?.digest ?? '')).toBe(true)
  await writeExport(store, folder.path, 'My Pipeline ÄÖ/../x', handle)
  expect(readFileSync(join(path, 'config.json'), 'utf8')).toBe('{}')
  expect(await readdir(join(folder.path, 'exports'))).toEqual([path.split('/').at(-1)])

  await rm(store.path(files[1]?.digest ?? ''), { force: true })
  const fresh = new ArtifactStore(join(folder.path, 'artifacts'))
  await expect(writeExport(fresh, folder.path, 'other', handle)).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' })
  expect(await readdir(join(folder.path, 'exports'))).toEqual([path.split('/').at(-1)])
})
