/**
 * What can travel along a wire. Values are small JSON handles; bytes stay in the artifact store and are named by digest.
 * The list is closed: a new kind is a decision about the whole product, not about one node.
 */
import * as z from 'zod'

/** sha256 of stored bytes, lower-case hex. Nothing else is ever used to name an artifact (SEC-6). */
export const Digest = z.string().regex(/^[0-9a-f]{64}$/, 'must be a sha256 in lower-case hex')
export type Digest = z.infer<typeof Digest>

/** Which parameters training may change, as exact names (SCI-24): patterns are resolved once, where the plan is made. */
export const TrainablePlan = z.object({
  /** Exact parameter names, in the model's own order. Never empty: a plan that opens nothing is refused. */
  names: z.array(z.string()).min(1),
  /** Number of scalars behind `names`. */
  parameters: z.int().min(1),
  /** Per block, the share of its scalars that is open, 0…1; index = block. Feeds the layer strip. */
  blocks: z.array(z.number().min(0).max(1)),
  /** Shares for what is outside the blocks. */
  embeddings: z.number().min(0).max(1),
  head: z.number().min(0).max(1),
  /** One phrase for people: "last 10 of 30 blocks". */
  summary: z.string(),
})
export type TrainablePlan = z.infer<typeof TrainablePlan>

/** One training that shaped the weights. */
export const LineageEntry = z.object({
  node: z.string(),
  /** Digest of the dataset that was trained on. */
  data: Digest,
  /** Digest of the file the dataset came from, before any split: lets the lint see leakage. */
  source: Digest,
  steps: z.int(),
  epochs: z.number(),
  seed: z.int(),
  parameters: z.int(),
})
export type LineageEntry = z.infer<typeof LineageEntry>

/** Small trained matrices beside the weights, not yet folded in. */
export const AdapterHandle = z.object({
  /** A manifest of a PEFT folder: adapter_config.json and adapter_model.safetensors. */
  manifest: Digest,
  method: z.enum(['lora', 'rslora', 'dora']),
  r: z.int().min(1),
  parameters: z.int().min(1),
})
export type AdapterHandle = z.infer<typeof AdapterHandle>

export const ModelHandle = z.object({
  /** The weights as loaded: a manifest of source files (HF folder or one GGUF). Never changes along a branch. */
  base: z.object({ manifest: Digest, name: z.string(), source: z.string(), license: z.string().nullable() }),
  /** safetensors with exactly the parameters whose values differ from the base, or null for the base itself. */
  delta: Digest.nullable(),
  /** Stands beside base and delta; whoever reads weights gets it folded in. Absent: none. */
  adapter: AdapterHandle.optional(),
  modelType: z.string(),
  /** dtype of the stored base: 'F32' | 'F16' | 'BF16' or a GGUF quantisation such as 'Q4_1'. */
  dtype: z.string(),
  parameters: z.int(),
  blocks: z.int(),
  vocabSize: z.int(),
  contextLength: z.int(),
  tiedEmbeddings: z.boolean(),
  /** Digest of tokenizer.json as the engine reads or makes it. */
  tokenizer: Digest,
  /** Digest of the chat template's bytes; null for a base model without one. */
  chatTemplate: Digest.nullable(),
  /** null: everything trains. */
  trainable: TrainablePlan.nullable(),
  lineage: z.array(LineageEntry),
})
export type ModelHandle = z.infer<typeof ModelHandle>

/** Whether anything of the model differs from its base. */
export const isTrained = (model: ModelHandle): boolean => model.delta !== null || model.adapter !== undefined

/** The base of a model, before any training. */
export const baseOf = ({ adapter: _, ...model }: ModelHandle): ModelHandle => ({ ...model, delta: null, lineage: [] })

/** The shapes a row can have inside Thaw (F-32). `table` is for results that nobody trains on. */
export const DATASET_FORMATS = ['messages', 'prompt_completion', 'text', 'preference', 'unpaired_preference', 'table'] as const

export const DatasetHandle = z.object({
  /** JSONL, one row a line: `{id, …shape of format…, columns?: {…other columns of the source…}}`. */
  artifact: Digest,
  rows: z.int().min(0),
  format: z.enum(DATASET_FORMATS),
  columns: z.array(z.string()),
  name: z.string(),
  split: z.enum(['all', 'train', 'validation', 'test']),
  /** Digest of the file these rows came from, before any split. */
  source: Digest,
  /** Mean and maximum length of a row in characters: feeds estimates before any tokenizer ran. */
  chars: z.object({ mean: z.number(), max: z.number() }),
})
export type DatasetHandle = z.infer<typeof DatasetHandle>

/** Flat, finite numbers by name: `exact_match`, `base_exact_match`, `eval_loss` … */
export const Metrics = z.record(z.string(), z.number())
export type Metrics = z.infer<typeof Metrics>

export const FileHandle = z.object({
  /** A manifest, also for a single file. */
  manifest: Digest,
  name: z.string(),
  bytes: z.int().min(0),
  files: z.array(z.object({ path: z.string(), digest: Digest, size: z.int().min(0) })),
})
export type FileHandle = z.infer<typeof FileHandle>

export const ReportHandle = z.object({
  artifact: Digest,
  title: z.string(),
  mediaType: z.enum(['application/json', 'text/markdown', 'text/html']),
  /** What it says in one sentence, and the one thing to do about it; shown without opening the file. */
  verdict: z.object({ tone: z.enum(['good', 'look', 'bad']), text: z.string(), action: z.string().nullable() }).optional(),
})

export const PORTS = {
  model: ModelHandle,
  dataset: DatasetHandle,
  plan: TrainablePlan,
  metrics: Metrics,
  report: ReportHandle,
  file: FileHandle,
} as const
export type PortKind = keyof typeof PORTS
export type PortValue<K extends PortKind> = z.output<(typeof PORTS)[K]>

/** How people are told what a wire carries. */
export const PORT_WORDS: Record<PortKind, { one: string; article: string }> = {
  model: { one: 'model', article: 'a model' },
  dataset: { one: 'dataset', article: 'a dataset' },
  plan: { one: 'layer plan', article: 'a layer plan' },
  metrics: { one: 'metrics', article: 'metrics' },
  report: { one: 'report', article: 'a report' },
  file: { one: 'file', article: 'a file' },
}
