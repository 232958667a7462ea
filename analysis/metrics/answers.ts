/** Scores of generated answers against the right ones: as a whole, and field by field where they are JSON objects (SCI-92, SCI-93). */
import { canonicalValue } from './canonical'
import { tokenF1 } from './text'

export type RowScore = {
  correct: boolean
  /** Token F1; for JSON the mean over the fields. */
  f1: number
  /** Fields whose value is not right; empty for text. */
  wrongFields: string[]
}
export type FieldScore = {
  name: string
  exactMatch: number
  f1: number
  truePositives: number
  falsePositives: number
  falseNegatives: number
}
export type AnswerScores = {
  kind: 'json' | 'text'
  exactMatch: number
  tokenF1: number
  rows: RowScore[]
  /** Share of answers that are one JSON object and nothing else; null for text. */
  jsonValid: number | null
  /** Share of answers that hold exactly the expected fields; null for text. */
  schemaValid: number | null
  fields: FieldScore[]
  microF1: number | null
  macroF1: number | null
  /** Values given for fields that are absent, over all absent fields (SCI-94); null for text or where no field is absent. */
  absentInvented: number | null
}

type Json = Record<string, unknown>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

function parseObject(text: string): Json | null {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : null
  } catch {
    return null
  }
}

/** The first balanced `{…}` of a text that parses: answers often come inside a sentence or a code fence. `strict`: nothing stood around it. */
export function extractObject(text: string): { value: Json; strict: boolean } | null {
  const whole = parseObject(text.trim())
  if (whole) return { value: whole, strict: true }
  for (let start = text.indexOf('{'), tries = 0; start >= 0 && tries < 20; start = text.indexOf('{', start + 1), tries++) {
    let depth = 0
    let inside = false
    for (let i = start; i < text.length; i++) {
      const c = text[i]
      if (inside) {
        if (c === '\\') i++
        else if (c === '"') inside = false
      } else if (c === '"') inside = true
      else if (c === '{') depth++
      else if (c === '}' && --depth === 0) {
        const value = parseObject(text.slice(start, i + 1))
        if (value) return { value, strict: false }
        break
      }
    }
  }
  return null
}

/** `auto`: JSON where every expected answer is a JSON object. Both lists have one entry a row, in the same order. */
export function scoreAnswers(
  expected: readonly string[],
  answers: readonly string[],
  kind: 'auto' | 'json' | 'text' = 'auto',
): AnswerScores {
  if (expected.length !== answers.length)
    throw new Error(`scoreAnswers: ${expected.length} expected answers and ${answers.length} given ones`)
  const golds = expected.map((text) => parseObject(text))
  const json = kind === 'json' || (kind === 'auto' && golds.length > 0 && golds.every((g) => g !== null))
  return json
    ? scoreJson(
        golds.map((g) => g ?? {}),
        answers,
      )
    : scoreText(expected, answers)
}

function scoreText(expected: readonly string[], answers: readonly string[]): AnswerScores {
  const rows = expected.map(
    (gold, i): RowScore => ({
      correct: canonicalValue(gold) === canonicalValue(answers[i]),
      f1: tokenF1(answers[i] ?? '', gold),
      wrongFields: [],
    }),
  )
  return {
    kind: 'text',
    exactMatch: mean(rows.map((r) => Number(r.correct))),
    tokenF1: mean(rows.map((r) => r.f1)),
    rows,
    jsonValid: null,
    schemaValid: null,
    fields: [],
    microF1: null,
    macroF1: null,
    absentInvented: null,
  }
}

function scoreJson(golds: readonly Json[], answers: readonly string[]): AnswerScores {
  const names = [...new Set(golds.flatMap((g) => Object.keys(g)))]
  const fields = new Map(names.map((name) => [name, { right: 0, f1: 0, tp: 0, fp: 0, fn: 0 }]))
  let strict = 0
  let schema = 0
  let absent = 0
  let invented = 0
  const rows = golds.map((gold, i): RowScore => {
    const found = extractObject(answers[i] ?? '')
    const answer = found?.value ?? {}
    if (found?.strict) strict++
    if (found && sameKeys(gold, answer)) schema++
    const wrongFields: string[] = []
    let f1 = 0
    for (const name of names) {
      const field = fields.get(name) as { right: number; f1: number; tp: number; fp: number; fn: number }
      const want = canonicalValue(gold[name])
      // No object at all is a wrong answer for every field, also for the absent ones.
      const got = found ? canonicalValue(answer[name]) : '\0'
      const right = want === got
      const given = found !== null && got !== ''
      if (right) field.right++
      else wrongFields.push(name)
      // SCI-93: null and null is a true negative; a wrong value is one false positive and one false negative.
      if (want !== '' && right) field.tp++
      else {
        if (given) field.fp++
        if (want !== '') field.fn++
      }
      if (want === '') {
        absent++
        if (given) invented++
      }
      f1 += found ? tokenF1(textOf(answer[name]), textOf(gold[name])) : 0
    }
    // A field nobody asked for is an invention, unless it is null.
    const extra = Object.keys(answer).filter((name) => !fields.has(name) && canonicalValue(answer[name]) !== '')
    wrongFields.push(...extra)
    return { correct: found !== null && wrongFields.length === 0, f1: names.length ? f1 / names.length : 0, wrongFields }
  })
  const n = Math.max(1, golds.length)
  const scored = [...fields].map(
    ([name, f]): FieldScore => ({
      name,
      exactMatch: f.right / n,
      f1: f1Of(f.tp, f.fp, f.fn),
      truePositives: f.tp,
      falsePositives: f.fp,
      falseNegatives: f.fn,
    }),
  )
  const total = scored.reduce(
    (sum, f) => ({ tp: sum.tp + f.truePositives, fp: sum.fp + f.falsePositives, fn: sum.fn + f.falseNegatives }),
    { tp: 0, fp: 0, fn: 0 },
  )
  return {
    kind: 'json',
    exactMatch: mean(rows.map((r) => Number(r.correct))),
    tokenF1: mean(rows.map((r) => r.f1)),
    rows,
    jsonValid: strict / n,
    schemaValid: schema / n,
    fields: scored,
    microF1: f1Of(total.tp, total.fp, total.fn),
    macroF1: mean(scored.map((f) => f.f1)),
    absentInvented: absent > 0 ? invented / absent : null,
  }
}

const sameKeys = (a: Json, b: Json) => Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((k) => k in b)
const textOf = (value: unknown): string =>
  value === null || value === undefined ? '' : typeof value === 'object' ? JSON.stringify(value) : String(value)
const mean = (values: readonly number[]): number => (values.length ? values.reduce((a, b) => a + b, 0) / values.length : 0)
/** 1 where nothing was there and nothing was claimed. */
const f1Of = (tp: number, fp: number, fn: number): number => (tp + fp + fn === 0 ? 1 : (2 * tp) / (2 * tp + fp + fn))
