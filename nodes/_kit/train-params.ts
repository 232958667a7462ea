/** Form fields of training, shared by the nodes that train. Names and meanings are those of Hugging Face. */
import * as z from 'zod'
import { adapterParams } from './adapters'
import { optimizerParams } from './optimizer-params'

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
  ...optimizerParams,
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
  early_stopping_patience: z.int().min(0).max(1000).default(0).meta({
    title: 'Patience',
    description: 'End early after so many validations in a row that were no better than the best before them; 0 never ends early.',
    unit: 'validations',
    advanced: true,
  }),
  early_stopping_threshold: z.number().min(0).max(10).default(0).meta({
    title: 'Least gain',
    description: 'How much lower the validation loss must be to count as better.',
    unit: 'nats',
    advanced: true,
  }),
  neftune_noise_alpha: z.number().min(0).max(100).default(0).meta({
    title: 'Embedding noise',
    description:
      'NEFTune: noise of this size on the embeddings of training rows, which can make answers to instructions richer; 5 is usual, 0 is off. Frozen layers cannot be cached with it.',
    advanced: true,
  }),
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
