import { expect, test } from 'vitest'
import { placesOf } from '../../../app/runs/parallel-coordinates'
import { emptyPipeline } from '../../../nodes/_kit/graph'
import { parseValues, sweepDocument, sweepSize, sweepValues } from '../../../nodes/_kit/sweep'

test('UX-77: every combination of the values is one run, each once', () => {
  const axes = [
    { node: 'a', param: 'rate', values: [1e-4, 2e-4] },
    { node: 'b', param: 'seed', values: [1, 2, 3] },
  ]
  expect(sweepSize(axes)).toBe(6)
  expect(Array.from({ length: 6 }, (_, i) => sweepValues(axes, i))).toEqual([
    [1e-4, 1],
    [1e-4, 2],
    [1e-4, 3],
    [2e-4, 1],
    [2e-4, 2],
    [2e-4, 3],
  ])
  const document = { ...emptyPipeline(), nodes: { a: { type: 'train', version: 1, params: { rate: 5, seed: 9 } } } }
  expect(sweepDocument(document, axes, [2e-4, 3]).nodes).toEqual({ a: { type: 'train', version: 1, params: { rate: 2e-4, seed: 9 } } })
  expect(document.nodes.a.params.rate).toBe(5)
})

test('UX-77: lists and ranges as people type them', () => {
  expect(parseValues('1e-4, 2e-4,.5')).toEqual([1e-4, 2e-4, 0.5])
  expect(parseValues('linear, cosine, true, null')).toEqual(['linear', 'cosine', true, null])
  expect(parseValues('1..5 x3')).toEqual([1, 3, 5])
  expect(parseValues('1e-4..1e-2 x3 log')).toEqual([1e-4, 1e-3, 1e-2])
  expect(parseValues('0..1 x2 log')).toBeNull()
  expect(parseValues('1..5 x1')).toBeNull()
  expect(parseValues(' , ')).toBeNull()
})

test('UX-77: coordinates lie by size, by ratio over large spans, and words in their order', () => {
  expect(placesOf([1, 3, null, 5]).places).toEqual([0, 0.5, null, 1])
  expect(placesOf([1e-4, 1e-3, 1e-2]).places.map((place) => Number(place?.toFixed(6)))).toEqual([0, 0.5, 1])
  expect(placesOf(['b', 'a', 'b']).places).toEqual([0, 1, 0])
  expect(placesOf([7, 7]).places).toEqual([0.5, 0.5])
})
