/** BLEU and chrF as sacrebleu computes them: 13a tokenizer, exponential smoothing; chrF with β = 2, order 6, chrF++ with words to order 2. */

export type Bleu = { bleu: number; precisions: number[]; brevity: number; predictedLength: number; referenceLength: number }
export type BleuOptions = {
  lowercase?: boolean
  tokenize?: '13a' | 'none' /** Only orders that the text is long enough for; usual for single sentences. */
  effectiveOrder?: boolean
}

const MAX_ORDER = 4

/** mteval-v13a: entities, then punctuation split off, full stops and commas only where no digit stands on that side. */
export function tokenize13a(text: string): string {
  let t = text.replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  if (t.includes('&')) t = t.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&lt;', '<').replaceAll('&gt;', '>')
  t = ` ${t} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ')
  return t.trim().split(/\s+/).join(' ')
}

const grams = (tokens: readonly string[], n: number): Map<string, number> => {
  const counts = new Map<string, number>()
  for (let i = 0; i + n <= tokens.length; i++) {
    const gram = tokens.slice(i, i + n).join('\u0001')
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  return counts
}

/** Corpus BLEU over pooled counts. `references[i]` are all references of prediction i. */
export function bleu(predictions: readonly string[], references: readonly (readonly string[])[], options: BleuOptions = {}): Bleu {
  const words = (text: string) => {
    const t = options.lowercase ? text.toLowerCase() : text
    const done = options.tokenize === 'none' ? t.trim() : tokenize13a(t.trimEnd())
    return done === '' ? [] : done.split(/\s+/)
  }
  const correct = new Array<number>(MAX_ORDER).fill(0)
  const total = new Array<number>(MAX_ORDER).fill(0)
  let predictedLength = 0
  let referenceLength = 0
  for (const [i, prediction] of predictions.entries()) {
    const p = words(prediction)
    const refs = (references[i] as readonly string[]).map(words)
    predictedLength += p.length
    // The closest reference length, the shorter of two equally close ones.
    referenceLength += refs
      .map((r) => r.length)
      .reduce((best, n) =>
        Math.abs(n - p.length) < Math.abs(best - p.length) || (Math.abs(n - p.length) === Math.abs(best - p.length) && n < best) ? n : best,
      )
    for (let n = 1; n <= MAX_ORDER; n++) {
      const most = new Map<string, number>()
      for (const r of refs) for (const [gram, times] of grams(r, n)) most.set(gram, Math.max(times, most.get(gram) ?? 0))
      for (const [gram, times] of grams(p, n)) {
        total[n - 1] = (total[n - 1] as number) + times
        correct[n - 1] = (correct[n - 1] as number) + Math.min(times, most.get(gram) ?? 0)
      }
    }
  }
  const precisions = new Array<number>(MAX_ORDER).fill(0)
  const brevity = predictedLength < referenceLength ? (predictedLength > 0 ? Math.exp(1 - referenceLength / predictedLength) : 0) : 1
  const result = (value: number): Bleu => ({ bleu: value, precisions, brevity, predictedLength, referenceLength })
  if (!correct.some((c) => c > 0)) return result(0)
  let smooth = 1
  let order = MAX_ORDER
  for (let n = 1; n <= MAX_ORDER; n++) {
    const [c, t] = [correct[n - 1] as number, total[n - 1] as number]
    if (t === 0) break
    if (options.effectiveOrder) order = n
    if (c === 0) {
      smooth *= 2
      precisions[n - 1] = 100 / (smooth * t)
    } else precisions[n - 1] = (100 * c) / t
  }
  const used = precisions.slice(0, order)
  if (used.some((p) => p === 0)) return result(0)
  return result(brevity * Math.exp(used.reduce((sum, p) => sum + Math.log(p), 0) / order))
}

const PUNCTUATION = new Set('!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~')
const CHAR_ORDER = 6

/** Words of chrF++: one punctuation mark at an end is a word of its own. */
function chrfWords(text: string): string[] {
  return text
    .split(/\s+/)
    .filter((w) => w !== '')
    .flatMap((w) => {
      const letters = [...w]
      if (letters.length === 1) return [w]
      const [first, last] = [letters[0] as string, letters.at(-1) as string]
      if (PUNCTUATION.has(last)) return [letters.slice(0, -1).join(''), last]
      if (PUNCTUATION.has(first)) return [first, letters.slice(1).join('')]
      return [w]
    })
}

/** Per order: n-grams of the prediction, of the reference, and in both. */
function chrfCounts(prediction: string, reference: string, wordOrder: number): [number, number, number][] {
  const letters = (text: string) => [...text.replace(/\s+/g, '')]
  const orders: [readonly string[], readonly string[], number][] = []
  const [pl, rl] = [letters(prediction), letters(reference)]
  for (let n = 1; n <= CHAR_ORDER; n++) orders.push([pl, rl, n])
  const [pw, rw] = [chrfWords(prediction), chrfWords(reference)]
  for (let n = 1; n <= wordOrder; n++) orders.push([pw, rw, n])
  return orders.map(([p, r, n]) => {
    const [a, b] = [grams(p, n), grams(r, n)]
    let both = 0
    for (const [gram, times] of a) both += Math.min(times, b.get(gram) ?? 0)
    // A prediction without any reference n-gram of this order counts as having none either (sacrebleu's effective order).
    return [b.size > 0 ? Math.max(0, p.length - n + 1) : 0, Math.max(0, r.length - n + 1), both]
  })
}

function chrfScore(counts: readonly (readonly [number, number, number])[]): number {
  const factor = 4
  let [precision, recall, orders] = [0, 0, 0]
  for (const [p, r, both] of counts) {
    if (p > 0 && r > 0) {
      precision += both / p
      recall += both / r
      orders++
    }
  }
  if (orders === 0) return 0
  precision /= orders
  recall /= orders
  return precision + recall === 0 ? 0 : (100 * (1 + factor) * precision * recall) / (factor * precision + recall)
}

/** chrF (wordOrder 0) or chrF++ (2) over pooled counts; of several references the best one of each prediction counts. */
export function chrf(predictions: readonly string[], references: readonly (readonly string[])[], wordOrder = 0): number {
  const sums: [number, number, number][] = Array.from({ length: CHAR_ORDER + wordOrder }, () => [0, 0, 0])
  for (const [i, prediction] of predictions.entries()) {
    let best: [number, number, number][] = []
    let bestScore = -1
    for (const reference of references[i] as readonly string[]) {
      const counts = chrfCounts(prediction, reference, wordOrder)
      const value = chrfScore(counts)
      if (value > bestScore) [best, bestScore] = [counts, value]
    }
    for (const [n, [p, r, both]] of best.entries()) {
      const sum = sums[n] as [number, number, number]
      sum[0] += p
      sum[1] += r
      sum[2] += both
    }
  }
  return chrfScore(sums)
}
