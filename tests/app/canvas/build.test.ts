import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addBeside, addNode, deleteSelected, fittingEnds, fixEdit, insertOn } from '../../../app/canvas/build'
import { applyEdit, edgeKey } from '../../../app/canvas/editor-state'
import { copyFragment, parseFragment, pasteEdit } from '../../../app/canvas/fragment'
import { portsOf, readingOrder } from '../../../app/canvas/graph-queries'
import { connectionVerdict } from '../../../nodes/_kit/connect'
import type { AnyNode } from '../../../nodes/_kit/define-node'
import { emptyPipeline, Pipeline } from '../../../nodes/_kit/graph'
import { registry } from '../../../nodes/index'
import { faultsOf } from './arbitrary'

const node = (type: string, params: Record<string, unknown> = {}) => ({ type, version: 1, params })
const wire = (from: string, to: string) => {
  const [a, b] = [from.split('.'), to.split('.')]
  return { from: { node: a[0] as string, port: a[1] as string }, to: { node: b[0] as string, port: b[1] as string } }
}
const CONTRACT: Pipeline = {
  ...emptyPipeline(),
  nodes: {
    model: node('load-model'),
    freeze: node('freeze-layers'),
    data: node('load-data', { file: '/home/someone/contracts.jsonl' }),
    split: node('split-data'),
    train: node('train'),
    export: node('export'),
  },
  edges: [
    wire('model.model', 'freeze.model'),
    wire('freeze.model', 'train.model'),
    wire('data.data', 'split.data'),
    wire('split.train', 'train.data'),
    wire('split.validation', 'train.validation'),
    wire('train.model', 'export.model'),
  ],
  layout: {
    nodes: {
      model: { x: 0, y: 0 },
      freeze: { x: 288, y: 0 },
      data: { x: 0, y: 320 },
      split: { x: 288, y: 320 },
      train: { x: 576, y: 80 },
      export: { x: 864, y: 80 },
    },
    groups: [],
  },
}
const types = Object.keys(registry)

describe('building', () => {
  it('UX-10: a click in the palette wires to the selected node when exactly one pair of ports fits', () => {
    const built = addBeside(CONTRACT, registry, 'validate', 'train', { x: 0, y: 0 })
    const doc = applyEdit(CONTRACT, built?.edit ?? expect.fail())
    expect(doc.edges.map(edgeKey)).toContain('train.model>validate.model')
    expect(doc.layout.nodes.validate?.x).toBe(576 + 288)
    // Split data gives three datasets: which one is meant cannot be known, so none is wired.
    const unsure = addBeside(CONTRACT, registry, 'validate', 'split', { x: 0, y: 640 })
    expect(applyEdit(CONTRACT, unsure?.edit ?? expect.fail()).edges).toHaveLength(CONTRACT.edges.length)
  })

  it('UX-27: a node from the quick-add is wired to the end it came from, on either side', () => {
    const down = addNode(CONTRACT, registry, 'validate', { x: 900, y: 400 }, { end: { node: 'train', port: 'model' }, side: 'out' })
    expect(applyEdit(CONTRACT, down?.edit ?? expect.fail()).edges.map(edgeKey)).toContain('train.model>validate.model')
    const bare = applyEdit(CONTRACT, { kind: 'remove-nodes', ids: ['data'] })
    const up = addNode(bare, registry, 'load-data', { x: 0, y: 0 }, { end: { node: 'split', port: 'data' }, side: 'in' })
    expect(applyEdit(bare, up?.edit ?? expect.fail()).edges.map(edgeKey)).toContain('load-data.data>split.data')
  })

  it('UX-28: a node put on a wire takes both ends and pushes what is downstream', () => {
    const doc = applyEdit(
      CONTRACT,
      insertOn(CONTRACT, registry, 'freeze-layers', wire('model.model', 'freeze.model'))?.edit ?? expect.fail(),
    )
    expect(doc.edges.map(edgeKey)).toEqual(expect.arrayContaining(['model.model>freeze-layers.model', 'freeze-layers.model>freeze.model']))
    expect(doc.layout.nodes.freeze?.x).toBe(576)
    expect(doc.layout.nodes.data).toEqual({ x: 0, y: 320 })
    expect(insertOn(CONTRACT, registry, 'load-model', wire('model.model', 'freeze.model'))).toBeNull()
  })

  it('UX-38: deleting reconnects through where kinds match, and not with Shift', () => {
    const gone = deleteSelected(CONTRACT, registry, { nodes: ['freeze'], edges: [] }, false)
    expect(applyEdit(CONTRACT, gone?.edit ?? expect.fail()).edges.map(edgeKey)).toContain('model.model>train.model')
    const both = deleteSelected(CONTRACT, registry, { nodes: ['freeze', 'train'], edges: [] }, false)
    expect(applyEdit(CONTRACT, both?.edit ?? expect.fail()).edges.map(edgeKey)).toContain('model.model>export.model')
    const plain = deleteSelected(CONTRACT, registry, { nodes: ['freeze'], edges: [] }, true)
    expect(applyEdit(CONTRACT, plain?.edit ?? expect.fail()).edges.map(edgeKey)).not.toContain('model.model>train.model')
    expect(deleteSelected(CONTRACT, registry, { nodes: [], edges: [] }, false)).toBeNull()
  })

  it('UX-25: what lights up while dragging is exactly what the connection check allows', async () => {
    const ends = Object.entries(CONTRACT.nodes).flatMap(([id, { type }]) => {
      const def = (registry as Record<string, AnyNode>)[type]
      return (['in', 'out'] as const).flatMap((side) => portsOf(def, side).map(([port]) => ({ end: { node: id, port }, side })))
    })
    await fc.assert(
      fc.property(fc.constantFrom(...ends), fc.shuffledSubarray([...CONTRACT.edges]), ({ end, side }, edges) => {
        const doc = { ...CONTRACT, edges }
        const fits = fittingEnds(doc, registry, end, side)
        for (const other of ends) {
          if (other.side === side) continue
          const [from, to] = side === 'out' ? [end, other.end] : [other.end, end]
          expect(fits.has(`${other.end.node}.${other.end.port}`), `${from.node}.${from.port} > ${to.node}.${to.port}`).toBe(
            connectionVerdict({ document: doc, registry, from, to }).ok,
          )
        }
      }),
      { numRuns: 100 },
    )
  })

  it('UX-26, UX-85: a refused wire brings a fix, and the fix is one edit that works', () => {
    const refused = connectionVerdict({
      document: CONTRACT,
      registry,
      from: { node: 'model', port: 'model' },
      to: { node: 'split', port: 'data' },
    })
    if (refused.ok || !refused.fix) return expect.fail('expected a refusal with a fix')
    const doc = applyEdit(CONTRACT, fixEdit(CONTRACT, registry, refused.fix)?.edit ?? expect.fail())
    expect(doc.edges.map(edgeKey)).toContain('load-data.data>split.data')
  })

  it('whatever is built or deleted, the document stays sound', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('add' as const), type: fc.constantFrom(...types), near: fc.nat() }),
      fc.record({ do: fc.constant('insert' as const), type: fc.constantFrom(...types), near: fc.nat() }),
      fc.record({ do: fc.constant('delete' as const), type: fc.constantFrom(...types), near: fc.nat() }),
    )
    await fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        let doc = CONTRACT
        for (const { do: what, type, near } of steps) {
          const ids = Object.keys(doc.nodes)
          const id = ids[near % Math.max(1, ids.length)]
          const edge = doc.edges[near % Math.max(1, doc.edges.length)]
          const built =
            what === 'add'
              ? addBeside(doc, registry, type, id, { x: 0, y: 0 })
              : what === 'insert'
                ? edge && insertOn(doc, registry, type, edge)
                : id && deleteSelected(doc, registry, { nodes: [id], edges: [] }, near % 2 === 0)
          if (built) doc = applyEdit(doc, built.edit)
          for (const { from, to } of doc.edges) {
            const rest = { ...doc, edges: doc.edges.filter((e) => e.to.node !== to.node || e.to.port !== to.port) }
            expect(connectionVerdict({ document: rest, registry, from, to }).ok, `${from.node}.${from.port} > ${to.node}.${to.port}`).toBe(
              true,
            )
          }
        }
        expect(faultsOf(doc)).toEqual([])
        expect(Pipeline.safeParse(doc).error).toBeUndefined()
      }),
      { numRuns: 60 },
    )
  })

  it('UX-130: reading order goes down the wires and names every node once', () => {
    const order = readingOrder(CONTRACT)
    expect([...order].sort()).toEqual(Object.keys(CONTRACT.nodes).sort())
    for (const { from, to } of CONTRACT.edges) expect(order.indexOf(from.node)).toBeLessThan(order.indexOf(to.node))
  })
})

describe('UX-31: copy and paste', () => {
  it('is JSON text with inner wires, without paths of this computer, pasted under new ids', () => {
    const text = JSON.stringify(copyFragment(CONTRACT, registry, ['data', 'split', 'train']))
    expect(text).not.toContain('/home/someone')
    const fragment = parseFragment(text) ?? expect.fail('not read back')
    const { edit, ids } = pasteEdit(CONTRACT, fragment, { x: 101, y: 49 })
    const doc = applyEdit(CONTRACT, edit)
    expect(ids).toEqual(['data-2', 'split-2', 'train-2'])
    expect(doc.edges.map(edgeKey)).toEqual(expect.arrayContaining(['data-2.data>split-2.data', 'split-2.train>train-2.data']))
    expect(doc.edges).toHaveLength(CONTRACT.edges.length + 3)
    expect(Object.values(doc.layout.nodes).every((p) => p.x % 16 === 0 && p.y % 16 === 0)).toBe(true)
    expect(faultsOf(doc)).toEqual([])
  })

  it('pasting into an empty pipeline and copying again gives the same fragment', async () => {
    await fc.assert(
      fc.property(fc.shuffledSubarray(Object.keys(CONTRACT.nodes), { minLength: 1 }), (ids) => {
        const fragment = copyFragment(CONTRACT, registry, ids)
        const doc = applyEdit(emptyPipeline(), pasteEdit(emptyPipeline(), fragment, { x: 0, y: 0 }).edit)
        expect(copyFragment(doc, registry, Object.keys(fragment.nodes))).toEqual(fragment)
      }),
    )
  })

  it('anything else than a fragment is refused without a throw', async () => {
    for (const text of [
      '',
      'hello',
      '{"kind":"thaw-fragment"}',
      '{"kind":"thaw-fragment","v":2,"nodes":{},"edges":[]}',
      '{"kind":"thaw-fragment","v":1,"nodes":{"a":{"type":1}},"edges":[]}',
    ])
      expect(parseFragment(text)).toBeNull()
    await fc.assert(fc.property(fc.string(), (text) => parseFragment(`thaw-fragment${text}`) === null))
  })
})
