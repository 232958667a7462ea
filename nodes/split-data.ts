import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import type { DatasetFacts, NodeProblem } from './_kit/facts'
import { NodeError } from './_kit/node-error'
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

Rows with the same prompt always land on the same side, also when they differ only in case or spaces. Where rows belong together, for example clauses of one contract, name the **group column** and each group stays whole.`,
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
  resource: 'light',
  infer({ params, inputs }) {
    const data = inputs.data?.kind === 'dataset' ? inputs.data.facts : null
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
    if (params.group_column && data.columns.length > 0 && !data.columns.includes(params.group_column))
      problems.push({
        severity: 'error',
        code: 'no_such_column',
        param: 'group_column',
        message: `The data has no column “${params.group_column}”.`,
        expected: data.columns.join(', '),
        got: params.group_column,
        fix: { label: 'Split without groups', params: { group_column: '' } },
      })
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
      estimate: { seconds: 0.5, memoryBytes: 0, diskBytes: Math.round((data.rows ?? 0) * (data.chars?.mean ?? 0)) },
      card: [
        { label: 'Train', value: counts ? counts.train.toLocaleString('en-US') : 'the rest' },
        { label: 'Validation', value: counts ? counts.validation.toLocaleString('en-US') : String(params.validation) },
        { label: 'Test', value: counts ? counts.test.toLocaleString('en-US') : String(params.test) },
      ],
      problems,
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, rowsToJsonl, lengthsOf, splitRows } = await import('../analysis/index')
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    const counts = splitCounts(rows.length, params)
    if (!counts)
      throw new NodeError(
        'split_leaves_nothing',
        `${plural(rows.length, 'row')} do not suffice for this split: none would be left to train on.`,
        { param: 'validation', expected: 'at least one training row', got: `validation ${params.validation}, test ${params.test}` },
      )
    if (params.group_column && !inputs.data.columns.includes(params.group_column))
      throw new NodeError('no_such_column', `The data has no column “${params.group_column}”.`, {
        param: 'group_column',
        expected: inputs.data.columns.join(', '),
        got: params.group_column,
      })
    const result = splitRows(rows, { ...counts, seed: params.seed, shuffle: params.shuffle, groupColumn: params.group_column })
    if (result.train.length === 0)
      throw new NodeError('one_group', 'All rows belong to one group, so they cannot be divided.', {
        param: 'group_column',
        expected: 'at least two groups',
        got: plural(result.groups, 'group'),
      })
    ctx.log(
      `Training ${result.train.length}, validation ${result.validation.length}, test ${result.test.length}, from ${plural(result.groups, 'group')}${result.twins ? `; ${plural(result.twins, 'row')} with a twin kept on its side` : ''}`,
    )
    const store = async (split: 'train' | 'validation' | 'test') => ({
      ...inputs.data,
      artifact: await ctx.artifacts.put(rowsToJsonl(result[split])),
      rows: result[split].length,
      split,
      chars: lengthsOf(result[split]),
    })
    return { train: await store('train'), validation: await store('validation'), test: await store('test') }
  },
})
