'use client'
/** What opening a file on the start page means (UX-39, UX-54): a pipeline opens as a copy, whatever carries it; data becomes a Load data node. Nothing runs. */
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Fault } from '../fault'
import { CARRIERS, nameOfFile } from '../share/carriers'
import { upload } from '../upload'

export const OPENABLE = `.jsonl,.csv,.tsv,.txt,.parquet,${CARRIERS}`
const DATA = /\.(jsonl|json|csv|tsv|txt|parquet)$/i

/** A pipeline to make, or one that the server has made. */
export type Opened = { name: string; document: Pipeline } | { id: string }

/** Rejects with a `Fault` that says what the file is not. The server checks and migrates the document once more. */
export async function openFile(file: File): Promise<Opened> {
  // Loaded on use: neither is needed to show the start page (UX-141).
  const { openPipeline } = await import('../share/open')
  const opening = await openPipeline(file)
  if (opening?.kind === 'made') return { id: opening.id }
  if (opening) return { name: opening.name, document: opening.document }
  if (DATA.test(file.name)) return withData(file)
  throw {
    code: 'UNSUPPORTED',
    message: `${file.name} is not a kind of file that opens here.`,
    fix: 'Open a pipeline (.thaw.json, .thaw.zip), a picture or model that carries one, or data (.jsonl, .csv, .tsv, .txt, .parquet).',
  } satisfies Fault
}

async function withData(file: File): Promise<Opened> {
  const [{ registry }, { versionOf }, { emptyPipeline }] = await Promise.all([
    import('../../nodes'),
    import('../../nodes/_kit/define-node'),
    import('../../nodes/_kit/graph'),
  ])
  const sent = await upload(file)
  const empty = emptyPipeline()
  return {
    name: nameOfFile(file.name),
    document: {
      ...empty,
      nodes: { data: { type: 'load-data', version: versionOf(registry['load-data']), params: { file: sent.file } } },
      layout: { ...empty.layout, nodes: { data: { x: 0, y: 0 } } },
    },
  }
}
