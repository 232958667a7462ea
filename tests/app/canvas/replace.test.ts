import { expect, test } from 'vitest'
import { applyEdit } from '../../../app/canvas/editor-state'
import { guidesOf } from '../../../app/canvas/guides'
import { lineUp } from '../../../app/canvas/line-up'
import { replaceNode } from '../../../app/canvas/replace'
import { registry } from '../../../nodes'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'

const node = (type: string, params: Record<string, unknown> = {}) => ({ type, version: 1, params })
const wire = (a: string, p: string, b: string, q: string) => ({ from: { node: a, port: p }, to: { node: b, port: q } })
const doc: Pipeline = {
  ...emptyPipeline(),
  nodes: {
    model: node('load-model'),
    data: node('load-data', { file: 'template:first-look/log.jsonl' }),
    train: node('train', { train_on: 'all', num_train_epochs: 4, learning_rate: 3e-4 }),
    save: node('export'),
  },
  edges: [
    wire('model', 'model', 'train', 'model'),
    wire('data', 'data', 'train', 'data'),
    wire('train', 'model', 'save', 'model'),
    wire('train', 'metrics', 'save', 'metrics'),
  ],
  inputs: [{ id: 'epochs', title: 'Epochs', help: '', node: 'train', param: 'num_train_epochs' }],
  layout: { nodes: { train: { x: 320, y: 16, title: 'Fit' } }, groups: [] },
}

test('UX-29: another type keeps place, fitting wires and settings of the same name and type; what is lost is named; one undo', () => {
  const built = replaceNode(doc, registry, 'train', 'validate')
  if (!built) throw new Error('not replaced')
  const after = applyEdit(doc, built.edit)
  expect(after.nodes.train).toMatchObject({ type: 'validate', params: { train_on: 'all' } })
  expect(after.nodes.train?.params).not.toHaveProperty('num_train_epochs')
  expect(after.layout.nodes.train).toEqual(doc.layout.nodes.train)
  expect(after.edges).toEqual(
    expect.arrayContaining([
      wire('model', 'model', 'train', 'model'),
      wire('data', 'data', 'train', 'data'),
      wire('train', 'metrics', 'save', 'metrics'),
    ]),
  )
  expect(after.edges).toHaveLength(3)
  expect(after.inputs).toEqual([])
  expect(built.lost.sort()).toEqual(['Epochs', 'Learning rate', 'the wire to Export'])
  expect(replaceNode(doc, registry, 'train', 'train')).toBeNull()
})

test('UX-32: edges line up and gaps even out, on the grid', () => {
  const at = (x: number, y: number) => ({ x, y })
  const three: Pipeline = {
    ...doc,
    layout: { nodes: { model: at(0, 0), data: at(300, 50), train: at(1000, 90), save: at(2000, 10) }, groups: [] },
  }
  const places = (how: Parameters<typeof lineUp>[2]) => {
    const built = lineUp(three, ['model', 'data', 'train'], how, { model: { width: 224, height: 96 } })
    if (!built) throw new Error('nothing')
    return applyEdit(three, built.edit).layout.nodes
  }
  expect([places('left').model?.x, places('left').data?.x, places('left').train?.x]).toEqual([0, 0, 0])
  expect(places('left').data?.y).toBe(50)
  expect(new Set([places('top').model?.y, places('top').data?.y])).toEqual(new Set([0]))
  const even = places('across')
  expect([even.model?.x, even.data?.x, even.train?.x]).toEqual([0, 496, 1008])
  expect(even.save).toEqual(three.layout.nodes.save)
})

test('UX-33: guides run along the edges and middles that the dragged card shares with others', () => {
  const card = (x: number, y: number, height = 100) => ({ x, y, width: 224, height })
  expect(guidesOf(card(0, 0), [card(0, 300), card(500, 500)])).toEqual([
    { vertical: true, at: 0, from: 0, to: 400 },
    { vertical: true, at: 112, from: 0, to: 400 },
    { vertical: true, at: 224, from: 0, to: 400 },
  ])
  expect(guidesOf(card(0, 0), [card(300, 0, 160)])).toEqual([{ vertical: false, at: 0, from: 0, to: 524 }])
  expect(guidesOf(card(0, 0), [card(301, 7, 150)])).toEqual([])
})
