/**
 * The clauses of Clause classifier as a tired annotator would leave them: one label in ten is wrong. `checked.jsonl` is right throughout and
 * shares no clause with the first file. `npx vitest run tests/templates -u` writes the files again.
 */
import { seeded } from '../../analysis/random'
import { type Clause, lineOf, makeClauses, TYPES } from '../clause-classifier/generate'

export const WRONG = 0.1
export const FILES = { 'labelled.jsonl': { rows: 400, seed: 20_261_301 }, 'checked.jsonl': { rows: 100, seed: 20_261_302 } } as const

export type Labelled = Clause & { given: string }
/** Clauses with the label they were given; `wrong` of them, spread by a seed, have another one than theirs. */
export function makeLabelled(rows: number, seed: number, wrong: number): Labelled[] {
  const r = seeded(seed + 1)
  const clauses = makeClauses('train', rows, seed)
  const flipped = new Set(r.shuffle([...clauses.keys()]).slice(0, Math.round(wrong * rows)))
  return clauses.map((clause, i) => ({ ...clause, given: flipped.has(i) ? r.pick(TYPES.filter((t) => t !== clause.type)) : clause.type }))
}

export function fileText(name: keyof typeof FILES): string {
  const { rows, seed } = FILES[name]
  const first = new Set(
    name === 'checked.jsonl' ? makeLabelled(FILES['labelled.jsonl'].rows, FILES['labelled.jsonl'].seed, 0).map((c) => c.text) : [],
  )
  return makeLabelled(rows, seed, name === 'labelled.jsonl' ? WRONG : 0)
    .filter((c) => !first.has(c.text))
    .map((c) => lineOf({ text: c.text, type: c.given }))
    .join('')
}
