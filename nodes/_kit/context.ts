/**
 * All that a node may ask of the outside world. The executor implements it inside the trainer process; nodes never see how.
 * The trainer has no network: what must be fetched is asked of the worker through `ctx.fetchModel`.
 */

import type { ModelHeader } from './facts'
import type { DatasetHandle, Digest, FileHandle, LineageEntry, ModelHandle, TrainablePlan } from './ports'

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
  lr_scheduler_type: 'linear' | 'cosine' | 'constant' | 'constant_with_warmup'
  /** Below 1: a share of all steps (F-2). */
  warmup_steps: number
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
  /** Evaluate and give out a running average of the weights; null: the weights themselves. */
  ema_decay: number | null
  /** Cache outputs of the frozen blocks below the lowest trainable one across epochs. */
  cache_frozen_prefix: boolean
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
    }
  | { type: 'eval'; step: number; epoch: number; eval_loss: number; seconds: number }
  | { type: 'checkpoint'; step: number; metric?: number }
  /** Stopped on request, after the checkpoint. The model of this step can be used as it is. */
  | { type: 'stopped'; step: number }
  | {
      type: 'done'
      step: number
      epochs: number
      delta: Digest
      train_loss: number
      eval_loss: number | null
      bestStep: number | null
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
    /** Answers to the same rows will be asked for next, with these options: preparing both at once saves loading the weights twice. */
    answers?: GenerateOptions
    onProgress?(done: number, total: number): void
  }): Promise<{ loss: number; perplexity: number; tokens: number; rowLosses: number[] }>
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
  /** Writes an HF folder (F-10) as artifacts, reads it back and compares (F-57); throws when it does not match. */
  exportFolder(job: {
    model: ModelHandle
    name: string
    dtype: 'F32' | 'BF16' | 'F16'
    card: string
    metadata: Record<string, string>
  }): Promise<{ file: FileHandle; maxLogitDifference: number }>
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
  /** Brings a model to a local path: built-in package, local folder or GGUF, or hub id. Carried out by the worker (SEC-10). */
  fetchModel(source: string): Promise<{ path: string; name: string; license: string | null }>
  /** Reads a data file by its param value: `template:…`, `upload:<digest>/<name>` or a local path (SEC-6). */
  readFile(file: string): Promise<{ bytes: Uint8Array; name: string; digest: Digest }>
  /** A folder of this attempt's own, removed afterwards. */
  readonly tmp: string
  /** What the model carries with it on export (F-54): pipeline document, digests, seed, metrics of this run so far. */
  readonly provenance: { thawVersion: string; graph: string; graphDigest: string; lineage(): LineageEntry[] }
}
