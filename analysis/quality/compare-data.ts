/**
 * Two sets of rows compared before anything is computed with them: columns and their types, how many rows, which labels, how long, and
 * which rows are the same. Each set is read once and only its outline is kept, so that neither has to fit into memory twice.
 */
import { contentId } from '../hash'

export type ColumnType = 'text' | 'number' | 'boolean' | 'object' | 'list' | 'empty' | 'mixed'
type Column = {
  type: ColumnType
  filled: number
  /** Value → rows; null once it is clear that they are no labels. */
  values: Map<string, number> | null
  /** Field of an answer in JSON → rows that have it. */
  fields: Map<string, number>
}

export type DataOutline = {
  rows: number
  columns: Map<string, Column>
  /** Characters of each row, as text. */
  lengths: number[]
  /** Digest of each row's content → how often it occurs. */
  contents: Map<string, number>
  first: Record<string, unknown>[]
}

/** A column with more different values than this, or longer ones, holds no labels. */
const MOST_LABELS = 60
const LABEL_CHARS = 60
const FIRST_ROWS = 3
const CELL_CHARS = 300

const typeOf = (value: unknown): ColumnType =>
  value === null || value === undefined || value === ''
    ? 'empty'
    : Array.isArray(value)
      ? 'list'
      : typeof value === 'string'
        ? 'text'
        : typeof value === 'number'
          ? 'number'
          : typeof value === 'boolean'
            ? 'boolean'
            : 'object'

/** @param ignored columns that are no content, such as the id that Thaw gives a row. */
export function outline(rows: Iterable<Record<string, unknown>>, ignored: readonly string[] = []): DataOutline {
  const out: DataOutline = { rows: 0, columns: new Map(), lengths: [], contents: new Map(), first: [] }
  for (const row of rows) {
    const cells = Object.entries(row).filter(([name, value]) => !ignored.includes(name) && value !== undefined)
    out.rows += 1
    let length = 0
    for (const [name, value] of cells) {
      const type = typeOf(value)
      const text = type === 'text' ? (value as string) : type === 'empty' ? '' : JSON.stringify(value)
      length += text.length
      const column = out.columns.get(name) ?? {
        type: 'empty' as ColumnType,
        filled: 0,
        values: new Map<string, number>(),
        fields: new Map<string, number>(),
      }
      out.columns.set(name, column)
      if (type === 'empty') continue
      column.filled += 1
      column.type = column.type === 'empty' || column.type === type ? type : 'mixed'
      // An answer in JSON is many labels in one: its field names are what can be new.
      for (const field of fieldsIn(value)) column.fields.set(field, (column.fields.get(field) ?? 0) + 1)
      if (!column.values) continue
      if (type === 'object' || type === 'list' || text.length > LABEL_CHARS) column.values = null
      else {
        column.values.set(text, (column.values.get(text) ?? 0) + 1)
        if (column.values.size > MOST_LABELS) column.values = null
      }
    }
    out.lengths.push(length)
    const digest = contentId(Object.fromEntries(cells))
    out.contents.set(digest, (out.contents.get(digest) ?? 0) + 1)
    if (out.first.length < FIRST_ROWS) out.first.push(Object.fromEntries(cells.map(([name, value]) => [name, shorten(value)])))
  }
  out.lengths.sort((a, b) => a - b)
  return out
}

function fieldsIn(value: unknown): string[] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.keys(value)
  if (typeof value !== 'string' || !value.startsWith('{')) return []
  try {
    const parsed: unknown = JSON.parse(value)
    return typeof parsed === 'object' && parsed !== null ? Object.keys(parsed) : []
  } catch {
    return []
  }
}

const shorten = (value: unknown): unknown => {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  return text.length <= CELL_CHARS ? value : `${text.slice(0, CELL_CHARS)}…`
}

export type Lengths = { median: number; p95: number; longest: number }
export type ColumnChange = {
  name: string
  /** null: not there. */
  earlier: ColumnType | null
  later: ColumnType | null
  /** Share of rows that have a value. */
  earlierFilled: number
  laterFilled: number
  /** For a column that is gone: the new column that is most like it. */
  suggestion: string | null
}
export type DataComparison = {
  rows: { earlier: number; later: number }
  columns: ColumnChange[]
  labels: { column: string; added: { value: string; rows: number }[]; removed: { value: string; rows: number }[]; shift: number }[]
  lengths: { earlier: Lengths; later: Lengths; longer: number }
  /** Later rows that repeat one of their own. */
  repeated: number
  /** Later rows whose content is also among the earlier ones. */
  shared: number
  first: { earlier: Record<string, unknown>[]; later: Record<string, unknown>[] }
}

const at = (sorted: readonly number[], share: number): number =>
  sorted.length === 0 ? 0 : (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number)
const lengthsIn = ({ lengths }: DataOutline): Lengths => ({
  median: at(lengths, 0.5),
  p95: at(lengths, 0.95),
  longest: lengths.at(-1) ?? 0,
})

export function compareData(earlier: DataOutline, later: DataOutline): DataComparison {
  const names = [...new Set([...earlier.columns.keys(), ...later.columns.keys()])]
  const fresh = [...later.columns.keys()].filter((name) => !earlier.columns.has(name))
  const share = (set: DataOutline, name: string) => (set.rows === 0 ? 0 : (set.columns.get(name)?.filled ?? 0) / set.rows)
  const lengths = { earlier: lengthsIn(earlier), later: lengthsIn(later) }
  let shared = 0
  let repeated = 0
  for (const [digest, times] of later.contents) {
    if (earlier.contents.has(digest)) shared += times
    repeated += times - 1
  }
  return {
    rows: { earlier: earlier.rows, later: later.rows },
    columns: names.map((name) => ({
      name,
      earlier: earlier.columns.get(name)?.type ?? null,
      later: later.columns.get(name)?.type ?? null,
      earlierFilled: share(earlier, name),
      laterFilled: share(later, name),
      suggestion: later.columns.has(name) ? null : nearestColumn(name, earlier, later, fresh),
    })),
    labels: names.flatMap((name) => labelsOf(name, earlier, later)),
    lengths: { ...lengths, longer: later.lengths.filter((one) => one > lengths.earlier.longest).length },
    repeated,
    shared,
    first: { earlier: earlier.first, later: later.first },
  }
}

/** Values of a label column that came or went, and how far their shares moved (total variation distance, 0…1). */
function labelsOf(name: string, earlier: DataOutline, later: DataOutline): DataComparison['labels'] {
  const before = earlier.columns.get(name)
  const after = later.columns.get(name)
  // Documents have free keys; answers have few fields.
  if (before && after && before.fields.size > 0 && before.fields.size <= MOST_LABELS && after.fields.size <= MOST_LABELS * 4)
    return [
      change(`${name}, fields`, { filled: before.filled, values: before.fields }, { filled: after.filled, values: after.fields }, true),
    ]
  if (!before?.values || !after?.values || before.values.size === 0) return []
  // As many values as rows: names or numbers, no labels.
  if (before.values.size * 2 > earlier.rows && before.values.size > 2) return []
  return [change(name, { filled: before.filled, values: before.values }, { filled: after.filled, values: after.values }, false)]
}

type Counted = { filled: number; values: ReadonlyMap<string, number> }

/** @param several a row can have several of the values; then the largest move of one share counts. */
function change(column: string, before: Counted, after: Counted, several: boolean): DataComparison['labels'][number] {
  const values = [...new Set([...before.values.keys(), ...after.values.keys()])]
  const shareOf = ({ filled, values }: Counted, value: string) => (filled === 0 ? 0 : (values.get(value) ?? 0) / filled)
  const moves = values.map((value) => Math.abs(shareOf(before, value) - shareOf(after, value)))
  const only = (a: Counted, b: Counted) => [...a.values].filter(([value]) => !b.values.has(value)).map(([value, rows]) => ({ value, rows }))
  return {
    column,
    added: only(after, before),
    removed: only(before, after),
    shift: several ? Math.max(0, ...moves) : moves.reduce((sum, move) => sum + move, 0) / 2,
  }
}

/** Of the new columns the one whose name is nearest, or else of the same type and about the same length of content. */
function nearestColumn(name: string, earlier: DataOutline, later: DataOutline, fresh: readonly string[]): string | null {
  const type = earlier.columns.get(name)?.type
  const able = fresh.filter((other) => later.columns.get(other)?.type === type)
  const plain = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  const like = able.filter((other) => plain(other).includes(plain(name)) || plain(name).includes(plain(other)))
  return like[0] ?? (able.length === 1 ? (able[0] as string) : null)
}
