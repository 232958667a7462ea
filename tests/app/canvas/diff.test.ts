import fc from 'fast-check'
import { expect, test } from 'vitest'
import { applyEdit } from '../../../app/canvas/editor-state'
import { diffWords, graphDiff } from '../../../app/canvas/versions/diff'
import { registry } from '../../../nodes'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { emptyPipeline } from '../../../nodes/_kit/graph'
import { anyEdit } from './arbitrary'

const wire = (a: string, p: string, b: string, q: string) => ({ from: { node: a, port: p }, to: { node: b, port: q } })
const base: Pipeline = {
  ...emptyPipeline(),
  nodes: {
    model: { type: 'load-model', version: 1, params: { model: 'builtin:thaw-tiny' } },
    freeze: { type: 'freeze-layers', version: 1, params: {} },
    train: { type: 'train', version: 1, params: { num_train_epochs: 3 } },
  },
  edges: [wire('model', 'model', 'freeze', 'model'), wire('freeze', 'model', 'train', 'model')],
}

test('UX-47: added, removed and changed nodes, settings with both values, wires that differ; UX-49: places and titles do not count', () => {
  const { freeze: _, ...rest } = base.nodes
  const after: Pipeline = {
    ...base,
    nodes: {
      ...rest,
      train: { type: 'train', version: 1, params: { num_train_epochs: 5, learning_rate: 'auto' }, disabled: true },
      export: { type: 'export', version: 1, params: {} },
    },
    edges: [wire('model', 'model', 'train', 'model')],
    layout: { nodes: { train: { x: 400, y: 0, title: 'Mine' } }, groups: [] },
  }
  const diff = graphDiff(base, after, registry)
  expect(diff.nodes).toEqual({ model: 'same', freeze: 'removed', train: 'changed', export: 'added' })
  expect(diff.settings.map(({ title, setting, mark, before, after: now }) => [title, setting, mark, before, now])).toEqual([
    ['Freeze layers', null, 'removed', 'there', '–'],
    ['Mine', 'Runs', 'changed', 'yes', 'disabled'],
    // A default that was written down is no change: the learning rate is not in the list.
    ['Mine', 'Epochs', 'changed', '3', '5'],
    ['Export', null, 'added', '–', 'there'],
  ])
  expect(diffWords(diff)).toBe('1 added, 1 removed, 1 changed, 1 wire differs')
  expect(diffWords(graphDiff(base, { ...base, layout: after.layout }, registry))).toBe('the same nodes, settings and wires')
})

test('UX-47: the difference of a version with itself is nothing, and it mirrors when the two change places', () => {
  fc.assert(
    fc.property(fc.array(anyEdit, { maxLength: 12 }), (edits) => {
      const after = edits.reduce(applyEdit, base)
      const [there, back] = [graphDiff(base, after, registry), graphDiff(after, base, registry)]
      expect(there.counts).toEqual({ added: back.counts.removed, removed: back.counts.added, changed: back.counts.changed })
      expect(there.rewired).toBe(back.rewired)
      expect(diffWords(graphDiff(after, after, registry))).toBe('the same nodes, settings and wires')
    }),
  )
})
