import { describe, expect, test } from 'vitest'
import type { DatasetHandle } from '../../nodes/_kit/ports'
import { augmentCounterfactuals } from '../../nodes/augment-counterfactuals'
import { mixReplay } from '../../nodes/mix-replay'
import { handleOf, headerOf, memoryContext } from './kit'

type Row = { id: string } & Record<string, unknown>
function kit(engine: Parameters<typeof memoryContext>[0] = {}) {
  const memory = memoryContext(engine)
  return {
    ...memory,
    async data(rows: readonly Row[], format: DatasetHandle['format'] = 'prompt_completion'): Promise<DatasetHandle> {
      const artifact = await memory.ctx.artifacts.put(rows.map((r) => `${JSON.stringify(r)}\n`).join(''))
      return {
        artifact,
        rows: rows.length,
        format,
        columns: [],
        name: 'rows',
        split: 'train',
        source: artifact,
        chars: { mean: 1, max: 1 },
      }
    },
  }
}
const task = Array.from({ length: 95 }, (_, i) => ({ id: `t${i}`, prompt: `question ${i}`, completion: 'ten chars!' }))
const model = handleOf(headerOf('tiny'))

describe('mix-replay', () => {
  const mix = async (
    k: ReturnType<typeof kit>,
    inputs: { data: DatasetHandle; replay?: DatasetHandle; model?: typeof model },
    params = {},
  ) => {
    const out = await mixReplay.run({ params: mixReplay.params.parse(params), inputs, ctx: k.ctx })
    return { out, rows: await k.rowsOf(out.data) }
  }

  test('SCI-72: five percent of what trains, in the shape of the data, spread evenly', async () => {
    const k = kit()
    const texts = Array.from({ length: 20 }, (_, i) => ({
      id: `g${i}`,
      text: `a b c d e f g h i j k l ${'0123456789'.slice(0, 9)}${i % 10}`,
    }))
    const { out, rows } = await mix(k, { data: await k.data(task), replay: await k.data(texts, 'text') })
    const at = rows.flatMap((row, i) => ((row.columns as { replay?: true } | undefined)?.replay ? [i] : []))
    expect(at).toEqual([10, 30, 50, 70, 90])
    expect(rows[10]).toMatchObject({
      prompt: 'Continue this text:\na b c d e f g h i j k l',
      completion: expect.stringMatching(/^\d{10}$/),
    })
    expect(out.report.verdict?.text).toBe('5 replay rows between 95 rows: 5 % of the trained characters.')
    expect(rows.filter((row) => String(row.id).startsWith('t'))).toEqual(task)
  })

  test('with a model tokens are counted; alone, the model as loaded writes the replay text from its seed', async () => {
    const jobs: unknown[] = []
    const k = kit({
      tokens: async ({ data }) =>
        Array.from({ length: data.rows }, () => ({
          length: 20,
          trained: data.name === 'replay' ? 40 : 10,
          endTrained: true,
          doubleStart: false,
          error: null,
        })),
      generate: async (job) => {
        jobs.push({ delta: job.model.delta, temperature: job.options.temperature, seed: job.options.seed })
        return {
          prompts: [],
          texts: Array.from({ length: job.data.rows }, (_, i) => (i === 1 ? ' ' : ` answer ${i}`)),
          tokens: [],
          truncated: [],
        }
      },
    })
    const trained = { ...model, delta: 'd'.repeat(64) }
    const { out, rows } = await mix(k, { data: await k.data(task), model: trained }, { samples: 40, seed: 7, replay_ratio: 0.1 })
    expect(jobs).toEqual([{ delta: null, temperature: 1, seed: 7 }])
    expect(out.replay.rows).toBe(39)
    // 950 tokens of task; 0.1 / 0.9 of that is 105.6, which three rows of 40 come nearest to.
    expect(rows.length - task.length).toBe(3)
    expect(out.report.verdict?.text).toBe('3 replay rows between 95 rows: 11 % of the trained tokens.')
  })

  test('A-6: nothing wired and shapes that cannot be mixed are refused before and in the run', async () => {
    const k = kit()
    await expect(mix(k, { data: await k.data(task) })).rejects.toMatchObject({ code: 'nothing_to_mix' })
    await expect(mix(k, { data: await k.data(task, 'preference'), replay: await k.data(task) })).rejects.toMatchObject({
      code: 'format_not_mixable',
    })
    await expect(
      mix(k, { data: await k.data(task), replay: await k.data([{ id: 'a', text: 'too short' }], 'text') }),
    ).rejects.toMatchObject({ code: 'no_replay_rows' })
    const facts = {
      name: 'x',
      rows: 10,
      format: 'prompt_completion' as const,
      columns: [],
      split: 'train' as const,
      chars: { mean: 5, max: 9 },
      origin: 'd',
    }
    expect(
      mixReplay.infer?.({ params: mixReplay.params.parse({}), inputs: { data: { kind: 'dataset', facts } }, node: 'n' })?.problems,
    ).toMatchObject([{ code: 'nothing_to_mix' }])
  })
})

describe('augment-counterfactuals', () => {
  const rows: Row[] = [
    { id: 'a', prompt: 'The nurse said she is tired. Who?', completion: 'she' },
    { id: 'b', prompt: 'What is the fee?', completion: 'EUR 5' },
    { id: 'c', prompt: 'Did Marie Curie find radium? Did she?', completion: 'yes' },
    { id: 'd', prompt: 'Anna signs for the German company.', completion: 'Anna' },
  ]
  const augment = async (params: Record<string, unknown>) => {
    const k = kit()
    const out = await augmentCounterfactuals.run({
      params: augmentCounterfactuals.params.parse(params),
      inputs: { data: await k.data(rows) },
      ctx: k.ctx,
    })
    return { out, data: await k.rowsOf(out.data), swaps: await k.rowsOf(out.swaps) }
  }

  test('SCI-108: each row that can be swapped gets a twin behind it; the others are counted', async () => {
    const { out, data, swaps } = await augment({})
    expect(data.map((row) => row.id)).toEqual(['a', 'a-swapped', 'b', 'c', 'd', 'd-swapped'])
    expect(data[1]).toEqual({
      id: 'a-swapped',
      prompt: 'The nurse said he is tired. Who?',
      completion: 'he',
      columns: { swapped_from: 'a' },
    })
    expect(data[5]).toMatchObject({ prompt: 'Paul signs for the German company.', completion: 'Paul' })
    expect(swaps).toMatchObject([
      { row: 'a', swaps: 2 },
      { row: 'd', swaps: 2 },
    ])
    expect(out.report.verdict?.text).toBe('2 rows of 4 got a twin.')
  })

  test('swaps and share are chosen; the same seed draws the same rows', async () => {
    expect((await augment({ swap_table: ['companies'] })).data[4]).toMatchObject({
      id: 'd-swapped',
      prompt: 'Anna signs for the French company.',
    })
    const half = await augment({ fraction: 0.5 })
    expect(half.data).toHaveLength(5)
    expect((await augment({ fraction: 0.5 })).data).toEqual(half.data)
    expect(augmentCounterfactuals.params.safeParse({ swap_table: [] }).success).toBe(false)
  })
})
