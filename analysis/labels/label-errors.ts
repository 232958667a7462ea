/**
 * Which labels are probably wrong (SCI-83): every row is judged by a classifier that never saw it. Written from Northcutt, Jiang and Chuang,
 * "Confident Learning" (2021).
 */
import { nearDuplicates } from '../quality/near-duplicates'
import { seeded } from '../random'
import { tfidf, trainClassifier } from './classifier'

export type Judged = {
  /** Label names; rows name them by index. */
  names: string[]
  labels: Int32Array
  /** Out-of-fold probability of each label, row by row. */
  probabilities: Float64Array[]
  accuracy: number
  majority: number
}

/**
 * Out-of-fold probabilities. Rows of one group, and rows that nearly repeat each other, are in one fold: a classifier that saw a row's twin
 * has seen its label.
 */
export async function judgeLabels(
  texts: readonly string[],
  given: readonly string[],
  options: { folds: number; seed: number; groups?: readonly (string | null)[] },
  pause: (fold: number) => Promise<void> = async () => {},
): Promise<Judged> {
  const names = [...new Set(given)].sort()
  const index = new Map(names.map((name, i) => [name, i]))
  const labels = Int32Array.from(given, (name) => index.get(name) as number)
  const { group } = nearDuplicates(texts)
  const units = new Map<string, number[]>()
  for (let i = 0; i < texts.length; i++) {
    const own = options.groups?.[i]
    const key = own === null || own === undefined ? `row ${group[i]}` : `group ${own}`
    const unit = units.get(key)
    if (unit) unit.push(i)
    else units.set(key, [i])
  }
  const fold = new Int32Array(texts.length)
  for (const [k, unit] of seeded(options.seed)
    .shuffle([...units.values()])
    .entries())
    for (const i of unit) fold[i] = k % options.folds
  const { rows, size } = tfidf(texts)
  const probabilities: Float64Array[] = new Array(texts.length)
  for (let f = 0; f < options.folds; f++) {
    await pause(f)
    const seen: number[] = []
    for (let i = 0; i < texts.length; i++) if (fold[i] !== f) seen.push(i)
    const classifier = trainClassifier(rows, labels, seen, names.length, size)
    for (let i = 0; i < texts.length; i++) if (fold[i] === f) probabilities[i] = classifier.predict(rows[i] as (typeof rows)[number])
  }
  const counts = names.map((_, c) => labels.reduce((n, l) => n + Number(l === c), 0))
  const right = probabilities.filter((p, i) => best(p) === labels[i]).length
  return { names, labels, probabilities, accuracy: right / texts.length, majority: Math.max(...counts) / texts.length }
}

const best = (p: ArrayLike<number>): number => {
  let top = 0
  for (let c = 1; c < p.length; c++) if ((p[c] as number) > (p[top] as number)) top = c
  return top
}

export type LabelSuspect = { row: number; given: string; suggested: string; confidence: number; suggestedConfidence: number }
export type LabelErrors = {
  /** False: the classifier is no better than always saying the commonest label, so it has nothing to say about single rows (SCI-86). */
  learnable: boolean
  /** Estimated number of wrong labels; it overshoots by the classifier's own errors. */
  estimated: number
  /** Rows whose given label is not the likeliest, the least likely first. */
  suspects: LabelSuspect[]
  /** Rows that pruning by noise rate picks, as indices. */
  pruned: number[]
}

/** t_j, C and Q as in SCI-83. */
export function labelErrors({ names, labels, probabilities, accuracy, majority }: Judged): LabelErrors {
  const n = labels.length
  const k = names.length
  // Two standard errors: chance alone beats the majority class half of the time.
  const learnable = k > 1 && accuracy > majority + 2 * Math.sqrt((majority * (1 - majority)) / n)
  if (!learnable) return { learnable, estimated: 0, suspects: [], pruned: [] }
  const counts = new Float64Array(k)
  const threshold = new Float64Array(k)
  for (let i = 0; i < n; i++) {
    const l = labels[i] as number
    counts[l] = (counts[l] as number) + 1
    threshold[l] = (threshold[l] as number) + (probabilities[i]?.[l] as number)
  }
  for (let c = 0; c < k; c++) threshold[c] = (threshold[c] as number) / (counts[c] as number)
  const confident = Array.from({ length: k }, () => new Float64Array(k))
  for (let i = 0; i < n; i++) {
    const p = probabilities[i] as Float64Array
    let top = -1
    for (let c = 0; c < k; c++)
      if ((p[c] as number) >= (threshold[c] as number) && (top < 0 || (p[c] as number) > (p[top] as number))) top = c
    const row = confident[labels[i] as number] as Float64Array
    if (top >= 0) row[top] = (row[top] as number) + 1
  }
  const pruned = new Set<number>()
  let estimated = 0
  for (let i = 0; i < k; i++) {
    const row = confident[i] as Float64Array
    const sum = row.reduce((a, b) => a + b, 0)
    if (sum === 0) continue
    const of = [...labels.keys()].filter((r) => labels[r] === i)
    for (let j = 0; j < k; j++) {
      if (i === j) continue
      const wrong = ((row[j] as number) / sum) * (counts[i] as number)
      estimated += wrong
      const margin = (r: number) => (probabilities[r]?.[j] as number) - (probabilities[r]?.[i] as number)
      for (const r of of
        .filter((r) => margin(r) > 0)
        .sort((a, b) => margin(b) - margin(a))
        .slice(0, Math.round(wrong)))
        pruned.add(r)
    }
  }
  const suspects = probabilities
    .map((p, row) => ({ row, given: labels[row] as number, suggested: best(p), p }))
    .filter((s) => s.given !== s.suggested)
    .map(({ row, given, suggested, p }) => ({
      row,
      given: names[given] as string,
      suggested: names[suggested] as string,
      confidence: p[given] as number,
      suggestedConfidence: p[suggested] as number,
    }))
    .sort((a, b) => a.confidence - b.confidence || a.row - b.row)
  return { learnable, estimated: Math.round(estimated), suspects, pruned: [...pruned].sort((a, b) => a - b) }
}

/** Area under the ROC curve: the chance that a wrong label has a lower score than a right one, ties half. */
export function auroc(scores: readonly number[], wrong: readonly boolean[]): number {
  const order = scores.map((s, i) => ({ s, wrong: wrong[i] as boolean })).sort((a, b) => a.s - b.s)
  let below = 0
  let sum = 0
  const bad = wrong.filter(Boolean).length
  for (let i = 0; i < order.length; ) {
    let j = i
    while (j < order.length && order[j]?.s === order[i]?.s) j++
    const tie = order.slice(i, j)
    const badHere = tie.filter((o) => o.wrong).length
    sum += (tie.length - badHere) * (below + badHere / 2)
    below += badHere
    i = j
  }
  const good = order.length - bad
  return bad === 0 || good === 0 ? 0.5 : sum / (bad * good)
}
