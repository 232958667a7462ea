'use client'
/** What opening a file on the start page means (UX-39, UX-54): a pipeline opens as a copy, data becomes a Load data node. Nothing runs. */
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Fault } from '../fault'
import { upload } from '../upload'

export const OPENABLE = '.json,.jsonl,.csv,.tsv,.txt,.parquet'
const DATA = /\.(jsonl|csv|tsv|txt|parquet)$/i
/** SEC-15. */
const PIPELINE_BYTES = 4 * 1024 * 1024

export type Opened = { name: string; document: Pipeline }

const nameOf = (file: string) => file.replace(/(\.thaw)?\.[a-z0-9]+$/i, '').slice(0, 200) || 'Untitled'

/** Rejects with a `Fault` that says what the file is not. The server checks and migrates the document once more. */
export async function openFile(file: File): Promise<Opened> {
  if (DATA.test(file.name)) return withData(file)
  if (!/\.json$/i.test(file.name)) {
    throw {
      code: 'UNSUPPORTED',
      message: `${file.name} is not a kind of file that opens here.`,
      fix: 'Open a pipeline (.thaw.json) or data (.jsonl, .csv, .tsv, .txt, .parquet).',
    } satisfies Fault
  }
  // A .json file is a pipeline or data; only its content tells.
  const document = file.size <= PIPELINE_BYTES ? pipelineIn(await file.text()) : null
  return document ? { name: nameOf(file.name), document } : withData(file)
}

function pipelineIn(text: string): Pipeline | null {
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && 'nodes' in value && ('schemaVersion' in value || 'edges' in value)
      ? (value as Pipeline)
      : null
  } catch {
    return null
  }
}

async function withData(file: File): Promise<Opened> {
  // Loaded on use: neither is needed to show the start page (UX-141).
  const [{ registry }, { versionOf }, { emptyPipeline }] = await Promise.all([
    import('../../nodes'),
    import('../../nodes/_kit/define-node'),
    import('../../nodes/_kit/graph'),
  ])
  const sent = await upload(file)
  const empty = emptyPipeline()
  return {
    name: nameOf(file.name),
    document: {
      ...empty,
      nodes: { data: { type: 'load-data', version: versionOf(registry['load-data']), params: { file: sent.file } } },
      layout: { ...empty.layout, nodes: { data: { x: 0, y: 0 } } },
    },
  }
}
