import { describe, expect, test } from 'vitest'
import { findPersonalData, ibanHolds, luhn, masked, type PersonalKind, withStandIns } from '../../analysis/quality/personal-data'
import { type Random, seeded } from '../../analysis/random'

const digits = (r: Random, n: number) => Array.from({ length: n }, () => r.below(10)).join('')
/** With the check digit that Luhn wants, or another. */
const card = (r: Random, good: boolean) => {
  const body = r.pick(['4', '51', '5500']) + digits(r, 20)
  const short = body.slice(0, 15)
  const check = Array.from({ length: 10 }, (_, d) => d).find((d) => luhn(short + d)) as number
  const number = short + (good ? check : (check + 1 + r.below(9)) % 10)
  return r.pick([number, number.replace(/(.{4})(?=.)/g, '$1 '), number.replace(/(.{4})(?=.)/g, '$1-')])
}
const iban = (r: Random, good: boolean) => {
  const [country, body] = r.pick([
    ['DE', digits(r, 18)],
    ['GB', `WEST${digits(r, 14)}`],
    ['NL', `ABNA${digits(r, 10)}`],
    ['FR', `${digits(r, 10)}M${digits(r, 12)}`],
  ] as const)
  const check = Array.from({ length: 97 }, (_, d) => String(d + 2).padStart(2, '0')).find((d) => ibanHolds(country + d + body)) as string
  const number = country + (good ? check : String(((Number(check) + 3 + r.below(60)) % 90) + 2).padStart(2, '0')) + body
  return r.next() < 0.5 ? number : number.replace(/(.{4})(?=.)/g, '$1 ')
}
const GOOD: Record<PersonalKind, (r: Random) => string> = {
  'e-mail': (r) =>
    `${r.pick(['anna', 'j.o’neill'.replace('’', ''), 'b_2', 'x+tag'])}@${r.pick(['example', 'mail.post'])}.${r.pick(['com', 'co.uk', 'de'])}`,
  phone: (r) =>
    r.pick([
      `+49 30 ${digits(r, 7)}`,
      `+1 (212) 555-${digits(r, 4)}`,
      `(415) 555-${digits(r, 4)}`,
      `312-555-${digits(r, 4)}`,
      `+44 20 7946 0${digits(r, 3)}`,
      `+3361${digits(r, 7)}`,
    ]),
  'social security number': (r) => `${r.pick(['123', '457', '899'])}-${r.pick(['45', '10'])}-${1 + r.below(9)}${digits(r, 3)}`,
  IBAN: (r) => iban(r, true),
  'card number': (r) => card(r, true),
  'IP address': (r) =>
    r
      .pick([`${1 + r.below(223)}.${r.below(256)}.${r.below(256)}.${r.below(256)}`, `2001:db8::${r.below(65535).toString(16)}:ff00:42`])
      .replace(/^127\./, '12.'),
  secret: (r) =>
    r.pick([`https://example.com/a?token=${digits(r, 12)}`, `AKIA${digits(r, 16)}`, `https://bob:pass${digits(r, 3)}@host.example/x`]),
}
const BAD: ((r: Random) => string)[] = [
  (r) => card(r, false),
  (r) => iban(r, false),
  (r) => `${r.pick(['000', '666', '901'])}-12-${digits(r, 4)}`,
  (r) => `123-00-${digits(r, 4)}`,
  (r) => `999.${r.below(256)}.1.${r.below(256)}`,
  (r) => `version 1.${r.below(10)}.${r.below(10)}.${r.below(10)}`,
  (r) => `${2000 + r.below(30)}-0${1 + r.below(9)}-1${r.below(10)}`,
  (r) => `1${r.below(10)}.0${1 + r.below(9)}.20${10 + r.below(20)}`,
  (r) => `EUR ${1 + r.below(9)},${digits(r, 3)},${digits(r, 3)}.00`,
  (r) => `order no. ${digits(r, 4)} ${digits(r, 4)}`,
  (r) => `https://example.com/page?id=${digits(r, 3)}`,
  (r) => `someone @ home ${r.below(9)}`,
  (r) => `section 4.2.1.${r.below(9)}`,
  (r) => `1${r.below(2)}:${10 + r.below(49)}:${10 + r.below(49)}`,
  (r) => `logo${r.below(9)}@2x.png`,
  (r) => `${digits(r, 2)} of ${digits(r, 3)} rows`,
  (r) => `Room ${1 + r.below(9)}-${digits(r, 3)}`,
  (r) => `ISBN 978-3-${digits(r, 2)}-${digits(r, 6)}-${r.below(10)}`,
]

describe('SCI-82: personal data by pattern and check', () => {
  test.each([1, 2, 3])('SCI-90: 200 strings and 200 look-alikes, seed %i', (seed) => {
    const r = seeded(seed)
    const frame = (value: string) =>
      r.pick([`${value}`, `See ${value}.`, `The value (${value}), as agreed`, `"${value}"`, `before\n${value}\nafter`])
    const kinds = Object.keys(GOOD) as PersonalKind[]
    let found = 0
    const wrong: string[] = []
    for (let i = 0; i < 200; i++) {
      const kind = kinds[i % kinds.length] as PersonalKind
      const text = frame(GOOD[kind](r))
      const finds = findPersonalData(text)
      if (finds.length === 1 && finds[0]?.kind === kind) found++
      else wrong.push(`${kind}: ${text} → ${finds.map((f) => `${f.kind} ${text.slice(f.start, f.end)}`)}`)
    }
    let alarms = 0
    for (let i = 0; i < 200; i++) {
      const text = frame((BAD[i % BAD.length] as (r: Random) => string)(r))
      const finds = findPersonalData(text)
      if (finds.length > 0) {
        alarms++
        wrong.push(`alarm: ${text} → ${finds.map((f) => f.kind)}`)
      }
    }
    expect(found / 200, wrong.join('\n')).toBeGreaterThanOrEqual(0.98)
    expect(found / (found + alarms), wrong.join('\n')).toBeGreaterThanOrEqual(0.98)
  })

  test('the place is exact, also inside a sentence, and equal values have equal hashes', () => {
    const text = 'Write to Anna (anna@example.com) or ring +49 30 901820; anna@EXAMPLE.com works too.'
    const finds = findPersonalData(text)
    expect(finds.map((f) => [f.kind, text.slice(f.start, f.end)])).toEqual([
      ['e-mail', 'anna@example.com'],
      ['phone', '+49 30 901820'],
      ['e-mail', 'anna@EXAMPLE.com'],
    ])
    expect(finds[0]?.hash).toBe(finds[2]?.hash)
    expect(JSON.stringify(finds)).not.toContain('anna')
  })

  test('an IBAN is cut where its country ends it', () => {
    const text = 'IBAN GB82 WEST 1234 5698 7654 32 BIC WESTGB2L'
    const [find] = findPersonalData(text)
    expect(find && text.slice(find.start, find.end)).toBe('GB82 WEST 1234 5698 7654 32')
  })

  test('stand-ins keep together what belongs together, and hold nothing that would be found again', () => {
    const numbers = new Map<string, string>()
    const first = withStandIns('From a@b.de to c@d.fr', numbers)
    const second = withStandIns('{"sender": "a@b.de", "card": "4111 1111 1111 1111"}', numbers)
    expect([first.text, second.text]).toEqual(['From [e-mail 1] to [e-mail 2]', '{"sender": "[e-mail 1]", "card": "[card number 1]"}'])
    expect(findPersonalData(first.text + second.text)).toEqual([])
    expect(masked('ring (415) 555-0123 now')).toBe('ring [phone] now')
  })

  test('a contract has figures, and they are nobody’s', () => {
    const text =
      'This Agreement (No. 2024/117) is made on 4 March 2024. The fee is USD 1,250,000.00 for 36 months; see sections 4.2 and 12.3.1. ' +
      'Deliver 24 pallets (80 x 120 cm) by 2025-01-31, 10:30-12:00, at EUR 960,50 each, at most 1 000 000 pieces a year, ratio 3:2:1. ' +
      '14.4.1.1 If termination occurs, Form CG 00 01 12 04 applies.'
    expect(findPersonalData(text)).toEqual([])
    expect(findPersonalData('the server answers at 10.0.0.1:8080').map((f) => f.kind)).toEqual(['IP address'])
  })
})
