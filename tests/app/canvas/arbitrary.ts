/** Random edits for the property tests: mostly sensible, some that name things which are not there. */
import * as fc from 'fast-check'
import type { Edit } from '../../../app/canvas/editor-state'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'

const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'missing')
const port = fc.constantFrom('model', 'data', 'train')
const point = fc.record({ x: fc.integer({ min: -500, max: 500 }), y: fc.integer({ min: -500, max: 500 }) })
const edge = fc.record({ from: fc.record({ node: id, port }), to: fc.record({ node: id, port }) })
const params = fc.dictionary(
  fc.constantFrom('rate', 'steps', 'name'),
  fc.oneof(fc.integer(), fc.string(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 })),
  { maxKeys: 3 },
)
const node = fc.record({ type: fc.constantFrom('train', 'load-data', 'export'), version: fc.constant(1), params })
const title = fc.string({ maxLength: 8 })

const simple: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('add-node' as const), id, node, at: point }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove-nodes' as const), ids: fc.array(id, { maxLength: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('connect' as const), edge }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('disconnect' as const), edges: fc.array(edge, { maxLength: 3 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('set-params' as const),
      id,
      set: params,
      unset: fc.array(fc.constantFrom('rate', 'steps'), { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('replace-node' as const), id, node }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('move' as const), positions: fc.dictionary(id, point) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('rename' as const), id, title }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('disable' as const), ids: fc.array(id, { maxLength: 3 }), disabled: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('paste' as const),
      nodes: fc.dictionary(id, fc.record({ node, at: point })),
      edges: fc.array(edge, { maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('set-inputs' as const),
      inputs: fc.array(fc.record({ id, title, node: id, param: fc.constant('rate') }), { maxLength: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('set-notes' as const),
      notes: fc.array(fc.record({ id, text: title, x: fc.integer(), y: fc.integer() }), { maxLength: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('set-groups' as const),
      groups: fc.array(fc.record({ id, title, nodes: fc.array(id, { maxLength: 3 }) }), { maxLength: 2 }),
    }),
  },
)

export const anyEdit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 9, arbitrary: simple },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('all' as const), edits: fc.array(simple, { maxLength: 4 }) }) },
)
export const someEdits = (maxLength: number) => fc.array(anyEdit, { maxLength })

/** What every document must satisfy whatever was done to it. */
export function faultsOf(doc: Pipeline): string[] {
  const faults: string[] = []
  const has = (node: string) => Object.hasOwn(doc.nodes, node)
  const taken = new Set<string>()
  for (const { from, to } of doc.edges) {
    if (!has(from.node) || !has(to.node)) faults.push(`wire ${from.node}>${to.node} has lost a node`)
    if (from.node === to.node) faults.push(`wire from ${from.node} to itself`)
    const input = `${to.node}.${to.port}`
    if (taken.has(input)) faults.push(`two wires into ${input}`)
    taken.add(input)
  }
  for (const input of doc.inputs) if (!has(input.node)) faults.push(`exposed input of missing ${input.node}`)
  for (const node of Object.keys(doc.layout.nodes)) if (!has(node)) faults.push(`place of missing ${node}`)
  for (const group of doc.layout.groups) {
    if (group.nodes.length === 0) faults.push('empty group')
    for (const node of group.nodes) if (!has(node)) faults.push(`group holds missing ${node}`)
  }
  return faults
}

export const START: Pipeline = {
  ...emptyPipeline(),
  nodes: { a: { type: 'load-model', version: 1, params: {} }, b: { type: 'train', version: 1, params: { steps: 60 } } },
  edges: [{ from: { node: 'a', port: 'model' }, to: { node: 'b', port: 'model' } }],
  layout: { nodes: { a: { x: 0, y: 0 }, b: { x: 288, y: 0, title: 'Fit' } }, groups: [] },
}
