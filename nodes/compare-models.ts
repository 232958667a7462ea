import * as z from 'zod'
import { datasetFacts, evenly, modelFacts, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { DECODE_FLOPS_PER_SECOND, forwardBytes, forwardFlopsPerToken, tokensOfChars, WARM_UP_SECONDS } from './_kit/estimate'
import { NodeError } from './_kit/node-error'
import { putReport } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const ANSWERABLE: readonly string[] = ['messages', 'prompt_completion']
const COLUMNS = ['input', 'expected', 'a', 'b', 'a_right', 'b_right', 'same'] as const

export const compareModels = defineNode({
  type: 'compare-models',
  title: 'Compare models',
  summary: 'Lets two models answer the same rows side by side, and says whether the difference is real.',
  help: `Two trainings, two models, or two settings: which is better? Both answer the same rows with the same settings, and every row is compared with itself.

The **difference** comes with its 95 % interval over rows and with McNemar's test, which looks only at rows where one is right and the other wrong. If the interval holds 0, the node says "no difference seen", and you can take the cheaper one.

The **rows** come out side by side, the ones that differ first. Use rows that neither was trained on.`,
  group: 'Evaluation',
  icon: 'compare-models',
  tags: ['versus', 'side by side', 'ab', 'a/b', 'significance', 'mcnemar', 'better', 'paired'],
  params: z.strictObject({
    max_rows: z
      .int()
      .min(2)
      .max(100_000)
      .default(100)
      .meta({ title: 'Rows', description: 'How many rows both answer, spread evenly.', unit: 'rows' }),
    max_new_tokens: z
      .int()
      .min(1)
      .max(8192)
      .default(128)
      .meta({ title: 'Longest answer', description: 'Writing stops here if the model does not stop by itself.', unit: 'tokens' }),
    temperature: z
      .number()
      .min(0)
      .max(2)
      .default(0)
      .meta({ title: 'Temperature', description: '0 takes the likeliest word each time; more draws at random.', advanced: true }),
    generation_batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(16)
      .meta({ title: 'Answers at once', description: 'Rows whose answers are written together.', unit: 'rows', advanced: true }),
  }),
  inputs: {
    a: { kind: 'model', title: 'A', description: 'The first model.' },
    b: { kind: 'model', title: 'B', description: 'The second model.' },
    data: { kind: 'dataset', title: 'Data', description: 'Rows that neither was trained on.' },
  },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Scores of both, and the difference with its interval.' },
    rows: { kind: 'dataset', title: 'Rows', description: 'Both answers to every row, differing ones first.' },
    report: { kind: 'report', title: 'Report', description: 'Who is better, and by how much.' },
  },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const models = [modelFacts(inputs.a), modelFacts(inputs.b)].flatMap((m) => (m ? [m] : []))
    const data = datasetFacts(inputs.data)
    const rows = Math.min(params.max_rows, data?.rows ?? params.max_rows)
    const length = data?.chars ? tokensOfChars(data.chars.mean) : 128
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['a_exact_match', 'b_exact_match', 'difference'] } },
        rows: { kind: 'dataset', facts: tableFacts(data, 'compared rows', COLUMNS, rows) },
        report: { kind: 'report', facts: { name: 'Compare models' } },
      },
      ...(models.length === 2 && {
        estimate: {
          seconds: Math.round(
            models.reduce(
              (s, m) => s + WARM_UP_SECONDS + (rows * params.max_new_tokens * forwardFlopsPerToken(m, length)) / DECODE_FLOPS_PER_SECOND,
              0,
            ),
          ),
          memoryBytes: Math.round(Math.max(...models.map((m) => forwardBytes(m, params.generation_batch_size, length)))),
          diskBytes: rows * 1000,
        },
      }),
      card: [{ label: 'Rows', value: rows.toLocaleString('en-US') }],
      problems:
        data?.format && !ANSWERABLE.includes(data.format)
          ? [
              {
                severity: 'error' as const,
                code: 'no_answers',
                message: `${data.format.replaceAll('_', ' ')} rows ask nothing.`,
                expected: 'messages, or prompt and completion',
                got: data.format,
              },
            ]
          : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, scoreAnswers, answerOf, questionOf, pairedBootstrap, mcnemar } = await import('../analysis/index')
    if (!ANSWERABLE.includes(inputs.data.format))
      throw new NodeError('no_answers', 'These rows ask nothing.', {
        expected: 'messages, or prompt and completion',
        got: inputs.data.format,
      })
    const rows = evenly(parseJsonl(await ctx.artifacts.readText(inputs.data.artifact)), params.max_rows)
    if (rows.length === 0) throw new NodeError('no_rows', 'There are no rows to answer.', { expected: 'at least one row', got: 'none' })
    const data = await putRows(ctx, inputs.data, packRows(rows))
    const expected = rows.map(answerOf)
    const answer = async (which: 'a' | 'b') => {
      const { texts } = await ctx.engine.generate({
        model: inputs[which],
        data,
        options: {
          max_new_tokens: params.max_new_tokens,
          temperature: params.temperature,
          top_k: 0,
          top_p: 1,
          repetition_penalty: 1,
          seed: ctx.seed,
          batch_size: params.generation_batch_size,
        },
        onProgress: (done) => ctx.progress((which === 'b' ? rows.length : 0) + done, 2 * rows.length, 'answers'),
      })
      ctx.signal.throwIfAborted()
      return { texts, score: scoreAnswers(expected, texts) }
    }
    const a = await answer('a')
    const b = await answer('b')
    const right = (side: typeof a) => side.score.rows.map((row) => row.correct)
    const difference = pairedBootstrap(right(b).map(Number), right(a).map(Number))
    const f1 = pairedBootstrap(
      b.score.rows.map((r) => r.f1),
      a.score.rows.map((r) => r.f1),
    )
    const test = mcnemar(right(a), right(b))
    const seen = difference.low > 0 || difference.high < 0
    const better = difference.mean > 0 ? 'B' : 'A'
    const table = rows
      .map((row, i) => ({
        id: row.id,
        input: questionOf(row),
        expected: expected[i] as string,
        a: a.texts[i] ?? '',
        b: b.texts[i] ?? '',
        a_right: right(a)[i] as boolean,
        b_right: right(b)[i] as boolean,
        same: a.texts[i] === b.texts[i],
      }))
      .sort((x, y) => Number(y.a_right !== y.b_right) - Number(x.a_right !== x.b_right) || Number(x.same) - Number(y.same))
    const same = table.filter((row) => row.same).length
    const report = await putReport(ctx, {
      title: 'Compare models',
      verdict: {
        tone: 'good',
        text: seen
          ? `${better} is better: ${percentWords(better === 'B' ? b.score.exactMatch : a.score.exactMatch)} right against ${percentWords(better === 'B' ? a.score.exactMatch : b.score.exactMatch)} of ${plural(rows.length, 'row')} (difference ${Math.abs(100 * difference.mean).toFixed(0)} points, interval ${(100 * difference.low).toFixed(0)} to ${(100 * difference.high).toFixed(0)}).`
          : `No difference seen: A ${percentWords(a.score.exactMatch)}, B ${percentWords(b.score.exactMatch)} of ${plural(rows.length, 'row')} (interval ${(100 * difference.low).toFixed(0)} to ${(100 * difference.high).toFixed(0)} points).`,
        action: seen ? `Take ${better}.` : 'Take the cheaper one, or compare on more rows.',
      },
      facts: [
        { label: 'A', value: `${inputs.a.base.name}, ${inputs.a.delta?.slice(0, 12) ?? (inputs.a.adapter ? 'adapter' : 'untrained')}` },
        { label: 'B', value: `${inputs.b.base.name}, ${inputs.b.delta?.slice(0, 12) ?? (inputs.b.adapter ? 'adapter' : 'untrained')}` },
        { label: 'Same answer', value: plural(same, 'row') },
        { label: 'Only A right, only B right', value: `${test.onlyA}, ${test.onlyB}` },
        { label: 'McNemar, exact', value: `p = ${test.exactP.toPrecision(2)}` },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      ],
      sections: [
        {
          title: 'Scores',
          bars: (
            [
              ['A, exact match', a.score.exactMatch],
              ['B, exact match', b.score.exactMatch],
              ['A, token F1', a.score.tokenF1],
              ['B, token F1', b.score.tokenF1],
            ] as const
          ).map(([label, value]) => ({ label, value, tone: 'quiet' as const, note: value.toFixed(3) })),
        },
        {
          title: 'B minus A',
          bars: (
            [
              ['exact match', difference],
              ['token F1', f1],
            ] as const
          ).map(([label, d]) => ({
            label,
            value: d.mean,
            low: d.low,
            high: d.high,
            tone: d.low > 0 || d.high < 0 ? ('good' as const) : ('quiet' as const),
            note: d.mean.toFixed(3),
          })),
        },
      ],
    })
    return {
      metrics: {
        rows: rows.length,
        a_exact_match: a.score.exactMatch,
        b_exact_match: b.score.exactMatch,
        a_token_f1: a.score.tokenF1,
        b_token_f1: b.score.tokenF1,
        difference: difference.mean,
        difference_low: difference.low,
        difference_high: difference.high,
        mcnemar_p: test.exactP,
      },
      rows: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'compared'),
      report,
    }
  },
})
