import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { detectFormat, type Format, readTable, toCanonicalRows } from '../../analysis/index'

const root = join(import.meta.dirname, '../reference/data')
type Expected = {
  format?: string
  rows?: number
  columns?: string[]
  usable_rows?: number
  problems?: { line: number; reason: string }[]
  valid_rows?: number | null
  error_lines?: number[]
  reason?: string
  reasons?: Record<string, string>
  duplicate_ids?: Record<string, number[]>
}
const expected = JSON.parse(readFileSync(join(root, 'expected.json'), 'utf8')) as Record<'valid' | 'broken', Record<string, Expected>>

/** Reads a file the way Load data does. */
async function load(folder: string, name: string) {
  const table = await readTable(new Uint8Array(readFileSync(join(root, folder, name))), name)
  const detected = detectFormat(table)
  const shaped = toCanonicalRows(table, (detected?.format ?? 'table') as Format)
  return { table, detected, shaped, errors: [...table.errors, ...shaped.errors].sort((a, b) => (a.line ?? 0) - (b.line ?? 0)) }
}

const FORMAT_WORDS: Record<string, string> = {
  alpaca: 'alpaca',
  sharegpt: 'sharegpt',
  messages: 'messages',
  'prompt-completion': 'prompt_completion',
  preference: 'preference',
  'preference (messages)': 'preference',
  text: 'text',
}

describe('F-30, F-31: files that are well', () => {
  test.each(readdirSync(join(root, 'valid')))('%s: every row, its columns and its format', async (name) => {
    const want = expected.valid[name] as Expected
    const { table, detected, shaped } = await load('valid', name)
    expect(table.errors).toEqual([])
    expect(table.rows.length).toBe(want.rows)
    if (want.columns) expect(table.columns).toEqual(want.columns)
    expect(detected?.format).toBe(FORMAT_WORDS[want.format as string])
    expect(detected?.alternatives).toEqual([])
    expect(detected?.reason).not.toBe('')
    expect(shaped.rows.length).toBe(want.usable_rows ?? want.rows)
    expect(shaped.errors.map((e) => e.line)).toEqual((want.problems ?? []).map((p) => p.line))
    for (const [i, p] of (want.problems ?? []).entries()) expect(shaped.errors[i]?.reason).toBe(p.reason)
  })

  test('F-30: a byte order mark, CR LF and blank lines change no value', async () => {
    const plain = (await load('valid', 'alpaca.jsonl')).shaped.rows
    for (const name of [
      'bom.jsonl',
      'crlf.jsonl',
      'no-final-newline.jsonl',
      'blank-lines.jsonl',
      'alpaca.json',
      'alpaca.csv',
      'bom.csv',
      'crlf.csv',
    ]) {
      const { shaped } = await load('valid', name)
      expect(
        shaped.rows.map((r) => [r.prompt, r.completion]),
        name,
      ).toEqual(plain.map((r) => [r.prompt, r.completion]))
    }
  })

  test('F-32: the id comes from the content, so the same row has the same id in every container', async () => {
    const ids = async (name: string) => (await load('valid', name)).shaped.rows.map((r) => r.id)
    const first = await ids('alpaca.jsonl')
    expect(new Set(first).size).toBe(12)
    expect(await ids('alpaca.csv')).toEqual(first)
    expect(await ids('alpaca.json')).toEqual(first)
  })

  test('alpaca with null inputs in Parquet gives the rows of the JSON file', async () => {
    const plain = (await load('valid', 'alpaca.jsonl')).shaped.rows
    for (const name of ['alpaca-plain.parquet', 'alpaca-snappy.parquet', 'alpaca-zstd-2groups.parquet'])
      expect((await load('valid', name)).shaped.rows.map((r) => [r.prompt, r.completion])).toEqual(
        plain.map((r) => [r.prompt, r.completion]),
      )
    const lists = (await load('valid', 'messages.parquet')).shaped.rows.map((r) => r.messages)
    expect(lists).toEqual((await load('valid', 'messages.jsonl')).shaped.rows.map((r) => r.messages))
  })

  test('U+2028, U+2029 and U+0085 stay inside their strings', async () => {
    const { shaped } = await load('valid', 'unicode-line-separators.jsonl')
    expect(JSON.stringify(shaped.rows)).toMatch(/[\u2028\u2029\u0085]/)
  })

  test('SEC: a __proto__ key in a row pollutes nothing', async () => {
    await load('valid', 'proto-key.jsonl')
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })

  test('a very long field is a warning, not a fault', async () => {
    const { table } = await load('valid', 'huge-field.jsonl')
    expect(table.warnings.map((w) => [w.line, w.code])).toEqual([[2, 'long_field']])
  })
})

/** A word of the reason that each broken file must be told. */
const WORDS: Record<string, RegExp> = {
  'bad-json-line7.jsonl': /cut off/,
  'bad-json-line7-trailing-comma.jsonl': /trailing comma/,
  'two-objects-line2.jsonl': /two JSON values in one line/,
  'not-an-object-line3.jsonl': /valid JSON but not an object/,
  'bad-json.json': /double quotes/,
  'truncated.json': /unexpected end of file/,
  'missing-field-line5.jsonl': /no field 'output'/,
  'missing-column.csv': /no column 'output' in the header/,
  'ragged.csv': /row with 3 of 2 fields|row with 1 of 2 fields/,
  'unclosed-quote.csv': /quote opened in line 3 never closes/,
  'duplicate-header.csv': /column 'prompt' twice/,
  'empty.jsonl': /empty file/,
  'empty.json': /no rows/,
  'only-blank.txt': /no text/,
  'header-only.csv': /no rows/,
  'latin1.csv': /not UTF-8: byte 0xe9 at offset 833 \(looks like Latin-1 or Windows-1252\)/,
  'latin1-line2.jsonl': /not UTF-8: byte 0xe9 at offset 52/,
  'utf16le.jsonl': /UTF-16 byte order mark/,
  'nul-bytes.jsonl': /raw NUL/,
  'nul-bytes.csv': /NUL byte in line 3/,
  'lone-surrogate.jsonl': /unpaired surrogate/,
  'truncated.parquet': /no PAR1 at the end/,
  'not-parquet.parquet': /no PAR1 magic/,
  'bad-footer-length.parquet': /footer length 2147483647 is larger than the file/,
  'deep.json': /more than 64 levels/,
}

describe('F-30, F-34: files that are broken say the line and the reason', () => {
  test.each(readdirSync(join(root, 'broken')))('%s', async (name) => {
    const want = expected.broken[name] as Expected
    const { errors, table, shaped } = await load('broken', name)
    expect(errors.filter((e) => e.line !== null).map((e) => e.line)).toEqual(want.error_lines)
    if (want.valid_rows !== null) expect(shaped.rows.length).toBe(want.valid_rows)
    if (want.valid_rows === 0) expect(errors.length).toBeGreaterThan(0)
    for (const [line, reason] of Object.entries(want.reasons ?? {}))
      expect(errors.find((e) => e.line === Number(line))?.reason).toBe(reason)
    const word = WORDS[name]
    if (word) for (const e of errors) expect(e.reason).toMatch(word)
    if (want.duplicate_ids) expect(shaped.warnings[0]?.reason).toBe('the id r1 occurs 3 times, in lines 2, 4, 6')
    if (name === 'nul-bytes.jsonl') expect(table.warnings.map((w) => w.line)).toEqual([3])
    expect(word ?? want.reasons ?? (want.error_lines as number[]).length === 0, 'every fault is looked at').toBeTruthy()
  })

  test('places of JSON faults: line and column, counted in lines that end in LF', async () => {
    expect((await load('broken', 'bad-json.json')).errors).toMatchObject([{ line: 30, column: 5 }])
    expect((await load('broken', 'truncated.json')).errors).toMatchObject([{ line: 39, column: 14 }])
  })
})
