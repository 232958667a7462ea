/** A small text classifier for judging labels (SCI-84): TF-IDF over one and two words, multinomial logistic regression. */
import { wordsOf } from '../quality/words'

/** A sparse row: feature numbers with their weights, of length 1. */
export type Features = { at: Int32Array; weight: Float64Array }

/** Words and pairs of words that occur in at least two texts, at most so many (the commonest). */
const MOST_FEATURES = 30_000

/** TF-IDF with idf = ln((1 + n) / (1 + df)) + 1 and rows of length 1, as scikit-learn's default. */
export function tfidf(texts: readonly string[]): { rows: Features[]; size: number } {
  const counted = texts.map((text) => {
    const words = wordsOf(text)
    const counts = new Map<string, number>()
    for (const [i, word] of words.entries()) {
      counts.set(word, (counts.get(word) ?? 0) + 1)
      if (i > 0) counts.set(`${words[i - 1]} ${word}`, (counts.get(`${words[i - 1]} ${word}`) ?? 0) + 1)
    }
    return counts
  })
  const df = new Map<string, number>()
  for (const counts of counted) for (const term of counts.keys()) df.set(term, (df.get(term) ?? 0) + 1)
  const terms = [...df]
    .filter(([, n]) => n >= 2)
    .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
    .slice(0, MOST_FEATURES)
  const index = new Map(terms.map(([term], i) => [term, i]))
  const idf = terms.map(([, n]) => Math.log((1 + texts.length) / (1 + n)) + 1)
  return {
    size: terms.length,
    rows: counted.map((counts) => {
      const known = [...counts].flatMap(([term, n]) => {
        const at = index.get(term)
        return at === undefined ? [] : [[at, n * (idf[at] as number)] as const]
      })
      const norm = Math.sqrt(known.reduce((sum, [, w]) => sum + w * w, 0)) || 1
      return { at: Int32Array.from(known, ([at]) => at), weight: Float64Array.from(known, ([, w]) => w / norm) }
    }),
  }
}

export type Classifier = { predict(row: Features): Float64Array }

/**
 * Minimises mean cross-entropy + ‖w‖² / (2·C·n) with C = 10, by Nesterov's accelerated gradient. Rows have length 1, so the loss has Lipschitz
 * constant ½ and a step of 2 is safe; the bias is one more feature of weight 1, hence the step of 1. Deterministic.
 */
export function trainClassifier(
  rows: readonly Features[],
  labels: Int32Array,
  which: readonly number[],
  classes: number,
  size: number,
  iterations = 80,
): Classifier {
  const weights = (size + 1) * classes
  let w = new Float64Array(weights)
  let look = new Float64Array(weights)
  const gradient = new Float64Array(weights)
  const p = new Float64Array(classes)
  const decay = 1 / (10 * which.length)
  let t = 1
  for (let iteration = 0; iteration < iterations; iteration++) {
    gradient.fill(0)
    for (const i of which) {
      const row = rows[i] as Features
      probabilities(row, look, classes, size, p)
      p[labels[i] as number] = (p[labels[i] as number] as number) - 1
      const add = (feature: number, x: number) => {
        const from = feature * classes
        for (let c = 0; c < classes; c++) gradient[from + c] = (gradient[from + c] as number) + x * (p[c] as number)
      }
      for (let k = 0; k < row.at.length; k++) add(row.at[k] as number, row.weight[k] as number)
      add(size, 1)
    }
    const next = new Float64Array(weights)
    for (let k = 0; k < weights; k++) next[k] = (look[k] as number) - ((gradient[k] as number) / which.length + decay * (look[k] as number))
    const after = (1 + Math.sqrt(1 + 4 * t * t)) / 2
    const momentum = (t - 1) / after
    const ahead = new Float64Array(weights)
    for (let k = 0; k < weights; k++) ahead[k] = (next[k] as number) + momentum * ((next[k] as number) - (w[k] as number))
    w = next
    look = ahead
    t = after
  }
  return { predict: (row) => probabilities(row, w, classes, size, new Float64Array(classes)) }
}

function probabilities({ at, weight }: Features, w: Float64Array, classes: number, size: number, out: Float64Array): Float64Array {
  const bias = size * classes
  for (let c = 0; c < classes; c++) out[c] = w[bias + c] as number
  for (let k = 0; k < at.length; k++) {
    const from = (at[k] as number) * classes
    const x = weight[k] as number
    for (let c = 0; c < classes; c++) out[c] = (out[c] as number) + x * (w[from + c] as number)
  }
  let top = Number.NEGATIVE_INFINITY
  for (const z of out) if (z > top) top = z
  let sum = 0
  for (let c = 0; c < classes; c++) {
    const e = Math.exp((out[c] as number) - top)
    out[c] = e
    sum += e
  }
  for (let c = 0; c < classes; c++) out[c] = (out[c] as number) / sum
  return out
}
