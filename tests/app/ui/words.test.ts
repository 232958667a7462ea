import { describe, expect, it } from 'vitest'
import { about, bytes, count, delta, duration, figure, left, middle, percent, plural, short, when } from '../../../app/ui/words'

describe('D-17, D-48: numbers as people read them', () => {
  it.each([
    [count(10344), '10,344'],
    [short(35_400_000), '35.4 M'],
    [short(134_515_008), '135 M'],
    [short(9999), '9,999'],
    [bytes(410_000), '410 kB'],
    [bytes(1_610_000_000), '1.6 GB'],
    [bytes(98_000_000), '98 MB'],
    [duration(0.2), '0.2 s'],
    [duration(9.96), '10 s'],
    [duration(59.6), '1 min 00 s'],
    [duration(124), '2 min 04 s'],
    [duration(3600 + 12 * 60), '1 h 12 min'],
    [about(118), 'about 2 min'],
    [about(43), 'about 45 s'],
    [about(5400), 'about 1.5 h'],
    [left(3), 'a moment left'],
    [left(45), 'about 45 s left'],
    [figure(0.0003), '3e-4'],
    [figure(0.01396), '0.014'],
    [figure(2.345), '2.35'],
    [figure(0), '0'],
    [figure(Number.NaN), 'not a number'],
    [delta(0.97), '+0.97'],
    [delta(-0.5), '\u22120.50'],
    [delta(0.001), '0.00'],
    [percent(0.263, 1), '26.3 %'],
    [middle('a-very-long-file-name-of-contracts.jsonl', 20).length, 20],
    [plural(1, 'row'), '1 row'],
    [plural(1200, 'row'), '1,200 rows'],
  ])('%s', (got, expected) => expect(got).toBe(expected))

  it('duration never says 60 seconds or 60 minutes', () => {
    for (let s = 0; s < 8000; s += 0.5) expect(duration(s)).not.toMatch(/\b60 (s|min)\b/)
  })

  it('the time of today, the day of this year, else the year', () => {
    const now = new Date(2026, 10, 23, 15, 0)
    expect(when(new Date(2026, 10, 23, 12, 4), now)).toBe('12:04')
    expect(when(new Date(2026, 9, 9), now)).toBe('9 Oct')
    expect(when(new Date(2025, 9, 9), now)).toBe('9 Oct 2025')
  })
})
