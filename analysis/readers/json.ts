import { type Fault, fault, READ_LIMITS, type ReadOptions, type SourceRow } from '../table'
import { explainJson, placeOf, surveyJson } from './json-scan'
import { badByteFault, byteLines, decodeAll, firstBadByte, isBlank } from './text-bytes'

type Read = { rows: SourceRow[]; errors: Fault[]; warnings: Fault[] }

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const kindOf = (value: unknown) => (value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`)

/** One JSON object a line. Blank lines are skipped and counted; a bad line costs itself only. */
export function readJsonl(bytes: Uint8Array, options: ReadOptions, base: number): Read {
  const rows: SourceRow[] = []
  const errors: Fault[] = []
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const max = Math.min(options.maxRows ?? READ_LIMITS.rows, READ_LIMITS.rows)
  for (const { line, bytes: raw, offset } of byteLines(bytes)) {
    if (rows.length >= max) break
    const bad = firstBadByte(raw)
    if (bad >= 0) {
      errors.push(badByteFault(line, raw[bad] as number, base + offset + bad))
      continue
    }
    const text = decoder.decode(raw)
    if (isBlank(text)) continue
    if (surveyJson(text, READ_LIMITS.nesting).tooDeep !== null) {
      errors.push(fault(line, 'too_deep', `more than ${READ_LIMITS.nesting} levels of nesting`))
      continue
    }
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (cause) {
      const found = explainJson(text)
      const reason = found?.reason.replace('in one place: a line break or comma is missing', 'in one line') ?? (cause as Error).message
      errors.push({ ...fault(line, 'bad_json', reason), column: (found?.offset ?? 0) + 1 })
      continue
    }
    if (isObject(value)) rows.push({ line, value })
    else errors.push(fault(line, 'not_an_object', `valid JSON but not an object: ${kindOf(value)}`))
  }
  return { rows, errors, warnings: [] }
}

/** An array of objects, or an object whose only list is that array (`{"data": […]}`). A fault anywhere means nothing can be trusted. */
export function readJson(bytes: Uint8Array, options: ReadOptions, base: number): Read {
  const { text, fault: bad } = decodeAll(bytes, base)
  const fail = (f: Fault): Read => ({ rows: [], errors: [f], warnings: [] })
  if (bad) return fail(bad)
  if (isBlank(text)) return fail(fault(null, 'empty', 'empty file'))
  const survey = surveyJson(text, READ_LIMITS.nesting)
  if (survey.tooDeep !== null)
    return fail({ ...placeOf(text, survey.tooDeep), code: 'too_deep', reason: `more than ${READ_LIMITS.nesting} levels of nesting` })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const found = explainJson(text)
    if (!found) return fail(fault(null, 'bad_json', (cause as Error).message))
    // The end of a cut file is where its last text stands, not the empty line after it.
    const offset = Math.min(found.offset, Math.max(0, text.trimEnd().length - 1))
    const early = found.offset >= text.length || found.reason.includes('cut off')
    return fail({ ...placeOf(text, offset), code: 'bad_json', reason: early ? `unexpected end of file: ${found.reason}` : found.reason })
  }
  let list: unknown = value
  if (isObject(value)) {
    const lists = Object.values(value).filter(Array.isArray)
    if (lists.length !== 1) return fail(fault(1, 'not_a_list', 'a list of objects expected; this is one object'))
    list = lists[0]
  }
  if (!Array.isArray(list)) return fail(fault(1, 'not_a_list', `a list of objects expected; this is ${kindOf(value)}`))
  const rows: SourceRow[] = []
  const errors: Fault[] = []
  const lineOf = lineCounter(text)
  const placed = list === value
  for (const [i, item] of list.entries()) {
    if (rows.length >= (options.maxRows ?? READ_LIMITS.rows)) break
    const offset = placed ? survey.elements[i] : undefined
    const line = offset === undefined ? null : lineOf(offset)
    if (isObject(item)) rows.push({ line, value: item })
    else errors.push(fault(line, 'not_an_object', `element ${i + 1} is ${kindOf(item)}, not an object`))
  }
  return { rows, errors, warnings: [] }
}

/** Line of ever larger offsets, in one pass over the text. */
function lineCounter(text: string): (offset: number) => number {
  let line = 1
  let next = text.indexOf('\n')
  return (offset) => {
    while (next >= 0 && next < offset) {
      line++
      next = text.indexOf('\n', next + 1)
    }
    return line
  }
}
