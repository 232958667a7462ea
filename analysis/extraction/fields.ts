/** Fields of an extraction: their types, one form for values that mean the same, and whether a value stands in its source (SCI-92, SCI-94). */
import { canonicalValue, levelText, parseAmount, parseDate, parseDuration, parseMoney } from '../metrics/canonical'

export const FIELD_TYPES = ['text', 'date', 'money', 'duration', 'number', 'jurisdiction', 'list', 'boolean'] as const
export type FieldType = (typeof FIELD_TYPES)[number]

/** Words around the name of a place that say only that its law applies. */
const LAW_WORDS =
  /\b(?:the|internal|substantive|laws?|of|state|commonwealth|province|kingdom|republic|federal|governed|by|and|construed|in|accordance|with)\b/g
const TRUE = new Set(['true', 'yes', 'y', '1'])
const FALSE = new Set(['false', 'no', 'n', '0'])

const absent = (value: unknown): boolean => value === null || value === undefined || (typeof value === 'string' && value.trim() === '')
export const isAbsent = absent

/** The type that all given values have; `text` where they have none in common. */
export function typeOfValues(values: readonly unknown[]): FieldType {
  const present = values.filter((v) => !absent(v))
  if (present.length === 0) return 'text'
  if (present.every((v) => typeof v === 'boolean')) return 'boolean'
  if (present.every(Array.isArray)) return 'list'
  const texts = present.map((v) => levelText(String(v)))
  const all = (test: (text: string) => boolean) => texts.every(test)
  if (all((t) => parseDate(t) !== null)) return 'date'
  if (all((t) => parseMoney(t) !== null)) return 'money'
  if (all((t) => parseDuration(t) !== null)) return 'duration'
  if (all((t) => parseAmount(t) !== null)) return 'number'
  return 'text'
}

/** The form in which values of a type that mean the same are equal; '' for an absent one. */
export function canonicalField(type: FieldType, value: unknown): string {
  if (absent(value)) return ''
  if (type === 'list') {
    const items = Array.isArray(value) ? value : String(value).split(/\s*(?:;|\band\b)\s*/)
    return items.map(canonicalValue).filter(Boolean).sort().join(' | ')
  }
  const text = levelText(typeof value === 'object' ? JSON.stringify(value) : String(value))
  switch (type) {
    case 'date':
      return parseDate(text) ?? text
    case 'money':
      return parseMoney(text) ?? canonicalValue(text)
    case 'duration':
      return parseDuration(text) ?? text
    case 'number':
      return canonicalValue(text)
    case 'boolean':
      return TRUE.has(text) ? 'true' : FALSE.has(text) ? 'false' : text
    case 'jurisdiction':
      return (
        text
          .replace(LAW_WORDS, ' ')
          .replace(/[^\p{L}\p{N} ]/gu, ' ')
          .replace(/\s+/g, ' ')
          .trim() || text
      )
    default:
      return canonicalValue(value)
  }
}

/** Longest run of words that a date, a sum or a period is written in. */
const MOST_WORDS = 7

/** A source, read once: which values stand in it, and where. */
export class Source {
  readonly #text: string
  readonly #level: string
  #parsed: Map<string, string> | null = null

  constructor(text: string) {
    this.#text = text
    this.#level = ` ${bare(text)} `
  }

  /** Whether a value stands in the source: word by word after levelling, or as a date, sum or period that means the same. */
  holds(type: FieldType, value: unknown): boolean {
    if (absent(value)) return true
    if (Array.isArray(value)) return value.every((item) => this.holds('text', item))
    if (typeof value === 'boolean') return true
    const said = bare(String(value))
    if (said === '') return true
    if (this.#level.includes(` ${said} `)) return true
    this.#parsed ??= parsedSpans(this.#text)
    const form = canonicalField(type === 'text' || type === 'list' || type === 'jurisdiction' ? 'text' : type, value)
    return this.#parsed.has(form)
  }
}

/** Lower case words without punctuation: "Acme, Inc." is "acme inc". A point or comma inside a figure stays. */
const bare = (text: string): string =>
  levelText(text)
    .replace(/(?<!\d)[.,](?!\d)|(?<=\d)[.,](?!\d)|(?<!\d)[.,](?=\d)/g, ' ')
    .replace(/[^\p{L}\p{N}.,%€$£¥]+/gu, ' ')
    .trim()

/** Canonical form → as written, of every date, sum, period and figure in a text. */
function parsedSpans(text: string): Map<string, string> {
  const found = new Map<string, string>()
  const words = text.replace(/\s+/g, ' ').trim().split(' ')
  for (let i = 0; i < words.length; i++) {
    for (let n = 1; n <= MOST_WORDS && i + n <= words.length; n++) {
      const span = words
        .slice(i, i + n)
        .join(' ')
        .replace(/^["'“‘([]+|["'”’)\].,;:]+$/g, '')
      const level = levelText(span)
      const amount = parseAmount(level)
      const form = parseDate(level) ?? parseMoney(level) ?? parseDuration(level) ?? (amount === null ? null : String(amount))
      if (form !== null && !found.has(form)) found.set(form, span)
    }
  }
  return found
}
