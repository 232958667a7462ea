import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { linearTicks, logTicks, spread } from '../../../app/ui/scale'

describe('D-40: grid lines lie on round values', () => {
  it.each([
    [linearTicks(0, 60), [0, 20, 40, 60]],
    [linearTicks(0, 200), [0, 50, 100, 150, 200]],
    [linearTicks(0, 3e-4), [0, 1e-4, 2e-4, 3e-4]],
    [logTicks(0.012, 0.6), [0.02, 0.05, 0.1, 0.2, 0.5]],
    [logTicks(0.0015, 2.5), [0.01, 0.1, 1]],
    [logTicks(1e-6, 1), [1e-6, 1e-4, 1e-2, 1]],
    [logTicks(1.07, 6.6), [2, 4, 6]],
    [logTicks(2.1, 2.4), [2.1, 2.2, 2.3, 2.4]],
    [logTicks(-1, 2), []],
  ])('%j', (got, expected) => expect(got.map((t) => Number(t.toPrecision(9)))).toEqual(expected))

  it('any range gives at least one and at most seven lines, inside it and rising', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), fc.double({ min: 1.0001, max: 1e6, noNaN: true }), (min, factor) => {
        const max = min * factor
        for (const ticks of [linearTicks(min, max), logTicks(min, max)]) {
          expect(ticks.length).toBeLessThanOrEqual(7)
          expect(ticks).toEqual([...ticks].sort((a, b) => a - b))
          for (const tick of ticks) {
            expect(tick).toBeGreaterThanOrEqual(min * (1 - 1e-6))
            expect(tick).toBeLessThanOrEqual(max * (1 + 1e-6))
          }
        }
        expect(linearTicks(min, max).length).toBeGreaterThanOrEqual(1)
      }),
    )
  })

  it('a flat line has room, a loss never gets a negative axis', () => {
    expect(spread(2, 2, false)).toEqual([1.8, 2.2])
    expect(spread(0, 1, false)[0]).toBe(0)
    expect(spread(0.1, 0.1, true)[0]).toBeLessThan(0.1)
    expect(spread(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, true)).toEqual([0.1, 1])
  })
})
