/** Lists in one field: numbers as `0-3, 7`, texts one to a line. */
import { rangeWords } from '../../nodes/_kit/words'

/** Whole numbers and ranges; null when something else is in it. At most `limit` numbers. */
export function parseIndexes(text: string, limit = 10_000): number[] | null {
  const found = new Set<number>()
  for (const part of text.split(/[,;\s]+/).filter(Boolean)) {
    const span = /^(\d{1,6})(?:[-–](\d{1,6}))?$/.exec(part)
    if (!span) return null
    const [from, to] = [Number(span[1]), Number(span[2] ?? span[1])]
    if (to < from || to - from > limit) return null
    for (let i = from; i <= to; i++) found.add(i)
    if (found.size > limit) return null
  }
  return [...found].sort((a, b) => a - b)
}

export const indexesText = (numbers: readonly number[]): string => rangeWords(numbers)

export const parseLines = (text: string): string[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
