/** Edits that the server does not have yet, kept in this browser (UX-45): offered when the pipeline is opened again. */
import { LIMITS, Pipeline } from '../../nodes/_kit/graph'

export type Draft = { document: Pipeline; revision: number; at: number }

const keyOf = (id: string): string => `thaw:draft:${id}`

export function readDraft(id: string): Draft | null {
  try {
    const text = localStorage.getItem(keyOf(id))
    if (text === null || text.length > LIMITS.bytes) return null
    const saved = JSON.parse(text) as { document?: unknown; revision?: unknown; at?: unknown }
    const document = Pipeline.safeParse(saved.document)
    return document.success && typeof saved.revision === 'number' && typeof saved.at === 'number'
      ? { document: document.data, revision: saved.revision, at: saved.at }
      : null
  } catch {
    return null // No storage, or a draft of another version that no longer parses: the server's document is then all there is.
  }
}

export function writeDraft(id: string, draft: Draft): void {
  try {
    localStorage.setItem(keyOf(id), JSON.stringify(draft))
  } catch {
    // Storage is full or forbidden; autosave to the server still runs.
  }
}

export function dropDraft(id: string): void {
  try {
    localStorage.removeItem(keyOf(id))
  } catch {
    // See above.
  }
}
