/**
 * One form for values that mean the same (SCI-92): NFKC, case, spaces and quotes; dates as ISO; money as amount and currency;
 * durations as days; numbers without grouping. A value that fits no such kind is compared as levelled text.
 */

const MONTHS = ['january', 'february', 'march', 'april', 'may', 'june', 'july', 'august', 'september', 'october', 'november', 'december']
const CURRENCIES: Record<string, string> = {
  '€': 'EUR',
  eur: 'EUR',
  euro: 'EUR',
  euros: 'EUR',
  $: 'USD',
  us$: 'USD',
  usd: 'USD',
  dollar: 'USD',
  dollars: 'USD',
  'us dollars': 'USD',
  'u.s. dollars': 'USD',
  '£': 'GBP',
  gbp: 'GBP',
  pound: 'GBP',
  pounds: 'GBP',
  'pounds sterling': 'GBP',
  '¥': 'JPY',
  jpy: 'JPY',
  yen: 'JPY',
  chf: 'CHF',
  'swiss francs': 'CHF',
  francs: 'CHF',
  cad: 'CAD',
  aud: 'AUD',
  sek: 'SEK',
  nok: 'NOK',
  dkk: 'DKK',
  pln: 'PLN',
  czk: 'CZK',
  inr: 'INR',
  cny: 'CNY',
}
/** Calendar units in days, as in SCI-92: a month is 30 days and a year 365 here; the same rule for both sides. */
const UNITS: Record<string, number> = { day: 1, week: 7, fortnight: 14, month: 30, quarter: 91, year: 365 }
const SMALL = [
  'zero',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
  'thirteen',
  'fourteen',
  'fifteen',
  'sixteen',
  'seventeen',
  'eighteen',
  'nineteen',
]
const TENS: Record<string, number> = { twenty: 20, thirty: 30, forty: 40, fifty: 50, sixty: 60, seventy: 70, eighty: 80, ninety: 90 }

/** NFKC, lower case, plain quotes and dashes, single spaces, no full stop at the end. */
export function levelText(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[‘’‚‛′`´]/g, "'")
    .replace(/[“”„‟″«»]/g, '"')
    .replace(/[‐‑‒–—−]/g, '-')
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/^["'](.*)["']$/, '$1')
    .replace(/[.;,]+$/, '')
    .trim()
}

/** "twenty-one" → 21; null for anything else. Up to ninety-nine: beyond that contracts write digits. */
export function numberWord(text: string): number | null {
  const small = SMALL.indexOf(text)
  if (small >= 0) return small
  const [tens = '', ones] = text.split(/[- ]/)
  const base = TENS[tens]
  if (base === undefined) return null
  if (ones === undefined) return base
  const one = SMALL.indexOf(ones)
  return one >= 1 && one <= 9 ? base + one : null
}

const isoDate = (y: number, m: number, d: number): string | null => {
  if (m < 1 || m > 12 || d < 1 || d > new Date(Date.UTC(y, m, 0)).getUTCDate()) return null
  return `${String(y).padStart(4, '0')}-${String(m).padStart(2, '0')}-${String(d).padStart(2, '0')}`
}

const monthOf = (name: string): number => {
  const n = name.replace(/\.$/, '')
  return n.length < 3 ? 0 : MONTHS.findIndex((m) => m === n || (n.length <= 4 && m.startsWith(n))) + 1
}

/** A levelled text as `YYYY-MM-DD`, or null. Of figures alone only year-first and, for 12 < day, the unambiguous order is read. */
export function parseDate(text: string): string | null {
  let m = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$/.exec(text)
  if (m) return isoDate(Number(m[1]), Number(m[2]), Number(m[3]))
  m = /^(?:the )?(\d{1,2})(?:st|nd|rd|th)?(?: day)?(?: of)? ([a-z]+\.?),? (\d{4})$/.exec(text)
  if (m) return isoDate(Number(m[3]), monthOf(m[2] as string), Number(m[1]))
  m = /^([a-z]+\.?) (\d{1,2})(?:st|nd|rd|th)?,? (\d{4})$/.exec(text)
  if (m) return isoDate(Number(m[3]), monthOf(m[1] as string), Number(m[2]))
  m = /^(\d{1,2})([-/.])(\d{1,2})\2(\d{4})$/.exec(text)
  if (m) {
    const [a, b, y] = [Number(m[1]), Number(m[3]), Number(m[4])]
    if (m[2] === '.' || a > 12) return isoDate(y, b, a)
    if (b > 12) return isoDate(y, a, b)
  }
  return null
}

/**
 * A figure in either grouping style: "1,234.50", "1.234,50", "1 234.5" → 1234.5. Anything that only looks like one is left as text:
 * versions (1.2.3), codes with leading zeros, numbers too long to be exact.
 * @param dotGroups whether "1.000" is a thousand, as it is in money; elsewhere it is one
 */
export function parseAmount(text: string, dotGroups = false): number | null {
  const m = /^([+-]?)(\d{1,3}(?:([ ',.])\d{3})(?:\3\d{3})*|\d+)(?:([.,])(\d+))?$/.exec(text)
  if (!m) return null
  const [, sign, figure = '', group, mark, decimals = ''] = m
  if (group !== undefined && group === mark) return null
  const grouped = figure.replace(/\D/g, '')
  // One dot and three digits: a decimal point, unless it is money; "1.234.567" can only be groups.
  const decimalDot = group === '.' && mark === undefined && !dotGroups && figure.split('.').length === 2
  const whole = decimalDot ? (figure.split('.')[0] as string) : grouped
  const rest = decimalDot ? (figure.split('.')[1] as string) : decimals
  if ((whole.length > 1 && whole.startsWith('0')) || whole.length + rest.length > 15) return null
  return Number(`${sign}${whole}.${rest || '0'}`)
}

/** "€1,000.00", "EUR 1000", "1.000,00 euros" → "1000 EUR"; null for a figure without currency. */
export function parseMoney(text: string): string | null {
  const scale = /\b(thousand|million|billion|[km])\b/.exec(text)?.[1]
  const bare = text.replace(/\b(?:thousand|million|billion)\b|(?<=\d)\s?[km]\b/g, ' ').trim()
  const m = /^([^\d+-]*?)\s*([+-]?\d[\d.,' ]*)\s*([^\d]*)$/.exec(bare)
  if (!m) return null
  const before = (m[1] as string).trim()
  const after = (m[3] as string).trim().replace(/^(?:in|of) /, '')
  const currency = CURRENCIES[before] ?? CURRENCIES[after]
  if (!currency || (before && after && CURRENCIES[before] !== CURRENCIES[after])) return null
  const amount = parseAmount((m[2] as string).trim(), true)
  if (amount === null) return null
  const factor = scale === undefined ? 1 : { thousand: 1e3, k: 1e3, million: 1e6, m: 1e6, billion: 1e9 }[scale]
  return `${Math.round(amount * (factor ?? 1) * 100) / 100} ${currency}`
}

/** "thirty (30) days", "2 weeks", "one year" → "30 d", "14 d", "365 d"; working days stay apart from days. */
export function parseDuration(text: string): string | null {
  const m =
    /^([a-z]+(?:[- ][a-z]+)?|\d+)(?: ?\((\d+)\))?[ -]?(calendar |business |working )?(day|week|fortnight|month|quarter|year)s?'?(?: (?:prior |written )?notice)?$/.exec(
      text,
    )
  if (!m) return null
  const count = m[2]
    ? Number(m[2])
    : /^\d+$/.test(m[1] as string)
      ? Number(m[1])
      : m[1] === 'a' || m[1] === 'an'
        ? 1
        : numberWord(m[1] as string)
  const unit = UNITS[m[4] as string]
  if (count === null || unit === undefined) return null
  const worked = m[3] === 'business ' || m[3] === 'working '
  return `${count * unit} ${worked ? 'working d' : 'd'}`
}

/** The form in which two values that mean the same are equal. Null and an absent value are the same; so are 1 and "1". */
export function canonicalValue(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'boolean') return String(value)
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value)) return `[${value.map(canonicalValue).sort().join(' | ')}]`
  if (typeof value === 'object')
    return `{${Object.keys(value)
      .sort()
      .map((k) => `${k}: ${canonicalValue((value as Record<string, unknown>)[k])}`)
      .join(' | ')}}`
  const text = levelText(String(value))
  const amount = parseAmount(text)
  return parseDate(text) ?? parseMoney(text) ?? parseDuration(text) ?? (amount === null ? text : String(amount))
}
