import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { filtered, NO_FILTER } from '../../app/templates/filter'
import { registry } from '../../nodes'
import { emptyPipeline, type Pipeline } from '../../nodes/_kit/graph'
import { openTemplates } from '../../server/templates'
import { ROOT } from '../kit/product'
import { tempFolder } from '../kit/temp'

const document = (file: string): Pipeline => ({
  ...emptyPipeline(),
  nodes: {
    data: { type: 'load-data', version: 1, params: { file } },
    model: { type: 'load-model', version: 1, params: { model: 'builtin:thaw-tiny' } },
  },
  inputs: [{ id: 'data', title: 'Letters', node: 'data', param: 'file' }],
})
const values = { title: 'My letters', sentence: 'Who wrote, and when.', task: 'Extraction', minutes: null, expected: null } as const

test('UX-96: a saved template is cleaned, listed beside the shipped ones, and keeps its earlier versions', async () => {
  await using home = await tempFolder()
  const templates = openTemplates(ROOT, registry, home.path)
  const shipped = (await templates.list()).length
  expect(shipped).toBeGreaterThanOrEqual(2)
  const first = await templates.save(values, document('/home/ada/letters.jsonl'))
  expect(first).toMatchObject({ id: 'my-my-letters', version: 1, removed: [{ node: 'data', param: 'file', kind: 'path' }] })
  expect(await templates.get(first.id)).toMatchObject({
    from: 'you',
    version: 1,
    dataNote: 'letters.jsonl',
    modelNote: 'thaw-tiny',
    nodes: 2,
  })
  expect(await templates.save(values, document('b.jsonl'))).toMatchObject({ id: first.id, version: 2, removed: [] })
  expect(await templates.list()).toHaveLength(shipped + 1)
  const folder = join(home.path, 'templates', first.id)
  expect(await readdir(join(folder, 'versions'))).toEqual(['1.json'])
  expect(await readFile(join(folder, 'versions/1.json'), 'utf8')).not.toContain('ada')
  await templates.remove(first.id)
  expect(await templates.list()).toHaveLength(shipped)
  // Shipped ones are not theirs to delete, and no name leads out of the folder.
  for (const id of ['first-look', 'my-../../x', 'my-nothing'])
    await expect(templates.remove(id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

test('UX-94: the gallery finds by words, task, time, what is included and who made it', async () => {
  await using home = await tempFolder()
  const templates = openTemplates(ROOT, registry, home.path)
  await templates.save(values, document('letters.jsonl'))
  const cards = await templates.list()
  const ids = (change: Partial<typeof NO_FILTER>) => filtered(cards, { ...NO_FILTER, ...change }).map(({ id }) => id)
  expect(ids({})).toHaveLength(cards.length)
  expect(ids({ words: 'supplier  customer' })).toEqual(['contract-fields'])
  expect(ids({ words: 'freeze-layers wrote' })).toEqual([])
  expect(ids({ words: 'load-data wrote' })).toEqual(['my-my-letters'])
  expect(ids({ words: 'no such words' })).toEqual([])
  expect(ids({ tasks: new Set(['Classification']) })).toContain('first-look')
  expect(ids({ tasks: new Set(['Extraction']) })).toEqual(['contract-fields', 'my-my-letters'])
  expect(ids({ from: new Set(['you']) })).toEqual(['my-my-letters'])
  expect(ids({ bundled: true })).toEqual(expect.arrayContaining(['first-look', 'my-my-letters']))
  expect(ids({ bundled: true })).not.toContain('contract-fields')
  expect(ids({ quick: true })).not.toContain('my-my-letters')
})
