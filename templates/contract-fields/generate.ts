/**
 * Contract clauses with six fields each, made from a seed (SCI-148): the same seed gives the same bytes. A third of the fields are
 * absent, and then their value is null; sentences with other dates, sums, terms and companies stand between, so that a model has to read.
 * `npx vitest run tests/templates -u` writes the files again.
 */
import { type Random, seeded } from '../../analysis/random'
import {
  BOTH,
  CUSTOMER,
  DISTRACTORS,
  FEE,
  FORMS,
  type Half,
  LAW,
  LAWS,
  LAYOUTS,
  NAMES,
  NOTICE,
  PLACES,
  ROLES,
  SECOND,
  START,
  SUPPLIER,
  TRADES,
  withRoles,
} from './wordings'

export const FIELDS = ['supplier', 'customer', 'start', 'notice', 'fee', 'law'] as const
export type Field = (typeof FIELDS)[number]
export type Contract = {
  text: string
  answer: Record<Field, string | null>
  /** Which wordings were used, for the tests. */
  made: { side: keyof Half<unknown>; layout: string; wordings: string[]; names: string[] }
}

/** Chance that a field is left out; together a third. Contracts without a party are rare. */
const ABSENT: Record<Field, number> = { supplier: 0.11, customer: 0.11, start: 0.45, notice: 0.45, fee: 0.45, law: 0.45 }

const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December']
const COUNTS: readonly (readonly [number, string])[] = [
  [1, 'one'],
  [2, 'two'],
  [3, 'three'],
  [4, 'four'],
  [6, 'six'],
  [8, 'eight'],
  [10, 'ten'],
  [12, 'twelve'],
  [14, 'fourteen'],
  [15, 'fifteen'],
  [20, 'twenty'],
  [30, 'thirty'],
  [45, 'forty-five'],
  [60, 'sixty'],
  [90, 'ninety'],
]
const CURRENCIES: readonly ((n: string) => readonly string[])[] = [
  (n) => [`EUR ${n}`, `€${n}`, `${n} euros`],
  (n) => [`USD ${n}`, `$${n}`, `${n} dollars`],
  (n) => [`GBP ${n}`, `£${n}`, `${n} pounds`],
]

const ordinal = (d: number) => `${d}${d > 3 && d < 21 ? 'th' : (['th', 'st', 'nd', 'rd'][d % 10] ?? 'th')}`

export function date(r: Random): string {
  const [y, m, d] = [2015 + r.below(14), 1 + r.below(12), 1 + r.below(28)]
  const month = MONTHS[m - 1] as string
  const iso = `${y}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')}`
  return r.pick([`${d} ${month} ${y}`, `${month} ${d}, ${y}`, `${ordinal(d)} ${month} ${y}`, iso])
}

export function duration(r: Random): string {
  const unit = r.pick(['day', 'day', 'day', 'week', 'month', 'month'])
  const [n, word] = r.pick(COUNTS.filter(([n]) => (unit === 'day' ? n >= 10 : n <= 12)))
  const units = n === 1 ? unit : `${unit}s`
  return r.pick([`${n} ${units}`, `${word} ${units}`, `${word} (${n}) ${units}`])
}

export function money(r: Random): string {
  const amount = r.pick([50, 100, 250, 500, 1000]) * (1 + r.below(99))
  return r.pick(r.pick(CURRENCIES)(amount.toLocaleString('en-US')))
}

/** Mean of the chances above; another share of absent fields scales each of them. */
const MEAN_ABSENT = FIELDS.reduce((sum, field) => sum + ABSENT[field], 0) / FIELDS.length

/** One clause of one half. `absent`: mean share of absent fields, in place of the usual one. */
export function makeContract(r: Random, side: keyof Half<unknown>, absent = MEAN_ABSENT): Contract {
  const names: string[] = []
  const company = (): string => {
    // Two names in one clause share no word of their own, so that an answer can only be one of them.
    const fresh = (list: Half<string>) => r.pick(list[side].filter((w) => !names.some((n) => n.includes(w))))
    const trade = r.next() < 0.7 ? ` ${r.pick(TRADES[side])}` : ''
    const name = `${fresh(NAMES)}${r.next() < 0.4 ? ` ${fresh(SECOND)}` : ''}${trade} ${r.pick(FORMS)}`
    names.push(name)
    return name
  }
  const wordings: string[] = []
  const word = (list: Half<string>): string => {
    const chosen = r.pick(list[side].filter((w) => !wordings.includes(w)))
    wordings.push(chosen)
    return chosen
  }
  const has = Object.fromEntries(FIELDS.map((f) => [f, r.next() >= ABSENT[f] * (absent / MEAN_ABSENT)])) as Record<Field, boolean>
  if (!FIELDS.some((f) => has[f])) has.start = true
  // Values are quoted from the clause, not rewritten: an answer can be looked up in its source (SCI-94), and scores level the notations.
  const value: Record<Field, string | null> = {
    supplier: has.supplier ? company() : null,
    customer: has.customer ? company() : null,
    start: has.start ? date(r) : null,
    notice: has.notice ? duration(r) : null,
    fee: has.fee ? money(r) : null,
    law: has.law ? r.pick(LAWS) : null,
  }
  // Half of the clauses use the words of the answer's own keys.
  const roles = r.next() < 0.4 ? ROLES[0] : r.pick(ROLES)
  const fill = (wording: string) =>
    withRoles(wording, roles)
      .replace('{S}', () => value.supplier ?? '')
      .replace('{C}', () => value.customer ?? '')
      .replace('{D}', () => value.start ?? '')
      .replace('{N}', () => value.notice ?? '')
      .replace('{F}', () => value.fee ?? '')
      .replace('{L}', () => value.law ?? '')
      .replace('{X}', company)
      .replace('{Y}', () => date(r))
      .replace('{Z}', () => duration(r))
      .replace('{A}', () => money(r))
      .replace('{P}', () => r.pick(PLACES))

  const head: string[] = []
  if (value.supplier && value.customer) head.push(word(BOTH))
  else if (value.supplier) head.push(word(SUPPLIER))
  else if (value.customer) head.push(word(CUSTOMER))
  const body: string[] = []
  if (value.start) body.push(word(START))
  if (value.notice) body.push(word(NOTICE))
  if (value.fee) body.push(word(FEE))
  if (value.law) body.push(word(LAW))
  for (let i = 1 + r.below(2); i > 0; i--) body.push(word(DISTRACTORS))
  r.shuffle(body)
  // The parties come first as a rule, not as a law.
  const sentences = r.next() < 0.8 ? [...head, ...body] : r.shuffle([...head, ...body])
  const layout = r.pick(LAYOUTS[side])
  return { text: layout.join(sentences.map(fill)), answer: value, made: { side, layout: layout.name, wordings, names } }
}

export const makeContracts = (side: keyof Half<unknown>, rows: number, seed: number, absent?: number): Contract[] => {
  const r = seeded(seed)
  return Array.from({ length: rows }, () => makeContract(r, side, absent))
}

/** Sizes and seeds of the shipped files. */
export const FILES = {
  'clauses.jsonl': { side: 'train', rows: 448, seed: 20_261_101 },
  'unseen.jsonl': { side: 'unseen', rows: 24, seed: 20_261_102 },
} as const

/** A shipped file: one clause a line, `prompt` and `completion`. */
export function fileText(name: keyof typeof FILES): string {
  const { side, rows, seed } = FILES[name]
  return makeContracts(side, rows, seed)
    .map(({ text, answer }) => `${JSON.stringify({ prompt: text, completion: JSON.stringify(answer) })}\n`)
    .join('')
}
