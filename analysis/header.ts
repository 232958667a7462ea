/** What can be said of a data file from its size and first rows: fast for any size, since only a piece is read. */
import { detectFormat, toCanonicalRows } from './formats'
import { containerOf, readTable } from './readers/index'
import { type ByteSource, checkFrame, readParquet } from './readers/parquet'
import { lengthsOf } from './rows'
import { type Container, type Fault, fault, type Table } from './table'

export type { ByteSource } from './readers/parquet'

/** Bytes that are read of a large file: some thousand rows of usual length, 0.1 s of one core. */
const PIECE = 1024 * 1024
/** Rows that are looked at closely: their shape and length. */
const SHAPED_ROWS = 5000
const SAMPLE_ROWS = 5
/** Text shown of one field of a sample row; the rest is in the preview. */
const SAMPLE_CHARS = 2000

export type DataHeader = {
  name: string
  container: Container
  rows: number
  rowsExact: boolean
  sizeBytes: number
  columns: readonly string[]
  detected: { format: string; reason: string; alternatives: readonly string[] } | null
  chars: { mean: number; max: number }
  sample: readonly Record<string, unknown>[]
  /** Rows that cannot be used, as far as was read. */
  faults: readonly { line: number | null; reason: string }[]
}

/** Header of a file, or why it has none. `source.slice` is asked for the first piece only (for Parquet: the footer and first rows). */
export async function dataHeader(
  name: string,
  source: ByteSource,
): Promise<{ header: DataHeader } | { error: { code: string; message: string } }> {
  const container = containerOf(name)
  const fail = (f: Fault) => ({ error: { code: f.code, message: `${name}${f.line === null ? '' : `, line ${f.line}`}: ${f.reason}` } })
  if (!container) return fail(fault(null, 'unknown_container', 'unknown ending; .jsonl, .json, .csv, .tsv, .parquet or .txt expected'))
  let table: Table
  let rows: number
  let whole = true
  if (container === 'parquet') {
    const frame = await checkFrame(source)
    if (frame) return fail(frame)
    const read = await readParquet(source, { maxRows: 200 })
    table = { name, container, columns: read.columns, rows: read.rows, errors: read.errors, warnings: [] }
    rows = read.total
  } else {
    // A list in one piece cannot be cut; lines can, at the last line break.
    whole = source.byteLength <= PIECE || container === 'json'
    const bytes = new Uint8Array(await source.slice(0, whole ? source.byteLength : PIECE))
    const cut = whole ? bytes.length : bytes.lastIndexOf(10) + 1 || bytes.length
    table = await readTable(bytes.subarray(0, cut), name)
    // A quoted field cut in the middle is the piece's fault, not the file's.
    if (!whole) table.errors = table.errors.filter((e) => e.code !== 'unclosed_quote')
    rows = whole ? table.rows.length : Math.max(table.rows.length, Math.round((table.rows.length * source.byteLength) / cut))
  }
  const first = table.errors[0]
  if (table.rows.length === 0 && first) return fail(first)
  const shape = (format: Parameters<typeof toCanonicalRows>[1]) =>
    toCanonicalRows({ ...table, rows: table.rows.slice(0, SHAPED_ROWS) }, format)
  let detected = detectFormat(table)
  let shaped = shape(detected?.format ?? 'table')
  // Half of a format's columns under their names: the others may be called otherwise, and naming them needs the header.
  if (detected && shaped.rows.length === 0 && shaped.errors.every((f) => f.code === 'missing_field')) {
    detected = null
    shaped = shape('table')
  }
  if (shaped.rows.length === 0 && shaped.errors[0]) return fail(shaped.errors[0])
  return {
    header: {
      name,
      container,
      rows,
      rowsExact: whole,
      sizeBytes: source.byteLength,
      columns: table.columns,
      detected,
      chars: lengthsOf(shaped.rows),
      sample: table.rows.slice(0, SAMPLE_ROWS).map((r) => shorten(r.value)),
      faults: [...table.errors, ...shaped.errors].slice(0, 20).map(({ line, reason }) => ({ line, reason })),
    },
  }
}

const shorten = (value: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(value).map(([k, v]) => [k, typeof v === 'string' && v.length > SAMPLE_CHARS ? `${v.slice(0, SAMPLE_CHARS)}…` : v]),
  )
