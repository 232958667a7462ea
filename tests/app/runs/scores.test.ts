import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fieldsOf, gainOf, metricsIn, scoresOf, valueWords, wilson } from '../../../app/runs/scores'

describe('scores of a validation', () => {
  const metrics = {
    rows: 60,
    eval_loss: 0.018,
    perplexity: 1.02,
    base_eval_loss: 2.4,
    base_perplexity: 11,
    exact_match: 0.95,
    base_exact_match: 0,
    token_f1: 0.99,
    base_token_f1: 0.2,
    field_supplier_exact_match: 1,
    field_supplier_f1: 1,
    base_field_supplier_exact_match: 0.1,
    base_field_supplier_f1: 0.2,
    exact_match_gain: 0.95,
    exact_match_gain_low: 0.9,
    exact_match_gain_high: 1,
  }

  it('whole answer first, then its fields, then the rest, each with what it was before', () => {
    expect(scoresOf(metrics).map((s) => [s.name, s.before, s.after])).toEqual([
      ['exact_match', 0, 0.95],
      ['field_supplier_exact_match', 0.1, 1],
      ['token_f1', 0.2, 0.99],
      ['eval_loss', 2.4, 0.018],
      ['perplexity', 11, 1.02],
    ])
  })

  it('D-38: shares of rows have an interval, means have none, losses are better low', () => {
    const [exact, , f1, loss] = scoresOf(metrics)
    expect(exact).toMatchObject({ rows: 60, interval: [expect.closeTo(0.863, 3), expect.closeTo(0.983, 3)] })
    expect(f1).toMatchObject({ interval: null, better: 'higher' })
    expect(loss).toMatchObject({ interval: null, better: 'lower' })
  })

  it('SCI-4: a gain whose interval holds zero is no difference seen', () => {
    expect(gainOf(metrics)).toMatchObject({ mean: 0.95, seen: true })
    expect(gainOf({ ...metrics, exact_match_gain_low: -0.1 })).toMatchObject({ seen: false })
    expect(gainOf({ rows: 3 })).toBeNull()
  })

  it("Wilson's interval: known values, and it always holds the share", () => {
    // Newcombe 1998, table I: 81 of 263 → 0.2553…0.3662; 0 of 20 → 0…0.1611
    expect(wilson(81, 263)).toEqual([expect.closeTo(0.2553, 4), expect.closeTo(0.3662, 4)])
    expect(wilson(0, 20)).toEqual([expect.closeTo(0, 10), expect.closeTo(0.1611, 4)])
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
        const k = Math.round(share * n)
        const [low, high] = wilson(k, n)
        expect(low).toBeLessThanOrEqual(k / n + 1e-12)
        expect(high).toBeGreaterThanOrEqual(k / n - 1e-12)
        expect(low).toBeGreaterThanOrEqual(0)
        expect(high).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('reads answers that are JSON objects and leaves all others alone', () => {
    expect(fieldsOf(' {"a": 1}')).toEqual({ a: 1 })
    for (const other of ['[1]', '{"a": ', 'plain', '3', null, 3, ['x']]) expect(fieldsOf(other)).toBeNull()
    expect([null, '', undefined, 'x', 3, ['a']].map(valueWords)).toEqual(['not stated', 'not stated', 'not stated', 'x', '3', '["a"]'])
  })

  it('knows metrics from other outputs', () => {
    expect(metricsIn({ metrics })).toBe(metrics)
    expect(metricsIn({ metrics: { a: 'x' } })).toBeNull()
    expect(metricsIn({ model: {} })).toBeNull()
    expect(metricsIn(null)).toBeNull()
  })
})
