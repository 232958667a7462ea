/**
 * The editor's three stores, apart because they change at different rates and for different reasons (3.3):
 * `editor` the document with its history, `derived` what follows from it without running, `view` what is open on screen.
 * What runs say lives in a fourth, `app/runs/`.
 */
import { createStore, type StoreApi } from 'zustand/vanilla'
import { check } from '../../nodes/_kit/check'
import type { Registry } from '../../nodes/_kit/define-node'
import type { FactRequest } from '../../nodes/_kit/facts'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Facts, factKey, type InferredGraph, type InferredNode } from '../../nodes/_kit/infer'
import type { Problem } from '../../nodes/_kit/problems'
import type { End } from '../../nodes/_kit/wires'
import { type Edit, sameJson } from './editor-state'
import type { Side } from './graph-queries'
import {
  type Editing,
  type EditOptions,
  EMPTY_HISTORY,
  endGesture,
  NOTHING,
  perform,
  redo,
  type Selection,
  selectionIn,
  undo,
} from './history'
import { staleReasons } from './stale'

export type EditorState = Editing & {
  readonly id: string
  readonly name: string
  /** Revision of the server that this document started from (UX-46). */
  readonly revision: number
  /** Applies an edit; false when it changed nothing. */
  apply(edit: Edit, options: EditOptions): boolean
  endGesture(): void
  /** Label of what was undone, or null. */
  undo(): string | null
  redo(): string | null
  select(selection: Selection): void
  setName(name: string): void
  setRevision(revision: number): void
  /** Another document in place of this one, with an empty history: what someone else saved. */
  load(document: Pipeline, revision: number): void
}

export function createEditorStore(given: { id: string; name: string; revision: number; document: Pipeline }): StoreApi<EditorState> {
  return createStore<EditorState>((set, get) => ({
    ...given,
    selection: NOTHING,
    history: EMPTY_HISTORY,
    apply(edit, options) {
      const before = get()
      const after = perform(before, edit, options)
      if (after === before) return false
      set(after)
      return true
    },
    endGesture: () => set((state) => endGesture(state)),
    undo() {
      const label = get().history.past.at(-1)?.label ?? null
      if (label !== null) set((state) => undo(state))
      return label
    },
    redo() {
      const label = get().history.future[0]?.label ?? null
      if (label !== null) set((state) => redo(state))
      return label
    },
    select: (selection) =>
      set((state) => {
        const next = selectionIn(state.document, selection)
        return sameJson(next, state.selection) ? state : { selection: next }
      }),
    setName: (name) => set({ name }),
    setRevision: (revision) => set({ revision }),
    load: (document, revision) => set({ document, revision, selection: NOTHING, history: EMPTY_HISTORY }),
  }))
}

export type Ran = { readonly document: Pipeline; readonly number: number | null }

export type DerivedState = {
  readonly facts: Facts
  readonly order: readonly string[]
  readonly nodes: Readonly<Record<string, InferredNode>>
  readonly problems: readonly Problem[]
  readonly unanswered: readonly FactRequest[]
  /** Ends with at least one wire, as `in node.port` and `out node.port`. */
  readonly wired: ReadonlySet<string>
  /** Why a node's last result no longer counts, by node (UX-64). */
  readonly stale: Readonly<Record<string, string>>
  /** The run whose results are on the cards; null before the first. */
  readonly ran: Ran | null
  setRan(ran: Ran | null): void
  answer(facts: Facts): void
  /** Forgets an answer, so that it is asked again: the file behind a path may have changed. */
  forget(requests: readonly FactRequest[]): void
}

/** Keeps an inferred node's object where nothing about it changed: cards compare by identity (TC-39). */
function keepSame(before: Readonly<Record<string, InferredNode>>, after: InferredGraph['nodes']): Readonly<Record<string, InferredNode>> {
  const kept: Record<string, InferredNode> = {}
  for (const [id, next] of Object.entries(after)) {
    const old = before[id]
    const { def, ...rest } = next
    kept[id] = old && old.def === def && sameJson({ ...old, def: null }, { ...rest, def: null }) ? old : next
  }
  return kept
}

/** Follows the editor: every edit of the graph (not of the layout) is checked and inferred at once (UX-64, UX-68). */
export function createDerivedStore(
  editor: StoreApi<EditorState>,
  registry: Registry,
): { store: StoreApi<DerivedState>; follow: () => () => void } {
  const look = (document: Pipeline, facts: Facts, before: Readonly<Record<string, InferredNode>>) => {
    const { problems, inference } = check(document, registry, facts)
    return { facts, problems, order: inference.order, unanswered: inference.unanswered, nodes: keepSame(before, inference.nodes) }
  }
  const wiredIn = ({ edges }: Pipeline) =>
    new Set(edges.flatMap(({ from, to }) => [`out ${from.node}.${from.port}`, `in ${to.node}.${to.port}`]))
  const staleIn = (document: Pipeline, ran: Ran | null): Record<string, string> =>
    ran ? Object.fromEntries(staleReasons(document, ran.document, registry, ran.number)) : {}
  const store = createStore<DerivedState>((set, get) => ({
    ...look(editor.getState().document, {}, {}),
    wired: wiredIn(editor.getState().document),
    stale: {},
    ran: null,
    setRan: (ran) => set({ ran, stale: staleIn(editor.getState().document, ran) }),
    answer: (more) => set((state) => look(editor.getState().document, { ...state.facts, ...more }, state.nodes)),
    forget(requests) {
      const gone = new Set(requests.map(factKey))
      const facts = Object.fromEntries(Object.entries(get().facts).filter(([key]) => !gone.has(key)))
      set((state) => look(editor.getState().document, facts, state.nodes))
    },
  }))
  let seen = editor.getState().document
  const catchUp = () => {
    const [now, then] = [editor.getState().document, seen]
    seen = now
    // Titles appear in messages, so a rename is looked at; a move is not.
    const renamed =
      now.layout !== then.layout && Object.keys(now.nodes).some((id) => now.layout.nodes[id]?.title !== then.layout.nodes[id]?.title)
    if (now.nodes !== then.nodes || now.edges !== then.edges || now.inputs !== then.inputs || renamed) {
      store.setState((state) => ({
        ...look(now, state.facts, state.nodes),
        stale: staleIn(now, state.ran),
        ...(now.edges !== then.edges && { wired: wiredIn(now) }),
      }))
    }
  }
  const follow = () => {
    catchUp()
    return editor.subscribe(catchUp)
  }
  return { store, follow }
}

export type InspectorTab = 'settings' | 'data' | 'run' | 'notes'

/** A wire being drawn, by pointer or keyboard, and where it could end: `node.port` of every fitting port. */
export type Connecting = { readonly from: End; readonly side: Side; readonly fits: ReadonlySet<string> }

export type QuickAdd = {
  /** Where the list opens, in pixels of the canvas element. */
  readonly at: { readonly x: number; readonly y: number }
  /** Where the node will lie, in canvas coordinates. */
  readonly place: { readonly x: number; readonly y: number }
  /** Only nodes that fit this end, wired at once (UX-27). */
  readonly link?: { readonly end: End; readonly side: Side }
  /** Only nodes that can stand on this wire (UX-28). */
  readonly edge?: string
  /** In place of this node (UX-29). */
  readonly replace?: string
}

export type Refusal = {
  readonly at: { readonly x: number; readonly y: number }
  readonly kind: import('../../nodes/_kit/ports').PortKind | null
  readonly reason: string
  readonly fix?: import('../../nodes/_kit/problems').Fix
}

export type ViewState = {
  readonly tab: InspectorTab
  /** The node that the canvas's one tab stop is on (UX-130). */
  readonly focused: string | null
  /** The node that has the focus while its card is not in the page, and takes it when it is drawn. */
  readonly seeking: string | null
  readonly connecting: Connecting | null
  readonly quickAdd: QuickAdd | null
  readonly refusal: Refusal | null
  readonly open: 'palette' | 'keys' | 'check' | 'plan' | 'connect' | 'history' | 'name-version' | 'rerun' | null
  /** Node to bring into view, until the canvas has. */
  readonly reveal: string | null
  /** Node whose name is to be edited, until the inspector has taken it. */
  readonly renaming: string | null
  /** Group whose name is to be written, and note whose text is, until their cards have taken it. */
  readonly namingGroup: string | null
  readonly writing: string | null
  /** Port whose content is shown beside it while the pointer rests there; `at` in pixels of the canvas element. */
  readonly peek: (End & { readonly side: Side; readonly at: { readonly x: number; readonly y: number } }) | null
  /** Node shown in the large freeze view, in place of the canvas (D-31). */
  readonly large: string | null
  /** The pipeline is shown as a plain form, in place of the canvas (UX-14). */
  readonly form: boolean
  /** Output whose rows are shown in large, in place of the canvas. */
  readonly rows: End | null
  /** Required inputs are ringed only after the first check or run (UX-19). */
  readonly checked: boolean
  /** Param to put the focus on, set by the problem list. */
  readonly goTo: { readonly node: string; readonly param?: string; readonly at: number } | null
  /** Said by the live region (UX-132). */
  readonly said: string
  set(part: Partial<Omit<ViewState, 'set' | 'say'>>): void
  say(text: string): void
}

export const createViewStore = (): StoreApi<ViewState> =>
  createStore<ViewState>((set) => ({
    tab: 'settings',
    focused: null,
    seeking: null,
    connecting: null,
    quickAdd: null,
    refusal: null,
    open: null,
    reveal: null,
    renaming: null,
    namingGroup: null,
    peek: null,
    writing: null,
    large: null,
    form: false,
    rows: null,
    checked: false,
    goTo: null,
    said: '',
    set: (part) => set(part),
    // A live region speaks only when its text changes: the same words twice get an invisible difference.
    say: (text) => set((state) => ({ said: state.said === text ? `${text}\u00a0` : text })),
  }))
