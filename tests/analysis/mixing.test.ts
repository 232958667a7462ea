import { describe, expect, test } from 'vitest'
import { SWAP_TABLES, swapRow, swapText } from '../../analysis/mixing/counterfactuals'
import { mixRows, reshaped } from '../../analysis/mixing/replay'
import { seeded } from '../../analysis/random'
import type { CanonicalRow } from '../../analysis/rows'

const rows = (n: number, name: string): CanonicalRow[] =>
  Array.from({ length: n }, (_, i) => ({ id: `${name}${i}`, prompt: `p${i}`, completion: 'c' }))

describe('SCI-72: a replay ratio is a share of what trains, in every stretch', () => {
  test.each([
    [0.05, 400],
    [0.2, 400],
    [0.5, 100],
    [0.01, 1000],
  ])('ratio %d over %i rows of unlike length', (ratio, n) => {
    const r = seeded(3)
    const weights = { rows: Array.from({ length: n }, () => 5 + r.below(60)), replay: Array.from({ length: 200 }, () => 5 + r.below(60)) }
    const data = rows(n, 'd')
    const replay = rows(200, 'r')
    const mixed = mixRows(data, replay, ratio, 1, weights)
    expect(Math.abs(mixed.share - ratio)).toBeLessThan(0.005)
    expect(mixed.rows.filter((row) => !row.columns?.replay)).toEqual(data)
    expect(new Set(mixed.rows.map((row) => row.id)).size).toBe(mixed.rows.length)
    const weightOf = (row: CanonicalRow) =>
      (row.columns?.replay
        ? weights.replay[replay.findIndex((o) => row.id === `replay-${o.id}` || String(row.id).startsWith(`replay-${o.id}-`))]
        : weights.rows[data.indexOf(row)]) as number
    const quarter = Math.ceil(mixed.rows.length / 4)
    for (let q = 0; q < 4; q++) {
      const part = mixed.rows.slice(q * quarter, (q + 1) * quarter)
      const all = part.reduce((sum, row) => sum + weightOf(row), 0)
      const own = part.filter((row) => row.columns?.replay).reduce((sum, row) => sum + weightOf(row), 0)
      expect(Math.abs(own / all - ratio)).toBeLessThan(Math.max(0.02, 0.25 * ratio))
    }
  })

  test('few replay rows come again, and that is counted; the same seed gives the same rows', () => {
    const weights = { rows: new Array(100).fill(10), replay: [10, 10, 10] }
    const mixed = mixRows(rows(100, 'd'), rows(3, 'r'), 0.1, 7, weights)
    expect([mixed.added, mixed.repeated]).toEqual([11, 8])
    expect(mixRows(rows(100, 'd'), rows(3, 'r'), 0.1, 7, weights)).toEqual(mixed)
    expect(mixRows(rows(100, 'd'), rows(3, 'r'), 0, 7, weights).added).toBe(0)
    expect(mixRows(rows(10, 'd'), [], 0.1, 7, { rows: new Array(10).fill(1), replay: [] }).added).toBe(0)
  })

  test('replay rows take the shape of the data', () => {
    const text = { id: 't', text: 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen' }
    expect(reshaped(text, 'prompt_completion')).toEqual({
      id: 't',
      prompt: 'Continue this text:\none two three four five six seven eight nine ten eleven twelve',
      completion: 'thirteen fourteen',
    })
    expect(reshaped({ id: 'p', prompt: 'q', completion: 'a' }, 'messages')).toMatchObject({
      messages: [
        { role: 'user', content: 'q' },
        { role: 'assistant', content: 'a' },
      ],
    })
    expect(reshaped({ id: 's', text: 'too short' }, 'messages')).toBeNull()
    expect(reshaped(text, 'preference')).toBeNull()
  })
})

describe('SCI-107: swaps go both ways and hold together', () => {
  test.each([
    ['She said that her brother saw her.', 'He said that his sister saw him.'],
    ['The book is hers; HER name is Anna.', 'The book is his; HIS name is Paul.'],
    ['Give it to him and his mother.', 'Give it to her and her father.'],
    ['A German company in Berlin, ACME GmbH.', 'A French company in Paris, ACME SARL.'],
    ['He did it himself.', 'She did it herself.'],
  ])('%s ⇄ %s', (a, b) => {
    expect(swapText(a, SWAP_TABLES)).toMatchObject({ text: b, safe: true })
    expect(swapText(b, SWAP_TABLES)).toMatchObject({ text: a, safe: true })
  })

  test('SCI-110: swap(swap(x)) = x on 200 cases, and what would not come back is called unsafe', () => {
    const r = seeded(11)
    const parts = [
      'She',
      'he',
      'Anna',
      'Paul',
      'her book',
      'his letter',
      'saw him.',
      'gave it to her,',
      'is hers.',
      'Mary',
      'the German court',
      'in Madrid',
      'and',
      'Mr',
      'the woman',
      'himself',
      'walks',
      'ACME Ltd',
    ]
    let safe = 0
    for (let i = 0; i < 200; i++) {
      const text = Array.from({ length: 3 + r.below(8) }, () => r.pick(parts)).join(' ')
      const once = swapText(text, SWAP_TABLES)
      if (!once.safe) continue
      safe++
      expect(swapText(once.text, SWAP_TABLES).text).toBe(text)
    }
    expect(safe).toBeGreaterThan(150)
    expect(swapText('Sarah gave him books', ['pronouns']).safe).toBe(false)
  })

  test('words that only look like names, and real persons, are left alone', () => {
    expect(swapText('mark the turkey in the china shop', SWAP_TABLES).swaps).toBe(0)
    expect(swapRow({ id: 'a', prompt: 'Who was Marie Curie, and what did she find?', completion: 'Radium.' }, SWAP_TABLES)).toBe('unsafe')
    expect(swapRow({ id: 'a', prompt: 'What is the fee?', completion: 'EUR 5' }, SWAP_TABLES)).toBe('none')
  })

  test('SCI-109: nine nurses in ten are women; with the swapped rows it is half', () => {
    const r = seeded(9)
    const data = Array.from({ length: 500 }, (_, i) => {
      const she = r.next() < 0.9
      return { id: String(i), prompt: `The nurse says that ${she ? 'she' : 'he'} is tired.`, completion: she ? 'she' : 'he' }
    })
    const all = [
      ...data,
      ...data.flatMap((row) => {
        const out = swapRow(row, ['pronouns'])
        return typeof out === 'string' ? [] : [out.row]
      }),
    ]
    expect(all.length).toBe(1000)
    expect(data.filter((row) => row.completion === 'she').length / 500).toBeGreaterThan(0.8)
    expect(all.filter((row) => row.completion === 'she').length).toBe(500)
    expect(all.every((row) => String(row.prompt).includes(` ${row.completion} `))).toBe(true)
  })
})
