/** Answers as bags of words: SQuAD 1.1's published normalisation and F1, CUAD's word-set Jaccard, character spans. */

const ARTICLES = /\b(a|an|the)\b/g
const PUNCTUATION = /[!-/:-@[-`{-~]/g

/** Lower case, without ASCII punctuation and articles, single spaces (SQuAD 1.1). */
export const normalizeAnswer = (text: string): string => words(text.toLowerCase().replace(PUNCTUATION, '').replace(ARTICLES, ' ')).join(' ')

// What Python calls white space: JavaScript's \s lacks U+001C–1F and U+0085 and has U+FEFF besides.
// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are what is meant
const SPACES = /[\t-\r\x1c-\x20\x85\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/
const words = (text: string): string[] => text.split(SPACES).filter((w) => w !== '')

export const exactMatch = (prediction: string, gold: string): number => Number(normalizeAnswer(prediction) === normalizeAnswer(gold))

/** Harmonic mean of precision and recall over the bag of words; 1 when both are empty. */
export function tokenF1(prediction: string, gold: string): number {
  const p = words(normalizeAnswer(prediction))
  const g = words(normalizeAnswer(gold))
  if (p.length === 0 || g.length === 0) return Number(p.length === g.length)
  const counts = new Map<string, number>()
  for (const w of g) counts.set(w, (counts.get(w) ?? 0) + 1)
  let same = 0
  for (const w of p) {
    const left = counts.get(w) ?? 0
    if (left > 0) {
      same++
      counts.set(w, left - 1)
    }
  }
  if (same === 0) return 0
  const precision = same / p.length
  const recall = same / g.length
  return (2 * precision * recall) / (precision + recall)
}

/** Best score over several right answers. */
export const bestOf = (score: (prediction: string, gold: string) => number, prediction: string, golds: readonly string[]): number =>
  golds.reduce((best, gold) => Math.max(best, score(prediction, gold)), 0)

/** Jaccard of lower-cased word sets as CUAD computes it: `.,;:` removed, `/` a space, empty strings kept. */
export function wordJaccard(a: string, b: string): number {
  const set = (text: string) =>
    new Set(
      text
        .replace(/[.,;:]/g, '')
        .replaceAll('/', ' ')
        .toLowerCase()
        .split(' '),
    )
  const [x, y] = [set(a), set(b)]
  const both = [...x].filter((w) => y.has(w)).length
  return both / (x.size + y.size - both)
}

/** Overlap of two sets of character ranges, each [start, end). Two empty sets agree. */
export function spanScores(
  predicted: readonly (readonly [number, number])[],
  gold: readonly (readonly [number, number])[],
): { jaccard: number; f1: number } {
  const set = (spans: readonly (readonly [number, number])[]) => {
    const out = new Set<number>()
    for (const [start, end] of spans) for (let i = start; i < end; i++) out.add(i)
    return out
  }
  const [p, g] = [set(predicted), set(gold)]
  if (p.size === 0 && g.size === 0) return { jaccard: 1, f1: 1 }
  let both = 0
  for (const i of p) if (g.has(i)) both++
  return { jaccard: both / (p.size + g.size - both), f1: (2 * both) / (p.size + g.size) }
}
