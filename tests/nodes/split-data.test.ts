import { describe, expect, test } from 'vitest'
import { cacheKey } from '../../nodes/_kit/cache-key'
import { versionOf } from '../../nodes/_kit/define-node'
import { loadDocument } from '../../nodes/_kit/migrate'
import type { DatasetHandle } from '../../nodes/_kit/ports'
import { registry } from '../../nodes/index'
import { splitData } from '../../nodes/split-data'
import { documentOf } from '../kit/documents'
import { memoryContext } from './kit'

async function split(rows: readonly object[], params: Record<string, unknown>, columns: string[] = []) {
  const { ctx, rowsOf } = memoryContext()
  const artifact = await ctx.artifacts.put(rows.map((r) => `${JSON.stringify(r)}\n`).join(''))
  const data: DatasetHandle = {
    artifact,
    rows: rows.length,
    format: 'prompt_completion',
    columns,
    name: 'x',
    split: 'all',
    source: artifact,
    chars: { mean: 1, max: 1 },
  }
  const out = await splitData.run({ params: splitData.params.parse(params), inputs: { data }, ctx })
  return { train: await rowsOf(out.train), validation: await rowsOf(out.validation), test: await rowsOf(out.test) }
}

describe('split-data', () => {
  test('R-94: a pipeline saved before near duplicates were kept together divides as it did', () => {
    const opened = loadDocument(documentOf({ split: ['split-data', { test: 0.2 }] }), registry)
    expect(opened).toMatchObject({ ok: true, migrated: [{ node: 'split', from: 1, to: 2 }] })
    if (opened.ok) expect(opened.document.nodes.split).toMatchObject({ version: 2, params: { test: 0.2, near_duplicates: false } })
    expect(versionOf(splitData)).toBe(2)
    const key = (near_duplicates: boolean) =>
      cacheKey({ def: splitData, version: 2, implDigest: '0', params: splitData.params.parse({ near_duplicates }), inputs: {} })
    expect(key(true)).not.toBe(key(false))
  })

  test('A-6: rows that are all alike cannot be divided, and the error says which switch decides', async () => {
    const long = 'this is one long sentence about the very same thing with many words that all of the rows share in number'
    const rows = [1, 2, 3, 4].map((i) => ({ id: String(i), prompt: `${long} ${i}`, completion: 'x' }))
    await expect(split(rows, { test: 1, validation: 0 })).rejects.toMatchObject({ code: 'one_group', param: 'near_duplicates' })
    expect((await split(rows, { test: 1, validation: 0, near_duplicates: false })).test).toHaveLength(1)
  })

  test('A-6: a value that is no time is named with its row', async () => {
    const rows = ['2024-01-02', 'soon', '2024-01-01'].map((when, i) => ({
      id: `r${i}`,
      prompt: `q${i}`,
      completion: 'x',
      columns: { when },
    }))
    await expect(split(rows, { test: 1, validation: 0, time_column: 'when' }, ['when'])).rejects.toMatchObject({
      code: 'not_a_time',
      where: 'row r1',
      got: '"soon"',
    })
    expect((await split([rows[0], rows[2]] as object[], { test: 1, validation: 0, time_column: 'when' }, ['when'])).test).toMatchObject([
      { id: 'r0' },
    ])
    await expect(split(rows, { stratify: 'column', stratify_column: 'nope' }, ['when'])).rejects.toMatchObject({
      code: 'no_such_column',
      param: 'stratify_column',
    })
  })
})
