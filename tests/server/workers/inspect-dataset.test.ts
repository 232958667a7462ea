import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { encodeRow, type Row } from '../../../engine/data/encode'
import { loadModel } from '../../../engine/model'
import type { DatasetTokens } from '../../../nodes/_kit/tokens'
import { ArtifactStore } from '../../../server/storage/artifact-store'
import { openInspections } from '../../../server/workers/inspect'
import { tempFolder } from '../../kit/temp'

const reference = join(import.meta.dirname, '../../reference')

test('UX-84: numbers of a whole dataset are those of its rows as training encodes them', async () => {
  await using folder = await tempFolder()
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'chat_template.jinja'])
    cpSync(join(reference, 'tokenizers', 'bbpe-smollm', name), join(folder.path, name))
  for (const name of ['model.safetensors', 'config.json']) cpSync(join(reference, 'models', 'llama', name), join(folder.path, name))

  const rows: Row[] = [
    { prompt: 'Who?', completion: 'Ada.' },
    { prompt: 'A line end of its own kind: \u2028 inside a row.', completion: 'Yes.' },
    { prompt: 'Who?', completion: 'Ada.' },
    { prompt: 'Why? '.repeat(60), completion: 'Because.' },
    // Nothing of it is an answer.
    { messages: [{ role: 'user', content: 'Only a question.' }] },
  ]
  const text = `${rows.map((row) => JSON.stringify(row)).join('\n')}\n{"neither": 1}\n`
  const store = new ArtifactStore(join(folder.path, 'artifacts'))
  const { digest } = await store.put(Buffer.from(text))
  const ask = (more: Record<string, unknown>) =>
    openInspections(store)('dataset-tokens', { path: folder.path, artifact: digest, rows: 6, train_on: 'completion', ...more })
  const found = (await ask({ max_length: 64, batch: 2, seed: 1 })) as DatasetTokens

  const model = loadModel(folder.path)
  const encoded = rows.map((row) => encodeRow({ tokenizer: model.tokenizer, template: model.template, trainOn: 'completion' }, row))
  model.close()
  expect(found.lengths).toEqual([...encoded.map((row) => row.ids.length), -1])
  expect(found.trained).toEqual([...encoded.map((row) => row.labels), 0])
  expect(found.lengths[3]).toBeGreaterThan(64)
  expect(found.trained[4]).toBe(0)
  expect(found.endNotTrained).toEqual([4])
  expect(found.duplicates).toEqual([2])
  expect(found.faults.map((fault) => fault.row)).toEqual([5])
  expect(found).toMatchObject({ rows: 6, read: 6, tooLong: 'left-out' })
  // Three rows train, in batches of two: the positions are whole batches, and what no token fills is padding.
  const tokens = [0, 1, 2].reduce((sum, i) => sum + (encoded[i]?.ids.length ?? 0), 0)
  expect(found.padding).not.toBeNull()
  expect((found.padding?.positions ?? 0) - (found.padding?.padded ?? 0)).toBe(tokens)
  expect((found.padding?.positions ?? 0) % 2).toBe(0)

  const raw = await store.put(Buffer.from(`${JSON.stringify({ text: 'One text. '.repeat(40) })}\n`))
  expect(await ask({ artifact: raw.digest, rows: 1, train_on: 'all', max_length: 16, batch: 2 })).toMatchObject({
    tooLong: 'split',
    padding: null,
  })
})
