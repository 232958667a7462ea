/** Dividing rows so that no row, and no twin of a row, is on two sides. */
import { canonicalAnswer } from './quality/contradictions'
import { NEAR, nearDuplicates } from './quality/near-duplicates'
import { askedOf, Groups } from './quality/words'
import { seeded } from './random'
import { answerOf, type CanonicalRow, promptOf } from './rows'

export type SplitRequest = {
  /** Wanted number of rows; the rest trains. */
  validation: number
  test: number
  seed: number
  /** Off: the last rows are held out. */
  shuffle: boolean
  /** Rows with equal values here stay together; empty: no groups. */
  groupColumn?: string
  /** Rows whose questions nearly repeat each other stay together (SCI-80). */
  nearDuplicates?: boolean
  /** The latest rows are held out, by the time or number here; empty: no times. */
  timeColumn?: string
  /** Each part gets its share of every answer, or of every value of a column. */
  stratify?: 'none' | 'answer' | 'column'
  stratifyColumn?: string
}

export type Split = {
  train: CanonicalRow[]
  validation: CanonicalRow[]
  test: CanonicalRow[]
  /** Units that were moved as a whole. */
  groups: number
  /** Rows that share a unit with another row because their prompts are the same, or nearly so. */
  twins: number
}

/** Case, width, punctuation at the ends and runs of space do not make a different question. */
export const levelled = (text: string): string =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/^[\s"'.,;:!?]+|[\s"'.,;:!?]+$/g, '')

/** Value of a column, which may be one of the source or of the row itself; null where it is empty. */
export function columnValue(row: CanonicalRow, column: string): unknown {
  const value = row.columns?.[column] ?? row[column]
  return value === undefined || value === '' ? null : value
}

/** A time or number to sort by; NaN where the value is neither. */
export function timeOf(value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value !== 'string' || value.trim() === '') return Number.NaN
  const number = Number(value)
  return Number.isNaN(number) ? Date.parse(value) : number
}

/**
 * Divides rows by whole units: rows with the same prompt, nearly the same one where that is wanted, or the same value in the group column, are
 * one unit. Test is filled first, then validation; a unit that does not fit any more is passed over, so the sizes come as near as units allow.
 * By time the latest units are held out, and the first that does not fit ends it, so that nothing held out is older than a row that trains.
 * Within each part the order is that of the source. Deterministic: same rows, same request, same result.
 */
export function splitRows(rows: readonly CanonicalRow[], request: SplitRequest): Split {
  const { units, twins } = unitsOf(rows, request.groupColumn ?? '', request.nearDuplicates ?? false)
  const order = units.map((_, i) => i)
  const byTime = request.timeColumn ? request.timeColumn : null
  if (byTime !== null) {
    const times = units.map((members) => Math.max(...members.map((i) => timeOf(columnValue(rows[i] as CanonicalRow, byTime)))))
    order.sort((a, b) => (times[b] as number) - (times[a] as number) || (units[b]?.[0] ?? 0) - (units[a]?.[0] ?? 0))
  } else if (request.shuffle) seeded(request.seed).shuffle(order)
  else order.reverse()
  const side = new Array<'train' | 'validation' | 'test'>(units.length).fill('train')
  // One unit always trains.
  let free = units.length - 1
  const fill = (name: 'validation' | 'test', among: readonly number[], wanted: number): number => {
    let room = wanted
    for (const u of among) {
      if (room <= 0 || free <= 0) break
      if (side[u] !== 'train') continue
      const size = (units[u] as number[]).length
      if (size > room) {
        if (byTime !== null) break
        continue
      }
      side[u] = name
      room -= size
      free--
    }
    return wanted - room
  }
  const strata = stratify(rows, units, order, request)
  for (const name of ['test', 'validation'] as const) {
    let taken = 0
    if (strata) {
      const quota = quotas(
        strata.map((s) => s.rows),
        request[name],
      )
      for (const [i, { order: own }] of strata.entries()) taken += fill(name, own, quota[i] as number)
    }
    // Units are not divided, so some places may be left over.
    fill(name, order, request[name] - taken)
  }
  const of: ('train' | 'validation' | 'test')[] = new Array(rows.length)
  for (const [u, members] of units.entries()) for (const row of members) of[row] = side[u] as 'train'
  const take = (name: 'train' | 'validation' | 'test') => rows.filter((_, i) => of[i] === name)
  return { train: take('train'), validation: take('validation'), test: take('test'), groups: units.length, twins }
}

/** Units by the label that most of their rows have, each in the drawn order; null where nothing is to be balanced. */
function stratify(
  rows: readonly CanonicalRow[],
  units: readonly number[][],
  order: readonly number[],
  request: SplitRequest,
): { order: number[]; rows: number }[] | null {
  if (!request.stratify || request.stratify === 'none') return null
  const label = (i: number): string => {
    const row = rows[i] as CanonicalRow
    return request.stratify === 'answer' ? canonicalAnswer(answerOf(row)) : JSON.stringify(columnValue(row, request.stratifyColumn ?? ''))
  }
  const strata = new Map<string, { order: number[]; rows: number }>()
  for (const u of order) {
    const counts = new Map<string, number>()
    for (const i of units[u] as number[]) counts.set(label(i), (counts.get(label(i)) ?? 0) + 1)
    const [name] = [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best))
    const stratum = strata.get(name) ?? { order: [], rows: 0 }
    stratum.order.push(u)
    stratum.rows += (units[u] as number[]).length
    strata.set(name, stratum)
  }
  return [...strata.values()]
}

/** Shares of `wanted` in proportion to `sizes`, whole and summing to it: the largest remainders get what rounding down leaves. */
export function quotas(sizes: readonly number[], wanted: number): number[] {
  const all = sizes.reduce((a, b) => a + b, 0)
  if (all === 0) return sizes.map(() => 0)
  const exact = sizes.map((n) => (n * Math.min(wanted, all)) / all)
  const out = exact.map(Math.floor)
  const left = Math.min(wanted, all) - out.reduce((a, b) => a + b, 0)
  const by = exact.map((e, i) => ({ i, rest: e - Math.floor(e) })).sort((a, b) => b.rest - a.rest || a.i - b.i)
  for (const { i } of by.slice(0, left)) out[i] = (out[i] as number) + 1
  return out
}

/** Row indices joined into units by shared prompt, likeness or group. */
function unitsOf(rows: readonly CanonicalRow[], groupColumn: string, near: boolean): { units: number[][]; twins: number } {
  const groups = new Groups(rows.length)
  const shared = new Set<number>()
  const join = (key: (row: CanonicalRow) => string | null, note?: Set<number>): void => {
    const first = new Map<string, number>()
    for (const [i, row] of rows.entries()) {
      const value = key(row)
      if (value === null) continue
      const seen = first.get(value)
      if (seen === undefined) first.set(value, i)
      else {
        groups.join(i, seen)
        note?.add(i).add(seen)
      }
    }
  }
  join((row) => levelled(promptOf(row)), shared)
  if (near) {
    // One word makes a short question another question; there only equal words are the same.
    const { of, group } = nearDuplicates(rows.map(askedOf), { ...NEAR, shortEqual: true })
    for (const [i, j] of of.entries())
      if (j >= 0) {
        groups.join(i, group[i] as number)
        shared.add(i).add(j)
      }
  }
  if (groupColumn)
    join((row) => {
      const value = columnValue(row, groupColumn)
      return value === null ? null : JSON.stringify(value)
    })
  const units = new Map<number, number[]>()
  for (let i = 0; i < rows.length; i++) {
    const r = groups.root(i)
    const members = units.get(r)
    if (members) members.push(i)
    else units.set(r, [i])
  }
  return { units: [...units.values()], twins: shared.size }
}
