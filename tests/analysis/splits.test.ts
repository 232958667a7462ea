import { describe, expect, test } from 'vitest'
import { type Random, seeded } from '../../analysis/random'
import type { CanonicalRow } from '../../analysis/rows'
import { quotas, splitRows } from '../../analysis/splits'

const text = (r: Random, length: number) => Array.from({ length }, () => `w${r.below(2000)}`).join(' ')
const ids = (rows: readonly CanonicalRow[]) => rows.map((r) => r.id)
const base = { validation: 20, test: 20, seed: 1, shuffle: true }

describe('SCI-80: whatever belongs together stays on one side', () => {
  test.each([1, 2, 3])('near duplicates never straddle the split, seed %i', (seed) => {
    const r = seeded(seed)
    const rows: CanonicalRow[] = Array.from({ length: 100 }, (_, i) => ({ id: `a${i}`, prompt: text(r, 20), completion: 'x' }))
    const twins = rows.map((row, i) => ({ ...row, id: `b${i}`, prompt: String(row.prompt).replace(/w\d+/, 'other') }))
    const parts = splitRows([...rows, ...twins], { ...base, seed, nearDuplicates: true })
    expect([parts.test.length, parts.validation.length, parts.groups]).toEqual([20, 20, 100])
    for (const part of [parts.train, parts.validation, parts.test])
      expect(
        ids(part)
          .filter((id) => id.startsWith('a'))
          .map((id) => id.replace('a', 'b')),
      ).toEqual(ids(part).filter((id) => id.startsWith('b')))
    const without = splitRows([...rows, ...twins], { ...base, seed })
    expect(without.groups).toBe(200)
  })

  test('one word makes a short question another one', () => {
    const rows = ['France', 'Spain', 'Italy'].map((c, i) => ({ id: String(i), prompt: `What is the capital of ${c}?`, completion: c }))
    expect(splitRows(rows, { ...base, validation: 0, test: 1, nearDuplicates: true }).groups).toBe(3)
  })
})

test('by time: everything held out is later than everything that trains, test latest', () => {
  const r = seeded(4)
  const days = r.shuffle(Array.from({ length: 60 }, (_, i) => i))
  const rows = days.map((day, i) => ({
    id: String(i),
    prompt: text(r, 5),
    completion: 'x',
    columns: { day: new Date(Date.UTC(2024, 0, 1 + day)).toISOString().slice(0, 10) },
  }))
  const { train, validation, test: held } = splitRows(rows, { ...base, validation: 6, test: 9, timeColumn: 'day' })
  const of = (part: readonly CanonicalRow[]) => part.map((row) => String((row.columns as { day: string }).day)).sort()
  expect([train.length, validation.length, held.length]).toEqual([45, 6, 9])
  expect((of(train).at(-1) as string) < (of(validation)[0] as string) && (of(validation).at(-1) as string) < (of(held)[0] as string)).toBe(
    true,
  )
})

test('by time a group that does not fit ends the part, so that nothing older is held out instead', () => {
  const rows = [1, 2, 3, 4, 5, 6].map((day) => ({
    id: String(day),
    prompt: `question ${day}`,
    completion: 'x',
    columns: { day, group: day >= 4 && day <= 5 ? 'g' : String(day) },
  }))
  const { test: held, train } = splitRows(rows, { ...base, validation: 0, test: 2, timeColumn: 'day', groupColumn: 'group' })
  expect([ids(held), ids(train)]).toEqual([['6'], ['1', '2', '3', '4', '5']])
})

describe('balanced', () => {
  test('every part gets its share of each answer, rare ones too', () => {
    const r = seeded(6)
    const label = (i: number) => (i % 20 === 0 ? 'rare' : i % 4 === 0 ? 'some' : 'most')
    const rows = Array.from({ length: 400 }, (_, i) => ({ id: String(i), prompt: text(r, 6), completion: label(i) }))
    for (const seed of [1, 2, 3]) {
      const parts = splitRows(rows, { ...base, seed, validation: 40, test: 80, stratify: 'answer' })
      const count = (part: readonly CanonicalRow[], name: string) => part.filter((row) => row.completion === name).length
      expect(
        ['most', 'some', 'rare'].map((name) => [count(parts.test, name), count(parts.validation, name), count(parts.train, name)]),
      ).toEqual([
        [60, 30, 210],
        [16, 8, 56],
        [4, 2, 14],
      ])
    }
  })

  test('shares are whole, sum up and are at most one away from exact', () => {
    expect(quotas([3, 3, 3], 4)).toEqual([2, 1, 1])
    expect(quotas([100, 1], 5)).toEqual([5, 0])
    expect(quotas([], 5)).toEqual([])
    expect(quotas([1, 1], 5)).toEqual([1, 1])
  })
})
