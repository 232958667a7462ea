/**
 * Personal data by pattern and check (SCI-82): e-mail, phone, US social security number, IBAN (mod 97), payment card (Luhn), IP address, URL or
 * key that lets somebody in. What is found is said by kind and place; the value itself never leaves this module.
 */
import { contentId } from '../hash'

export const PERSONAL_KINDS = ['e-mail', 'phone', 'social security number', 'IBAN', 'card number', 'IP address', 'secret'] as const
export type PersonalKind = (typeof PERSONAL_KINDS)[number]
export type PersonalFind = {
  kind: PersonalKind
  start: number
  end: number
  /** The same for the same value, and no way back to it but guessing. */
  hash: string
}

type Rule = { kind: PersonalKind; pattern: RegExp; holds(value: string, before: string, after: string): boolean }

const digitsOf = (text: string) => text.replace(/\D/g, '')

/** Luhn's check of card numbers: every second digit from the right doubled, the digits' sum divisible by ten. */
export function luhn(digits: string): boolean {
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const d = Number(digits[digits.length - 1 - i])
    const doubled = i % 2 === 1 ? 2 * d : d
    sum += doubled > 9 ? doubled - 9 : doubled
  }
  return sum % 10 === 0
}

/** Lengths of IBANs by country (registry of ISO 13616). */
const IBAN_LENGTHS: Record<string, number> = Object.fromEntries(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 ' +
    'GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 MC27 MD24 ME22 MK19 MR27 MT31 ' +
    'MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20'
  )
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
)

/** ISO 7064 mod 97: the first four characters go last, letters are 10…35, the rest must be 1. */
export function ibanHolds(text: string): boolean {
  const iban = text.replace(/[\s-]/g, '').toUpperCase()
  if (IBAN_LENGTHS[iban.slice(0, 2)] !== iban.length) return false
  let rest = 0
  for (const c of iban.slice(4) + iban.slice(0, 4)) {
    const value = c >= 'A' ? c.charCodeAt(0) - 55 : Number(c)
    rest = (rest * (value > 9 ? 100 : 10) + value) % 97
  }
  return rest === 1
}

/** Ranges that were never given out are no numbers of persons. */
function ssnHolds(text: string): boolean {
  const d = digitsOf(text)
  const area = Number(d.slice(0, 3))
  return area !== 0 && area !== 666 && area < 900 && d.slice(3, 5) !== '00' && d.slice(5) !== '0000'
}

function cardHolds(text: string): boolean {
  const d = digitsOf(text)
  const prefix = Number(d.slice(0, 4))
  // Visa, Mastercard, American Express, Discover, Diners, JCB, Maestro, UnionPay: what banks give out.
  const known =
    (d.startsWith('4') && [13, 16, 19].includes(d.length)) ||
    (((prefix >= 5100 && prefix <= 5599) || (prefix >= 2221 && prefix <= 2720)) && d.length === 16) ||
    (/^3[47]/.test(d) && d.length === 15) ||
    (/^(?:6011|64[4-9]|65)/.test(d) && d.length >= 16) ||
    (/^3(?:0[0-5]|[689])/.test(d) && d.length >= 14) ||
    (/^35(?:2[89]|[3-8])/.test(d) && d.length === 16) ||
    (/^(?:5018|5020|5038|5893|6304|6759|676[1-3]|62)/.test(d) && d.length >= 14)
  return known && !/^(\d)\1+$/.test(d) && luhn(d)
}

const NUMBERED =
  /(?:version|ver\.?|v|release|firmware|build|section|sect\.?|clause|article|art\.?|§+|no\.?|chapter|paragraph|figure|table)\s*$/i
const IP_CUE = /(?:\bip(?:v4)?\b|address|host|server|ping|dns|gateway|router|client|login|from|:\/\/)[^\n]{0,16}$/i
function ipHolds(text: string, before: string, after: string): boolean {
  if (text.includes(':')) {
    const parts = text.split(':')
    const filled = parts.filter((p) => p !== '').length
    const short = text.includes('::')
    // Times and ratios have colons too; an address has eight groups, or a double colon and at least a group with a letter or four digits.
    return short
      ? filled <= 7 && text.split('::').length === 2 && parts.some((p) => p.length === 4 || /[a-f]/i.test(p))
      : parts.length === 8
  }
  const parts = text.split('.')
  if (parts.some((p) => Number(p) > 255 || (p.length > 1 && p.startsWith('0')))) return false
  // 1.2.3.4 is a section or a version where it stands behind such a word or goes on.
  if (NUMBERED.test(before) || /^\.\d/.test(after) || text === '0.0.0.0' || text.startsWith('127.')) return false
  // Clauses are numbered 14.4.1.1: where all four are small, something must say that it is an address.
  return parts.some((p) => Number(p) > 31) || IP_CUE.test(before) || /^(?::\d|\/\d)/.test(after)
}

const PHONE_CUE =
  /(?:tel|telephone|phone|mobile|cell|call|fax|dial|whatsapp|sms|text|reach|telefon|mobil|handy|téléphone|portable|móvil|teléfono|cellulare|contact|ring)\b[^\d\n]{0,24}$/i
const NOT_PHONE =
  /(?:order|invoice|case|ticket|account|serial|isbn|issn|ref(?:erence)?|no|number|nr|id|part|sku|item|article|tracking|policy|contract|batch)\.?\s*(?:no\.?|number|nr\.?|id|code)?\s*[:#]?\s*$/i
function phoneHolds(text: string, before: string): boolean {
  const d = digitsOf(text)
  if (d.length < 7 || d.length > 15 || /^(\d)\1+$/.test(d)) return false
  if (PHONE_CUE.test(before)) return true
  if (NOT_PHONE.test(before)) return false
  // With a country code the E.164 form says it all.
  if (/^(?:\+|00)[1-9]/.test(text)) return d.length >= 8
  // North America: area and exchange begin with 2…9, and neither ends in 11.
  const na = /^1?([2-9]\d{2})([2-9]\d{2})\d{4}$/.exec(d)
  if (na && /^(?:1[ .-]?)?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}$/.test(text))
    return na[1]?.slice(1) !== '11' && na[2]?.slice(1) !== '11'
  // A trunk zero and groups: 030 1234567, (0)20 7946 0958.
  // Behind a group of capitals or digits it is part of a longer code.
  return /^\(?0\d{1,4}\)?[ /-]\d/.test(text) && d.length >= 9 && d.length <= 12 && !/[A-Z0-9]{2,}[ -]$/.test(before)
}

const RULES: readonly Rule[] = [
  {
    kind: 'secret',
    pattern:
      /\bhttps?:\/\/(?:[^\s/:@]+:[^\s/@]+@[^\s"'<>]+|[^\s"'<>]*[?&#](?:access_token|auth_token|refresh_token|id_token|token|api_?key|apikey|key|secret|client_secret|password|passwd|pwd|sig|signature|auth|session(?:_?id)?|sid|jwt|code)=[^\s"'<>&#]{6,}[^\s"'<>]*)|\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,}|glpat-[\w-]{20,}|xox[abprs]-[\w-]{10,}|sk-[A-Za-z0-9_-]{20,}|AIza[\w-]{35}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})|-----BEGIN [A-Z ]*PRIVATE KEY-----/g,
    holds: () => true,
  },
  {
    kind: 'e-mail',
    pattern:
      /(?<![\p{L}\p{N}._%+-])[\p{L}\p{N}](?:[\p{L}\p{N}._%+'-]{0,62}[\p{L}\p{N}_%+-])?@(?:[\p{L}\p{N}](?:[\p{L}\p{N}-]{0,61}[\p{L}\p{N}])?\.)+\p{L}{2,24}(?![\p{L}\p{N}@-])/gu,
    // A file such as logo@2x.png looks like one.
    holds: (value) => !value.includes('..') && !/\.(?:png|jpe?g|gif|svg|webp|css|js|ts)$/i.test(value),
  },
  {
    kind: 'IBAN',
    pattern: /(?<![\p{L}\p{N}])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![\p{L}\p{N}])/gu,
    holds: ibanHolds,
  },
  { kind: 'card number', pattern: /(?<![\p{L}\p{N}.,+-])\d(?:[ -]?\d){12,18}(?![\p{L}\p{N}]|[.,]\d)/gu, holds: cardHolds },
  { kind: 'social security number', pattern: /(?<![\p{L}\p{N}-])\d{3}([- ])\d{2}\1\d{4}(?![\p{L}\p{N}-])/gu, holds: ssnHolds },
  { kind: 'social security number', pattern: /(?<=(?:SSN|social security (?:number|no\.?))\W{0,4})\d{9}(?!\d)/gi, holds: ssnHolds },
  { kind: 'IP address', pattern: /(?<![\p{L}\p{N}.:])\d{1,3}(?:\.\d{1,3}){3}(?![\p{L}\p{N}])/gu, holds: ipHolds },
  { kind: 'IP address', pattern: /(?<![\p{L}\p{N}:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\p{L}\p{N}:])/gu, holds: ipHolds },
  {
    kind: 'phone',
    pattern:
      /(?<![\p{L}\p{N}.,/:$€£-])(?:(?:\+|00)\d{1,3}[ ./-]?)?(?:\(\d{1,5}\)[ ./-]?)?\d{1,5}(?:[ ./-]\d{2,8}){1,4}(?![\p{L}\p{N}]|[.,/-]\d)|(?<![\p{L}\p{N}])\+[1-9]\d{7,14}(?!\d)/gu,
    holds: (value, before) => !/^\d{1,4}([./-])\d{1,2}\1\d{1,4}$/.test(value) && phoneHolds(value, before),
  },
]

/** All finds of a text, in the order of their places; none overlaps another. */
export function findPersonalData(text: string): PersonalFind[] {
  const found: PersonalFind[] = []
  for (const { kind, pattern, holds } of RULES)
    for (const match of text.matchAll(pattern)) {
      const start = match.index
      const value = trimmed(kind, match[0], holds)
      if (value === null) continue
      const end = start + value.length
      if (found.some((f) => start < f.end && f.start < end)) continue
      if (!holds(value, text.slice(Math.max(0, start - 48), start), text.slice(end, end + 8))) continue
      found.push({
        kind,
        start,
        end,
        hash: contentId([kind, kind === 'e-mail' ? value.toLowerCase() : value.replace(/[\s().-]/g, '')]).slice(0, 8),
      })
    }
  return found.sort((a, b) => a.start - b.start)
}

/** A run of groups may take words or numbers behind it along: an IBAN of known length is cut to that, and nothing else is. */
function trimmed(kind: PersonalKind, value: string, holds: Rule['holds']): string | null {
  if (kind !== 'IBAN') return value
  const length = IBAN_LENGTHS[value.slice(0, 2).toUpperCase()]
  if (length === undefined) return null
  let letters = 0
  for (let i = 0; i < value.length; i++) {
    if (/[A-Za-z0-9]/.test(value[i] as string)) letters++
    if (letters === length) {
      const cut = value.slice(0, i + 1)
      return holds(cut, '', '') && !/^[A-Za-z0-9]/.test(value.slice(i + 1)) ? cut : null
    }
  }
  return null
}

/** The text with every find as `[e-mail 1]`: one number for one value, so that what belonged together still does. `numbers` is filled. */
export function withStandIns(text: string, numbers: Map<string, string>): { text: string; finds: PersonalFind[] } {
  const finds = findPersonalData(text)
  let out = ''
  let at = 0
  for (const find of finds) {
    const key = `${find.kind}:${find.hash}`
    let name = numbers.get(key)
    if (name === undefined) {
      const count = [...numbers.keys()].filter((k) => k.startsWith(`${find.kind}:`)).length
      name = `[${find.kind} ${count + 1}]`
      numbers.set(key, name)
    }
    out += text.slice(at, find.start) + name
    at = find.end
  }
  return { text: out + text.slice(at), finds }
}

/** A text that may be shown: personal data as its kind. */
export const masked = (text: string): string => {
  let out = ''
  let at = 0
  for (const find of findPersonalData(text)) {
    out += `${text.slice(at, find.start)}[${find.kind}]`
    at = find.end
  }
  return out + text.slice(at)
}
