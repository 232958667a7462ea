import * as z from 'zod'
import { datasetFacts, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { NodeError } from './_kit/node-error'
import { putReport } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const TABLES = ['pronouns', 'names', 'companies'] as const
const COLUMNS = ['row', 'line', 'swaps', 'before', 'after'] as const

export const augmentCounterfactuals = defineNode({
  type: 'augment-counterfactuals',
  title: 'Augment counterfactuals',
  summary: 'Adds rows about somebody else: she and he, names and nationalities swapped, everything else the same.',
  help: `A model learns whatever its data repeats, also that nurses are women and directors are men. This node adds to each row a twin in which **pronouns and words for women and men**, **first names** or **nationalities of companies** are exchanged, in question and answer alike and consistently, so that neither side tells the answer any more.

A row is swapped only if swapping it again gives it back; rows about known real persons are left alone, because facts about them would become false. What was left alone is counted. The swaps know English words.

It **does not reliably improve** a model: measure before and after, on the task and on bias. Put it after Split data, on the training rows only, or the twins of test rows would be trained on.`,
  group: 'Data',
  icon: 'augment-counterfactuals',
  tags: ['bias', 'fairness', 'gender', 'names', 'swap', 'augmentation', 'counterfactual', 'pronouns', 'nationality'],
  params: z.strictObject({
    swap_table: z
      .array(z.enum(TABLES))
      .min(1)
      .max(TABLES.length)
      .default(['pronouns', 'names'])
      .meta({
        title: 'Swap',
        description: 'Pronouns and words for women and men, first names, nationalities of companies.',
        labels: { pronouns: 'She and he', names: 'First names', companies: 'Nationality of companies' },
      }),
    fraction: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .meta({ title: 'Share of rows', description: 'Share of the rows that can be swapped which get a twin.', step: 0.05 }),
    seed: z.int().min(0).max(2_147_483_647).default(42).meta({ title: 'Seed', description: 'Which rows get a twin where not all do.' }),
  }),
  inputs: { data: { kind: 'dataset', title: 'Data', description: 'The rows to add to.' } },
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'All rows, each with its twin behind it where it has one.' },
    swaps: { kind: 'dataset', title: 'Swaps', description: 'A table: text before and after, for every twin.' },
    report: { kind: 'report', title: 'Report', description: 'How many rows got a twin, and why others did not.' },
  },
  purity: 'seeded',
  resource: 'light',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    if (!data) return {}
    const bytes = (data.rows ?? 0) * (data.chars?.mean ?? 0)
    return {
      outputs: {
        data: { kind: 'dataset', facts: { ...data, rows: params.fraction === 0 ? data.rows : null } },
        swaps: { kind: 'dataset', facts: tableFacts(data, 'swaps', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Augment counterfactuals' } },
      },
      estimate: { seconds: Math.round(1 + bytes / 2e6), memoryBytes: Math.round(6 * bytes), diskBytes: Math.round(3 * bytes) },
      card: [
        {
          label: 'Swap',
          value: params.swap_table.map((t) => ({ pronouns: 'she/he', names: 'names', companies: 'companies' })[t]).join(', '),
        },
        { label: 'Share of rows', value: percentWords(params.fraction) },
      ],
      problems:
        data.split === 'test' || data.split === 'validation'
          ? [
              {
                severity: 'warning',
                code: 'augments_held_out',
                message: `These are ${data.split} rows; twins of them make a score look surer than it is.`,
                expected: 'training rows',
                got: data.split,
              },
            ]
          : [],
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, swapRow, excerpt, seeded } = await import('../analysis/index')
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    if (rows.length === 0) throw new NodeError('no_rows', 'There are no rows to add to.', { expected: 'at least one row', got: 'none' })
    const twins = rows.map((row) => swapRow(row, params.swap_table))
    const able = [...twins.keys()].filter((i) => typeof twins[i] !== 'string')
    const chosen = new Set(
      seeded(params.seed)
        .shuffle([...able])
        .slice(0, Math.round(params.fraction * able.length)),
    )
    const unsafe = twins.filter((t) => t === 'unsafe').length
    const out: typeof rows = []
    const table: (Record<string, unknown> & { id: string })[] = []
    for (const [i, row] of rows.entries()) {
      out.push(row)
      const twin = twins[i]
      if (!chosen.has(i) || typeof twin !== 'object') continue
      out.push(twin.row)
      table.push({
        id: `t${table.length + 1}`,
        row: row.id,
        line: i + 1,
        swaps: twin.swaps,
        before: excerpt(row),
        after: excerpt(twin.row),
      })
    }
    const report = await putReport(ctx, {
      title: 'Augment counterfactuals',
      verdict: {
        tone: able.length === 0 ? 'look' : 'good',
        text:
          able.length === 0
            ? `No row of ${rows.length.toLocaleString('en-US')} holds a word that could be swapped${unsafe > 0 ? ' safely' : ''}.`
            : `${plural(chosen.size, 'row')} of ${rows.length.toLocaleString('en-US')} got a twin.`,
        action:
          able.length === 0
            ? 'Choose other swaps, or take this node out.'
            : 'Score bias and the task with and without it: it does not reliably help.',
      },
      facts: [
        { label: 'Rows before', value: rows.length.toLocaleString('en-US') },
        { label: 'Rows after', value: out.length.toLocaleString('en-US') },
        { label: 'Swaps, seed', value: `${params.swap_table.join(', ')}, ${params.seed}` },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
      ],
      sections: [
        {
          title: 'Rows',
          bars: [
            { label: 'With a twin', value: chosen.size, tone: 'good', note: plural(chosen.size, 'row') },
            {
              label: 'Nothing to swap',
              value: twins.filter((t) => t === 'none').length,
              tone: 'quiet',
              note: plural(twins.filter((t) => t === 'none').length, 'row'),
            },
            { label: 'Left alone: not safe to swap', value: unsafe, tone: unsafe > 0 ? 'look' : 'quiet', note: plural(unsafe, 'row') },
          ],
        },
      ],
    })
    return {
      data: await putRows(ctx, inputs.data, packRows(out), {
        columns: [...new Set([...inputs.data.columns, ...(chosen.size > 0 ? ['swapped_from'] : [])])],
      }),
      swaps: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'swaps'),
      report,
    }
  },
})
