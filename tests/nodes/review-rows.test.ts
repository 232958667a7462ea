import { expect, test } from 'vitest'
import { dynamicsOf, outlyingScores, packRows } from '../../analysis/index'
import { putNew } from '../../nodes/_kit/dataset'
import { reviewRows } from '../../nodes/review-rows'
import { memoryContext } from './kit'

async function review(params: object) {
  const memory = memoryContext()
  const rows = ['fee', 'law', 'notice'].map((completion, i) => ({ id: `r${i}`, prompt: `p${i}`, completion }))
  const data = await putNew(memory.ctx, packRows(rows), 'prompt_completion', 'rows')
  const out = await reviewRows.run({ params: reviewRows.params.parse(params), inputs: { data }, ctx: memory.ctx })
  return { out, data, rows: await memory.rowsOf(out.data), changes: await memory.rowsOf(out.changes) }
}

test('decisions make a new version of the data: corrected, without what was left out, everything else as it was', async () => {
  const { rows, changes, out } = await review({ corrections: ['r0 = law of = signs', 'r1 = law'], leave_out: ['r2'] })
  expect(rows).toEqual([
    { id: 'r0', prompt: 'p0', completion: 'law of = signs' },
    { id: 'r1', prompt: 'p1', completion: 'law' },
  ])
  expect(changes.map((c) => [c.row, c.action, c.before, c.after])).toEqual([
    ['r0', 'correct', 'fee', 'law of = signs'],
    ['r2', 'drop', 'notice', ''],
  ])
  expect(out.report.verdict?.text).toContain('1 row corrected, 1 row left out, 2 rows come out')
})

test('without decisions the data passes as it is; a decision about a row that is not there is refused', async () => {
  const { out, data } = await review({})
  expect(out.data.artifact).toBe(data.artifact)
  await expect(review({ leave_out: ['r9'] })).rejects.toMatchObject({ code: 'no_such_row', param: 'leave_out' })
  expect(reviewRows.params.safeParse({ corrections: ['no answer'] }).success).toBe(false)
})

test('SCI-85: a row stands out by robust deviations of its mean loss over epochs; rows without a loss never do', () => {
  const losses = [0, 1, 2].map((e) => [...Array.from({ length: 30 }, (_, i) => 2 - 0.5 * e + 0.01 * i), 5, Number.NaN])
  const { suspects, z } = outlyingScores(dynamicsOf(losses).map((d) => d.mean))
  expect(suspects).toEqual([30])
  expect(z[31]).toBeNaN()
})
