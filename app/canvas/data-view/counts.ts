/** From the token counts of a dataset to what is said about it. Pure. */
import type { DatasetTokens } from '../../../nodes/_kit/tokens'

export type RowFlag = 'long' | 'untrained' | 'no-end' | 'repeated' | 'unreadable'

export const FLAGS: Readonly<Record<RowFlag, { title: string; of(row: RowTokens): boolean }>> = {
  long: { title: 'Above the limit', of: (row) => row.long },
  untrained: { title: 'Nothing trained', of: (row) => row.length >= 0 && row.trained === 0 },
  'no-end': { title: 'End not trained', of: (row) => row.length >= 0 && row.trained > 0 && !row.endTrained },
  repeated: { title: 'Repeated', of: (row) => row.repeated },
  unreadable: { title: 'No tokens', of: (row) => row.length < 0 },
}

export type RowTokens = {
  /** −1: it cannot be written as tokens. */
  readonly length: number
  readonly trained: number
  readonly long: boolean
  readonly endTrained: boolean
  readonly repeated: boolean
}

export function rowTokens(found: DatasetTokens, maxLength: number | null): RowTokens[] {
  const ends = new Set(found.endNotTrained)
  const repeats = new Set(found.duplicates)
  return found.lengths.map((length, i) => ({
    length,
    trained: found.trained[i] ?? 0,
    long: maxLength !== null && length > maxLength,
    endTrained: length >= 0 && !ends.has(i),
    repeated: repeats.has(i),
  }))
}

export type Totals = {
  readonly rows: number
  readonly tokens: number
  readonly trained: number
  readonly median: number
  readonly longest: number
  readonly shortest: number
  readonly endTrained: number
  readonly flags: Readonly<Record<RowFlag, number>>
}

export function totalsOf(rows: readonly RowTokens[]): Totals {
  const lengths = rows
    .filter((row) => row.length >= 0)
    .map((row) => row.length)
    .sort((a, b) => a - b)
  const sum = (of: (row: RowTokens) => number) => rows.reduce((total, row) => total + of(row), 0)
  return {
    rows: rows.length,
    tokens: sum((row) => Math.max(0, row.length)),
    trained: sum((row) => row.trained),
    median: lengths[lengths.length >> 1] ?? 0,
    longest: lengths.at(-1) ?? 0,
    shortest: lengths[0] ?? 0,
    endTrained: rows.filter((row) => row.endTrained).length,
    flags: Object.fromEntries((Object.keys(FLAGS) as RowFlag[]).map((flag) => [flag, rows.filter(FLAGS[flag].of).length])) as Record<
      RowFlag,
      number
    >,
  }
}

/** Bars of equal width over the lengths; the bar that holds the limit counts as below it only where all of it is. */
export function histogram(rows: readonly RowTokens[], bars: number): { from: number; to: number; rows: number }[] {
  const lengths = rows.filter((row) => row.length >= 0).map((row) => row.length)
  if (lengths.length === 0) return []
  const low = lengths.reduce((a, b) => Math.min(a, b))
  const high = lengths.reduce((a, b) => Math.max(a, b))
  const width = Math.max(1, Math.ceil((high - low + 1) / bars))
  const number = Math.ceil((high - low + 1) / width)
  const counts = new Array<number>(number).fill(0)
  for (const length of lengths) counts[Math.floor((length - low) / width)] = (counts[Math.floor((length - low) / width)] ?? 0) + 1
  return counts.map((count, i) => ({ from: low + i * width, to: low + (i + 1) * width - 1, rows: count }))
}

/** A limit that takes every row: the longest, in steps of 8. */
export const limitFor = (longest: number): number => Math.ceil(longest / 8) * 8
