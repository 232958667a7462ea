import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { detectFormat, type Format, readTable, splitRows, toCanonicalRows } from '../../analysis/index'
import { explainJson, placeOf } from '../../analysis/readers/json-scan'
import { firstBadByte } from '../../analysis/readers/text-bytes'

const parses = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe('whatever a file holds', () => {
  test('no bytes under any ending make a reader throw, and every fault has a reason and a line of the file', async () => {
    const piece = fc.oneof(
      fc.string(),
      fc.json(),
      fc.constantFrom('\n', '\r\n', '"', ',', '{"a":', '[', '\u2028', '\0', '{"prompt":"p","completion":"c"}\n', 'prompt,completion\n'),
    )
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.array(piece, { maxLength: 12 }).map((parts) => new TextEncoder().encode(parts.join(''))),
    )
    await fc.assert(
      fc.asyncProperty(bytes, fc.constantFrom('jsonl', 'json', 'csv', 'tsv', 'txt', 'parquet'), async (data, ending) => {
        const table = await readTable(data, `x.${ending}`)
        const lines = data.reduce((n, b) => n + Number(b === 10), 1)
        const found = detectFormat(table)
        const shaped = toCanonicalRows(table, (found?.format ?? 'table') as Format)
        expect(table.rows.length + table.errors.length).toBeGreaterThan(0)
        for (const e of [...table.errors, ...shaped.errors]) {
          expect(e.reason).not.toBe('')
          if (e.line !== null) expect(e.line >= 1 && e.line <= lines).toBe(true)
        }
      }),
      { numRuns: 400, seed: 7 },
    )
  })

  test('the scanner calls JSON what JSON.parse does, and points inside the text otherwise', () => {
    const damaged = fc
      .tuple(fc.json(), fc.nat(), fc.constantFrom('', ',', '}', ']', '"', '\\', '0', 'x', '\u0001', ':'))
      .map(([text, at, put]) => {
        const i = at % (text.length + 1)
        return text.slice(0, i) + put + text.slice(put === '' ? i + 1 : i)
      })
    fc.assert(
      fc.property(fc.oneof(damaged, fc.json(), fc.string()), (text) => {
        const fault = explainJson(text)
        expect(fault === null).toBe(parses(text))
        if (fault) expect(fault.offset >= 0 && fault.offset <= text.length).toBe(true)
      }),
      { numRuns: 1500, seed: 7 },
    )
  })

  test('bad bytes are found where the decoder of the platform stops', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 24 }),
          fc.string({ unit: 'binary' }).map((s) => new TextEncoder().encode(s)),
        ),
        (bytes) => {
          const bad = firstBadByte(bytes)
          const decodes = (part: Uint8Array) => {
            try {
              new TextDecoder('utf-8', { fatal: true }).decode(part)
              return true
            } catch {
              return false
            }
          }
          expect(bad < 0).toBe(decodes(bytes))
          if (bad >= 0) expect(decodes(bytes.subarray(0, bad))).toBe(true)
        },
      ),
      { numRuns: 1000, seed: 7 },
    )
  })

  test('a place counts lines from 1 and columns from 1', () => {
    expect(placeOf('ab\ncd', 0)).toEqual({ line: 1, column: 1 })
    expect(placeOf('ab\ncd', 4)).toEqual({ line: 2, column: 2 })
  })
})

test('SCI-5: for any rows, groups and sizes, every row is on one side and no unit on two', () => {
  const row = fc.record({
    prompt: fc.constantFrom('a', 'A ', 'b', 'c', 'd', 'e', 'f', 'g'),
    group: fc.constantFrom('x', 'y', 'z', 'w', ''),
  })
  fc.assert(
    fc.property(fc.array(row, { minLength: 1, maxLength: 40 }), fc.nat(20), fc.nat(20), fc.nat(1000), (list, validation, test_, seed) => {
      const rows = list.map((r, i) => ({ id: `${i}`, prompt: r.prompt, completion: 'c', columns: { group: r.group } }))
      const split = splitRows(rows, { validation, test: test_, seed, shuffle: true, groupColumn: 'group' })
      const parts = [split.train, split.validation, split.test]
      expect(
        parts
          .flat()
          .map((r) => Number(r.id))
          .sort((a, b) => a - b),
      ).toEqual(rows.map((_, i) => i))
      expect(split.train.length).toBeGreaterThan(0)
      expect(split.validation.length <= validation && split.test.length <= test_).toBe(true)
      for (const key of [
        (r: (typeof rows)[number]) => r.prompt.trim().toLowerCase(),
        (r: (typeof rows)[number]) => r.columns.group || `alone ${r.id}`,
      ]) {
        const seen = new Map<string, number>()
        for (const [side, part] of parts.entries())
          for (const r of part as typeof rows) {
            expect(seen.get(key(r)) ?? side).toBe(side)
            seen.set(key(r), side)
          }
      }
    }),
    { numRuns: 300, seed: 7 },
  )
})
