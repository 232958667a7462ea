/** From the settings of a training to what the engine is given. */
import * as z from 'zod'
import type { TrainArguments } from './context'
import { NodeError } from './node-error'
import { scheduleOptions } from './optimizer-params'
import { resolveTrain, type Wiring } from './resolve-train'
import { trainParams } from './train-params'

const TrainParams = z.object(trainParams)
export type TrainParams = z.output<typeof TrainParams>

/** Hugging Face arguments with no `auto` left; `bf16` is settled by the caller, who knows the machine. */
export function trainArguments(params: TrainParams, wiring: Wiring): TrainArguments {
  const auto = resolveTrain(params, wiring)
  const settled = <V>(name: string, value: V | 'auto'): V => {
    if (value === 'auto')
      throw new NodeError('cannot_resolve', `The setting “${name}” has no automatic value for this data.`, {
        param: name,
        fix: 'Set it by hand.',
      })
    return value
  }
  return {
    learning_rate: settled('learning_rate', auto.learning_rate),
    num_train_epochs: params.num_train_epochs,
    max_steps: params.max_steps,
    per_device_train_batch_size: settled('per_device_train_batch_size', auto.per_device_train_batch_size),
    per_device_eval_batch_size: settled('per_device_eval_batch_size', auto.per_device_eval_batch_size),
    gradient_accumulation_steps: params.gradient_accumulation_steps,
    max_length: Math.min(settled('max_length', auto.max_length), wiring.contextLength ?? Number.POSITIVE_INFINITY),
    lr_scheduler_type: params.lr_scheduler_type,
    lr_scheduler_kwargs: scheduleOptions(params),
    warmup_steps: params.warmup_steps,
    optim: params.optim,
    momentum: params.momentum,
    nesterov: params.nesterov && params.momentum > 0,
    layerwise_lr_decay: params.layerwise_lr_decay,
    adam_beta1: params.adam_beta1,
    adam_beta2: params.adam_beta2,
    adam_epsilon: params.adam_epsilon,
    weight_decay: params.weight_decay,
    max_grad_norm: params.max_grad_norm,
    logging_steps: params.logging_steps,
    eval_steps: wiring.validation ? settled('eval_steps', auto.eval_steps) : 0,
    seed: params.seed,
    bf16: false,
    train_on: settled('train_on', auto.train_on),
    load_best_model_at_end: params.load_best_model_at_end && wiring.validation,
    early_stopping_patience: wiring.validation ? params.early_stopping_patience : 0,
    early_stopping_threshold: params.early_stopping_threshold,
    neftune_noise_alpha: params.neftune_noise_alpha,
    ema_decay: params.ema_decay || null,
    cache_frozen_prefix: params.cache_frozen_prefix,
  }
}
