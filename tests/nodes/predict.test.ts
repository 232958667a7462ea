import { describe, expect, test } from 'vitest'
import type { GenerateOptions, RunContext } from '../../nodes/_kit/context'
import { DatasetHandle, FileHandle } from '../../nodes/_kit/ports'
import { predict } from '../../nodes/predict'
import { digestOf, handleOf, headerOf, memoryContext } from './kit'

const model = handleOf(headerOf('tiny'))
const SCHEMA = '{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}'

async function setUp(count: number) {
  const asked: { prompts: number; options: GenerateOptions }[] = []
  const checkpoints: { step: number; manifest: string }[] = []
  const memory = memoryContext({
    backend: { name: 'tensorflow', device: '2 CPU cores', reason: '' },
    async generate(job) {
      const rows = (await memory.ctx.artifacts.readText(job.data.artifact)).trim().split('\n')
      asked.push({ prompts: rows.length, options: job.options })
      const texts = rows.map((line) => `to ${(JSON.parse(line) as { prompt: string }).prompt}, "quoted"`)
      return { prompts: texts, texts, tokens: texts.map(() => 3), truncated: texts.map((_, i) => i === 1) }
    },
  })
  const ctx: RunContext = {
    ...memory.ctx,
    artifacts: {
      ...memory.ctx.artifacts,
      putManifest: async (name, files) => ({
        manifest: await memory.ctx.artifacts.put(JSON.stringify({ files })),
        name,
        bytes: files.reduce((sum, { size }) => sum + size, 0),
        files: [...files],
      }),
    },
    checkpoint: {
      latest: async () => checkpoints.at(-1) ?? null,
      save: async ({ step, files }) => void checkpoints.push({ step, manifest: await memory.ctx.artifacts.put(JSON.stringify({ files })) }),
    },
  }
  const rows = Array.from({ length: count }, (_, i) => ({ id: `r${i}`, prompt: i === 2 ? '=1+1' : `q${i}`, completion: '' }))
  const artifact = await ctx.artifacts.put(rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
  const data = DatasetHandle.parse({
    artifact,
    rows: count,
    format: 'prompt_completion',
    columns: [],
    name: 'clauses',
    split: 'all',
    source: digestOf('x'),
    chars: { mean: 3, max: 4 },
  })
  const run = async (given: Record<string, unknown> = {}) => {
    const out = await predict.run({ params: predict.params.parse(given), inputs: { model, data }, ctx })
    const file = FileHandle.parse(out.file)
    return { rows: await memory.rowsOf(out.rows), text: await ctx.artifacts.readText(file.files[0]?.digest as string), file }
  }
  return { run, asked, checkpoints }
}

describe('predict', () => {
  test('every row is answered in its order, cut answers are marked, and the file says the same', async () => {
    const { run } = await setUp(3)
    const { rows, text, file } = await run({ max_rows: 2 })
    expect(rows).toEqual([
      { id: 'r0', input: 'q0', answer: 'to q0, "quoted"', expected: '', tokens: 3, cut_off: false },
      { id: 'r1', input: 'q1', answer: 'to q1, "quoted"', expected: '', tokens: 3, cut_off: true },
    ])
    expect(file.files[0]?.path).toBe('predictions.jsonl')
    expect(
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(rows)
  })

  test('a CSV quotes what needs it and disarms what a spreadsheet would compute', async () => {
    const lines = (await (await setUp(3)).run({ file_format: 'csv' })).text.split('\r\n')
    expect(lines[0]).toBe('id,input,answer,expected,tokens,cut_off')
    expect(lines[1]).toBe('r0,q0,"to q0, ""quoted""",,3,false')
    expect(lines[3]).toContain(`r2,'=1+1,`)
  })

  test('settings reach the engine: drawing, stop texts, and the schema that answers are held to', async () => {
    const { run, asked } = await setUp(2)
    await run({ json: 'schema', json_schema: SCHEMA, temperature: 0.7, top_k: 5, top_p: 0.9, stop: '\n\nEnd\n###', seed: 3 })
    expect(asked[0]?.options).toMatchObject({
      temperature: 0.7,
      top_k: 5,
      top_p: 0.9,
      stop: ['End', '###'],
      seed: 3,
      json_schema: JSON.parse(SCHEMA),
    })
    await run({ json: 'any' })
    expect(asked[1]?.options.json_schema).toBe(true)
    await run()
    expect(asked[2]?.options).not.toHaveProperty('json_schema')
  })

  test('a long job goes on after the rows that were saved, and gives what an undisturbed one gives', async () => {
    const whole = await setUp(20)
    const undisturbed = await whole.run({ batch_size: 1 })
    expect(whole.asked.map(({ prompts }) => prompts)).toEqual([8, 8, 4])
    expect(whole.checkpoints.map(({ step }) => step)).toEqual([8, 16])
    const resumed = await whole.run({ batch_size: 1 })
    expect(whole.asked.map(({ prompts }) => prompts)).toEqual([8, 8, 4, 4])
    expect(resumed.rows).toEqual(undisturbed.rows)
    expect(new Set(whole.asked.map(({ options }) => options.seed)).size).toBe(3)
  })

  test('what cannot be answered is refused before anything is computed', async () => {
    const { run } = await setUp(1)
    await expect(run({ json: 'schema', json_schema: '{"type":' })).rejects.toThrow(/schema cannot be read/)
    expect(
      predict.infer?.({ params: predict.params.parse({ json: 'schema' }), inputs: {}, node: 'n' }).problems?.map(({ code }) => code),
    ).toEqual(['bad_schema'])
  })
})
