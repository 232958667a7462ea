/** Rows that are unlike the rest in length or language, and answers that are not whole. */
import type { CanonicalRow, Message } from '../rows'
import { languageOf } from './language'
import { contentOf, targetOf } from './words'

export type Odd = { row: number; detail: string }

const median = (sorted: readonly number[]): number => {
  const middle = sorted.length / 2
  return sorted.length === 0
    ? 0
    : Number.isInteger(middle)
      ? ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
      : (sorted[Math.floor(middle)] ?? 0)
}

/** Rows from which lengths can be called usual or not. */
const ENOUGH = 30

/**
 * Rows whose length stands out: modified z-score over log lengths above 3.5 (Iglewicz and Hoaglin 1993) and at least four times longer or
 * shorter than the middle one. The second half keeps quiet where all rows are about as long and the spread is nearly nothing.
 */
export function lengthOutliers(rows: readonly CanonicalRow[]): Odd[] {
  if (rows.length < ENOUGH) return []
  const lengths = rows.map((row) => contentOf(row).length)
  const logs = lengths.map((n) => Math.log(n + 1))
  const middle = median([...logs].sort((a, b) => a - b))
  const spread = median(logs.map((l) => Math.abs(l - middle)).sort((a, b) => a - b))
  const usual = Math.round(Math.exp(middle) - 1)
  return lengths.flatMap((n, row): Odd[] => {
    const off = Math.abs((logs[row] as number) - middle)
    if (off < Math.log(4) || (spread > 0 && (0.6745 * off) / spread <= 3.5)) return []
    return [{ row, detail: `${n.toLocaleString('en-US')} characters; half of the rows have less than ${usual.toLocaleString('en-US')}` }]
  })
}

/** Rows in another language than nine tenths of those whose language can be told. */
export function languageOutliers(rows: readonly CanonicalRow[]): { language: string | null; odd: Odd[] } {
  const found = rows.map((row) => languageOf(contentOf(row)))
  const counts = new Map<string, number>()
  for (const language of found) if (language) counts.set(language, (counts.get(language) ?? 0) + 1)
  const known = [...counts.values()].reduce((a, b) => a + b, 0)
  const [top] = [...counts].sort((a, b) => b[1] - a[1])
  if (!top || known < ENOUGH || top[1] < 0.9 * known) return { language: top && top[1] >= 0.9 * known ? top[0] : null, odd: [] }
  return {
    language: top[0],
    odd: found.flatMap((language, row) => (language && language !== top[0] ? [{ row, detail: `${language}, the rest is ${top[0]}` }] : [])),
  }
}

/** Control tokens of chat templates and document ends, written as text: they would be tokenised as the real ones, or trained as noise. */
const CONTROL =
  /<\|(?:im_start|im_end|im_sep|endoftext|begin_of_text|end_of_text|start_header_id|end_header_id|eot_id|system|user|assistant|end|endofprompt)\|>|<(?:start_of_turn|end_of_turn|bos|eos)>|<\/?s>(?=\s|$|\[)|\[\/?INST\]|<<\/?SYS>>|^### (?:Instruction|Response|Human|Assistant|Input):/m

/** Fields of a row that hold text. */
export function textsOf(row: CanonicalRow): { place: string; text: string }[] {
  const out: { place: string; text: string }[] = []
  const add = (place: string, value: unknown) => {
    if (typeof value === 'string') out.push({ place, text: value })
    else if (Array.isArray(value))
      for (const [i, turn] of (value as Message[]).entries())
        if (typeof turn?.content === 'string') out.push({ place: `${place}, ${turn.role} turn ${i + 1}`, text: turn.content })
  }
  for (const name of ['messages', 'prompt', 'completion', 'chosen', 'rejected', 'text']) add(name, row[name])
  return out
}

export function templateTokens(rows: readonly CanonicalRow[]): Odd[] {
  return rows.flatMap((row, i) => {
    for (const { place, text } of textsOf(row)) {
      const token = CONTROL.exec(text)?.[0]
      if (token) return [{ row: i, detail: `${place} holds “${token}”` }]
    }
    return []
  })
}

export const emptyTargets = (rows: readonly CanonicalRow[]): Odd[] =>
  rows.flatMap((row, i) => {
    const trains = 'text' in row && !('completion' in row) ? String(row.text ?? '') : 'chosen' in row ? 'x' : targetOf(row)
    return trains.trim() === '' && !hasToolCall(row) ? [{ row: i, detail: 'no answer to train on' }] : []
  })

const hasToolCall = (row: CanonicalRow) => Array.isArray(row.messages) && (row.messages as Message[]).at(-1)?.tool_calls !== undefined

const ENDS = /[.!?…。！？:;)\]}"'”’»`*_>|]\s*$|[\p{So}\p{Emoji_Presentation}]\s*$/u

/**
 * Answers that stop in the middle: JSON that began and does not end where the others are JSON, an open code fence, no end mark where nine in
 * ten long answers have one, or a length that many rows share as their longest (a limit of whatever wrote them).
 */
export function truncatedTargets(rows: readonly CanonicalRow[]): Odd[] {
  const answers = rows.map(targetOf)
  const given = answers.filter((a) => a.trim() !== '')
  const json = given.filter((a) => parses(a)).length >= 0.5 * given.length && given.length > 0
  const long = given.filter((a) => a.length >= 80 && !parses(a))
  const marked = long.length >= ENOUGH && long.filter((a) => ENDS.test(a)).length >= 0.9 * long.length
  const longest = Math.max(0, ...answers.map((a) => a.length))
  const atLimit = longest >= 100 ? answers.filter((a) => a.length === longest).length : 0
  return answers.flatMap((answer, row): Odd[] => {
    if (answer.trim() === '' || parses(answer)) return []
    if (json && /^\s*[[{]/.test(answer)) return [{ row, detail: 'the JSON of the answer is not complete' }]
    if ((answer.match(/^```/gm)?.length ?? 0) % 2 === 1) return [{ row, detail: 'a code block of the answer is not closed' }]
    if (marked && answer.length >= 80 && !ENDS.test(answer)) return [{ row, detail: 'the answer ends without an end mark' }]
    if (atLimit >= 3 && answer.length === longest && !ENDS.test(answer))
      return [{ row, detail: `${atLimit} answers end at exactly ${longest.toLocaleString('en-US')} characters` }]
    return []
  })
}

function parses(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
