import { describe, expect, test } from 'vitest'
import type { Score } from '../../nodes/_kit/context'
import { DatasetHandle, Metrics, type ModelHandle } from '../../nodes/_kit/ports'
import { validate } from '../../nodes/validate'
import { handleOf, headerOf, memoryContext } from './kit'

const base = handleOf(headerOf('tiny'))
const tuned: ModelHandle = { ...base, delta: 'd'.repeat(64) }
const golds = ['{"a":"x","b":null}', '{"a":"y","b":"2024-05-01"}', '{"a":"z","b":"30 days"}']
/** What each model answers: the tuned one gets two rows right, in other notations. */
const answers: Record<string, string[]> = {
  base: ['no idea', '{"a":"y"', '{"a":null,"b":null}'],
  tuned: ['{"a":"X","b":null}', '{"b":"1 May 2024","a":"y"}', '{"a":"z","b":"60 days"}'],
}

async function run(model: ModelHandle, given: Record<string, unknown> = {}, format: DatasetHandle['format'] = 'prompt_completion') {
  const calls: string[] = []
  const who = (m: ModelHandle) => (m.delta ? 'tuned' : 'base')
  const products: (boolean | undefined)[] = []
  const memory = memoryContext({
    backend: { name: 'tensorflow', device: '2 CPU cores', reason: '', bf16: true },
    async score(job) {
      products.push(job.bf16)
      const one = (of: string): Score => {
        calls.push(`${of} ${job.data.rows}${job.answers ? ` ${job.answers.max_new_tokens} ${job.answers.temperature}` : ''}`)
        const texts = job.answers && (answers[of] ?? []).slice(0, job.data.rows)
        return {
          loss: of === 'tuned' ? 0.5 : 2,
          perplexity: of === 'tuned' ? Math.exp(0.5) : Math.exp(2),
          tokens: 30,
          rowLosses: Array(job.data.rows).fill(0.1),
          texts,
          truncated: texts?.map((_, i) => i === 0 && of === 'base') ?? null,
        }
      }
      return { model: one(who(job.model)), base: job.base ? one('base') : null }
    },
  })
  const rows = golds.map((completion, i) =>
    format === 'text' ? { id: `r${i}`, text: completion } : { id: `r${i}`, prompt: `clause ${i}`, completion },
  )
  const artifact = await memory.ctx.artifacts.put(rows.map((r) => `${JSON.stringify(r)}\n`).join(''))
  const data: DatasetHandle = {
    artifact,
    rows: rows.length,
    format,
    columns: [],
    name: 'clauses',
    split: 'test',
    source: artifact,
    chars: { mean: 20, max: 30 },
  }
  const out = await validate.run({ params: validate.params.parse(given), inputs: { model, data }, ctx: memory.ctx })
  return {
    metrics: Metrics.parse(out.metrics),
    handle: DatasetHandle.parse(out.rows),
    rows: await memory.rowsOf(out.rows),
    calls,
    products,
    logs: memory.logs.map((l) => l.text),
  }
}

describe('validate', () => {
  test('scores the model and its base on the same rows with the same options, field by field', async () => {
    const { metrics, calls } = await run(tuned, { max_new_tokens: 64 })
    expect(calls).toEqual(['tuned 3 64 0', 'base 3 64 0'])
    expect(metrics).toMatchObject({
      eval_loss: 0.5,
      base_eval_loss: 2,
      exact_match: 2 / 3,
      base_exact_match: 0,
      json_valid: 1,
      base_json_valid: 1 / 3,
    })
    expect(metrics).toMatchObject({ field_a_exact_match: 1, field_b_exact_match: 2 / 3, base_field_a_exact_match: 0, field_a_f1: 1 })
    // Field b: one absent and left out, one right, one wrong: 1 hit, 1 false positive, 1 false negative.
    expect(metrics.field_b_f1).toBeCloseTo(0.5)
    expect(metrics.exact_match_gain).toBeCloseTo(2 / 3)
    expect(metrics.exact_match_gain_low).toBeGreaterThanOrEqual(0)
    expect(metrics.exact_match_gain_high).toBe(1)
  })

  test('loss and answers of both models are computed in the precision that the log names', async () => {
    const fast = await run(tuned)
    expect(fast.products).toEqual([true])
    expect(fast.logs[0]).toBe('tensorflow on 2 CPU cores, bfloat16 products')
    const exact = await run(tuned, { bf16: false })
    expect(exact.products).toEqual([false])
    expect(exact.logs[0]).toBe('tensorflow on 2 CPU cores, 32 bit')
  })

  test('the rows come worst first, with input, expected answer, before and after', async () => {
    const { rows, handle } = await run(tuned)
    expect(handle).toMatchObject({ format: 'table', rows: 3, split: 'test' })
    expect(handle.columns).toEqual(expect.arrayContaining(['input', 'expected', 'before', 'after', 'correct']))
    expect(rows.map((r) => r.correct)).toEqual([false, true, true])
    expect(rows[0]).toMatchObject({
      id: 'r2',
      input: 'clause 2',
      expected: golds[2],
      before: answers.base?.[2],
      after: answers.tuned?.[2],
      wrong_fields: ['b'],
    })
  })

  test('an untrained model is its own base: computed once, shown twice', async () => {
    const { metrics, calls } = await run(base)
    expect(calls).toEqual(['base 3 128 0'])
    expect(metrics.base_exact_match).toBe(metrics.exact_match)
    expect(metrics).not.toHaveProperty('exact_match_gain')
  })

  test('switches leave out what they name', async () => {
    expect((await run(tuned, { compare_base: false, generate: false })).calls).toEqual(['tuned 3'])
    expect((await run(tuned, { max_rows: 2, compare_base: false })).metrics.rows).toBe(2)
    const text = await run(tuned, {}, 'text')
    expect(text.calls).toEqual(['tuned 3', 'base 3'])
    expect(text.metrics).not.toHaveProperty('exact_match')
  })

  test('answers that were cut off are told', async () => {
    expect((await run(tuned)).logs.join('\n')).toContain('1 answer cut off at 128 tokens')
  })
})
