import * as z from 'zod'
import { columnProblem, datasetFacts, knownColumns, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import type { NodeProblem } from './_kit/facts'
import { NodeError, throwProblem } from './_kit/node-error'
import { putReport, type Report, type Section } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const COLUMNS = ['right', 'wrong_fields', 'ungrounded', 'input', 'expected', 'answer'] as const
const TYPES = ['text', 'date', 'money', 'duration', 'number', 'jurisdiction', 'list', 'boolean'] as const
const OUTCOME_WORDS = { right: 'right', wrong: 'wrong', missed: 'missed', invented: 'invented', rightly_absent: 'rightly absent' } as const
const MOST_PASSAGES = 12

export const scoreExtraction = defineNode({
  type: 'score-extraction',
  title: 'Score extraction',
  summary: 'Scores extracted fields one by one: right, wrong, missed, invented, and not in the source.',
  help: `For answers that are JSON objects with fields, such as parties, dates and sums of a contract. Wire the **rows** of Validate, or any table with the source, the right answer and the given one.

A field that is absent and left absent is right and no more; a value where there is none is **invented**; no value where there is one is **missed**; another value is **wrong**. Dates, sums, periods and spellings that mean the same are the same: \`1 May 2024\` is \`2024-05-01\`.

**Not in the source**: a value that the text does not contain, in no spelling, is a hallucination, whatever the right answer is. No second model judges; the text itself does.

Scores come with 95 % intervals over documents. The table gives the worst rows first.`,
  group: 'Evaluation',
  icon: 'score-extraction',
  tags: ['extraction', 'fields', 'json', 'f1', 'precision', 'recall', 'hallucination', 'grounding', 'contracts', 'absent', 'cuad', 'ner'],
  params: z.strictObject({
    answer_column: z
      .string()
      .min(1)
      .max(200)
      .default('after')
      .meta({ title: 'Given answer', description: 'Column with the answer to be scored; Validate calls it after.', widget: 'column' }),
    expected_column: z
      .string()
      .min(1)
      .max(200)
      .default('expected')
      .meta({ title: 'Right answer', description: 'Column with the right answer.', widget: 'column', advanced: true }),
    source_column: z
      .string()
      .min(1)
      .max(200)
      .default('input')
      .meta({ title: 'Source', description: 'Column with the text that the fields were read from.', widget: 'column', advanced: true }),
    field_types: z
      .array(z.string().regex(new RegExp(`^[^=]+=(?:${TYPES.join('|')})$`), 'must be field=type'))
      .max(200)
      .default([])
      .meta({
        title: 'Types of fields',
        description: `One field=type each, where the values do not tell: ${TYPES.join(', ')}.`,
        advanced: true,
      }),
  }),
  inputs: { rows: { kind: 'dataset', title: 'Rows', description: 'A table of sources, right answers and given answers.' } },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'F1, whole rows, hallucinations, and every field by name.' },
    rows: { kind: 'dataset', title: 'Rows', description: 'The rows with what is wrong in each, worst first.' },
    report: { kind: 'report', title: 'Report', description: 'Fields side by side, and the worst answers in their text.' },
  },
  purity: 'deterministic',
  resource: 'light',
  infer({ params, inputs }) {
    const rows = datasetFacts(inputs.rows)
    return {
      outputs: {
        metrics: {
          kind: 'metrics',
          facts: { names: ['field_f1_micro', 'field_f1_macro', 'exact_match', 'ungrounded_rate', 'absent_invented'] },
        },
        rows: { kind: 'dataset', facts: tableFacts(rows, 'scored fields', COLUMNS, rows?.rows ?? null) },
        report: { kind: 'report', facts: { name: 'Score extraction' } },
      },
      estimate: {
        seconds: Math.round(1 + ((rows?.rows ?? 0) * (rows?.chars?.mean ?? 400)) / 4e5),
        memoryBytes: 0,
        diskBytes: Math.round((rows?.rows ?? 0) * (rows?.chars?.mean ?? 400)),
      },
      card: [
        { label: 'Rows', value: rows?.rows?.toLocaleString('en-US') ?? 'all' },
        { label: 'Scored', value: params.answer_column },
      ],
      problems: columnProblems(params, knownColumns(rows)),
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, scoreExtraction: score, columnValue } = await import('../analysis/index')
    throwProblem(columnProblems(params, inputs.rows.columns))
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.rows.artifact))
    const text = (row: (typeof rows)[number], column: string): string => {
      const value = columnValue(row, column)
      return typeof value === 'string' ? value : value === null || value === undefined ? '' : JSON.stringify(value)
    }
    const items = rows.map((row) => ({
      id: row.id,
      source: text(row, params.source_column),
      gold: text(row, params.expected_column),
      answer: text(row, params.answer_column),
    }))
    const broken = items.find((item) => !isObject(item.gold))
    if (items.length === 0 || broken)
      throw new NodeError(
        'no_fields',
        items.length === 0 ? 'There are no rows to score.' : 'A right answer is no JSON object with fields.',
        {
          param: 'expected_column',
          ...(broken && { where: `row ${broken.id}`, got: broken.gold.slice(0, 60) }),
          expected: 'a JSON object in every row',
          fix: 'For answers without fields use the scores of Validate.',
        },
      )
    const types = Object.fromEntries(params.field_types.map((entry) => entry.split('=') as [string, (typeof TYPES)[number]]))
    const found = score(items, types)
    const { fields } = found

    const order = found.rows
      .map((row, i) => ({ row, item: items[i] as (typeof items)[number] }))
      .sort(
        (a, b) =>
          Number(a.row.right) - Number(b.row.right) ||
          b.row.ungrounded.length - a.row.ungrounded.length ||
          wrongOf(b.row).length - wrongOf(a.row).length,
      )
    const table = order.map(({ row, item }) => ({
      id: item.id,
      right: row.right,
      wrong_fields: wrongOf(row),
      ungrounded: row.ungrounded,
      input: item.source,
      expected: item.gold,
      answer: item.answer,
    }))
    const worst = fields.toSorted((a, b) => a.f1 - b.f1)[0]
    const leading = (['invented', 'missed', 'wrong'] as const)
      .map((kind) => ({ kind, n: fields.reduce((s, f) => s + f.counts[kind], 0) }))
      .toSorted((a, b) => b.n - a.n)[0]
    const right = found.wholeRow
    const verdict: Report['verdict'] = {
      tone: right.mean >= 0.95 && found.ungroundedRate === 0 ? 'good' : right.mean < 0.5 || found.ungroundedRate > 0.1 ? 'bad' : 'look',
      text: `${percentWords(right.mean)} of ${plural(items.length, 'row')} are right in every field (interval ${percentWords(right.low)} to ${percentWords(right.high)}); field F1 ${found.microF1.mean.toFixed(3)}. ${found.ungroundedRate === 0 ? 'Every value given stands in its source.' : `${percentWords(found.ungroundedRate)} of the values given do not stand in the source.`}`,
      action:
        right.mean === 1
          ? null
          : found.ungroundedRate > 0.05
            ? 'Build preference pairs from the ungrounded answers and train on them, or add rows in which fields are absent.'
            : leading?.kind === 'invented'
              ? 'Add training rows in which fields are absent: the model invents values for them.'
              : leading?.kind === 'missed'
                ? `Train longer, or add rows that hold ${worst?.name ?? 'the missed field'} in more wordings.`
                : `Look at ${worst?.name ?? 'the worst field'} first: its F1 is ${worst?.f1.toFixed(2) ?? '0'}.`,
    }
    const bars: NonNullable<Section['bars']> = fields.map((f) => ({
      label: f.name,
      value: f.f1,
      tone: f.f1 >= 0.95 ? 'good' : f.f1 < 0.6 ? 'bad' : 'look',
      note: `F1 ${f.f1.toFixed(2)}, ${f.type}`,
    }))
    const report = await putReport(ctx, {
      title: 'Score extraction',
      verdict,
      facts: [
        { label: 'Rows', value: items.length.toLocaleString('en-US') },
        { label: 'Scored column', value: params.answer_column },
        { label: 'One JSON object, exact fields', value: `${percentWords(found.jsonValid)}, ${percentWords(found.schemaValid)}` },
        { label: 'Read out of other text', value: percentWords(found.repaired) },
        { label: 'Invented for absent fields', value: percentWords(found.absentInvented) },
        { label: 'Data', value: inputs.rows.artifact.slice(0, 12) },
      ],
      sections: [
        { title: 'Fields', bars },
        {
          title: 'What became of each field',
          table: {
            columns: ['field', ...Object.values(OUTCOME_WORDS), 'exact', 'token F1', 'overlap ≥ ½', 'not in source'],
            rows: fields.map((f) => [
              f.name,
              ...(Object.keys(OUTCOME_WORDS) as (keyof typeof OUTCOME_WORDS)[]).map((o) => f.counts[o]),
              round(f.exact),
              round(f.tokenF1),
              round(f.jaccard),
              f.ungrounded,
            ]),
          },
        },
        ...(order.some(({ row }) => !row.right)
          ? [
              {
                title: 'Worst answers in their text',
                text: 'Marked: the right values. Behind the text: what was given instead; underlined in waves what the text does not contain.',
                passages: order
                  .filter(({ row }) => !row.right)
                  .slice(0, MOST_PASSAGES)
                  .map(({ row, item }) => passageOf(item, row)),
              },
            ]
          : []),
      ],
    })
    const metrics: Record<string, number> = {
      rows: items.length,
      exact_match: right.mean,
      exact_match_low: right.low,
      exact_match_high: right.high,
      field_f1_micro: found.microF1.mean,
      field_f1_micro_low: found.microF1.low,
      field_f1_micro_high: found.microF1.high,
      field_f1_macro: found.macroF1,
      json_valid: found.jsonValid,
      schema_valid: found.schemaValid,
      repaired: found.repaired,
      ungrounded_rate: found.ungroundedRate,
      absent_invented: found.absentInvented,
    }
    for (const f of fields) {
      metrics[`field_${f.name}_f1`] = f.f1
      metrics[`field_${f.name}_precision`] = f.precision
      metrics[`field_${f.name}_recall`] = f.recall
      metrics[`field_${f.name}_exact_match`] = f.normalised
    }
    return { metrics, rows: await putTable(ctx, inputs.rows, packRows(table), COLUMNS, 'scored fields'), report }
  },
})

const round = (n: number): number => Math.round(n * 1000) / 1000
const wrongOf = (row: { outcomes: Record<string, string> }): string[] =>
  Object.entries(row.outcomes).flatMap(([name, outcome]) => (outcome === 'right' || outcome === 'rightly_absent' ? [] : [name]))

function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

type Scored = {
  outcomes: Record<string, string>
  ungrounded: string[]
  answer: Record<string, unknown> | null
  gold: Record<string, unknown>
}
type Part = { text: string; tone?: 'good' | 'look' | 'bad' | 'quiet' }

/** The source with the right values of wrong fields marked, and what was given instead. */
function passageOf(item: { id: string; source: string }, row: Scored): { note: string; parts: Part[] } {
  const wrong = wrongOf(row)
  const marks = wrong
    .flatMap((name) => {
      const value = String(row.gold[name] ?? '')
      const at = value === '' ? -1 : item.source.toLowerCase().indexOf(value.toLowerCase())
      return at < 0 ? [] : [{ from: at, to: at + value.length }]
    })
    .sort((a, b) => a.from - b.from)
  const parts: Part[] = []
  let at = 0
  for (const mark of marks) {
    if (mark.from < at) continue
    parts.push({ text: item.source.slice(at, mark.from) }, { text: item.source.slice(mark.from, mark.to), tone: 'good' })
    at = mark.to
  }
  parts.push({ text: `${item.source.slice(at)}\n` })
  for (const name of wrong) {
    const given = row.answer?.[name]
    parts.push(
      { text: `${name}: ` },
      { text: given === null || given === undefined ? 'nothing' : String(given), tone: row.ungrounded.includes(name) ? 'bad' : 'look' },
      { text: '  ' },
    )
  }
  return {
    note: `row ${item.id}: ${wrong.map((name) => `${name} ${OUTCOME_WORDS[row.outcomes[name] as keyof typeof OUTCOME_WORDS]}`).join(', ')}`,
    parts,
  }
}

const columnProblems = (
  params: { answer_column: string; expected_column: string; source_column: string },
  columns: readonly string[] | null,
): NodeProblem[] =>
  (['answer_column', 'expected_column', 'source_column'] as const).flatMap((param) =>
    columnProblem(param, params[param], columns, {
      label: 'Use the columns of Validate',
      params: { answer_column: 'after', expected_column: 'expected', source_column: 'input' },
    }),
  )
