import { expect, test } from 'vitest'
import { applyEdit } from '../../../app/canvas/editor-state'
import { changeGroup, crossings, drawnEnds, frameOf, groupEdit, hiddenBy, regroupAfterMove, ungroupEdit } from '../../../app/canvas/groups'
import { graphDigest } from '../../../nodes/_kit/cache-key'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'

const wire = (a: string, b: string) => ({ from: { node: a, port: 'model' }, to: { node: b, port: 'model' } })
const chain: Pipeline = {
  ...emptyPipeline(),
  nodes: Object.fromEntries(['a', 'b', 'c', 'd'].map((id) => [id, { type: 'freeze-layers', version: 1, params: {} }])),
  edges: [wire('a', 'b'), wire('b', 'c'), wire('c', 'd')],
  layout: { nodes: { a: { x: 0, y: 0 }, b: { x: 288, y: 0 }, c: { x: 576, y: 0 }, d: { x: 864, y: 0 } }, groups: [] },
}
const grouped = (ids: string[], doc = chain): Pipeline => {
  const built = groupEdit(doc, ids)
  if (!built) throw new Error('no group')
  return applyEdit(doc, built.edit)
}

test('UX-35: nodes keep their identity in a group; a node is in one group; grouping changes no result', () => {
  const one = grouped(['b', 'c'])
  expect(one.layout.groups).toEqual([{ id: 'group', title: 'Group', nodes: ['b', 'c'] }])
  expect([one.nodes, one.edges]).toEqual([chain.nodes, chain.edges])
  expect(graphDigest(one)).toBe(graphDigest(chain))
  const two = grouped(['c', 'd'], one)
  expect(two.layout.groups.map((group) => group.nodes)).toEqual([['b'], ['c', 'd']])
  const gone = ungroupEdit(two, ['d'])
  expect(gone && applyEdit(two, gone.edit).layout.groups.map((group) => group.nodes)).toEqual([['b']])
})

test('UX-35: a folded group is one box with the ports that wires cross; wires inside are not drawn, the others end at the box', () => {
  const open = grouped(['b', 'c'])
  const folded = applyEdit(open, changeGroup(open, 'group', { folded: true }))
  const [group] = folded.layout.groups
  if (!group) throw new Error('no group')
  expect(crossings(folded, group)).toEqual({ in: [{ node: 'b', port: 'model' }], out: [{ node: 'c', port: 'model' }] })
  const hidden = hiddenBy(folded.layout.groups)
  expect(folded.edges.map((edge) => drawnEnds(edge, hidden))).toEqual([
    { source: 'a', sourcePort: 'model', target: 'group:group', targetPort: 'b.model' },
    null,
    { source: 'group:group', sourcePort: 'c.model', target: 'd', targetPort: 'model' },
  ])
  const { x, y, width } = frameOf(folded, group, {})
  expect({ x, y }).toEqual({ x: 272, y: -48 })
  expect(width).toBeLessThan(frameOf(open, { ...group, folded: false }, {}).width)
})

test('UX-35: dragging out of a frame leaves the group, dragging in joins it, and the whole group stays whole', () => {
  const doc = grouped(['b', 'c'])
  const after = (moved: Record<string, { x: number; y: number }>) => {
    const edit = regroupAfterMove(doc, moved, {})
    return edit ? applyEdit(doc, edit).layout.groups.map((group) => group.nodes) : null
  }
  expect(after({ c: { x: 576, y: 900 } })).toEqual([['b']])
  expect(after({ c: { x: 300, y: 40 } })).toBeNull()
  expect(after({ d: { x: 560, y: 20 } })).toEqual([['b', 'c', 'd']])
  expect(after({ d: { x: 900, y: 500 } })).toBeNull()
  expect(after({ b: { x: 900, y: 900 }, c: { x: 1200, y: 900 } })).toBeNull()
})
