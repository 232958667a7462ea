import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { bleu, chrf } from '../../analysis/metrics/bleu'
import { calibrationError, classify, logLoss } from '../../analysis/metrics/classification'
import { entityScores } from '../../analysis/metrics/entities'
import { textScore } from '../../analysis/metrics/language-model'
import { mcnemar } from '../../analysis/metrics/mcnemar'
import { type Rouge, rougeL, rougeLsum, rougeN } from '../../analysis/metrics/rouge'

const reference = <T>(name: string) => JSON.parse(readFileSync(join(import.meta.dirname, '../reference/metrics', name), 'utf8')) as T
/** `got` has every number of `want`, to the tolerance of the reference. */
const near = (got: unknown, want: unknown, digits = 9, path = ''): void => {
  if (typeof want === 'number') expect(got, path).toBeCloseTo(want, digits)
  else if (Array.isArray(want)) for (const [i, w] of want.entries()) near((got as unknown[])[i], w, digits, `${path}[${i}]`)
  else if (want !== null && typeof want === 'object')
    for (const [k, w] of Object.entries(want)) near((got as Record<string, unknown>)[k], w, digits, `${path}.${k}`)
  else expect(got, path).toBe(want)
}

describe('metrics equal the packages that people compare with', () => {
  test('classification: scikit-learn', () => {
    type Case = {
      labels: string[]
      gold: string[]
      predicted: string[]
      probabilities: number[][]
      accuracy: number
      f1_macro: number
      f1_micro: number
      f1_weighted: number
      per_class: Record<'precision' | 'recall' | 'f1' | 'support', number[]>
      confusion: number[][]
      matthews: number
      balanced_accuracy_present_classes: number | null
      ece_bins: number
      ece: number
      log_loss: number
    }
    for (const c of reference<{ cases: Case[] }>('classification.json').cases) {
      const got = classify(c.labels, c.gold, c.predicted)
      near(got, {
        accuracy: c.accuracy,
        f1Macro: c.f1_macro,
        f1Micro: c.f1_micro,
        f1Weighted: c.f1_weighted,
        confusion: c.confusion,
        matthews: c.matthews,
      })
      if (c.balanced_accuracy_present_classes !== null) near(got.balancedAccuracy, c.balanced_accuracy_present_classes)
      for (const key of ['precision', 'recall', 'f1', 'support'] as const)
        near(
          got.perClass.map((p) => p[key]),
          c.per_class[key],
        )
      near(calibrationError(c.labels, c.gold, c.probabilities, c.ece_bins), c.ece)
      near(logLoss(c.labels, c.gold, c.probabilities), c.log_loss)
    }
  })

  test('perplexity and bits per byte: the formulas, pooled over tokens', () => {
    type Text = {
      text: string
      utf8_bytes: number
      token_logprobs_nats: number[]
      tokens: number
      mean_nll: number
      perplexity: number
      bits_per_token: number
      bits_per_byte: number
      byte_perplexity: number
    }
    const { texts, corpus } = reference<{ texts: Text[]; corpus: { perplexity_over_all_tokens: number; bits_per_byte: number } }>(
      'language_model.json',
    )
    for (const t of texts) {
      expect(new TextEncoder().encode(t.text).length).toBe(t.utf8_bytes)
      near(textScore(t.token_logprobs_nats, t.utf8_bytes), {
        tokens: t.tokens,
        nll: t.mean_nll,
        perplexity: t.perplexity,
        bitsPerToken: t.bits_per_token,
        bitsPerByte: t.bits_per_byte,
        bytePerplexity: t.byte_perplexity,
      })
    }
    const pooled = textScore(
      texts.flatMap((t) => t.token_logprobs_nats),
      texts.reduce((n, t) => n + t.utf8_bytes, 0),
    )
    near(pooled, { perplexity: corpus.perplexity_over_all_tokens, bitsPerByte: corpus.bits_per_byte })
  })

  test('ROUGE: rouge-score', () => {
    type Case = { prediction: string; reference: string; plain: Record<'rouge1' | 'rouge2' | 'rougeL' | 'rougeLsum', Rouge> }
    for (const { prediction: p, reference: r, plain } of reference<{ cases: Case[] }>('rouge.json').cases)
      near({ rouge1: rougeN(p, r, 1), rouge2: rougeN(p, r, 2), rougeL: rougeL(p, r), rougeLsum: rougeLsum(p, r) }, plain)
  })

  test('BLEU and chrF: sacrebleu', () => {
    type Sentence = {
      prediction: string
      references: string[]
      bleu: number
      precisions: number[]
      bp: number
      sys_len: number
      ref_len: number
      chrf: number
      chrf_pp: number
    }
    type Corpus = {
      predictions: string[]
      reference_streams: string[][]
      bleu: number
      precisions: number[]
      bp: number
      chrf: number
      chrf_pp: number
      bleu_lowercase: number
      bleu_tokenize_none: number
    }
    const { sentence, corpus } = reference<{ sentence: Sentence[]; corpus: Corpus[] }>('bleu.json')
    for (const s of sentence) {
      near(
        bleu([s.prediction], [s.references], { effectiveOrder: true }),
        { bleu: s.bleu, precisions: s.precisions, brevity: s.bp, predictedLength: s.sys_len, referenceLength: s.ref_len },
        7,
        s.prediction,
      )
      near(
        { chrf: chrf([s.prediction], [s.references]), pp: chrf([s.prediction], [s.references], 2) },
        { chrf: s.chrf, pp: s.chrf_pp },
        7,
        s.prediction,
      )
    }
    for (const c of corpus) {
      const references = c.predictions.map((_, i) => c.reference_streams.map((stream) => stream[i] as string))
      near(bleu(c.predictions, references), { bleu: c.bleu, precisions: c.precisions, brevity: c.bp }, 7)
      near(bleu(c.predictions, references, { lowercase: true }).bleu, c.bleu_lowercase, 7)
      near(bleu(c.predictions, references, { tokenize: 'none' }).bleu, c.bleu_tokenize_none, 7)
      near({ chrf: chrf(c.predictions, references), pp: chrf(c.predictions, references, 2) }, { chrf: c.chrf, pp: c.chrf_pp }, 7)
    }
  })

  test('entities: seqeval, lenient and strict', () => {
    type Scores = {
      precision: number
      recall: number
      f1: number
      f1_macro: number
      per_type: Record<string, { precision: number; recall: number; 'f1-score': number; support: number }>
    }
    type Case = { gold: string[][]; predicted: string[][]; default: Scores; strict_iob2: Scores; token_accuracy: number }
    for (const c of reference<{ cases: Case[] }>('seqeval.json').cases)
      for (const [tagging, want] of [
        ['default', c.default],
        ['strict', c.strict_iob2],
      ] as const) {
        const got = entityScores(c.gold, c.predicted, tagging)
        near(got, { precision: want.precision, recall: want.recall, f1: want.f1, f1Macro: want.f1_macro, tokenAccuracy: c.token_accuracy })
        expect(Object.keys(got.perType)).toEqual(Object.keys(want.per_type).sort())
        for (const [type, w] of Object.entries(want.per_type))
          near(got.perType[type], { precision: w.precision, recall: w.recall, f1: w['f1-score'], support: w.support })
      }
  })

  test('McNemar: scipy, exact and by chi-square', () => {
    type Case = {
      a_correct: number[]
      b_correct: number[]
      only_a: number
      only_b: number
      exact_p: number
      chi2_continuity: number
      chi2_p: number
    }
    for (const c of reference<{ cases: Case[] }>('mcnemar.json').cases)
      near(mcnemar(c.a_correct.map(Boolean), c.b_correct.map(Boolean)), {
        onlyA: c.only_a,
        onlyB: c.only_b,
        exactP: c.exact_p,
        chiSquare: c.chi2_continuity,
        chiSquareP: c.chi2_p,
      })
  })
})
