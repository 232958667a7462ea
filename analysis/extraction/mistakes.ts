/** What is wrong with answers, the most telling mistake first: the rejected side of preference pairs. */
import { extractObject } from '../metrics/answers'
import { canonicalValue } from '../metrics/canonical'
import type { CanonicalRow, Message } from '../rows'
import { canonicalField, type FieldType, isAbsent, Source, typeOfValues } from './fields'

export type Mistake = { answer: string; kind: 'not in the source' | 'invented for an absent field' | 'no JSON' | 'wrong'; why: string }
const ORDER: readonly Mistake['kind'][] = ['not in the source', 'invented for an absent field', 'wrong', 'no JSON']

/** Types of the fields of JSON answers; null where not all answers are JSON objects. */
export function typesOfAnswers(golds: readonly string[]): Map<string, FieldType> | null {
  const objects = golds.map((gold) => extractObject(gold))
  if (golds.length === 0 || !objects.every((o) => o?.strict)) return null
  const names = new Set(objects.flatMap((o) => Object.keys(o?.value ?? {})))
  return new Map([...names].map((name) => [name, typeOfValues(objects.map((o) => o?.value[name]))]))
}

/** Different wrong answers of a row; none where all are right. Empty answers are no mistake to learn from. */
export function mistakesOf(
  { source, gold, answers }: { source: string; gold: string; answers: readonly string[] },
  types: Map<string, FieldType> | null,
): Mistake[] {
  const text = new Source(source)
  const want = types ? (extractObject(gold)?.value ?? {}) : {}
  const found = [...new Set(answers)].flatMap((answer): Mistake[] => {
    if (answer.trim() === '') return []
    if (!types) return canonicalValue(answer) === canonicalValue(gold) ? [] : [{ answer, kind: 'wrong', why: 'another answer' }]
    const got = extractObject(answer)?.value
    if (!got) return [{ answer, kind: 'no JSON', why: 'not a JSON object' }]
    const named = (test: (name: string, type: FieldType) => boolean) =>
      [...types].flatMap(([name, type]) => (test(name, type) ? [name] : []))
    const ungrounded = named((name, type) => !text.holds(type, got[name]))
    if (ungrounded.length > 0) return [{ answer, kind: 'not in the source', why: ungrounded.join(', ') }]
    const invented = named((name) => isAbsent(want[name]) && !isAbsent(got[name]))
    if (invented.length > 0) return [{ answer, kind: 'invented for an absent field', why: invented.join(', ') }]
    const wrong = named((name, type) => canonicalField(type, want[name]) !== canonicalField(type, got[name]))
    return wrong.length > 0 ? [{ answer, kind: 'wrong', why: wrong.join(', ') }] : []
  })
  return found.sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind))
}

/** What a row asks, in the shape a preference row keeps: the text, or the turns before the last answer. */
export function promptTurnsOf(row: CanonicalRow): string | Message[] {
  if (!Array.isArray(row.messages)) return row.prompt as string | Message[]
  const turns = row.messages as Message[]
  const last = turns.findLastIndex((m) => m.role === 'assistant')
  return turns.slice(0, last < 0 ? turns.length : last)
}
