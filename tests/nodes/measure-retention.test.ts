import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { ModelHandle } from '../../nodes/_kit/ports'
import { measureRetention } from '../../nodes/measure-retention'
import { textRows } from '../engine/support/tiny-gguf'
import { type EngineContext, engineContext } from '../kit/engine-context'

// Seconds of work; a machine without a free core takes minutes.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let kit: EngineContext
let model: ModelHandle
beforeAll(async () => {
  kit = await engineContext()
  model = await kit.tiny()
})
afterAll(() => kit.close())

const measure = async (of: ModelHandle, params: object = {}) => {
  const task = await kit.dataset(
    textRows(8).map((row, i) => ({ id: `r${i}`, ...row })),
    'text',
  )
  const out = await measureRetention.run({
    params: measureRetention.params.parse({ max_texts: 4, max_length: 32, self_samples: 2, self_sample_length: 8, ...params }),
    inputs: { model: of, task },
    ctx: kit.ctx,
  })
  return { ...out, drawn: await kit.reportOf(out.report) }
}

test('SCI-69: an untouched model forgot exactly nothing', async () => {
  const { metrics, report } = await measure(model)
  expect(metrics).toMatchObject({ knowledge_cost: 0, general_divergence: 0, general_agreement: 1, self_divergence: 0, task_divergence: 0 })
  expect(report.verdict?.tone).toBe('good')
})

test('SCI-71: planted damage is flagged, says where most was lost, and what to do', async () => {
  const data = await kit.dataset(
    textRows(16).map((row, i) => ({ id: `r${i}`, ...row })),
    'text',
  )
  const { delta } = await kit.ctx.engine.trial({
    model,
    data,
    trainable: null,
    watch: [],
    rates: Array(6).fill(0.05),
    train_on: 'all',
    max_length: 96,
    batch_size: 8,
    eval_batch_size: 8,
    eval_steps: 0,
    max_grad_norm: 1,
    seed: 1,
    bf16: false,
    keep: true,
  })
  const { metrics, report, drawn } = await measure({ ...model, delta })
  expect(metrics.knowledge_cost_low).toBeGreaterThan(0)
  expect(metrics.bits_per_byte).toBeGreaterThan(metrics.base_bits_per_byte ?? 99)
  expect(metrics.self_divergence).toBeGreaterThan(0)
  expect(report.verdict).toMatchObject({ tone: 'bad', action: expect.stringContaining('lower the learning rate') })
  expect(drawn.sections.map((s) => s.title)).toContain('Where most was lost')
})
