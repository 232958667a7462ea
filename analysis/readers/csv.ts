import { CsvError, parse } from 'csv-parse/browser/esm/sync'
import { type Fault, fault, READ_LIMITS, type ReadOptions, type SourceRow } from '../table'
import { decodeAll } from './text-bytes'

/**
 * RFC 4180 with a header. Quoted fields may hold the delimiter, quotes and line breaks. Physical lines are counted from the byte
 * offsets that the parser reports, since a record can span several.
 */
export function readCsv(
  bytes: Uint8Array,
  delimiter: ',' | '\t',
  options: ReadOptions,
  base: number,
): { columns: string[]; rows: SourceRow[]; errors: Fault[]; warnings: Fault[] } {
  const { text, fault: bad } = decodeAll(bytes, base)
  const fail = (f: Fault) => ({ columns: [], rows: [], errors: [f], warnings: [] })
  if (bad) return fail(bad)
  if (text.trim() === '') return fail(fault(null, 'empty', 'empty file'))
  const records: { fields: string[]; end: number }[] = []
  const errors: Fault[] = []
  const starts = recordStarts(bytes)
  try {
    parse(text, {
      delimiter,
      relax_column_count: true,
      skip_empty_lines: true,
      record_delimiter: ['\r\n', '\n'],
      // Spreadsheets and pandas write quotes inside unquoted fields; only a quote at the start opens one.
      relax_quotes: true,
      max_record_size: 0,
      ...(options.maxRows && { to: options.maxRows + 1 }),
      on_record: (fields: string[], info: { bytes: number }) => {
        records.push({ fields, end: info.bytes })
        return null
      },
    })
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause
    const line = starts(records.at(-1)?.end ?? 0)
    errors.push(
      cause.code === 'CSV_QUOTE_NOT_CLOSED'
        ? fault(line, 'unclosed_quote', `a quote opened in line ${line} never closes`)
        : fault(line, 'bad_csv', cause.message),
    )
  }
  const header = records[0]?.fields.map((name) => name.trim())
  if (!header) return { columns: [], rows: [], errors, warnings: [] }
  const twice = header.find((name, i) => header.indexOf(name) !== i)
  if (twice !== undefined) return fail(fault(1, 'duplicate_column', `column '${twice}' twice in the header`))
  if (header.length > READ_LIMITS.columns)
    return fail(fault(1, 'too_many_columns', `${header.length} columns; at most ${READ_LIMITS.columns} are read`))
  if (header.some((name) => name === ''))
    return fail(fault(1, 'unnamed_column', `column ${header.indexOf('') + 1} has no name in the header`))
  const rows: SourceRow[] = []
  for (let i = 1; i < records.length; i++) {
    const { fields } = records[i] as { fields: string[] }
    const line = starts((records[i - 1] as { end: number }).end)
    if (fields.length !== header.length) errors.push(fault(line, 'ragged_row', `row with ${fields.length} of ${header.length} fields`))
    else if (fields.some((f) => f.includes('\0'))) errors.push(fault(line, 'nul_character', `a NUL byte in line ${line}`))
    else rows.push({ line, value: Object.fromEntries(header.map((name, c) => [name, fields[c] as string])) })
  }
  return { columns: header, rows, errors, warnings: [] }
}

/** Line on which the record after offset `end` starts, skipping blank lines. Offsets must come in rising order. */
function recordStarts(bytes: Uint8Array): (end: number) => number {
  let at = 0
  let line = 1
  return (end) => {
    for (; at < end && at < bytes.length; at++) if (bytes[at] === 10) line++
    let probe = at
    let start = line
    while (probe < bytes.length && (bytes[probe] === 10 || bytes[probe] === 13)) {
      if (bytes[probe] === 10) start++
      probe++
    }
    return start
  }
}
