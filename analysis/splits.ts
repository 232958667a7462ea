/** Dividing rows so that no row, and no twin of a row, is on two sides. */
import { seeded } from './random'
import { type CanonicalRow, promptOf } from './rows'

export type SplitRequest = {
  /** Wanted number of rows; the rest trains. */
  validation: number
  test: number
  seed: number
  /** Off: the last rows are held out. */
  shuffle: boolean
  /** Rows with equal values here stay together; empty: no groups. */
  groupColumn?: string
}

export type Split = {
  train: CanonicalRow[]
  validation: CanonicalRow[]
  test: CanonicalRow[]
  /** Units that were moved as a whole. */
  groups: number
  /** Rows that share a unit with another row because their prompts are the same. */
  twins: number
}

/** Case, width, punctuation at the ends and runs of space do not make a different question. */
export const levelled = (text: string): string =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .replace(/^[\s"'.,;:!?]+|[\s"'.,;:!?]+$/g, '')

/**
 * Divides rows by whole units: rows with the same prompt, or the same value in the group column, are one unit. Test is filled first,
 * then validation; a unit that does not fit any more is passed over, so the sizes come as near as units allow. Within each part the
 * order is that of the source. Deterministic: same rows, same request, same result.
 */
export function splitRows(rows: readonly CanonicalRow[], request: SplitRequest): Split {
  const { units, twins } = unitsOf(rows, request.groupColumn ?? '')
  const order = units.map((_, i) => i)
  if (request.shuffle) seeded(request.seed).shuffle(order)
  else order.reverse()
  const side = new Array<'train' | 'validation' | 'test'>(units.length).fill('train')
  // One unit always trains.
  let free = units.length - 1
  for (const name of ['test', 'validation'] as const) {
    let room = request[name]
    for (const u of order) {
      if (room <= 0 || free <= 0) break
      const size = (units[u] as number[]).length
      if (side[u] !== 'train' || size > room) continue
      side[u] = name
      room -= size
      free--
    }
  }
  const of: ('train' | 'validation' | 'test')[] = new Array(rows.length)
  for (const [u, members] of units.entries()) for (const row of members) of[row] = side[u] as 'train'
  const take = (name: 'train' | 'validation' | 'test') => rows.filter((_, i) => of[i] === name)
  return { train: take('train'), validation: take('validation'), test: take('test'), groups: units.length, twins }
}

/** Row indices joined into units by shared prompt or group (union-find). */
function unitsOf(rows: readonly CanonicalRow[], groupColumn: string): { units: number[][]; twins: number } {
  const parent = rows.map((_, i) => i)
  const root = (i: number): number => {
    let r = i
    while (parent[r] !== r) r = parent[r] as number
    while (parent[i] !== r) {
      const next = parent[i] as number
      parent[i] = r
      i = next
    }
    return r
  }
  const join = (keys: (row: CanonicalRow) => string | null): number => {
    const first = new Map<string, number>()
    const shared = new Set<number>()
    for (const [i, row] of rows.entries()) {
      const key = keys(row)
      if (key === null) continue
      const seen = first.get(key)
      if (seen === undefined) first.set(key, i)
      else {
        parent[root(i)] = root(seen)
        shared.add(i).add(seen)
      }
    }
    return shared.size
  }
  const twins = join((row) => levelled(promptOf(row)))
  if (groupColumn)
    join((row) => {
      const value = row.columns?.[groupColumn] ?? row[groupColumn]
      return value === undefined || value === null || value === '' ? null : JSON.stringify(value)
    })
  const units = new Map<number, number[]>()
  for (let i = 0; i < rows.length; i++) {
    const r = root(i)
    const members = units.get(r)
    if (members) members.push(i)
    else units.set(r, [i])
  }
  return { units: [...units.values()], twins }
}
