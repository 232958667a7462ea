/** One door for all containers: bytes and a name in, rows with their places out. */
import { type Container, checkValues, columnsOf, fault, READ_LIMITS, type ReadOptions, type Table } from '../table'
import { readCsv } from './csv'
import { readJson, readJsonl } from './json'
import { readParquet, sourceOf } from './parquet'
import { decodeAll, isBlank, withoutMark } from './text-bytes'

const BY_ENDING: Record<string, Container> = {
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'json',
  csv: 'csv',
  tsv: 'tsv',
  tab: 'tsv',
  parquet: 'parquet',
  txt: 'txt',
  text: 'txt',
  md: 'txt',
}

/** By the ending; a `.json` that holds an object a line is read as lines, as many tools write it. Null: an unknown ending. */
export function containerOf(name: string): Container | null {
  return BY_ENDING[/\.([A-Za-z0-9]+)$/.exec(name)?.[1]?.toLowerCase() ?? ''] ?? null
}

/**
 * Reads a data file of any known container. Never throws for what a file holds: faults come back with line and reason, the rows that
 * could be read beside them. Rows keep their values as they stand; their meaning is found by `detectFormat` and `toCanonicalRows`.
 */
export async function readTable(bytes: Uint8Array, name: string, options: ReadOptions = {}): Promise<Table> {
  const container = containerOf(name)
  const empty = { name, columns: [], rows: [], warnings: [] }
  if (!container)
    return {
      ...empty,
      container: 'txt',
      errors: [fault(null, 'unknown_container', 'unknown ending: .jsonl, .json, .csv, .tsv, .parquet or .txt expected')],
    }
  const wrong = (code: string, reason: string): Table => ({ ...empty, container, errors: [fault(null, code, reason)] })
  if (bytes.byteLength === 0) return wrong('empty', 'empty file')
  if (bytes.byteLength > READ_LIMITS.bytes)
    return wrong('too_large', `larger than ${READ_LIMITS.bytes.toLocaleString('en-US')} bytes: divide the file`)
  if (container === 'parquet') return checkValues(noRows({ name, container, ...(await readParquet(sourceOf(bytes), options)) }))
  const { bytes: body, fault: encoding } = withoutMark(bytes)
  if (encoding) return { ...empty, container, errors: [encoding] }
  const base = bytes.byteLength - body.byteLength
  switch (container) {
    case 'jsonl': {
      const read = readJsonl(body, options, base)
      return checkValues(noRows({ name, container, columns: columnsOf(read.rows), ...read }))
    }
    case 'json': {
      const read = looksLikeLines(body) ? readJsonl(body, options, base) : readJson(body, options, base)
      return checkValues(noRows({ name, container, columns: columnsOf(read.rows), ...read }))
    }
    case 'csv':
    case 'tsv':
      return checkValues(noRows({ name, container, ...readCsv(body, container === 'tsv' ? '\t' : ',', options, base) }))
    case 'txt': {
      const { text, fault: bad } = decodeAll(body, base)
      const rows = text
        .split(/\r?\n/)
        .map((line, i) => ({ line: i + 1, value: { text: line } }))
        .filter((row) => !isBlank(row.value.text))
        .slice(0, options.maxRows ?? READ_LIMITS.rows)
      const errors = bad ? [bad] : rows.length === 0 ? [fault(null, 'no_text', 'no text: only blank lines')] : []
      return checkValues({ name, container, columns: ['text'], rows, errors, warnings: [] })
    }
  }
}

/** A file without rows and without a fault is itself one. */
function noRows(table: Table): Table {
  if (table.rows.length === 0 && table.errors.length === 0) table.errors.push(fault(null, 'no_rows', 'no rows'))
  return table
}

/** Two lines that each start and end an object: JSON Lines under the name of JSON. */
function looksLikeLines(bytes: Uint8Array): boolean {
  const start = new TextDecoder().decode(bytes.subarray(0, 1 << 20))
  const [first, second] = start.split('\n', 2).map((l) => l.trim())
  if (!first?.startsWith('{') || !first.endsWith('}') || !second?.startsWith('{')) return false
  try {
    JSON.parse(first)
    return true
  } catch {
    return false
  }
}
