/** What a person decided about rows, applied to them (issue: corrections become a new version of the data). */
import type { CanonicalRow } from '../rows'

export type Decision = { row: string; action: 'keep' | 'drop' | 'correct'; answer?: string }
export type Reviewed = {
  rows: CanonicalRow[]
  dropped: CanonicalRow[]
  changes: { row: string; action: 'drop' | 'correct'; before: string; after: string }[]
  unknown: string[]
}

/** The row with another answer; everything else stays, the id too. */
export function withAnswer<T extends CanonicalRow>(row: T, answer: string): T {
  if (typeof row.completion === 'string') return { ...row, completion: answer }
  if (typeof row.text === 'string') return { ...row, text: answer }
  const turns = row.messages as { role: string; content: string }[]
  const last = turns.findLastIndex((m) => m.role === 'assistant')
  return { ...row, messages: turns.map((turn, i) => (i === last ? { ...turn, content: answer } : turn)) }
}

/** Applies decisions by row id; the last decision about a row counts. Ids that no row has are returned, so that they can be said. */
export function applyReview(
  rows: readonly CanonicalRow[],
  decisions: readonly Decision[],
  answerOf: (row: CanonicalRow) => string,
): Reviewed {
  const wanted = new Map(decisions.map((d) => [d.row, d]))
  const known = new Set(rows.map((row) => String(row.id)))
  const out: Reviewed = { rows: [], dropped: [], changes: [], unknown: [...wanted.keys()].filter((id) => !known.has(id)) }
  for (const row of rows) {
    const decision = wanted.get(String(row.id))
    if (decision?.action === 'drop') {
      out.dropped.push(row)
      out.changes.push({ row: row.id, action: 'drop', before: answerOf(row), after: '' })
    } else if (decision?.action === 'correct' && decision.answer !== undefined && decision.answer !== answerOf(row)) {
      const changed = withAnswer(row, decision.answer)
      out.rows.push(changed)
      out.changes.push({ row: row.id, action: 'correct', before: answerOf(row), after: decision.answer })
    } else out.rows.push(row)
  }
  return out
}
