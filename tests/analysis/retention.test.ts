import { expect, test } from 'vitest'
import { GENERAL_TEXT, gravity, overlapOf, pieces, retentionOf } from '../../analysis/index'
import { compareAt } from '../../engine/evaluate/divergence'

const documents = (loss: (i: number) => number) =>
  Array.from({ length: 20 }, (_, i) => ({
    bytes: 100 + i,
    tokens: 25,
    base: 50 + i,
    tuned: 50 + i + loss(i),
    divergence: loss(i) / 2,
    agreed: 20,
  }))

test('SCI-69: an untouched model costs exactly 0 and has moved by exactly 0', () => {
  const same = retentionOf(documents(() => 0))
  expect(same.cost).toMatchObject({ mean: 0, low: 0, high: 0 })
  expect(same.divergence.mean).toBe(0)
  expect(gravity(same)).toBe('none')
})

test('SCI-61: the knowledge cost is bits per byte over all bytes; an interval that holds 0 is no cost', () => {
  const found = retentionOf(documents(() => 10))
  const bytes = Array.from({ length: 20 }, (_, i) => 100 + i).reduce((a, b) => a + b, 0)
  expect(found.cost.mean).toBeCloseTo(200 / Math.LN2 / bytes, 10)
  expect(found.cost.low).toBeGreaterThan(0)
  expect(found.tuned - found.base).toBeCloseTo(found.cost.mean, 10)
  expect(gravity(found)).toBe('large')
  const noise = retentionOf(documents((i) => (i % 2 ? 10 : -10)))
  expect(noise.cost.low).toBeLessThan(0)
  expect(gravity(noise)).toBe('none')
})

test('SCI-70: two tokens with known p and q give their divergence, and M3 over sampled tokens agrees with it', () => {
  const p = [0.8, 0.2]
  const q = [0.5, 0.5]
  const exact = p.reduce((sum, x, i) => sum + x * Math.log(x / (q[i] as number)), 0)
  const at = (target: number) => compareAt(Float32Array.from(p, Math.log), Float32Array.from(q, Math.log), target)
  expect(at(0).divergence).toBeCloseTo(exact, 6)
  expect(at(0).base).toBeCloseTo(-Math.log(0.8), 6)
  const expected = p.reduce((sum, x, i) => sum + x * (at(i).tuned - at(i).base), 0)
  expect(expected).toBeCloseTo(exact, 6)
})

test('SCI-68: general text that repeats the task is counted; the text that comes with Thaw does not repeat itself', () => {
  expect(overlapOf(['the sea was calm and the ship lay still'], ['we said that the sea was calm and the ship was not'])).toBe(1)
  expect(overlapOf(['the sea was calm and the ship lay still'], ['nothing of the kind'])).toBe(0)
  expect(new Set(GENERAL_TEXT).size).toBe(GENERAL_TEXT.length)
  expect(overlapOf(GENERAL_TEXT.slice(0, 24), GENERAL_TEXT.slice(24))).toBe(0)
  expect(pieces(['aa bb cc dd'], 5)).toEqual(['aa bb', 'cc dd'])
})
