import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { cacheKey, canonicalJson, contentDigest, graphDigest, identityKey, type Recipe, sha256Hex } from '../../../nodes/_kit/cache-key'
import type { AnyNode } from '../../../nodes/_kit/define-node'
import type { ModelHandle } from '../../../nodes/_kit/ports'
import { documentOf } from '../../kit/documents'
import { stubRegistry } from '../../kit/stub-nodes'

const stub = (type: string): AnyNode => {
  const def = stubRegistry[type]
  if (!def) throw new Error(type)
  return def
}
const json = fc.jsonValue({ maxDepth: 4 })

/** The same value with the keys of every object in another order. */
const shuffled = (value: unknown, pick: (n: number) => number): unknown => {
  if (Array.isArray(value)) return value.map((item) => shuffled(item, pick))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value)
  for (let i = entries.length - 1; i > 0; i--) {
    const j = pick(i + 1)
    ;[entries[i], entries[j]] = [entries[j] as [string, unknown], entries[i] as [string, unknown]]
  }
  return Object.fromEntries(entries.map(([key, item]) => [key, shuffled(item, pick)]))
}

test('R-58: canonical JSON is JSON, does not depend on the order of keys, and tells different values apart', () => {
  fc.assert(
    fc.property(json, fc.infiniteStream(fc.nat()), (value, numbers) => {
      const text = canonicalJson(value)
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      expect(canonicalJson(shuffled(value, (n) => (numbers.next().value as number) % n))).toBe(text)
    }),
  )
  fc.assert(
    fc.property(json, json, (a, b) => {
      fc.pre(JSON.stringify(a) !== JSON.stringify(b))
      // -0 and 0 are one number in JSON.
      const same = JSON.stringify(sorted(JSON.parse(JSON.stringify(a)))) === JSON.stringify(sorted(JSON.parse(JSON.stringify(b))))
      expect(canonicalJson(a) === canonicalJson(b)).toBe(same)
    }),
  )
})
/** Objects as tagged lists of sorted entries: equal exactly when they hold the same, in whatever order. */
const sorted = (value: unknown): unknown => {
  if (Array.isArray(value)) return ['array', ...value.map(sorted)]
  if (typeof value !== 'object' || value === null) return value
  return [
    'object',
    ...Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sorted(item)]),
  ]
}

test('R-58: what JSON cannot carry is refused with its place', () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 1n, () => 1, Symbol('x')])
    expect(() => canonicalJson({ a: [bad] })).toThrow('$.a[0]')
  // biome-ignore lint/suspicious/noSparseArray: a hole is what is tested
  expect(() => canonicalJson([1, , 2])).toThrow('$[1]')
  expect(canonicalJson({ a: undefined, b: 1 })).toBe('{"b":1}')
})

test('sha256 equals that of node:crypto on any text', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 300 }),
      (text) => sha256Hex(text) === createHash('sha256').update(text, 'utf8').digest('hex'),
    ),
  )
})

const recipe = (more: Partial<Recipe> = {}): Recipe => ({
  def: stub('stub-train'),
  version: 1,
  implDigest: 'i',
  params: { max_steps: 10, seed: 42, learning_rate: 0.1, schedule: 'constant' },
  inputs: { data: 'd'.repeat(64), model: 'm'.repeat(64) },
  ...more,
})

test('A-5, R-58: every part of the recipe is in the key, the order of params is not', () => {
  const key = cacheKey(recipe())
  const changed = [
    recipe({ version: 2 }),
    recipe({ implDigest: 'j' }),
    recipe({ params: { ...recipe().params, max_steps: 11 } }),
    recipe({ params: { ...recipe().params, seed: 43 } }),
    recipe({ inputs: { ...recipe().inputs, data: 'e'.repeat(64) } }),
    recipe({ inputs: { model: 'm'.repeat(64) } }),
    recipe({ def: stub('stub-check') }),
  ]
  expect(new Set([key, ...changed.map(cacheKey)]).size).toBe(changed.length + 1)
  expect(cacheKey(recipe({ params: { schedule: 'constant', learning_rate: 0.1, seed: 42, max_steps: 10 } }))).toBe(key)
})

test('R-65, R-66: the identity leaves the extent out, and under a schedule that depends on the length it does not', () => {
  const longer = recipe({ params: { ...recipe().params, max_steps: 99 } })
  expect(identityKey(longer)).toBe(identityKey(recipe()))
  expect(cacheKey(longer)).not.toBe(cacheKey(recipe()))
  const linear = (steps: number) => recipe({ params: { ...recipe().params, schedule: 'linear', max_steps: steps } })
  expect(identityKey(linear(10))).not.toBe(identityKey(linear(20)))
  expect(identityKey(recipe({ params: { ...recipe().params, learning_rate: 0.2 } }))).not.toBe(identityKey(recipe()))
})

test('R-61: a file counts by content and name, not by where it lies', () => {
  const at = (folder: string, digest = 'a', name = 'rows.jsonl') =>
    cacheKey({
      ...recipe({ def: stub('stub-data'), inputs: {} }),
      params: { file: `${folder}/${name}`, rows: '' },
      source: { value: `${folder}/${name}`, name, digest },
    })
  expect(at('/home/a')).toBe(at('/mnt/b'))
  expect(at('/home/a', 'b')).not.toBe(at('/home/a'))
  expect(at('/home/a', 'a', 'rows.csv')).not.toBe(at('/home/a'))
})

test('R-60: content digests leave out names and node ids, and nothing that matters', () => {
  const model: ModelHandle = {
    base: { manifest: 'a'.repeat(64), name: 'm', source: 's', license: null },
    delta: null,
    modelType: 'llama',
    dtype: 'F32',
    parameters: 1,
    blocks: 1,
    vocabSize: 1,
    contextLength: 1,
    tiedEmbeddings: true,
    tokenizer: 'b'.repeat(64),
    chatTemplate: null,
    trainable: null,
    lineage: [{ node: 'train', data: 'c'.repeat(64), source: 'd'.repeat(64), steps: 1, epochs: 1, seed: 1, parameters: 1 }],
  }
  const digest = contentDigest('model', model)
  expect(contentDigest('model', { ...model, lineage: model.lineage.map((entry) => ({ ...entry, node: 'other' })) })).toBe(digest)
  expect(contentDigest('model', { ...model, delta: 'e'.repeat(64) })).not.toBe(digest)
  expect(
    contentDigest('model', { ...model, trainable: { names: ['x'], parameters: 1, blocks: [1], embeddings: 0, head: 0, summary: '' } }),
  ).not.toBe(digest)
  const data = {
    artifact: 'a'.repeat(64),
    rows: 1,
    format: 'text',
    columns: [],
    name: 'n',
    split: 'all',
    source: 's',
    chars: { mean: 1, max: 1 },
  }
  expect(contentDigest('dataset', { ...data, name: 'other' })).toBe(contentDigest('dataset', data))
  expect(contentDigest('dataset', { ...data, split: 'test' })).not.toBe(contentDigest('dataset', data))
})

test('R-93: the graph digest covers everything but layout and notes', () => {
  const document = documentOf({ a: ['stub-data'], b: ['stub-split'] }, ['a.data -> b.data'])
  const digest = graphDigest(document)
  const moved = {
    ...document,
    layout: { nodes: { a: { x: 1, y: 2, title: 'A' } }, groups: [] },
    notes: [{ id: 'n', text: 't', x: 0, y: 0 }],
  }
  expect(graphDigest(moved)).toBe(digest)
  expect(graphDigest({ ...document, nodes: { b: document.nodes.b, a: document.nodes.a } as never })).toBe(digest)
  expect(graphDigest({ ...document, edges: [] })).not.toBe(digest)
  expect(graphDigest(documentOf({ a: ['stub-data', { rows: 'x' }], b: ['stub-split'] }, ['a.data -> b.data']))).not.toBe(digest)
})
