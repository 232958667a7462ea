import { describe, expect, test } from 'vitest'
import { ratesOf } from '../../engine/train/arguments'
import { learningRateAt } from '../../engine/train/schedules'
import { artifactsOf, contentDigest } from '../../nodes/_kit/cache-key'
import type { TrainArguments } from '../../nodes/_kit/context'
import { trainFlopsPerToken } from '../../nodes/_kit/estimate'
import type { DatasetFacts, ModelFacts, PortFacts } from '../../nodes/_kit/facts'
import { countAll, resolveFreeze } from '../../nodes/_kit/freeze'
import { baseOf, type DatasetHandle, isTrained } from '../../nodes/_kit/ports'
import { train } from '../../nodes/train'
import { handleOf, headerOf, memoryContext } from './kit'

const smol = headerOf('smollm2')
const plan = (count: number) => {
  const found = resolveFreeze(
    {
      mode: 'last',
      count,
      blocks: [],
      patterns: [],
      parts: ['attention', 'mlp', 'norm'],
      train_embeddings: false,
      train_head: false,
      train_norms: false,
    },
    smol,
  ).plan
  if (!found) throw new Error('no plan')
  return found
}
const model = (given: Partial<ModelFacts> = {}): PortFacts => ({
  kind: 'model',
  facts: { ...smol, trainable: plan(10), trainedOn: [], ...given },
})
const data = (given: Partial<DatasetFacts> = {}): PortFacts => ({
  kind: 'dataset',
  facts: {
    name: 'clauses',
    rows: 400,
    format: 'messages',
    columns: [],
    split: 'train',
    chars: { mean: 600, max: 800 },
    origin: 'data',
    ...given,
  },
})
const infer = (params: Record<string, unknown>, inputs: Record<string, PortFacts | undefined>) =>
  train.infer?.({ params: train.params.parse(params), inputs, node: 'train' }) ?? {}

describe('settings at auto follow the wiring', () => {
  test('a third of the blocks on conversations: a high rate, answers trained, two looks an epoch', () => {
    expect(infer({}, { model: model(), data: data(), validation: data({ split: 'validation', rows: 32 }) }).resolved).toEqual({
      learning_rate: 5e-4,
      per_device_train_batch_size: 8,
      per_device_eval_batch_size: 8,
      max_length: 448,
      eval_steps: 25,
      train_on: 'assistant',
    })
  })
  test('a whole model: the usual low rate; without validation nothing is evaluated; text is trained whole', () => {
    const { resolved } = infer({}, { model: model({ trainable: null }), data: data({ format: 'text' }) })
    expect(resolved).toMatchObject({ learning_rate: 2e-5, eval_steps: 0, train_on: 'all' })
  })
  test('what is set stays, and what is not known stays auto', () => {
    expect(infer({ learning_rate: 1e-3 }, { model: model(), data: data() }).resolved).not.toHaveProperty('learning_rate')
    expect(infer({}, { data: data({ rows: null, chars: null, format: null }) }).resolved).toEqual({ eval_steps: 0 })
  })
  test('R-66: the length is extent only where the schedule does not depend on it', () => {
    const extent = (params: Record<string, unknown>) => (train.extent as (p: unknown) => string[])(train.params.parse(params))
    expect(extent({ lr_scheduler_type: 'constant_with_warmup', warmup_steps: 6 })).toEqual(['num_train_epochs', 'max_steps'])
    expect(extent({ lr_scheduler_type: 'constant' })).toEqual(['num_train_epochs', 'max_steps'])
    for (const params of [{}, { lr_scheduler_type: 'linear' }, { lr_scheduler_type: 'constant_with_warmup', warmup_steps: 0.1 }])
      expect(extent(params)).toEqual([])
  })
  test('evaluations do not depend on the number of epochs, so that more epochs continue', () => {
    const at = (num_train_epochs: number) =>
      infer({ num_train_epochs }, { model: model(), data: data(), validation: data() }).resolved?.eval_steps
    expect(at(1)).toBe(at(7))
  })
})

describe('what is said before a run', () => {
  test('SCI-134: the cost of a token falls with what is frozen, never below the forward pass', () => {
    const costs = [30, 20, 10, 2].map((n) => trainFlopsPerToken(smol, n === 30 ? null : plan(n), 192))
    expect(costs).toEqual([...costs].sort((a, b) => b - a))
    // Full training is about six times the matrix parameters (SCI-134).
    expect((costs[0] ?? 0) / (6 * countAll(smol.parameters))).toBeCloseTo(1, 0)
    expect(costs[3]).toBeGreaterThan(2 * countAll(smol.parameters))
  })
  test('steps, estimate and memory grow with epochs, batch and length', () => {
    const say = (params: Record<string, unknown>, d: Partial<DatasetFacts> = {}) => infer(params, { model: model(), data: data(d) })
    expect(say({ num_train_epochs: 2 }).card?.[1]).toEqual({ label: 'Steps', value: '100 (2 epochs)' })
    expect(say({ num_train_epochs: 2 }).estimate?.seconds).toBeGreaterThan(say({ num_train_epochs: 1 }).estimate?.seconds ?? 0)
    expect(say({ per_device_train_batch_size: 16 }).estimate?.memoryBytes).toBeGreaterThan(say({}).estimate?.memoryBytes ?? 0)
    expect(say({}, { chars: { mean: 600, max: 3000 } }).estimate?.memoryBytes).toBeGreaterThan(say({}).estimate?.memoryBytes ?? 0)
    expect(say({ max_steps: 7 }).card?.[1]).toEqual({ label: 'Steps', value: '7' })
  })
  test.each([
    ['a table', {}, { data: data({ format: 'table' }) }, 'format_not_trainable'],
    ['preference pairs', {}, { data: data({ format: 'preference' }) }, 'format_not_trainable'],
    ['conversations without a template', {}, { data: data(), model: model({ hasChatTemplate: false }) }, 'no_chat_template'],
    ['more tokens than the model reads', { max_length: 9000 }, { data: data(), model: model() }, 'longer_than_context'],
    ['the completion of plain text', { train_on: 'completion' }, { data: data({ format: 'text' }) }, 'nothing_to_train'],
    ['a destroying rate', { learning_rate: 0.5 }, { data: data(), model: model() }, 'high_learning_rate'],
  ] as [string, Record<string, unknown>, Record<string, PortFacts>, string][])('%s is a problem', (_, params, inputs, code) => {
    expect(infer(params, inputs).problems?.map((p) => p.code)).toContain(code)
  })
  test('the model that comes out remembers what it was trained on', () => {
    expect(infer({}, { model: model(), data: data() }).outputs?.model).toMatchObject({ facts: { trainedOn: ['data'] } })
  })
})

describe('optimizers and schedules', () => {
  const given = async (params: Record<string, unknown>) => {
    let args: TrainArguments | undefined
    const memory = memoryContext({
      backend: { name: 'wasm', device: 'CPU', reason: 'test' },
      async *train(job) {
        args = job.args
        yield { type: 'stopped', step: 1 }
      },
    })
    const rows: DatasetHandle = {
      artifact: 'a'.repeat(64),
      rows: 400,
      format: 'messages',
      columns: [],
      name: 'clauses',
      split: 'train',
      source: 'b'.repeat(64),
      chars: { mean: 600, max: 800 },
    }
    const inputs = { model: { ...handleOf(smol), trainable: plan(10) }, data: rows, validation: rows }
    await expect(train.run({ params: train.params.parse(params), inputs, ctx: memory.ctx })).rejects.toThrow('step 1')
    return args as TrainArguments
  }
  test('a schedule is given what it takes and nothing else, by the names of transformers', async () => {
    const kwargs = async (lr_scheduler_type: string) => (await given({ lr_scheduler_type, min_lr_rate: 0.2, power: 2 })).lr_scheduler_kwargs
    for (const name of ['linear', 'cosine', 'constant', 'constant_with_warmup', 'inverse_sqrt']) expect(await kwargs(name)).toEqual({})
    expect(await kwargs('cosine_with_restarts')).toEqual({ num_cycles: 1 })
    expect(await kwargs('cosine_with_min_lr')).toEqual({ min_lr_rate: 0.2 })
    expect(await kwargs('polynomial')).toEqual({ power: 2, lr_end: 0 })
    expect(await kwargs('warmup_stable_decay')).toEqual({ num_decay_steps: 0.2, min_lr_ratio: 0.2 })
    for (const type of ['cosine_with_restarts', 'cosine_with_min_lr', 'polynomial', 'warmup_stable_decay', 'inverse_sqrt'] as const) {
      const args = await given({ lr_scheduler_type: type })
      const rates = ratesOf({ ...args, warmup_steps: 5 }, 100)
      expect(learningRateAt(rates, 5) / args.learning_rate).toBeCloseTo(1, 1)
      expect(learningRateAt(rates, 99)).toBeLessThan(0.4 * args.learning_rate)
    }
  })
  test('each optimizer begins at a rate of its own, and the estimate knows what it keeps', async () => {
    expect(await given({ optim: 'lion', early_stopping_patience: 3, layerwise_lr_decay: 0.9 })).toMatchObject({
      optim: 'lion',
      learning_rate: 5e-5,
      early_stopping_patience: 3,
      layerwise_lr_decay: 0.9,
      neftune_noise_alpha: 0,
    })
    expect((await given({ optim: 'sgd', momentum: 0, nesterov: true })).nesterov).toBe(false)
    const memory = ['adamw', 'lion', 'adafactor'].map(
      (optim) => infer({ optim }, { model: model(), data: data() }).estimate?.memoryBytes ?? 0,
    )
    expect(memory).toEqual([...memory].sort((a, b) => b - a))
    expect((memory[0] as number) - (memory[1] as number)).toBe(4 * plan(10).parameters)
    expect(infer({ early_stopping_patience: 2 }, { model: model(), data: data() }).problems?.map((p) => p.code)).toEqual(['no_validation'])
  })
})

describe('adapters', () => {
  const lora = { method: 'lora', r: 8 }
  test('SCI-44: beside every linear layer, or only those that Freeze layers leaves open; a rate of their own', () => {
    const whole = infer(lora, { model: model({ trainable: null }), data: data() })
    // 30 blocks of q 576×576, k and v 192×576, o 576×576, and three of 1536×576.
    const perBlock = 2 * (576 + 576) + 2 * (192 + 576) + 3 * (1536 + 576)
    expect(whole.outputs?.model).toMatchObject({ facts: { adapter: { method: 'lora', r: 8, parameters: 30 * 8 * perBlock } } })
    expect(whole.resolved?.learning_rate).toBe(2e-4)
    expect(infer(lora, { model: model(), data: data() }).outputs?.model).toMatchObject({
      facts: { adapter: { parameters: 10 * 8 * perBlock } },
    })
    const dora = infer({ ...lora, method: 'dora', target_modules: 'attention' }, { model: model(), data: data() })
    const attention = 8 * (2 * (576 + 576) + 2 * (192 + 576)) + 2 * 576 + 2 * 192
    expect(dora.outputs?.model).toMatchObject({ facts: { adapter: { method: 'dora', parameters: 10 * attention } } })
  })
  test('SCI-131, SCI-134: it takes less memory, disk and time than the weights themselves', () => {
    const [full, adapted] = [{}, lora].map((params) => infer(params, { model: model({ trainable: null }), data: data() }).estimate)
    for (const what of ['memoryBytes', 'diskBytes', 'seconds'] as const) expect(adapted?.[what]).toBeLessThan(0.8 * (full?.[what] ?? 0))
  })
  test.each([
    ['a name that no layer has', { target_modules: 'names', target_names: ['q_proj', 'c_attn'] }, {}, 'no_such_module'],
    ['no name at all', { target_modules: 'names' }, {}, 'no_target_names'],
    ['a rank above the layer', { r: 512 }, {}, 'rank_above_layer'],
    ['nothing open to stand beside', {}, { trainable: { ...plan(10), names: ['model.norm.weight'] } }, 'nothing_adapted'],
    ['open embeddings', {}, { trainable: { ...plan(10), embeddings: 1 } }, 'adapter_leaves_frozen'],
  ] as [string, Record<string, unknown>, Partial<ModelFacts>, string][])('%s is said', (_, params, given, code) => {
    expect(infer({ ...lora, ...params }, { model: model(given), data: data() }).problems?.map((p) => p.code)).toContain(code)
  })
  test('the engine is given the exact layers, and the handle carries what comes back', async () => {
    let job: Parameters<ReturnType<typeof memoryContext>['ctx']['engine']['train']>[0] | undefined
    const adapter = { manifest: 'e'.repeat(64), method: 'lora', r: 8, parameters: 5 } as const
    const memory = memoryContext({
      backend: { name: 'wasm', device: 'CPU', reason: 'test' },
      header: async () => smol,
      async *train(given) {
        job = given
        yield { type: 'done', step: 1, epochs: 1, delta: null, adapter, train_loss: 1, eval_loss: null, bestStep: null, seconds: 1 }
      },
    })
    const rows: DatasetHandle = {
      artifact: 'a'.repeat(64),
      rows: 400,
      format: 'messages',
      columns: [],
      name: 'clauses',
      split: 'train',
      source: 'b'.repeat(64),
      chars: { mean: 600, max: 800 },
    }
    const inputs = { model: { ...handleOf(smol), trainable: plan(10) }, data: rows }
    const params = train.params.parse({ ...lora, target_modules: 'names', target_names: ['q_proj'] })
    const out = await train.run({ params, inputs, ctx: memory.ctx })
    expect(job?.adapter).toEqual({
      method: 'lora',
      r: 8,
      lora_alpha: 32,
      lora_dropout: 0,
      init_lora_weights: 'default',
      modules: Array.from({ length: 10 }, (_, i) => `model.layers.${20 + i}.self_attn.q_proj`),
    })
    expect(out.model).toMatchObject({ delta: null, adapter, lineage: [{ parameters: 10 * 8 * (576 + 576) }] })
    expect(baseOf(out.model)).not.toHaveProperty('adapter')
    expect(isTrained(out.model)).toBe(true)
    expect(contentDigest('model', out.model)).not.toBe(contentDigest('model', inputs.model))
    expect(artifactsOf('model', out.model)).toContain(adapter.manifest)
  })
})

describe('run', () => {
  const handle: DatasetHandle = {
    artifact: 'a'.repeat(64),
    rows: 400,
    format: 'messages',
    columns: [],
    name: 'clauses',
    split: 'train',
    source: 'b'.repeat(64),
    chars: { mean: 600, max: 800 },
  }
  type TrainJob = Parameters<ReturnType<typeof memoryContext>['ctx']['engine']['train']>[0]

  test('hands every resolved argument to the engine, tells its progress, and writes down where the weights came from', async () => {
    let job: TrainJob | undefined
    const memory = memoryContext({
      backend: { name: 'tensorflow', device: 'CPU', reason: 'test', bf16: true },
      async *train(given) {
        job = given
        yield { type: 'start', totalSteps: 100, fromStep: 0, trainedTokensPerEpoch: 1, rows: 399, dropped: 1, backend: 'tensorflow' }
        yield {
          type: 'step',
          step: 1,
          epoch: 0.02,
          loss: 2,
          grad_norm: 1,
          learning_rate: 1e-4,
          tokens_per_second: 900,
          num_tokens: 10,
          seconds: 1,
        }
        yield { type: 'eval', step: 1, epoch: 0.02, eval_loss: 1.5, seconds: 1 }
        yield { type: 'done', step: 100, epochs: 2, delta: 'c'.repeat(64), train_loss: 0.1, eval_loss: 0.2, bestStep: 75, seconds: 60 }
      },
    })
    const input = { ...handleOf(smol), trainable: plan(10) }
    const out = await train.run({
      params: train.params.parse({ num_train_epochs: 2 }),
      inputs: { model: input, data: handle, validation: { ...handle, split: 'validation' } },
      ctx: memory.ctx,
    })
    expect(job?.args).toMatchObject({
      learning_rate: 5e-4,
      per_device_train_batch_size: 8,
      max_length: 448,
      eval_steps: 25,
      train_on: 'assistant',
      bf16: true,
      load_best_model_at_end: true,
      warmup_steps: 0.03,
      ema_decay: null,
    })
    expect(Object.values(job?.args ?? {})).not.toContain('auto')
    expect(job?.trainable).toEqual(plan(10))
    expect(memory.points).toEqual([
      { step: 1, epoch: 0.02, loss: 2, grad_norm: 1, learning_rate: 1e-4, tokens_per_second: 900, num_tokens: 10 },
      { step: 1, epoch: 0.02, eval_loss: 1.5 },
    ])
    expect(memory.logs.filter((l) => l.level === 'warn').map((l) => l.text)).toEqual([
      expect.stringContaining('1 row longer than 448 tokens'),
    ])
    expect(out.metrics).toEqual({
      train_loss: 0.1,
      eval_loss: 0.2,
      best_step: 75,
      steps: 100,
      epochs: 2,
      learning_rate: 5e-4,
      tokens_per_second: 900,
      seconds: 60,
    })
    expect(out.model.delta).toBe('c'.repeat(64))
    expect(out.model.lineage).toEqual([
      { node: 'node', data: handle.artifact, source: handle.source, steps: 100, epochs: 2, seed: 42, parameters: plan(10).parameters },
    ])
  })

  test('SCI-51: a training whose validation loss turns is called by its name in the log, with what to do; a resume without curves is not', async () => {
    const told = async (validation: readonly number[]) => {
      const memory = memoryContext({
        backend: { name: 'wasm', device: 'CPU', reason: 'test' },
        async *train() {
          for (const [i, eval_loss] of validation.entries()) {
            for (let step = 10 * i + 1; step <= 10 * (i + 1); step++)
              yield {
                type: 'step',
                step,
                epoch: step / 50,
                loss: 2 * 0.95 ** step,
                grad_norm: 1,
                learning_rate: 1e-4,
                tokens_per_second: 900,
                num_tokens: 10,
                seconds: 1,
              }
            yield { type: 'eval', step: 10 * (i + 1), epoch: (i + 1) / 5, eval_loss, seconds: 1 }
          }
          yield { type: 'done', step: 80, epochs: 2, delta: 'c'.repeat(64), train_loss: 0.1, eval_loss: 1, bestStep: 30, seconds: 60 }
        },
      })
      await train.run({ params: train.params.parse({}), inputs: { model: handleOf(smol), data: handle }, ctx: memory.ctx })
      return memory.logs.filter((line) => line.text.includes('alidation'))
    }
    const turned = (await told([1.6, 1.2, 0.9, 0.95, 1.05, 1.2, 1.35, 1.5])).filter((line) => line.level === 'warn')
    expect(turned).toHaveLength(1)
    expect(turned[0]?.text).toContain('validation was best at step 30')
    expect((await told([1.6, 1.1, 0.8, 0.6, 0.5, 0.45, 0.42, 0.41])).at(-1)).toMatchObject({
      level: 'info',
      text: expect.stringContaining('Train longer'),
    })
    expect((await told([0.9])).filter((line) => !line.text.startsWith('Step'))).toEqual([])
  })

  test('averaged weights reach the engine, and cost memory and disk that the estimate knows', async () => {
    let job: TrainJob | undefined
    const memory = memoryContext({
      backend: { name: 'wasm', device: 'CPU', reason: 'test' },
      async *train(given) {
        job = given
        yield { type: 'stopped', step: 1 }
      },
    })
    const inputs = { model: { ...handleOf(smol), trainable: plan(10) }, data: handle }
    await expect(train.run({ params: train.params.parse({ ema_decay: 0.99 }), inputs, ctx: memory.ctx })).rejects.toThrow()
    expect(job?.args.ema_decay).toBe(0.99)
    const [off, on] = [0, 0.99].map((ema_decay) => infer({ ema_decay }, { model: model(), data: data() }).estimate)
    expect((on?.memoryBytes ?? 0) - (off?.memoryBytes ?? 0)).toBe(4 * plan(10).parameters)
    expect((on?.diskBytes ?? 0) - (off?.diskBytes ?? 0)).toBe(12 * plan(10).parameters)
  })

  test('without validation rows nothing is evaluated and the last model is kept; a stop is told with its step', async () => {
    let job: TrainJob | undefined
    const memory = memoryContext({
      backend: { name: 'wasm', device: 'CPU', reason: 'test' },
      async *train(given) {
        job = given
        yield { type: 'stopped', step: 12 }
      },
    })
    await expect(
      train.run({
        params: train.params.parse({}),
        inputs: { model: handleOf(smol), data: handle, validation: { ...handle, rows: 0 } },
        ctx: memory.ctx,
      }),
    ).rejects.toMatchObject({ code: 'stopped', message: expect.stringContaining('step 12') })
    expect(job?.args).toMatchObject({ eval_steps: 0, load_best_model_at_end: false, bf16: false, learning_rate: 2e-5 })
    expect(job?.validation).toBeUndefined()
  })
})
