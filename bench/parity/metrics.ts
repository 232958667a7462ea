/** metrics/: scores and intervals against scikit-learn, SQuAD, CUAD and numpy. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { bleu, chrf } from '../../analysis/metrics/bleu'
import { intervalOf } from '../../analysis/metrics/bootstrap'
import { calibrationError, classify, logLoss } from '../../analysis/metrics/classification'
import { entityScores } from '../../analysis/metrics/entities'
import { mcnemar } from '../../analysis/metrics/mcnemar'
import { rougeL, rougeLsum, rougeN } from '../../analysis/metrics/rouge'
import { bestOf, exactMatch, normalizeAnswer, spanScores, tokenF1, wordJaccard } from '../../analysis/metrics/text'
import { type Context, exists, type Json, number, readJson, runCase, Tensors } from './cases'

const TOLERANCE = 1e-9
/** sacrebleu's scores run to 100. */
const BLEU_TOLERANCE = 1e-7

type Check = (context: Context, at: string, folder: string, file: Json) => void

/** By a key that only this file has. */
const CHECKS: Readonly<Record<string, Check>> = {
  'extraction.json': extraction,
  'bootstrap.json': bootstrap,
  'language_model.json': languageModel,
  'classification.json': classification,
  'rouge.json': rouge,
  'bleu.json': bleuScores,
  'seqeval.json': entities,
  'mcnemar.json': pairedTest,
}

export async function metrics(context: Context, topic: string): Promise<void> {
  for (const name of fs
    .readdirSync(topic)
    .filter((entry) => entry.endsWith('.json') && entry !== 'summary.json')
    .sort()) {
    const check = CHECKS[name]
    await runCase(context, path.join(topic, name), (at) => {
      if (check) check(context, at, topic, readJson(topic, name))
      else context.report.fail(at, 'unread', 'no metric of this name')
    })
  }
}

/** One metric over all cases of a file: numbers in any nesting, flattened. */
function all(
  context: Context,
  at: string,
  metric: string,
  cases: readonly Json[],
  got: (c: Json) => unknown,
  want: (c: Json) => unknown,
  tolerance = TOLERANCE,
): void {
  const flat = (value: unknown): number[] => (Array.isArray(value) ? value.flatMap(flat) : [number(value)])
  context.report.near(
    at,
    `${metric} (${cases.length} cases)`,
    cases.flatMap((c) => flat(got(c))),
    cases.flatMap((c) => flat(want(c))),
    tolerance,
  )
}

function classification(context: Context, at: string, _folder: string, file: Json): void {
  const cases = file.cases as Json[]
  const scores = new Map(cases.map((c) => [c, classify(c.labels, c.gold, c.predicted)]))
  const of = (c: Json) => scores.get(c) as ReturnType<typeof classify>
  all(
    context,
    at,
    'accuracy',
    cases,
    (c) => of(c).accuracy,
    (c) => c.accuracy,
  )
  all(
    context,
    at,
    'macro F1',
    cases,
    (c) => of(c).f1Macro,
    (c) => c.f1_macro,
  )
  all(
    context,
    at,
    'micro F1',
    cases,
    (c) => of(c).f1Micro,
    (c) => c.f1_micro,
  )
  all(
    context,
    at,
    'weighted F1',
    cases,
    (c) => of(c).f1Weighted,
    (c) => c.f1_weighted,
  )
  all(
    context,
    at,
    'confusion',
    cases,
    (c) => of(c).confusion,
    (c) => c.confusion,
  )
  all(
    context,
    at,
    'Matthews',
    cases,
    (c) => of(c).matthews,
    (c) => c.matthews,
  )
  const balanced = cases.filter((c) => c.balanced_accuracy_present_classes !== null && of(c).balancedAccuracy !== null)
  all(
    context,
    at,
    'balanced accuracy',
    balanced,
    (c) => of(c).balancedAccuracy,
    (c) => c.balanced_accuracy_present_classes,
  )
  for (const key of ['precision', 'recall', 'f1', 'support'] as const)
    all(
      context,
      at,
      `${key} of each class`,
      cases,
      (c) => of(c).perClass.map((p) => p[key]),
      (c) => c.per_class[key],
    )
  all(
    context,
    at,
    'calibration error',
    cases,
    (c) => calibrationError(c.labels, c.gold, c.probabilities, c.ece_bins),
    (c) => c.ece,
  )
  all(
    context,
    at,
    'log loss',
    cases,
    (c) => logLoss(c.labels, c.gold, c.probabilities),
    (c) => c.log_loss,
  )
}

function rouge(context: Context, at: string, _folder: string, file: Json): void {
  const kinds = {
    rouge1: (c: Json) => rougeN(c.prediction, c.reference, 1),
    rouge2: (c: Json) => rougeN(c.prediction, c.reference, 2),
    rougeL: (c: Json) => rougeL(c.prediction, c.reference),
    rougeLsum: (c: Json) => rougeLsum(c.prediction, c.reference),
  }
  const three = ({ precision, recall, f1 }: { precision: number; recall: number; f1: number }) => [precision, recall, f1]
  for (const [kind, score] of Object.entries(kinds))
    all(
      context,
      at,
      kind,
      file.cases,
      (c) => three(score(c)),
      (c) => three(c.plain[kind]),
    )
}

function bleuScores(context: Context, at: string, _folder: string, file: Json): void {
  const sentence = (c: Json) => bleu([c.prediction], [c.references], { effectiveOrder: true })
  const sentences = (file.sentence ?? []) as Json[]
  const near = (metric: string, cases: Json[], got: (c: Json) => unknown, want: (c: Json) => unknown) =>
    all(context, at, metric, cases, got, want, BLEU_TOLERANCE)
  near(
    'sentence BLEU',
    sentences,
    (c) => sentence(c).bleu,
    (c) => c.bleu,
  )
  near(
    'sentence precisions',
    sentences,
    (c) => sentence(c).precisions,
    (c) => c.precisions,
  )
  near(
    'sentence brevity',
    sentences,
    (c) => sentence(c).brevity,
    (c) => c.bp,
  )
  const lengths = (c: Json) => [sentence(c).predictedLength, sentence(c).referenceLength]
  near('sentence lengths', sentences, lengths, (c) => [c.sys_len, c.ref_len])
  near(
    'sentence chrF',
    sentences,
    (c) => chrf([c.prediction], [c.references]),
    (c) => c.chrf,
  )
  near(
    'sentence chrF++',
    sentences,
    (c) => chrf([c.prediction], [c.references], 2),
    (c) => c.chrf_pp,
  )
  const corpora = (file.corpus ?? []) as Json[]
  const references = (c: Json): string[][] =>
    c.predictions.map((_: string, i: number) => c.reference_streams.map((stream: string[]) => stream[i]))
  near(
    'corpus BLEU',
    corpora,
    (c) => bleu(c.predictions, references(c)).bleu,
    (c) => c.bleu,
  )
  near(
    'corpus precisions',
    corpora,
    (c) => bleu(c.predictions, references(c)).precisions,
    (c) => c.precisions,
  )
  near(
    'corpus brevity',
    corpora,
    (c) => bleu(c.predictions, references(c)).brevity,
    (c) => c.bp,
  )
  near(
    'corpus BLEU, lower case',
    corpora,
    (c) => bleu(c.predictions, references(c), { lowercase: true }).bleu,
    (c) => c.bleu_lowercase,
  )
  near(
    'corpus BLEU, split at spaces',
    corpora,
    (c) => bleu(c.predictions, references(c), { tokenize: 'none' }).bleu,
    (c) => c.bleu_tokenize_none,
  )
  near(
    'corpus chrF',
    corpora,
    (c) => chrf(c.predictions, references(c)),
    (c) => c.chrf,
  )
  near(
    'corpus chrF++',
    corpora,
    (c) => chrf(c.predictions, references(c), 2),
    (c) => c.chrf_pp,
  )
}

function entities(context: Context, at: string, _folder: string, file: Json): void {
  for (const [tagging, key] of [
    ['default', 'default'],
    ['strict', 'strict_iob2'],
  ] as const) {
    const scores = (c: Json) => entityScores(c.gold, c.predicted, tagging)
    const four = (c: Json) => [scores(c).precision, scores(c).recall, scores(c).f1, scores(c).f1Macro]
    all(context, at, `${tagging} scores`, file.cases, four, (c) => [c[key].precision, c[key].recall, c[key].f1, c[key].f1_macro])
    const types = (file.cases as Json[]).map((c) => Object.keys(scores(c).perType).sort())
    context.report.same(
      at,
      `${tagging} types`,
      types,
      (file.cases as Json[]).map((c) => Object.keys(c[key].per_type).sort()),
    )
    const each = (of: Json, f1: string) =>
      Object.keys(of)
        .sort()
        .map((type) => [of[type].precision, of[type].recall, of[type][f1], of[type].support])
    all(
      context,
      at,
      `${tagging} scores of each type`,
      file.cases,
      (c) => each(scores(c).perType, 'f1'),
      (c) => each(c[key].per_type, 'f1-score'),
    )
  }
  all(
    context,
    at,
    'token accuracy',
    file.cases,
    (c) => entityScores(c.gold, c.predicted, 'default').tokenAccuracy,
    (c) => c.token_accuracy,
  )
}

function pairedTest(context: Context, at: string, _folder: string, file: Json): void {
  const test = (c: Json) => mcnemar(c.a_correct.map(Boolean), c.b_correct.map(Boolean))
  all(
    context,
    at,
    'rows that only one has right',
    file.cases,
    (c) => [test(c).onlyA, test(c).onlyB],
    (c) => [c.only_a, c.only_b],
  )
  all(
    context,
    at,
    'exact p',
    file.cases,
    (c) => test(c).exactP,
    (c) => c.exact_p,
  )
  all(
    context,
    at,
    'chi-square',
    file.cases,
    (c) => test(c).chiSquare,
    (c) => c.chi2_continuity,
  )
  all(
    context,
    at,
    'chi-square p',
    file.cases,
    (c) => test(c).chiSquareP,
    (c) => c.chi2_p,
  )
}

function extraction({ report }: Context, at: string, _folder: string, file: Json): void {
  const columns = (list: Json[], get: (c: Json) => unknown, key: string) => [list.map(get), list.map((c) => c[key])] as const
  const single = (file.single ?? []) as Json[]
  if (single.length)
    report.same(at, 'normalised predictions', ...columns(single, (c) => normalizeAnswer(c.prediction), 'normalized_prediction'))
  if (single.length) report.same(at, 'normalised answers', ...columns(single, (c) => normalizeAnswer(c.gold), 'normalized_gold'))
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
