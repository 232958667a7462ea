import * as z from 'zod'
import { columnProblem, datasetFacts, knownColumns, putRows } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import type { DatasetFacts, NodeProblem } from './_kit/facts'
import { NodeError, throwProblem } from './_kit/node-error'
import { splitCounts } from './_kit/split'
import { plural } from './_kit/words'

const size = (title: string, description: string) =>
  z.number().min(0).max(10_000_000).default(0.1).meta({ title, description, unit: 'share below 1, else rows', step: 0.05 })

export const splitData = defineNode({
  type: 'split-data',
  title: 'Split data',
  summary: 'Divides rows into training, validation and test, without twins on both sides.',
  help: `A score on rows that were trained on says nothing. This node keeps two groups apart: **validation** rows are watched during training and choose the best moment, **test** rows are read once, for the score.

A size below 1 is a share of the rows, from 1 on it is a number of rows; what is left trains. The same seed gives the same split.

Rows with the same prompt always land on the same side, also when they differ only in case or spaces. Rows with nearly the same prompt do so too, unless you turn that off. Where rows belong together, for example clauses of one contract, name the **group column** and each group stays whole.

**Balance** gives every part its share of each answer, which matters where some are rare. With a **time column** the latest rows are held out, as suits a model that will meet what comes later.`,
  group: 'Data',
  icon: 'split-data',
  tags: ['train', 'validation', 'test', 'holdout', 'held-out', 'leakage', 'duplicates', 'fraction', 'shuffle', 'group'],
  params: z.strictObject({
    validation: size('Validation', 'Rows watched during training.'),
    test: size('Test', 'Rows kept for the score.'),
    group_column: z.string().max(200).default('').meta({
      title: 'Group column',
      description: 'Rows with the same value here stay on one side. Empty: no groups.',
      widget: 'column',
      advanced: true,
    }),
    near_duplicates: z.boolean().default(true).meta({
      title: 'Keep near duplicates together',
      description: 'Rows whose prompts nearly repeat each other stay on one side, so that no score is read off from a twin.',
    }),
    stratify: z
      .enum(['none', 'answer', 'column'])
      .default('none')
      .meta({
        title: 'Balance',
        description: 'Give every part its share of each answer, or of each value of a column.',
        labels: { none: 'Nothing', answer: 'The answers', column: 'A column' },
        advanced: true,
      }),
    stratify_column: z
      .string()
      .max(200)
      .default('')
      .meta({
        title: 'Column to balance',
        description: 'Every part gets its share of each value of this column.',
        widget: 'column',
        advanced: true,
        showIf: { stratify: ['column'] },
      }),
    time_column: z.string().max(200).default('').meta({
      title: 'Time column',
      description: 'Hold out the latest rows by the date or number in this column. Empty: time does not matter.',
      widget: 'column',
      advanced: true,
    }),
    shuffle: z.boolean().default(true).meta({
      title: 'Shuffle',
      description: 'Draw the held-out rows from the whole file. Off: the last rows are held out, as suits data in order of time.',
      advanced: true,
    }),
    seed: z.int().min(0).max(2_147_483_647).default(42).meta({ title: 'Seed', description: 'The same seed gives the same split.' }),
  }),
  inputs: { data: { kind: 'dataset', title: 'Data', description: 'The rows to divide.' } },
  outputs: {
    train: { kind: 'dataset', title: 'Training', description: 'Rows to train on.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows to watch during training.' },
    test: { kind: 'dataset', title: 'Test', description: 'Rows for the final score.' },
  },
  purity: 'seeded',
  migrations: [{ name: 'divide as before near duplicates were kept together', up: (old) => ({ ...old, near_duplicates: false }) }],
  resource: 'light',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    if (!data) return {}
    const problems: NodeProblem[] = []
    const counts = data.rows === null ? null : splitCounts(data.rows, params)
    if (data.rows !== null && !counts)
      problems.push({
        severity: 'error',
        code: 'split_leaves_nothing',
        param: 'validation',
        message: `${plural(data.rows, 'row')} do not suffice for this split: none would be left to train on.`,
        expected: 'at least one training row',
        got: `validation ${params.validation}, test ${params.test}`,
        fix: { label: 'Hold out a tenth each', params: { validation: 0.1, test: 0.1 } },
      })
    problems.push(...columnProblems(params, knownColumns(data)))
    const part = (split: DatasetFacts['split'], rows: number | null): { kind: 'dataset'; facts: DatasetFacts } => ({
      kind: 'dataset',
      facts: { ...data, split, rows },
    })
    return {
      outputs: {
        train: part('train', counts?.train ?? null),
        validation: part('validation', counts?.validation ?? null),
        test: part('test', counts?.test ?? null),
      },
      // Looking for near duplicates reads about 1 MB a second.
      estimate: {
        seconds: 0.5 + (params.near_duplicates ? ((data.rows ?? 0) * (data.chars?.mean ?? 0)) / 1e6 : 0),
        memoryBytes: 0,
        diskBytes: Math.round((data.rows ?? 0) * (data.chars?.mean ?? 0)),
      },
      card: [
        { label: 'Train', value: counts ? counts.train.toLocaleString('en-US') : 'the rest' },
        { label: 'Validation', value: counts ? counts.validation.toLocaleString('en-US') : String(params.validation) },
        { label: 'Test', value: counts ? counts.test.toLocaleString('en-US') : String(params.test) },
      ],
      problems,
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, splitRows, columnValue, timeOf } = await import('../analysis/index')
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    const counts = splitCounts(rows.length, params)
    if (!counts)
      throw new NodeError(
        'split_leaves_nothing',
        `${plural(rows.length, 'row')} do not suffice for this split: none would be left to train on.`,
        { param: 'validation', expected: 'at least one training row', got: `validation ${params.validation}, test ${params.test}` },
      )
    throwProblem(columnProblems(params, inputs.data.columns))
    if (params.time_column) {
      const bad = rows.find((row) => Number.isNaN(timeOf(columnValue(row, params.time_column))))
      if (bad)
        throw new NodeError('not_a_time', `A row has no date or number in “${params.time_column}”.`, {
          param: 'time_column',
          where: `row ${bad.id}`,
          expected: 'a date such as 2024-05-01, or a number',
          got: JSON.stringify(columnValue(bad, params.time_column)),
        })
    }
    const result = splitRows(rows, {
      ...counts,
      seed: params.seed,
      shuffle: params.shuffle,
      groupColumn: params.group_column,
      nearDuplicates: params.near_duplicates,
      timeColumn: params.time_column,
      stratify: params.stratify,
      stratifyColumn: params.stratify_column,
    })
    // Where everything is like everything nothing can be held out; whoever asked for it must hear so.
    if (result.groups === 1 && rows.length > 1 && counts.validation + counts.test > 0)
      throw new NodeError('one_group', 'All rows belong to one group, so they cannot be divided.', {
        param: params.group_column ? 'group_column' : 'near_duplicates',
        expected: 'at least two groups',
        got: plural(result.groups, 'group'),
        fix: params.near_duplicates
          ? 'Turn “Keep near duplicates together” off, and mind that the score then rests on twins.'
          : 'Choose another group column.',
      })
    ctx.log(
      `Training ${result.train.length}, validation ${result.validation.length}, test ${result.test.length}, from ${plural(result.groups, 'group')}${result.twins ? `; ${plural(result.twins, 'row')} with a twin kept on its side` : ''}`,
    )
    const store = (split: 'train' | 'validation' | 'test') => putRows(ctx, inputs.data, packRows(result[split]), { split })
    return { train: await store('train'), validation: await store('validation'), test: await store('test') }
  },
})

type Columns = { group_column: string; time_column: string; stratify: string; stratify_column: string }

/** Columns that were named and are not there. */
const columnProblems = (params: Columns, columns: readonly string[] | null): NodeProblem[] => [
  ...columnProblem('group_column', params.group_column, columns, { label: 'Split without groups', params: { group_column: '' } }),
  ...columnProblem('time_column', params.time_column, columns, { label: 'Split without times', params: { time_column: '' } }),
  ...columnProblem('stratify_column', params.stratify === 'column' ? params.stratify_column || '(none)' : '', columns, {
    label: 'Balance nothing',
    params: { stratify: 'none' },
  }),
]
