import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addPoints, cutFrom, direction, EMPTY_SERIES, latest, lowest, smooth, thin } from '../../../app/runs/series'

const line = (n: number, f: (step: number) => number) =>
  addPoints(
    EMPTY_SERIES,
    Array.from({ length: n }, (_, i) => ({ step: i + 1, loss: f(i + 1) })),
  )

describe('series of a training', () => {
  it('UX-67: validation points share the rows of the training steps they were measured at', () => {
    const series = addPoints(
      line(4, (s) => s),
      [
        { step: 2, eval_loss: 9 },
        { step: 4, eval_loss: 8 },
      ],
    )
    expect(series.steps).toEqual([1, 2, 3, 4])
    expect(series.columns).toEqual({ loss: [1, 2, 3, 4], eval_loss: [null, 9, null, 8] })
  })

  it('R-84: any order and any grouping of the same points gives the same columns', () => {
    const points = fc.uniqueArray(
      fc.record({ step: fc.integer({ min: 0, max: 60 }), loss: fc.double({ noNaN: true, noDefaultInfinity: true }) }),
      { selector: (p) => p.step, maxLength: 40 },
    )
    fc.assert(
      fc.property(points, fc.integer({ min: 0, max: 40 }), fc.nat(), (all, cut, seed) => {
        const shuffled = all.slice().sort((a, b) => ((a.step * 7919 + seed) % 101) - ((b.step * 7919 + seed) % 101))
        const once = addPoints(
          EMPTY_SERIES,
          all.slice().sort((a, b) => a.step - b.step),
        )
        const twice = addPoints(addPoints(EMPTY_SERIES, shuffled.slice(0, cut)), shuffled.slice(cut))
        expect(twice).toEqual(once)
        expect(once.steps).toEqual([...once.steps].sort((a, b) => a - b))
      }),
    )
  })

  it('R-84: appending leaves the earlier columns as they were', () => {
    const before = line(3, (s) => s)
    const copy = structuredClone(before)
    addPoints(before, [
      { step: 2, eval_loss: 1 },
      { step: 9, loss: 0 },
    ])
    expect(before).toEqual(copy)
  })

  it('UX-73: a new attempt that starts at step 3 leaves steps 1 and 2 of the old one', () => {
    expect(
      cutFrom(
        line(5, (s) => s),
        3,
      ).steps,
    ).toEqual([1, 2])
    expect(
      cutFrom(
        line(2, (s) => s),
        3,
      ).steps,
    ).toEqual([1, 2])
  })

  it('a loss that is not a number is a gap, not a point at zero', () => {
    const series = addPoints(EMPTY_SERIES, [
      { step: 1, loss: 2 },
      { step: 2, loss: Number.NaN },
    ])
    expect(series.columns.loss).toEqual([2, null])
    expect(latest(series, 'loss')).toEqual({ step: 1, value: 2 })
  })

  it('knows last, lowest and direction', () => {
    const falling = line(40, (s) => 1 / s)
    expect(latest(falling, 'loss')).toEqual({ step: 40, value: 1 / 40 })
    expect(
      lowest(
        line(5, (s) => (s - 3) ** 2),
        'loss',
      ),
    ).toEqual({ step: 3, value: 0 })
    expect(direction(falling, 'loss')).toBe('down')
    expect(
      direction(
        line(40, (s) => s),
        'loss',
      ),
    ).toBe('up')
    expect(
      direction(
        line(40, () => 0.5),
        'loss',
      ),
    ).toBe('level')
    expect(
      direction(
        line(3, (s) => s),
        'loss',
      ),
    ).toBeNull()
    expect(latest(falling, 'eval_loss')).toBeNull()
  })

  it('smoothing a constant gives the constant from the first value on', () => {
    for (const value of smooth([2, 2, null, 2, 2], 0.9)) if (value !== null) expect(value).toBeCloseTo(2, 12)
    expect(smooth([1, 2], 0)).toEqual([1, 2])
    // m = 0.5·0.5·1 + 0.5·3 = 1.75, corrected by 1 − 0.25
    expect(smooth([1, 3], 0.5)[1]).toBeCloseTo(1.75 / 0.75, 12)
  })

  it('UX-137: a thinned line keeps its extremes and its end', () => {
    const series = line(5000, (s) => (s === 1234 ? 99 : s === 4321 ? -99 : Math.sin(s)))
    const points = thin(series.steps, series.columns.loss ?? [], 190)
    expect(points.length).toBeLessThanOrEqual(191)
    expect(Math.max(...points.map((p) => p.value))).toBe(99)
    expect(Math.min(...points.map((p) => p.value))).toBe(-99)
    expect(points.at(-1)?.step).toBe(5000)
    expect(points.map((p) => p.step)).toEqual(points.map((p) => p.step).sort((a, b) => a - b))
  })
})
