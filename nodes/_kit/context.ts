/**
 * All that a node may ask of the outside world. The executor implements it inside the trainer process; nodes never see how.
 * The trainer has no network: what must be fetched is asked of the worker through `ctx.fetchModel`.
 */

import type { ModelHeader } from './facts'
import type { AdapterHandle, DatasetHandle, Digest, FileHandle, LineageEntry, ModelHandle, TrainablePlan } from './ports'

export type LogLevel = 'info' | 'warn' | 'error'

export interface ArtifactAccess {
  /** Stores bytes and returns their digest. Storing the same bytes twice stores them once. */
  put(bytes: Uint8Array | string): Promise<Digest>
  /** Stores a file that the node wrote under `ctx.tmp`; the file is moved, not copied, where possible. */
  putFile(path: string): Promise<Digest>
  /** Absolute path of the stored bytes, for reading only. Verified once per process before first use. */
  path(digest: Digest): Promise<string>
  read(digest: Digest): Promise<Uint8Array>
  readText(digest: Digest): Promise<string>
  /** Stores a sorted manifest of files and returns its handle. */
  putManifest(name: string, files: readonly { path: string; digest: Digest; size: number }[]): Promise<FileHandle>
}

export interface Checkpoint {
  /** Optimizer step the state belongs to. */
  step: number
  manifest: Digest
  metric?: number
}

export interface CheckpointAccess {
  /** Newest good checkpoint this attempt may continue from: same identity key, verified. */
  latest(): Promise<Checkpoint | null>
  /** Commits a checkpoint: the files must already be artifacts. Resolves once the worker recorded it. */
  save(checkpoint: { step: number; files: readonly { path: string; digest: Digest; size: number }[]; metric?: number }): Promise<void>
}

/** Arguments of a training, by the names Hugging Face uses (formats.md section 1); every value resolved, no `auto` left. */
export type TrainArguments = {
  learning_rate: number
  num_train_epochs: number
  /** -1: by epochs. */
  max_steps: number
  per_device_train_batch_size: number
  per_device_eval_batch_size: number
  gradient_accumulation_steps: number
  max_length: number
  lr_scheduler_type:
    | 'linear'
    | 'cosine'
    | 'constant'
    | 'constant_with_warmup'
    | 'cosine_with_restarts'
    | 'cosine_with_min_lr'
    | 'cosine_warmup_with_min_lr'
    | 'polynomial'
    | 'inverse_sqrt'
    | 'warmup_stable_decay'
  /** Only what the schedule takes. */
  lr_scheduler_kwargs: {
    num_cycles?: number
    min_lr_rate?: number
    min_lr_ratio?: number
    power?: number
    lr_end?: number
    /** Below 1: a share of all steps. */
    num_decay_steps?: number
  }
  /** Below 1: a share of all steps (F-2). */
  warmup_steps: number
  optim: 'adamw' | 'lion' | 'adafactor' | 'sgd'
  momentum: number
  nesterov: boolean
  /** Factor of the learning rate from each block to the one below it. */
  layerwise_lr_decay: number
  adam_beta1: number
  adam_beta2: number
  adam_epsilon: number
  weight_decay: number
  max_grad_norm: number
  logging_steps: number
  eval_steps: number
  seed: number
  bf16: boolean
  train_on: 'completion' | 'assistant' | 'last_turn' | 'all'
  load_best_model_at_end: boolean
  /** 0: never ends early. */
  early_stopping_patience: number
  early_stopping_threshold: number
  /** Noise on the embeddings of training rows; 0: none. */
  neftune_noise_alpha: number
  /** Evaluate and give out a running average of the weights; null: the weights themselves. */
  ema_decay: number | null
  /** Cache outputs of the frozen blocks below the lowest trainable one across epochs. */
  cache_frozen_prefix: boolean
}

/** An adapter to be trained beside the weights, by PEFT's names. */
export type AdapterSettings = {
  method: AdapterHandle['method']
  r: number
  lora_alpha: number
  lora_dropout: number
  init_lora_weights: 'default' | 'gaussian'
  /** Exact module paths. */
  modules: readonly string[]
}

/** A training on preferences, by TRL's names; every value resolved. */
export type PreferenceSettings = {
  loss_type: 'sigmoid' | 'ipo' | 'hinge' | 'robust' | 'apo_zero' | 'apo_down' | 'orpo' | 'simpo' | 'cpo' | 'kto'
  beta: number
  /** SimPO: by how much the chosen answer should lead. */
  gamma: number
  label_smoothing: number
  /** Weight of the cross-entropy of chosen answers; 0: none, but for ORPO and CPO, which always have it. */
  rpo_alpha: number
  desirable_weight: number
  undesirable_weight: number
}

/** What training reports. `step` rows follow F-50. */
export type TrainEvent =
  | { type: 'start'; totalSteps: number; fromStep: number; trainedTokensPerEpoch: number; rows: number; dropped: number; backend: string }
  | { type: 'preparing'; done: number; total: number; what: string }
  | {
      type: 'step'
      step: number
      epoch: number
      loss: number
      grad_norm: number
      learning_rate: number
      tokens_per_second: number
      num_tokens: number
      seconds: number
      /** What a preference training draws besides: rewards, margins, log-probabilities. */
      metrics?: Readonly<Record<string, number>>
    }
  | { type: 'eval'; step: number; epoch: number; eval_loss: number; seconds: number; metrics?: Readonly<Record<string, number>> }
  | { type: 'checkpoint'; step: number; metric?: number }
  /** Stopped on request, after the checkpoint. The model of this step can be used as it is. */
  | { type: 'stopped'; step: number }
  | {
      type: 'done'
      step: number
      epochs: number
      /** Null where nothing but an adapter differs from the base. */
      delta: Digest | null
      /** What was trained, where it was an adapter. */
      adapter?: AdapterHandle
      train_loss: number
      eval_loss: number | null
      bestStep: number | null
      /** Validations stopped getting better. */
      endedEarly?: boolean
      seconds: number
    }

export type GenerateOptions = {
  max_new_tokens: number
  /** 0: greedy. */
  temperature: number
  top_k: number
  top_p: number
  repetition_penalty: number
  seed: number
  batch_size: number
  /** Answers end before any of these texts. */
  stop?: readonly string[]
  /** Answers are JSON of this schema; `true`: any JSON. */
  json_schema?: unknown
}

/** One row as tokens (F-40 … F-45). */
export type RowTokens = {
  length: number
  /** Tokens that count in the loss. */
  trained: number
  /** Whether the token that ends the answer trains (F-41). */
  endTrained: boolean
  /** Two start tokens (F-42). */
  doubleStart: boolean
  error: string | null
}

/** What a set of rows scored: `rowLosses[i]` belongs to row i, NaN where it was too long. */
export type RowsLoss = { loss: number; tokens: number; rowLosses: number[] }

/** A short training that leaves nothing behind: no checkpoint, no schedule, and no weights unless they are asked for. */
export type TrialJob = {
  model: ModelHandle
  data: DatasetHandle
  /** Exact parameter names; null: all. */
  trainable: readonly string[] | null
  /** Rows whose loss is looked at every `eval_steps` steps (0: never) and after the last. */
  watch: readonly { data: DatasetHandle; train_on: TrainArguments['train_on']; max_length: number }[]
  /** One learning rate a step: their number is the number of steps. */
  rates: readonly number[]
  train_on: TrainArguments['train_on']
  max_length: number
  batch_size: number
  eval_batch_size: number
  eval_steps: number
  max_grad_norm: number
  seed: number
  bf16: boolean
  /** Store what changed, as a training does. */
  keep?: boolean
  onProgress?(done: number, total: number): void
}
export type TrialResult = {
  steps: readonly { step: number; loss: number; gradNorm: number; learningRate: number }[]
  /** Sets in the order of `watch`. */
  looks: readonly { step: number; sets: readonly RowsLoss[] }[]
  /** Step whose loss was no number any more. */
  divergedAt: number | null
  delta: Digest | null
}

/** Norms of a tensor and of its mean gradient; `unbiased` estimates the squared norm of the expected gradient (SCI-15). */
export type TensorGradient = { name: string; shape: readonly number[]; weight: number; gradient: number; unbiased: number }

/** Sums over the trained tokens of a row, in nats; `agreed` counts tokens where both models prefer the same one. */
export type RowDivergence = { tokens: number; base: number; tuned: number; divergence: number; agreed: number }

export type ExportJob = {
  model: ModelHandle
  name: string
  /** Default: a Hugging Face folder. `gguf`: one file, with a Modelfile for Ollama. */
  format?: 'folder' | 'gguf'
  /** F32, BF16 or F16; for GGUF also the quantised types (engine/formats/gguf-export.ts). */
  dtype: string
  /** README.md. */
  card: string
  /** Text by text, in the header of the weights (F-54). */
  metadata: Record<string, string>
  /** Folder: weights beyond this size are spread over several files. */
  shardBytes?: number
  /** GGUF: what its general keys say. */
  license?: string | null
  base?: { name: string; repo: string | null }
}

/** What the written file was compared on (F-57, F-58). */
export type ExportGate = {
  prompts: number
  /** Largest difference of two logits. */
  largest: number
  /** Mean Kullback-Leibler divergence per token, nats. */
  divergence: number
  /** Share of places where both would say the same next token. */
  sameTop: number
  /** Share of prompts with the same greedy text. */
  sameGreedy: number
  /** What readers of the file will not do as the model does. */
  notes: string[]
}
export type ExportResult = { file: FileHandle; maxLogitDifference: number; gate: ExportGate }

/** What a model makes of rows: its loss on the expected answers, and its own answers where they were wanted. */
export type Score = {
  loss: number
  perplexity: number
  tokens: number
  rowLosses: number[]
  texts: string[] | null
  truncated: boolean[] | null
}

/** The engine as nodes see it: whole jobs over handles, never tensors. */
export interface EngineAccess {
  /** `bf16`: whether matrix products in bfloat16 are faster here; absent where nobody measured. */
  readonly backend: { name: 'tensorflow' | 'wasm' | 'cpu'; device: string; reason: string; bf16?: boolean }
  /** Reads and stores the source files of a model, refusing what it cannot read by name (E-20). `path` comes from `ctx.fetchModel`. */
  importModel(source: { path: string; name: string; source: string; license: string | null }): Promise<ModelHandle>
  header(model: ModelHandle): Promise<ModelHeader>
  /** Ends with `done` or `stopped`. Leaving the loop early stops training and frees its memory. */
  train(job: {
    model: ModelHandle
    data: DatasetHandle
    validation?: DatasetHandle
    trainable: TrainablePlan | null
    /** Train this beside the weights instead of what is trainable in them. */
    adapter?: AdapterSettings
    /** The rows are preferences, and this is what is made of them. */
    preference?: PreferenceSettings
    args: TrainArguments
  }): AsyncIterable<TrainEvent>
  /** Token-weighted mean loss over the trained tokens (SCI-3). `rowLosses[i]` belongs to row i. */
  evaluate(job: {
    model: ModelHandle
    data: DatasetHandle
    max_length: number
    batch_size: number
    train_on: TrainArguments['train_on']
    /** Products in bfloat16 where the backend is faster with it; absent: float32. */
    bf16?: boolean
    onProgress?(done: number, total: number): void
  }): Promise<{ loss: number; perplexity: number; tokens: number; rowLosses: number[] }>
  /**
   * Loss and answers over the same rows, read once, of the model and, with `base`, of the model before training as well: blocks that training
   * left alone are computed once for both.
   */
  score(job: {
    model: ModelHandle
    base: boolean
    data: DatasetHandle
    max_length: number
    train_on: TrainArguments['train_on']
    /** Rows computed together where no answers are wanted. */
    batch_size: number
    /** null: the loss only. */
    answers: GenerateOptions | null
    /** As in `evaluate`. */
    bf16?: boolean
    onProgress?(done: number, total: number): void
  }): Promise<{ model: Score; base: Score | null }>
  /** What each row becomes as tokens, exactly as training sees it; no weights are loaded. `error`: why a row cannot be trained on. */
  tokens(job: {
    model: ModelHandle
    data: DatasetHandle
    train_on: TrainArguments['train_on']
    onProgress?(done: number, total: number): void
  }): Promise<readonly RowTokens[]>
  /** Answers for each row's prompt (its messages without the last assistant turn, or its prompt), in row order. */
  generate(job: {
    model: ModelHandle
    data: DatasetHandle
    options: GenerateOptions
    /** As in `evaluate`. */
    bf16?: boolean
    onProgress?(done: number, total: number): void
  }): Promise<{ prompts: string[]; texts: string[]; tokens: number[]; truncated: boolean[] }>
  /** Trains for a few steps and looks at the losses of single rows; ends early, without an error, where the loss is lost. */
  trial(job: TrialJob): Promise<TrialResult>
  /** Gradients of the mean loss, measured without training. `resample`: over tokens the model draws itself, so that none is expected. */
  gradients(job: {
    model: ModelHandle
    data: DatasetHandle
    train_on: TrainArguments['train_on']
    max_length: number
    batch_size: number
    batches: number
    resample: boolean
    seed: number
    bf16: boolean
    onProgress?(done: number, total: number): void
  }): Promise<readonly TensorGradient[]>
  /** How far `model` has moved from `base` on the same rows, and the tokens that lost most, each with the words before it. */
  divergence(job: {
    model: ModelHandle
    base: ModelHandle
    data: DatasetHandle
    train_on: TrainArguments['train_on']
    max_length: number
    onProgress?(done: number, total: number): void
  }): Promise<{
    rows: readonly RowDivergence[]
    lost: readonly { row: number; before: string; token: string; base: number; tuned: number }[]
  }>
  /** Singular values of matrices of the model, descending. */
  singularValues(job: {
    model: ModelHandle
    names: readonly string[]
    onProgress?(done: number, total: number): void
  }): Promise<readonly { name: string; shape: readonly number[]; values: readonly number[] }[]>
  /** Weights (1 − alpha) · base + alpha · model (SCI-74): 0 gives the base's own, 1 the model's own. Returns the changed weights. */
  interpolate(job: { model: ModelHandle; alpha: number }): Promise<Digest | null>
  /** Writes an HF folder (F-10) or a GGUF file as artifacts, reads it back and compares (F-57); throws when it does not match. */
  exportFolder(job: ExportJob): Promise<ExportResult>
  /** The model's adapter as a PEFT folder. Throws where it has none, or where it stands on weights that only Thaw has. */
  exportAdapter(job: { model: ModelHandle; name: string; card: string }): Promise<FileHandle>
}

export interface RunContext {
  /** Aborts when the attempt must end now. Stop-and-keep goes through `engine.train`, which ends with `stopped`. */
  readonly signal: AbortSignal
  readonly seed: number
  /** Id of this node in the pipeline. */
  readonly node: string
  log(text: string, level?: LogLevel): void
  /** `unit` is a plural noun: steps, rows, bytes. */
  progress(done: number, total: number, unit: string): void
  /** One point of the live curves; `step` is the x axis. */
  metrics(point: Record<string, number>): void
  readonly artifacts: ArtifactAccess
  readonly checkpoint: CheckpointAccess
  readonly engine: EngineAccess
  secrets(name: string): Promise<string>
  /** Points that another node of this pipeline reported, in order: its curves in this run, or in the run whose result is reused. */
  curves(node: string): Promise<readonly Record<string, number>[]>
  /** Brings a model to a local path: built-in package, local folder or GGUF, or hub id. Carried out by the worker (SEC-10). */
  fetchModel(source: string): Promise<{ path: string; name: string; license: string | null }>
  /** Reads a data file by its param value: `template:…`, `upload:<digest>/<name>` or a local path (SEC-6). */
  readFile(file: string): Promise<{ bytes: Uint8Array; name: string; digest: Digest }>
  /** A folder of this attempt's own, removed afterwards. */
  readonly tmp: string
  /** What the model carries with it on export (F-54): pipeline document, digests, seed, metrics of this run so far. */
  readonly provenance: { thawVersion: string; graph: string; graphDigest: string; lineage(): LineageEntry[] }
}
