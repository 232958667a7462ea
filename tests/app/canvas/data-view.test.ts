import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histogram, limitFor, rowTokens, totalsOf } from '../../../app/canvas/data-view/counts'
import { readerOf } from '../../../app/canvas/data-view/reader'
import { registry } from '../../../nodes'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { emptyPipeline } from '../../../nodes/_kit/graph'
import { inferGraph } from '../../../nodes/_kit/infer'

const found = (lengths: number[], trained: number[], endNotTrained: number[] = [], duplicates: number[] = []) => ({
  rows: lengths.length,
  read: lengths.length,
  lengths,
  trained,
  endNotTrained,
  duplicates,
  faults: [],
  tooLong: 'left-out' as const,
  padding: null,
})

test('UX-84: numbers of a set: too long, nothing trained, end not trained, repeated, no tokens', () => {
  const rows = rowTokens(found([10, 40, 12, 10, -1], [4, 20, 0, 4, 0], [1, 2], [3]), 32)
  const totals = totalsOf(rows)
  expect(totals).toMatchObject({ rows: 5, tokens: 72, trained: 28, shortest: 10, longest: 40, endTrained: 2 })
  expect(totals.flags).toEqual({ long: 1, untrained: 1, 'no-end': 1, repeated: 1, unreadable: 1 })
  expect(limitFor(193)).toBe(200)
  expect(limitFor(200)).toBe(200)
})

test('UX-81: a histogram holds every row once, in bars that follow on each other', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 200 }),
      fc.integer({ min: 1, max: 40 }),
      (lengths, bars) => {
        const shown = histogram(rowTokens(found(lengths, lengths), null), bars)
        expect(shown.reduce((sum, bar) => sum + bar.rows, 0)).toBe(lengths.length)
        expect(shown.length).toBeLessThanOrEqual(bars)
        for (const [i, bar] of shown.entries()) {
          expect(lengths.filter((n) => n >= bar.from && n <= bar.to)).toHaveLength(bar.rows)
          if (i > 0) expect(bar.from).toBe((shown[i - 1]?.to ?? 0) + 1)
        }
      },
    ),
  )
})

test('UX-84: rows are read as the nearest training below reads them, through nodes between and disabled ones', () => {
  const node = (type: string, params: Record<string, unknown> = {}) => ({ type, version: 1, params })
  const wire = (a: string, p: string, b: string, q: string) => ({ from: { node: a, port: p }, to: { node: b, port: q } })
  const document: Pipeline = {
    ...emptyPipeline(),
    nodes: {
      model: node('load-model', { model: 'builtin:thaw-tiny' }),
      data: node('load-data', { file: 'template:first-look/log.jsonl' }),
      split: node('split-data'),
      freeze: node('freeze-layers'),
      train: node('train', { train_on: 'all', max_length: 96, seed: 7 }),
      check: node('validate'),
    },
    edges: [
      wire('data', 'data', 'split', 'data'),
      wire('model', 'model', 'freeze', 'model'),
      wire('freeze', 'model', 'train', 'model'),
      wire('split', 'train', 'train', 'data'),
      wire('train', 'model', 'check', 'model'),
      wire('split', 'test', 'check', 'data'),
    ],
  }
  const reader = (doc: Pipeline, at: string, port: string) => {
    const { nodes, order } = inferGraph(doc, registry)
    return readerOf(nodes, order, { node: at, port })
  }
  const trained = { node: 'train', model: 'builtin:thaw-tiny', trainOn: 'all', maxLength: 96, seed: 7, trains: true }
  expect(reader(document, 'data', 'data')).toMatchObject(trained)
  expect(reader(document, 'split', 'train')).toMatchObject(trained)
  const off = { ...document, nodes: { ...document.nodes, split: { ...node('split-data'), disabled: true } } }
  expect(reader(off, 'data', 'data')).toMatchObject(trained)
  // Nothing trains: whoever reads the rows with a model; without that, any model; without one, nobody.
  const { train: _, ...rest } = document.nodes
  const untrained = {
    ...document,
    nodes: rest,
    edges: [...document.edges.filter((e) => e.from.node !== 'train' && e.to.node !== 'train'), wire('freeze', 'model', 'check', 'model')],
  }
  expect(reader(untrained, 'data', 'data')).toMatchObject({ node: 'check', model: 'builtin:thaw-tiny', maxLength: null, trains: false })
  const { check: __, ...fewer } = rest
  expect(reader({ ...untrained, nodes: fewer, edges: [] }, 'data', 'data')).toMatchObject({ node: 'model', trains: false })
  const { model: ___, ...none } = fewer
  expect(reader({ ...untrained, nodes: none, edges: [] }, 'data', 'data')).toBeNull()
})
