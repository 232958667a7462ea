/** Rows that ask the same and answer differently (SCI-81): a model cannot learn both. */
import { canonicalValue } from '../metrics/canonical'
import { tokenF1 } from '../metrics/text'
import type { CanonicalRow } from '../rows'
import { nearDuplicates } from './near-duplicates'
import { askedOf, targetOf, wordsOf } from './words'

export type Contradiction = {
  /** Rows with the same question, in their order. */
  rows: number[]
  /** Those that give the answer most often given; the first answer on a tie. */
  majority: number[]
  minority: number[]
  /** True where no answer is given more often than every other. */
  tie: boolean
}

export type Task = 'extraction' | 'classification' | 'text'

/** What kind of answers a data set has: JSON objects, few short labels, or free text. */
export function taskOf(answers: readonly string[]): Task {
  const given = answers.filter((a) => a.trim() !== '')
  if (given.length === 0) return 'text'
  const objects = given.filter((a) => objectOf(a) !== null).length
  if (objects >= 0.9 * given.length) return 'extraction'
  const short = given.filter((a) => a.length <= 60 && wordsOf(a).length <= 6).length
  const labels = new Set(given.map((a) => canonicalValue(a))).size
  return short >= 0.9 * given.length && labels <= Math.max(2, Math.min(200, 0.2 * given.length)) ? 'classification' : 'text'
}

const objectOf = (text: string): Record<string, unknown> | null => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}

/** The form in which two answers that say the same are equal. */
export const canonicalAnswer = (text: string): string => canonicalValue(objectOf(text) ?? text)

const numbersOf = (text: string): string => (text.match(/\d+(?:[.,]\d+)*/g) ?? []).sort().join(' ')

/** Whether two answers to one question cannot both be right. */
export function differ(a: string, b: string, task: Task): boolean {
  if (canonicalAnswer(a) === canonicalAnswer(b)) return false
  return task !== 'text' || tokenF1(a, b) < 0.3 || numbersOf(a) !== numbersOf(b)
}

/**
 * Questions count as the same when their words are equal, or with a Jaccard similarity of 0.9; then only where no word that tells the two
 * questions apart stands in an answer: a clause with another date has another date as its answer, and that is no contradiction.
 */
export function contradictions(rows: readonly CanonicalRow[]): Contradiction[] {
  const answered = rows.map((row, i) => ({ i, asked: askedOf(row), answer: targetOf(row) })).filter((r) => r.answer.trim() !== '')
  const task = taskOf(answered.map((r) => r.answer))
  const { group } = nearDuplicates(
    answered.map((r) => r.asked),
    { threshold: 0.9, shortThreshold: 0.9, ngram: 3, shortEqual: true },
  )
  const groups = new Map<number, (typeof answered)[number][]>()
  for (const [k, row] of answered.entries()) {
    const list = groups.get(group[k] as number)
    if (list) list.push(row)
    else groups.set(group[k] as number, [row])
  }
  return [...groups.values()].flatMap((members) => {
    if (members.length < 2) return []
    const words = members.map((m) => wordsOf(m.asked))
    const explained = (a: number, b: number): boolean => {
      const [x, y] = [new Set(words[a]), new Set(words[b])]
      const apart = [...x].filter((w) => !y.has(w)).concat([...y].filter((w) => !x.has(w)))
      if (apart.length === 0) return words[a]?.join(' ') !== words[b]?.join(' ')
      if (!sameFrame(members[a]?.asked ?? '', members[b]?.asked ?? '')) return true
      const said = new Set([...wordsOf(members[a]?.answer ?? ''), ...wordsOf(members[b]?.answer ?? '')])
      return apart.some((w) => said.has(w))
    }
    // One class for each answer, made from the first row that gives it; what contradicts no class of its question joins the first.
    const classes: number[][] = []
    let contradicts = false
    for (const [k, member] of members.entries()) {
      const at = classes.findIndex(([head = 0]) => !differ(member.answer, members[head]?.answer ?? '', task))
      if (at >= 0) classes[at]?.push(k)
      else {
        contradicts ||= classes.some(([head = 0]) => !explained(k, head))
        classes.push([k])
      }
    }
    if (classes.length < 2 || !contradicts) return []
    // Only those whose question is really that of another class.
    const involved = new Set<number>()
    for (const a of classes) for (const b of classes) if (a !== b) for (const k of a) if (b.some((o) => !explained(k, o))) involved.add(k)
    const kept = classes.map((c) => c.filter((k) => involved.has(k))).filter((c) => c.length > 0)
    const most = Math.max(...kept.map((c) => c.length))
    const major = kept.find((c) => c.length === most) ?? []
    const row = (k: number) => members[k]?.i as number
    return [
      {
        rows: kept.flat().map(row).sort(ascending),
        majority: major.map(row),
        minority: kept
          .filter((c) => c !== major)
          .flat()
          .map(row)
          .sort(ascending),
        tie: kept.filter((c) => c.length === most).length > 1,
      },
    ]
  })
}

/**
 * Whether a short first line and a last question say the same: many rows ask different things of one long text, and their questions are all
 * that tells them apart.
 */
function sameFrame(a: string, b: string): boolean {
  const frame = (text: string) => {
    const lines = text.split('\n').filter((line) => line.trim() !== '')
    const first = wordsOf(lines.length > 1 ? (lines[0] ?? '') : '')
    const question = /[^.!?\n]*\?\s*$/.exec(text)?.[0] ?? ''
    return `${first.length <= 20 ? first.join(' ') : ''}|${wordsOf(question).join(' ')}`
  }
  return frame(a) === frame(b)
}

const ascending = (a: number, b: number) => a - b
