import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { dataHeader } from '../../analysis/index'
import { seeded } from '../../analysis/random'

const root = join(import.meta.dirname, '../reference/data')

/** A source that counts what is asked of it. */
function source(bytes: Uint8Array) {
  const asked: number[] = []
  return {
    asked,
    byteLength: bytes.byteLength,
    slice(start: number, end = bytes.byteLength) {
      asked.push(end - start)
      return bytes.slice(start, end).buffer as ArrayBuffer
    },
  }
}
const headerOf = async (name: string, bytes: Uint8Array) => {
  const file = source(bytes)
  const read = await dataHeader(name, file)
  return { ...read, asked: file.asked }
}
const fixture = (path: string) => new Uint8Array(readFileSync(join(root, path)))

describe('UX-21: what a data file is, from its size and first rows', () => {
  test('a small file is counted whole', async () => {
    const read = await headerOf('alpaca.jsonl', fixture('valid/alpaca.jsonl'))
    expect(read).toMatchObject({
      header: {
        container: 'jsonl',
        rows: 12,
        rowsExact: true,
        columns: ['instruction', 'input', 'output'],
        detected: { format: 'alpaca', alternatives: [] },
        faults: [],
      },
    })
    if (!('header' in read)) throw new Error('no header')
    expect(read.header.sample.length).toBe(5)
    expect(read.header.chars.max).toBeGreaterThan(read.header.chars.mean)
  })

  test('of a large file only a piece is read, and the rows are estimated to a few per cent', async () => {
    const rows = 40_000
    const text = Array.from(
      { length: rows },
      (_, i) => `${JSON.stringify({ prompt: `question ${i} ${'x'.repeat(i % 37)}`, completion: 'a' })}\n`,
    ).join('')
    const bytes = new TextEncoder().encode(text)
    const read = await headerOf('big.jsonl', bytes)
    if (!('header' in read)) throw new Error('no header')
    expect(read.header.rowsExact).toBe(false)
    expect(Math.abs(read.header.rows - rows) / rows).toBeLessThan(0.03)
    expect(read.asked.reduce((a, b) => a + b, 0)).toBeLessThan(bytes.byteLength)
    expect(read.header.faults).toEqual([])
  })

  test('a cut inside a quoted CSV field is the piece’s fault, not the file’s', async () => {
    const text = `prompt,completion\n${`"a\nb","${'y'.repeat(900)}\nz"\n`.repeat(2000)}`
    const read = await headerOf('big.csv', new TextEncoder().encode(text))
    expect(read).toMatchObject({ header: { faults: [], rowsExact: false } })
  })

  test('Parquet: exact rows from the footer', async () => {
    expect(await headerOf('a.parquet', fixture('valid/alpaca-zstd-2groups.parquet'))).toMatchObject({
      header: { rows: 12, rowsExact: true, detected: { format: 'alpaca' } },
    })
  })

  test('a file with some damaged rows has a header and names them; one without a usable row is an error', async () => {
    expect(await headerOf('f.jsonl', fixture('broken/bad-json-line7.jsonl'))).toMatchObject({ header: { rows: 11, faults: [{ line: 7 }] } })
    expect(await headerOf('f.csv', fixture('broken/missing-column.csv'))).toMatchObject({
      error: { code: 'no_column', message: "f.csv, line 1: no column 'output' in the header" },
    })
    expect(await headerOf('f.parquet', fixture('broken/truncated.parquet'))).toMatchObject({ error: { code: 'bad_parquet' } })
    expect(await headerOf('f.doc', new Uint8Array([1]))).toMatchObject({ error: { code: 'unknown_container' } })
  })
})

describe('SCI-1: the seeded generator', () => {
  test('the same seed gives the same numbers on every machine', () => {
    const r = seeded(42)
    expect(Array.from({ length: 4 }, () => r.below(1000))).toEqual(
      Array.from(
        { length: 4 },
        (
          (s) => () =>
            s.below(1000)
        )(seeded(42)),
      ),
    )
    expect(seeded(1).next()).not.toBe(seeded(2).next())
  })
  test('uniform: chi-square of 16 bins over 160,000 draws is within its 99.9 % range', () => {
    const r = seeded(7)
    const drawn = new Array<number>(16).fill(0)
    for (let i = 0; i < 160_000; i++) {
      const at = r.below(16)
      drawn[at] = (drawn[at] as number) + 1
    }
    const chi = drawn.reduce((s, n) => s + (n - 10_000) ** 2 / 10_000, 0)
    expect(chi).toBeLessThan(37.7)
    expect(chi).toBeGreaterThan(2)
  })
  test('a shuffle keeps what it shuffles', () => {
    const list = Array.from({ length: 100 }, (_, i) => i)
    const mixed = seeded(3).shuffle([...list])
    expect(mixed).not.toEqual(list)
    expect(mixed.sort((a, b) => a - b)).toEqual(list)
  })
})
