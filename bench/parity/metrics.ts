/** metrics/: scores and intervals against scikit-learn, SQuAD, CUAD and numpy. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { intervalOf } from '../../analysis/metrics/bootstrap'
import { bestOf, exactMatch, normalizeAnswer, spanScores, tokenF1, wordJaccard } from '../../analysis/metrics/text'
import { type Context, exists, type Json, readJson, runCase, Tensors } from './cases'

const TOLERANCE = 1e-9

type Check = (context: Context, at: string, folder: string, file: Json) => void

/** By a key that only this file has. */
const CHECKS: readonly { file: string; check: Check | string }[] = [
  { file: 'extraction.json', check: extraction },
  { file: 'bootstrap.json', check: bootstrap },
  { file: 'language_model.json', check: languageModel },
  { file: 'classification.json', check: 'classification scores are not built yet' },
  { file: 'rouge.json', check: 'ROUGE is not built yet' },
  { file: 'bleu.json', check: 'BLEU and chrF are not built yet' },
  { file: 'seqeval.json', check: 'entity scores are not built yet' },
  { file: 'mcnemar.json', check: "McNemar's test is not built yet" },
]

export async function metrics(context: Context, topic: string): Promise<void> {
  for (const name of fs
    .readdirSync(topic)
    .filter((entry) => entry.endsWith('.json') && entry !== 'summary.json')
    .sort()) {
    const known = CHECKS.find(({ file }) => file === name)
    await runCase(context, path.join(topic, name), (at) => {
      if (!known) context.report.fail(at, 'unread', 'no metric of this name')
      else if (typeof known.check === 'string') context.report.skip(at, known.check)
      else known.check(context, at, topic, readJson(topic, name))
    })
  }
}

function extraction({ report }: Context, at: string, _folder: string, file: Json): void {
  const columns = (list: Json[], get: (c: Json) => unknown, key: string) => [list.map(get), list.map((c) => c[key])] as const
  const single = (file.single ?? []) as Json[]
  report.same(at, 'normalised predictions', ...columns(single, (c) => normalizeAnswer(c.prediction), 'normalized_prediction'))
  report.same(at, 'normalised answers', ...columns(single, (c) => normalizeAnswer(c.gold), 'normalized_gold'))
  const near = (metric: string, list: Json[], get: (c: Json) => number, key: string) =>
    report.near(
      at,
      metric,
      list.map(get),
      list.map((c) => c[key]),
      TOLERANCE,
    )
  near('exact match', single, (c) => exactMatch(c.prediction, c.gold), 'exact_match')
  near('token F1', single, (c) => tokenF1(c.prediction, c.gold), 'token_f1')
  near('word Jaccard', single, (c) => wordJaccard(c.prediction, c.gold), 'word_jaccard_cuad')
  const several = (file.best_of_several_golds ?? []) as Json[]
  near('best exact match', several, (c) => bestOf(exactMatch, c.prediction, c.golds), 'exact_match')
  near('best token F1', several, (c) => bestOf(tokenF1, c.prediction, c.golds), 'token_f1')
  const spans = (file.spans ?? []) as Json[]
  near('span Jaccard', spans, (c) => spanScores(c.predicted_spans, c.gold_spans).jaccard, 'char_jaccard')
  near('span F1', spans, (c) => spanScores(c.predicted_spans, c.gold_spans).f1, 'char_f1')
}

function bootstrap({ report }: Context, at: string, folder: string, file: Json): void {
  if (!exists(folder, 'bootstrap_indices.safetensors')) {
    report.fail(at, 'unread', 'there are no resample indices')
    return
  }
  const indices = new Tensors(folder, 'bootstrap_indices.safetensors')
  for (const [i, c] of (file.cases as Json[]).entries()) {
    const name = `bootstrap/${i}/indices`
    const [resamples = 0, n = 0] = indices.shape(name)
    const all = indices.numbers(name)
    const draws = Array.from({ length: resamples }, (_, r) => all.subarray(r * n, (r + 1) * n))
    const wide = intervalOf(c.values, draws, 0.95)
    const narrow = intervalOf(c.values, draws, 0.9)
    report.near(
      at,
      `case ${i}`,
      [wide.mean, wide.low, wide.high, wide.standardError, narrow.low, narrow.high],
      [c.mean, ...c.ci95_percentile, c.standard_error, ...c.ci90_percentile],
      TOLERANCE,
    )
  }
  indices.close()
}

/** Perplexity as nodes report it: exp of the token-weighted mean loss in nats. */
function languageModel({ report }: Context, at: string, _folder: string, file: Json): void {
  const texts = (file.texts ?? []) as Json[]
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0)
  const mean = (c: Json) => -sum(c.token_logprobs_nats) / c.token_logprobs_nats.length
  report.near(
    at,
    'mean loss',
    texts.map(mean),
    texts.map((c) => c.mean_nll),
    TOLERANCE,
  )
  report.near(
    at,
    'perplexity, relative',
    texts.map((c) => Math.exp(mean(c)) / c.perplexity),
    texts.map(() => 1),
    TOLERANCE,
  )
  report.near(
    at,
    'bits per byte',
    texts.map((c) => -sum(c.token_logprobs_nats) / Math.LN2 / Buffer.byteLength(c.text)),
    texts.map((c) => c.bits_per_byte),
    TOLERANCE,
  )
  if (file.corpus) {
    const tokens = sum(texts.map((c) => c.token_logprobs_nats.length))
    const total = -sum(texts.map((c) => sum(c.token_logprobs_nats)))
    report.near(at, 'corpus perplexity', [Math.exp(total / tokens)], [file.corpus.perplexity_over_all_tokens], TOLERANCE)
  }
}
