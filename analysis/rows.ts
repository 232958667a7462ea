/** Rows inside Thaw: one JSON object a line, `{id, …shape of the format…, columns?: {…other columns of the source…}}`. */

export type Message = { role: string; content: string } & Record<string, unknown>
export type CanonicalRow = { id: string; columns?: Record<string, unknown> } & Record<string, unknown>

export const rowsToJsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

/** Rows as text to store, with what their handle says about them. */
export const packRows = (rows: readonly CanonicalRow[]): { text: string; rows: number; chars: { mean: number; max: number } } => ({
  text: rowsToJsonl(rows),
  rows: rows.length,
  chars: lengthsOf(rows),
})

/** Reads what `rowsToJsonl` wrote. */
export const parseJsonl = (text: string): CanonicalRow[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as CanonicalRow)

const messagesOf = (value: unknown): Message[] => (Array.isArray(value) ? (value as Message[]) : [])

/** What the model is asked, for people: the last user turn, or the prompt. Empty for raw text. */
export function questionOf(row: CanonicalRow): string {
  if (typeof row.prompt === 'string') return row.prompt
  const turns = messagesOf(row.messages ?? row.prompt)
  return turns.findLast((m) => m.role === 'user')?.content ?? ''
}

/** What the model should answer: the last assistant turn, or the completion. */
export function answerOf(row: CanonicalRow): string {
  if (typeof row.completion === 'string') return row.completion
  return messagesOf(row.messages).findLast((m) => m.role === 'assistant')?.content ?? (typeof row.text === 'string' ? row.text : '')
}

/** Everything before the answer, as one text: rows with the same are twins, whatever their answers. */
export function promptOf(row: CanonicalRow): string {
  if (Array.isArray(row.messages)) {
    const turns = messagesOf(row.messages)
    const last = turns.findLastIndex((m) => m.role === 'assistant')
    return turns
      .slice(0, last < 0 ? turns.length : last)
      .map((m) => `${m.role}\n${m.content}`)
      .join('\n')
  }
  if (typeof row.prompt === 'string') return row.prompt
  if (Array.isArray(row.prompt))
    return messagesOf(row.prompt)
      .map((m) => `${m.role}\n${m.content}`)
      .join('\n')
  if (typeof row.text === 'string') return row.text
  const { id: _, columns: __, ...rest } = row
  return JSON.stringify(rest)
}

/** Characters of a row that a model would read. */
export function lengthOf(row: CanonicalRow): number {
  let length = 0
  const add = (value: unknown): void => {
    if (typeof value === 'string') length += value.length
    else if (Array.isArray(value)) for (const item of value) add(item)
    else if (value !== null && typeof value === 'object') for (const [key, item] of Object.entries(value)) if (key !== 'role') add(item)
  }
  const { id: _, columns: __, ...shape } = row
  add(shape)
  return length
}

export function lengthsOf(rows: readonly CanonicalRow[]): { mean: number; max: number } {
  let sum = 0
  let max = 0
  for (const row of rows) {
    const n = lengthOf(row)
    sum += n
    if (n > max) max = n
  }
  return { mean: rows.length ? sum / rows.length : 0, max }
}
