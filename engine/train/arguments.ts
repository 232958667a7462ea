/** Settings of a training by the names Hugging Face uses (formats.md section 1): their ranges, and what they mean for programs. */
import { EngineError } from '../errors'
import type { Model } from '../models/architecture'
import type { OptimizerSpec } from '../programs/index'
import { type ScheduleName, type ScheduleOptions, type ScheduleSpec, scheduleOf, warmupStepsOf } from './schedules'

export const OPTIMIZERS = ['adamw', 'lion', 'adafactor', 'sgd'] as const
export type OptimizerName = (typeof OPTIMIZERS)[number]

export type TrainingArguments = {
  learning_rate: number
  num_train_epochs: number
  /** −1: by epochs. */
  max_steps: number
  per_device_train_batch_size: number
  per_device_eval_batch_size: number
  gradient_accumulation_steps: number
  lr_scheduler_type: ScheduleName
  /** What the schedule takes besides; an option it does not take is refused. */
  lr_scheduler_kwargs?: ScheduleOptions
  /** Below 1: a share of all steps (F-2). */
  warmup_steps: number
  /** Default adamw. */
  optim?: OptimizerName
  /** AdamW and Lion. */
  adam_beta1: number
  adam_beta2: number
  adam_epsilon: number
  /** SGD; default 0.9. */
  momentum?: number
  nesterov?: boolean
  /** Applies to parameters of two or more dimensions. */
  weight_decay: number
  /** 0: never clip. */
  max_grad_norm: number
  /** Factor from each block to the one below it; what comes after the blocks has the full rate, the embeddings the lowest. Default 1. */
  layerwise_lr_decay?: number
  logging_steps: number
  /** 0: at the end of each epoch. */
  eval_steps: number
  seed: number
  bf16: boolean
  load_best_model_at_end: boolean
  /** Ends after so many evaluations in a row without a loss lower than the lowest by more than the threshold; 0 or absent: never. */
  early_stopping_patience?: number
  early_stopping_threshold?: number
  /** NEFTune: uniform noise of ± alpha / √(length · hidden size) on the embeddings of training rows; 0 or absent: none. */
  neftune_noise_alpha?: number
  /** Evaluates and gives out a running average of the weights, of about 1 / (1 − decay) steps. Null or absent: the weights themselves. */
  ema_decay?: number | null
  cache_frozen_prefix: boolean
}
/** Arguments that only make a training longer: it may go on from a checkpoint of a shorter one. */
export const EXTENT_ARGUMENTS: readonly (keyof TrainingArguments)[] = ['num_train_epochs', 'max_steps']

/** Throws `bad_argument` with name, range and value of the first that is out of range. */
export function checkArguments(args: TrainingArguments): void {
  const count = (value: number) => Number.isInteger(value) && value > 0
  const share = (value: number) => value >= 0 && value < 1
  const { momentum = 0, layerwise_lr_decay: layerwise = 1, early_stopping_patience: patience = 0, ema_decay: ema } = args
  const rules: [keyof TrainingArguments, boolean, string][] = [
    ['learning_rate', args.learning_rate >= 0 && Number.isFinite(args.learning_rate), '0 or more'],
    ['num_train_epochs', args.max_steps > 0 || args.num_train_epochs > 0, 'above 0'],
    ['max_steps', args.max_steps === -1 || count(args.max_steps), 'a count, or -1'],
    ['per_device_train_batch_size', count(args.per_device_train_batch_size), 'a count'],
    ['per_device_eval_batch_size', count(args.per_device_eval_batch_size), 'a count'],
    ['gradient_accumulation_steps', count(args.gradient_accumulation_steps), 'a count'],
    ['warmup_steps', args.warmup_steps >= 0, '0 or more'],
    ['optim', args.optim === undefined || OPTIMIZERS.includes(args.optim), OPTIMIZERS.join(', ')],
    ['adam_beta1', share(args.adam_beta1), '0 up to 1'],
    ['adam_beta2', share(args.adam_beta2), '0 up to 1'],
    ['adam_epsilon', args.adam_epsilon > 0, 'above 0'],
    ['momentum', share(momentum), '0 up to 1'],
    ['nesterov', !args.nesterov || (args.momentum ?? DEFAULT_MOMENTUM) > 0, 'false without momentum'],
    ['weight_decay', args.weight_decay >= 0, '0 or more'],
    ['max_grad_norm', args.max_grad_norm >= 0, '0 or more'],
    ['layerwise_lr_decay', layerwise > 0 && layerwise <= 1, 'above 0, up to 1'],
    ['logging_steps', count(args.logging_steps), 'a count'],
    ['eval_steps', args.eval_steps === 0 || count(args.eval_steps), 'a count, or 0 for each epoch'],
    ['early_stopping_patience', patience === 0 || count(patience), 'a count, or 0 for never'],
    ['early_stopping_threshold', (args.early_stopping_threshold ?? 0) >= 0, '0 or more'],
    ['neftune_noise_alpha', (args.neftune_noise_alpha ?? 0) >= 0, '0 or more'],
    ['ema_decay', ema === null || ema === undefined || (ema > 0 && ema < 1), 'between 0 and 1, or null'],
  ]
  for (const [name, ok, expected] of rules)
    if (!ok) throw new EngineError('bad_argument', `${name} is out of range`, { where: name, expected, got: String(args[name]) })
}

const DEFAULT_MOMENTUM = 0.9

/** The optimizer that the arguments ask for. */
export function optimizerOf(args: TrainingArguments, groups: readonly (readonly string[])[]): OptimizerSpec {
  const own = {
    maxGradNorm: args.max_grad_norm,
    ...(groups.length && { groups }),
    ...(args.ema_decay && { averageDecay: args.ema_decay }),
  }
  const betas = { beta1: args.adam_beta1, beta2: args.adam_beta2 }
  switch (args.optim ?? 'adamw') {
    case 'lion':
      return { name: 'lion', ...betas, ...own }
    case 'adafactor':
      return { name: 'adafactor', ...own }
    case 'sgd':
      return { name: 'sgd', momentum: args.momentum ?? DEFAULT_MOMENTUM, nesterov: args.nesterov ?? false, ...own }
    case 'adamw':
      return { ...betas, epsilon: args.adam_epsilon, decays: args.weight_decay > 0, ...own }
  }
}

/** The schedule that the arguments ask for; counts below 1 are shares of all steps (F-2). */
export function ratesOf(args: TrainingArguments, totalSteps: number): ScheduleSpec {
  const { num_decay_steps: falling, ...options } = args.lr_scheduler_kwargs ?? {}
  const warmup = warmupStepsOf(args.warmup_steps, totalSteps)
  return scheduleOf(args.lr_scheduler_type, args.learning_rate, warmup, totalSteps, {
    ...options,
    ...(falling !== undefined && { num_decay_steps: warmupStepsOf(falling, totalSteps) }),
  })
}

/**
 * Groups of parameters whose learning rate is lower than the full one, and the factor of each group, group 0 (the full rate) first. One group
 * for each block below the last one, and the embeddings one step below block 0.
 */
export function rateGroups(model: Model, trainable: ReadonlySet<string>, decay: number): { groups: string[][]; factors: number[] } {
  if (decay === 1) return { groups: [], factors: [1] }
  const depths = new Map<number, string[]>()
  for (const { name, block, part } of model.parameters) {
    if (!trainable.has(name)) continue
    const below = model.config.blocks - 1 - (block ?? (part === 'embedding' ? -1 : model.config.blocks - 1))
    if (below > 0) depths.set(below, [...(depths.get(below) ?? []), name])
  }
  const sorted = [...depths].sort(([a], [b]) => a - b)
  return { groups: sorted.map(([, names]) => names), factors: [1, ...sorted.map(([below]) => decay ** below)] }
}
