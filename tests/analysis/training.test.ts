import { describe, expect, test } from 'vitest'
import {
  divergenceIndex,
  epochJumps,
  type FitVerdict,
  fitVerdict,
  memorisationIndex,
  seeded,
  smoothed,
  suggestRate,
  sweepRates,
  valleyIndex,
} from '../../analysis/index'

describe('range test', () => {
  test('SCI-37: rates grow by equal factors, and smoothing corrects its beginning', () => {
    const rates = sweepRates(1e-6, 1e-2, 4)
    for (const [i, rate] of [1e-6, 1e-5, 1e-4, 1e-3, 1e-2].entries()) expect(rates[i]).toBeCloseTo(rate, 12)
    expect(smoothed([2, 2, 2])).toEqual([2, 2, 2].map((x) => expect.closeTo(x, 12)))
  })
  // By hand from the rule: end = where the longest falling subsequence ends, start = end − its length, then + ⌊len/3⌋ + ⌊len/6⌋.
  test.each([
    ['all falling', [9, 8, 7, 6, 5, 4], 5 - 6 + 2 + 1],
    ['all rising', [1, 2, 3, 4], 0],
    ['falls, then rises', [9, 8, 7, 6, 5, 4, 5, 6, 7], 5 - 6 + 2 + 1],
    ['flat, then falls', [5, 5, 5, 4, 3, 2, 1, 0, 9], 7 - 6 + 2 + 1],
    ['one point', [3], 0],
    ['twelve falling', [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1], 11 - 12 + 4 + 2],
  ] as [string, number[], number][])('SCI-48: %s', (_, losses, index) => {
    expect(valleyIndex(losses)).toBe(index)
  })
  test.each([0.01, 0.1, 1, 10, 100])('SCI-46: on a quadratic with λ = %f the divergence rate is 2/λ within 15 percent', (lambda) => {
    // Not a power of ten: at exactly 1/λ the next loss is 0 for good.
    const rates = sweepRates(1.1e-7, 1e3, 200)
    let x = 1
    const losses = rates.map((rate) => {
      const loss = 0.5 * lambda * x * x
      x -= rate * lambda * x
      return loss
    })
    const at = rates[divergenceIndex(losses) as number] as number
    expect(at / (2 / lambda)).toBeGreaterThan(1 / 1.16)
    expect(at / (2 / lambda)).toBeLessThan((1.16 * (rates[1] as number)) / (rates[0] as number))
    const { rate, divergence } = suggestRate(rates, losses, 'valley')
    expect(rate).toBeLessThanOrEqual((divergence as number) / 3)
  })
  test('SCI-47: ten times the loss suggests the same rate; a sweep that ends in NaN is read up to there', () => {
    const rates = sweepRates(1e-6, 1, 100)
    const losses = rates.map((rate) => (rate < 0.01 ? 3 - Math.log10(rate / 1e-6) / 4 : rate < 0.3 ? 2 + 40 * (rate - 0.01) : Number.NaN))
    const one = suggestRate(rates, losses, 'valley')
    expect(
      suggestRate(
        rates,
        losses.map((x) => 10 * x),
        'valley',
      ),
    ).toEqual(one)
    expect(one.rate).toBeGreaterThan(1e-5)
    expect(one.rate).toBeLessThan(0.01)
  })
  test('SCI-42: rows that were seen fall as others do: 0; only they fall: their share', () => {
    expect(memorisationIndex({ before: 2, after: 1.5 }, { before: 2, after: 1.5 })).toBe(0)
    expect(memorisationIndex({ before: 2, after: 1 }, { before: 2, after: 2 })).toBe(0.5)
  })
})

type Family = { kind: FitVerdict['kind']; train: (t: number) => number; validation: (t: number) => number; noise?: number; per?: number }
const families: Record<string, Family> = {
  healthy: { kind: 'healthy', train: (t) => 0.4 + 2 * Math.exp(-9 * t), validation: (t) => 0.5 + 2 * Math.exp(-9 * t) },
  overfit: {
    kind: 'overfit',
    train: (t) => 0.05 + 2 * Math.exp(-5 * t),
    validation: (t) => 0.8 + 1.5 * Math.exp(-9 * t) + 0.9 * Math.max(0, t - 0.3),
  },
  'still falling': { kind: 'underfit', train: (t) => 3 - 1.5 * Math.log(1 + 6 * t), validation: (t) => 3.1 - 1.3 * Math.log(1 + 6 * t) },
  'learned nothing': { kind: 'underfit', train: () => 3, validation: () => 3 },
  diverged: { kind: 'diverged', train: (t) => (t < 0.3 ? 2 - t : 2 + 30 * (t - 0.3)), validation: (t) => 2 + 20 * t },
  'not a number': { kind: 'diverged', train: (t) => (t < 0.8 ? 2 - t : Number.NaN), validation: (t) => 2 - t },
  memorising: {
    kind: 'memorising',
    train: (t) => 2.4 - 0.7 * Math.floor(3 * t + 1e-9),
    validation: (t) => 2 - 0.4 * (1 - Math.exp(-9 * t)),
    per: 40,
  },
  'noisy labels': {
    kind: 'noisy_labels',
    train: (t) => 1.6 + 0.4 * Math.exp(-6 * t),
    validation: (t) => 1.2 + 0.8 * Math.exp(-4 * t),
    noise: 0.6,
  },
}
const curves = ({ train, validation, noise = 0.02, per }: Family, seed = 1) => {
  const r = seeded(seed)
  const wobble = () => r.next() + r.next() - 1
  const steps = Array.from({ length: 119 }, (_, i) => ({ step: i + 1, loss: train((i + 1) / 120) + noise * 1.6 * wobble() }))
  const evaluations = Array.from({ length: 20 }, (_, i) => ({
    step: 6 * (i + 1),
    loss: validation((i + 1) / 20) + 0.005 * wobble(),
    standardError: 0.02,
  }))
  return { steps, evaluations, before: validation(0), ...(per && { stepsPerEpoch: per }) }
}

describe('SCI-57: each family of curves gets its verdict, with the rule and the next step', () => {
  test.each(Object.entries(families))('%s', (_, family) => {
    const found = fitVerdict(curves(family))
    expect(found.kind).toBe(family.kind)
    expect(found.rule.length).toBeGreaterThan(10)
    expect(found.action === null).toBe(found.kind === 'healthy')
  })
})

test('SCI-58: of 20 healthy trainings at most one is called anything else', () => {
  const alarms = Array.from({ length: 20 }, (_, seed) => fitVerdict(curves(families.healthy as Family, seed + 10))).filter(
    (v) => v.kind !== 'healthy',
  )
  expect(alarms.length).toBeLessThanOrEqual(1)
})

test('SCI-51: overfitting names the step that was best, within two evaluations of the true minimum', () => {
  const found = fitVerdict(curves(families.overfit as Family))
  expect(Math.abs((found.bestStep as number) - 0.3 * 120)).toBeLessThanOrEqual(12)
})

test('SCI-43: a fall where an epoch begins is found at its step', () => {
  expect(epochJumps(curves(families.memorising as Family)).map((j) => [j.step, j.jump > 2 * j.standardError])).toEqual([
    [40, true],
    [80, true],
  ])
})

test('without validation rows nobody can tell', () => {
  expect(fitVerdict({ ...curves(families.healthy as Family), evaluations: [] }).kind).toBe('unknown')
})
