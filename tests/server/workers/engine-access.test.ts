import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { SafetensorsFile } from '../../../engine/formats/safetensors'
import { loadAdapter } from '../../../engine/lora/files'
import { loadModel } from '../../../engine/model'
import type { Checkpoint, EngineAccess, GenerateOptions, TrainArguments, TrainEvent } from '../../../nodes/_kit/context'
import type { DatasetHandle, ModelHandle } from '../../../nodes/_kit/ports'
import { ensureEngine } from '../../../scripts/engine-install.mjs'
import type { EngineFactory, EngineHost } from '../../../server/executor/context'
import { ArtifactStore } from '../../../server/storage/artifact-store'
import { openEngine } from '../../../server/workers/engine-access'
import { TINY_GGUF, textRows } from '../../engine/support/tiny-gguf'

const root = path.resolve(import.meta.dirname, '../../..')
let home: string
let store: ArtifactStore
let factory: EngineFactory
beforeAll(async () => {
  home = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-access-'))
  store = new ArtifactStore(path.join(home, 'artifacts'))
  await ensureEngine({ onProgress: () => {} })
  factory = await openEngine({ cache: process.env.THAW_CACHE ?? path.join(os.homedir(), '.cache/thaw'), root })
})
afterAll(() => fs.rmSync(home, { recursive: true, force: true }))

let attempts = 0
/** One attempt: a real artifact store, checkpoints kept in a list. Its folder goes with it. */
async function attempt<T>(
  body: (engine: EngineAccess, host: EngineHost) => Promise<T>,
  options: { checkpoints?: Checkpoint[]; stop?: AbortSignal } = {},
): Promise<T> {
  const tmp = path.join(home, `attempt-${++attempts}`)
  fs.mkdirSync(tmp)
  const checkpoints = options.checkpoints ?? []
  const host: EngineHost = {
    artifacts: {
      put: async (bytes) => (await store.put(bytes)).digest,
      putFile: async (file) => (await store.putFile(file, file.startsWith(tmp) ? 'move' : 'link')).digest,
      path: (digest) => store.verifiedPath(digest),
      read: (digest) => store.read(digest),
      readText: (digest) => store.readText(digest),
      putManifest: async (name, files) => ({
        manifest: (await store.putManifest(files)).digest,
        name,
        bytes: files.reduce((sum, f) => sum + f.size, 0),
        files: [...files],
      }),
    },
    checkpoint: {
      latest: async () => checkpoints.at(-1) ?? null,
      save: async ({ step, files, metric }) => {
        checkpoints.push({ step, manifest: (await store.putManifest(files)).digest, ...(metric !== undefined && { metric }) })
      },
    },
    signal: new AbortController().signal,
    stop: options.stop ?? new AbortController().signal,
    takeCheckpointRequest: () => false,
    log: () => {},
    tmp,
    provenance: { thawVersion: '0', graph: '{}', graphDigest: '0'.repeat(64), lineage: () => [] },
  }
  try {
    return await body(await factory(host), host)
  } finally {
    fs.rmSync(tmp, { recursive: true, force: true })
  }
}

const dataset = async (rows: object[], format: DatasetHandle['format']): Promise<DatasetHandle> => ({
  artifact: (await store.put(rows.map((row, i) => `${JSON.stringify({ id: String(i), ...row })}\n`).join(''))).digest,
  rows: rows.length,
  format,
  columns: Object.keys(rows[0] ?? {}),
  name: 'rows',
  split: 'all',
  source: '0'.repeat(64),
  chars: { mean: 60, max: 90 },
})

const ARGS: TrainArguments = {
  learning_rate: 5e-3,
  num_train_epochs: 2,
  max_steps: -1,
  per_device_train_batch_size: 4,
  per_device_eval_batch_size: 4,
  gradient_accumulation_steps: 1,
  max_length: 96,
  lr_scheduler_type: 'linear',
  lr_scheduler_kwargs: {},
  warmup_steps: 0,
  optim: 'adamw',
  momentum: 0.9,
  nesterov: false,
  layerwise_lr_decay: 1,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  weight_decay: 0,
  max_grad_norm: 1,
  logging_steps: 1,
  eval_steps: 0,
  seed: 1,
  bf16: false,
  train_on: 'all',
  load_best_model_at_end: false,
  early_stopping_patience: 0,
  early_stopping_threshold: 0,
  neftune_noise_alpha: 0,
  ema_decay: null,
  cache_frozen_prefix: true,
}
const GREEDY: GenerateOptions = { max_new_tokens: 8, temperature: 0, top_k: 0, top_p: 1, repetition_penalty: 1, seed: 1, batch_size: 8 }

const importTiny = () => attempt((engine) => engine.importModel({ path: TINY_GGUF, name: 'tiny', source: 'test', license: 'apache-2.0' }))
const events = async (stream: AsyncIterable<TrainEvent>) => {
  const list: TrainEvent[] = []
  for await (const event of stream) list.push(event)
  return list
}

it('A-2, E-20: a model becomes a handle from its file, and a file that is none is refused', async () => {
  const handle = await importTiny()
  expect(handle).toMatchObject({
    modelType: 'llama',
    dtype: 'Q8_0',
    parameters: 111_296,
    blocks: 2,
    vocabSize: 387,
    delta: null,
    lineage: [],
  })
  const header = await attempt((engine) => engine.header(handle))
  expect(header).toMatchObject({ name: 'tiny', license: 'apache-2.0', hasChatTemplate: true, downloaded: true, blocks: 2 })
  const bad = path.join(home, 'bad.gguf')
  fs.writeFileSync(bad, 'GGUF and then nothing that makes sense')
  await expect(attempt((engine) => engine.importModel({ path: bad, name: 'bad', source: 'test', license: null }))).rejects.toMatchObject({
    code: 'bad_file',
  })
})

it('F-41, F-43: rows as tokens, as training sees them; where everything trains the end is not the last thing trained', async () => {
  const model = await importTiny()
  const rows = [
    { prompt: 'Notice?', completion: 'three months' },
    { prompt: 'Law?', completion: 'the law of the state in which it was made' },
  ]
  const tokens = (train_on: 'completion' | 'all') =>
    attempt(async (engine) => engine.tokens({ model, data: await dataset(rows, 'prompt_completion'), train_on }))
  const answers = await tokens('completion')
  expect(answers.map(({ endTrained, doubleStart, error }) => ({ endTrained, doubleStart, error }))).toEqual(
    rows.map(() => ({ endTrained: true, doubleStart: false, error: null })),
  )
  const all = await tokens('all')
  expect(all.map((row) => row.length)).toEqual(answers.map((row) => row.length))
  for (const [i, row] of all.entries()) {
    expect(row.trained).toBe(row.length - 1)
    expect(answers[i]?.trained).toBeLessThan(row.trained)
  }
})

it('trains, stops, resumes, scores, says and exports through handles alone, each in an attempt of its own', {
  timeout: 300_000,
}, async () => {
  const model = await importTiny()
  const data = await dataset(textRows(16), 'text')
  const open = ['model.layers.1.mlp.down_proj.weight', 'model.layers.1.input_layernorm.weight', 'model.norm.weight']
  const trainable = { names: open, parameters: 6272, blocks: [0, 0.3], embeddings: 0, head: 0, summary: 'some of block 1' }
  const job = { model, data, validation: data, trainable, args: ARGS }

  const whole = await attempt((engine) => events(engine.train(job)))
  const done = whole.at(-1) as Extract<TrainEvent, { type: 'done' }>
  expect(done).toMatchObject({ type: 'done', step: 8, epochs: 2 })

  const checkpoints: Checkpoint[] = []
  const stop = new AbortController()
  const halted = await attempt(
    async (engine) => {
      const list: TrainEvent[] = []
      for await (const event of engine.train(job)) {
        list.push(event)
        if (event.type === 'step' && event.step === 3) stop.abort()
      }
      return list
    },
    { checkpoints, stop: stop.signal },
  )
  expect(halted.at(-1)).toEqual({ type: 'stopped', step: 3 })
  expect(checkpoints.map(({ step }) => step)).toEqual([3])
  const rest = await attempt((engine) => events(engine.train(job)), { checkpoints })
  // Content-addressed: the same digest means the same bits as the undisturbed training (E-4).
  expect((rest.at(-1) as typeof done).delta).toBe(done.delta)

  using delta = SafetensorsFile.open(await store.verifiedPath(done.delta as string))
  expect([...delta.tensors.keys()].sort()).toEqual([...open].sort())

  const trained: ModelHandle = { ...model, delta: done.delta }
  const score = (of: ModelHandle) =>
    attempt((engine) => engine.evaluate({ model: of, data, max_length: 96, batch_size: 4, train_on: 'all' }))
  const [before, after] = [await score(model), await score(trained)]
  expect(after.loss).toBeLessThan(before.loss)
  expect(after.perplexity).toBeCloseTo(Math.exp(after.loss), 9)
  expect(after.rowLosses.length).toBe(16)
  expect(Math.abs(after.loss - (done.eval_loss as number))).toBeLessThan(1e-4)

  const asked = await dataset(
    [
      { prompt: 'Who wrote it?', completion: 'The keeper.' },
      { prompt: 'When? '.repeat(9), completion: 'On Monday.' },
    ],
    'prompt_completion',
  )
  const said = await attempt((engine) => engine.generate({ model: trained, data: asked, options: GREEDY }))
  expect(said.texts.length).toBe(2)
  expect(said.prompts[0]).toContain('Who wrote it?')
  expect(await attempt((engine) => engine.generate({ model: trained, data: asked, options: GREEDY }))).toEqual(said)

  // Side by side over the same rows: what each says and loses alone.
  const rowsOf = { data: asked, max_length: 96, batch_size: 4, train_on: 'completion' } as const
  const both = await attempt((engine) => engine.score({ ...rowsOf, model: trained, base: true, answers: GREEDY }))
  const alone = async (of: ModelHandle) => ({
    ...(await attempt((engine) => engine.evaluate({ ...rowsOf, model: of }))),
    ...(await attempt((engine) => engine.generate({ model: of, data: asked, options: GREEDY }))),
  })
  for (const [got, of] of [
    [both.model, trained],
    [both.base, model],
  ] as const) {
    const { texts, truncated, tokens: _, prompts: __, ...want } = await alone(of)
    expect({ texts: got?.texts, truncated: got?.truncated }).toEqual({ texts, truncated })
    expect(Math.abs((got?.loss as number) - want.loss)).toBeLessThan(1e-5)
    for (const [i, loss] of want.rowLosses.entries()) expect(Math.abs((got?.rowLosses[i] as number) - loss)).toBeLessThan(1e-5)
  }

  const exported = await attempt((engine) =>
    engine.exportFolder({ model: trained, name: 'tiny-trained', dtype: 'F32', card: '# card', metadata: { 'thaw.seed': '1' } }),
  )
  expect(exported.maxLogitDifference).toBeLessThanOrEqual(1e-4)
  expect(exported.file.files.map((file) => file.path).sort()).toEqual([
    'README.md',
    'chat_template.jinja',
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'special_tokens_map.json',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
  // The folder is a model of its own: in again, it scores the same.
  const folder = path.join(home, 'out')
  fs.mkdirSync(folder)
  for (const file of exported.file.files) fs.copyFileSync(await store.verifiedPath(file.digest), path.join(folder, file.path))
  const again = await attempt((engine) => engine.importModel({ path: folder, name: 'again', source: 'test', license: null }))
  expect((await score(again)).loss).toBe(after.loss)
  // And can be exported once more after the attempt that opened it has gone.
  expect(
    (await attempt((engine) => engine.exportFolder({ model: again, name: 'twice', dtype: 'BF16', card: '', metadata: {} }))).file.files
      .length,
  ).toBe(8)
  loadModel(folder).close()

  // As a GGUF file: in again it is the same model within what its type explains, and a Modelfile lies beside it.
  const gguf = await attempt((engine) =>
    engine.exportFolder({
      model: trained,
      name: 'tiny-trained',
      format: 'gguf',
      dtype: 'Q8_0',
      card: '# card',
      metadata: { 'thaw.seed': '1' },
    }),
  )
  expect(gguf.file.files.map((file) => file.path)).toEqual(['Modelfile', 'README.md', 'tiny-trained-111K-v1.0-Q8_0.gguf'])
  expect(gguf.gate.divergence).toBeLessThan(0.01)
  expect(gguf.gate.divergence).toBeGreaterThan(0)
  const weights = path.join(home, 'tiny-trained.gguf')
  fs.copyFileSync(await store.verifiedPath(gguf.file.files.at(-1)?.digest ?? ''), weights)
  const shrunk = await attempt((engine) => engine.importModel({ path: weights, name: 'gguf', source: 'test', license: null }))
  expect((await score(shrunk)).loss).toBeCloseTo(after.loss, 1)
  expect(fs.readFileSync(await store.verifiedPath(gguf.file.files[0]?.digest ?? ''), 'utf8')).toMatch(
    /^FROM \.\/tiny-trained-111K-v1\.0-Q8_0\.gguf\n/,
  )

  // In pieces: the folder says where each tensor lies, and opens as before.
  const pieces = await attempt((engine) =>
    engine.exportFolder({ model: trained, name: 'pieces', dtype: 'F32', card: '', metadata: {}, shardBytes: 100_000 }),
  )
  expect(pieces.file.files.map((file) => file.path).filter((name) => name.startsWith('model')).length).toBeGreaterThan(3)
  expect(pieces.maxLogitDifference).toBeLessThanOrEqual(1e-4)
})

it('E-8, F-20: an adapter is trained, resumed, folded in wherever the model is read, and exported as PEFT reads it', async () => {
  const model = await importTiny()
  const data = await dataset(textRows(8), 'text')
  const modules = ['self_attn.q_proj', 'self_attn.v_proj', 'mlp.up_proj'].map((m) => `model.layers.1.${m}`)
  const adapter = { method: 'dora', r: 4, lora_alpha: 8, lora_dropout: 0, init_lora_weights: 'default', modules } as const
  const job = { model, data, validation: data, trainable: null, adapter, args: { ...ARGS, learning_rate: 2e-2 } }
  const checkpoints: Checkpoint[] = []
  const stop = new AbortController()
  await attempt(
    async (engine) => {
      for await (const event of engine.train(job)) if (event.type === 'step' && event.step === 3) stop.abort()
    },
    { checkpoints, stop: stop.signal },
  )
  const done = (await attempt((engine) => events(engine.train(job)))).at(-1) as Extract<TrainEvent, { type: 'done' }>
  const rest = await attempt((engine) => events(engine.train(job)), { checkpoints })
  expect(rest.at(-1)).toMatchObject({ delta: null, adapter: done.adapter })
  expect(done).toMatchObject({
    delta: null,
    adapter: { method: 'dora', r: 4, parameters: 4 * (64 + 64) + 64 + 4 * (64 + 32) + 32 + 4 * (64 + 96) + 96 },
  })
  await expect(
    attempt((engine) => events(engine.train({ ...job, adapter: { ...adapter, lora_alpha: 9 } })), { checkpoints }),
  ).rejects.toThrow(/another training.*lora_alpha/)

  const trained: ModelHandle = { ...model, ...(done.adapter && { adapter: done.adapter }) }
  const score = (of: ModelHandle) =>
    attempt((engine) => engine.evaluate({ model: of, data, max_length: 96, batch_size: 4, train_on: 'all' }))
  const [before, after] = [await score(model), await score(trained)]
  expect(after.loss).toBeLessThan(before.loss - 0.05)
  expect(Math.abs(after.loss - (done.eval_loss as number))).toBeLessThan(1e-4)
  // The exported adapter computes beside the base what the folded one does.
  const file = await attempt((engine) => engine.exportAdapter({ model: trained, name: 'adapter', card: '# card' }))
  expect(file.files.map(({ path: name }) => name).sort()).toEqual(['README.md', 'adapter_config.json', 'adapter_model.safetensors'])
  const folder = path.join(home, 'adapter-out')
  fs.mkdirSync(folder)
  for (const one of file.files) fs.copyFileSync(await store.verifiedPath(one.digest), path.join(folder, one.path))
  const base = loadModel(TINY_GGUF)
  const again = loadAdapter(base, folder)
  expect(again.config).toMatchObject({ r: 4, lora_alpha: 8, use_dora: true, target_modules: [...modules].sort() })
  expect(again.trainable.length).toBe(3 * modules.length)
  base.close()
  await expect(attempt((engine) => engine.exportAdapter({ model, name: 'x', card: '' }))).rejects.toThrow(/carries no adapter/)

  // A training on top folds it into the weights: the result needs the adapter no more.
  const next = { ...job, model: trained, adapter: undefined, args: { ...ARGS, max_steps: 1, learning_rate: 0 } }
  const { delta } = (await attempt((engine) => events(engine.train(next)))).at(-1) as Extract<TrainEvent, { type: 'done' }>
  expect((await score({ ...model, delta })).loss).toBeCloseTo(after.loss, 5)
})

it('SCI-111, SCI-115: preferences train an adapter through handles, and the model comes to prefer the chosen answers', async () => {
  const model = await importTiny()
  const rows = Array.from({ length: 8 }, (_, i) => ({
    prompt: `Who wrote ${i}?`,
    chosen: 'The keeper did.',
    rejected: `Nobody at all ${i}.`,
  }))
  const data = await dataset(rows, 'preference')
  const modules = ['model.layers.1.mlp.up_proj', 'model.layers.1.mlp.down_proj']
  const adapter = { method: 'lora', r: 4, lora_alpha: 8, lora_dropout: 0, init_lora_weights: 'default', modules } as const
  const settings = {
    loss_type: 'sigmoid',
    beta: 0.5,
    gamma: 0,
    label_smoothing: 0,
    rpo_alpha: 0,
    desirable_weight: 1,
    undesirable_weight: 1,
  } as const
  const job = {
    model,
    data,
    validation: data,
    trainable: null,
    adapter,
    preference: settings,
    args: { ...ARGS, learning_rate: 1e-2, num_train_epochs: 4 },
  }
  const list = await attempt((engine) => events(engine.train(job)))
  const steps = list.filter((event) => event.type === 'step')
  expect(steps[0]?.loss).toBeCloseTo(Math.log(2), 3)
  expect(steps.at(-1)?.metrics?.['rewards/accuracies']).toBe(1)
  const done = list.at(-1) as Extract<TrainEvent, { type: 'done' }>
  const trained: ModelHandle = { ...model, ...(done.adapter && { adapter: done.adapter }) }
  const lossOf = async (of: ModelHandle, answer: 'chosen' | 'rejected') => {
    const asked = await dataset(
      rows.map((row) => ({ prompt: row.prompt, completion: row[answer] })),
      'prompt_completion',
    )
    const job = { model: of, data: asked, max_length: 96, batch_size: 4, train_on: 'completion' } as const
    return (await attempt((engine) => engine.evaluate(job))).loss
  }
  const gap = async (of: ModelHandle) => (await lossOf(of, 'rejected')) - (await lossOf(of, 'chosen'))
  expect(await gap(trained)).toBeGreaterThan((await gap(model)) + 0.2)
  await expect(attempt((engine) => events(engine.train({ ...job, args: { ...ARGS, max_length: 4 } })))).rejects.toThrow(
    /longer than max_length/,
  )
})

it('F-60: a folder that does not compute what the model does turns the gate red', async () => {
  const model = await importTiny()
  // A delta whose values are below what BF16 can tell apart is fine; one with huge values is not representable in F16.
  const file = path.join(home, 'huge.safetensors')
  const base = loadModel(TINY_GGUF)
  const name = 'model.norm.weight'
  const { writeSafetensors, floatTensor } = await import('../../../engine/formats/safetensors')
  await writeSafetensors(file, [floatTensor(name, [64], 'F32', () => base.read(name).map((x, i) => (i ? x : 70_000)))])
  base.close()
  const delta = (await store.putFile(file, 'link')).digest
  await expect(
    attempt((engine) => engine.exportFolder({ model: { ...model, delta }, name: 'x', dtype: 'F16', card: '', metadata: {} })),
  ).rejects.toThrow(/not exported|not finite/)
})
