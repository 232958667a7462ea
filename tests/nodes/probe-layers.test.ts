import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { registry } from '../../nodes/index'
import { probeLayers } from '../../nodes/probe-layers'
import { TINY_GGUF, textRows } from '../engine/support/tiny-gguf'
import { type EngineContext, engineContext } from '../kit/engine-context'

// Seconds of work; a machine without a free core takes minutes.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

let kit: EngineContext
beforeAll(async () => {
  kit = await engineContext()
})
afterAll(() => kit.close())

test('SCI-9, SCI-12, SCI-16: each layer is tried alone; the plan fits Freeze layers; the report holds the grid, the sets and the baselines', async () => {
  const model = await kit.model(TINY_GGUF, 'tiny')
  const rows = textRows(48).map((row, i) => ({ id: `r${i}`, ...row }))
  const params = probeLayers.params.parse({
    max_steps: 4,
    learning_rate: 3e-3,
    max_units: 1,
    eval_samples: 16,
    per_device_train_batch_size: 8,
    baselines: ['rgn', 'spectrum', 'spectrum_calibrated'],
  })
  const run = async () =>
    probeLayers.run({
      params,
      inputs: { model, data: await kit.dataset(rows.slice(0, 32), 'text'), validation: await kit.dataset(rows.slice(32), 'text') },
      ctx: kit.ctx,
    })
  const { plan, metrics, report } = await run()
  expect(metrics.best_gain).toBeGreaterThan(0)
  expect(metrics.shortfall).toBeCloseTo(Math.max(metrics.all_gain ?? 0, metrics.best_gain ?? 0) - (metrics.chosen_gain ?? 0), 9)
  const header = await kit.ctx.engine.header(model)
  expect(plan.names.every((name) => header.parameters.some((p) => p.name === name))).toBe(true)
  const frozen = await registry['freeze-layers'].run({
    params: registry['freeze-layers'].params.parse({}),
    inputs: { model, plan },
    ctx: kit.ctx,
  })
  expect(frozen.model.trainable).toEqual(plan)
  const drawn = await kit.reportOf(report)
  const grid = drawn.sections.find((s) => s.grid)?.grid
  expect(grid?.columns).toEqual(['block, gain', 'RGN', 'Spectrum', 'Spectrum, calibrated'])
  expect(grid?.rows.length).toBe(model.blocks)
  expect(drawn.sections.find((s) => s.title === 'Sets')?.bars?.map((b) => b.label)).toEqual(['Chosen', 'Random, 1 layer', 'All blocks'])
  expect(drawn.facts.find((f) => f.label === 'Learning rate')?.value).toBe('3e-3')
})

test('SCI-13: where nothing can be learned it says so and ranks nothing', async () => {
  const model = await kit.model(TINY_GGUF, 'tiny')
  const rows = textRows(48).map((row, i) => ({ id: `r${i}`, ...row }))
  await expect(
    probeLayers.run({
      params: probeLayers.params.parse({ max_steps: 1, learning_rate: 1e-6, max_units: 1, eval_samples: 16, baselines: [] }),
      inputs: {
        model,
        data: await kit.dataset(rows.slice(0, 32), 'text'),
        validation: await kit.dataset(
          rows.slice(0, 16).map((r, i) => ({ ...r, text: `${i} zebra quartz ${i * 7}` })),
          'text',
        ),
      },
      ctx: kit.ctx,
    }),
  ).rejects.toMatchObject({ code: 'nothing_to_learn' })
})
