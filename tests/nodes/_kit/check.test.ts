import fc from 'fast-check'
import { expect, test } from 'vitest'
import { check } from '../../../nodes/_kit/check'
import { connectionVerdict } from '../../../nodes/_kit/connect'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { inferGraph } from '../../../nodes/_kit/infer'
import { nearest } from '../../../nodes/_kit/problems'
import { cyclesOf, topologicalOrder, wiresOf } from '../../../nodes/_kit/wires'
import { documentOf } from '../../kit/documents'
import { stubRegistry } from '../../kit/stub-nodes'
import { acyclic, reordered } from './graphs'

const whole = () =>
  documentOf(
    {
      model: ['stub-model'],
      freeze: ['stub-freeze'],
      data: ['stub-data'],
      split: ['stub-split'],
      train: ['stub-train'],
      check: ['stub-check'],
      export: ['stub-export'],
    },
    [
      'model.model -> freeze.model',
      'freeze.model -> train.model',
      'data.data -> split.data',
      'split.train -> train.data',
      'train.model -> check.model',
      'split.test -> check.data',
      'train.model -> export.model',
    ],
  )
const codes = (document: Pipeline) =>
  check(document, stubRegistry).problems.map((problem) => [problem.code, problem.node, problem.severity])
const rewired = (document: Pipeline, to: string, from: string): Pipeline => {
  const [node = '', port = ''] = to.split('.')
  const [source = '', output = ''] = from.split('.')
  return {
    ...document,
    edges: [
      ...document.edges.filter((edge) => edge.to.node !== node || edge.to.port !== port),
      { from: { node: source, port: output }, to: { node, port } },
    ],
  }
}

test('a sound graph has no problem', () => {
  expect(codes(whole())).toEqual([])
})

test('every fault is reported at once, each with its node (style.md 8)', () => {
  const document = documentOf(
    {
      a: ['stub-train', { max_stepz: 3, learning_rate: 7, schedule: 'square' }],
      b: ['stub-trian'],
      c: ['stub-split'],
      d: ['stub-split'],
      e: ['stub-check'],
    },
    ['c.train -> d.data', 'd.train -> c.data', 'c.train -> e.model', 'c.nothing -> e.data', 'gone.data -> a.data'],
  )
  const found = check(document, stubRegistry).problems
  expect(new Set(found.map((problem) => problem.code))).toEqual(
    new Set(['unknown-param', 'invalid-param', 'unknown-type', 'cycle', 'kind-mismatch', 'unknown-port', 'dangling-wire', 'missing-input']),
  )
  expect(found.find((problem) => problem.code === 'unknown-param')).toMatchObject({
    node: 'a',
    param: 'max_stepz',
    message: 'Stub train has no param "max_stepz". Did you mean "max_steps"?',
    fix: { label: 'Rename to max_steps', params: { max_steps: 3 }, remove: ['max_stepz'] },
  })
  expect(found.find((problem) => problem.param === 'learning_rate')?.message).toBe('Learning rate must be at most 1; it is 7.')
  expect(found.find((problem) => problem.code === 'unknown-type')?.message).toContain('Did you mean "stub-train"?')
  expect(found.find((problem) => problem.code === 'cycle')).toMatchObject({
    nodes: ['c', 'd'],
    message: 'The wires go round: Stub split → Stub split → Stub split.',
  })
  expect(found.find((problem) => problem.code === 'missing-input')).toMatchObject({
    node: 'a',
    port: 'model',
    fix: { kind: 'insert', type: 'stub-model', port: 'model' },
  })
})

test('R-97: a newer node version and an unknown type are kept and reported, never thrown', () => {
  const document = documentOf({ a: ['stub-data'], b: ['from-the-future', { deep: { x: [1] } }] }, ['b.out -> a.data'])
  const node = document.nodes.a
  if (node) node.version = 9
  expect(codes(document).map(([code, id]) => [code, id])).toEqual(
    expect.arrayContaining([
      ['newer-version', 'a'],
      ['unknown-type', 'b'],
    ]),
  )
})

test('UX-23: lineage lint names leaks, mixed splits, a freeze without effect, an untrained export and what nobody uses', () => {
  const leak = check(rewired(whole(), 'check.data', 'split.train'), stubRegistry).problems
  expect(leak).toMatchObject([
    {
      code: 'leak',
      node: 'check',
      nodes: ['train'],
      severity: 'warning',
      fix: { kind: 'reconnect', from: { node: 'split', port: 'test' } },
    },
  ])
  expect(check(rewired(whole(), 'check.data', 'data.data'), stubRegistry).problems.map((problem) => problem.code)).toContain('mixed-splits')

  const other = { ...whole(), nodes: { ...whole().nodes, again: { type: 'stub-split', version: 1, params: { seed: 1 } } } }
  other.edges.push({ from: { node: 'data', port: 'data' }, to: { node: 'again', port: 'data' } })
  expect(check(rewired(other, 'check.data', 'again.test'), stubRegistry).problems.map((problem) => problem.code)).toContain('mixed-splits')

  const late = rewired(
    rewired(rewired(whole(), 'train.model', 'model.model'), 'freeze.model', 'train.model'),
    'export.model',
    'freeze.model',
  )
  expect(check(late, stubRegistry).problems).toMatchObject([{ code: 'freeze-after-train', node: 'freeze', nodes: ['train'] }])

  const untrained = check(rewired(whole(), 'export.model', 'model.model'), stubRegistry).problems
  expect(untrained).toMatchObject([{ code: 'untrained-export', node: 'export', fix: { from: { node: 'train', port: 'model' } } }])

  const unused = { ...whole(), edges: whole().edges.filter((edge) => edge.from.node !== 'train') }
  expect(codes(unused)).toContainEqual(['unused-output', 'train', 'warning'])
  // Training and validating on different parts of one split is what splits are for.
  expect(codes(whole())).toEqual([])
})

test('UX-37: a disabled node passes its wires through where kinds match, and is not checked', () => {
  const document = whole()
  const freeze = document.nodes.freeze
  if (freeze) freeze.disabled = true
  expect(wiresOf(document, stubRegistry).get('train')?.model).toEqual({ node: 'model', port: 'model' })
  expect(codes(document)).toEqual([])
  const split = document.nodes.split
  if (split) split.disabled = true
  expect(wiresOf(document, stubRegistry).get('train')?.data).toEqual({ node: 'data', port: 'data' })
})

test('topological order: every node after what feeds it, whatever order the document is written in', () => {
  fc.assert(
    fc.property(acyclic(), fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (document, random) => {
      const wires = wiresOf(document, stubRegistry)
      const { order, cyclic } = topologicalOrder(wires)
      expect(cyclic).toEqual([])
      expect(cyclesOf(document)).toEqual([])
      const place = new Map(order.map((id, i) => [id, i]))
      for (const [id, inputs] of wires)
        for (const end of Object.values(inputs)) expect(place.get(end.node)).toBeLessThan(place.get(id) ?? -1)
      const again = reordered(document, () => random.next().value as number)
      expect(topologicalOrder(wiresOf(again, stubRegistry)).order).toEqual(order)
    }),
  )
})

test('check never throws and is the same whatever order the document is written in', () => {
  const anyDocument = fc.record({
    schemaVersion: fc.constant(1 as const),
    nodes: fc.dictionary(
      fc.stringMatching(/^[a-z]{1,3}$/),
      fc.record({
        type: fc.constantFrom(...Object.keys(stubRegistry), 'x', '__proto__', 'constructor'),
        version: fc.integer({ min: 1, max: 3 }),
        params: fc.dictionary(fc.string(), fc.jsonValue()),
      }),
    ),
    edges: fc.array(
      fc.record({
        from: fc.record({ node: fc.stringMatching(/^[a-z]{1,3}$/), port: fc.constantFrom('model', 'data', 'train', 'x') }),
        to: fc.record({ node: fc.stringMatching(/^[a-z]{1,3}$/), port: fc.constantFrom('model', 'data', 'x') }),
      }),
    ),
    inputs: fc.constant([]),
    notes: fc.constant([]),
    layout: fc.constant({ nodes: {}, groups: [] }),
  })
  fc.assert(fc.property(anyDocument, (document) => void check(document as unknown as Pipeline, stubRegistry)))
})

test('UX-20: connecting: yes, what it replaces, or the reason with the path of the cycle', () => {
  const document = whole()
  const verdict = (from: string, to: string, doc = document) => {
    const [a = '', b = ''] = from.split('.')
    const [c = '', d = ''] = to.split('.')
    return connectionVerdict({ document: doc, registry: stubRegistry, from: { node: a, port: b }, to: { node: c, port: d } })
  }
  expect(verdict('model.model', 'train.model')).toEqual({
    ok: true,
    replaces: { from: { node: 'freeze', port: 'model' }, to: { node: 'train', port: 'model' } },
  })
  expect(verdict('split.test', 'train.validation')).toEqual({ ok: true, replaces: null })
  expect(verdict('split.test', 'check.model')).toMatchObject({
    ok: false,
    code: 'kind-mismatch',
    reason: 'Stub check needs a model at Model; this is a dataset.',
    fix: { kind: 'insert', type: 'stub-model' },
  })
  expect(verdict('train.model', 'freeze.model')).toMatchObject({
    ok: false,
    code: 'cycle',
    path: ['freeze', 'train', 'freeze'],
    reason: 'The wires would go round: Stub freeze → Stub train → Stub freeze.',
  })
  expect(verdict('train.model', 'train.model')).toMatchObject({ ok: false, code: 'cycle' })
  expect(verdict('train.nope', 'check.model')).toMatchObject({ ok: false, code: 'no-port' })
  expect(verdict('ghost.model', 'check.model')).toMatchObject({ ok: false, code: 'no-node' })
})

test('UX-22: what connect allows, check does not refuse, and the other way round', () => {
  fc.assert(
    fc.property(acyclic(8), fc.nat(), fc.nat(), fc.nat(), fc.nat(), (document, a, b, c, d) => {
      const pick = <T>(items: readonly T[], n: number): T | undefined => items[n % Math.max(1, items.length)]
      const ids = Object.keys(document.nodes)
      const [from, to] = [pick(ids, a) ?? '', pick(ids, b) ?? '']
      const port = pick(Object.keys(stubRegistry[document.nodes[from]?.type ?? '']?.outputs ?? {}), c)
      const input = pick(Object.keys(stubRegistry[document.nodes[to]?.type ?? '']?.inputs ?? {}), d)
      fc.pre(port !== undefined && input !== undefined)
      const wire = { from: { node: from, port: port ?? '' }, to: { node: to, port: input ?? '' } }
      const verdict = connectionVerdict({ document, registry: stubRegistry, ...wire })
      const edges = [...document.edges.filter((edge) => edge.to.node !== to || edge.to.port !== input), wire]
      const bad = check({ ...document, edges }, stubRegistry).problems.some((problem) =>
        ['cycle', 'kind-mismatch', 'unknown-port', 'double-wire'].includes(problem.code),
      )
      expect(verdict.ok).toBe(!bad)
    }),
  )
})

test('inference resolves `auto` and passes facts along the wires', () => {
  const graph = inferGraph(whole(), stubRegistry)
  expect(graph.nodes.train).toMatchObject({ params: { learning_rate: 0.001 }, resolved: { learning_rate: 0.001 } })
  expect(graph.nodes.check?.inputs.data).toMatchObject({ kind: 'dataset', facts: { split: 'test', origin: 'data' } })
})

test('F-1: the nearest known key, and none when nothing is near', () => {
  const known = ['learning_rate', 'max_steps', 'num_train_epochs']
  expect(nearest('lerning_rate', known)).toBe('learning_rate')
  expect(nearest('num_epochs', known)).toBe('num_train_epochs')
  expect(nearest('colour', known)).toBeNull()
  expect(nearest('x'.repeat(100_000), known)).toBeNull()
})
