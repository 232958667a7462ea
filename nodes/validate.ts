import * as z from 'zod'
import type { Score } from './_kit/context'
import { defineNode } from './_kit/define-node'
import {
  DECODE_FLOPS_PER_SECOND,
  FLOPS_PER_SECOND,
  forwardBytes,
  forwardFlopsPerToken,
  tokensOfChars,
  WARM_UP_SECONDS,
} from './_kit/estimate'
import type { NodeProblem } from './_kit/facts'
import { NodeError } from './_kit/node-error'
import { baseOf, type DatasetHandle, isTrained, type ModelHandle } from './_kit/ports'
import { autoTrainOn } from './_kit/resolve-train'
import { byteWords, percentWords, plural } from './_kit/words'

const TRAIN_ON = ['completion', 'assistant', 'last_turn', 'all'] as const
const autoOr = <T extends z.ZodType>(schema: T) => z.union([z.literal('auto'), schema])
/** Formats whose rows end in an answer, so that one can be written and compared. */
const ANSWERABLE: readonly string[] = ['messages', 'prompt_completion']

export const validate = defineNode({
  type: 'validate',
  title: 'Validate',
  summary: 'Scores a model on rows it never saw, beside the same model before training.',
  help: `Two kinds of score, each for the trained model and for the model before training, over the same rows with the same settings.

**Loss and perplexity**: how surprised the model is by the right answer. **Exact match and token F1**: the model writes its own answer, which is compared with the right one after levelling case, spaces, quotes, dates (\`1 May 2024\` is \`2024-05-01\`), amounts (\`EUR 1,000.00\` is \`€1000\`) and durations (\`2 weeks\` is \`14 days\`).

Where answers are JSON objects, every field has its own score, and exact match counts rows in which **all** fields are right. Answers are written freely: nothing forces valid JSON.

The **rows** come out worst first, with input, expected answer, the answer before and after training. Give it rows that training never read: the test output of Split data, and, better still, a file from another source.`,
  group: 'Evaluation',
  icon: 'validate',
  tags: [
    'evaluate',
    'test',
    'score',
    'metrics',
    'accuracy',
    'exact match',
    'f1',
    'perplexity',
    'loss',
    'json',
    'fields',
    'compare',
    'base',
  ],
  params: z.strictObject({
    compare_base: z
      .boolean()
      .default(true)
      .meta({ title: 'Score the model before training too', description: 'Twice the time, and the only way to see what training did.' }),
    generate: z
      .boolean()
      .default(true)
      .meta({ title: 'Write answers', description: 'Let the model answer each row. Off: loss and perplexity only, which is much faster.' }),
    max_new_tokens: z
      .int()
      .min(1)
      .max(8192)
      .default(128)
      .meta({
        title: 'Longest answer',
        description: 'Writing stops here if the model does not stop by itself.',
        unit: 'tokens',
        showIf: { generate: [true] },
      }),
    answer_type: z
      .enum(['auto', 'json', 'text'])
      .default('auto')
      .meta({
        title: 'Answers are',
        description: 'JSON objects are compared field by field. Automatic: JSON where every expected answer is a JSON object.',
        labels: { auto: 'Automatic', json: 'JSON objects', text: 'Text' },
        advanced: true,
      }),
    max_rows: z
      .int()
      .min(0)
      .max(10_000_000)
      .default(0)
      .meta({ title: 'Rows to score', description: 'Score only the first so many rows; 0 scores all.', unit: 'rows', advanced: true }),
    generation_batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(16)
      .meta({ title: 'Answers at once', description: 'Rows whose answers are written together.', unit: 'rows', advanced: true }),
    batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .meta({ title: 'Batch size', description: 'Rows whose loss is computed together.', unit: 'rows', advanced: true }),
    max_length: autoOr(z.int().min(8).max(131_072)).default('auto').meta({
      title: 'Maximum length',
      description: 'Longer rows are left out of the loss and counted. Automatic: what the model can read.',
      unit: 'tokens',
      advanced: true,
    }),
    train_on: autoOr(z.enum(TRAIN_ON))
      .default('auto')
      .meta({
        title: 'Loss over',
        description: 'Which part of a row counts in the loss; the same as in training, so that the numbers compare.',
        labels: {
          auto: 'Automatic',
          completion: 'The completion',
          assistant: 'Every answer',
          last_turn: 'The last answer',
          all: 'Everything',
        },
        advanced: true,
      }),
    bf16: z
      .union([z.literal('auto'), z.boolean()])
      .default('auto')
      .meta({
        title: '16-bit products',
        description:
          'Compute matrix products in bfloat16, as in training; norms, softmax and loss stay in 32 bit. Automatic: where the machine is faster with it.',
        labels: { auto: 'Automatic', true: 'On', false: 'Off' },
        advanced: true,
      }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to score.' },
    data: { kind: 'dataset', title: 'Data', description: 'Rows that training never read.' },
  },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'All scores by name; those of the model before training start with base_.' },
    rows: { kind: 'dataset', title: 'Rows', description: 'Input, expected answer, answer before and after, worst first.' },
  },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = inputs.model?.kind === 'model' ? inputs.model.facts : null
    const data = inputs.data?.kind === 'dataset' ? inputs.data.facts : null
    const problems: NodeProblem[] = []
    if (data?.format && !ANSWERABLE.includes(data.format) && data.format !== 'text')
      problems.push({
        severity: 'error',
        code: 'format_not_scorable',
        message: `Validate cannot score ${data.format.replaceAll('_', ' ')} rows.`,
        expected: 'messages, prompt and completion, or text',
        got: data.format.replaceAll('_', ' '),
      })
    const writes = params.generate && data?.format !== 'text'
    const rows =
      data?.rows === null || data?.rows === undefined ? null : params.max_rows > 0 ? Math.min(params.max_rows, data.rows) : data.rows
    const trainOn = params.train_on === 'auto' ? autoTrainOn(data?.format ?? null) : params.train_on
    const twice = params.compare_base ? 2 : 1
    const estimate = (() => {
      if (!model || !data?.chars || rows === null) return undefined
      const length = tokensOfChars(data.chars.mean)
      const score = (rows * length * forwardFlopsPerToken(model, length)) / FLOPS_PER_SECOND
      const write = writes ? (rows * params.max_new_tokens * forwardFlopsPerToken(model, length)) / DECODE_FLOPS_PER_SECOND : 0
      return {
        seconds: Math.round(WARM_UP_SECONDS + twice * (score + write)),
        memoryBytes: Math.round(forwardBytes(model, params.batch_size, tokensOfChars(data.chars.max))),
        diskBytes: Math.round(rows * data.chars.mean * 2),
      }
    })()
    const names = ['eval_loss', 'perplexity', ...(writes ? ['exact_match', 'token_f1'] : [])]
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: params.compare_base ? names.flatMap((n) => [n, `base_${n}`]) : names } },
        rows: {
          kind: 'dataset',
          facts: {
            name: 'scored rows',
            rows,
            format: 'table',
            columns: ['input', 'expected', 'before', 'after', 'correct'],
            split: data?.split ?? 'all',
            chars: data?.chars ?? null,
            origin: data?.origin ?? '',
          },
        },
      },
      resolved: params.train_on === 'auto' && trainOn ? { train_on: trainOn } : {},
      ...(estimate && { estimate }),
      card: [
        { label: 'Rows', value: rows === null ? 'all' : rows.toLocaleString('en-US') },
        { label: 'Scores', value: writes ? 'loss and answers' : 'loss only' },
        { label: 'Before training', value: params.compare_base ? 'scored too' : 'not scored' },
      ],
      problems,
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, rowsToJsonl, questionOf, answerOf, scoreAnswers, pairedBootstrap, lengthsOf } = await import('../analysis/index')
    const { model } = inputs
    const base: ModelHandle | null = params.compare_base ? baseOf(model) : null
    let data = inputs.data
    if (!ANSWERABLE.includes(data.format) && data.format !== 'text')
      throw new NodeError('format_not_scorable', `Validate cannot score ${data.format.replaceAll('_', ' ')} rows.`, {
        expected: 'messages, prompt and completion, or text',
        got: data.format,
      })
    let rows = parseJsonl(await ctx.artifacts.readText(data.artifact))
    if (rows.length === 0)
      throw new NodeError('no_rows', 'There are no rows to score.', {
        expected: 'at least one row',
        got: 'none',
        fix: 'Give the split a test or validation share above 0.',
      })
    if (params.max_rows > 0 && params.max_rows < rows.length) {
      rows = rows.slice(0, params.max_rows)
      data = { ...data, artifact: await ctx.artifacts.put(rowsToJsonl(rows)), rows: rows.length }
    }
    const writes = params.generate && data.format !== 'text'
    const train_on = params.train_on === 'auto' ? (autoTrainOn(data.format) ?? 'all') : params.train_on
    const max_length = params.max_length === 'auto' ? model.contextLength : Math.min(params.max_length, model.contextLength)
    // A model that was never trained is its own base: its numbers are used twice and computed once.
    const same = base !== null && !isTrained(model)

    const bf16 = params.bf16 === 'auto' ? (ctx.engine.backend.bf16 ?? false) : params.bf16
    ctx.log(`${ctx.engine.backend.name} on ${ctx.engine.backend.device}, ${bf16 ? 'bfloat16 products' : '32 bit'}`)
    const scored = await ctx.engine.score({
      model,
      base: base !== null && !same,
      data,
      max_length,
      batch_size: params.batch_size,
      train_on,
      bf16,
      answers: writes
        ? {
            max_new_tokens: params.max_new_tokens,
            temperature: 0,
            top_k: 0,
            top_p: 1,
            repetition_penalty: 1,
            seed: ctx.seed,
            batch_size: params.generation_batch_size,
          }
        : null,
      onProgress: (done, total) => ctx.progress(done, total, 'rows'),
    })
    ctx.signal.throwIfAborted()
    const expected = writes ? rows.map(answerOf) : []
    const told = (score: Score, who: string) => {
      ctx.log(`${who}: loss ${score.loss.toFixed(4)}, perplexity ${score.perplexity.toFixed(2)} over ${plural(score.tokens, 'token')}`)
      if (!score.texts) return null
      const scores = scoreAnswers(expected, score.texts, params.answer_type)
      const cut = score.truncated?.filter(Boolean).length ?? 0
      ctx.log(
        `${who}: exact match ${percentWords(scores.exactMatch)}, token F1 ${scores.tokenF1.toFixed(3)}${cut ? `; ${plural(cut, 'answer')} cut off at ${params.max_new_tokens} tokens` : ''}`,
      )
      return { ...scores, texts: score.texts }
    }
    const afterLoss = scored.model
    const after = told(afterLoss, 'After training')
    const beforeLoss = same ? afterLoss : scored.base
    const before = same ? after : scored.base && told(scored.base, 'Before training')

    const metrics: Record<string, number> = { rows: rows.length, eval_loss: afterLoss.loss, perplexity: afterLoss.perplexity }
    if (beforeLoss) Object.assign(metrics, { base_eval_loss: beforeLoss.loss, base_perplexity: beforeLoss.perplexity })
    if (after) Object.assign(metrics, scoreMetrics(after, ''))
    if (before) Object.assign(metrics, scoreMetrics(before, 'base_'))
    if (after && before && !same) {
      // SCI-4: a difference comes with its 95 % interval over rows, paired, 2,000 resamples.
      const gain = pairedBootstrap(
        after.rows.map((r) => Number(r.correct)),
        before.rows.map((r) => Number(r.correct)),
        { resamples: 2000, seed: 42 },
      )
      Object.assign(metrics, { exact_match_gain: gain.mean, exact_match_gain_low: gain.low, exact_match_gain_high: gain.high })
      ctx.log(
        gain.low <= 0 && gain.high >= 0
          ? 'Exact match: no difference seen'
          : `Exact match: ${gain.mean > 0 ? '+' : ''}${gain.mean.toFixed(3)} (95 % interval ${gain.low.toFixed(3)} to ${gain.high.toFixed(3)})`,
      )
    }

    const table = rows.map((row, i) => ({
      id: String(row.id),
      input: questionOf(row),
      expected: expected[i] ?? '',
      before: before?.texts[i] ?? '',
      after: after?.texts[i] ?? '',
      correct: after?.rows[i]?.correct ?? false,
      before_correct: before?.rows[i]?.correct ?? false,
      score: round(after?.rows[i]?.f1 ?? 0),
      wrong_fields: after?.rows[i]?.wrongFields ?? [],
      loss: round(afterLoss.rowLosses[i] ?? 0),
    }))
    // Worst first: wrong before right, then the lowest overlap, then the highest loss.
    table.sort((a, b) => Number(a.correct) - Number(b.correct) || a.score - b.score || b.loss - a.loss)
    const columns = ['input', 'expected', 'before', 'after', 'correct', 'before_correct', 'score', 'wrong_fields', 'loss']
    const artifact = await ctx.artifacts.put(rowsToJsonl(table))
    const handle: DatasetHandle = {
      artifact,
      rows: table.length,
      format: 'table',
      columns,
      name: `${data.name}, scored`,
      split: data.split,
      source: data.source,
      chars: lengthsOf(table),
    }
    ctx.log(`${plural(table.length, 'row')} written, ${byteWords(rowsToJsonl(table).length)}`)
    return { metrics: finite(metrics), rows: handle }
  },
})

const round = (n: number) => (Number.isFinite(n) ? Math.round(n * 1e4) / 1e4 : 0)
/** Perplexity overflows for hopeless models; a metric is always a number that can be drawn. */
const finite = (metrics: Record<string, number>) =>
  Object.fromEntries(Object.entries(metrics).map(([k, v]) => [k, Number.isFinite(v) ? v : v > 0 ? Number.MAX_VALUE : 0]))

type Scores = {
  exactMatch: number
  tokenF1: number
  jsonValid: number | null
  schemaValid: number | null
  fields: { name: string; exactMatch: number; f1: number }[]
  microF1: number | null
  macroF1: number | null
  absentInvented: number | null
}

function scoreMetrics(scores: Scores, prefix: string): Record<string, number> {
  const out: Record<string, number> = { [`${prefix}exact_match`]: scores.exactMatch, [`${prefix}token_f1`]: scores.tokenF1 }
  if (scores.jsonValid !== null) out[`${prefix}json_valid`] = scores.jsonValid
  if (scores.schemaValid !== null) out[`${prefix}schema_valid`] = scores.schemaValid
  if (scores.microF1 !== null) out[`${prefix}field_f1_micro`] = scores.microF1
  if (scores.macroF1 !== null) out[`${prefix}field_f1_macro`] = scores.macroF1
  if (scores.absentInvented !== null) out[`${prefix}absent_invented`] = scores.absentInvented
  for (const f of scores.fields) {
    out[`${prefix}field_${f.name}_exact_match`] = f.exactMatch
    out[`${prefix}field_${f.name}_f1`] = f.f1
  }
  return out
}
