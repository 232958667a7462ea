/**
 * What can be known about a graph before it runs (UX-21): from file headers and first rows, read by the server, and from pure
 * inference along the wires. Browser, server and CLI see the same facts.
 */
import type { AdapterHandle, DatasetHandle, TrainablePlan } from './ports'

/** One named weight of a model, as its architecture file lists it. */
export type ParameterFact = {
  name: string
  shape: readonly number[]
  /** Index of the transformer block, or null outside the blocks. */
  block: number | null
  part: 'embedding' | 'attention' | 'mlp' | 'norm' | 'head'
}

/** Read from a model's config and headers; no weights are touched. */
export type ModelHeader = {
  name: string
  modelType: string
  dtype: string
  sizeBytes: number
  blocks: number
  hiddenSize: number
  intermediateSize: number
  attentionHeads: number
  keyValueHeads: number
  headDim: number
  vocabSize: number
  contextLength: number
  tiedEmbeddings: boolean
  hasChatTemplate: boolean
  license: string | null
  parameters: readonly ParameterFact[]
  /** False while a built-in or hub model still has to be fetched; then the facts come from the shipped catalogue. */
  downloaded: boolean
}

/** Read from a data file's first rows and size. */
export type DataHeader = {
  name: string
  container: 'jsonl' | 'json' | 'csv' | 'tsv' | 'parquet' | 'txt'
  /** Exact when the file was small enough to read whole, else estimated. */
  rows: number
  rowsExact: boolean
  sizeBytes: number
  columns: readonly string[]
  /** What detection found and why (F-31); null when nothing fits. */
  detected: { format: string; reason: string; alternatives: readonly string[] } | null
  chars: { mean: number; max: number }
  sample: readonly Record<string, unknown>[]
  /** Rows that cannot be used, as far as was read; at most 20. */
  faults?: readonly { line: number | null; reason: string }[]
}

/** What a node asks the server to look at. A pure function of its params. */
export type FactRequest = { kind: 'model'; source: string } | { kind: 'data'; file: string }
export type Fact =
  | { kind: 'model'; header: ModelHeader }
  | { kind: 'data'; header: DataHeader }
  | { kind: 'error'; code: string; message: string; fix?: string }

/** What is known about the value on a port before anything ran. */
export type ModelFacts = ModelHeader & {
  trainable: TrainablePlan | null
  trainedOn: readonly string[]
  adapter?: Pick<AdapterHandle, 'method' | 'r' | 'parameters'> | undefined
}
export type DatasetFacts = {
  name: string
  rows: number | null
  format: DatasetHandle['format'] | null
  columns: readonly string[]
  split: DatasetHandle['split']
  chars: { mean: number; max: number } | null
  /** Id of the node the rows first came from: what the leakage lint compares. */
  origin: string
}
export type PortFacts =
  | { kind: 'model'; facts: ModelFacts }
  | { kind: 'dataset'; facts: DatasetFacts }
  | { kind: 'plan'; facts: TrainablePlan }
  | { kind: 'metrics'; facts: { names: readonly string[] } }
  | { kind: 'report' | 'file'; facts: { name: string } }

/** Predicted cost of running a node once on 2 CPU cores; measured history of the same node replaces it where there is any. */
export type Estimate = { seconds: number; memoryBytes: number; diskBytes: number }

/** One row on a node's card: label left, value right (D-23). At most three are drawn. */
export type CardRow = { label: string; value: string }

/** A fault or remark about a node's settings, shown at the field. */
export type NodeProblem = {
  severity: 'error' | 'warning'
  code: string
  message: string
  /** Param the problem belongs to. */
  param?: string
  expected?: string
  got?: string
  fix?: { label: string; params: Record<string, unknown> }
}

/** What `infer` returns. Everything is optional: say what is known. */
export type Inference = {
  /** By output port name. */
  outputs?: Record<string, PortFacts>
  /** Values for params that were `auto`; they enter the cache key. */
  resolved?: Record<string, unknown>
  estimate?: Estimate
  card?: readonly CardRow[]
  problems?: readonly NodeProblem[]
}
