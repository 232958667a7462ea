/** All checks of a data set that need no model, in one pass: what was found, in which rows, and how it would be mended. */
import type { CanonicalRow } from '../rows'
import { canonicalAnswer, contradictions, taskOf } from './contradictions'
import { type LeakOptions, leaksBetween } from './leakage'
import { type NearDuplicates, type NearOptions, nearDuplicates } from './near-duplicates'
import { emptyTargets, languageOutliers, lengthOutliers, templateTokens, textsOf, truncatedTargets } from './outliers'
import { findPersonalData, masked } from './personal-data'
import { contentOf, targetOf } from './words'

export const CHECKS = [
  'leakage',
  'contradiction',
  'empty_target',
  'truncated_target',
  'template_token',
  'exact_duplicate',
  'near_duplicate',
  'personal_data',
  'length',
  'language',
] as const
export type Check = (typeof CHECKS)[number]

/** What each finding does: makes a score worthless, hurts training, should not leave here, or is only worth a look. */
export const SEVERITY = {
  leakage: 'stops_score',
  contradiction: 'hurts_training',
  empty_target: 'hurts_training',
  truncated_target: 'hurts_training',
  template_token: 'hurts_training',
  exact_duplicate: 'hurts_training',
  near_duplicate: 'hurts_training',
  personal_data: 'private',
  length: 'look',
  language: 'look',
} as const satisfies Record<Check, string>

export const CHECK_TITLES: Record<Check, string> = {
  leakage: 'Leakage between splits',
  contradiction: 'Contradictions',
  empty_target: 'Empty answers',
  truncated_target: 'Answers that stop in the middle',
  template_token: 'Control tokens in the text',
  exact_duplicate: 'Exact duplicates',
  near_duplicate: 'Near duplicates',
  personal_data: 'Personal data',
  length: 'Unusual length',
  language: 'Another language',
}

export type Part = 'training' | 'validation' | 'test'
export type Finding = {
  check: Check
  part: Part
  /** Index within its part. */
  row: number
  /** The row it is about: repeated, contradicted, leaked from. */
  other: { part: Part; row: number } | null
  /** In words, without personal data. */
  detail: string
  similarity: number | null
}

export type CheckOptions = LeakOptions & { personalData: boolean; outliers: boolean }
export type CheckResult = {
  findings: Finding[]
  /** Rows with a finding, by check; a row counts once. */
  counts: Record<Check, number>
  /** Rows with at least one finding, all parts together. */
  rowsFound: number
  personalKinds: Record<string, number>
  language: string | null
  rows: Record<Part, number>
}

export type Parts = { training: readonly CanonicalRow[]; validation?: readonly CanonicalRow[]; test?: readonly CanonicalRow[] }

/** `pause` is awaited between checks, so that a long look does not block whatever else runs here. */
export async function checkRows(parts: Parts, options: CheckOptions, pause: () => Promise<void> = async () => {}): Promise<CheckResult> {
  const { training, validation = [], test = [] } = parts
  const findings: Finding[] = []
  const leaks = (part: Part, rows: readonly CanonicalRow[], from: Part, known: readonly CanonicalRow[]) => {
    if (rows.length === 0 || known.length === 0) return
    for (const { row, of, kind, similarity } of leaksBetween(rows, known, options))
      findings.push({
        check: 'leakage',
        part,
        row,
        other: { part: from, row: of },
        detail: LEAK_WORDS[kind](similarity, from),
        similarity: kind === 'group' ? null : similarity,
      })
  }
  leaks('validation', validation, 'training', training)
  await pause()
  leaks('test', test, 'training', training)
  leaks('test', test, 'validation', validation)
  await pause()

  findings.push(...duplicateFindings(training, options))
  await pause()
  for (const found of contradictions(training)) {
    const [first = 0] = found.majority
    for (const row of found.minority)
      findings.push({
        check: 'contradiction',
        part: 'training',
        row,
        other: { part: 'training', row: first },
        detail: found.tie
          ? `the same question has another answer; neither is given more often (${found.rows.length} rows)`
          : `the same question is answered otherwise in ${found.majority.length} of ${found.rows.length} rows`,
        similarity: null,
      })
  }
  await pause()

  const personalKinds: Record<string, number> = {}
  let language: string | null = null
  for (const part of ['training', 'validation', 'test'] as const) {
    const rows = parts[part] ?? []
    const odd = (check: Check, list: readonly { row: number; detail: string }[]) => {
      for (const { row, detail } of list) findings.push({ check, part, row, other: null, detail, similarity: null })
    }
    odd('empty_target', emptyTargets(rows))
    odd('truncated_target', truncatedTargets(rows))
    odd('template_token', templateTokens(rows))
    if (options.outliers) {
      odd('length', lengthOutliers(rows))
      const spoken = languageOutliers(rows)
      if (part === 'training') language = spoken.language
      odd('language', spoken.odd)
    }
    await pause()
    if (!options.personalData) continue
    for (const [row, value] of rows.entries())
      for (const { place, text } of textsOf(value))
        for (const find of findPersonalData(text)) {
          personalKinds[find.kind] = (personalKinds[find.kind] ?? 0) + 1
          findings.push({
            check: 'personal_data',
            part,
            row,
            other: null,
            detail: `${find.kind} ${find.hash}, ${place}, characters ${find.start + 1} to ${find.end}`,
            similarity: null,
          })
        }
    await pause()
  }

  const seen = new Set<string>()
  const perCheck = new Map<Check, Set<string>>(CHECKS.map((check) => [check, new Set()]))
  for (const { check, part, row } of findings) {
    seen.add(`${part} ${row}`)
    perCheck.get(check)?.add(`${part} ${row}`)
  }
  const order = new Map(CHECKS.map((check, i) => [check, i]))
  findings.sort((a, b) => (order.get(a.check) ?? 0) - (order.get(b.check) ?? 0) || a.part.localeCompare(b.part) || a.row - b.row)
  return {
    findings,
    counts: Object.fromEntries(CHECKS.map((check) => [check, perCheck.get(check)?.size ?? 0])) as Record<Check, number>,
    rowsFound: seen.size,
    personalKinds,
    language,
    rows: { training: training.length, validation: validation.length, test: test.length },
  }
}

const LEAK_WORDS = {
  same_prompt: (_: number, from: Part) => `the same question is in ${from}`,
  near_duplicate: (s: number, from: Part) => `nearly the same is in ${from}, similarity ${s.toFixed(2)}`,
  contained: (s: number, from: Part) => `${Math.round(100 * s)} % of it is in one row of ${from}`,
  group: (_: number, from: Part) => `rows of the same group are in ${from}`,
}

/**
 * Rows that repeat an earlier one, question and answer together. Where answers are labels or fields, a row with another answer is another
 * example, however alike the questions: at worst a contradiction, and a pair worth much where a word makes the difference.
 */
export function repeatsOf(rows: readonly CanonicalRow[], options: NearOptions): NearDuplicates {
  const answers = rows.map(targetOf)
  const texts = rows.map(contentOf)
  if (taskOf(answers) === 'text') return nearDuplicates(texts, options)
  const canonical = answers.map(canonicalAnswer)
  return nearDuplicates(texts, { ...options, alike: (i, j) => canonical[i] === canonical[j] })
}

/** Repeats within one set, as findings. */
function duplicateFindings(rows: readonly CanonicalRow[], options: NearOptions): Finding[] {
  const { of, similarity } = repeatsOf(rows, options)
  return [...of].flatMap((j, row): Finding[] => {
    if (j < 0) return []
    const s = similarity[row] as number
    const exact = s === 1
    return [
      {
        check: exact ? 'exact_duplicate' : 'near_duplicate',
        part: 'training',
        row,
        other: { part: 'training', row: j },
        detail: exact ? 'the same words as an earlier row' : `nearly an earlier row, similarity ${s.toFixed(2)}`,
        similarity: s,
      },
    ]
  })
}

/** Beginning of a row for a table: one line, personal data masked. */
export function excerpt(row: CanonicalRow, chars = 200): string {
  const text = masked(contentOf(row).slice(0, 4 * chars))
    .replace(/\s+/g, ' ')
    .trim()
  return text.length > chars ? `${text.slice(0, chars - 1)}…` : text
}
