/** What every reader gives: rows as they stand in the file, each with its place, and what is wrong with the rest. */

/** `line` is 1-based and physical, blank lines counted; the header of a CSV is line 1. Null where a format has no lines. */
export type Fault = { line: number | null; column?: number; code: string; reason: string }
export type SourceRow = { line: number | null; value: Record<string, unknown> }
export const CONTAINERS = ['jsonl', 'json', 'csv', 'tsv', 'parquet', 'txt'] as const
export type Container = (typeof CONTAINERS)[number]

export type Table = {
  name: string
  container: Container
  /** In the order of first appearance. */
  columns: string[]
  rows: SourceRow[]
  /** Rows that could not be read, in file order; a fault without a line concerns the file. */
  errors: Fault[]
  warnings: Fault[]
}

export type ReadOptions = { maxRows?: number }

/** Bounds on what a file may ask of us (SEC-15). */
export const READ_LIMITS = {
  /** Rows are held in memory; larger files belong in parts. */
  bytes: 1024 * 1024 * 1024,
  rows: 10_000_000,
  /** JSON levels. Deeper ones are refused before they are parsed. */
  nesting: 64,
  /** A field beyond this is read, with a warning. */
  longField: 100_000,
  columns: 2_000,
} as const

export const fault = (line: number | null, code: string, reason: string): Fault => ({ line, code, reason })

/** Names of all columns, in the order of first appearance. Keys are compared, never used as paths, so `__proto__` is a name like any other. */
export function columnsOf(rows: readonly SourceRow[]): string[] {
  const seen = new Set<string>()
  for (const row of rows) for (const key of Object.keys(row.value)) if (seen.size < READ_LIMITS.columns) seen.add(key)
  return [...seen]
}

/** Faults of single values that no format can accept, and lengths worth a remark. Rows with such faults are taken out. */
export function checkValues(table: Table): Table {
  const rows: SourceRow[] = []
  for (const row of table.rows) {
    const found = { surrogate: false, nul: false, longest: 0 }
    visit(row.value, found)
    if (found.surrogate) {
      table.errors.push(fault(row.line, 'unpaired_surrogate', 'an unpaired surrogate cannot be written as UTF-8'))
      continue
    }
    if (found.nul) table.warnings.push(fault(row.line, 'nul_character', 'holds a NUL character'))
    if (found.longest > READ_LIMITS.longField)
      table.warnings.push(fault(row.line, 'long_field', `a field of ${found.longest.toLocaleString('en-US')} characters`))
    rows.push(row)
  }
  table.errors.sort(byLine)
  return { ...table, rows }
}

export const byLine = (a: Fault, b: Fault) => (a.line ?? 0) - (b.line ?? 0)

function visit(value: unknown, found: { surrogate: boolean; nul: boolean; longest: number }): void {
  if (typeof value === 'string') {
    if (!value.isWellFormed()) found.surrogate = true
    if (value.includes('\0')) found.nul = true
    if (value.length > found.longest) found.longest = value.length
  } else if (Array.isArray(value)) for (const item of value) visit(item, found)
  else if (value !== null && typeof value === 'object')
    for (const [key, item] of Object.entries(value)) {
      visit(key, found)
      visit(item, found)
    }
}
