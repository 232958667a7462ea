/** Nodes that try short trainings, on one engine: find-learning-rate, interpolate-weights, find-suspects. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { auroc, seeded } from '../../analysis/index'
import type { ModelHandle } from '../../nodes/_kit/ports'
import { findLearningRate } from '../../nodes/find-learning-rate'
import { findSuspects } from '../../nodes/find-suspects'
import { interpolateWeights } from '../../nodes/interpolate-weights'
import { TINY_GGUF, textRows } from '../engine/support/tiny-gguf'
import { type EngineContext, engineContext } from '../kit/engine-context'

// Seconds of work; a machine without a free core takes minutes.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let kit: EngineContext
let model: ModelHandle
const rows = textRows(48).map((row, i) => ({ id: `r${i}`, ...row }))
beforeAll(async () => {
  kit = await engineContext()
  model = await kit.model(TINY_GGUF, 'tiny')
})
afterAll(() => kit.close())

test('SCI-39, SCI-41, SCI-45: a sweep suggests a rate well below where it breaks, confirms it with three runs, and changes nothing', async () => {
  const out = await findLearningRate.run({
    params: findLearningRate.params.parse({ num_it: 24, start_lr: 1e-5, end_lr: 10, memory_samples: 16, eval_samples: 16, eval_steps: 3 }),
    inputs: { model, data: await kit.dataset(rows.slice(0, 32), 'text'), validation: await kit.dataset(rows.slice(32), 'text') },
    ctx: kit.ctx,
  })
  const { metrics } = out
  expect(metrics.learning_rate).toBeGreaterThan(1e-4)
  if (metrics.divergence_rate !== undefined) expect(metrics.suggested_rate).toBeLessThanOrEqual(metrics.divergence_rate / 3 + 1e-9)
  const drawn = await kit.reportOf(out.report)
  expect(drawn.sections[0]?.curves?.lines.map((l) => l.name)).toEqual(['training', 'smoothed', 'validation'])
  const [low, mid, high] = (drawn.sections[1]?.bars ?? []).map((b) => Number(b.label))
  expect((mid as number) / (low as number)).toBeCloseTo(3, 0)
  expect((high as number) / (mid as number)).toBeCloseTo(3, 0)
  expect(out.report.verdict?.action).toMatch(/^Set .* in Train/)
})

test('SCI-74, SCI-76: α 0 and 1 are the models themselves; between them the loss and the cost are measured point by point', async () => {
  const data = await kit.dataset(rows.slice(0, 16), 'text')
  const { delta } = await kit.ctx.engine.trial({
    model,
    data,
    trainable: null,
    watch: [],
    rates: Array(6).fill(3e-3),
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
  const tuned = { ...model, delta }
  const mix = (alpha: number, wired = false) =>
    interpolateWeights.run({
      params: interpolateWeights.params.parse({ alpha, sweep: 2 }),
      inputs: { model: tuned, ...(wired && { data }) },
      ctx: kit.ctx,
    })
  expect((await mix(0)).model.delta).toBeNull()
  expect((await mix(1)).model).toEqual(tuned)
  const half = await mix(0.5, true)
  expect(half.model.delta).not.toBe(delta)
  const points = (await kit.reportOf(half.report)).sections[0]?.curves?.lines[0]?.points ?? []
  expect(points.map(([alpha]) => alpha)).toEqual([0, 0.5, 1])
  expect(points[0]?.[1]).toBeGreaterThan(points[2]?.[1] as number)
  await expect(
    interpolateWeights.run({ params: interpolateWeights.params.parse({}), inputs: { model }, ctx: kit.ctx }),
  ).rejects.toMatchObject({ code: 'not_trained' })
})

test('SCI-85, SCI-89: rows whose answers were shuffled stand out among those that training learns', async () => {
  // A rule that two blocks can learn: the answer repeats the last word. One row in ten has somebody else's.
  const words = ['ship', 'ledger', 'keeper', 'lighthouse', 'Monday', 'hour', 'sea', 'notice']
  const r = seeded(2)
  const planted = Array.from({ length: 120 }, (_, i) => {
    const word = words[i % words.length] as string
    const wrong = i % 10 === 0
    return {
      id: `r${i}`,
      wrong,
      prompt: `${r.pick(words)} ${r.pick(words)} the ${word}:`,
      completion: ` ${wrong ? (words[(i + 3) % words.length] as string) : word}`,
    }
  })
  const data = await kit.dataset(
    planted.map(({ wrong: _, ...row }) => row),
    'prompt_completion',
  )
  const out = await findSuspects.run({
    params: findSuspects.params.parse({ num_train_epochs: 8, learning_rate: 5e-3, per_device_train_batch_size: 12 }),
    inputs: { model, data },
    ctx: kit.ctx,
  })
  expect(out.data).toEqual(data)
  const table = await kit.rowsOf(out.suspects)
  expect(table.length).toBeGreaterThanOrEqual(12)
  const rank = new Map(table.map((row, i) => [row.row as string, -i]))
  const scores = planted.map((row) => rank.get(row.id) ?? -1000)
  expect(
    auroc(
      scores.map((s) => -s),
      planted.map((row) => row.wrong),
    ),
  ).toBeGreaterThan(0.85)
})
