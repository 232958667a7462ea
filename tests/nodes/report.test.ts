import { expect, test } from 'vitest'
import { verdictOf, wilson } from '../../nodes/_kit/report-page'
import { report } from '../../nodes/report'
import { digestOf, handleOf, headerOf, memoryContext } from './kit'

const graph = JSON.stringify({
  schemaVersion: 1,
  nodes: {
    data: { type: 'load-data', version: 1, params: { file: '/home/ada/contracts/may.jsonl' } },
    train: { type: 'train', version: 1, params: { learning_rate: 0.0005, note: '<img src=x onerror=alert(1)>' } },
  },
  edges: [{ from: { node: 'data', port: 'data' }, to: { node: 'train', port: 'data' } }],
  inputs: [],
  notes: [],
  layout: { nodes: {}, groups: [] },
})

async function written(wired: boolean, params: Record<string, unknown> = {}) {
  const memory = memoryContext()
  const { ctx } = memory
  Object.assign(ctx.provenance, { graph })
  Object.assign(ctx, {
    curves: async (node: string) =>
      node === 'train'
        ? [
            { step: 1, loss: 2 },
            { step: 2, loss: 0.5 },
            { step: 2, eval_loss: 0.6 },
          ]
        : [],
  })
  ctx.artifacts.putManifest = async (name, files) => ({ manifest: digestOf(name), name, bytes: 1, files: [...files] })
  const rows = [
    {
      id: '1',
      input: 'Who?',
      expected: 'Ada',
      before: '</pre><script>alert(1)</script>',
      after: 'Bob',
      correct: false,
      before_correct: false,
    },
    { id: '2', input: 'When?', expected: 'May', before: '', after: 'May', correct: true, before_correct: false },
  ]
  const artifact = await ctx.artifacts.put(rows.map((row) => JSON.stringify(row)).join('\n'))
  const entry = { node: 'train', data: 'a'.repeat(64), source: 'b'.repeat(64), steps: 2, epochs: 1, seed: 7, parameters: 1000 }
  const outputs = await report.run({
    params: report.params.parse(params),
    inputs: wired
      ? {
          model: { ...handleOf(headerOf('tiny')), delta: 'd'.repeat(64), lineage: [entry] },
          scores: { exact_match: 0.5, base_exact_match: 0, rows: 2 },
          training: { learning_rate: 0.0005, steps: 2 },
          rows: {
            artifact,
            rows: 2,
            format: 'table',
            columns: [],
            name: 'rows',
            split: 'test',
            source: 'b'.repeat(64),
            chars: { mean: 1, max: 1 },
          },
        }
      : {},
    ctx,
  })
  const text = async (path: string) => ctx.artifacts.readText(outputs.file.files.find((file) => file.path === path)?.digest ?? '')
  return { html: await text('report.html'), markdown: await text('report.md'), outputs, logs: memory.logs }
}

test('F-53: the page says question, result with interval, curve, settings and how to repeat it, in both forms', async () => {
  const { html, markdown, outputs } = await written(true, { question: 'Can it read contracts?', title: 'May contracts' })
  for (const page of [html, markdown])
    for (const text of [
      'May contracts',
      'Can it read contracts?',
      '1 of 2 rows',
      '50',
      'learning_rate',
      '5e-4',
      'a'.repeat(64),
      'Seed',
      'not measured',
      'Who?',
    ])
      expect(page).toContain(text)
  expect(html).toContain('<polyline')
  expect(markdown).toContain('| 2 | 0.5 |')
  expect(outputs.report).toMatchObject({ title: 'May contracts', verdict: { tone: 'good' } })
  expect((await written(true, { samples: 0 })).html).not.toContain('Who?')
})

test('SEC-14, F-55: text from data stays text, the page asks for nothing outside, and no local path is on it', async () => {
  const { html, markdown } = await written(true)
  expect(html).not.toMatch(/<script|<img|<[^>]*\b(?:src|href|onerror)=|https?:\/\/(?!www\.w3\.org)/)
  expect(html).toContain('&lt;script&gt;')
  expect(`${html}${markdown}`).not.toMatch(/home|ada\//)
  // Well-formed as XML but for the two void elements: every tag that opens is closed.
  const tags = [...html.matchAll(/<(\/?)([a-z0-9]+)([^>]*?)(\/?)>/g)].filter(
    ([, , name, , own]) => !own && !['meta', 'doctype'].includes(name as string),
  )
  const open: string[] = []
  for (const [, closing, name] of tags) {
    if (!closing) open.push(name as string)
    else expect(open.pop()).toBe(name)
  }
  expect(open).toEqual([])
})

test('what is not wired is said to be missing', async () => {
  const { html, outputs } = await written(false)
  expect(html).toContain('No scores were wired')
  expect(outputs.report.verdict?.tone).toBe('look')
  expect(verdictOf({ scored: null, scores: { eval_loss: 1 }, retention: { knowledge_cost: 0.2 }, model: null } as never)).toContain(
    'lost 0.2 bits',
  )
})

test('intervals of shares are Wilson’s', () => {
  const [low, high] = wilson(8, 10)
  expect(low).toBeCloseTo(0.4902, 3)
  expect(high).toBeCloseTo(0.9433, 3)
  expect(wilson(0, 10)[0]).toBe(0)
  expect(wilson(0, 0)).toEqual([0, 1])
})
