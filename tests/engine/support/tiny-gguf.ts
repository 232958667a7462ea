/** The smallest whole model of the repository: two llama blocks with tokenizer and chat template, in one GGUF file. */
import * as path from 'node:path'
import { type EncodedSet, encodeRows, type Row } from '../../../engine/data/encode'
import { type LoadedModel, loadModel } from '../../../engine/model'
import type { TrainingArguments } from '../../../engine/train/train'
import { REFERENCE } from './fixtures'

export const TINY_GGUF = path.join(REFERENCE, 'gguf/tiny-llama/tiny.gguf')
export const loadTiny = (): LoadedModel => loadModel(TINY_GGUF)

export const SENTENCES = [
  'The lighthouse keeper kept a ledger of every ship that passed.',
  'On Monday there were three, on Tuesday none.',
  'Either party may terminate this agreement upon 30 days notice.',
  'He wrote the day and the hour.',
  'The sea was calm and the ledger was full of ships by the end.',
]

export const textRows = (count: number): Row[] =>
  Array.from({ length: count }, (_, i) => ({ text: `${SENTENCES[i % SENTENCES.length]} ${'Ship '.repeat(i % 4)}${i}` }))

export const encoded = (model: LoadedModel, rows: Row[]): Promise<EncodedSet> =>
  encodeRows({ tokenizer: model.tokenizer, template: model.template, trainOn: 'all' }, rows, { maxLength: 96 })

export const ARGUMENTS: TrainingArguments = {
  learning_rate: 2e-3,
  num_train_epochs: 2,
  max_steps: -1,
  per_device_train_batch_size: 4,
  per_device_eval_batch_size: 4,
  gradient_accumulation_steps: 1,
  lr_scheduler_type: 'cosine',
  warmup_steps: 0.2,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  weight_decay: 0.05,
  max_grad_norm: 1,
  logging_steps: 1,
  eval_steps: 3,
  seed: 7,
  bf16: false,
  load_best_model_at_end: true,
  cache_frozen_prefix: true,
}
