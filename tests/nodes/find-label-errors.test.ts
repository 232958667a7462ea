import { expect, test } from 'vitest'
import { seeded } from '../../analysis/random'
import type { DatasetHandle } from '../../nodes/_kit/ports'
import { findLabelErrors } from '../../nodes/find-label-errors'
import { memoryContext } from './kit'

const LABELS = ['fee', 'notice', 'law']
function planted(n = 150, wrong = 12) {
  const r = seeded(5)
  return Array.from({ length: n }, (_, i) => {
    const c = i % 3
    const label = LABELS[i < wrong ? (c + 1) % 3 : c] as string
    const prompt = Array.from({ length: 20 }, () => (r.next() < 0.35 ? `${LABELS[c]}word${r.below(25)}` : `word${r.below(800)}`)).join(' ')
    return { id: `r${i}`, prompt, completion: label, columns: { contract: `c${i % 30}`, kind: label } }
  })
}
async function run(rows: readonly object[], params: Record<string, unknown> = {}, more: Partial<DatasetHandle> = {}) {
  const memory = memoryContext()
  const artifact = await memory.ctx.artifacts.put(rows.map((r) => `${JSON.stringify(r)}\n`).join(''))
  const data: DatasetHandle = {
    artifact,
    rows: rows.length,
    format: 'prompt_completion',
    columns: ['contract', 'kind'],
    name: 'x',
    split: 'all',
    source: artifact,
    chars: { mean: 1, max: 1 },
    ...more,
  }
  const out = await findLabelErrors.run({ params: findLabelErrors.params.parse(params), inputs: { data }, ctx: memory.ctx })
  return { out, data: await memory.rowsOf(out.data), suspects: await memory.rowsOf(out.suspects), input: data }
}
const isPlanted = (id: unknown) => Number(String(id).slice(1)) < 12

test('SCI-83: the planted errors stand at the top with the right label suggested, and nothing is changed', async () => {
  const { out, suspects, input } = await run(planted())
  const top = suspects.slice(0, 12)
  expect(top.filter((s) => isPlanted(s.row)).length).toBeGreaterThanOrEqual(11)
  for (const s of top) if (isPlanted(s.row)) expect(s.suggested).toBe(LABELS[Number(String(s.row).slice(1)) % 3])
  expect(out.data.artifact).toBe(input.artifact)
  expect(out.report.verdict).toMatchObject({
    tone: 'look',
    text: expect.stringMatching(/^About \d+ labels of 150 \(\d+ %\) may be wrong\. The classifier itself errs in/),
  })
})

test('leaving out and relabelling act from the top, on no more rows than are estimated to be wrong', async () => {
  const dropped = await run(planted(), { action: 'drop', group_column: 'contract' })
  const gone = 150 - dropped.data.length
  expect(dropped.suspects.filter((s) => s.action === 'left out').map((s) => s.rank)).toEqual(Array.from({ length: gone }, (_, i) => i + 1))
  expect(gone).toBeGreaterThanOrEqual(8)
  const fixed = await run(planted(), { action: 'relabel' })
  const right = fixed.data.filter((row, i) => row.completion === LABELS[i % 3]).length
  expect(fixed.data.length).toBe(150)
  expect(right).toBeGreaterThanOrEqual(146)
  const chats = planted().map(({ prompt, completion, ...row }) => ({
    ...row,
    messages: [
      { role: 'user', content: prompt },
      { role: 'assistant', content: completion },
    ],
  }))
  const chat = await run(chats, { action: 'relabel' }, { format: 'messages' })
  expect(chat.data.map((row) => (row.messages as { content: string }[])[1]?.content)).toEqual(fixed.data.map((row) => row.completion))
})

test('SCI-1: the same seed gives the same list; the label may stand in a column', async () => {
  const a = await run(planted(), { label_column: 'kind' })
  const b = await run(planted())
  expect(a.suspects).toEqual(b.suspects)
})

test('SCI-86: random labels list nothing and say why', async () => {
  const r = seeded(1)
  const { suspects, out } = await run(planted().map((row) => ({ ...row, completion: r.pick(LABELS) })))
  expect(suspects).toEqual([])
  expect(out.report.verdict?.text).toMatch(/^The labels cannot be learned from this text/)
})

test('A-6: free text, unknown columns and a relabelling of columns are refused', async () => {
  await expect(run(planted().map((row, i) => ({ ...row, completion: `text ${i}` })))).rejects.toMatchObject({
    code: 'not_labels',
    param: 'label_column',
  })
  await expect(run(planted(), { group_column: 'nope' })).rejects.toMatchObject({ code: 'no_such_column' })
  await expect(run(planted(), { label_column: 'kind', action: 'relabel' })).rejects.toMatchObject({ code: 'label_not_the_answer' })
})
