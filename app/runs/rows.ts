/** A scored row as the table needs it (outputs of `validate`), and the ways to look at many of them. Pure. */
import { fieldsOf, valueWords } from './scores'

export type ScoredRow = {
  id: string
  input: string
  expected: string
  before: string
  after: string
  correct: boolean
  beforeCorrect: boolean
  /** Fields whose value is wrong, if the answer is a JSON object. */
  wrong: readonly string[]
  loss: number | null
  /** The answers as fields; null where the expected answer is not a JSON object. */
  fields: readonly FieldOfRow[] | null
  /** After training the answer was not a JSON object although one was expected. */
  broken: boolean
}
export type FieldOfRow = { name: string; expected: string; before: string | null; after: string | null; right: boolean }

const text = (value: unknown): string =>
  typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value)

/** Reads one row of the artifact; columns that an older Thaw did not write are worked out or left empty. */
export function scoredRow(row: Record<string, unknown>, index: number): ScoredRow {
  const expected = text(row.expected)
  const before = text(row.before)
  const after = text(row.after)
  const correct = row.correct === true
  const want = fieldsOf(expected)
  const got = fieldsOf(after)
  const had = fieldsOf(before)
  const told = Array.isArray(row.wrong_fields) ? row.wrong_fields.filter((name): name is string => typeof name === 'string') : null
  const fields = want
    ? [...new Set([...Object.keys(want), ...Object.keys(got ?? {})])].map((name): FieldOfRow => {
        const value = got === null ? null : valueWords(got[name])
        const right = told ? !told.includes(name) && got !== null : value === valueWords(want[name])
        return {
          name,
          expected: name in want ? valueWords(want[name]) : 'not stated',
          after: value,
          before: had === null ? null : valueWords(had[name]),
          right: correct || right,
        }
      })
    : null
  return {
    id: text(row.id) || String(index + 1),
    input: text(row.input),
    expected,
    before,
    after,
    correct,
    beforeCorrect: row.before_correct === true,
    wrong: fields ? fields.filter((field) => !field.right).map((field) => field.name) : [],
    loss: typeof row.loss === 'number' ? row.loss : null,
    fields,
    broken: want !== null && got === null,
  }
}

export type RowFilter = 'all' | 'wrong' | 'right' | 'gained' | 'lost'

/** `gained`: wrong before training and right after; `lost`: the other way round. Every word of `search` must occur in the row. */
export function findRows(rows: readonly ScoredRow[], filter: RowFilter, search: string): ScoredRow[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean)
  return rows.filter((row) => {
    if (filter === 'wrong' && row.correct) return false
    if (filter === 'right' && !row.correct) return false
    if (filter === 'gained' && !(row.correct && !row.beforeCorrect)) return false
    if (filter === 'lost' && !(!row.correct && row.beforeCorrect)) return false
    if (words.length === 0) return true
    const hay = `${row.id} ${row.input} ${row.expected} ${row.after}`.toLowerCase()
    return words.every((word) => hay.includes(word))
  })
}

/** Names of the fields in the order in which the first rows have them: the columns of the table. */
export function fieldColumns(rows: readonly ScoredRow[]): string[] {
  const names = new Set<string>()
  for (const row of rows.slice(0, 200)) for (const field of row.fields ?? []) names.add(field.name)
  return [...names]
}

/** Whether the expected answers are words rather than sentences, so that their columns can leave the room to the input. */
export const areShortAnswers = (rows: readonly ScoredRow[]): boolean => rows.slice(0, 200).every((row) => row.expected.length <= 24)

/** Where values lie in the text, longest first so that a value inside another is not marked twice; for marking what was found (D-14). */
export function findValues(
  input: string,
  values: readonly { text: string; field: string }[],
): { start: number; end: number; field: string }[] {
  const hay = input.toLowerCase()
  const found: { start: number; end: number; field: string }[] = []
  for (const { text: value, field } of [...values].sort((a, b) => b.text.length - a.text.length)) {
    const needle = value.trim().toLowerCase()
    if (needle.length < 2) continue
    let at = hay.indexOf(needle)
    while (at !== -1) {
      const end = at + needle.length
      // A number inside a longer number or a word inside a longer word is not it.
      const whole = !/[\p{L}\p{N}]/u.test(hay[at - 1] ?? ' ') && !/[\p{L}\p{N}]/u.test(hay[end] ?? ' ')
      if (whole && found.every((other) => end <= other.start || at >= other.end)) {
        found.push({ start: at, end, field })
        break
      }
      at = hay.indexOf(needle, at + 1)
    }
  }
  return found.sort((a, b) => a.start - b.start)
}
