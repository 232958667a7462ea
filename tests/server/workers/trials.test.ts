/** The engine's short jobs on the smallest model: trials, gradients, divergence, singular values, interpolation. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { DatasetHandle, ModelHandle } from '../../../nodes/_kit/ports'
import { TINY_GGUF, textRows } from '../../engine/support/tiny-gguf'
import { type EngineContext, engineContext } from '../../kit/engine-context'

// Seconds of work; a machine without a free core takes minutes.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let kit: EngineContext
let model: ModelHandle
let data: DatasetHandle
let watched: DatasetHandle
beforeAll(async () => {
  kit = await engineContext()
  model = await kit.model(TINY_GGUF, 'tiny')
  const rows = textRows(48).map((row, i) => ({ id: `r${i}`, ...row }))
  data = await kit.dataset(rows.slice(0, 32), 'text')
  watched = await kit.dataset(rows.slice(32), 'text')
})
afterAll(() => kit.close())

const trial = (more: object = {}) =>
  kit.ctx.engine.trial({
    model,
    data,
    trainable: null,
    watch: [{ data: watched, train_on: 'all', max_length: 96 }],
    rates: Array(6).fill(2e-3),
    train_on: 'all',
    max_length: 96,
    batch_size: 8,
    eval_batch_size: 8,
    eval_steps: 3,
    max_grad_norm: 1,
    seed: 1,
    bf16: false,
    ...more,
  })

test('SCI-2, SCI-9: a trial learns, looks row by row, leaves the model alone, and repeats itself', async () => {
  const before = await kit.ctx.engine.evaluate({ model, data: watched, max_length: 96, batch_size: 8, train_on: 'all' })
  const a = await trial()
  expect(a.looks.map((l) => l.step)).toEqual([3, 6])
  expect(a.looks[1]?.sets[0]?.rowLosses.length).toBe(16)
  expect(a.looks[1]?.sets[0]?.loss).toBeLessThan(before.loss - 0.3)
  expect(a.delta).toBeNull()
  expect(await trial()).toEqual(a)
  const after = await kit.ctx.engine.evaluate({ model, data: watched, max_length: 96, batch_size: 8, train_on: 'all' })
  expect(after).toEqual(before)
})

test('a trial at an absurd rate ends where the loss is lost, without an error', async () => {
  const lost = await trial({ rates: Array(12).fill(1e30), watch: [] })
  expect(lost.divergedAt).toBeGreaterThan(0)
  expect(lost.looks).toEqual([])
})

test('SCI-69, SCI-76: an untouched model has moved by exactly nothing; half of a change moves less than the whole', async () => {
  const { delta } = await trial({ keep: true })
  const tuned = { ...model, delta }
  const job = { base: model, data: watched, train_on: 'all', max_length: 96 } as const
  const none = await kit.ctx.engine.divergence({ ...job, model })
  for (const row of none.rows) expect(row).toMatchObject({ divergence: 0, agreed: row.tokens, tuned: row.base })
  expect(none.lost).toEqual([])
  const sum = async (m: ModelHandle) => (await kit.ctx.engine.divergence({ ...job, model: m })).rows.reduce((s, r) => s + r.divergence, 0)
  const whole = await sum(tuned)
  const half = await sum({ ...model, delta: await kit.ctx.engine.interpolate({ model: tuned, alpha: 0.5 }) })
  expect(half).toBeGreaterThan(0)
  expect(half).toBeLessThan(whole)
  expect(await kit.ctx.engine.interpolate({ model: tuned, alpha: 0 })).toBeNull()
  expect(await kit.ctx.engine.interpolate({ model: tuned, alpha: 1 })).toBe(delta)
})

test('SCI-14: the gradient of the task stands far above that of tokens the model draws itself', async () => {
  const job = { model, data, train_on: 'all', max_length: 96, batch_size: 8, batches: 4, seed: 1, bf16: false } as const
  const task = await kit.ctx.engine.gradients({ ...job, resample: false })
  const reference = await kit.ctx.engine.gradients({ ...job, resample: true })
  const mean = (list: typeof task) => list.reduce((s, t) => s + t.gradient, 0) / list.length
  expect(task.length).toBe(reference.length)
  expect(mean(task)).toBeGreaterThan(2 * mean(reference))
})

test('singular values are those of a matrix with known ones', async () => {
  const { singularValues } = await import('../../../engine/evaluate/singular-values')
  // diag(3, 2, 1) turned by a rotation on both sides keeps them.
  const c = Math.cos(0.7)
  const s = Math.sin(0.7)
  const a = Float32Array.from([3 * c, 2 * s, 0, 0, -3 * s, 2 * c, 0, 0, 0, 0, c, s])
  const close = (list: Float64Array) => {
    for (const [i, x] of [3, 2, 1].entries()) expect(list[i]).toBeCloseTo(x, 6)
  }
  close(singularValues(a, 3, 4))
  close(
    singularValues(
      Float32Array.from({ length: 12 }, (_, k) => a[(k % 3) * 4 + Math.floor(k / 3)] as number),
      4,
      3,
    ),
  )
  const found = await kit.ctx.engine.singularValues({ model, names: ['model.layers.0.self_attn.q_proj.weight'] })
  expect(found[0]?.values.length).toBe(Math.min(...(found[0]?.shape ?? [])))
})
