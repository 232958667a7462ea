/** Form fields of training, shared by the nodes that train. Names and meanings are those of Hugging Face. */
import * as z from 'zod'
import { adapterParams } from './adapters'

export const autoOr = <T extends z.ZodType>(schema: T) => z.union([z.literal('auto'), schema])

export const trainParams = {
  ...adapterParams,
  num_train_epochs: z
    .number()
    .min(0.01)
    .max(1000)
    .default(3)
    .meta({ title: 'Epochs', description: 'How often every row is shown.', unit: 'epochs', step: 1 }),
  learning_rate: autoOr(z.number().min(1e-7).max(1)).default('auto').meta({
    title: 'Learning rate',
    description: 'Size of one step. Too large forgets and diverges, too small learns nothing.',
    scale: 'log',
  }),
  per_device_train_batch_size: autoOr(z.int().min(1).max(1024))
    .default('auto')
    .meta({ title: 'Batch size', description: 'Rows that are computed together. More needs more memory.', unit: 'rows' }),
  gradient_accumulation_steps: z.int().min(1).max(1024).default(1).meta({
    title: 'Accumulate',
    description: 'Batches that make one step: the effect of a larger batch without its memory.',
    unit: 'batches',
    advanced: true,
  }),
  max_steps: z.int().min(-1).max(10_000_000).default(-1).meta({
    title: 'Maximum steps',
    description: 'End after so many steps, whatever the epochs say; −1 counts epochs.',
    unit: 'steps',
    advanced: true,
  }),
  max_length: autoOr(z.int().min(8).max(131_072)).default('auto').meta({
    title: 'Maximum length',
    description: 'Longer rows are left out and counted; nothing is cut silently.',
    unit: 'tokens',
    advanced: true,
  }),
  train_on: autoOr(z.enum(['completion', 'assistant', 'last_turn', 'all']))
    .default('auto')
    .meta({
      title: 'Train on',
      description: 'Which part of a row the model learns to write.',
      labels: {
        auto: 'Automatic',
        completion: 'The completion',
        assistant: 'Every answer',
        last_turn: 'The last answer',
        all: 'Everything',
      },
      advanced: true,
    }),
  lr_scheduler_type: z
    .enum(['linear', 'cosine', 'constant', 'constant_with_warmup'])
    .default('cosine')
    .meta({
      title: 'Schedule',
      description: 'How the learning rate moves after the warm-up.',
      labels: {
        linear: 'Linear to zero',
        cosine: 'Cosine to zero',
        constant: 'Constant',
        constant_with_warmup: 'Constant after warm-up',
      },
    }),
  warmup_steps: z.number().min(0).max(1_000_000).default(0.03).meta({
    title: 'Warm-up',
    description: 'Steps in which the learning rate rises from zero; below 1 it is a share of all steps.',
    unit: 'share below 1, else steps',
    advanced: true,
  }),
  weight_decay: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .meta({ title: 'Weight decay', description: 'Pulls trained weights towards zero a little at each step.', advanced: true }),
  max_grad_norm: z
    .number()
    .min(0)
    .max(1000)
    .default(1)
    .meta({ title: 'Clip gradients at', description: 'Longest step direction allowed; 0 does not clip.', advanced: true }),
  adam_beta1: z
    .number()
    .min(0)
    .max(0.9999)
    .default(0.9)
    .meta({ title: 'Adam β₁', description: 'Memory of the mean of past gradients.', advanced: true }),
  adam_beta2: z
    .number()
    .min(0)
    .max(0.99999)
    .default(0.999)
    .meta({ title: 'Adam β₂', description: 'Memory of the size of past gradients.', advanced: true }),
  adam_epsilon: z
    .number()
    .min(1e-12)
    .max(1)
    .default(1e-8)
    .meta({ title: 'Adam ε', description: 'Keeps the division stable where gradients vanish.', scale: 'log', advanced: true }),
  per_device_eval_batch_size: autoOr(z.int().min(1).max(1024))
    .default('auto')
    .meta({ title: 'Validation batch size', description: 'Rows that are scored together.', unit: 'rows', advanced: true }),
  eval_steps: autoOr(z.int().min(0).max(10_000_000)).default('auto').meta({
    title: 'Validate every',
    description: 'Steps between two looks at the validation rows; 0 never looks.',
    unit: 'steps',
    advanced: true,
  }),
  logging_steps: z
    .int()
    .min(1)
    .max(10_000)
    .default(1)
    .meta({ title: 'Log every', description: 'Steps between two points of the curve.', unit: 'steps', advanced: true }),
  load_best_model_at_end: z
    .boolean()
    .default(true)
    .meta({ title: 'Keep the best', description: 'Give out the model of the lowest validation loss, not the last one.', advanced: true }),
  ema_decay: z.number().min(0).max(0.99999).default(0).meta({
    title: 'Average of weights',
    description:
      'Validate and give out a running average of the weights, which shakes less than the last step: 0.99 averages about 100 steps, 0 is off. The average warms up, so short trainings are not held back. Four more bytes of memory for each trained parameter.',
    advanced: true,
  }),
  cache_frozen_prefix: z.boolean().default(true).meta({
    title: 'Cache frozen layers',
    description: 'Compute the frozen layers below the lowest open one once per row and keep the result. Same numbers, less time.',
    advanced: true,
  }),
  bf16: z
    .union([z.literal('auto'), z.boolean()])
    .default('auto')
    .meta({
      title: '16-bit products',
      description:
        'Compute matrix products in bfloat16; weights and optimizer stay in 32 bit. Automatic: where the machine is faster with it.',
      labels: { auto: 'Automatic', true: 'On', false: 'Off' },
      advanced: true,
    }),
  seed: z
    .int()
    .min(0)
    .max(2_147_483_647)
    .default(42)
    .meta({ title: 'Seed', description: 'The same seed gives the same order of rows and the same result.', advanced: true }),
}
