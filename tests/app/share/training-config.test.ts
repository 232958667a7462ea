import { expect, test } from 'vitest'
import { importTrainingConfig } from '../../../app/share/training-config'
import { registry } from '../../../nodes'
import { check } from '../../../nodes/_kit/check'
import type { Registry } from '../../../nodes/_kit/define-node'

const types = registry as Registry
const read = (text: string) => {
  const imported = importTrainingConfig(text, types)
  if (!imported) throw new Error('It was not recognised.')
  return imported
}

test('F-5: a LLaMA-Factory configuration becomes a pipeline, with a list of what could not be taken over', () => {
  const { tool, document, lost, changed } = read(`
### model
model_name_or_path: HuggingFaceTB/SmolLM2-360M-Instruct
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: q_proj,v_proj
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
max_samples: 1000
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
val_size: 0.2
packing: true
neftune_noise_alpha: 5
unheard_of: 7
output_dir: saves/x
`)
  expect(tool).toBe('LLaMA-Factory')
  expect(document.nodes.model?.params.model).toBe('hub:HuggingFaceTB/SmolLM2-360M-Instruct')
  expect(document.nodes.train?.params).toMatchObject({
    method: 'lora',
    r: 8,
    target_modules: 'names',
    target_names: ['q_proj', 'v_proj'],
    max_length: 2048,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 8,
    learning_rate: 1e-4,
    num_train_epochs: 3,
    warmup_steps: 0.1,
    bf16: true,
  })
  expect(document.nodes.split?.params.validation).toBe(0.2)
  for (const text of ['alpaca_en_demo', 'max_samples', 'packing', 'unheard_of = 7']) expect(lost.join('\n')).toContain(text)
  expect(lost.join('\n')).not.toMatch(/output_dir|do_train|template/)
  expect(changed.join()).toContain('identity')
  expect(document.notes[0]?.text).toContain('unheard_of')
  // What was made has no faults but the data that must be chosen.
  expect(check(document, types).problems.filter(({ severity }) => severity === 'error')).toEqual([])
})

test('F-5: an Axolotl configuration too: quantised loading and trained inputs are named', () => {
  const { tool, document, changed, lost } = read(`
base_model: NousResearch/Llama-3.2-1B
load_in_4bit: true
adapter: qlora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
  - path: second.jsonl
val_set_size: 0.05
sequence_len: 4096
sample_packing: false
micro_batch_size: 2
num_epochs: 1
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
train_on_inputs: true
weight_decay: 0.0
`)
  expect(tool).toBe('Axolotl')
  expect(document.nodes.train?.params).toMatchObject({
    method: 'lora',
    r: 32,
    lora_alpha: 16,
    target_modules: 'all-linear',
    train_on: 'all',
    weight_decay: 0,
  })
  expect(changed.join('\n')).toContain('quantised loading')
  for (const text of ['adamw_bnb_8bit', 'second.jsonl', 'lora_dropout']) expect(lost.join('\n')).toContain(text)
})

test('F-1: two names for one setting with different values are not settled in silence', () => {
  expect(read('base_model: a/b\nlearning_rate: 0.1\nmicro_batch_size: 2\nper_device_train_batch_size: 4\n').lost.join()).toContain(
    'per_device_train_batch_size is 4 already',
  )
})

test('SEC-9: YAML is plain data: tags, aliases that multiply and other files are refused', () => {
  expect(() => importTrainingConfig('base_model: !!python/object/apply:os.system ["touch canary"]\n', types)).toThrow(RangeError)
  expect(() => importTrainingConfig('base_model: a\nbase_model: b\n', types)).toThrow(RangeError)
  const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
    .split('')
    .map((c, i) => `${c}: &${c} [${`*${'abcdefgh'[i]},`.repeat(9).slice(0, -1)}]`)
    .join('\n')}\nbase_model: x\n`
  expect(() => importTrainingConfig(bomb, types)).toThrow(RangeError)
  expect(() => importTrainingConfig('a: [1, 2\n', types)).toThrow(RangeError)
  expect(importTrainingConfig('services:\n  web: 1\n', types)).toBeNull()
  expect(importTrainingConfig('- a\n- b\n', types)).toBeNull()
})
