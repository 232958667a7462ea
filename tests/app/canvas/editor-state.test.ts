import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { applyEdit, type Edit, freshId } from '../../../app/canvas/editor-state'
import { type Editing, EMPTY_HISTORY, endGesture, HISTORY_DEPTH, NOTHING, perform, redo, undo } from '../../../app/canvas/history'
import { emptyPipeline, Pipeline } from '../../../nodes/_kit/graph'
import { anyEdit, faultsOf, START, someEdits } from './arbitrary'

const fresh = (document: Pipeline = START): Editing => ({ document, selection: NOTHING, history: EMPTY_HISTORY })
const frozen = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) frozen(inner)
  }
  return value
}

describe('edits', () => {
  it('UX-20, UX-48: whatever is done, the document stays sound and parses', async () => {
    await fc.assert(
      fc.property(someEdits(40), (edits) => {
        const doc = edits.reduce(applyEdit, emptyPipeline())
        expect(faultsOf(doc)).toEqual([])
        expect(Pipeline.safeParse(doc).error).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })

  it('an edit never writes into the document it was given, and an edit without effect gives the same object', async () => {
    await fc.assert(
      fc.property(someEdits(20), anyEdit, (edits, last) => {
        const before = frozen(edits.reduce(applyEdit, START))
        const after = applyEdit(before, last)
        const again = applyEdit(after, { kind: 'all', edits: [] })
        expect(again).toBe(after)
        if (JSON.stringify(after) === JSON.stringify(before) && last.kind !== 'all') expect(after).toBe(before)
      }),
      { numRuns: 300 },
    )
  })

  it('UX-20: a new wire into a taken input replaces the old one', () => {
    const other: Edit = { kind: 'add-node', id: 'c', node: { type: 'load-model', version: 1, params: {} }, at: { x: 0, y: 0 } }
    const doc = [
      other,
      { kind: 'connect', edge: { from: { node: 'c', port: 'model' }, to: { node: 'b', port: 'model' } } } as const,
    ].reduce(applyEdit, START)
    expect(doc.edges).toEqual([{ from: { node: 'c', port: 'model' }, to: { node: 'b', port: 'model' } }])
  })

  it('UX-49: moving and renaming touch the layout alone', () => {
    const doc = applyEdit(applyEdit(START, { kind: 'move', positions: { b: { x: 16, y: 32 } } }), {
      kind: 'rename',
      id: 'b',
      title: 'Second fit',
    })
    expect(doc.nodes).toBe(START.nodes)
    expect(doc.edges).toBe(START.edges)
    expect(doc.layout.nodes.b).toEqual({ x: 16, y: 32, title: 'Second fit' })
  })

  it('ids are readable and free', () => {
    expect(freshId({}, 'train')).toBe('train')
    expect(freshId({ train: 1, 'train-2': 1 }, 'train')).toBe('train-3')
    expect(freshId({}, 'a b/c')).toBe('a-b-c')
  })
})

describe('history', () => {
  it('UX-43: undo all is the start, redo all is the end, for any edits and any gestures', async () => {
    const steps = fc.array(
      fc.record({ edit: anyEdit, gesture: fc.option(fc.constantFrom('g', 'h'), { nil: undefined }), ends: fc.boolean() }),
      { maxLength: 60 },
    )
    await fc.assert(
      fc.property(steps, (list) => {
        let state = fresh()
        for (const { edit, gesture, ends } of list) {
          state = perform(state, edit, { label: edit.kind, ...(gesture ? { gesture } : {}) })
          if (ends) state = endGesture(state)
        }
        const end = state
        const path = [end.document]
        while (state.history.past.length > 0) {
          state = undo(state)
          path.push(state.document)
        }
        expect(state.document).toEqual(START)
        for (let i = path.length - 2; i >= 0; i--) {
          state = redo(state)
          expect(state.document).toEqual(path[i])
        }
        expect(state.document).toEqual(end.document)
        expect(redo(state)).toBe(state)
        // The entries are a log: folding their edits over the start gives the end as well.
        const edits = state.history.past.flatMap((entry) => entry.edits)
        expect(edits.reduce(applyEdit, START)).toEqual(end.document)
      }),
      { numRuns: 300 },
    )
  })

  it('UX-43: one gesture is one entry; ending it starts another', () => {
    const move = (x: number): Edit => ({ kind: 'move', positions: { a: { x, y: 0 } } })
    let state = fresh()
    for (const x of [16, 32, 48]) state = perform(state, move(x), { label: 'move Load model', gesture: 'drag' })
    expect(state.history.past).toHaveLength(1)
    state = perform(endGesture(state), move(64), { label: 'move Load model', gesture: 'drag' })
    expect(state.history.past).toHaveLength(2)
    expect(undo(undo(state)).document).toBe(START)
  })

  it('UX-43: 200 deep', () => {
    let state = fresh()
    for (let x = 1; x <= HISTORY_DEPTH + 10; x++) state = perform(state, { kind: 'move', positions: { a: { x, y: 0 } } }, { label: 'move' })
    expect(state.history.past).toHaveLength(HISTORY_DEPTH)
    for (let i = 0; i < HISTORY_DEPTH + 5; i++) state = undo(state)
    expect(state.document.layout.nodes.a).toEqual({ x: 10, y: 0 })
  })

  it('UX-43: the selection comes back with each step and never names what is gone', () => {
    let state: Editing = { ...fresh(), selection: { nodes: ['b'], edges: ['a.model>b.model'] } }
    state = perform(state, { kind: 'remove-nodes', ids: ['b'] }, { label: 'delete Train' })
    expect(state.selection).toEqual(NOTHING)
    state = undo(state)
    expect(state.selection).toEqual({ nodes: ['b'], edges: ['a.model>b.model'] })
    expect(redo(state).selection).toEqual(NOTHING)
  })

  it('an edit after undo drops what could have been redone', () => {
    let state = perform(fresh(), { kind: 'rename', id: 'a', title: 'One' }, { label: 'rename' })
    state = perform(undo(state), { kind: 'rename', id: 'a', title: 'Two' }, { label: 'rename' })
    expect(state.history.future).toEqual([])
    expect(redo(state)).toBe(state)
  })
})
