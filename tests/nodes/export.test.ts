import { describe, expect, test } from 'vitest'
import { licenceOf } from '../../nodes/_kit/model-card'
import { portableGraph } from '../../nodes/_kit/portable'
import { exportModel } from '../../nodes/export'
import { handleOf, headerOf, memoryContext } from './kit'

type Job = Parameters<ReturnType<typeof memoryContext>['ctx']['engine']['exportFolder']>[0]
const graph = JSON.stringify({
  schemaVersion: 1,
  nodes: {
    data: { type: 'load-data', params: { file: '/home/ada/contracts/may.jsonl' } },
    train: { type: 'train', params: { learning_rate: 0.0005, num_train_epochs: 2 } },
    hub: { type: 'push', params: { hf_token: 'secret' } },
  },
  edges: [],
})

async function write(dtype: string, params: Record<string, unknown> = {}, trained = true) {
  let job: Job | undefined
  const header = { ...headerOf('tiny'), dtype }
  const memory = memoryContext({
    header: async () => header,
    async exportFolder(given) {
      job = given
      return {
        file: { manifest: 'f'.repeat(64), name: given.name, bytes: 10, files: [] },
        maxLogitDifference: 0,
        gate: { prompts: 8, largest: 0, divergence: 0, sameTop: 1, sameGreedy: 1, notes: [] },
      }
    },
  })
  Object.assign(memory.ctx.provenance, { graph })
  const entry = { node: 'train', data: 'a'.repeat(64), source: 'b'.repeat(64), steps: 100, epochs: 2, seed: 7, parameters: 1000 }
  const model = { ...handleOf(header), ...(trained && { delta: 'd'.repeat(64), lineage: [entry] }) }
  await exportModel.run({
    params: exportModel.params.parse(params),
    inputs: { model, metrics: { exact_match: 0.9, base_exact_match: 0, rows: 48 } },
    ctx: memory.ctx,
  })
  if (!job) throw new Error('exportFolder was not called')
  return { job, logs: memory.logs }
}

describe('export', () => {
  test.each([
    ['F32', 'F32'],
    ['BF16', 'BF16'],
    ['F16', 'F16'],
    ['Q4_1', 'F32'],
    ['Q8_0', 'F32'],
  ])('F-12: a %s base is written as %s unless asked otherwise', async (stored, written) => {
    expect((await write(stored)).job.dtype).toBe(written)
    expect((await write(stored, { dtype: 'BF16' })).job.dtype).toBe('BF16')
  })

  test('F-53: the card says what was trained, on what, how well, and how to repeat it', async () => {
    const { job } = await write('Q4_1')
    expect(job.name).toBe('tiny-thaw')
    for (const text of [
      'base_model: "someone/tiny"',
      'license: "mit"',
      'library_name: transformers',
      'pipeline_tag: text-generation',
      '100 optimizer steps',
      '2 epochs',
      'seed 7',
      'a'.repeat(64),
      '| `learning_rate` | 5e-4 |',
      '| exact_match | 0 | 0.9 |',
      'dequantised',
    ])
      expect(job.card).toContain(text)
    expect(job.card.startsWith('---\n')).toBe(true)
  })

  test('F-54, F-55: the graph travels in the metadata without paths and secrets, and only if wanted', async () => {
    const { job } = await write('F32')
    expect(job.metadata).toMatchObject({ 'thaw.version': '0.1.0', 'thaw.seed': '7', 'thaw.dataset_sha256': 'a'.repeat(64) })
    expect(job.metadata['thaw.graph']).toContain('may.jsonl')
    expect(job.metadata['thaw.graph']).not.toMatch(/home|ada|secret/)
    expect(Object.values(job.metadata).every((v) => typeof v === 'string')).toBe(true)
    expect((await write('F32', { include_graph: false })).job.metadata).not.toHaveProperty('thaw.graph')
  })

  test('F-55: paths of every system are cut, a graph beyond 1 MiB is left out', () => {
    const of = (file: string) => portableGraph(JSON.stringify({ nodes: { a: { params: { file } } } }))
    for (const path of ['/a/b.csv', '~/b.csv', './x/b.csv', 'C:\\x\\b.csv', '\\\\host\\b.csv'])
      expect(of(path), path).toBe('{"nodes":{"a":{"params":{"file":"b.csv"}}}}')
    for (const kept of ['template:contract-fields/clauses.jsonl', 'hub:a/b', 'b.csv']) expect(of(kept)).toContain(kept)
    expect(of('x'.repeat(2 ** 20))).toBeNull()
    expect(portableGraph('no json')).toBeNull()
  })

  test('F-24, F-58: a GGUF file is asked for by its type, and the gate says what it found', async () => {
    const { job, logs } = await write('Q4_1', { format: 'gguf', gguf_type: 'Q4_K_M' })
    expect(job).toMatchObject({ format: 'gguf', dtype: 'Q4_K_M', base: { name: 'tiny', repo: 'someone/tiny' } })
    expect(job.shardBytes).toBeUndefined()
    expect(job.card).toContain('library_name: gguf')
    expect(logs.map(({ text }) => text).join('\n')).toContain('same in 100 % of places')
  })

  test('an untrained model is exported with a warning', async () => {
    const { job, logs } = await write('F32', {}, false)
    expect(logs.some((l) => l.level === 'warn')).toBe(true)
    expect(job.card).toContain('without training')
  })

  test('a licence that forbids or conditions what people do is named', () => {
    expect(licenceOf('apache-2.0').warning).toBeNull()
    expect(licenceOf('cc-by-nc-4.0').warning).toContain('forbids commercial use')
    expect(licenceOf('llama3').warning).toContain('conditions')
    expect(licenceOf(null).warning).toContain('names no licence')
  })
})

test('F-20: the adapter of a model can be written alone; a model without one is told so, before and in the run', async () => {
  const header = headerOf('tiny')
  const adapter = { manifest: 'e'.repeat(64), method: 'dora', r: 8, parameters: 1000 } as const
  const params = exportModel.params.parse({ format: 'adapter' })
  const facts = (given: object) => ({ model: { kind: 'model' as const, facts: { ...header, trainable: null, trainedOn: [], ...given } } })
  expect(exportModel.infer?.({ params, inputs: facts({}), node: 'export' }).problems).toMatchObject([
    { severity: 'error', code: 'no_adapter' },
  ])
  const inferred = exportModel.infer?.({ params, inputs: facts({ adapter }), node: 'export' })
  expect(inferred?.problems).toBeUndefined()
  expect(inferred?.card?.map((row) => row.value)).toEqual(['PEFT adapter', 'DoRA, rank 8', '4 kB'])

  let asked: string | undefined
  const memory = memoryContext({
    header: async () => header,
    async exportAdapter({ model, name }) {
      asked = model.adapter?.manifest
      return { manifest: 'f'.repeat(64), name, bytes: 10, files: [] }
    },
  })
  Object.assign(memory.ctx.provenance, { graph })
  const base = handleOf(header)
  await expect(exportModel.run({ params, inputs: { model: base }, ctx: memory.ctx })).rejects.toMatchObject({ code: 'no_adapter' })
  const { file } = await exportModel.run({ params, inputs: { model: { ...base, adapter } }, ctx: memory.ctx })
  expect(asked).toBe(adapter.manifest)
  expect(file.name).toBe('tiny-thaw')
  expect(memory.logs.filter((log) => log.text.includes('not trained'))).toHaveLength(1)
})
