/**
 * Single contract clauses with their type in one word, made from a seed out of the wordings of Contract fields. `unseen.jsonl` is made of
 * wordings that never occur in `clauses.jsonl`. `npx vitest run tests/templates -u` writes the files again.
 */
import { type Random, seeded } from '../../analysis/random'
import { date, duration, money } from '../contract-fields/generate'
import * as wordings from '../contract-fields/wordings'

export const TYPES = ['parties', 'start', 'notice', 'fee', 'law'] as const
export type ClauseType = (typeof TYPES)[number]
const LISTS: Record<ClauseType, wordings.Half<string>> = {
  parties: wordings.BOTH,
  start: wordings.START,
  notice: wordings.NOTICE,
  fee: wordings.FEE,
  law: wordings.LAW,
}

export type Clause = { text: string; type: ClauseType }

function clause(r: Random, side: keyof wordings.Half<unknown>): Clause {
  const type = r.pick(TYPES)
  const company = () => `${r.pick(wordings.NAMES[side])} ${r.pick(wordings.TRADES[side])} ${r.pick(wordings.FORMS)}`
  const text = wordings
    .withRoles(r.pick(LISTS[type][side]), r.pick(wordings.ROLES))
    .replaceAll(/\{[SCX]\}/g, company)
    .replaceAll(/\{[DY]\}/g, () => date(r))
    .replaceAll(/\{[NZ]\}/g, () => duration(r))
    .replaceAll(/\{[FA]\}/g, () => money(r))
    .replaceAll('{L}', () => r.pick(wordings.LAWS))
    .replaceAll('{P}', () => r.pick(wordings.PLACES))
  return { text, type }
}

export const FILES = {
  'clauses.jsonl': { side: 'train', rows: 400, seed: 20_261_201 },
  'unseen.jsonl': { side: 'unseen', rows: 60, seed: 20_261_202 },
} as const

/** Clauses without repeats. */
export function makeClauses(side: keyof wordings.Half<unknown>, rows: number, seed: number): Clause[] {
  const r = seeded(seed)
  const seen = new Set<string>()
  const out: Clause[] = []
  while (out.length < rows) {
    const made = clause(r, side)
    if (seen.has(made.text)) continue
    seen.add(made.text)
    out.push(made)
  }
  return out
}

/** One clause a line: the question in front, one word as the answer. */
export const lineOf = ({ text, type }: { text: string; type: string }): string =>
  `${JSON.stringify({ prompt: `Type of clause: ${text}`, completion: type })}\n`

export const fileText = (name: keyof typeof FILES): string => {
  const { side, rows, seed } = FILES[name]
  return makeClauses(side, rows, seed).map(lineOf).join('')
}
