/** Scores of a classifier over closed labels, as scikit-learn computes them (zero_division = 0). */

export type ClassScores = {
  accuracy: number
  /** Over all labels, absent ones as 0. */
  f1Macro: number
  /** For single labels the same as accuracy. */
  f1Micro: number
  /** By number of gold rows. */
  f1Weighted: number
  perClass: { label: string; precision: number; recall: number; f1: number; support: number }[]
  /** [gold][predicted], in the order of the labels. */
  confusion: number[][]
  matthews: number
  /** Mean recall over the labels that occur in gold; null when a predicted label never occurs there, as then it is not comparable. */
  balancedAccuracy: number | null
}

const ratio = (a: number, b: number) => (b === 0 ? 0 : a / b)

/** `gold` and `predicted` have one label a row, each out of `labels`. */
export function classify(labels: readonly string[], gold: readonly string[], predicted: readonly string[]): ClassScores {
  const index = new Map(labels.map((l, i) => [l, i]))
  const k = labels.length
  const confusion = labels.map(() => new Array<number>(k).fill(0))
  for (const [i, g] of gold.entries()) {
    const row = confusion[index.get(g) ?? -1]
    const column = index.get(predicted[i] as string)
    if (!row || column === undefined) throw new Error(`classify: row ${i + 1} holds a label outside ${labels.join(', ')}`)
    row[column] = (row[column] as number) + 1
  }
  const at = (g: number, p: number) => (confusion[g] as number[])[p] as number
  const rows = labels.map((_, g) => labels.reduce((sum, __, p) => sum + at(g, p), 0))
  const columns = labels.map((_, p) => labels.reduce((sum, __, g) => sum + at(g, p), 0))
  const n = gold.length
  const right = labels.reduce((sum, _, i) => sum + at(i, i), 0)
  const perClass = labels.map((label, i) => {
    const [support, claimed] = [rows[i] as number, columns[i] as number]
    return {
      label,
      precision: ratio(at(i, i), claimed),
      recall: ratio(at(i, i), support),
      f1: ratio(2 * at(i, i), support + claimed),
      support,
    }
  })
  const dot = rows.reduce((sum, r, i) => sum + r * (columns[i] as number), 0)
  const spread = (list: number[]) => n * n - list.reduce((sum, v) => sum + v * v, 0)
  const present = perClass.filter((c) => c.support > 0)
  return {
    accuracy: ratio(right, n),
    f1Macro: ratio(
      perClass.reduce((sum, c) => sum + c.f1, 0),
      k,
    ),
    f1Micro: ratio(right, n),
    f1Weighted: ratio(
      perClass.reduce((sum, c) => sum + c.f1 * c.support, 0),
      n,
    ),
    perClass,
    confusion,
    matthews: ratio(right * n - dot, Math.sqrt(spread(rows)) * Math.sqrt(spread(columns))),
    balancedAccuracy:
      present.length < k
        ? null
        : ratio(
            present.reduce((sum, c) => sum + c.recall, 0),
            present.length,
          ),
  }
}

/**
 * Expected calibration error over equal-width bins (lo, hi]: the gap between confidence and accuracy, weighted by the share of rows.
 * `probabilities[row][label]`; the first of equal maxima is the prediction.
 */
export function calibrationError(
  labels: readonly string[],
  gold: readonly string[],
  probabilities: readonly (readonly number[])[],
  bins: number,
): number {
  const sums = Array.from({ length: bins }, () => ({ rows: 0, right: 0, confidence: 0 }))
  for (const [i, row] of probabilities.entries()) {
    const best = row.reduce((b, p, j) => (p > (row[b] as number) ? j : b), 0)
    const confidence = row[best] as number
    // The edge as numpy's linspace gives it, so that a confidence on an edge falls as in the reference.
    let bin = Math.min(bins - 1, Math.max(0, Math.ceil(confidence * bins) - 1))
    while (bin > 0 && confidence <= bin / bins) bin--
    while (bin < bins - 1 && confidence > (bin + 1) / bins) bin++
    const sum = sums[bin] as (typeof sums)[number]
    sum.rows++
    sum.confidence += confidence
    if (labels[best] === gold[i]) sum.right++
  }
  return sums.reduce(
    (total, s) => total + (s.rows === 0 ? 0 : (s.rows / gold.length) * Math.abs(s.right / s.rows - s.confidence / s.rows)),
    0,
  )
}

/** Mean of −ln p of the gold label, in nats. Rows are made to sum to 1, and no probability counts as less than 1e-15: a sure mistake costs 34.5. */
export function logLoss(labels: readonly string[], gold: readonly string[], probabilities: readonly (readonly number[])[]): number {
  const index = new Map(labels.map((l, i) => [l, i]))
  const sum = gold.reduce((total, label, i) => {
    const row = probabilities[i] as readonly number[]
    const p = row[index.get(label) ?? -1]
    if (p === undefined) throw new Error(`logLoss: row ${i + 1} holds a label outside ${labels.join(', ')}`)
    return total - Math.log(Math.min(1, Math.max(1e-15, p / row.reduce((a, b) => a + b, 0))))
  }, 0)
  return ratio(sum, gold.length)
}
