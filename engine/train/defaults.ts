/** Training arguments where nothing else is said: those of transformers' `TrainingArguments` but for the rate, the batch and the schedule. */
import type { TrainingArguments } from './train'

/**
 * For some hundred rows and part of the layers. `2e-4` suits layers trained on their own or adapters; take a tenth for whole models
 * (science.md). A constant rate lets a finished training be continued.
 */
export const TRAINING_DEFAULTS: TrainingArguments = {
  learning_rate: 2e-4,
  num_train_epochs: 3,
  max_steps: -1,
  per_device_train_batch_size: 8,
  per_device_eval_batch_size: 8,
  gradient_accumulation_steps: 1,
  lr_scheduler_type: 'constant_with_warmup',
  warmup_steps: 0,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  weight_decay: 0,
  max_grad_norm: 1,
  logging_steps: 1,
  eval_steps: 0,
  seed: 42,
  bf16: true,
  load_best_model_at_end: false,
  cache_frozen_prefix: true,
}
