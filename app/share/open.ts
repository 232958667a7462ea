'use client'
/** What a file that is opened or dropped holds (F-56, UX-97): a pipeline in itself, in a picture or a model, or a bundle. Nothing runs. */
import { type Carried, readCarried } from '../../nodes/_kit/carried'
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Fault } from '../fault'
import { nameOfFile } from './carriers'

export type Opening =
  | { kind: 'document'; name: string; document: Pipeline; carried: Carried }
  /** The server has made the pipeline already. */
  | { kind: 'made'; id: string; name: string }

const BUNDLE = /\.zip$/i
const ONLY_CARRIERS = /\.(zip|png|svg|safetensors|gguf)$/i

/** Null for a file that may be data; rejects with a `Fault` for one that could only have been a pipeline and is none. */
export async function openPipeline(file: File): Promise<Opening | null> {
  if (BUNDLE.test(file.name)) return sendBundle(file)
  const carried = await readCarried({
    name: file.name,
    size: file.size,
    read: async (start, end) => new Uint8Array(await file.slice(start, end).arrayBuffer()),
  })
  // The server opens it once more, with its bounds and migrations.
  if (carried) return { kind: 'document', name: carried.name ?? nameOfFile(file.name), document: carried.document as Pipeline, carried }
  if (!ONLY_CARRIERS.test(file.name)) return null
  const model = /\.(safetensors|gguf)$/i.test(file.name)
  throw {
    code: 'UNSUPPORTED',
    message: `There is no pipeline in ${file.name}.`,
    fix: model
      ? 'Export writes the pipeline into its files; models of others carry none. To use this model, name its path in Load model.'
      : 'Pictures carry a pipeline only when Share made them, and were not converted since.',
  } satisfies Fault
}

async function sendBundle(file: File): Promise<Opening> {
  let answer: Response
  try {
    answer = await fetch('/api/import', { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body: file })
  } catch {
    throw {
      code: 'NETWORK',
      message: `${file.name} could not be sent.`,
      fix: 'Look whether npm start still runs, then try again.',
    } satisfies Fault
  }
  const body = (await answer.json().catch(() => null)) as { id?: string; name?: string; error?: Fault } | null
  if (answer.ok && body?.id) return { kind: 'made', id: body.id, name: body.name ?? nameOfFile(file.name) }
  throw body?.error ?? ({ code: 'INTERNAL', message: `${file.name} was refused (${answer.status}).` } satisfies Fault)
}

/** The address of a pipeline that was just opened from a file: the editor says there what is missing (UX-88). */
export const openedAddress = (id: string, file: string) => `/pipelines/${id}?opened=${encodeURIComponent(file.slice(0, 200))}`
