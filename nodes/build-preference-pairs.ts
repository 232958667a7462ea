import * as z from 'zod'
import { datasetFacts, evenly, modelFacts, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { DECODE_FLOPS_PER_SECOND, forwardBytes, forwardFlopsPerToken, tokensOfChars, WARM_UP_SECONDS } from './_kit/estimate'
import { NodeError } from './_kit/node-error'
import { putReport } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const ANSWERABLE: readonly string[] = ['messages', 'prompt_completion']
const COLUMNS = ['row', 'why', 'chosen', 'rejected'] as const

export const buildPreferencePairs = defineNode({
  type: 'build-preference-pairs',
  title: 'Build preference pairs',
  summary: 'Pairs each right answer with a wrong one that the model itself gave, to train it away from its mistakes.',
  help: `Preference training needs pairs: a better and a worse answer to the same question. This node makes them from rows with right answers, without anybody rating anything.

The model answers each row several times at random. Answers with values that **do not stand in the source**, values for fields that are **absent**, answers that are **no JSON** where JSON is asked for, and otherwise **wrong** ones become the rejected side; the right answer of the row is the chosen one. The most telling mistake is taken first: an invention before a wrong value.

Rows that the model always answers rightly give no pair. Pairs whose answers differ much in length teach length: the report tells.`,
  group: 'Data',
  icon: 'build-preference-pairs',
  tags: ['dpo', 'preference', 'chosen', 'rejected', 'hallucination', 'rlhf', 'orpo', 'pairs', 'ungrounded'],
  params: z.strictObject({
    samples: z
      .int()
      .min(1)
      .max(64)
      .default(4)
      .meta({ title: 'Answers each', description: 'How many answers the model draws for each row.', unit: 'answers' }),
    temperature: z
      .number()
      .min(0.05)
      .max(2)
      .default(1)
      .meta({ title: 'Temperature', description: 'How freely they are drawn.', advanced: true }),
    pairs_per_row: z.int().min(1).max(16).default(1).meta({
      title: 'Pairs a row',
      description: 'Most pairs that one row gives, each with another mistake.',
      unit: 'pairs',
      advanced: true,
    }),
    max_rows: z
      .int()
      .min(1)
      .max(100_000)
      .default(200)
      .meta({ title: 'Rows', description: 'How many rows are asked, spread evenly.', unit: 'rows' }),
    max_new_tokens: z
      .int()
      .min(1)
      .max(4096)
      .default(96)
      .meta({ title: 'Longest answer', description: 'Writing stops here if the model does not stop by itself.', unit: 'tokens' }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'What the model draws; the same seed draws the same.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model whose mistakes are wanted: the one that will be trained.' },
    data: { kind: 'dataset', title: 'Data', description: 'Training rows with right answers.' },
  },
  outputs: {
    data: { kind: 'dataset', title: 'Pairs', description: 'Prompt, chosen and rejected answer.' },
    mistakes: { kind: 'dataset', title: 'Mistakes', description: 'A table: what was wrong with each rejected answer.' },
    report: { kind: 'report', title: 'Report', description: 'How many pairs, and which mistakes they come from.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const rows = Math.min(params.max_rows, data?.rows ?? params.max_rows)
    const length = data?.chars ? tokensOfChars(data.chars.mean) : 128
    return {
      outputs: {
        ...(data && {
          data: {
            kind: 'dataset' as const,
            facts: { ...data, name: 'preference pairs', rows: null, format: 'preference' as const, columns: [], chars: null },
          },
        }),
        mistakes: { kind: 'dataset', facts: tableFacts(data, 'mistakes', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Build preference pairs' } },
      },
      ...(model && {
        estimate: {
          seconds: Math.round(
            WARM_UP_SECONDS +
              (rows * params.samples * params.max_new_tokens * forwardFlopsPerToken(model, length)) / DECODE_FLOPS_PER_SECOND,
          ),
          memoryBytes: Math.round(forwardBytes(model, 16, length)),
          diskBytes: rows * 1000,
        },
      }),
      card: [
        { label: 'Rows', value: rows.toLocaleString('en-US') },
        { label: 'Answers each', value: String(params.samples) },
      ],
      problems:
        data?.format && !ANSWERABLE.includes(data.format)
          ? [
              {
                severity: 'error' as const,
                code: 'no_answers',
                message: `${data.format.replaceAll('_', ' ')} rows have no right answer.`,
                expected: 'messages, or prompt and completion',
                got: data.format,
              },
            ]
          : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, answerOf, promptTurnsOf, mistakesOf, typesOfAnswers, askedOf } = await import('../analysis/index')
    if (!ANSWERABLE.includes(inputs.data.format))
      throw new NodeError('no_answers', 'These rows have no right answer.', {
        expected: 'messages, or prompt and completion',
        got: inputs.data.format,
      })
    const rows = evenly(parseJsonl(await ctx.artifacts.readText(inputs.data.artifact)), params.max_rows)
    if (rows.length === 0) throw new NodeError('no_rows', 'There are no rows to ask.', { expected: 'at least one row', got: 'none' })
    const data = await putRows(ctx, inputs.data, packRows(rows))
    const drawn: string[][] = rows.map(() => [])
    for (let pass = 0; pass < params.samples; pass++) {
      const { texts } = await ctx.engine.generate({
        model: inputs.model,
        data,
        options: {
          max_new_tokens: params.max_new_tokens,
          temperature: params.temperature,
          top_k: 0,
          top_p: 1,
          repetition_penalty: 1,
          seed: params.seed + pass,
          batch_size: 16,
        },
        onProgress: (done) => ctx.progress(pass * rows.length + done, params.samples * rows.length, 'answers'),
      })
      ctx.signal.throwIfAborted()
      for (const [i, text] of texts.entries()) drawn[i]?.push(text.trim())
    }
    const types = typesOfAnswers(rows.map(answerOf))
    const pairs: ({ id: string } & Record<string, unknown>)[] = []
    const table: ({ id: string } & Record<string, unknown>)[] = []
    const kinds: Record<string, number> = {}
    let always = 0
    for (const [i, row] of rows.entries()) {
      const mistakes = mistakesOf({ source: askedOf(row), gold: answerOf(row), answers: drawn[i] ?? [] }, types).slice(
        0,
        params.pairs_per_row,
      )
      if (mistakes.length === 0) always++
      for (const [k, mistake] of mistakes.entries()) {
        const prompt = promptTurnsOf(row)
        const side = (text: string) => (typeof prompt === 'string' ? text : [{ role: 'assistant', content: text }])
        pairs.push({ id: `${row.id}.${k}`, prompt, chosen: side(answerOf(row)), rejected: side(mistake.answer) })
        table.push({ id: `${row.id}.${k}`, row: row.id, why: mistake.why, chosen: answerOf(row), rejected: mistake.answer })
        kinds[mistake.kind] = (kinds[mistake.kind] ?? 0) + 1
      }
    }
    if (pairs.length === 0)
      throw new NodeError(
        'no_mistakes',
        `The model answered all ${plural(rows.length, 'row')} rightly, so there is nothing to prefer against.`,
        {
          param: 'temperature',
          fix: 'Draw more answers, raise the temperature, or wire harder rows.',
        },
      )
    const lengths = table.map((row) => String(row.rejected).length - String(row.chosen).length)
    const longer = lengths.reduce((a, b) => a + b, 0) / lengths.length
    const mean = table.reduce((s, row) => s + String(row.chosen).length, 0) / table.length
    const skewed = Math.abs(longer) > 0.5 * mean
    const report = await putReport(ctx, {
      title: 'Build preference pairs',
      verdict: {
        tone: skewed || pairs.length < 50 ? 'look' : 'good',
        text: `${plural(pairs.length, 'pair')} from ${plural(rows.length, 'row')}; ${plural(always, 'row')} were always answered rightly.${skewed ? ` Rejected answers are ${Math.abs(longer).toFixed(0)} characters ${longer > 0 ? 'longer' : 'shorter'} on average, which teaches length.` : ''}`,
        action: skewed
          ? 'Train the model on the right answers first, so that its mistakes look like answers.'
          : pairs.length < 50
            ? 'Ask more rows: a few dozen pairs move little.'
            : 'Wire the pairs into preference training.',
      },
      facts: [
        { label: 'Rows, answers each', value: `${rows.length}, ${params.samples}` },
        { label: 'Temperature, seed', value: `${params.temperature}, ${params.seed}` },
        { label: 'Rejected minus chosen', value: `${longer.toFixed(0)} characters` },
        { label: 'Rows with a mistake', value: percentWords((rows.length - always) / rows.length) },
        { label: 'Model', value: inputs.model.base.name },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      ],
      sections: [
        {
          title: 'Mistakes',
          bars: Object.entries(kinds)
            .sort((a, b) => b[1] - a[1])
            .map(([label, value]) => ({ label, value, tone: 'look' as const, note: plural(value, 'pair') })),
        },
      ],
    })
    return {
      data: await putRows(ctx, inputs.data, packRows(pairs), { format: 'preference', columns: [], name: `${inputs.data.name}, pairs` }),
      mistakes: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'mistakes'),
      report,
    }
  },
})
