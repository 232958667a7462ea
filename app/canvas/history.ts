/**
 * Undo and redo (UX-43): a line of named entries, 200 deep. One gesture is one entry: edits that carry the same gesture key are folded
 * into the entry on top until `endGesture`. An entry keeps its edits, the documents before and after them (shared structure, so a few
 * changed objects each) and the selections, so undo is exact by construction and never has to invert an edit. It knows nothing of runs:
 * undo never undoes one.
 */
import type { Pipeline } from '../../nodes/_kit/graph'
import { applyEdit, type Edit } from './editor-state'

export const HISTORY_DEPTH = 200

export type Selection = { readonly nodes: readonly string[]; readonly edges: readonly string[] }
export const NOTHING: Selection = { nodes: [], edges: [] }

export type Entry = {
  /** As in "Undo: move 3 nodes". */
  readonly label: string
  readonly edits: readonly Edit[]
  readonly before: Pipeline
  readonly after: Pipeline
  readonly selectedBefore: Selection
  readonly selectedAfter: Selection
}

export type History = {
  readonly past: readonly Entry[]
  readonly future: readonly Entry[]
  /** Key of the gesture in progress; null: the next edit makes a new entry. */
  readonly gesture: string | null
}
export const EMPTY_HISTORY: History = { past: [], future: [], gesture: null }

export type Editing = { readonly document: Pipeline; readonly selection: Selection; readonly history: History }
export type EditOptions = {
  readonly label: string
  /** Edits with the same key that follow each other are one entry. */
  readonly gesture?: string
  /** Selection afterwards; what no longer exists is dropped from it. Default: as before. */
  readonly select?: Selection
}

/** Drops from a selection what the document no longer has. */
export function selectionIn(document: Pipeline, selection: Selection): Selection {
  const nodes = selection.nodes.filter((id) => Object.hasOwn(document.nodes, id))
  if (selection.edges.length === 0 && nodes.length === selection.nodes.length) return selection
  const keys = new Set(document.edges.map((e) => `${e.from.node}.${e.from.port}>${e.to.node}.${e.to.port}`))
  return { nodes, edges: selection.edges.filter((key) => keys.has(key)) }
}

/** Applies one edit as (part of) an entry. The same object comes back when the edit changes nothing. */
export function perform(state: Editing, edit: Edit, options: EditOptions): Editing {
  const after = applyEdit(state.document, edit)
  if (after === state.document) return state
  const selection = selectionIn(after, options.select ?? state.selection)
  const { past, gesture } = state.history
  const top = past.at(-1)
  const joins = options.gesture !== undefined && gesture === options.gesture && top !== undefined
  const entry: Entry = joins
    ? { ...top, label: options.label, edits: [...top.edits, edit], after, selectedAfter: selection }
    : { label: options.label, edits: [edit], before: state.document, after, selectedBefore: state.selection, selectedAfter: selection }
  const line = joins ? [...past.slice(0, -1), entry] : [...past, entry]
  return { document: after, selection, history: { past: line.slice(-HISTORY_DEPTH), future: [], gesture: options.gesture ?? null } }
}

/** Closes the gesture in progress: pointer up, field left. */
export const endGesture = (state: Editing): Editing =>
  state.history.gesture === null ? state : { ...state, history: { ...state.history, gesture: null } }

export function undo(state: Editing): Editing {
  const entry = state.history.past.at(-1)
  if (!entry) return state
  return {
    document: entry.before,
    selection: entry.selectedBefore,
    history: { past: state.history.past.slice(0, -1), future: [entry, ...state.history.future], gesture: null },
  }
}

export function redo(state: Editing): Editing {
  const [entry, ...future] = state.history.future
  if (!entry) return state
  return { document: entry.after, selection: entry.selectedAfter, history: { past: [...state.history.past, entry], future, gesture: null } }
}
