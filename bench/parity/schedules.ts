/** Learning-rate schedules as the cases name them: transformers' `lr_scheduler_kwargs`. */
import { EngineError } from '../../engine/errors'
import type { ScheduleName, ScheduleSpec } from '../../engine/train/schedules'
import type { Json } from './cases'

/** What each of transformers' schedules takes; those not named take nothing. */
const OPTIONS: Partial<Record<ScheduleName, readonly string[]>> = {
  cosine: ['num_cycles'],
  cosine_with_restarts: ['num_cycles'],
  polynomial: ['lr_end', 'power'],
  inverse_sqrt: ['timescale'],
  cosine_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate'],
  cosine_warmup_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate', 'warmup_lr_rate'],
  warmup_stable_decay: ['num_decay_steps', 'num_stable_steps', 'warmup_type', 'decay_type', 'min_lr_ratio', 'num_cycles'],
}

/** @throws EngineError `unsupported`, naming an option that the schedule does not take. */
export function scheduleOf(
  name: ScheduleName,
  baseRate: number,
  warmupSteps: number,
  totalSteps: number,
  options: Json = {},
): ScheduleSpec {
  const known = OPTIONS[name] ?? []
  const foreign = Object.keys(options).find((option) => !known.includes(option))
  if (foreign !== undefined)
    throw new EngineError('unsupported', `the schedule ${name} does not take the option ${foreign}`, {
      where: `lr_scheduler_kwargs.${foreign}`,
      expected: known.join(', ') || 'no options',
      got: JSON.stringify(options[foreign]),
      fix: 'remove the option or choose a schedule that takes it',
    })
  const minimumShare = options.min_lr_rate ?? options.min_lr_ratio ?? (options.min_lr === undefined ? undefined : options.min_lr / baseRate)
  return {
    name,
    baseRate,
    warmupSteps,
    totalSteps,
    ...(options.num_cycles !== undefined && { cycles: options.num_cycles }),
    ...(options.lr_end !== undefined && { endRate: options.lr_end }),
    ...(options.power !== undefined && { power: options.power }),
    ...(options.timescale !== undefined && { timescale: options.timescale }),
    ...(minimumShare !== undefined && { minimumShare }),
    ...(options.num_decay_steps !== undefined && { decaySteps: options.num_decay_steps }),
    ...(options.num_stable_steps !== undefined && { stableSteps: options.num_stable_steps }),
    ...(options.warmup_lr_rate !== undefined && { warmupShare: options.warmup_lr_rate }),
    ...(options.warmup_type !== undefined && { warmupType: options.warmup_type }),
    ...(options.decay_type !== undefined && { decayType: options.decay_type }),
  }
}
