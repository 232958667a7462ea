/** Scores of extractions, field by field: right, wrong, missed, invented, and what the source does not say (SCI-92…95). */
import { extractObject } from '../metrics/answers'
import { bootstrap, type Interval } from '../metrics/bootstrap'
import { tokenF1, wordJaccard } from '../metrics/text'
import { canonicalField, type FieldType, isAbsent, Source, typeOfValues } from './fields'

export type ExtractionRow = { source: string; gold: string; answer: string }
/** Gold against answer: absent or present, and if both present, right or wrong. */
export type Outcome = 'right' | 'wrong' | 'missed' | 'invented' | 'rightly_absent'
export type FieldResult = {
  name: string
  type: FieldType
  counts: Record<Outcome, number>
  precision: number
  recall: number
  f1: number
  /** Share of rows with exactly the same text, and with a value that means the same; absent and absent are the same. */
  exact: number
  normalised: number
  /** Mean over rows whose gold holds a value. */
  tokenF1: number
  /** Share of those whose words overlap by half or more (CUAD). */
  jaccard: number
  /** Values that the source does not hold, of all values given. */
  ungrounded: number
  given: number
}
export type ExtractionScore = {
  fields: FieldResult[]
  microF1: Interval
  macroF1: number
  /** Rows in which every field is right. */
  wholeRow: Interval
  /** Answers that are one JSON object; hold exactly the fields; and those read out of text around them. */
  jsonValid: number
  schemaValid: number
  repaired: number
  /** Ungrounded values over values given; values given for absent fields over absent fields. */
  ungroundedRate: number
  absentInvented: number
  rows: {
    right: boolean
    outcomes: Record<string, Outcome>
    ungrounded: string[]
    answer: Record<string, unknown> | null
    gold: Record<string, unknown>
  }[]
}

const parse = (text: string): Record<string, unknown> => extractObject(text)?.value ?? {}
const textOf = (value: unknown): string => (isAbsent(value) ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value))
const ratio = (a: number, b: number, empty: number): number => (b === 0 ? empty : a / b)
const f1Of = (tp: number, fp: number, fn: number): number => ratio(2 * tp, 2 * tp + fp + fn, 1)

/** `types` overrides what the gold values look like. Every row's gold must be a JSON object; fields are all that occur in any. */
export function scoreExtraction(
  rows: readonly ExtractionRow[],
  types: Readonly<Record<string, FieldType>> = {},
  resamples = 2000,
): ExtractionScore {
  const golds = rows.map((row) => parse(row.gold))
  const names = [...new Set(golds.flatMap((gold) => Object.keys(gold)))]
  const typed = new Map(names.map((name) => [name, types[name] ?? typeOfValues(golds.map((g) => g[name]))]))
  const sums = new Map(
    names.map((name) => [
      name,
      {
        counts: { right: 0, wrong: 0, missed: 0, invented: 0, rightly_absent: 0 } as Record<Outcome, number>,
        exact: 0,
        tokenF1: 0,
        overlapping: 0,
        ungrounded: 0,
        given: 0,
      },
    ]),
  )
  let [strict, schema, repaired] = [0, 0, 0]
  const scored = rows.map((row, i) => {
    const gold = golds[i] as Record<string, unknown>
    const found = extractObject(row.answer)
    const answer = found?.value ?? null
    if (found?.strict) strict++
    else if (found) repaired++
    if (answer && Object.keys(answer).length === Object.keys(gold).length && Object.keys(gold).every((key) => key in answer)) schema++
    const source = new Source(row.source)
    const outcomes: Record<string, Outcome> = {}
    const ungrounded: string[] = []
    for (const name of names) {
      const sum = sums.get(name) as NonNullable<ReturnType<typeof sums.get>>
      const type = typed.get(name) as FieldType
      const [want, got] = [canonicalField(type, gold[name]), canonicalField(type, answer?.[name])]
      const outcome: Outcome =
        want === '' ? (got === '' ? 'rightly_absent' : 'invented') : got === '' ? 'missed' : want === got ? 'right' : 'wrong'
      outcomes[name] = outcome
      sum.counts[outcome]++
      if (textOf(gold[name]) === textOf(answer?.[name])) sum.exact++
      if (want !== '') {
        const overlap = got === '' ? 0 : wordJaccard(textOf(answer?.[name]), textOf(gold[name]))
        sum.tokenF1 += tokenF1(textOf(answer?.[name]), textOf(gold[name]))
        if (overlap >= 0.5) sum.overlapping++
      }
      if (got !== '') {
        sum.given++
        if (!source.holds(type, answer?.[name])) {
          sum.ungrounded++
          ungrounded.push(name)
        }
      }
    }
    // A field nobody asked for is an invention, unless it is null.
    const extra = Object.keys(answer ?? {}).filter((key) => !typed.has(key) && !isAbsent(answer?.[key]))
    const right =
      answer !== null && extra.length === 0 && names.every((name) => ['right', 'rightly_absent'].includes(outcomes[name] as string))
    return { right, outcomes, ungrounded, answer, gold }
  })
  const n = Math.max(1, rows.length)
  const fields = names.map((name): FieldResult => {
    const { counts, ...sum } = sums.get(name) as NonNullable<ReturnType<typeof sums.get>>
    const [tp, fp, fn] = [counts.right, counts.wrong + counts.invented, counts.wrong + counts.missed]
    const present = counts.right + counts.wrong + counts.missed
    return {
      name,
      type: typed.get(name) as FieldType,
      counts,
      precision: ratio(tp, tp + fp, 1),
      recall: ratio(tp, tp + fn, 1),
      f1: f1Of(tp, fp, fn),
      exact: sum.exact / n,
      normalised: (counts.right + counts.rightly_absent) / n,
      tokenF1: ratio(sum.tokenF1, present, 1),
      jaccard: ratio(sum.overlapping, present, 1),
      ungrounded: sum.ungrounded,
      given: sum.given,
    }
  })
  const total = (pick: (f: FieldResult) => number) => fields.reduce((sum, f) => sum + pick(f), 0)
  return {
    fields,
    microF1: microInterval(
      scored.map((row) => countsOf(row.outcomes)),
      resamples,
    ),
    macroF1: ratio(
      total((f) => f.f1),
      fields.length,
      1,
    ),
    wholeRow: bootstrap(
      scored.map((row) => Number(row.right)),
      { resamples },
    ),
    jsonValid: strict / n,
    schemaValid: schema / n,
    repaired: repaired / n,
    ungroundedRate: ratio(
      total((f) => f.ungrounded),
      total((f) => f.given),
      0,
    ),
    absentInvented: ratio(
      total((f) => f.counts.invented),
      total((f) => f.counts.invented + f.counts.rightly_absent),
      0,
    ),
    rows: scored,
  }
}

function countsOf(outcomes: Record<string, Outcome>): { tp: number; fp: number; fn: number } {
  const all = Object.values(outcomes)
  const count = (...which: Outcome[]) => all.filter((o) => which.includes(o)).length
  return { tp: count('right'), fp: count('wrong', 'invented'), fn: count('wrong', 'missed') }
}

/** Micro F1 and its interval over documents (SCI-93): a linearised ratio of sums. */
function microInterval(counts: readonly { tp: number; fp: number; fn: number }[], resamples: number): Interval {
  const top = counts.reduce((s, c) => s + 2 * c.tp, 0)
  const bottom = counts.reduce((s, c) => s + 2 * c.tp + c.fp + c.fn, 0)
  if (bottom === 0) return { mean: 1, low: 1, high: 1, standardError: 0 }
  const f1 = top / bottom
  const mean = bottom / counts.length
  const spread = bootstrap(
    counts.map((c) => (2 * c.tp - f1 * (2 * c.tp + c.fp + c.fn)) / mean),
    { resamples },
  )
  return { mean: f1, low: Math.max(0, f1 + spread.low), high: Math.min(1, f1 + spread.high), standardError: spread.standardError }
}
