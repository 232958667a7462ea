/**
 * A pipeline as a file (UX-97): the document in an envelope that says which Thaw wrote it, the versions of its node types and a hash of its
 * content. A bare document opens as well.
 */
import { digestOf } from './cache-key'
import type { Pipeline } from './graph'

export const PIPELINE_FILE = '.thaw.json'

export type PipelineFile = {
  thaw: 'pipeline'
  version: 1
  name: string
  /** Thaw that wrote the file. */
  madeWith: string
  /** Version of each node type in it. */
  nodeTypes: Record<string, number>
  /** Of the document, as canonical JSON. */
  sha256: string
  document: Pipeline
}

/** The text of the file. The document must be portable already. */
export function writePipelineFile(document: Pipeline, name: string, madeWith: string): string {
  const nodeTypes = Object.fromEntries(
    Object.values(document.nodes)
      .map(({ type, version }) => [type, version] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
  const file: PipelineFile = { thaw: 'pipeline', version: 1, name, madeWith, nodeTypes, sha256: digestOf(document), document }
  return `${JSON.stringify(file, null, 2)}\n`
}

export type FoundPipeline = {
  /** Untrusted: `loadDocument` opens it. */
  document: unknown
  name: string | null
  madeWith: string | null
  /** Whether the content is not what the hash in the file says: edited by hand, or damaged. */
  changed: boolean
}

/** The pipeline in a parsed JSON value; null when it is anything else. */
export function readPipelineFile(value: unknown): FoundPipeline | null {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null
  const file = value as Partial<PipelineFile> & Record<string, unknown>
  const words = (text: unknown) => (typeof text === 'string' && text !== '' ? text.slice(0, 200) : null)
  if (file.thaw === 'pipeline' && typeof file.document === 'object' && file.document !== null) {
    const changed = (() => {
      try {
        return digestOf(file.document) !== file.sha256
      } catch {
        return true
      }
    })()
    return { document: file.document, name: words(file.name), madeWith: words(file.madeWith), changed }
  }
  if ('nodes' in file && ('schemaVersion' in file || 'edges' in file)) return { document: file, name: null, madeWith: null, changed: false }
  return null
}
