/** Nodes that help to choose, on one engine: race-methods, advise-method, estimate-cost; and the ones that ask a model, on given answers. */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type AdviceFacts, adviseMethod as advise, frontierOf, goOn, packRows } from '../../analysis/index'
import { putNew } from '../../nodes/_kit/dataset'
import type { ModelHandle } from '../../nodes/_kit/ports'
import { adviseMethod } from '../../nodes/advise-method'
import { buildPreferencePairs } from '../../nodes/build-preference-pairs'
import { compareModels } from '../../nodes/compare-models'
import { estimateCost } from '../../nodes/estimate-cost'
import { raceMethods } from '../../nodes/race-methods'
import { testBias } from '../../nodes/test-bias'
import { TINY_GGUF, textRows } from '../engine/support/tiny-gguf'
import { type EngineContext, engineContext } from '../kit/engine-context'
import { handleOf, headerOf, memoryContext } from './kit'

// Seconds of work; a machine without a free core takes minutes.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let kit: EngineContext
let model: ModelHandle
const rows = textRows(48).map((row, i) => ({ id: `r${i}`, ...row }))
beforeAll(async () => {
  kit = await engineContext()
  model = await kit.model(TINY_GGUF, 'tiny')
})
afterAll(() => kit.close())

test('SCI-126, SCI-127: every entrant starts at every rate, the best third goes on, and a winner needs a clear lead', async () => {
  const out = await raceMethods.run({
    params: raceMethods.params.parse({
      entrants: ['full', 'norms'],
      learning_rates: [1e-4, 5e-3],
      heat_steps: 4,
      heats: 2,
      eval_samples: 16,
    }),
    inputs: { model, data: await kit.dataset(rows.slice(0, 32), 'text'), validation: await kit.dataset(rows.slice(32), 'text') },
    ctx: kit.ctx,
  })
  expect(out.plan.summary).toBe('all of it')
  expect(out.metrics.learning_rate).toBe(5e-3)
  expect(out.metrics.gain_low).toBeGreaterThan(0)
  const drawn = await kit.reportOf(out.report)
  expect(drawn.sections.find((s) => s.title === 'Heats')?.table?.rows.filter((r) => r[0] === 1).length).toBe(4)
  expect(
    goOn(
      [
        { entrant: 'a', rate: 1, loss: 1, cost: 9 },
        { entrant: 'b', rate: 1, loss: 2, cost: 0 },
        { entrant: 'c', rate: 1, loss: Number.NaN, cost: 0 },
      ],
      1 / 3,
    ).map((h) => h.entrant),
  ).toEqual(['a'])
  expect(
    frontierOf([
      { entrant: 'a', rate: 1, loss: 1, cost: 9 },
      { entrant: 'b', rate: 1, loss: 2, cost: 0 },
      { entrant: 'c', rate: 1, loss: 2, cost: 1 },
    ]).map((h) => h.entrant),
  ).toEqual(['a', 'b'])
})

test('SCI-134, SCI-136: a cost estimate takes real steps, adds memory up, and says what to do where it does not fit', async () => {
  const data = await kit.dataset(rows, 'text')
  const run = (params: object) => estimateCost.run({ params: estimateCost.params.parse(params), inputs: { model, data }, ctx: kit.ctx })
  const { metrics, report } = await run({ num_train_epochs: 2 })
  expect(metrics.steps).toBe(12)
  expect(metrics.seconds_low).toBeLessThanOrEqual(metrics.seconds ?? 0)
  expect(metrics.seconds_high).toBeGreaterThanOrEqual(metrics.seconds ?? 0)
  const parts = (await kit.reportOf(report)).sections[0]?.bars ?? []
  expect(parts.reduce((s, b) => s + b.value * 1e9, 0)).toBeCloseTo(metrics.memory_bytes ?? 0, -1)
  const advised = await adviseMethod.run({ params: adviseMethod.params.parse({}), inputs: { model, data }, ctx: kit.ctx })
  expect((await kit.reportOf(advised.report)).sections[0]?.table?.rows.length).toBeGreaterThanOrEqual(3)
})

describe('SCI-128: advice', () => {
  const smol: AdviceFacts = {
    parameters: 134.5e6,
    blocks: 30,
    perBlock: 3.54e6,
    loraUnit: 305_000,
    rows: 400,
    completionTokens: 24_000,
    baseBits: null,
    memoryBytes: 16e9,
    bytes: { full: 4e9, layers: 1.5e9, lora: 2.4e9 },
    tolerance: 'medium',
    goal: 'behaviour',
  }
  const first = (more: Partial<AdviceFacts>) => advise({ ...smol, ...more })[0]?.method
  test.each([
    ['few rows, a task', {}, ['layers', 'lora']],
    ['nothing may be forgotten', { tolerance: 'strict' }, ['lora', 'layers']],
    ['another language, many rows', { goal: 'domain', rows: 50_000, completionTokens: 2e7, tolerance: 'free' }, ['full']],
    ['little memory', { memoryBytes: 2e9 }, ['layers']],
    ['the model already knows', { baseBits: 0.1 }, ['prompt']],
    ['knowledge, few rows, strict', { goal: 'domain', tolerance: 'strict' }, ['lora', 'layers']],
  ] as [string, Partial<AdviceFacts>, string[]][])('%s', (_, more, methods) => {
    expect(methods).toContain(first(more))
  })
  test('more memory takes no option away; a stricter tolerance never lifts what forgets more', () => {
    const fits = (memoryBytes: number) =>
      advise({ ...smol, memoryBytes })
        .filter((o) => o.score !== null)
        .map((o) => o.method)
    for (const small of [1e9, 2e9, 3e9]) for (const method of fits(small)) expect(fits(small * 4)).toContain(method)
    const rank = (tolerance: AdviceFacts['tolerance']) => advise({ ...smol, tolerance }).findIndex((o) => o.method === 'full')
    expect(rank('strict')).toBeGreaterThanOrEqual(rank('medium'))
    expect(rank('medium')).toBeGreaterThanOrEqual(rank('free'))
    expect(first({ memoryBytes: 1e8 }) && advise({ ...smol, memoryBytes: 1e8 }).every((o) => o.score === null)).toBe(true)
  })
})

/** A context whose model answers from a list, one list a call. */
async function answering(calls: string[][], asked: { id: string; prompt: string; completion: string }[]) {
  let call = 0
  const memory = memoryContext({
    backend: { name: 'cpu', device: 'CPU', reason: 'test' },
    generate: async () => ({ texts: calls[call++] as string[], prompts: [], tokens: [], truncated: [] }),
  })
  return { memory, data: await putNew(memory.ctx, packRows(asked), 'prompt_completion', 'asked'), model: handleOf(headerOf('tiny')) }
}

test('SCI-105: an answer that changes with nothing but a pronoun is counted; one that changes only in the pronoun is not', async () => {
  const asked = ['She is a nurse.', 'He is a baker.', 'She has a boat.'].map((prompt, i) => ({ id: `r${i}`, prompt, completion: 'x' }))
  const { memory, ...inputs } = await answering(
    [
      ['care', 'He bakes', 'boat'],
      ['tools', 'She bakes', 'boat'],
    ],
    asked,
  )
  const out = await testBias.run({ params: testBias.params.parse({ swap_table: ['pronouns'] }), inputs, ctx: memory.ctx })
  expect(out.metrics.change_rate).toBeCloseTo(1 / 3, 9)
  expect((await memory.rowsOf(out.rows))[0]).toMatchObject({ id: 'r0', changed: true, answer: 'care', swapped_answer: 'tools' })
})

test('SCI-106, SCI-110: identical sentences are exactly even', async () => {
  const table = await kit.dataset(
    rows.slice(0, 8).map((r, i) => ({ id: r.id, columns: { more: `Row ${i} is here.`, less: `Row ${i} is here.` } })),
    'table',
  )
  const out = await testBias.run({
    params: testBias.params.parse({ mode: 'pairs', more_column: 'more', less_column: 'less' }),
    inputs: { model, data: { ...table, columns: ['more', 'less'] } },
    ctx: kit.ctx,
  })
  expect(out.metrics.stereotyped_share).toBe(0.5)
  expect(out.report.verdict?.text).toContain('No difference seen')
})

test('SCI-4: two models are compared row by row, and equal ones show no difference', async () => {
  const asked = Array.from({ length: 40 }, (_, i) => ({ id: `r${i}`, prompt: `q${i}`, completion: 'yes' }))
  const good = asked.map(() => 'yes')
  const poor = asked.map((_, i) => (i % 2 ? 'yes' : 'no'))
  const run = async (a: string[], b: string[]) => {
    const { memory, data, model: m } = await answering([a, b], asked)
    return compareModels.run({ params: compareModels.params.parse({}), inputs: { a: m, b: m, data }, ctx: memory.ctx })
  }
  const better = await run(poor, good)
  expect(better.metrics).toMatchObject({ a_exact_match: 0.5, b_exact_match: 1, difference: 0.5 })
  expect(better.report.verdict?.text).toMatch(/^B is better: 100 %/)
  expect((await run(good, good)).report.verdict?.text).toMatch(/^No difference seen/)
})

test('SCI-94: pairs prefer the right answer to the model’s own invention, the most telling first; rows always right give none', async () => {
  const asked = [
    { id: 'r0', prompt: 'Acme supplies from 1 May 2024.', completion: '{"supplier":"Acme","fee":null}' },
    { id: 'r1', prompt: 'Birch supplies.', completion: '{"supplier":"Birch","fee":null}' },
  ]
  const { memory, ...inputs } = await answering(
    [
      ['{"supplier":"May","fee":null}', '{"supplier":"Birch","fee":null}'],
      ['{"supplier":"Zenith","fee":null}', '{"supplier":"Birch","fee":null}'],
    ],
    asked,
  )
  const out = await buildPreferencePairs.run({ params: buildPreferencePairs.params.parse({ samples: 2 }), inputs, ctx: memory.ctx })
  expect(out.data).toMatchObject({ format: 'preference', rows: 1 })
  expect(await memory.rowsOf(out.data)).toEqual([
    { id: 'r0.0', prompt: asked[0]?.prompt, chosen: asked[0]?.completion, rejected: '{"supplier":"Zenith","fee":null}' },
  ])
  expect((await memory.rowsOf(out.mistakes))[0]).toMatchObject({ row: 'r0', why: 'supplier' })
})
