import { describe, expect, test } from 'vitest'
import type { TrainEvent } from '../../nodes/_kit/context'
import type { DatasetFacts, PortFacts } from '../../nodes/_kit/facts'
import type { DatasetHandle } from '../../nodes/_kit/ports'
import { trainPreference } from '../../nodes/train-preference'
import { handleOf, headerOf, memoryContext } from './kit'

const smol = headerOf('smollm2')
const model: PortFacts = { kind: 'model', facts: { ...smol, trainable: null, trainedOn: [] } }
const data = (given: Partial<DatasetFacts> = {}): PortFacts => ({
  kind: 'dataset',
  facts: {
    name: 'pairs',
    rows: 200,
    format: 'preference',
    columns: [],
    split: 'train',
    chars: { mean: 600, max: 800 },
    origin: 'data',
    ...given,
  },
})
const infer = (params: Record<string, unknown>, inputs: Record<string, PortFacts>) =>
  trainPreference.infer?.({ params: trainPreference.params.parse(params), inputs, node: 'prefer' }) ?? {}

describe('SCI-114: what is left to the plan', () => {
  test('a millionth for a whole model, ten times that for an adapter, half the batch, one epoch, the β of the loss', () => {
    expect(infer({}, { model, data: data() }).resolved).toMatchObject({
      learning_rate: 1e-6,
      beta: 0.1,
      per_device_train_batch_size: 4,
    })
    expect(infer({ method: 'lora' }, { model, data: data() }).resolved).toMatchObject({ learning_rate: 1e-5 })
    expect(infer({ loss_type: 'simpo' }, { model, data: data() }).resolved).toMatchObject({ beta: 2 })
    expect(infer({}, { model, data: data() }).card).toEqual([
      { label: 'Loss', value: 'DPO, β 0.1' },
      { label: 'Learning rate', value: '1e-6, auto' },
      { label: 'Steps', value: '50' },
    ])
  })
  test('the reference pass costs time, an adapter saves memory', () => {
    const of = (params: Record<string, unknown>) => infer(params, { model, data: data() }).estimate
    expect(of({})?.seconds).toBeGreaterThan(of({ loss_type: 'orpo' })?.seconds ?? 0)
    expect(of({ method: 'lora' })?.memoryBytes).toBeLessThan(0.8 * (of({})?.memoryBytes ?? 0))
  })
})

test('rows that are no preferences, or the other kind, are refused with the loss that takes them', () => {
  expect(infer({}, { model, data: data({ format: 'messages' }) }).problems).toMatchObject([{ code: 'no_preferences', got: 'messages' }])
  expect(infer({}, { model, data: data({ format: 'unpaired_preference' }) }).problems).toMatchObject([
    { code: 'no_preferences', param: 'loss_type', fix: { params: { loss_type: 'kto' } } },
  ])
  expect(infer({ loss_type: 'kto' }, { model, data: data() }).problems).toMatchObject([{ fix: { params: { loss_type: 'sigmoid' } } }])
  expect(infer({ loss_type: 'kto' }, { model, data: data({ format: 'unpaired_preference' }) }).problems).toEqual([])
  expect(infer({}, { model, data: data(), validation: data({ format: 'text' }) }).problems).toMatchObject([{ code: 'no_preferences' }])
})

test('F-50: the engine is given what the loss takes; rewards and margins are points of the curve and metrics of the end', async () => {
  let job: Parameters<ReturnType<typeof memoryContext>['ctx']['engine']['train']>[0] | undefined
  const memory = memoryContext({
    backend: { name: 'wasm', device: 'CPU', reason: 'test' },
    async *train(given): AsyncGenerator<TrainEvent> {
      job = given
      const step = { step: 1, epoch: 1, loss: 0.6, grad_norm: 1, learning_rate: 1e-6, tokens_per_second: 9, num_tokens: 9, seconds: 1 }
      yield { type: 'step', ...step, metrics: { 'rewards/margins': 0.3 } }
      yield { type: 'eval', step: 1, epoch: 1, eval_loss: 0.5, seconds: 1, metrics: { 'eval_rewards/accuracies': 0.75 } }
      yield { type: 'done', step: 1, epochs: 1, delta: 'd'.repeat(64), train_loss: 0.6, eval_loss: 0.5, bestStep: 1, seconds: 2 }
    },
  })
  const pairs: DatasetHandle = {
    artifact: 'a'.repeat(64),
    rows: 200,
    format: 'preference',
    columns: [],
    name: 'pairs',
    split: 'train',
    source: 'b'.repeat(64),
    chars: { mean: 600, max: 800 },
  }
  const params = trainPreference.params.parse({ loss_type: 'simpo', gamma_beta_ratio: 0.25, rpo_alpha: 1 })
  const inputs = { model: handleOf(smol), data: pairs, validation: pairs }
  const out = await trainPreference.run({ params, inputs, ctx: memory.ctx })
  expect(job?.preference).toEqual({
    loss_type: 'simpo',
    beta: 2,
    gamma: 0.5,
    label_smoothing: 0,
    rpo_alpha: 1,
    desirable_weight: 1,
    undesirable_weight: 1,
  })
  expect(job?.args).toMatchObject({
    num_train_epochs: 1,
    learning_rate: 1e-6,
    per_device_train_batch_size: 4,
    per_device_eval_batch_size: 4,
  })
  expect(Object.values(job?.args ?? {})).not.toContain('auto')
  expect(memory.points).toEqual([
    expect.objectContaining({ step: 1, loss: 0.6, 'rewards/margins': 0.3 }),
    { step: 1, epoch: 1, eval_loss: 0.5, 'eval_rewards/accuracies': 0.75 },
  ])
  expect(out.metrics).toMatchObject({ eval_loss: 0.5, 'rewards/margins': 0.3, 'eval_rewards/accuracies': 0.75 })
  expect(out.model).toMatchObject({ delta: 'd'.repeat(64), lineage: [{ data: pairs.artifact, steps: 1 }] })
  await expect(
    trainPreference.run({ params, inputs: { ...inputs, data: { ...pairs, format: 'text' } }, ctx: memory.ctx }),
  ).rejects.toMatchObject({ code: 'no_preferences' })
})
