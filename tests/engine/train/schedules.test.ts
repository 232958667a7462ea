import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, it } from 'vitest'
import { learningRateAt, type ScheduleName, warmupStepsOf } from '../../../engine/train/schedules'

const { schedules } = JSON.parse(fs.readFileSync(path.join(import.meta.dirname, '../../reference/training/schedules.json'), 'utf8'))

type Case = {
  schedule: ScheduleName
  base_lr: number
  warmup_steps: number
  total_steps: number
  options: Record<string, never>
  lr_used_at_step: number[]
  lr_after_last_step: number
}
it.each((schedules as Case[]).map((c) => [`${c.schedule} with ${c.warmup_steps} warm-up steps ${JSON.stringify(c.options)}`, c] as const))(
  'E-1: %s equals the reference',
  (_, c) => {
    const o = c.options
    const spec = {
      name: c.schedule,
      baseRate: c.base_lr,
      warmupSteps: c.warmup_steps,
      totalSteps: c.total_steps,
      ...(o.num_cycles !== undefined && { cycles: o.num_cycles }),
      ...(o.lr_end !== undefined && { endRate: o.lr_end }),
      ...(o.power !== undefined && { power: o.power }),
      ...((o.min_lr_rate ?? o.min_lr_ratio) !== undefined && { minimumShare: o.min_lr_rate ?? o.min_lr_ratio }),
      ...(o.min_lr !== undefined && { minimumShare: o.min_lr / c.base_lr }),
      ...(o.num_decay_steps !== undefined && { decaySteps: o.num_decay_steps }),
      ...(o.num_stable_steps !== undefined && { stableSteps: o.num_stable_steps }),
      ...(o.warmup_lr_rate !== undefined && { warmupShare: o.warmup_lr_rate }),
      ...(o.warmup_type !== undefined && { warmupType: o.warmup_type }),
      ...(o.decay_type !== undefined && { decayType: o.decay_type }),
    }
    expect(c.lr_used_at_step.length).toBe(c.total_steps)
    c.lr_used_at_step.forEach((rate, step) => {
      expect(learningRateAt(spec, step)).toBeCloseTo(rate, 15)
    })
    expect(learningRateAt(spec, c.total_steps)).toBeCloseTo(c.lr_after_last_step, 15)
  },
)

it('F-2: warm-up below 1 is a share of all steps, rounded up', () => {
  expect([0, 0.03, 0.5, 1, 5].map((w) => warmupStepsOf(w, 101))).toEqual([0, 4, 51, 1, 5])
})
