/**
 * Node types without TensorFlow, for everything that happens around a node: a graph of load, freeze, train, check and export in milliseconds. Each run
 * writes a line to `journal`, so that tests count what really ran, in whichever process.
 */
import { appendFileSync } from 'node:fs'
import * as z from 'zod'
import type { RunContext } from '../../nodes/_kit/context'
import { type AnyNode, defineNode } from '../../nodes/_kit/define-node'
import { NodeError } from '../../nodes/_kit/node-error'
import type { DatasetHandle, ModelHandle } from '../../nodes/_kit/ports'

const journal = z.string().default('').meta({ title: 'Journal', description: 'File that each run adds a line to.' })
const number = (title: string, fallback: number) => z.number().default(fallback).meta({ title, description: title })
const text = (title: string, fallback: string) => z.string().default(fallback).meta({ title, description: title })
const flag = (title: string) => z.boolean().default(false).meta({ title, description: title })

export function note(path: string, line: string): void {
  if (path !== '') appendFileSync(path, `${line}\n`)
}

const sleep = (ms: number, ctx: RunContext) =>
  new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    ctx.signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(ctx.signal.reason)
    })
  })

const loadModel = defineNode({
  type: 'stub-model',
  title: 'Stub model',
  summary: 'Gives a model made of nothing.',
  help: '',
  group: 'Model',
  icon: 'model',
  params: z.strictObject({ journal, weights: text('Weights', 'w0'), ms: number('Time', 0) }),
  inputs: {},
  outputs: { model: { kind: 'model', title: 'Model', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  infer: () => ({ estimate: { seconds: 1, memoryBytes: 1_000, diskBytes: 2_000 } }),
  async run({ params, ctx }) {
    note(params.journal, `${ctx.node} run`)
    if (params.ms > 0) await sleep(params.ms, ctx)
    const weights = await ctx.artifacts.put(params.weights)
    const file = await ctx.artifacts.putManifest('stub', [{ path: 'model.safetensors', digest: weights, size: params.weights.length }])
    const model: ModelHandle = {
      base: { manifest: file.manifest, name: 'stub', source: 'stub', license: null },
      delta: null,
      modelType: 'stub',
      dtype: 'F32',
      parameters: 10,
      blocks: 2,
      vocabSize: 3,
      contextLength: 8,
      tiedEmbeddings: false,
      tokenizer: await ctx.artifacts.put('tokenizer'),
      chatTemplate: null,
      trainable: null,
      lineage: [],
    }
    return { model }
  },
})

const loadData = defineNode({
  type: 'stub-data',
  title: 'Stub data',
  summary: 'Gives rows.',
  help: '',
  group: 'Data',
  icon: 'data',
  params: z.strictObject({ journal, rows: text('Rows', 'a\nb'), file: text('File', ''), ms: number('Time', 0) }),
  inputs: {},
  outputs: { data: { kind: 'dataset', title: 'Data', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  facts: (params) => (params.file === '' ? null : { kind: 'data', file: params.file }),
  infer: ({ node }) => ({
    outputs: {
      data: { kind: 'dataset', facts: { name: 'rows', rows: 2, format: 'text', columns: [], split: 'all', chars: null, origin: node } },
    },
  }),
  async run({ params, ctx }) {
    note(params.journal, `${ctx.node} run`)
    if (params.ms > 0) await sleep(params.ms, ctx)
    const rows = params.file === '' ? params.rows : Buffer.from((await ctx.readFile(params.file)).bytes).toString('utf8')
    const artifact = await ctx.artifacts.put(rows.trim())
    const data: DatasetHandle = {
      artifact,
      rows: rows.trim().split('\n').length,
      format: 'text',
      columns: [],
      name: params.file || 'rows',
      split: 'all',
      source: artifact,
      chars: { mean: 1, max: 1 },
    }
    return { data }
  },
})

const splitData = defineNode({
  type: 'stub-split',
  title: 'Stub split',
  summary: 'Divides rows in two.',
  help: '',
  group: 'Data',
  icon: 'split',
  params: z.strictObject({ journal, seed: z.int().default(42).meta({ title: 'Seed', description: 'Seed' }) }),
  inputs: { data: { kind: 'dataset', title: 'Data', description: '' } },
  outputs: {
    train: { kind: 'dataset', title: 'Train', description: '' },
    test: { kind: 'dataset', title: 'Test', description: '' },
  },
  purity: 'seeded',
  resource: 'light',
  infer: ({ inputs }) => {
    const facts = inputs.data?.kind === 'dataset' ? inputs.data.facts : null
    if (!facts) return {}
    return {
      outputs: {
        train: { kind: 'dataset', facts: { ...facts, split: 'train' } },
        test: { kind: 'dataset', facts: { ...facts, split: 'test' } },
      },
    }
  },
  async run({ params, inputs, ctx }) {
    note(params.journal, `${ctx.node} run`)
    const rows = (await ctx.artifacts.readText(inputs.data.artifact)).split('\n')
    const half = Math.ceil(rows.length / 2)
    const part = async (some: string[], split: 'train' | 'test'): Promise<DatasetHandle> => ({
      ...inputs.data,
      artifact: await ctx.artifacts.put(some.join('\n')),
      rows: some.length,
      split,
    })
    return { train: await part(rows.slice(0, half), 'train'), test: await part(rows.slice(half), 'test') }
  },
})

const freeze = defineNode({
  type: 'stub-freeze',
  title: 'Stub freeze',
  summary: 'Opens one block.',
  help: '',
  group: 'Model',
  icon: 'freeze',
  params: z.strictObject({ journal, top: number('Top', 1) }),
  inputs: { model: { kind: 'model', title: 'Model', description: '' } },
  outputs: { model: { kind: 'model', title: 'Model', description: '' }, plan: { kind: 'plan', title: 'Plan', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  async run({ params, inputs, ctx }) {
    note(params.journal, `${ctx.node} run`)
    const plan = { names: [`block.${params.top}`], parameters: 5, blocks: [0, 1], embeddings: 0, head: 0, summary: 'last block' }
    return { model: { ...inputs.model, trainable: plan }, plan }
  },
})

const train = defineNode({
  type: 'stub-train',
  title: 'Stub train',
  summary: 'Counts steps.',
  help: '',
  group: 'Training',
  icon: 'train',
  params: z.strictObject({
    journal,
    max_steps: z.int().min(1).max(1_000).default(20).meta({ title: 'Steps', description: 'Steps' }),
    ms: number('Time per step', 5),
    learning_rate: z
      .union([z.literal('auto'), z.number().min(1e-7).max(1)])
      .default('auto')
      .meta({ title: 'Learning rate', description: 'Rate' }),
    schedule: z.enum(['constant', 'linear']).default('constant').meta({ title: 'Schedule', description: 'Schedule' }),
    seed: z.int().default(42).meta({ title: 'Seed', description: 'Seed' }),
    /** The process dies here, as often as `crashes` says (counted in the journal). */
    crash_at: number('Dies at step', 0),
    crashes: number('How often it dies', 0),
    /** Blocks the event loop for so long at step 3. */
    block_ms: number('Blocks', 0),
    /** Ignores the wish to stop. */
    deaf: flag('Deaf'),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: '' },
    data: { kind: 'dataset', title: 'Data', description: '' },
    validation: { kind: 'dataset', title: 'Validation', description: '', optional: true },
  },
  outputs: { model: { kind: 'model', title: 'Model', description: '' }, metrics: { kind: 'metrics', title: 'Metrics', description: '' } },
  purity: 'seeded',
  resource: 'engine',
  extent: (params) => (params.schedule === 'constant' ? ['max_steps'] : []),
  infer: ({ params }) => ({ resolved: params.learning_rate === 'auto' ? { learning_rate: 0.001 } : {} }),
  async run({ params, inputs, ctx }) {
    note(params.journal, `${ctx.node} run`)
    const job = { model: inputs.model, data: inputs.data, trainable: inputs.model.trainable, args: params as never }
    for await (const event of ctx.engine.train(job)) {
      if (event.type === 'start') note(params.journal, `${ctx.node} from ${event.fromStep}`)
      if (event.type === 'step') {
        ctx.metrics({ step: event.step, loss: event.loss })
        ctx.progress(event.step, params.max_steps, 'steps')
        ctx.log(`step ${event.step}`)
      }
      if (event.type === 'stopped') throw new NodeError('stopped', `Stopped at step ${event.step}`)
      if (event.type === 'done') {
        const entry = {
          node: ctx.node,
          data: inputs.data.artifact,
          source: inputs.data.source,
          steps: event.step,
          epochs: 1,
          seed: ctx.seed,
          parameters: 5,
        }
        return {
          model: { ...inputs.model, delta: event.delta, lineage: [...inputs.model.lineage, entry] },
          metrics: { steps: event.step, loss: event.train_loss },
        }
      }
    }
    throw new Error('ended without a result')
  },
})

const evaluate = defineNode({
  type: 'stub-check',
  title: 'Stub check',
  summary: 'Measures a model.',
  help: '',
  group: 'Evaluation',
  icon: 'validate',
  params: z.strictObject({ journal }),
  inputs: { model: { kind: 'model', title: 'Model', description: '' }, data: { kind: 'dataset', title: 'Data', description: '' } },
  outputs: { metrics: { kind: 'metrics', title: 'Metrics', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  async run({ params, inputs, ctx }) {
    note(params.journal, `${ctx.node} run`)
    return { metrics: { rows: inputs.data.rows, trained: inputs.model.delta === null ? 0 : 1 } }
  },
})

const exportModel = defineNode({
  type: 'stub-export',
  title: 'Stub export',
  summary: 'Writes files.',
  help: '',
  group: 'Output',
  icon: 'export',
  params: z.strictObject({ journal }),
  inputs: { model: { kind: 'model', title: 'Model', description: '' } },
  outputs: { file: { kind: 'file', title: 'File', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  async run({ params, inputs, ctx }) {
    note(params.journal, `${ctx.node} run`)
    const card = `steps ${inputs.model.lineage.map((entry) => entry.steps).join()}\n`
    const digest = await ctx.artifacts.put(card)
    return { file: await ctx.artifacts.putManifest('stub-model', [{ path: 'sub/README.md', digest, size: card.length }]) }
  },
})

const fail = defineNode({
  type: 'stub-fail',
  title: 'Stub fail',
  summary: 'Fails in a chosen way.',
  help: '',
  group: 'Data',
  icon: 'data',
  params: z.strictObject({
    journal,
    how: z.enum(['user', 'internal', 'output', 'transient', 'exit', 'no']).default('user').meta({ title: 'How', description: 'How' }),
  }),
  inputs: { data: { kind: 'dataset', title: 'Data', description: '' } },
  outputs: { data: { kind: 'dataset', title: 'Data', description: '' } },
  purity: 'deterministic',
  resource: 'light',
  async run({ params, inputs, ctx }) {
    note(params.journal, `${ctx.node} run`)
    if (params.how === 'user')
      throw new NodeError('bad_rows', 'Row 3 has no text.', { where: 'line 3', expected: 'text', got: 'nothing', fix: 'Add it.' })
    if (params.how === 'internal') throw new TypeError('cannot read nothing')
    if (params.how === 'output') return { data: { rows: 'many' } as unknown as DatasetHandle }
    if (params.how === 'transient') throw Object.assign(new Error('the network is away'), { code: 'NETWORK' })
    if (params.how === 'exit') process.exit(3)
    return { data: inputs.data }
  },
})

const clock = defineNode({
  type: 'stub-clock',
  title: 'Stub clock',
  summary: 'Never the same.',
  help: '',
  group: 'Data',
  icon: 'data',
  params: z.strictObject({ journal, rows: text('Rows', '') }),
  inputs: {},
  outputs: { data: { kind: 'dataset', title: 'Data', description: '' } },
  purity: 'volatile',
  resource: 'light',
  async run({ params, ctx }) {
    note(params.journal, `${ctx.node} run`)
    const artifact = await ctx.artifacts.put(params.rows || String(process.hrtime.bigint()))
    return {
      data: { artifact, rows: 1, format: 'text', columns: [], name: 'now', split: 'all', source: artifact, chars: { mean: 1, max: 1 } },
    }
  },
})

const ALL: readonly AnyNode[] = [loadModel, loadData, splitData, freeze, train, evaluate, exportModel, fail, clock]
export const stubRegistry: Readonly<Record<string, AnyNode>> = Object.fromEntries(ALL.map((def) => [def.type, def]))
export const stubDigests: Readonly<Record<string, string>> = Object.fromEntries(ALL.map((def) => [def.type, `impl-of-${def.type}`]))
