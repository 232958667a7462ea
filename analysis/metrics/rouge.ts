/** ROUGE-1, -2, -L and -Lsum as the package rouge-score computes them, without its optional stemmer. */

export type Rouge = { precision: number; recall: number; f1: number }

/** Runs of a–z and 0–9 after lower-casing: text in other scripts has no tokens. */
const tokensOf = (text: string): string[] => text.toLowerCase().match(/[a-z0-9]+/g) ?? []

const score = (hits: number, predicted: number, gold: number): Rouge => {
  const precision = predicted === 0 ? 0 : hits / predicted
  const recall = gold === 0 ? 0 : hits / gold
  return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall) }
}

function counted(items: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1)
  return counts
}

export function rougeN(prediction: string, reference: string, n: number): Rouge {
  const grams = (text: string) => {
    const t = tokensOf(text)
    return Array.from({ length: Math.max(0, t.length - n + 1) }, (_, i) => t.slice(i, i + n).join(' '))
  }
  const [p, g] = [grams(prediction), grams(reference)]
  const have = counted(p)
  let hits = 0
  for (const [gram, times] of counted(g)) hits += Math.min(times, have.get(gram) ?? 0)
  return score(hits, p.length, g.length)
}

/** Table of longest-common-subsequence lengths: [i][j] for the first i of a and j of b. */
function lcsTable(a: readonly string[], b: readonly string[]): Uint32Array[] {
  const rows = Array.from({ length: a.length + 1 }, () => new Uint32Array(b.length + 1))
  for (let i = 1; i <= a.length; i++) {
    const [row, above] = [rows[i] as Uint32Array, rows[i - 1] as Uint32Array]
    for (let j = 1; j <= b.length; j++)
      row[j] = a[i - 1] === b[j - 1] ? (above[j - 1] as number) + 1 : Math.max(above[j] as number, row[j - 1] as number)
  }
  return rows
}

export function rougeL(prediction: string, reference: string): Rouge {
  const [p, g] = [tokensOf(prediction), tokensOf(reference)]
  return score((lcsTable(g, p)[g.length] as Uint32Array)[p.length] as number, p.length, g.length)
}

/** Positions in `gold` of one longest common subsequence, chosen as the reference does. */
function lcsPositions(gold: readonly string[], predicted: readonly string[]): number[] {
  const table = lcsTable(gold, predicted)
  const at = (i: number, j: number) => (table[i] as Uint32Array)[j] as number
  const out: number[] = []
  let [i, j] = [gold.length, predicted.length]
  while (i > 0 && j > 0) {
    if (gold[i - 1] === predicted[j - 1]) {
      out.push(i - 1)
      i--
      j--
    } else if (at(i, j - 1) > at(i - 1, j)) j--
    else i--
  }
  return out
}

/** Sentences stand on lines of their own; the union of their subsequences counts, each token at most as often as it occurs. */
export function rougeLsum(prediction: string, reference: string): Rouge {
  const sentences = (text: string) =>
    text
      .split('\n')
      .filter((s) => s.length > 0)
      .map(tokensOf)
  const [p, g] = [sentences(prediction), sentences(reference)]
  const [ps, gs] = [p.flat(), g.flat()]
  if (ps.length === 0 || gs.length === 0) return score(0, ps.length, gs.length)
  const [leftP, leftG] = [counted(ps), counted(gs)]
  let hits = 0
  for (const sentence of g) {
    const union = new Set(p.flatMap((candidate) => lcsPositions(sentence, candidate)))
    for (const position of [...union].sort((a, b) => a - b)) {
      const token = sentence[position] as string
      const [a, b] = [leftP.get(token) ?? 0, leftG.get(token) ?? 0]
      if (a > 0 && b > 0) {
        hits++
        leftP.set(token, a - 1)
        leftG.set(token, b - 1)
      }
    }
  }
  return score(hits, ps.length, gs.length)
}
