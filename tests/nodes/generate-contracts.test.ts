import { expect, test } from 'vitest'
import { DatasetHandle } from '../../nodes/_kit/ports'
import { generateContracts } from '../../nodes/generate-contracts'
import { makeContracts } from '../../templates/contract-fields/generate'
import { memoryContext } from './kit'

type Row = { id: string; messages: { role: string; content: string }[]; columns: { gold: string; wrong_field: string; layout: string } }
async function make(params: Record<string, unknown>) {
  const memory = memoryContext()
  const out = await generateContracts.run({ params: generateContracts.params.parse(params), inputs: {}, ctx: memory.ctx })
  return { data: DatasetHandle.parse(out.data), rows: (await memory.rowsOf(out.data)) as unknown as Row[], report: out.report }
}
const answer = (row: Row) => JSON.parse(row.messages.at(-1)?.content ?? '') as Record<string, string | null>
const clause = (row: Row) => row.messages[1]?.content ?? ''

test('SCI-148: every stated value stands in its clause, absent ones are null, and the share is as asked', async () => {
  for (const absent_rate of [0, 0.3, 0.6]) {
    const { rows } = await make({ rows: 300, absent_rate })
    const values = rows.flatMap((row) => Object.values(answer(row)))
    expect(Math.abs(values.filter((v) => v === null).length / values.length - absent_rate)).toBeLessThan(0.05)
    for (const row of rows) for (const value of Object.values(answer(row))) if (value !== null) expect(clause(row)).toContain(value)
  }
})

test('SCI-148: the same seed gives the same rows, another seed others; the halves share no layout and no name', async () => {
  const [a, b, c] = [await make({ rows: 60 }), await make({ rows: 60 }), await make({ rows: 60, seed: 43 })]
  expect(a.data.artifact).toBe(b.data.artifact)
  expect(a.data.artifact).not.toBe(c.data.artifact)
  const unseen = await make({ rows: 200, wordings: 'unseen' })
  const train = await make({ rows: 200 })
  const layouts = (rows: Row[]) => new Set(rows.map((row) => row.columns.layout))
  expect([...layouts(unseen.rows)].filter((name) => layouts(train.rows).has(name))).toEqual([])
  expect(layouts(train.rows).size).toBeGreaterThanOrEqual(3)
  const first = (rows: Row[]) =>
    new Set(rows.flatMap((row) => [answer(row).supplier, answer(row).customer]).flatMap((v) => v?.split(' ')[0] ?? []))
  expect([...first(unseen.rows)].filter((name) => first(train.rows).has(name))).toEqual([])
})

test('planted errors are as many as asked, one field each, and the gold answer stands beside', async () => {
  const { rows, report } = await make({ rows: 200, noise_rate: 0.1 })
  const wrong = rows.filter((row) => row.columns.wrong_field !== '')
  expect(wrong).toHaveLength(20)
  for (const row of rows) {
    const gold = JSON.parse(row.columns.gold) as Record<string, string | null>
    const differing = Object.keys(gold).filter((field) => gold[field] !== answer(row)[field])
    expect(differing).toEqual(row.columns.wrong_field === '' ? [] : [row.columns.wrong_field])
  }
  expect(report.verdict?.text).toContain('20 answers wrong on purpose')
})

test('without an instruction rows are prompt and completion; the facts told before are those that come', async () => {
  const { data, rows } = await make({ rows: 5, instruction: '' })
  expect(data.format).toBe('prompt_completion')
  expect(Object.keys(rows[0] as object)).toEqual(['id', 'prompt', 'completion', 'columns'])
  const facts = generateContracts.infer?.({ params: generateContracts.params.parse({ rows: 5, instruction: '' }), inputs: {}, node: 'n' })
    ?.outputs?.data
  expect(facts).toMatchObject({
    facts: { rows: data.rows, format: data.format, columns: data.columns, split: data.split, name: data.name },
  })
  expect(makeContracts('train', 20, 1, 0.3)).toEqual(makeContracts('train', 20, 1, 0.3))
})
