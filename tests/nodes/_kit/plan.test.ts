import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PortDef } from '../../../nodes/_kit/define-node'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { loadDocument, parseDocument, writeDocument } from '../../../nodes/_kit/migrate'
import { fittingCheckpoint, NO_FACTS, type Plan, type PlanFacts, plan, type StoredResult } from '../../../nodes/_kit/plan'
import { documentOf } from '../../kit/documents'
import { stubDigests, stubRegistry } from '../../kit/stub-nodes'
import { acyclic, reordered } from './graphs'

const FACTS: PlanFacts = { ...NO_FACTS, implDigests: stubDigests }

/** Handles of the right shape whose content depends on `salt`. */
function outputsFor(type: string, salt: string): Record<string, unknown> {
  const digest = (text: string) => Buffer.from(`${text}${salt}`).toString('hex').padEnd(64, '0').slice(0, 64)
  const make: Record<string, (port: string) => unknown> = {
    model: () => ({
      base: { manifest: digest('m'), name: 'm', source: 's', license: null },
      delta: digest('w'),
      dtype: 'F32',
      tokenizer: digest('t'),
      chatTemplate: null,
      trainable: null,
      lineage: [],
    }),
    dataset: (port) => ({ artifact: digest(port), format: 'text', columns: [], split: 'all', source: digest('s') }),
    plan: () => ({ names: [salt] }),
    metrics: () => ({ x: salt.length }),
    file: () => ({ manifest: digest('f'), name: 'f', files: [] }),
  }
  return Object.fromEntries(
    Object.entries((stubRegistry[type]?.outputs ?? {}) as Record<string, PortDef>).map(([port, output]) => [
      port,
      make[output.kind]?.(port),
    ]),
  )
}

/** Plays a world in which everything ran once: answers what the plan needs until it needs nothing. */
function afterRun(document: Pipeline, facts: PlanFacts = FACTS): { plan: Plan; results: Record<string, StoredResult>; rounds: number } {
  const results: Record<string, StoredResult> = {}
  for (let rounds = 1; ; rounds++) {
    const now = plan({ document, registry: stubRegistry, facts: { ...facts, results } })
    if (now.needs.results.length === 0) return { plan: now, results, rounds }
    for (const node of now.nodes) {
      if (node.key && now.needs.results.includes(node.key))
        results[node.key] = { run: 14, nodeRun: node.node, outputs: outputsFor(node.type, node.key.slice(0, 8)), state: 'present' }
    }
  }
}
const levels = (document: Pipeline): number => {
  const depth = new Map<string, number>()
  const of = (id: string): number => {
    if (!depth.has(id))
      depth.set(id, 1 + Math.max(0, ...document.edges.filter((edge) => edge.to.node === id).map((edge) => of(edge.from.node))))
    return depth.get(id) ?? 0
  }
  return Math.max(...Object.keys(document.nodes).map(of))
}
const chain = () =>
  documentOf({ a: ['stub-data'], b: ['stub-split'], c: ['stub-split', { seed: 2 }] }, ['a.data -> b.data', 'b.train -> c.data'])

test('R-53: needs are answered at most once per level of the graph, and then everything is reused', () => {
  fc.assert(
    fc.property(acyclic(12, true), (document) => {
      const { plan: done, rounds } = afterRun(document)
      expect(rounds).toBeLessThanOrEqual(levels(document) + 1)
      for (const node of done.nodes) {
        if (node.action === 'blocked') continue
        const volatileAbove = done.nodes.some((one) => one.type === 'stub-clock')
        if (!volatileAbove) expect(node.action).toBe('reuse')
      }
    }),
  )
})

test('R-57: the same facts in any order give the same plan', () => {
  fc.assert(
    fc.property(acyclic(10), fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })), (document, random) => {
      const results = afterRun(document).results
      const facts = { ...FACTS, results }
      const mixed = { ...FACTS, results: Object.fromEntries(Object.entries(results).reverse()) }
      const again = reordered(document, () => random.next().value as number)
      const strip = (made: Plan) => ({ ...made, problems: [...made.problems].map((one) => JSON.stringify(one)).sort() })
      expect(strip(plan({ document: again, registry: stubRegistry, facts: mixed }))).toEqual(
        strip(plan({ document, registry: stubRegistry, facts })),
      )
    }),
  )
})

test('R-57: 200 nodes are planned in less than 50 ms', () => {
  const nodes: Record<string, [string, Record<string, unknown>]> = { n0: ['stub-data', {}] }
  const wires: `${string}.${string} -> ${string}.${string}`[] = []
  for (let i = 1; i < 200; i++) {
    nodes[`n${i}`] = ['stub-split', { seed: i }]
    wires.push(`n${i - 1}.${i === 1 ? 'data' : 'train'} -> n${i}.data`)
  }
  const document = documentOf(nodes, wires)
  const { results } = afterRun(document)
  const times = Array.from({ length: 9 }, () => {
    const from = performance.now()
    const made = plan({ document, registry: stubRegistry, facts: { ...FACTS, results } })
    expect(made.summary.reuse).toBe(200)
    return performance.now() - from
  }).sort((a, b) => a - b)
  // The median: this machine is shared, and one slow round says nothing about the function.
  expect(times[4]).toBeLessThan(50)
})

test('R-54: reasons of every kind, each with its cause node', () => {
  const document = chain()
  const { results, plan: made } = afterRun(document)
  const keys = Object.fromEntries(made.nodes.map((node) => [node.node, node.key ?? '']))
  const reasonsOf = (facts: Partial<PlanFacts>, doc = document, node = 'b') => {
    const found = plan({ document: doc, registry: stubRegistry, facts: { ...FACTS, results, ...facts } }).nodes.find(
      (one) => one.node === node,
    )
    return {
      action: found?.action,
      codes: found?.reasons.map((reason) => reason.code),
      nodes: found?.reasons.map((reason) => reason.node),
      text: found?.reasons.map((reason) => reason.text).join(' '),
    }
  }
  const state = (more: Partial<StoredResult>) => ({
    results: { ...results, [keys.b ?? '']: { ...(results[keys.b ?? ''] as StoredResult), ...more } },
  })
  expect(reasonsOf({})).toMatchObject({ action: 'reuse', codes: ['same-recipe'], text: 'Same as in run 14.' })
  expect(reasonsOf(state({ state: 'missing' }))).toMatchObject({ action: 'run', codes: ['artifact-missing'] })
  expect(reasonsOf(state({ state: 'corrupt' }))).toMatchObject({ action: 'run', codes: ['artifact-corrupt'] })
  expect(reasonsOf(state({ invalidated: true }))).toMatchObject({ action: 'run', codes: ['invalidated'] })
  expect(reasonsOf({ forced: ['b'] })).toMatchObject({ action: 'run', codes: ['forced'] })
  expect(reasonsOf({ pins: { b: { run: 3, nodeRun: 'x', outputs: outputsFor('stub-split', 'pin') } } })).toMatchObject({
    action: 'reuse',
    codes: ['pinned'],
  })
  expect(
    reasonsOf({ implDigests: { ...stubDigests, 'stub-split': 'new' }, last: { b: last({ params: { journal: '', seed: 42 } }) } }),
  ).toMatchObject({ action: 'run', codes: ['code-changed'] })
  expect(reasonsOf({ workers: ['gpu80g'] })).toMatchObject({ action: 'blocked', codes: ['upstream-blocked'], nodes: ['a'] })
  // Down the chain, the reason names the root.
  const forced = reasonsOf({ forced: ['a'] }, document, 'c')
  expect(forced).toMatchObject({ action: 'run', codes: ['never-run', 'upstream-runs'], nodes: ['c', 'a'] })
  expect(forced.text).toContain('Stub data runs first')
})

const last = (more: object) => ({
  run: 1,
  done: true,
  version: 1,
  implDigest: 'impl-of-stub-split',
  params: {},
  inputs: null,
  source: null,
  seconds: null,
  estimatedSeconds: null,
  ...more,
})

test('R-55: what is blocked blocks what is below, and only that', () => {
  const document = documentOf(
    { a: ['stub-data', { nope: 1 }], b: ['stub-split'], c: ['stub-split'], x: ['stub-data'], y: ['stub-split'] },
    ['a.data -> b.data', 'b.train -> c.data', 'x.data -> y.data'],
  )
  const made = plan({ document, registry: stubRegistry, facts: FACTS })
  const of = (id: string) => made.nodes.find((node) => node.node === id)
  expect(of('a')).toMatchObject({ action: 'blocked', reasons: [{ code: 'invalid-param', node: 'a', param: 'nope' }] })
  expect(of('c')).toMatchObject({ action: 'blocked', reasons: [{ code: 'upstream-blocked', node: 'a', text: 'Stub data cannot run.' }] })
  expect([of('x')?.action, of('y')?.action]).toEqual(['run', 'run'])
  expect(made.summary.text).toBe('2 nodes run, 3 blocked')
})

test('a target leaves everything else out; disabled nodes are absent and counted', () => {
  const document = chain()
  const c = document.nodes.c
  if (c) c.disabled = true
  const made = plan({ document, registry: stubRegistry, target: ['a'], facts: FACTS })
  expect(made.nodes.map((node) => node.node)).toEqual(['a'])
  expect(made.absent).toEqual({ outside: ['b'], disabled: ['c'] })
})

test('R-77: too little space blocks what would write', () => {
  const document = documentOf({ m: ['stub-model'], f: ['stub-freeze'] }, ['m.model -> f.model'])
  const made = plan({ document, registry: stubRegistry, facts: { ...FACTS, freeBytes: 2_300 } })
  expect(made.nodes.map((node) => node.reasons[0]?.code)).toEqual(['no-space', 'upstream-blocked'])
  expect(plan({ document, registry: stubRegistry, facts: { ...FACTS, freeBytes: 2_400 } }).summary.blocked).toBe(0)
})

test('E-19: a node that needs more memory than there is says so before it runs, and the summary too', () => {
  const document = documentOf({ m: ['stub-model'], f: ['stub-freeze'] }, ['m.model -> f.model'])
  const made = (memoryBytes: number | null) => plan({ document, registry: stubRegistry, facts: { ...FACTS, memoryBytes } })
  const needed = made(null).summary.memoryBytes
  expect(needed).toBeGreaterThan(0)
  const short = made(needed - 1)
  expect(short.summary.blocked).toBe(0)
  expect(short.nodes.flatMap((node) => node.reasons.filter((reason) => reason.code === 'little-memory'))).toMatchObject([
    { needed, there: needed - 1 },
  ])
  expect(short.summary.text).toMatch(/needs .* of .* there/)
  expect(made(needed).nodes.flatMap((node) => node.reasons.map((reason) => reason.code))).not.toContain('little-memory')
  expect(made(needed).summary.text).not.toContain('there')
})

test('R-65: larger extent continues, equal means interrupted, smaller only at exactly that step', () => {
  const def = stubRegistry['stub-train']
  if (!def) throw new Error('no stub-train')
  const saved = (step: number, max_steps: number) => ({
    step,
    manifest: 'm',
    run: 1,
    nodeRun: 'n',
    params: { schedule: 'constant', max_steps },
  })
  const fit = (max_steps: number, ...checkpoints: ReturnType<typeof saved>[]) =>
    fittingCheckpoint(def, { schedule: 'constant', max_steps }, checkpoints)
  expect(fit(30, saved(20, 20))).toMatchObject({ checkpoint: { step: 20 }, longer: { param: 'max_steps', old: 20, new: 30 } })
  expect(fit(20, saved(15, 20))).toMatchObject({ checkpoint: { step: 15 }, longer: null })
  expect(fit(10, saved(20, 20), saved(10, 20))).toMatchObject({ checkpoint: { step: 10 }, longer: null })
  expect(fit(12, saved(20, 20), saved(10, 20))).toBeNull()
})

test('R-100: exposed inputs override the params they stand for, unknown ones are refused', () => {
  const document = { ...documentOf({ a: ['stub-data', { rows: 'x' }] }), inputs: [{ id: 'rows', title: 'Rows', node: 'a', param: 'rows' }] }
  const made = plan({ document, registry: stubRegistry, inputs: { rows: 'y' }, facts: FACTS })
  expect(made.nodes[0]?.params).toMatchObject({ rows: 'y' })
  expect(plan({ document, registry: stubRegistry, inputs: { nope: 1 }, facts: FACTS }).nodes[0]).toMatchObject({ action: 'blocked' })
})

test('R-97, UX-53: unknown types and newer versions come back byte for byte', () => {
  const document = documentOf({ z: ['stub-data'], a: ['from-2031', { b: 1, a: { y: [1, { k: null }], x: 1e-7 }, '10': 'ten' }] })
  const text = writeDocument(document)
  const loaded = parseDocument(text, stubRegistry)
  expect(loaded.ok && writeDocument(loaded.document)).toBe(text)
  fc.assert(
    fc.property(acyclic(), fc.dictionary(fc.string(), fc.jsonValue()), (made, params) => {
      made.nodes.strange = { type: 'strange', version: 3, params }
      const written = writeDocument(made)
      const back = parseDocument(written, stubRegistry)
      expect(back.ok && writeDocument(back.document)).toBe(written)
    }),
  )
})

test('R-94: node params are migrated by the steps between their version and ours, in order; nothing else is touched', () => {
  const def = stubRegistry['stub-data']
  if (!def) throw new Error('no stub-data')
  const registry = {
    ...stubRegistry,
    'stub-data': {
      ...def,
      migrations: [
        { name: 'RenameLinesToRows', up: ({ lines, ...rest }: Record<string, unknown>) => ({ ...rest, rows: lines }) },
        { name: 'DropColour', up: ({ colour: _, ...rest }: Record<string, unknown>) => rest },
      ],
    },
  }
  const loaded = loadDocument(documentOf({ a: ['stub-data', { lines: 'x', colour: 'red' }], b: ['stub-split', { seed: 3 }] }), registry)
  expect(loaded).toMatchObject({
    ok: true,
    document: { nodes: { a: { version: 3, params: { rows: 'x' } }, b: { version: 1, params: { seed: 3 } } } },
    migrated: [{ node: 'a', from: 1, to: 3, names: ['RenameLinesToRows', 'DropColour'] }],
  })
})

test('SEC-15, UX-52: what is too large, too deep, broken or from a newer Thaw is refused with the place', () => {
  const problem = (value: unknown) => {
    const loaded = typeof value === 'string' ? parseDocument(value, stubRegistry) : loadDocument(value, stubRegistry)
    return loaded.ok ? null : loaded.problems[0]
  }
  let deep: unknown = 1
  for (let i = 0; i < 100_000; i++) deep = [deep]
  expect(problem({ ...documentOf({}), notes: deep })?.code).toBe('too-large')
  expect(problem({ ...documentOf({}), nodes: Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`n${i}`, {}])) })?.code).toBe(
    'too-large',
  )
  expect(problem({ ...documentOf({}), schemaVersion: 7 })).toMatchObject({ code: 'newer-schema', expected: 'at most 1', got: '7' })
  expect(problem('{"schemaVersion": 1,\n  "nodes": }')).toMatchObject({ code: 'not-json', where: 'line 2, column 12' })
  // The offset equals the length of the longest prefix that some JSON begins with.
  fc.assert(
    fc.property(fc.json(), fc.nat(), fc.constantFrom('}', ']', ',', ':', '"', 'x', '\n', '0'), (text, at, junk) => {
      const broken = text.slice(0, at % (text.length + 1)) + junk + text.slice(at % (text.length + 1))
      let valid = true
      try {
        JSON.parse(broken)
      } catch {
        valid = false
      }
      fc.pre(!valid)
      expect(problem(broken)).toMatchObject({ code: 'not-json', where: expect.stringMatching(/^line \d+, column \d+$/) })
    }),
  )
  expect(problem({ ...documentOf({}), surprise: 1 })?.code).toBe('invalid-document')
  expect(problem([])?.code).toBe('invalid-document')
  expect(problem(' '.repeat(5_000_000))?.code).toBe('too-large')
})
