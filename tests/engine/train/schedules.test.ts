import * as fs from 'node:fs'
import * as path from 'node:path'
import { expect, it } from 'vitest'
import { learningRateAt, type ScheduleName, scheduleOf, warmupStepsOf } from '../../../engine/train/schedules'

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
    const spec = scheduleOf(c.schedule, c.base_lr, c.warmup_steps, c.total_steps, c.options)
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

it('E-1: an option that the schedule does not take is refused by name', () => {
  expect(() => scheduleOf('inverse_sqrt', 1e-3, 4, 20, { time_scale: 8 } as object)).toThrowError(/inverse_sqrt.*time_scale/)
  expect(() => scheduleOf('linear', 1e-3, 4, 20, { num_cycles: 2 })).toThrowError(/linear.*num_cycles/)
})
