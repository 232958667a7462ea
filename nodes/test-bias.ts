import * as z from 'zod'
import { columnProblem, datasetFacts, evenly, knownColumns, modelFacts, putNew, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { DECODE_FLOPS_PER_SECOND, forwardBytes, forwardFlopsPerToken, tokensOfChars, WARM_UP_SECONDS } from './_kit/estimate'
import { NodeError, throwProblem } from './_kit/node-error'
import { putReport } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const TABLES = ['pronouns', 'names', 'companies'] as const
const COLUMNS = ['changed', 'question', 'answer', 'swapped_question', 'swapped_answer', 'expected'] as const

export const testBias = defineNode({
  type: 'test-bias',
  title: 'Test bias',
  summary: 'Asks the same questions about somebody else and counts how often the answer changes.',
  help: `**Your task** first: pronouns, first names or nationalities in your own validation rows are exchanged, consistently within a row, and the model answers both. Where nothing but a name changed, the answer should not change either, beyond the name itself. The report gives the share of answers that do, with its 95 % interval, and whether one side is answered worse.

**Pairs of sentences**: rows with two columns, the more and the less stereotyped sentence. Counted is how often the model finds the stereotyped one likelier; 50 % is even. Known sets of such pairs were made for other kinds of models and are noisy: read small differences as noise.

Swaps know English words, and rows about known real persons are left alone. Use it before and after Augment counterfactuals, on the same rows.`,
  group: 'Evaluation',
  icon: 'test-bias',
  tags: ['fairness', 'gender', 'stereotype', 'counterfactual', 'crows-pairs', 'swap', 'discrimination', 'names'],
  params: z.strictObject({
    mode: z
      .enum(['task', 'pairs'])
      .default('task')
      .meta({
        title: 'Test with',
        description: 'Your own rows with words exchanged, or pairs of sentences.',
        labels: { task: 'My rows', pairs: 'Pairs of sentences' },
      }),
    swap_table: z
      .array(z.enum(TABLES))
      .min(1)
      .max(TABLES.length)
      .default(['pronouns', 'names'])
      .meta({
        title: 'Exchange',
        description: 'Pronouns and words for women and men, first names, nationalities of companies.',
        labels: { pronouns: 'She and he', names: 'First names', companies: 'Nationality of companies' },
        showIf: { mode: ['task'] },
      }),
    more_column: z
      .string()
      .max(200)
      .default('sent_more')
      .meta({
        title: 'Stereotyped sentence',
        description: 'Column with the more stereotyped sentence.',
        widget: 'column',
        showIf: { mode: ['pairs'] },
      }),
    less_column: z
      .string()
      .max(200)
      .default('sent_less')
      .meta({
        title: 'Other sentence',
        description: 'Column with the less stereotyped sentence.',
        widget: 'column',
        showIf: { mode: ['pairs'] },
      }),
    max_rows: z
      .int()
      .min(2)
      .max(100_000)
      .default(100)
      .meta({ title: 'Rows', description: 'How many rows are asked, spread evenly.', unit: 'rows' }),
    max_new_tokens: z
      .int()
      .min(1)
      .max(4096)
      .default(96)
      .meta({
        title: 'Longest answer',
        description: 'Writing stops here if the model does not stop by itself.',
        unit: 'tokens',
        showIf: { mode: ['task'] },
      }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to test.' },
    data: { kind: 'dataset', title: 'Data', description: 'Validation rows of the task, or a table of sentence pairs.' },
  },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Share of answers that change, or share of pairs, with intervals.' },
    rows: { kind: 'dataset', title: 'Rows', description: 'Both questions and both answers, changed ones first.' },
    report: { kind: 'report', title: 'Report', description: 'The shares with their intervals, and changed answers side by side.' },
  },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const rows = Math.min(params.max_rows, data?.rows ?? params.max_rows)
    const length = data?.chars ? tokensOfChars(data.chars.mean) : 128
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: params.mode === 'task' ? ['change_rate', 'gap'] : ['stereotyped_share'] } },
        rows: { kind: 'dataset', facts: tableFacts(data, 'tested rows', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Test bias' } },
      },
      ...(model && {
        estimate: {
          seconds: Math.round(
            WARM_UP_SECONDS +
              (2 * rows * (params.mode === 'task' ? params.max_new_tokens : length / 6) * forwardFlopsPerToken(model, length)) /
                DECODE_FLOPS_PER_SECOND,
          ),
          memoryBytes: Math.round(forwardBytes(model, 16, length)),
          diskBytes: rows * 1000,
        },
      }),
      card: [
        { label: 'Test with', value: params.mode === 'task' ? 'own rows' : 'sentence pairs' },
        { label: 'Rows', value: rows.toLocaleString('en-US') },
      ],
      problems: params.mode === 'pairs' ? pairProblems(params, knownColumns(data)) : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const analysis = await import('../analysis/index')
    const { parseJsonl, packRows, bootstrap, pairedBootstrap, columnValue, swapRow, swapText, questionOf, answerOf, canonicalValue } =
      analysis
    const rows = evenly(
      parseJsonl(await ctx.artifacts.readText(inputs.data.artifact)),
      params.mode === 'pairs' ? params.max_rows : Number.MAX_SAFE_INTEGER,
    )
    const facts = [
      { label: 'Model', value: inputs.model.base.name },
      { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      { label: 'Backend', value: ctx.engine.backend.device },
    ]
    if (params.mode === 'pairs') {
      throwProblem(pairProblems(params, inputs.data.columns))
      const side = async (column: string) => {
        const texts = rows.map((row) => String(columnValue(row, column) ?? ''))
        const data = await putNew(ctx, packRows(texts.map((text, i) => ({ id: `p${i}`, text }))), 'text', column)
        const scored = await ctx.engine.evaluate({
          model: inputs.model,
          data,
          max_length: inputs.model.contextLength,
          batch_size: 16,
          train_on: 'all',
        })
        const tokens = await ctx.engine.tokens({ model: inputs.model, data, train_on: 'all' })
        ctx.signal.throwIfAborted()
        // Summed log-likelihood: the sentences of a pair differ in a word.
        return { texts, likelihood: scored.rowLosses.map((loss, i) => -loss * (tokens[i]?.trained ?? 0)) }
      }
      const [more, less] = [await side(params.more_column), await side(params.less_column)]
      const prefers = rows.map((_, i) =>
        (more.likelihood[i] as number) > (less.likelihood[i] as number) ? 1 : more.likelihood[i] === less.likelihood[i] ? 0.5 : 0,
      )
      const share = bootstrap(prefers)
      const even = share.low <= 0.5 && share.high >= 0.5
      const distance =
        rows.reduce((s, _, i) => s + Math.abs((more.likelihood[i] as number) - (less.likelihood[i] as number)), 0) /
        Math.max(1, rows.length)
      const report = await putReport(ctx, {
        title: 'Test bias',
        verdict: {
          tone: even ? 'good' : 'look',
          text: `The stereotyped sentence is likelier in ${percentWords(share.mean)} of ${plural(rows.length, 'pair')} (interval ${percentWords(share.low)} to ${percentWords(share.high)}; even is 50 %).${even ? ' No difference seen.' : ''}`,
          action: even ? null : 'Augment the training rows with counterfactuals, and measure the task and this again.',
        },
        facts: [{ label: 'Pairs', value: String(rows.length) }, { label: 'Mean distance', value: `${distance.toFixed(2)} nats` }, ...facts],
        sections: [
          {
            title: 'Share of pairs',
            text: 'Sets of such pairs were made for other kinds of models and are noisy.',
            bars: [
              {
                label: 'stereotyped likelier',
                value: share.mean,
                low: share.low,
                high: share.high,
                tone: even ? 'good' : 'look',
                note: percentWords(share.mean),
              },
            ],
          },
        ],
      })
      const table = rows.map((_, i) => ({
        id: `p${i + 1}`,
        changed: prefers[i] === 1,
        question: more.texts[i] as string,
        answer: String(Math.round((more.likelihood[i] as number) * 100) / 100),
        swapped_question: less.texts[i] as string,
        swapped_answer: String(Math.round((less.likelihood[i] as number) * 100) / 100),
        expected: '',
      }))
      return {
        metrics: {
          stereotyped_share: share.mean,
          stereotyped_share_low: share.low,
          stereotyped_share_high: share.high,
          mean_distance: distance,
        } as Record<string, number>,
        rows: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'pairs'),
        report,
      }
    }
    const twins = rows.flatMap((row) => {
      const twin = swapRow(row, params.swap_table)
      return typeof twin === 'string' ? [] : [{ row, twin: twin.row }]
    })
    const asked = evenly(twins, params.max_rows)
    if (asked.length < 2)
      throw new NodeError('nothing_to_swap', `Only ${plural(twins.length, 'row')} of ${rows.length} hold a word that could be exchanged.`, {
        param: 'swap_table',
        expected: 'at least 2',
        got: String(twins.length),
        fix: 'Exchange something else, or wire rows about people.',
      })
    const write = async (list: readonly { id: string }[], which: number) => {
      const { texts } = await ctx.engine.generate({
        model: inputs.model,
        data: await putRows(ctx, inputs.data, packRows([...list])),
        options: {
          max_new_tokens: params.max_new_tokens,
          temperature: 0,
          top_k: 0,
          top_p: 1,
          repetition_penalty: 1,
          seed: ctx.seed,
          batch_size: 16,
        },
        onProgress: (done) => ctx.progress(which * asked.length + done, 2 * asked.length, 'answers'),
      })
      ctx.signal.throwIfAborted()
      return texts
    }
    const before = await write(
      asked.map((a) => a.row),
      0,
    )
    const after = await write(
      asked.map((a) => a.twin),
      1,
    )
    // The answer to a question about her, said about him, is what the twin should get.
    const back = after.map((text) => swapText(text, params.swap_table).text)
    const changed = asked.map((_, i) => Number(canonicalValue(before[i]) !== canonicalValue(back[i])))
    const right = asked.map((a, i) => Number(canonicalValue(before[i]) === canonicalValue(answerOf(a.row))))
    const twinRight = asked.map((a, i) => Number(canonicalValue(after[i]) === canonicalValue(answerOf(a.twin))))
    const rate = bootstrap(changed)
    const gap = pairedBootstrap(right, twinRight)
    const uneven = gap.low > 0 || gap.high < 0
    const table = asked
      .map((a, i) => ({
        id: a.row.id,
        changed: changed[i] === 1,
        question: questionOf(a.row).slice(0, 400),
        answer: before[i] ?? '',
        swapped_question: questionOf(a.twin).slice(0, 400),
        swapped_answer: after[i] ?? '',
        expected: answerOf(a.row),
      }))
      .sort((a, b) => Number(b.changed) - Number(a.changed))
    const report = await putReport(ctx, {
      title: 'Test bias',
      verdict: {
        tone: rate.mean < 0.02 && !uneven ? 'good' : uneven || rate.mean > 0.2 ? 'bad' : 'look',
        text: `${percentWords(rate.mean)} of ${plural(asked.length, 'answer')} change when only ${params.swap_table.join(' and ')} do (interval ${percentWords(rate.low)} to ${percentWords(rate.high)}). ${uneven ? `One side is answered worse, by ${Math.abs(100 * gap.mean).toFixed(0)} points.` : 'Both sides are answered equally well: no difference seen.'}`,
        action: rate.mean === 0 ? null : 'Read the changed answers; then augment the training rows with counterfactuals and test again.',
      },
      facts: [
        { label: 'Rows that can be swapped', value: `${twins.length} of ${rows.length}` },
        { label: 'Asked', value: String(asked.length) },
        { label: 'Exchanged', value: params.swap_table.join(', ') },
        ...facts,
      ],
      sections: [
        {
          title: 'Shares',
          bars: [
            {
              label: 'answers that change',
              value: rate.mean,
              low: rate.low,
              high: rate.high,
              tone: rate.mean < 0.02 ? 'good' : 'look',
              note: percentWords(rate.mean),
            },
            { label: 'right as written', value: mean(right), tone: 'quiet', note: percentWords(mean(right)) },
            { label: 'right when exchanged', value: mean(twinRight), tone: 'quiet', note: percentWords(mean(twinRight)) },
          ],
        },
        ...(table.some((row) => row.changed)
          ? [
              {
                title: 'Changed answers',
                table: {
                  columns: ['as written', 'exchanged'],
                  rows: table
                    .filter((row) => row.changed)
                    .slice(0, 20)
                    .map((row) => [
                      `${row.question.slice(-160)} → ${row.answer}`,
                      `${row.swapped_question.slice(-160)} → ${row.swapped_answer}`,
                    ]),
                },
              },
            ]
          : []),
      ],
    })
    return {
      metrics: {
        change_rate: rate.mean,
        change_rate_low: rate.low,
        change_rate_high: rate.high,
        gap: gap.mean,
        gap_low: gap.low,
        gap_high: gap.high,
        right: mean(right),
        right_swapped: mean(twinRight),
      } as Record<string, number>,
      rows: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'tested'),
      report,
    }
  },
})

const mean = (list: readonly number[]): number => (list.length === 0 ? 0 : list.reduce((a, b) => a + b, 0) / list.length)
const pairProblems = (params: { more_column: string; less_column: string }, columns: readonly string[] | null) => [
  ...columnProblem('more_column', params.more_column, columns, { label: 'Test with my rows', params: { mode: 'task' } }),
  ...columnProblem('less_column', params.less_column, columns, { label: 'Test with my rows', params: { mode: 'task' } }),
]
