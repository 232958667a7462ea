import { describe, expect, test } from 'vitest'
import { bandKeys, signer } from '../../analysis/quality/minhash'
import { NEAR, nearDuplicates } from '../../analysis/quality/near-duplicates'
import { jaccard, shinglesOf, Vocabulary, withinOneWord, wordsOf } from '../../analysis/quality/words'
import { type Random, seeded } from '../../analysis/random'

const words = Array.from({ length: 3000 }, (_, i) => `w${i.toString(36)}`)
const text = (r: Random, length: number) => Array.from({ length }, () => r.pick(words)).join(' ')
const changed = (r: Random, of: string, edits: number) => {
  const list = of.split(' ')
  for (let k = 0; k < edits; k++) list[r.below(list.length)] = `x${r.below(1e6)}`
  return list.join(' ')
}
const similarity = (a: string, b: string, n = 3) => {
  const vocabulary = new Vocabulary()
  return jaccard(shinglesOf(vocabulary.encode(a), n), shinglesOf(vocabulary.encode(b), n))
}

describe('words', () => {
  test('SCI-78: case, width, punctuation and spaces do not make another text', () => {
    expect(wordsOf('  “Don’t pay € 5,00!”\n')).toEqual(wordsOf('dont PAY 5 00'))
    expect(wordsOf('ﬁnal Ａ')).toEqual(['final', 'a'])
    expect(wordsOf('契約は五年')).toHaveLength(5)
    expect(wordsOf('…?!')).toEqual([])
  })

  test('SCI-79: one changed word in 30 leaves 0.81 of the 3-word shingles and 0.68 of the 5-word ones; two leave 0.65 and 0.44', () => {
    const base = Array.from({ length: 30 }, (_, i) => `w${i}`)
    const with_ = (...at: number[]) => base.map((w, i) => (at.includes(i) ? `other${i}` : w)).join(' ')
    expect(similarity(with_(), with_(10), 3)).toBeCloseTo(25 / 31, 10)
    expect(similarity(with_(), with_(10), 5)).toBeCloseTo(21 / 31, 10)
    expect(similarity(with_(), with_(10, 20), 3)).toBeCloseTo(22 / 34, 10)
    expect(similarity(with_(), with_(10, 20), 5)).toBeCloseTo(16 / 36, 10)
  })

  test.each([
    ['a b c', 'a b c', true],
    ['a b c', 'a x c', true],
    ['a b c', 'a c', true],
    ['a c', 'a b c', true],
    ['a b c', 'c b a', false],
    ['a a', 'a', true],
    ['a b c d', 'a b', false],
    ['a b c d', 'b c d e', false],
  ])('one word makes “%s” into “%s”: %s', (a, b, is) => {
    const v = new Vocabulary()
    expect(withinOneWord(v.encode(a), v.encode(b))).toBe(is)
  })
})

test('SCI-78: 32 bands of 4 rows find a pair with the probability of the formula', () => {
  const sign = signer()
  const r = seeded(7)
  for (const [j, expected] of [
    [0.3, 1 - (1 - 0.3 ** 4) ** 32],
    [0.5, 0.87],
    [0.6, 0.988],
  ] as const) {
    let found = 0
    const pairs = 300
    const size = 60
    const shared = Math.round((2 * size * j) / (1 + j))
    for (let p = 0; p < pairs; p++) {
      const draw = (n: number) => Array.from({ length: n }, () => r.below(2 ** 32))
      const both = draw(shared)
      const [a, b] = [0, 1].map(() => sign(Uint32Array.from([...both, ...draw(size - shared)]).sort()))
      const keys = new Set(bandKeys(a as Uint32Array, 32))
      if (bandKeys(b as Uint32Array, 32).some((k) => keys.has(k))) found++
    }
    // Three standard errors of a share over 300 pairs.
    expect(Math.abs(found / pairs - expected)).toBeLessThan(3 * Math.sqrt((expected * (1 - expected)) / pairs) + 0.01)
  }
})

describe('SCI-87: planted duplicates', () => {
  test.each([
    [14, 11, 20_000],
    [25, 12, 20_000],
    [60, 13, 20_000],
    [25, 14, 0],
    [60, 15, 0],
  ])(
    '5 percent exact and 5 percent one-word edits in texts of %i words and more, seed %i, exact index below %i',
    (least, seed, exactBelow) => {
      const r = seeded(seed)
      const base = Array.from({ length: 600 }, () => text(r, least + r.below(40)))
      const exact = Array.from({ length: 30 }, () => r.below(base.length))
      const edited = Array.from({ length: 30 }, () => r.below(base.length))
      const list = [
        ...base,
        ...exact.map((i) => base[i]?.toUpperCase().replaceAll(' ', '  ') ?? ''),
        ...edited.map((i) => changed(r, base[i] ?? '', 1)),
      ]
      const { of, similarity, group } = nearDuplicates(list, { ...NEAR, exactBelow })
      for (const [k, i] of exact.entries()) expect([of[600 + k], similarity[600 + k]]).toEqual([i, 1])
      const hits = edited.filter((i, k) => group[630 + k] === i).length
      // Near the ends of bands MinHash may miss one (0.988 at J = 0.6).
      expect(hits / 30).toBeGreaterThanOrEqual(0.95)
      const flagged = [...of.slice(0, 600)].filter((j) => j !== -1).length
      expect(flagged / (60 + flagged)).toBeLessThanOrEqual(0.02)
    },
  )

  test('short texts by one word, shorter ones by nothing', () => {
    const { of } = nearDuplicates(['pay within thirty days', 'pay within sixty days', 'yes', 'no', 'yes', 'pay within sixty days now', ''])
    expect([...of]).toEqual([-1, 0, -1, -1, 2, 1, -1])
    expect([...nearDuplicates(['pay within thirty days', 'pay within sixty days'], { ...NEAR, shortEqual: true }).of]).toEqual([-1, -1])
  })

  test('sentences that all rows share do not make them alike, and cost little time', () => {
    const r = seeded(3)
    const frame = text(r, 60)
    const framed = Array.from({ length: 1000 }, () => `${text(r, 40)} ${frame}`)
    const plain = Array.from({ length: 1000 }, () => text(r, 100))
    expect([...nearDuplicates(framed).of].filter((j) => j !== -1)).toEqual([])
    const time = (rows: readonly string[]) => {
      const from = performance.now()
      nearDuplicates(rows)
      return performance.now() - from
    }
    // The best of three turns, as a ratio: comparing all pairs would take a hundred times as long.
    const turns = [1, 2, 3].map(() => [time(framed), time(plain)] as const)
    expect(Math.min(...turns.map(([a]) => a)) / Math.min(...turns.map(([, b]) => b))).toBeLessThan(8)
  })

  test('kept texts only: what repeats a dropped text but no kept one stays', () => {
    const r = seeded(5)
    const a = text(r, 30)
    const at = (of: string, k: number) => of.replace(/\S+/g, (w) => (k-- === 0 ? 'other' : w))
    const b = at(a, 8)
    const c = at(b, 20)
    expect([similarity(a, b), similarity(b, c), similarity(a, c)].map((s) => s > 0.75)).toEqual([true, true, false])
    const options = { ...NEAR, shortThreshold: 0.75 }
    expect([...nearDuplicates([a, b, c], options).of]).toEqual([-1, 0, 1])
    expect([...nearDuplicates([a, b, c], { ...options, leadersOnly: true }).of]).toEqual([-1, 0, -1])
    expect([...nearDuplicates([a, b, c], options).group]).toEqual([0, 0, 0])
  })
})
