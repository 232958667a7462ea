import * as z from 'zod'
import { columnProblem, datasetFacts, knownColumns, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import type { NodeProblem } from './_kit/facts'
import { NodeError, throwProblem } from './_kit/node-error'
import { putReport, type Report } from './_kit/report'
import { percentWords, plural } from './_kit/words'

/** 960 clauses of 8 classes took 3.3 s for five fits (measured); time grows with rows and classes. */
const SECONDS_PER_CHAR = 1.2e-5
const COLUMNS = ['rank', 'given', 'suggested', 'confidence', 'suggested_confidence', 'action', 'row', 'line', 'text'] as const
const MOST_LABELS = 200

export const findLabelErrors = defineNode({
  type: 'find-label-errors',
  title: 'Find label errors',
  summary: 'Ranks rows whose label is probably wrong, judged by a classifier that never saw them.',
  help: `For **classification**: rows whose answer is one of a few labels. The data is divided into folds; a small text classifier learns from all folds but one and judges that one, so every row is judged by a classifier that never saw it, nor a near twin of it. A label that such a classifier finds unlikely is a label to look at.

In contract clauses with one label in ten made wrong on purpose, the rows at the top of this list were wrong about nine times out of ten. On **clean** data there is a list too: the classifier errs by itself, and the estimated number of wrong labels is that much too high.

**Review** changes nothing and lists the rows. **Leave out** and **relabel** act on as many rows from the top as are estimated to be wrong, never on more. If the labels cannot be learned from the text at all, the node says so and lists nothing.

Use it before Split data, and read the list before you let it act.`,
  group: 'Data',
  icon: 'find-label-errors',
  tags: ['labels', 'noise', 'confident learning', 'mislabeled', 'classification', 'quality', 'relabel', 'cleanlab'],
  params: z.strictObject({
    action: z
      .enum(['review', 'drop', 'relabel'])
      .default('review')
      .meta({
        title: 'Do with them',
        description: 'List only, leave the likeliest errors out, or give them the suggested label.',
        labels: { review: 'List only', drop: 'Leave out', relabel: 'Relabel' },
      }),
    label_column: z.string().max(200).default('').meta({
      title: 'Label column',
      description: 'Where the label stands. Empty: it is the answer of the row.',
      widget: 'column',
      advanced: true,
    }),
    group_column: z.string().max(200).default('').meta({
      title: 'Group column',
      description: 'Rows with the same value here are judged together, for example clauses of one contract. Empty: no groups.',
      widget: 'column',
      advanced: true,
    }),
    folds: z
      .int()
      .min(2)
      .max(20)
      .default(5)
      .meta({ title: 'Folds', description: 'Parts that are judged in turn; more is slower and a little better.', advanced: true }),
    seed: z.int().min(0).max(2_147_483_647).default(42).meta({ title: 'Seed', description: 'Which rows fall into which fold.' }),
  }),
  inputs: { data: { kind: 'dataset', title: 'Data', description: 'Rows with a label each.' } },
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows, after what was chosen to be done.' },
    suspects: { kind: 'dataset', title: 'Suspects', description: 'A table: given and suggested label, the likeliest errors first.' },
    report: { kind: 'report', title: 'Report', description: 'How many labels are probably wrong, and which are taken for which.' },
  },
  purity: 'seeded',
  resource: 'light',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    if (!data) return {}
    const chars = (data.rows ?? 0) * (data.chars?.mean ?? 0)
    return {
      outputs: {
        data: { kind: 'dataset', facts: { ...data, rows: params.action === 'drop' ? null : data.rows } },
        suspects: { kind: 'dataset', facts: tableFacts(data, 'suspects', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Find label errors' } },
      },
      estimate: {
        seconds: Math.round(1 + (chars * SECONDS_PER_CHAR * params.folds) / 5),
        memoryBytes: Math.round(200e6 + 30 * chars),
        diskBytes: Math.round(1.2 * chars),
      },
      card: [
        { label: 'Label', value: params.label_column || 'the answer' },
        { label: 'Do with them', value: { review: 'list only', drop: 'leave out', relabel: 'relabel' }[params.action] },
        { label: 'Folds', value: String(params.folds) },
      ],
      problems: [
        ...columnProblems(params, knownColumns(data)),
        ...(params.label_column && params.action === 'relabel' ? [columnRelabel(params.label_column)] : []),
        ...(!params.label_column && data.format && !['messages', 'prompt_completion'].includes(data.format)
          ? [
              {
                severity: 'error' as const,
                code: 'no_answers',
                param: 'label_column',
                message: `${data.format.replaceAll('_', ' ')} rows have no answer that could be a label.`,
                expected: 'rows with an answer, or the name of the label column',
                got: data.format,
              },
            ]
          : []),
      ],
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, answerOf, askedOf, columnValue, excerpt, judgeLabels, labelErrors, withAnswer } = await import(
      '../analysis/index'
    )
    throwProblem(columnProblems(params, inputs.data.columns))
    if (params.label_column && params.action === 'relabel') throwProblem([columnRelabel(params.label_column)])
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    const given = rows.map((row) => String((params.label_column ? columnValue(row, params.label_column) : answerOf(row)) ?? '').trim())
    const labels = new Set(given)
    if (rows.length < 10 * params.folds || labels.size < 2 || labels.size > MOST_LABELS || labels.size > rows.length / 5)
      throw new NodeError('not_labels', 'These answers are no labels that could be learned: too few rows, or too many different answers.', {
        param: 'label_column',
        expected: `at least ${10 * params.folds} rows, 2 to ${MOST_LABELS} labels and five rows a label on average`,
        got: `${plural(rows.length, 'row')}, ${plural(labels.size, 'different answer')}`,
        fix: 'Name the column that holds the label, or use this node for classification only.',
      })
    const judged = await judgeLabels(
      rows.map(askedOf),
      given,
      {
        folds: params.folds,
        seed: params.seed,
        ...(params.group_column && {
          groups: rows.map((row) => {
            const value = columnValue(row, params.group_column)
            return value === null ? null : JSON.stringify(value)
          }),
        }),
      },
      async (fold) => {
        ctx.signal.throwIfAborted()
        ctx.progress(fold, params.folds, 'folds')
        await new Promise((resolve) => setImmediate(resolve))
      },
    )
    const found = labelErrors(judged)
    // From the top, and no more than are estimated to be wrong.
    const acted = new Map(params.action === 'review' ? [] : found.suspects.slice(0, found.estimated).map((s) => [s.row, s.suggested]))
    const table = found.suspects.map((s, i) => ({
      id: `s${i + 1}`,
      rank: i + 1,
      given: s.given,
      suggested: s.suggested,
      confidence: Math.round(s.confidence * 1e4) / 1e4,
      suggested_confidence: Math.round(s.suggestedConfidence * 1e4) / 1e4,
      action: acted.has(s.row) ? (params.action === 'drop' ? 'left out' : 'relabelled') : i < found.estimated ? 'look at this' : 'perhaps',
      row: String(rows[s.row]?.id ?? ''),
      line: s.row + 1,
      text: rows[s.row] ? excerpt(rows[s.row] as (typeof rows)[number]) : '',
    }))
    const kept = rows.flatMap((row, i) => {
      const suggested = acted.get(i)
      if (suggested === undefined) return [row]
      return params.action === 'drop' ? [] : [withAnswer(row, suggested)]
    })
    const confusions = new Map<string, number>()
    for (const s of found.suspects.slice(0, found.estimated)) {
      const key = `${s.given} → ${s.suggested}`
      confusions.set(key, (confusions.get(key) ?? 0) + 1)
    }
    const top = [...confusions].sort((a, b) => b[1] - a[1]).slice(0, 12)
    const rate = found.estimated / rows.length
    const errs = 1 - judged.accuracy
    const verdict: Report['verdict'] = !found.learnable
      ? {
          tone: 'look',
          text: `The labels cannot be learned from this text: ${percentWords(judged.accuracy)} right, and the commonest label alone makes ${percentWords(judged.majority)}. No row is listed.`,
          action: 'Check that the right column holds the label and that the text says enough to decide it.',
        }
      : found.estimated === 0
        ? { tone: 'good', text: `No label of ${plural(rows.length, 'row')} looks wrong.`, action: null }
        : {
            tone: rate > 0.02 ? 'look' : 'good',
            text: `About ${plural(found.estimated, 'label')} of ${rows.length.toLocaleString('en-US')} (${percentWords(rate)}) may be wrong${params.action === 'review' ? '' : params.action === 'drop' ? `; ${plural(acted.size, 'row')} left out` : `; ${plural(acted.size, 'row')} relabelled`}. The classifier itself errs in ${percentWords(errs)}, so it may be fewer.`,
            action:
              params.action === 'review'
                ? 'Read the suspects from the top; stop where most of them are right.'
                : 'Read what was done in the suspects table.',
          }
    const report = await putReport(ctx, {
      title: 'Find label errors',
      verdict,
      facts: [
        { label: 'Rows', value: rows.length.toLocaleString('en-US') },
        { label: 'Labels', value: String(labels.size) },
        { label: 'Right, out of fold', value: percentWords(judged.accuracy) },
        { label: 'Commonest label', value: percentWords(judged.majority) },
        { label: 'Folds, seed', value: `${params.folds}, ${params.seed}` },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Classifier', value: 'TF-IDF of one and two words, logistic regression' },
      ],
      sections:
        top.length > 0
          ? [
              {
                title: 'Given → suggested',
                bars: top.map(([label, value]) => ({ label, value, tone: 'look' as const, note: plural(value, 'row') })),
              },
            ]
          : [],
    })
    return {
      data: await putRows(ctx, inputs.data, packRows(kept)),
      suspects: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'suspects'),
      report,
    }
  },
})

const columnRelabel = (column: string): NodeProblem => ({
  severity: 'error',
  code: 'label_not_the_answer',
  param: 'action',
  message: 'Relabelling changes the answer of a row, and here the label stands in a column.',
  expected: 'list only, or leave out',
  got: column,
  fix: { label: 'List only', params: { action: 'review' } },
})

const columnProblems = (params: { label_column: string; group_column: string }, columns: readonly string[] | null): NodeProblem[] =>
  (['label_column', 'group_column'] as const).flatMap((param) => columnProblem(param, params[param], columns))
