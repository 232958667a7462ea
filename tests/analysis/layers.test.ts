import { describe, expect, test } from 'vitest'
import {
  gainOf,
  learned,
  marchenkoPasturMedian,
  rankCorrelation,
  relativeGradient,
  seeded,
  spectrumCalibrated,
  spectrumPublished,
  unitsOf,
} from '../../analysis/index'
import { singularValues } from '../../engine/evaluate/singular-values'

const gaussian = (r: ReturnType<typeof seeded>) => Math.sqrt(-2 * Math.log(1 - r.next())) * Math.cos(2 * Math.PI * r.next())

describe('SCI-20: Spectrum', () => {
  const n = 128
  const matrix = (rank: number, scale = 1) => {
    const r = seeded(7 + rank)
    const noise = Float32Array.from({ length: n * n }, () => scale * gaussian(r))
    // Orthonormal directions: unit vectors of the standard basis, each 1.5 times the edge of the noise.
    const size = 1.5 * scale * 2 * Math.sqrt(n)
    for (let k = 0; k < rank; k++) noise[k * n + k] = (noise[k * n + k] as number) + size
    return [...singularValues(noise, n, n)]
  }
  test('calibrated, noise alone has nothing above the edge, and planted ranks are found exactly', () => {
    for (const rank of [0, 4, 16]) expect(spectrumCalibrated(matrix(rank), n, n).above, `rank ${rank}`).toBe(rank)
    expect(spectrumCalibrated(matrix(4, 1e-3), n, n).above).toBe(4)
    expect(marchenkoPasturMedian(1)).toBeCloseTo(0.6528, 3)
  })
  test('as published, pure noise has signal', () => {
    expect(spectrumPublished(matrix(0), n, n)).toBeGreaterThan(0)
  })
})

test('SCI-22: the relative gradient is the mean over matrices of ‖g‖/‖w‖; vectors do not count', () => {
  const gradients = [
    { name: 'a', shape: [2, 2], weight: 4, gradient: 2 },
    { name: 'b', shape: [2, 3], weight: 10, gradient: 1 },
    { name: 'norm', shape: [2], weight: 0.001, gradient: 9 },
    { name: 'other', shape: [2, 2], weight: 1, gradient: 100 },
  ]
  expect(relativeGradient(gradients, ['a', 'b', 'norm'])).toBeCloseTo(0.3, 9)
})

test('SCI-9, SCI-13: gains are over the same rows with their error; noise is not learning', () => {
  const r = seeded(3)
  const before = Array.from({ length: 64 }, () => 2 + 0.3 * gaussian(r))
  const noise = before.map((x) => x + 0.05 * gaussian(r))
  const better = before.map((x) => x - 0.2 + 0.05 * gaussian(r))
  expect(gainOf(before, better).mean).toBeCloseTo(0.2, 1)
  expect(learned([gainOf(before, noise)])).toBe(false)
  expect(learned([gainOf(before, noise), gainOf(before, better)])).toBe(true)
  expect(gainOf([1, Number.NaN], [0.5, 3]).mean).toBe(0.5)
})

test('units are blocks, or halves of blocks; rank correlation knows order', () => {
  const parameters = [0, 1].flatMap((block) => [
    { name: `${block}.q`, shape: [2, 2], block, part: 'attention' },
    { name: `${block}.up`, shape: [2, 2], block, part: 'mlp' },
    { name: `${block}.n`, shape: [2], block, part: 'norm' },
  ])
  expect(unitsOf(parameters, 'block').map((u) => u.names)).toEqual([
    ['0.q', '0.up', '0.n'],
    ['1.q', '1.up', '1.n'],
  ])
  expect(unitsOf(parameters, 'block_half').map((u) => u.label)).toEqual([
    'block 0 attention',
    'block 0 MLP',
    'block 1 attention',
    'block 1 MLP',
  ])
  expect(rankCorrelation([1, 2, 3], [10, 20, 30])).toBeCloseTo(1, 9)
  expect(rankCorrelation([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 9)
})
