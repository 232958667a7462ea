import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { DatasetHandle } from '../../nodes/_kit/ports'
import { splitCounts } from '../../nodes/_kit/split'
import { loadData } from '../../nodes/load-data'
import { splitData } from '../../nodes/split-data'
import { memoryContext } from './kit'

const folder = mkdtempSync(join(tmpdir(), 'thaw data '))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text: string) => {
  writeFileSync(join(folder, name), text)
  return join(folder, name)
}
const lines = (rows: object[]) => rows.map((r) => `${JSON.stringify(r)}\n`).join('')

async function load(path: string, given: Record<string, unknown> = {}) {
  const memory = memoryContext()
  const { data } = await loadData.run({ params: loadData.params.parse({ file: path, ...given }), inputs: {}, ctx: memory.ctx })
  return { data: DatasetHandle.parse(data), rows: await memory.rowsOf(data), ...memory }
}

describe('load-data', () => {
  test('F-31: detects the format and says why in the log', async () => {
    const { data, logs } = await load(
      file(
        'a.jsonl',
        lines([
          { instruction: 'i', input: 'x', output: 'o' },
          { instruction: 'j', output: 'p' },
        ]),
      ),
    )
    expect(data).toMatchObject({ rows: 2, format: 'prompt_completion', columns: ['instruction', 'input', 'output'], split: 'all' })
    expect(logs.map((l) => l.text).join('\n')).toContain('columns instruction, input and output')
  })

  test('a system prompt turns prompts and completions into conversations, and leaves those alone that have one', async () => {
    const pairs = await load(file('b.csv', 'prompt,completion\nq,a\n'), { system_prompt: 'Be brief.' })
    expect(pairs.data.format).toBe('messages')
    expect(pairs.rows[0]?.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'a' },
    ])
    const own = await load(
      file(
        'c.jsonl',
        lines([
          {
            messages: [
              { role: 'system', content: 'mine' },
              { role: 'user', content: 'q' },
              { role: 'assistant', content: 'a' },
            ],
          },
        ]),
      ),
      { system_prompt: 'Be brief.' },
    )
    expect(own.rows[0]?.messages).toMatchObject([{ role: 'system', content: 'mine' }, {}, {}])
  })

  test('columns of other names are mapped here; the rest stays beside the row', async () => {
    const { rows } = await load(file('d.csv', 'frage,antwort,quelle\nf,a,x\n'), { prompt_column: 'frage', completion_column: 'antwort' })
    expect(rows[0]).toMatchObject({ prompt: 'f', completion: 'a', columns: { quelle: 'x' } })
  })

  test('F-31: two possible readings are asked about, not guessed', async () => {
    const path = file('e.jsonl', lines([{ prompt: 'p', completion: 'c', text: 'pc' }]))
    await expect(load(path)).rejects.toMatchObject({ code: 'format_ambiguous', param: 'format' })
    expect((await load(path, { format: 'text' })).data.format).toBe('text')
    const table = file('f.csv', 'colour,size\nred,3\n')
    await expect(load(table)).rejects.toMatchObject({ code: 'format_unknown' })
    expect((await load(table, { format: 'table' })).rows[0]).toMatchObject({ colour: 'red', size: '3' })
  })

  test('F-34: a damaged file stops with line and reason, and skips only by choice', async () => {
    const path = file(
      'g.jsonl',
      `${lines([{ prompt: 'p', completion: 'c' }])}{"prompt": "q",}\n${lines([
        { prompt: 'r', completion: '' },
        { prompt: 's', completion: 't' },
      ])}`,
    )
    await expect(load(path)).rejects.toMatchObject({
      code: 'bad_data',
      where: 'g.jsonl, line 2',
      message: expect.stringContaining('trailing comma'),
    })
    const { data, logs } = await load(path, { on_bad_rows: 'skip' })
    expect(data.rows).toBe(2)
    expect(logs.filter((l) => l.level === 'warn').map((l) => l.text)).toEqual([
      expect.stringContaining('line 2'),
      expect.stringContaining('line 3: empty completion'),
    ])
  })

  test('F-33: the same content in the same order is the same artifact, whatever the container', async () => {
    const a = await load(file('h.jsonl', lines([{ prompt: 'p', completion: 'c' }])))
    const b = await load(file('i.csv', 'prompt,completion\np,c\n'))
    expect(a.data.artifact).toBe(b.data.artifact)
    expect(a.data.source).not.toBe(b.data.source)
  })

  test('max_rows reads the first rows only', async () => {
    expect((await load(file('j.csv', `prompt,completion\n${'p,c\n'.repeat(9)}`), { max_rows: 3 })).data.rows).toBe(3)
  })
})

const dataset = async (rows: Record<string, unknown>[], columns: string[] = []) => {
  const memory = memoryContext()
  const artifact = await memory.ctx.artifacts.put(lines(rows))
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
  const split = async (given: Record<string, unknown>) => {
    const out = await splitData.run({ params: splitData.params.parse(given), inputs: { data }, ctx: memory.ctx })
    const parts = {
      train: await memory.rowsOf(out.train),
      validation: await memory.rowsOf(out.validation),
      test: await memory.rowsOf(out.test),
    }
    return { out, parts, ids: (part: keyof typeof parts) => parts[part].map((r) => r.id as string) }
  }
  return { split }
}
const plain = (n: number) => Array.from({ length: n }, (_, i) => ({ id: `r${i}`, prompt: `question ${i}`, completion: 'c' }))

describe('split-data', () => {
  test.each([
    [10, 0.1, 0.1, { train: 8, validation: 1, test: 1 }],
    [480, 32, 48, { train: 400, validation: 32, test: 48 }],
    [7, 0.1, 0, { train: 6, validation: 1, test: 0 }],
    [100, 0, 0, { train: 100, validation: 0, test: 0 }],
    [2, 0.1, 0.1, { train: 2, validation: 0, test: 0 }],
    [3, 2, 1, null],
    [10, 0.5, 0.5, null],
  ])('%i rows, validation %d, test %d', (rows, validation, test_, counts) => {
    expect(splitCounts(rows, { validation, test: test_ })).toEqual(counts)
  })

  test('every row is on exactly one side, in the order of the source; the seed decides which', async () => {
    const { split } = await dataset(plain(50))
    const a = await split({ seed: 1 })
    expect([...a.ids('train'), ...a.ids('validation'), ...a.ids('test')].sort()).toEqual(
      plain(50)
        .map((r) => r.id)
        .sort(),
    )
    expect(a.ids('train')).toEqual([...a.ids('train')].sort((x, y) => Number(x.slice(1)) - Number(y.slice(1))))
    expect((await split({ seed: 1 })).ids('test')).toEqual(a.ids('test'))
    expect((await split({ seed: 2 })).ids('test')).not.toEqual(a.ids('test'))
    expect(a.out.train).toMatchObject({ split: 'train', rows: 40 })
    expect(a.out.train.artifact).not.toBe(a.out.test.artifact)
  })

  test('SCI-5: twins never straddle the split, also when they differ in case, space or answer', async () => {
    const rows = plain(30).flatMap((r) => [r, { id: `${r.id}b`, prompt: `  ${r.prompt.toUpperCase()} `, completion: 'other' }])
    const { split } = await dataset(rows)
    for (const seed of [1, 2, 3]) {
      const { parts } = await split({ seed, test: 0.2, validation: 0.2 })
      const sides = new Map<string, Set<string>>()
      for (const [side, list] of Object.entries(parts))
        for (const r of list) {
          const key = (r.prompt as string).trim().toLowerCase()
          sides.set(key, (sides.get(key) ?? new Set()).add(side))
        }
      for (const [key, on] of sides) expect(on.size, key).toBe(1)
      expect(parts.test.length).toBe(12)
    }
  })

  test('groups stay whole', async () => {
    const rows = plain(40).map((r, i) => ({ ...r, columns: { contract: `c${i % 8}` } }))
    const { split } = await dataset(rows, ['contract'])
    const { parts } = await split({ group_column: 'contract', test: 0.25, validation: 0.125 })
    const groups = (list: Record<string, unknown>[]) => new Set(list.map((r) => (r.columns as { contract: string }).contract))
    expect(groups(parts.test).size + groups(parts.validation).size + groups(parts.train).size).toBe(8)
    expect(parts.test.length).toBe(10)
    await expect(split({ group_column: 'nope' })).rejects.toMatchObject({ code: 'no_such_column' })
  })

  test('without shuffling the last rows are held out', async () => {
    const { split } = await dataset(plain(10))
    const { ids } = await split({ shuffle: false, test: 2, validation: 1 })
    expect([ids('train').length, ids('validation'), ids('test')]).toEqual([7, ['r7'], ['r8', 'r9']])
  })
})
