'use client'
/**
 * What a person can do, in one place: gesture, menu, key and palette call these. Each makes at most one entry in the history, says what
 * happened to those who cannot see it (UX-132), and offers Undo where something disappeared (D-50).
 */
import { connectionVerdict } from '../../nodes/_kit/connect'
import type { Edge } from '../../nodes/_kit/graph'
import type { Fix, Problem } from '../../nodes/_kit/problems'
import { type End, own, titleOf } from '../../nodes/_kit/wires'
import { toast } from '../ui/toast'
import { addBeside, addNode, type Built, deleteSelected, disableSelected, fixEdit, insertOn, moveBy } from './build'
import type { Editor } from './context'
import { edgeKey, freshId, type Point } from './editor-state'
import { copyFragment, type Fragment, parseFragment, pasteEdit } from './fragment'
import { kindAt, placeOf, readingOrder, type Side } from './graph-queries'
import { changeGroup, type Group, groupEdit, type Size, ungroupEdit } from './groups'
import { type Lineup, lineUp } from './line-up'
import { replaceNode } from './replace'
import type { QuickAdd } from './stores'
import { tidy } from './tidy'

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

export type Actions = ReturnType<typeof createActions>

export function createActions({ registry, editor, derived, view }: Editor) {
  const doc = () => editor.getState().document
  const title = (id: string) => titleOf(doc(), registry, id)
  const say = (text: string) => view.getState().say(text)

  let problemAt = -1

  /** Puts the canvas's focus on a node. A card out of view is not in the page; it takes the focus when it is drawn (`NodeCard`). */
  function focusNode(id: string | undefined) {
    const folded = id === undefined ? undefined : doc().layout.groups.find((group) => group.folded && group.nodes.includes(id))
    if (folded) editor.getState().apply(changeGroup(doc(), folded.id, { folded: false }), { label: `unfold ${folded.title}` })
    view.getState().set({ focused: id ?? null, seeking: id ?? null, ...(id !== undefined && { reveal: id }) })
    if (id === undefined) return document.querySelector<HTMLElement>('[data-canvas]')?.focus({ preventScroll: true })
    // A frame later, when what is closing now has given the focus back.
    requestAnimationFrame(() => {
      if (view.getState().focused !== id) return
      const card = document.querySelector<HTMLElement>(`[data-node="${CSS.escape(id)}"]`)
      if (card) card.focus({ preventScroll: true })
      else view.getState().set({ seeking: id })
    })
  }

  function commit(built: Built | null, options: { select?: boolean; gesture?: string; undoToast?: boolean } = {}): boolean {
    if (!built) return false
    const done = editor.getState().apply(built.edit, {
      label: built.label,
      ...(options.gesture !== undefined && { gesture: options.gesture }),
      ...(options.select && { select: { nodes: built.ids, edges: [] } }),
    })
    if (!done) return false
    say(sentence(built.label))
    if (options.undoToast) toast(sentence(built.label.replace(/^delete/, 'deleted')), { label: 'Undo', onPress: undo })
    return true
  }

  function undo() {
    const label = editor.getState().undo()
    say(label === null ? 'Nothing to undo' : `Undone: ${label}`)
  }
  function redo() {
    const label = editor.getState().redo()
    say(label === null ? 'Nothing to redo' : `Redone: ${label}`)
  }

  function added(built: Built | null): boolean {
    if (!commit(built, { select: true })) return false
    view.getState().set({ quickAdd: null, tab: 'settings' })
    focusNode(built?.ids[0])
    return true
  }

  /** Joins two ends given in any order; when they cannot be joined, shows why, and the fix, at `at` (UX-26). */
  function connect(a: { end: End; side: Side }, b: { end: End; side: Side }, at: Point | null): boolean {
    if (a.side === b.side) {
      const reason =
        a.side === 'out'
          ? 'Both ends are outputs. A wire leads from an output to an input.'
          : 'Both ends are inputs. A wire leads from an output to an input.'
      refuse({ at, kind: kindAt(doc(), registry, b.end, b.side) ?? null, reason })
      return false
    }
    const [from, to] = a.side === 'out' ? [a.end, b.end] : [b.end, a.end]
    const verdict = connectionVerdict({ document: doc(), registry, from, to, facts: derived.getState().facts })
    if (!verdict.ok) {
      refuse({ at, kind: kindAt(doc(), registry, from, 'out') ?? null, reason: verdict.reason, ...(verdict.fix && { fix: verdict.fix }) })
      return false
    }
    const label = `connect ${title(from.node)} to ${title(to.node)}`
    if (editor.getState().apply({ kind: 'connect', edge: { from, to } }, { label }))
      say(`Connected ${title(from.node)} to ${title(to.node)}`)
    return true
  }

  function refuse(refusal: { at: Point | null; kind: import('../../nodes/_kit/ports').PortKind | null; reason: string; fix?: Fix }) {
    say(refusal.reason)
    const { at, ...rest } = refusal
    view.getState().set({ refusal: { ...rest, at: at ?? { x: 24, y: 24 } } })
  }

  async function copy(cut: boolean): Promise<void> {
    const { selection } = editor.getState()
    if (selection.nodes.length === 0) return
    const text = JSON.stringify(copyFragment(doc(), registry, selection.nodes), null, 1)
    try {
      await navigator.clipboard.writeText(text)
    } catch {
      kept = parseFragment(text)
    }
    if (cut) commit(deleteSelected(doc(), registry, selection, true), { undoToast: true })
    else say(`Copied ${selection.nodes.length === 1 ? title(selection.nodes[0] as string) : `${selection.nodes.length} nodes`}`)
  }
  /** Where the browser forbids the clipboard, copying still works inside this page. */
  let kept: Fragment | null = null

  function pasteText(text: string | null, at: Point): boolean {
    const fragment = (text === null ? null : parseFragment(text)) ?? (text === null || text === '' ? kept : null)
    if (!fragment) {
      toast('That isn’t a Thaw fragment.')
      say('That isn’t a Thaw fragment.')
      return false
    }
    const { edit, ids } = pasteEdit(doc(), fragment, at)
    const done = commit({ edit, ids, label: `paste ${ids.length === 1 ? '1 node' : `${ids.length} nodes`}` }, { select: true })
    if (done) focusNode(ids[0])
    return done
  }

  return {
    undo,
    redo,
    focusNode,
    connect,
    refuse,
    pasteText,
    copy,
    say,

    addAt: (type: string, at: Point, link?: QuickAdd['link'], params?: Record<string, unknown>) =>
      added(addNode(doc(), registry, type, at, link, params)),
    addBeside: (type: string, centre: Point) => {
      const { nodes } = editor.getState().selection
      return added(addBeside(doc(), registry, type, nodes.length === 1 ? nodes[0] : undefined, centre))
    },
    insert: (type: string, edge: Edge) => added(insertOn(doc(), registry, type, edge)),

    replace(id: string, type: string) {
      const built = replaceNode(doc(), registry, id, type)
      if (!built || !commit(built, { select: true })) return
      view.getState().set({ quickAdd: null, tab: 'settings' })
      const what = sentence(built.label.replace(/^replace/, 'replaced'))
      toast(built.lost.length === 0 ? what : `${what}. Not kept: ${built.lost.join(', ')}`, { label: 'Undo', onPress: undo })
      focusNode(id)
    },

    /** Selected nodes, or all of them (UX-34). */
    tidy(sizeOf: (id: string) => Size) {
      const { nodes } = editor.getState().selection
      const ids = nodes.length > 1 ? nodes : Object.keys(doc().nodes)
      const places = tidy(
        ids.map((id) => ({ id, at: placeOf(doc(), id), height: sizeOf(id).height })),
        doc().edges,
        // Frames have titles, which take room above their cards.
        doc().layout.groups.length > 0 ? 96 : 32,
      )
      if (!commit({ edit: { kind: 'move', positions: places }, label: `tidy up ${ids.length} nodes`, ids: [...ids] })) say('Tidy already')
    },

    lineUp(how: Lineup, sizeOf: (id: string) => Size) {
      const { nodes } = editor.getState().selection
      commit(lineUp(doc(), nodes, how, Object.fromEntries(nodes.map((id) => [id, sizeOf(id)]))))
    },

    group() {
      const built = groupEdit(doc(), editor.getState().selection.nodes)
      if (!built) return say('Select the nodes to group first')
      if (commit({ ...built, ids: [] })) view.getState().set({ namingGroup: built.group })
    },
    ungroup() {
      const built = ungroupEdit(doc(), editor.getState().selection.nodes)
      if (!built) return say('None of the selected nodes is in a group')
      commit({ ...built, ids: [] })
    },
    removeGroup(id: string) {
      const gone = doc().layout.groups.find((group) => group.id === id)
      if (gone)
        commit({
          edit: { kind: 'set-groups', groups: doc().layout.groups.filter((group) => group !== gone) },
          label: `ungroup ${gone.title}`,
          ids: [],
        })
    },
    changeGroup(id: string, change: Partial<Group>) {
      const group = doc().layout.groups.find((other) => other.id === id)
      if (!group) return
      const label =
        change.folded === undefined ? `name group ${change.title ?? group.title}` : `${change.folded ? 'fold' : 'unfold'} ${group.title}`
      commit({ edit: changeGroup(doc(), id, change), label, ids: [] })
    },

    addNote(at: Point) {
      const { notes } = doc()
      const id = freshId(Object.fromEntries(notes.map((note) => [note.id, true])), 'note')
      const place = { x: Math.round(at.x / 16) * 16, y: Math.round(at.y / 16) * 16 }
      if (!commit({ edit: { kind: 'set-notes', notes: [...notes, { id, text: '', ...place, width: 320 }] }, label: 'add note', ids: [] }))
        return
      view.getState().set({ writing: id })
    },

    remove(plain: boolean) {
      const { selection } = editor.getState()
      const order = readingOrder(doc())
      const at = order.indexOf(selection.nodes[0] ?? '')
      if (!commit(deleteSelected(doc(), registry, selection, plain), { undoToast: true })) return
      const left = order.filter((id) => own(doc().nodes, id))
      focusNode(left[Math.min(Math.max(0, at - 1), left.length - 1)])
    },

    duplicate() {
      const { selection } = editor.getState()
      if (selection.nodes.length === 0) return
      const places = selection.nodes.map((id) => placeOf(doc(), id))
      const at = { x: Math.min(...places.map((p) => p.x)) + 32, y: Math.min(...places.map((p) => p.y)) + 32 }
      const { edit, ids } = pasteEdit(doc(), copyFragment(doc(), registry, selection.nodes), at)
      if (
        commit(
          { edit, ids, label: `duplicate ${ids.length === 1 ? title(selection.nodes[0] as string) : `${ids.length} nodes`}` },
          { select: true },
        )
      )
        focusNode(ids[0])
    },

    selectAll() {
      editor.getState().select({ nodes: Object.keys(doc().nodes), edges: doc().edges.map(edgeKey) })
      say(`${Object.keys(doc().nodes).length} nodes selected`)
    },

    toggleDisabled: () => commit(disableSelected(doc(), registry, editor.getState().selection.nodes)),

    move(by: Point) {
      const { nodes } = editor.getState().selection
      const { focused } = view.getState()
      const ids = nodes.length > 0 ? nodes : focused !== null && own(doc().nodes, focused) ? [focused] : []
      // Repeated presses of an arrow are one gesture until another key or a pause ends it.
      if (commit(moveBy(doc(), registry, ids, by), { gesture: `nudge ${ids.join()}` })) {
        const place = placeOf(doc(), ids[0] as string)
        say(`Moved to ${place.x}, ${place.y}`)
      }
    },

    rename(id: string, name: string) {
      commit({ edit: { kind: 'rename', id, title: name }, label: `rename ${title(id)}`, ids: [id] })
    },

    /** Walks from node to node: along wires left and right, in reading order up and down (UX-111). */
    walk(way: 'left' | 'right' | 'up' | 'down') {
      const order = readingOrder(doc())
      const at = view.getState().focused ?? editor.getState().selection.nodes[0] ?? null
      if (order.length === 0) return
      let next: string | undefined
      if (at === null || !own(doc().nodes, at)) next = order[0]
      else if (way === 'left') next = doc().edges.find((e) => e.to.node === at)?.from.node
      else if (way === 'right') next = doc().edges.find((e) => e.from.node === at)?.to.node
      else next = order[order.indexOf(at) + (way === 'down' ? 1 : -1)]
      if (next === undefined) {
        say(way === 'left' ? 'Nothing feeds this node' : way === 'right' ? 'This node feeds nothing' : 'No further node')
        return
      }
      editor.getState().select({ nodes: [next], edges: [] })
      focusNode(next)
    },

    fix(fix: Fix) {
      const built = fixEdit(doc(), registry, fix)
      if (commit(built, { select: (built?.ids.length ?? 0) > 0 })) view.getState().set({ refusal: null })
    },

    /** Shows a problem at its place: selects its node, opens its settings and puts the focus on the field (UX-86). */
    show(problem: Pick<Problem, 'node' | 'param' | 'message'>) {
      if (problem.node !== null && own(doc().nodes, problem.node)) {
        editor.getState().select({ nodes: [problem.node], edges: [] })
        view.getState().set({
          tab: 'settings',
          focused: problem.node,
          reveal: problem.node,
          large: null,
          goTo: {
            node: problem.node,
            ...(problem.param !== undefined && { param: problem.param.split('.')[0] as string }),
            at: Date.now(),
          },
        })
      } else editor.getState().select({ nodes: [], edges: [] })
      say(problem.message)
    },

    /** F8 and ⇧F8: from problem to problem, round and round. */
    nextProblem(step: 1 | -1) {
      const { problems } = derived.getState()
      if (problems.length === 0) return say('No problems')
      problemAt = (problemAt + step + problems.length) % problems.length
      const problem = problems[problemAt]
      view.getState().set({ checked: true })
      if (problem) this.show(problem)
    },
  }
}
