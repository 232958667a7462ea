'use client'
/** Sends one file to the server, which keeps it under its digest. Rejects with a `Fault`. */
import type { Fault } from './fault'

export type Uploaded = {
  /** What a file param takes: `upload:<digest>/<name>`. */ file: string
  digest: string
  name: string
  sizeBytes: number
}

export async function upload(file: File): Promise<Uploaded> {
  let answer: Response
  try {
    answer = await fetch(`/api/upload?name=${encodeURIComponent(file.name)}`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: file,
    })
  } catch {
    throw {
      code: 'NETWORK',
      message: `${file.name} could not be sent.`,
      fix: 'Look whether npm start still runs, then try again.',
    } satisfies Fault
  }
  const body: unknown = await answer.json().catch(() => null)
  if (answer.ok) return body as Uploaded
  const error = (body as { error?: Fault } | null)?.error ?? (body as Fault | null)
  throw error && typeof error.message === 'string'
    ? error
    : ({ code: 'INTERNAL', message: `${file.name} was refused (${answer.status}).` } satisfies Fault)
}
