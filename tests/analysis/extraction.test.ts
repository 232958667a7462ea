import { describe, expect, test } from 'vitest'
import { canonicalField, riskCurve, Source, scoreAbstention, scoreExtraction, seeded, typeOfValues } from '../../analysis/index'
import { makeContracts } from '../../templates/contract-fields/generate'

const row = (gold: object, answer: object | string, source = '') => ({
  source,
  gold: JSON.stringify(gold),
  answer: typeof answer === 'string' ? answer : JSON.stringify(answer),
})

describe('SCI-93: absent and present', () => {
  // All four combinations of gold and answer, absent or present, for two fields: 40 rows.
  const values = [null, '30 days']
  const cases = Array.from({ length: 40 }, (_, i) => {
    const [ga, aa, gb, ab] = [values[i & 1], values[(i >> 1) & 1], values[(i >> 2) & 1], values[(i >> 3) & 1]]
    return row({ a: ga, b: gb }, { a: aa, b: ab }, 'within 30 days')
  })
  test('each combination counts as what it is', () => {
    const { fields } = scoreExtraction(cases)
    for (const f of fields) {
      expect(f.counts.wrong).toBe(0)
      expect(Object.values(f.counts).reduce((a, b) => a + b, 0)).toBe(40)
      expect(f.precision).toBeCloseTo(f.counts.right / (f.counts.right + f.counts.invented), 9)
      expect(f.recall).toBeCloseTo(f.counts.right / (f.counts.right + f.counts.missed), 9)
    }
    expect(fields[0]?.counts).toEqual({ right: 10, missed: 10, invented: 10, rightly_absent: 10, wrong: 0 })
  })
  test('SCI-101: perfect is 1, all null where all is present is 0, and formatting changes nothing', () => {
    const gold = { start: '2024-05-01', fee: 'EUR 1,000.00', notice: '30 days', law: 'Delaware' }
    const perfect = scoreExtraction([row(gold, gold)])
    expect([perfect.microF1.mean, perfect.macroF1, perfect.wholeRow.mean]).toEqual([1, 1, 1])
    const empty = scoreExtraction([row(gold, { start: null, fee: null, notice: null, law: null })])
    expect([empty.microF1.mean, empty.wholeRow.mean]).toEqual([0, 0])
    const other = scoreExtraction([row(gold, '{"law": " delaware", "notice": "thirty (30) days", "fee": "€1000", "start": "1 May 2024"}')])
    expect(other.microF1.mean).toBe(1)
    expect(other.fields.find((f) => f.name === 'fee')?.exact).toBe(0)
    expect(scoreExtraction([row(gold, `Sure: ${JSON.stringify(gold)}`)])).toMatchObject({ jsonValid: 0, repaired: 1, schemaValid: 1 })
  })
  test('a wrong value is one false positive and one false negative', () => {
    const [f] = scoreExtraction([row({ a: 'x y' }, { a: 'x z' }, 'x z')]).fields
    expect(f).toMatchObject({ precision: 0, recall: 0, tokenF1: 0.5, ungrounded: 0 })
  })
})

test('SCI-92: types are read from the gold values, and each has its own form', () => {
  expect([
    typeOfValues(['1 May 2024', null, '2024-06-01']),
    typeOfValues(['€5', 'USD 7']),
    typeOfValues(['2 weeks']),
    typeOfValues([['a']]),
  ]).toEqual(['date', 'money', 'duration', 'list'])
  expect(canonicalField('jurisdiction', 'the laws of the State of New York')).toBe(canonicalField('jurisdiction', 'New York'))
  expect(canonicalField('list', ['Beta Ltd', 'Acme, Inc.'])).toBe(canonicalField('list', ['acme, inc.', 'beta ltd']))
  expect(canonicalField('boolean', 'Yes')).toBe('true')
})

describe('SCI-103: what the source does not hold is an invention', () => {
  const r = seeded(9)
  const contracts = makeContracts('train', 60, 5)
  const values = contracts.flatMap((c) =>
    Object.values(c.answer).flatMap((v) => (v === null ? [] : [{ source: new Source(c.text), text: c.text, value: String(v) }])),
  )
  test('100 planted inventions are all found', () => {
    const invented = Array.from({ length: 100 }, (_, i) => {
      const at = values[r.below(values.length)] as (typeof values)[number]
      return {
        source: at.source,
        value: [`Zenith ${i} Holdings`, `${3 + i} March 19${10 + (i % 80)}`, `EUR ${7_000_003 + i}`, `${401 + i} days`][i % 4] as string,
      }
    })
    expect(invented.filter(({ source, value }) => source.holds('text', value))).toEqual([])
  })
  test('100 true values in other formats raise at most two false alarms', () => {
    const alarms = values.slice(0, 100).filter(({ source, value }, i) => {
      const other = [value, value.toUpperCase(), ` ${value}.`, value.replace(/^€\s?/, 'EUR ')][i % 4] as string
      return !source.holds('text', other)
    })
    expect(alarms.length).toBeLessThanOrEqual(2)
  })
  test('a date, a sum or a period in another spelling is the same', () => {
    const source = new Source('This agreement starts on May 1, 2024. The fee is USD 1,000.00 a month; notice is two weeks.')
    expect([source.holds('date', '2024-05-01'), source.holds('money', '$1000'), source.holds('duration', '14 days')]).toEqual([
      true,
      true,
      true,
    ])
    expect([
      source.holds('date', '2024-05-02'),
      source.holds('money', '€1000'),
      source.holds('duration', '15 days'),
      source.holds('text', 'agree'),
    ]).toEqual([false, false, false, false])
  })
})

test('SCI-102: in 300 simulations the interval covers the true F1 in 93 to 97 of 100', () => {
  const r = seeded(4)
  const draw = () =>
    Array.from({ length: 80 }, () => row({ a: 'x', b: 'x' }, { a: r.next() < 0.7 ? 'x' : null, b: r.next() < 0.7 ? 'x' : null }, 'x'))
  // F1 = 2·0.7 / (1 + 0.7), for a recall of 0.7 at a precision of 1.
  const truth = 1.4 / 1.7
  const covered = Array.from({ length: 300 }, () => scoreExtraction(draw(), {}, 300).microF1).filter(
    (i) => i.low <= truth && truth <= i.high,
  ).length
  expect(covered / 300).toBeGreaterThanOrEqual(0.92)
  expect(covered / 300).toBeLessThanOrEqual(0.98)
})

describe('SCI-104: abstention', () => {
  const attempt = (answerable: boolean, outcome: 'correct' | 'wrong' | 'abstained', confidence = 1) => ({ answerable, outcome, confidence })
  test('always silent: coverage and net are 0; always answering abstains from nothing', () => {
    expect(scoreAbstention([attempt(true, 'abstained'), attempt(false, 'abstained')], 2)).toMatchObject({
      coverage: 0,
      net: 0,
      overAbstention: 1,
    })
    expect(scoreAbstention([attempt(true, 'correct'), attempt(true, 'wrong'), attempt(false, 'wrong')], 2)).toMatchObject({
      coverage: 1,
      overAbstention: 0,
      net: (1 - 4) / 3,
    })
  })
  test('planted confidences give the known area under the risk-coverage curve; ties count as their mean', () => {
    const list = [attempt(true, 'correct', 0.9), attempt(true, 'wrong', 0.8), attempt(true, 'correct', 0.7), attempt(true, 'wrong', 0.1)]
    expect(riskCurve(list).aurc).toBeCloseTo((0 + 1 / 2 + 1 / 3 + 2 / 4) / 4, 12)
    expect(riskCurve(list.map((a) => ({ ...a, confidence: 1 }))).aurc).toBeCloseTo(0.5, 12)
    expect(scoreAbstention(list, 2).auroc).toBeCloseTo(0.75, 9)
  })
})
