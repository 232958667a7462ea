/**
 * Training configurations of LLaMA-Factory and Axolotl as pipelines (F-5). What was mapped, what has no counterpart and what means something
 * else here stands in the answer and in a note on the canvas; nothing is dropped in silence, and nothing runs.
 */
import { parseDocument } from 'yaml'
import type { Registry } from '../../nodes/_kit/define-node'
import { versionOf } from '../../nodes/_kit/define-node'
import { emptyPipeline, type Pipeline, type PipelineNode } from '../../nodes/_kit/graph'

export type ImportedConfig = {
  tool: 'LLaMA-Factory' | 'Axolotl'
  document: Pipeline
  mapped: readonly string[]
  /** Settings that have no counterpart, with the reason. */
  lost: readonly string[]
  /** Settings that are kept but mean something else, or that were settled in another way. */
  changed: readonly string[]
}

const MAX_BYTES = 256 * 1024

/** Names of a setting in either tool → the parameter of Train. */
const TRAIN: Readonly<Record<string, string>> = {
  learning_rate: 'learning_rate',
  num_train_epochs: 'num_train_epochs',
  num_epochs: 'num_train_epochs',
  max_steps: 'max_steps',
  per_device_train_batch_size: 'per_device_train_batch_size',
  micro_batch_size: 'per_device_train_batch_size',
  per_device_eval_batch_size: 'per_device_eval_batch_size',
  eval_batch_size: 'per_device_eval_batch_size',
  gradient_accumulation_steps: 'gradient_accumulation_steps',
  cutoff_len: 'max_length',
  sequence_len: 'max_length',
  max_length: 'max_length',
  lr_scheduler_type: 'lr_scheduler_type',
  lr_scheduler: 'lr_scheduler_type',
  warmup_steps: 'warmup_steps',
  warmup_ratio: 'warmup_steps',
  weight_decay: 'weight_decay',
  max_grad_norm: 'max_grad_norm',
  gradient_clipping: 'max_grad_norm',
  adam_beta1: 'adam_beta1',
  adam_beta2: 'adam_beta2',
  adam_epsilon: 'adam_epsilon',
  logging_steps: 'logging_steps',
  eval_steps: 'eval_steps',
  seed: 'seed',
  load_best_model_at_end: 'load_best_model_at_end',
  lora_rank: 'r',
  lora_r: 'r',
  lora_alpha: 'lora_alpha',
  lora_dropout: 'lora_dropout',
}

/** Settings that say where and how to write, or how to use a machine, which Thaw settles itself. */
const OWN_BUSINESS =
  /^(output_dir|overwrite_\w+|save_\w+|logging_dir|plot_loss|report_to|run_name|wandb_\w+|mlflow_\w+|hub_\w+|push_to_hub|ddp_\w+|fsdp\w*|deepspeed|preprocessing_num_workers|dataloader_\w+|dataset_prepared_path|tokenizer_type|model_type|strict|do_train|do_eval|eval_strategy|evaluation_strategy|evals_per_epoch|saves_per_epoch|resume_from_checkpoint|overwrite_cache|local_rank|special_tokens|chat_template|template|trust_remote_code|flash_attention|sdp_attention|flash_attn|gradient_checkpointing\w*|group_by_length|tf32|auto_resume_from_checkpoints|pad_to_sequence_len|debug|early_stopping_patience|hf_use_auth_token)$/

const OPTIMIZERS: Readonly<Record<string, string>> = {
  adamw_torch: 'adamw',
  adamw_torch_fused: 'adamw',
  adamw_hf: 'adamw',
  adamw: 'adamw',
  adafactor: 'adafactor',
  sgd: 'sgd',
  lion: 'lion',
  lion_pytorch: 'lion',
}

const words = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

/** Null when the text is no configuration of either tool. Throws RangeError with the place for broken YAML or tags. */
export function importTrainingConfig(text: string, registry: Registry): ImportedConfig | null {
  if (text.length > MAX_BYTES) return null
  // Plain data: no tags of YAML beyond JSON's, no aliases that multiply (SEC-9).
  const parsed = parseDocument(text, { schema: 'core', uniqueKeys: true })
  // A warning is a tag that the schema does not know.
  const [fault] = [...parsed.errors, ...parsed.warnings]
  if (fault) throw new RangeError(fault.message.split('\n')[0] ?? 'not YAML')
  let config: Record<string, unknown>
  try {
    config = parsed.toJS({ maxAliasCount: 0 }) as Record<string, unknown>
  } catch (error) {
    throw new RangeError(error instanceof Error ? error.message : 'not YAML')
  }
  if (config === null || typeof config !== 'object' || Array.isArray(config)) return null
  const tool = 'model_name_or_path' in config ? ('LLaMA-Factory' as const) : 'base_model' in config ? ('Axolotl' as const) : null
  if (!tool) return null

  const mapped: string[] = []
  const lost: string[] = []
  const changed: string[] = []
  const take = new Map(Object.entries(config))
  const use = (name: string): unknown => {
    const value = take.get(name)
    take.delete(name)
    return value ?? undefined
  }

  const model = String(use(tool === 'Axolotl' ? 'base_model' : 'model_name_or_path') ?? '')
  const local = /^(\/|\.|~|[A-Za-z]:\\)/.test(model)
  mapped.push(`model ${model}`)
  const train: Record<string, unknown> = {}
  const set = (name: string, value: unknown, from: string) => {
    if (name in train && JSON.stringify(train[name]) !== JSON.stringify(value)) {
      lost.push(`${from} = ${words(value)}: ${name} is ${words(train[name])} already`)
      return
    }
    const field = registry.train?.params.shape[name] as { safeParse(value: unknown): { success: boolean } } | undefined
    if (!field) {
      lost.push(`${from} = ${words(value)}: Train has no such setting`)
      return
    }
    if (!field.safeParse(value).success) {
      lost.push(`${from} = ${words(value)}: not a value that Train takes`)
      return
    }
    train[name] = value
    mapped.push(from === name ? `${name} = ${words(value)}` : `${from} → ${name} = ${words(value)}`)
  }

  const stage = use('stage') ?? (config.rl ? String(config.rl) : 'sft')
  if (take.has('rl')) use('rl')
  if (stage !== 'sft' && stage !== 'pt') lost.push(`stage ${words(stage)}: written as plain fine-tuning`)
  if (stage === 'pt') changed.push('stage pt: all of each text is trained')
  const adapter = tool === 'Axolotl' ? use('adapter') : use('finetuning_type')
  const method =
    adapter === 'lora' || adapter === 'qlora' ? 'lora' : adapter === 'full' || adapter === undefined || adapter === 'freeze' ? 'full' : null
  if (method === null) lost.push(`${tool === 'Axolotl' ? 'adapter' : 'finetuning_type'} ${words(adapter)}: all weights train instead`)
  if (adapter === 'qlora' || use('load_in_4bit') || use('load_in_8bit') || use('quantization_bit'))
    changed.push('quantised loading: the base stays in full precision here, so it needs more memory and learns a little better')
  const rs = use('use_rslora') || use('peft_use_rslora')
  const dora = use('use_dora') || use('peft_use_dora')
  if (method === 'lora') set('method', dora ? 'dora' : rs ? 'rslora' : 'lora', 'adapter')
  const target = use('lora_target') ?? use('lora_target_modules')
  const linear = use('lora_target_linear')
  if (method === 'lora') {
    const names =
      typeof target === 'string' ? target.split(',').map((name) => name.trim()) : Array.isArray(target) ? target.map(String) : []
    if (linear || names.length === 0 || names[0] === 'all') set('target_modules', 'all-linear', 'lora_target')
    else {
      set('target_modules', 'names', 'lora_target')
      set('target_names', names, 'lora_target')
    }
  }
  const optimizer = use('optim') ?? use('optimizer')
  if (optimizer !== undefined) {
    const known = OPTIMIZERS[String(optimizer)]
    if (known) set('optim', known, `optim ${words(optimizer)}`)
    else lost.push(`optim ${words(optimizer)}: AdamW in 32 bit instead`)
  }
  for (const [from, name] of Object.entries(TRAIN)) {
    const value = use(from)
    if (value === undefined || value === false) continue
    if (from === 'warmup_ratio') {
      if (Number(value) === 0) continue
      set(name, Number(value), from)
    } else if (name === 'max_steps' && Number(value) <= 0) continue
    else if (name === 'eval_steps' && Number(value) < 1) changed.push(`eval_steps ${words(value)}: as often as Thaw chooses`)
    else set(name, typeof value === 'string' && value.trim() !== '' && !Number.isNaN(Number(value)) ? Number(value) : value, from)
  }
  const inputs = use('train_on_inputs')
  if (inputs === true || stage === 'pt') set('train_on', 'all', 'train_on_inputs')
  for (const flag of ['bf16', 'bfloat16', 'fp16'])
    if (take.has(flag)) {
      const value = use(flag)
      if (flag === 'fp16' && value === true) changed.push('fp16: bfloat16 products where the machine is faster with them')
      else if (value === true || value === 'true') set('bf16', true, flag)
    }
  for (const flag of ['packing', 'sample_packing'])
    if (use(flag) === true) lost.push(`${flag}: rows are sorted by length instead, each with its own positions`)

  const share = Number(use('val_size') ?? use('val_set_size') ?? 0.1)
  const nodes: Pipeline['nodes'] = {}
  const layout: Pipeline['layout']['nodes'] = {}
  const node = (id: string, type: string, params: Record<string, unknown>, x: number, y: number) => {
    const def = registry[type]
    if (!def) return
    nodes[id] = { type, version: versionOf(def), params } satisfies PipelineNode
    layout[id] = { x, y }
  }
  const edges: Pipeline['edges'] = []
  const wire = (from: string, port: string, to: string, into: string) =>
    edges.push({ from: { node: from, port }, to: { node: to, port: into } })
  node('model', 'load-model', { model: local ? model : `hub:${model}` }, 0, 0)
  let opened = 'model'
  const layers = use('freeze_trainable_layers')
  if (adapter === 'freeze') {
    node('freeze', 'freeze-layers', { mode: 'last', count: Math.abs(Number(layers ?? 2)) }, 288, 0)
    wire('model', 'model', 'freeze', 'model')
    opened = 'freeze'
    mapped.push(`freeze → last ${words(Math.abs(Number(layers ?? 2)))} blocks`)
    if (Number(layers) < 0) changed.push('freeze_trainable_layers is negative: the first blocks were meant, the last ones are open')
  }
  const listed = use('dataset') ?? use('datasets')
  const files = (Array.isArray(listed) ? listed : String(listed ?? '').split(',')).map((one) =>
    typeof one === 'object' && one !== null ? String((one as { path?: unknown }).path ?? '') : String(one).trim(),
  )
  const data = files.filter(Boolean)
  node('data', 'load-data', { file: data[0] ?? '' }, 0, 240)
  if (data[0]) changed.push(`data ${data[0]}: a name or address there, a file here; choose it in Load data`)
  for (const more of data.slice(1)) lost.push(`data ${more}: one file is read; join them, or add a Load data`)
  for (const name of ['dataset_dir', 'eval_dataset', 'max_samples', 'test_datasets'])
    if (take.has(name)) lost.push(`${name} = ${words(use(name))}: choose the rows on the canvas`)
  const validates = share > 0 && share < 1
  if (validates) {
    node('split', 'split-data', { validation: share, test: 0 }, 288, 240)
    wire('data', 'data', 'split', 'data')
    mapped.push(`validation share ${share}`)
  } else if (share >= 1) changed.push(`val_size ${share}: a number of rows there; set a share in Split data`)
  node('train', 'train', train, 576, 96)
  wire(opened, 'model', 'train', 'model')
  wire(validates ? 'split' : 'data', validates ? 'train' : 'data', 'train', 'data')
  if (validates) wire('split', 'validation', 'train', 'validation')
  node('export', 'export', {}, 864, 96)
  wire('train', 'model', 'export', 'model')
  for (const [name, value] of take) {
    if (value === null || value === false || OWN_BUSINESS.test(name)) continue
    lost.push(`${name} = ${words(value).slice(0, 100)}`)
  }
  const list = (title: string, lines: readonly string[]) => (lines.length ? [`**${title}**`, ...lines.map((line) => `- ${line}`), ''] : [])
  const note = [
    `Read from a configuration of ${tool}.`,
    '',
    ...list('Without a counterpart', lost),
    ...list('Means something else', changed),
    ...list('Taken over', mapped),
  ]
  return {
    tool,
    mapped,
    lost,
    changed,
    document: {
      ...emptyPipeline(),
      nodes,
      edges,
      notes: [{ id: 'imported', text: note.join('\n').trim(), x: 0, y: 440, width: 480, height: 320 }],
      layout: { nodes: layout, groups: [] },
    },
  }
}
