/** Form fields of optimizers and schedules, by the names Hugging Face uses, and the arguments they become. */
import * as z from 'zod'
import type { TrainArguments } from './context'

const SCHEDULES = [
  'linear',
  'cosine',
  'constant',
  'constant_with_warmup',
  'cosine_with_restarts',
  'cosine_with_min_lr',
  'cosine_warmup_with_min_lr',
  'polynomial',
  'inverse_sqrt',
  'warmup_stable_decay',
] as const
const WITH_MINIMUM = ['cosine_with_min_lr', 'cosine_warmup_with_min_lr', 'warmup_stable_decay'] as const

export const optimizerParams = {
  lr_scheduler_type: z
    .enum(SCHEDULES)
    .default('cosine')
    .meta({
      title: 'Schedule',
      description: 'How the learning rate moves after the warm-up.',
      labels: {
        linear: 'Linear to zero',
        cosine: 'Cosine to zero',
        constant: 'Constant',
        constant_with_warmup: 'Constant after warm-up',
        cosine_with_restarts: 'Cosine with restarts',
        cosine_with_min_lr: 'Cosine to a minimum',
        cosine_warmup_with_min_lr: 'Cosine to a minimum, counted from one',
        polynomial: 'Polynomial to zero',
        inverse_sqrt: 'Inverse square root',
        warmup_stable_decay: 'Constant, then falling (WSD)',
      },
    }),
  warmup_steps: z.number().min(0).max(1_000_000).default(0.03).meta({
    title: 'Warm-up',
    description: 'Steps in which the learning rate rises from zero; below 1 it is a share of all steps.',
    unit: 'share below 1, else steps',
    advanced: true,
  }),
  num_cycles: z
    .number()
    .min(0.5)
    .max(1000)
    .default(1)
    .meta({
      title: 'Waves',
      description: 'How often the learning rate falls to zero and starts again.',
      showIf: { lr_scheduler_type: ['cosine_with_restarts'] },
      advanced: true,
    }),
  min_lr_rate: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .meta({
      title: 'Least share of the rate',
      description: 'Share of the learning rate that stays at the end.',
      showIf: { lr_scheduler_type: [...WITH_MINIMUM] },
      advanced: true,
    }),
  power: z
    .number()
    .min(0.1)
    .max(10)
    .default(1)
    .meta({
      title: 'Power',
      description: 'Shape of the fall: 1 is a straight line, more falls faster at first.',
      showIf: { lr_scheduler_type: ['polynomial'] },
      advanced: true,
    }),
  num_decay_steps: z
    .number()
    .min(0.001)
    .max(1_000_000)
    .default(0.2)
    .meta({
      title: 'Falling',
      description: 'Steps at the end in which the learning rate falls; below 1 a share of all steps.',
      unit: 'share below 1, else steps',
      showIf: { lr_scheduler_type: ['warmup_stable_decay'] },
      advanced: true,
    }),
  optim: z
    .enum(['adamw', 'lion', 'adafactor', 'sgd'])
    .default('adamw')
    .meta({
      title: 'Optimizer',
      description:
        'AdamW suits nearly everything. Lion keeps half as much beside the weights and wants a tenth of the rate; Adafactor keeps almost nothing; SGD wants a much larger rate.',
      labels: { adamw: 'AdamW', lion: 'Lion', adafactor: 'Adafactor', sgd: 'SGD' },
      advanced: true,
    }),
  momentum: z
    .number()
    .min(0)
    .max(0.9999)
    .default(0.9)
    .meta({ title: 'Momentum', description: 'Share of the last step that goes on.', showIf: { optim: ['sgd'] }, advanced: true }),
  nesterov: z
    .boolean()
    .default(false)
    .meta({
      title: 'Nesterov',
      description: 'Look at the gradient where the momentum leads.',
      showIf: { optim: ['sgd'] },
      advanced: true,
    }),
  weight_decay: z.number().min(0).max(1).default(0).meta({
    title: 'Weight decay',
    description: 'Pulls trained matrices towards zero a little at each step; norms and biases stay.',
    advanced: true,
  }),
  max_grad_norm: z
    .number()
    .min(0)
    .max(1000)
    .default(1)
    .meta({ title: 'Clip gradients at', description: 'Longest step direction allowed; 0 does not clip.', advanced: true }),
  layerwise_lr_decay: z.number().min(0.1).max(1).default(1).meta({
    title: 'Rate from block to block',
    description: 'Each block learns at this share of the rate of the block above it: 0.9 changes the lower blocks less. 1 is off.',
    advanced: true,
  }),
  adam_beta1: z
    .number()
    .min(0)
    .max(0.9999)
    .default(0.9)
    .meta({
      title: 'β₁',
      description: 'Memory of the mean of past gradients.',
      showIf: { optim: ['adamw', 'lion'] },
      advanced: true,
    }),
  adam_beta2: z
    .number()
    .min(0)
    .max(0.99999)
    .default(0.999)
    .meta({
      title: 'β₂',
      description: 'AdamW: memory of the size of past gradients. Lion: memory of past gradients, usually 0.99.',
      showIf: { optim: ['adamw', 'lion'] },
      advanced: true,
    }),
  adam_epsilon: z
    .number()
    .min(1e-12)
    .max(1)
    .default(1e-8)
    .meta({
      title: 'Adam ε',
      description: 'Keeps the division stable where gradients vanish.',
      scale: 'log',
      showIf: { optim: ['adamw'] },
      advanced: true,
    }),
}
export type OptimizerParams = z.output<z.ZodObject<typeof optimizerParams>>

/** What a schedule is given besides rate and warm-up: only what it takes. */
export function scheduleOptions(params: OptimizerParams): TrainArguments['lr_scheduler_kwargs'] {
  switch (params.lr_scheduler_type) {
    case 'cosine_with_restarts':
      return { num_cycles: params.num_cycles }
    case 'cosine_with_min_lr':
    case 'cosine_warmup_with_min_lr':
      return { min_lr_rate: params.min_lr_rate }
    case 'polynomial':
      return { power: params.power, lr_end: 0 }
    case 'warmup_stable_decay':
      return { num_decay_steps: params.num_decay_steps, min_lr_ratio: params.min_lr_rate }
    default:
      return {}
  }
}

/** whether a longer training of this schedule begins as the shorter one did. */
export const isOpenEnded = ({ lr_scheduler_type: type, warmup_steps: warmup }: OptimizerParams): boolean =>
  type === 'constant' || ((type === 'constant_with_warmup' || type === 'inverse_sqrt') && (warmup >= 1 || warmup === 0))

/** Bytes beside each trained parameter: its gradient and what the optimizer keeps. */
export const optimizerStateBytes = ({ optim, momentum }: Pick<OptimizerParams, 'optim' | 'momentum'>): number =>
  4 + { adamw: 8, lion: 4, adafactor: 0.1, sgd: momentum > 0 ? 4 : 0 }[optim]
