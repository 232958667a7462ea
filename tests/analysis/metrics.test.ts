import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { extractObject, scoreAnswers } from '../../analysis/metrics/answers'
import { bootstrap, intervalOf, pairedBootstrap } from '../../analysis/metrics/bootstrap'
import { canonicalValue } from '../../analysis/metrics/canonical'
import { bestOf, exactMatch, normalizeAnswer, spanScores, tokenF1, wordJaccard } from '../../analysis/metrics/text'

const root = join(import.meta.dirname, '../reference/metrics')
const reference = <T>(name: string) => JSON.parse(readFileSync(join(root, name), 'utf8')) as T

/** One I32 tensor list of a safetensors file, enough for the reference indices. */
function int32Tensors(name: string): Map<string, { shape: number[]; data: Int32Array }> {
  const bytes = readFileSync(join(root, name))
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString()) as Record<string, { shape: number[]; data_offsets: [number, number] }>
  return new Map(
    Object.entries(header)
      .filter(([key]) => key !== '__metadata__')
      .map(
        ([
          key,
          {
            shape,
            data_offsets: [from, to],
          },
        ]) => [
          key,
          { shape, data: new Int32Array(bytes.buffer.slice(bytes.byteOffset + 8 + length + from, bytes.byteOffset + 8 + length + to)) },
        ],
      ),
  )
}

describe('answers as text, against SQuAD and CUAD reference values', () => {
  type Single = {
    prediction: string
    gold: string
    normalized_prediction: string
    normalized_gold: string
    exact_match: number
    token_f1: number
    word_jaccard_cuad: number
  }
  type Extraction = {
    single: Single[]
    best_of_several_golds: { prediction: string; golds: string[]; exact_match: number; token_f1: number }[]
    spans: { predicted_spans: [number, number][]; gold_spans: [number, number][]; char_jaccard: number; char_f1: number }[]
  }
  const { single, best_of_several_golds, spans } = reference<Extraction>('extraction.json')
  test('exact match, token F1 and word Jaccard of each pair', () => {
    for (const c of single) {
      expect(normalizeAnswer(c.prediction)).toBe(c.normalized_prediction)
      expect(normalizeAnswer(c.gold)).toBe(c.normalized_gold)
      expect(exactMatch(c.prediction, c.gold)).toBe(c.exact_match)
      expect(tokenF1(c.prediction, c.gold)).toBeCloseTo(c.token_f1, 9)
      expect(wordJaccard(c.prediction, c.gold)).toBeCloseTo(c.word_jaccard_cuad, 9)
    }
  })
  test('the best of several right answers counts', () => {
    for (const c of best_of_several_golds) {
      expect(bestOf(exactMatch, c.prediction, c.golds)).toBe(c.exact_match)
      expect(bestOf(tokenF1, c.prediction, c.golds)).toBeCloseTo(c.token_f1, 9)
    }
  })
  test('spans as sets of characters', () => {
    for (const c of spans) {
      const got = spanScores(c.predicted_spans, c.gold_spans)
      expect(got.jaccard).toBeCloseTo(c.char_jaccard, 9)
      expect(got.f1).toBeCloseTo(c.char_f1, 9)
    }
  })
})

describe('SCI-4: bootstrap intervals', () => {
  test('numpy percentiles of the reference resamples', () => {
    const indices = int32Tensors('bootstrap_indices.safetensors')
    const { cases } = reference<{
      cases: {
        values: number[]
        mean: number
        ci95_percentile: [number, number]
        ci90_percentile: [number, number]
        standard_error: number
      }[]
    }>('bootstrap.json')
    for (const [i, c] of cases.entries()) {
      const { shape, data } = indices.get(`bootstrap/${i}/indices`) as { shape: number[]; data: Int32Array }
      const [r = 0, n = 0] = shape
      const draws = Array.from({ length: r }, (_, k) => data.subarray(k * n, (k + 1) * n))
      const wide = intervalOf(c.values, draws, 0.95)
      expect(wide.mean).toBeCloseTo(c.mean, 9)
      expect(wide.low).toBeCloseTo(c.ci95_percentile[0], 9)
      expect(wide.high).toBeCloseTo(c.ci95_percentile[1], 9)
      expect(wide.standardError).toBeCloseTo(c.standard_error, 9)
      const narrow = intervalOf(c.values, draws, 0.9)
      expect(narrow.low).toBeCloseTo(c.ci90_percentile[0], 9)
      expect(narrow.high).toBeCloseTo(c.ci90_percentile[1], 9)
    }
  })
  test('a paired difference of equal runs is exactly nothing, and the seed fixes the interval', () => {
    const a = [1, 0, 1, 1, 0, 1]
    expect(pairedBootstrap(a, a)).toEqual({ mean: 0, low: 0, high: 0, standardError: 0 })
    expect(bootstrap(a, { seed: 7 })).toEqual(bootstrap(a, { seed: 7 }))
  })
})

describe('SCI-92: values that mean the same have one form', () => {
  test.each([
    [['2024-05-01', '1 May 2024', 'May 1, 2024', '1st May 2024', 'the 1st of May 2024', '01.05.2024', '2024/5/1', '1 may 2024.']],
    [['EUR 1000', '€1,000.00', '1.000,00 EUR', '1 000 euros', 'eur 1000', '1,000 EUR']],
    [['€1.000', 'EUR 1000', '1000 €']],
    [['1.234', 1.234, '+1.234']],
    [['1,234,567.5', '1.234.567,5', '1 234 567.5', "1'234'567.50"]],
    [['$1.5 million', 'USD 1,500,000', '1500000 dollars']],
    [['14 days', 'two weeks', '2 weeks', 'fourteen (14) days', 'a fortnight', '14 calendar days']],
    [['Acme Ltd', ' acme  LTD. ', '“Acme Ltd”', 'ＡＣＭＥ Ltd']],
    [['1,234', 1234, '1234', '1234.0']],
    [[null, undefined, '']],
    [[true, 'true', 'True']],
    [
      [
        ['b', 'A'],
        ['a', 'B'],
      ],
    ],
  ])('%j', (values) => {
    const forms = values.map(canonicalValue)
    expect(new Set(forms)).toEqual(new Set([forms[0]]))
  })
  test.each([
    ['2024-05-01', '2024-01-05'],
    ['EUR 1000', 'USD 1000'],
    ['30 days', '30 working days'],
    ['1 month', '1 year'],
    ['1.234', '1.23'],
    ['1.234', '1234'],
    ['1.2.3', '12.3'],
    ['007', '7'],
    ['12345678901234567890', '12345678901234567891'],
    ['1,23', '123'],
    ['Acme Ltd', 'Acme Inc'],
    ['31 February 2024', '2024-02-29'],
    ['03/04/2024', '2024-04-03'],
  ])('%s and %s stay apart', (a, b) => {
    expect(canonicalValue(a)).not.toBe(canonicalValue(b))
  })
})

describe('SCI-93, SCI-101: JSON answers, field by field', () => {
  const gold = ['{"a":"x","b":null}', '{"a":null,"b":"1 May 2024"}']
  test('perfect answers score 1; key order, white space and date style change nothing', () => {
    const s = scoreAnswers(gold, ['{ "b": null, "a": "X" }', '{"b":"2024-05-01"}'])
    expect(s).toMatchObject({ kind: 'json', exactMatch: 1, tokenF1: expect.any(Number), microF1: 1, macroF1: 1, absentInvented: 0 })
    expect(s.rows.map((r) => r.correct)).toEqual([true, true])
  })
  test('all null where all is present scores 0; null and null is no true positive', () => {
    const s = scoreAnswers(['{"a":"x"}', '{"a":"y"}'], ['{"a":null}', '{"a":null}'])
    expect(s).toMatchObject({ exactMatch: 0, microF1: 0 })
    expect(s.fields).toEqual([{ name: 'a', exactMatch: 0, f1: 0, truePositives: 0, falsePositives: 0, falseNegatives: 2 }])
  })
  test('a wrong value is one false positive and one false negative; an invented one a false positive', () => {
    const s = scoreAnswers(['{"a":"x"}', '{"a":null}'], ['{"a":"z"}', '{"a":"z"}'])
    expect(s.fields[0]).toMatchObject({ truePositives: 0, falsePositives: 2, falseNegatives: 1 })
    expect(s.absentInvented).toBe(1)
  })
  test('no JSON at all is wrong in every field, also the absent ones', () => {
    const s = scoreAnswers(['{"a":null,"b":null}'], ['I cannot say.'])
    expect(s).toMatchObject({ exactMatch: 0, tokenF1: 0, jsonValid: 0 })
    expect(s.rows[0]?.wrongFields).toEqual(['a', 'b'])
  })
  test('an object inside a sentence or a code fence is read, and counted as not strictly valid', () => {
    expect(extractObject('Sure:\n```json\n{"a": {"b": "}"}}\n``` done')).toEqual({ value: { a: { b: '}' } }, strict: false })
    expect(scoreAnswers(['{"a":"x"}'], ['Answer: {"a":"x"}'])).toMatchObject({ exactMatch: 1, jsonValid: 0 })
  })
  test('a field nobody asked for makes the row wrong', () => {
    expect(scoreAnswers(['{"a":"x"}'], ['{"a":"x","c":"y"}']).exactMatch).toBe(0)
  })
  test('expected answers that are not all JSON objects are compared as text', () => {
    const s = scoreAnswers(['30 days', '[1]'], ['thirty days', 'no'])
    expect(s).toMatchObject({ kind: 'text', exactMatch: 0.5, jsonValid: null })
  })
})
