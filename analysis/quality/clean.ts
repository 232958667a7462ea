/**
 * Mending a data set: each fix by choice, counted, with the rows it touched. Rows that go come out beside those that stay, as they were, so
 * that every decision can be undone.
 */
import type { CanonicalRow, Message } from '../rows'
import { repeatsOf } from './check'
import { contradictions } from './contradictions'
import { type LeakOptions, leaksBetween } from './leakage'
import { emptyTargets, languageOutliers, lengthOutliers, templateTokens, truncatedTargets } from './outliers'
import { findPersonalData, withStandIns } from './personal-data'

export type CleanChoices = {
  leakage: 'drop' | 'keep'
  empty_target: 'drop' | 'keep'
  truncated_target: 'drop' | 'keep'
  template_token: 'drop' | 'keep'
  exact_duplicate: 'keep_first' | 'keep'
  near_duplicate: 'keep_first' | 'keep'
  contradiction: 'keep_majority' | 'drop' | 'keep'
  personal_data: 'replace' | 'drop' | 'keep'
  length: 'drop' | 'keep'
  language: 'drop' | 'keep'
}
export type Fix = keyof CleanChoices

export type Change = {
  fix: Fix
  /** Index in the rows that came in. */
  row: number
  action: 'removed' | 'changed'
  /** In words, without personal data. */
  detail: string
  /** Id of the row that made this one needless. */
  other: string | null
}
export type Cleaned = {
  kept: CanonicalRow[]
  /** As they came in, in their order. */
  removed: { row: CanonicalRow; fix: Fix; detail: string }[]
  changes: Change[]
  /** Rows touched, by fix; a row that goes is counted where it first went. */
  counts: Record<Fix, number>
}

/**
 * Fixes in the order in which they can hide each other: what leaks or is broken goes first, then contradictions, while repeats still
 * count as votes, then repeats, and personal data is replaced in what stays. `heldOut`: rows that a model is scored on; what repeats them goes from `rows`.
 */
export async function cleanRows(
  rows: readonly CanonicalRow[],
  heldOut: readonly CanonicalRow[],
  choices: CleanChoices,
  options: LeakOptions,
  pause: () => Promise<void> = async () => {},
): Promise<Cleaned> {
  const gone = new Map<number, { fix: Fix; detail: string }>()
  const changes: Change[] = []
  const remove = (fix: Fix, row: number, detail: string, other: string | null = null) => {
    if (gone.has(row)) return
    gone.set(row, { fix, detail })
    changes.push({ fix, row, action: 'removed', detail, other })
  }
  const left = () => rows.map((_, i) => i).filter((i) => !gone.has(i))
  /** Runs a check over what is left and maps its indices back. */
  const among = <T extends { row: number }>(check: (some: CanonicalRow[]) => T[]): T[] => {
    const at = left()
    return check(at.map((i) => rows[i] as CanonicalRow)).map((found) => ({ ...found, row: at[found.row] as number }))
  }
  const drop = (
    fix: Fix & ('empty_target' | 'truncated_target' | 'template_token' | 'length' | 'language'),
    check: (some: CanonicalRow[]) => { row: number; detail: string }[],
  ) => {
    if (choices[fix] === 'drop') for (const { row, detail } of among(check)) remove(fix, row, detail)
  }

  if (choices.leakage === 'drop' && heldOut.length > 0) {
    // Seen from the training side: which of these rows give a held-out one away. One held-out row may be given away by several.
    for (;;) {
      const at = left()
      const leaks = leaksBetween(
        heldOut,
        at.map((i) => rows[i] as CanonicalRow),
        options,
      )
      for (const { row, of, kind } of leaks)
        remove('leakage', at[of] as number, `gives away a held-out row (${kind.replaceAll('_', ' ')})`, String(heldOut[row]?.id))
      await pause()
      if (leaks.length === 0) break
    }
  }
  drop('empty_target', emptyTargets)
  drop('truncated_target', truncatedTargets)
  drop('template_token', templateTokens)
  await pause()
  if (choices.contradiction !== 'keep') {
    const at = left()
    for (const found of contradictions(at.map((i) => rows[i] as CanonicalRow))) {
      // A tie has no majority to keep: none of its answers can be trusted.
      const all = choices.contradiction === 'drop' || found.tie
      const first = rows[at[found.majority[0] ?? 0] as number] as CanonicalRow
      for (const k of all ? found.rows : found.minority)
        remove(
          'contradiction',
          at[k] as number,
          all
            ? `one of ${found.rows.length} rows that ask the same and answer differently`
            : `answered otherwise in ${found.majority.length} of ${found.rows.length} rows`,
          all ? null : String(first.id),
        )
    }
  }
  await pause()
  if (choices.exact_duplicate === 'keep_first' || choices.near_duplicate === 'keep_first') {
    const at = left()
    const near = choices.near_duplicate === 'keep_first'
    const { of, similarity } = repeatsOf(
      at.map((i) => rows[i] as CanonicalRow),
      { ...options, leadersOnly: near },
    )
    for (const [k, j] of [...of].entries()) {
      if (j < 0) continue
      const s = similarity[k] as number
      const first = rows[at[j] as number] as CanonicalRow
      if (s === 1 && choices.exact_duplicate === 'keep_first')
        remove('exact_duplicate', at[k] as number, 'the same words as an earlier row', String(first.id))
      else if (s < 1 && near)
        remove('near_duplicate', at[k] as number, `nearly an earlier row, similarity ${s.toFixed(2)}`, String(first.id))
    }
  }
  await pause()
  drop('length', lengthOutliers)
  drop('language', (some) => languageOutliers(some).odd)
  await pause()

  const numbers = new Map<string, string>()
  const kept: CanonicalRow[] = []
  const removed: Cleaned['removed'] = []
  for (const [i, row] of rows.entries()) {
    if (!gone.has(i) && choices.personal_data !== 'keep') {
      const { row: clean, kinds } = replaced(row, numbers)
      if (kinds.length > 0) {
        const what = [...new Set(kinds)].join(', ')
        if (choices.personal_data === 'drop') remove('personal_data', i, `holds ${what}`)
        else {
          changes.push({ fix: 'personal_data', row: i, action: 'changed', detail: `${what} replaced`, other: null })
          kept.push(clean)
          continue
        }
      }
    }
    const why = gone.get(i)
    if (why) removed.push({ row, ...why })
    else kept.push(row)
  }
  changes.sort((a, b) => a.row - b.row)
  const counts = Object.fromEntries(Object.keys(choices).map((fix) => [fix, changes.filter((c) => c.fix === fix).length])) as Record<
    Fix,
    number
  >
  return { kept, removed, changes, counts }
}

/** A row with stand-ins in place of personal data in everything that a model reads; its other columns are left alone. */
function replaced(row: CanonicalRow, numbers: Map<string, string>): { row: CanonicalRow; kinds: string[] } {
  const kinds: string[] = []
  const clean = (text: string): string => {
    if (findPersonalData(text).length === 0) return text
    const out = withStandIns(text, numbers)
    kinds.push(...out.finds.map((f) => f.kind))
    return out.text
  }
  const out: CanonicalRow = { ...row }
  for (const name of ['messages', 'prompt', 'completion', 'chosen', 'rejected', 'text']) {
    const value = row[name]
    if (typeof value === 'string') out[name] = clean(value)
    else if (Array.isArray(value))
      out[name] = (value as Message[]).map((turn) => (typeof turn?.content === 'string' ? { ...turn, content: clean(turn.content) } : turn))
  }
  return { row: out, kinds }
}
