/**
 * From the flat metrics of a validate node to the table that people compare (SCI-4, D-38): each score after training, before it, the
 * difference, and where it is a share of rows, how many rows that is and between which values the true share lies. Pure.
 */
import type { Metrics } from '../../nodes/_kit/ports'

export type Score = {
  name: string
  title: string
  /** JSON field the score belongs to; null for the whole row. */
  field: string | null
  after: number | null
  before: number | null
  /** Lower is better for losses. */
  better: 'higher' | 'lower'
  /** Rows behind a share, for "58 of 60"; null for means. */
  rows: number | null
  interval: [number, number] | null
}

const TITLES: Record<string, string> = {
  exact_match: 'Exact match, whole answer',
  token_f1: 'Token F1',
  json_valid: 'Valid JSON',
  schema_valid: 'Expected fields present',
  field_f1_micro: 'Field F1, all fields',
  field_f1_macro: 'Field F1, mean of fields',
  absent_invented: 'Invented where absent',
  eval_loss: 'Loss',
  perplexity: 'Perplexity',
}
const ORDER = Object.keys(TITLES)
const LOWER = new Set(['eval_loss', 'perplexity', 'absent_invented'])
/** Shares of all rows: each row counts as right or wrong. */
const SHARES = new Set(['exact_match', 'json_valid', 'schema_valid'])

/**
 * Wilson's 95 % interval of k right out of n: (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n), z = 1.96.
 * Holds near 0 and 1, where the textbook interval has no width.
 */
export function wilson(k: number, n: number): [number, number] {
  if (n <= 0) return [0, 1]
  const z = 1.959964
  const p = k / n
  const middle = p + (z * z) / (2 * n)
  const half = z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))
  const scale = 1 + (z * z) / n
  return [Math.max(0, (middle - half) / scale), Math.min(1, (middle + half) / scale)]
}

/** All scores of one validate node, whole answer first, then its fields, then the rest. */
export function scoresOf(metrics: Metrics): Score[] {
  const rows = metrics.rows ?? null
  const scores: Score[] = []
  for (const [name, value] of Object.entries(metrics)) {
    if (name.startsWith('base_') || name === 'rows' || name.includes('_gain')) continue
    const field = /^field_(.+)_(exact_match|f1)$/.exec(name)
    // F1 per field says nothing beside its exact match but for long texts; it stays in the metrics file.
    if (field && field[2] === 'f1' && `field_${field[1]}_exact_match` in metrics) continue
    const known = field ? null : TITLES[name]
    const share = SHARES.has(name) || field?.[2] === 'exact_match'
    scores.push({
      name,
      title: field ? (field[1] ?? name) : (known ?? name.replaceAll('_', ' ')),
      field: field ? (field[1] ?? null) : null,
      after: value,
      before: metrics[`base_${name}`] ?? null,
      better: LOWER.has(name) ? 'lower' : 'higher',
      rows: share ? rows : null,
      interval: share && rows ? wilson(Math.round(value * rows), rows) : null,
    })
  }
  const rank = (score: Score) =>
    score.name === 'exact_match' ? -2 : score.field ? -1 : ORDER.includes(score.name) ? ORDER.indexOf(score.name) : ORDER.length
  return scores.sort((a, b) => rank(a) - rank(b))
}

/** The gain that validate measured over the same rows, with its interval; null where it did not. */
export function gainOf(metrics: Metrics): { mean: number; low: number; high: number; seen: boolean } | null {
  const { exact_match_gain: mean, exact_match_gain_low: low, exact_match_gain_high: high } = metrics
  if (mean === undefined || low === undefined || high === undefined) return null
  return { mean, low, high, seen: low > 0 || high < 0 }
}

/** Whether outputs of a node are those of a validation: flat numbers with a loss or an exact match. */
export function metricsIn(outputs: Readonly<Record<string, unknown>> | null): Metrics | null {
  const value = outputs?.metrics
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null
  const entries = Object.entries(value as Record<string, unknown>)
  return entries.length > 0 && entries.every(([, v]) => typeof v === 'number') ? (value as Metrics) : null
}

/** One answer as fields, if it is a JSON object; null if it is not one. */
export function fieldsOf(answer: unknown): Record<string, unknown> | null {
  if (answer !== null && typeof answer === 'object' && !Array.isArray(answer)) return answer as Record<string, unknown>
  if (typeof answer !== 'string') return null
  const text = answer.trim()
  if (!text.startsWith('{')) return null
  try {
    const value: unknown = JSON.parse(text)
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

export const valueWords = (value: unknown): string =>
  value === null || value === undefined || value === '' ? 'not stated' : typeof value === 'string' ? value : JSON.stringify(value)
