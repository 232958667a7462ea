/** Values for training settings left at `auto`, from what is known of model and data. The same rules before and in the run. */
import { CHARS_PER_TOKEN, TEMPLATE_TOKENS } from './estimate'
import type { DatasetHandle } from './ports'

export type AutoParams = {
  learning_rate: number | 'auto'
  per_device_train_batch_size: number | 'auto'
  per_device_eval_batch_size: number | 'auto'
  max_length: number | 'auto'
  eval_steps: number | 'auto'
  train_on: 'auto' | 'completion' | 'assistant' | 'last_turn' | 'all'
  gradient_accumulation_steps: number
  optim?: 'adamw' | 'lion' | 'adafactor' | 'sgd'
}

export type Wiring = {
  /** Trainable share of all parameters, 0…1. */
  trainableShare: number | null
  /** All parameters of the model. */
  parameters: number | null
  contextLength: number | null
  rows: number | null
  chars: { mean: number; max: number } | null
  format: DatasetHandle['format'] | null
  validation: boolean
  /** An adapter trains instead of weights of the model. */
  adapter?: boolean
}

/**
 * Learning rates by what trains: 2e-5 is the usual rate for all of a model (formats.md 1), 5e-4 the peak at which the top third of
 * SmolLM2-135M learned six fields from 300 rows (docs/LOG.md). A model of a few million parameters takes larger steps. An adapter's best
 * rate is about ten times that of the whole model, whatever its rank (SCI-44).
 */
export function autoLearningRate(wiring: Pick<Wiring, 'trainableShare' | 'parameters' | 'adapter'>): number | null {
  if (wiring.trainableShare === null || wiring.parameters === null) return null
  if (wiring.adapter) return wiring.parameters < 20e6 ? 2e-3 : 2e-4
  if (wiring.parameters < 20e6) return 1e-3
  return wiring.trainableShare > 0.9 ? 2e-5 : wiring.trainableShare > 0.5 ? 1e-4 : 5e-4
}

/** Room for the longest row even at two characters a token (digits, names and code cost that), in steps of 64, within the context. */
export function autoLength(wiring: Pick<Wiring, 'chars' | 'contextLength'>): number | null {
  if (!wiring.chars || wiring.contextLength === null) return null
  return Math.min(wiring.contextLength, Math.max(128, Math.ceil((wiring.chars.max / 2 + 2 * TEMPLATE_TOKENS) / 64) * 64))
}

/** 8 rows, fewer where rows are long: 4,096 tokens a batch is about what 2 cores and 8 GB take well with a small model. */
export function autoBatch(wiring: Pick<Wiring, 'chars'>): number | null {
  if (!wiring.chars) return null
  const tokens = wiring.chars.mean / CHARS_PER_TOKEN + TEMPLATE_TOKENS
  return Math.max(1, Math.min(8, 2 ** Math.floor(Math.log2(Math.max(1, 4096 / tokens)))))
}

/** What is trained in a row: the answer where there is a question, all of it where there is only text (formats.md 9). */
export const autoTrainOn = (format: DatasetHandle['format'] | null): 'completion' | 'assistant' | 'all' | null =>
  format === 'prompt_completion' ? 'completion' : format === 'messages' ? 'assistant' : format === 'text' ? 'all' : null

/** Two evaluations an epoch. It depends on the epoch's length only, so that more epochs continue and do not start over. */
export const autoEvalSteps = (stepsPerEpoch: number): number => Math.max(1, Math.ceil(stepsPerEpoch / 2))

export const stepsPerEpochOf = (rows: number, batch: number, accumulation: number): number =>
  Math.max(1, Math.ceil(Math.ceil(rows / batch) / accumulation))

/**
 * Rates beside AdamW's: Lion moves every weight by the whole rate and wants about a tenth (as published); SGD moves by a gradient that is
 * clipped to length 1 and spread over all weights.
 */
const RATE_FACTORS = { adamw: 1, lion: 0.1, adafactor: 1, sgd: 100 } as const

/** Fills in what can be known; what cannot stays `auto`. */
export function resolveTrain(params: AutoParams, wiring: Wiring): AutoParams {
  const pick = <V>(value: V | 'auto', found: V | null): V | 'auto' => (value === 'auto' ? (found ?? 'auto') : value)
  const batch = pick(params.per_device_train_batch_size, autoBatch(wiring))
  const steps = wiring.rows === null || batch === 'auto' ? null : stepsPerEpochOf(wiring.rows, batch, params.gradient_accumulation_steps)
  const rate = autoLearningRate(wiring)
  return {
    learning_rate: pick(params.learning_rate, rate === null ? null : Number((rate * RATE_FACTORS[params.optim ?? 'adamw']).toPrecision(3))),
    per_device_train_batch_size: batch,
    per_device_eval_batch_size: pick(params.per_device_eval_batch_size, autoBatch(wiring)),
    max_length: pick(params.max_length, autoLength(wiring)),
    // 0: never. Without validation rows there is nothing to evaluate.
    eval_steps: pick(params.eval_steps, !wiring.validation ? 0 : steps === null ? null : autoEvalSteps(steps)),
    train_on: params.train_on === 'auto' ? (autoTrainOn(wiring.format) ?? 'auto') : params.train_on,
    gradient_accumulation_steps: params.gradient_accumulation_steps,
  }
}

/** Optimizer steps of the whole job; `max_steps` wins over epochs where it is set. */
export const totalStepsOf = (stepsPerEpoch: number, epochs: number, maxSteps: number): number =>
  maxSteps > 0 ? maxSteps : Math.max(1, Math.ceil(stepsPerEpoch * epochs))
