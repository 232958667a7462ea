/** Learning-rate schedules, equal to `get_scheduler` of transformers. The factor of update i (from 0) multiplies the base rate. */
import { EngineError } from '../errors'

export const SCHEDULES = [
  'constant',
  'constant_with_warmup',
  'linear',
  'cosine',
  'cosine_with_restarts',
  'polynomial',
  'inverse_sqrt',
  'cosine_with_min_lr',
  'cosine_warmup_with_min_lr',
  'warmup_stable_decay',
] as const
export type ScheduleName = (typeof SCHEDULES)[number]

export type ScheduleSpec = {
  readonly name: ScheduleName
  readonly baseRate: number
  readonly warmupSteps: number
  readonly totalSteps: number
  /** Waves of the cosine: 1 with restarts, else 0.5, which ends at the bottom. */
  readonly cycles?: number
  /** polynomial: 1e-7 and 1. */
  readonly endRate?: number
  readonly power?: number
  /** inverse_sqrt: the warm-up, or 10 000 without one. */
  readonly timescale?: number
  /** cosine_with_min_lr, cosine_warmup_with_min_lr, warmup_stable_decay: share of the base rate that stays. */
  readonly minimumShare?: number
  /** cosine_warmup_with_min_lr: share at which warm-up begins. */
  readonly warmupShare?: number
  /** warmup_stable_decay. */
  readonly decaySteps?: number
  /** warmup_stable_decay: all that warm-up and decay leave. */
  readonly stableSteps?: number
  readonly warmupType?: Curve
  readonly decayType?: Curve
}

/** transformers' `lr_scheduler_kwargs`. */
export type ScheduleOptions = {
  readonly num_cycles?: number
  readonly lr_end?: number
  readonly power?: number
  readonly timescale?: number
  readonly min_lr?: number
  readonly min_lr_rate?: number
  readonly min_lr_ratio?: number
  readonly num_decay_steps?: number
  readonly num_stable_steps?: number
  readonly warmup_lr_rate?: number
  readonly warmup_type?: Curve
  readonly decay_type?: Curve
}

/** What each schedule takes; those not named take nothing. */
export const SCHEDULE_OPTIONS: Partial<Record<ScheduleName, readonly (keyof ScheduleOptions)[]>> = {
  cosine: ['num_cycles'],
  cosine_with_restarts: ['num_cycles'],
  polynomial: ['lr_end', 'power'],
  inverse_sqrt: ['timescale'],
  cosine_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate'],
  cosine_warmup_with_min_lr: ['num_cycles', 'min_lr', 'min_lr_rate', 'warmup_lr_rate'],
  warmup_stable_decay: ['num_decay_steps', 'num_stable_steps', 'warmup_type', 'decay_type', 'min_lr_ratio', 'num_cycles'],
}

/** A schedule from transformers' names. Throws `unsupported`, naming an option that the schedule does not take. */
export function scheduleOf(
  name: ScheduleName,
  baseRate: number,
  warmupSteps: number,
  totalSteps: number,
  options: ScheduleOptions = {},
): ScheduleSpec {
  const known = SCHEDULE_OPTIONS[name] ?? []
  const foreign = (Object.keys(options) as (keyof ScheduleOptions)[]).find((option) => !known.includes(option))
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

/** F-2: below 1 a share of all steps, rounded up; else a count. */
export const warmupStepsOf = (warmup: number, totalSteps: number): number =>
  warmup < 1 ? Math.ceil(warmup * totalSteps) : Math.trunc(warmup)

export const CURVES = ['linear', 'cosine', '1-sqrt'] as const
export type Curve = (typeof CURVES)[number]

/** From 1 down; at half a cycle it is at 0 when progress is 1. */
const cosine = (progress: number, cycles = 0.5): number => 0.5 * (1 + Math.cos(Math.PI * cycles * 2 * progress))

const rise = (curve: Curve, progress: number): number =>
  curve === 'linear' ? progress : curve === 'cosine' ? 1 - cosine(progress) : 1 - Math.sqrt(1 - progress)
const fall = (curve: Curve, progress: number, cycles?: number): number =>
  curve === 'linear' ? 1 - progress : curve === 'cosine' ? cosine(progress, cycles) : 1 - Math.sqrt(progress)

/**
 * Learning rate of update `step` (0-based). With warm-up the first update has rate 0: it fills the moments and moves nothing, as in the
 * reference.
 */
export function learningRateAt(spec: ScheduleSpec, step: number): number {
  return spec.baseRate * factorAt(spec, step)
}

function factorAt(spec: ScheduleSpec, step: number): number {
  const { name, warmupSteps: warmup, totalSteps: total } = spec
  const minimum = spec.minimumShare ?? 0
  if (name === 'constant') return 1
  if (name === 'cosine_warmup_with_min_lr') {
    // Counts from 1: the first update moves, and the last is at the minimum.
    if (step >= warmup) {
      const progress = (step - warmup + 1) / Math.max(1, total - warmup)
      return Math.max(0, cosine(progress, spec.cycles) * (1 - minimum) + minimum)
    }
    const from = spec.warmupShare
    return from === undefined ? (step + 1) / Math.max(1, warmup) : from + ((1 - from) * step) / Math.max(1, warmup - 1)
  }
  if (step < warmup) {
    const progress = step / Math.max(1, warmup)
    return name === 'warmup_stable_decay' ? Math.max(0, rise(spec.warmupType ?? 'linear', progress) * (1 - minimum) + minimum) : progress
  }
  const progress = (step - warmup) / Math.max(1, total - warmup)
  switch (name) {
    case 'constant_with_warmup':
      return 1
    case 'linear':
      return Math.max(0, (total - step) / Math.max(1, total - warmup))
    case 'cosine':
      return Math.max(0, cosine(progress, spec.cycles))
    case 'cosine_with_restarts':
      return progress >= 1 ? 0 : Math.max(0, cosine(((spec.cycles ?? 1) * progress) % 1))
    case 'polynomial': {
      const end = spec.endRate ?? 1e-7
      if (step > total) return end / spec.baseRate
      return ((spec.baseRate - end) * (1 - (step - warmup) / (total - warmup)) ** (spec.power ?? 1) + end) / spec.baseRate
    }
    case 'inverse_sqrt': {
      const scale = spec.timescale ?? (warmup || 10_000)
      return 1 / Math.sqrt((step + scale - warmup) / scale)
    }
    case 'cosine_with_min_lr':
      return Math.max(0, cosine(progress, spec.cycles) * (1 - minimum) + minimum)
    case 'warmup_stable_decay': {
      const decay = spec.decaySteps
      if (decay === undefined)
        throw new EngineError('bad_argument', 'warmup_stable_decay needs the number of decay steps', {
          where: 'lr_scheduler_kwargs.num_decay_steps',
        })
      const stable = spec.stableSteps ?? total - warmup - decay
      if (step < warmup + stable) return 1
      const progress = (step - warmup - stable) / Math.max(1, decay)
      if (progress >= 1) return minimum
      return Math.max(0, fall(spec.decayType ?? 'cosine', progress, spec.cycles) * (1 - minimum) + minimum)
    }
  }
}
