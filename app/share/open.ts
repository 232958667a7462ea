'use client'
/** What a file that is opened or dropped holds (F-56, UX-97): a pipeline in itself, in a picture or a model, or a bundle. Nothing runs. */
import { type Carried, readCarried } from '../../nodes/_kit/carried'
import type { Registry } from '../../nodes/_kit/define-node'
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Fault } from '../fault'
import { nameOfFile } from './carriers'

export type Opening =
  | { kind: 'document'; name: string; document: Pipeline; carried: Carried | null }
  /** The server has made the pipeline already. */
  | { kind: 'made'; id: string; name: string }

const BUNDLE = /\.zip$/i
const ONLY_CARRIERS = /\.(zip|png|svg|safetensors|gguf)$/i
const CONFIG = /\.ya?ml$/i

/** Null for a file that may be data; rejects with a `Fault` for one that could only have been a pipeline and is none. */
export async function openPipeline(file: File): Promise<Opening | null> {
  if (BUNDLE.test(file.name)) return sendBundle(file)
  if (CONFIG.test(file.name)) return readConfig(file)
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

/** A training configuration of LLaMA-Factory or Axolotl (F-5); the note on its canvas says what was not taken over. */
async function readConfig(file: File): Promise<Opening> {
  // Loaded on use: a parser and the node types, which few visits need.
  const [{ importTrainingConfig }, { registry }] = await Promise.all([import('./training-config'), import('../../nodes')])
  const refuse = (message: string): never => {
    throw {
      code: 'UNSUPPORTED',
      message,
      fix: 'Open a configuration of LLaMA-Factory (model_name_or_path) or Axolotl (base_model).',
    } satisfies Fault
  }
  try {
    const imported = importTrainingConfig(await file.text(), registry as Registry)
    return imported
      ? { kind: 'document', name: nameOfFile(file.name), document: imported.document, carried: null }
      : refuse(`${file.name} is no training configuration that Thaw knows.`)
  } catch (error) {
    if (error instanceof RangeError) return refuse(`${file.name} cannot be read as YAML: ${error.message}.`)
    throw error
  }
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
