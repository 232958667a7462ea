import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { detectFormat, levelled, readTable, toCanonicalRows } from '../../analysis/index'
import { FIELDS, FILES, fileText, makeContracts } from '../../templates/contract-fields/generate'
import * as wordings from '../../templates/contract-fields/wordings'

const folder = join(import.meta.dirname, '../../templates/contract-fields')
const contracts = Object.fromEntries(Object.entries(FILES).map(([name, f]) => [name, makeContracts(f.side, f.rows, f.seed)]))
const trained = contracts['clauses.jsonl'] ?? []
const unseen = contracts['unseen.jsonl'] ?? []

describe('SCI-148: the clauses of Contract fields', () => {
  test.each(Object.keys(FILES) as (keyof typeof FILES)[])('%s is what the generator makes from its seed, byte for byte', async (name) => {
    await expect(fileText(name)).toMatchFileSnapshot(join(folder, name))
  })

  test('no wording of one half occurs in the other, nor hides in it', () => {
    for (const list of [
      wordings.BOTH,
      wordings.SUPPLIER,
      wordings.CUSTOMER,
      wordings.START,
      wordings.NOTICE,
      wordings.FEE,
      wordings.LAW,
      wordings.DISTRACTORS,
    ]) {
      const bare = (w: string) => levelled(w.replace(/\{[A-Z]\}/g, ' '))
      const spelled = (half: readonly string[]) =>
        new Set(half.flatMap((w) => wordings.ROLES.map((roles) => bare(wordings.withRoles(w, roles)))))
      const train = spelled(list.train)
      for (const w of spelled(list.unseen)) expect(train.has(w), w).toBe(false)
      expect(new Set(list.train).size).toBe(list.train.length)
      expect(new Set(list.unseen).size).toBe(list.unseen.length)
    }
  })

  test('no word of a company name of one half occurs in the other', () => {
    const lists = [wordings.NAMES, wordings.SECOND, wordings.TRADES]
    const train = new Set(lists.flatMap((list) => list.train))
    for (const w of lists.flatMap((list) => list.unseen)) expect(train.has(w), w).toBe(false)
    for (const list of lists) expect(new Set(list.train).size).toBe(list.train.length)
    const words = new Set(trained.flatMap((c) => c.made.names.flatMap((n) => n.split(' '))))
    for (const c of unseen)
      for (const name of c.made.names) for (const w of name.split(' ')) if (!wordings.FORMS.includes(w)) expect(words.has(w), w).toBe(false)
  })

  test('layouts and wordings used in the unseen file never occur in the training file', () => {
    const used = new Set(trained.flatMap((c) => [c.made.layout, ...c.made.wordings]))
    for (const c of unseen) for (const w of [c.made.layout, ...c.made.wordings]) expect(used.has(w), w).toBe(false)
  })

  test('about a third of the fields is absent, in each half', () => {
    for (const list of [trained, unseen]) {
      const absent = list.reduce((n, c) => n + FIELDS.filter((f) => c.answer[f] === null).length, 0) / (list.length * FIELDS.length)
      expect(absent).toBeGreaterThan(0.27)
      expect(absent).toBeLessThan(0.4)
    }
  })

  test('SCI-94: every value of an answer is quoted from its clause', () => {
    for (const c of [...trained, ...unseen]) {
      for (const f of FIELDS) if (c.answer[f] !== null) expect(c.text, f).toContain(c.answer[f])
      expect(c.text).not.toMatch(/[{}]/)
    }
  })

  test('no clause of the unseen file, and no twin inside a file, repeats another', () => {
    const all = [...trained, ...unseen].map((c) => levelled(c.text))
    expect(new Set(all).size).toBe(all.length)
  })

  test('Load data reads both files as prompts and completions without a fault', async () => {
    for (const name of Object.keys(FILES)) {
      const table = await readTable(new Uint8Array(readFileSync(join(folder, name))), name)
      const found = detectFormat(table)
      expect(found).toMatchObject({ format: 'prompt_completion', alternatives: [] })
      const shaped = toCanonicalRows(table, 'prompt_completion', { systemPrompt: 'Extract the contract fields as JSON.' })
      expect([...table.errors, ...shaped.errors]).toEqual([])
      expect(shaped.rows.length).toBe(FILES[name as keyof typeof FILES].rows)
    }
  })
})
