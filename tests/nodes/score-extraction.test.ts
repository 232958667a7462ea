import { expect, test } from 'vitest'
import { packRows } from '../../analysis/index'
import { putNew } from '../../nodes/_kit/dataset'
import type { Report } from '../../nodes/_kit/report'
import { scoreAbstention } from '../../nodes/score-abstention'
import { scoreExtraction } from '../../nodes/score-extraction'
import { handleOf, headerOf, memoryContext } from './kit'

const row = (id: string, input: string, expected: object, after: object | string) => ({
  id,
  input,
  expected: JSON.stringify(expected),
  after: typeof after === 'string' ? after : JSON.stringify(after),
})
async function score(rows: ReturnType<typeof row>[], params: object = {}) {
  const memory = memoryContext()
  const data = { ...(await putNew(memory.ctx, packRows(rows), 'table', 'scored')), columns: ['input', 'expected', 'after'] }
  const out = await scoreExtraction.run({ params: scoreExtraction.params.parse(params), inputs: { rows: data }, ctx: memory.ctx })
  return {
    ...out,
    table: await memory.rowsOf(out.rows),
    drawn: JSON.parse(await memory.ctx.artifacts.readText(out.report.artifact)) as Report,
  }
}

test('SCI-93, SCI-94: fields are counted, a value that the source lacks is a hallucination, and the worst rows come first with their text marked', async () => {
  const { metrics, table, drawn, report } = await score([
    row(
      'a',
      'Acme supplies Birch from 1 May 2024.',
      { supplier: 'Acme', start: '1 May 2024', fee: null },
      { supplier: 'Acme', start: '2024-05-01', fee: null },
    ),
    row(
      'b',
      'Cedar supplies Dogwood for €100.',
      { supplier: 'Cedar', start: null, fee: '€100' },
      { supplier: 'Dogwood', start: '3 June 2021', fee: null },
    ),
  ])
  expect(metrics).toMatchObject({ exact_match: 0.5, absent_invented: 0.5, ungrounded_rate: 0.25, field_start_f1: 2 / 3, json_valid: 1 })
  expect(table[0]).toMatchObject({ id: 'b', right: false, wrong_fields: ['supplier', 'start', 'fee'], ungrounded: ['start'] })
  expect(report.verdict?.text).toContain('25 % of the values given do not stand in the source')
  const parts = drawn.sections.find((s) => s.passages)?.passages?.[0]?.parts ?? []
  expect(parts).toContainEqual({ text: 'Cedar', tone: 'good' })
  expect(parts).toContainEqual({ text: '3 June 2021', tone: 'bad' })
  expect(parts).toContainEqual({ text: 'Dogwood', tone: 'look' })
})

test('A-6: types can be named; a wrong column and answers without fields are refused', async () => {
  const law = [row('a', 'The laws of New York govern.', { law: 'New York' }, { law: 'the State of New York' })]
  expect((await score(law)).metrics.exact_match).toBe(0)
  expect((await score(law, { field_types: ['law=jurisdiction'] })).metrics.exact_match).toBe(1)
  await expect(score(law, { answer_column: 'nope' })).rejects.toMatchObject({ code: 'no_such_column' })
  await expect(score([{ ...law[0], expected: 'plain' } as ReturnType<typeof row>])).rejects.toMatchObject({ code: 'no_fields' })
})

test('SCI-97, SCI-104: silence and answers are told apart, and agreement of drawn answers is the confidence', async () => {
  const answers = [
    ['42', '7', '', 'not stated'],
    ['42', '8', '', 'not stated'],
    ['42', '9', '5', 'not stated'],
  ]
  let call = 0
  const memory = memoryContext({
    generate: async ({ data }) => ({
      texts: answers[call++] as string[],
      prompts: [],
      tokens: [],
      truncated: Array(data.rows).fill(false),
    }),
  })
  const data = await putNew(
    memory.ctx,
    packRows(['42', '3', '5', ''].map((completion, i) => ({ id: `r${i}`, prompt: `q${i}`, completion }))),
    'prompt_completion',
    'asked',
  )
  const out = await scoreAbstention.run({
    params: scoreAbstention.params.parse({ samples: 2 }),
    inputs: { model: handleOf(headerOf('tiny')), data },
    ctx: memory.ctx,
  })
  expect(out.metrics).toMatchObject({
    coverage: 2 / 3,
    wrong_rate: 0.5,
    over_abstention: 1 / 3,
    net: (1 - 2) / 4,
    auroc: 1,
    silent_where_absent: 1,
  })
  const table = await memory.rowsOf(out.rows)
  expect(table[0]).toMatchObject({ outcome: 'wrong', confidence: 0 })
  expect(table.find((r) => r.id === 'r0')).toMatchObject({ outcome: 'correct', confidence: 1 })
})
