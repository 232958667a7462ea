import * as z from 'zod'
import { columnProblem, datasetFacts, knownColumns, NEAR_PARAMS, nearOptions, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { NodeError, throwProblem } from './_kit/node-error'
import type { DatasetHandle } from './_kit/ports'
import { putReport } from './_kit/report'
import { percentWords, plural } from './_kit/words'

/** Checks and fixes read each text a few times; see Check data. */
const BYTES_PER_SECOND = 0.4e6
const NO_GROUPS = { label: 'Clean without groups', params: { group_column: '' } }
const COLUMNS = ['fix', 'action', 'row', 'line', 'detail', 'other_row', 'text'] as const

const LABELS = {
  drop: 'Leave out',
  keep: 'Leave as it is',
  keep_first: 'Keep the first',
  keep_majority: 'Keep the majority’s',
  replace: 'Replace by stand-ins',
}
type Choice = keyof typeof LABELS
/** What a choice between fixes looks like in the form. */
const words = (title: string, description: string, options: readonly Choice[]) => ({
  title,
  description,
  labels: Object.fromEntries(options.map((option) => [option, LABELS[option]])),
})
const DROP = ['drop', 'keep'] as const
const KEEP = ['keep', 'drop'] as const
const FIRST = ['keep_first', 'keep'] as const
const MAJORITY = ['keep_majority', 'drop', 'keep'] as const
const REPLACE = ['replace', 'drop', 'keep'] as const

export const cleanData = defineNode({
  type: 'clean-data',
  title: 'Clean data',
  summary: 'Mends what Check data finds: repeats, contradictions, leaks, broken answers, personal data.',
  help: `Each kind of finding has its own choice, and nothing happens that was not chosen.

What goes comes out at **removed**, unchanged and with the reason, so that it can be read, mended and put back. **Changes** lists every row that was touched and why. With **Preview only** the data passes unchanged and the list shows what would happen.

**Leaks** are looked for where validation or test is wired: training rows that give a held-out row away are left out, the held-out rows stay. **Near repeats**: of rows that nearly say the same the first stays. **Contradictions**: the answer that most rows give stays; where no answer has a majority, all rows of that question go. **Personal data** becomes a stand-in such as \`[e-mail 1]\`, the same one wherever the same value stood, in questions and answers alike.

Put it before Split data where the whole file is to be cleaned, or between Split data and Train with the held-out parts wired.`,
  group: 'Data',
  icon: 'clean-data',
  tags: [
    'fix',
    'deduplicate',
    'duplicates',
    'contradiction',
    'leakage',
    'pii',
    'privacy',
    'anonymise',
    'redact',
    'filter',
    'remove',
    'repair',
  ],
  params: z.strictObject({
    preview: z
      .boolean()
      .default(false)
      .meta({ title: 'Preview only', description: 'List what would be done and pass the data on as it is.' }),
    leakage: z
      .enum(DROP)
      .default('drop')
      .meta(words('Leaks', 'Training rows that give away a row of validation or test.', DROP)),
    empty_target: z
      .enum(DROP)
      .default('drop')
      .meta(words('Empty answers', 'Rows with nothing to train on.', DROP)),
    truncated_target: z
      .enum(DROP)
      .default('drop')
      .meta(words('Answers that stop in the middle', 'Broken JSON, open code blocks, no end mark where all others have one.', DROP)),
    exact_duplicate: z
      .enum(FIRST)
      .default('keep_first')
      .meta(words('Exact repeats', 'Rows with the same words as an earlier one.', FIRST)),
    near_duplicate: z
      .enum(FIRST)
      .default('keep_first')
      .meta(words('Near repeats', 'Rows that nearly say what an earlier one says.', FIRST)),
    contradiction: z
      .enum(MAJORITY)
      .default('keep_majority')
      .meta(words('Contradictions', 'Rows that ask the same and answer differently.', MAJORITY)),
    personal_data: z
      .enum(REPLACE)
      .default('replace')
      .meta(words('Personal data', 'E-mail addresses, phone, account and card numbers and the like.', REPLACE)),
    template_token: z
      .enum(KEEP)
      .default('keep')
      .meta({ ...words('Control tokens in the text', 'Rows that hold control tokens of a chat template.', KEEP), advanced: true }),
    length: z
      .enum(KEEP)
      .default('keep')
      .meta({ ...words('Unusual length', 'Rows far longer or shorter than the rest.', KEEP), advanced: true }),
    language: z
      .enum(KEEP)
      .default('keep')
      .meta({ ...words('Another language', 'Rows in another language than the rest.', KEEP), advanced: true }),
    ...NEAR_PARAMS,
    group_column: z.string().max(200).default('').meta({
      title: 'Group column',
      description: 'Rows of a group that is also held out count as leaks. Empty: no groups.',
      widget: 'column',
      advanced: true,
    }),
  }),
  inputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows to clean.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows that must not be given away by the data.', optional: true },
    test: { kind: 'dataset', title: 'Test', description: 'Rows that must not be given away by the data.', optional: true },
  },
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows that stay, in their order, with personal data replaced.' },
    removed: { kind: 'dataset', title: 'Removed', description: 'The rows that went, as they were, each with the reason.' },
    changes: { kind: 'dataset', title: 'Changes', description: 'A table: every row that was touched, how and why.' },
    report: { kind: 'report', title: 'Report', description: 'Counts by fix.' },
  },
  purity: 'deterministic',
  resource: 'light',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    if (!data) return {}
    const held = [inputs.validation, inputs.test].filter((input) => input !== undefined).length
    const bytes = (data.rows ?? 0) * (data.chars?.mean ?? 0)
    const fixes = FIXES.filter((fix) => params[fix] !== 'keep' && (fix !== 'leakage' || held > 0)).length
    return {
      outputs: {
        data: { kind: 'dataset', facts: { ...data, rows: params.preview ? data.rows : null } },
        removed: { kind: 'dataset', facts: { ...data, name: 'removed rows', rows: null, columns: [...data.columns, 'removed_because'] } },
        changes: { kind: 'dataset', facts: tableFacts(data, 'changes', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Clean data' } },
      },
      estimate: {
        seconds: Math.round(1 + bytes / BYTES_PER_SECOND),
        memoryBytes: Math.round(20 * bytes),
        diskBytes: Math.round(1.5 * bytes),
      },
      card: [
        { label: 'Fixes', value: params.preview ? `${fixes}, preview only` : String(fixes) },
        { label: 'Near repeats', value: LABELS[params.near_duplicate] },
        { label: 'Personal data', value: LABELS[params.personal_data] },
      ],
      problems: columnProblem('group_column', params.group_column, knownColumns(data), NO_GROUPS),
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, cleanRows, excerpt, CHECK_TITLES } = await import('../analysis/index')
    const read = async (handle: DatasetHandle | undefined) => (handle ? parseJsonl(await ctx.artifacts.readText(handle.artifact)) : [])
    const rows = await read(inputs.data)
    throwProblem(columnProblem('group_column', params.group_column, inputs.data.columns, NO_GROUPS))
    let pass = 0
    const cleaned = await cleanRows(
      rows,
      [...(await read(inputs.validation)), ...(await read(inputs.test))],
      Object.fromEntries(FIXES.map((fix) => [fix, params[fix]])) as Parameters<typeof cleanRows>[2],
      { ...nearOptions(params), groupColumn: params.group_column },
      async () => {
        ctx.signal.throwIfAborted()
        ctx.progress(Math.min(++pass, 5), 6, 'fixes')
        await new Promise((resolve) => setImmediate(resolve))
      },
    )
    if (cleaned.kept.length === 0 && rows.length > 0 && !params.preview)
      throw new NodeError('no_rows_left', 'No row is left after these fixes.', {
        expected: 'at least one row',
        got: FIXES.filter((fix) => cleaned.counts[fix] > 0)
          .map((fix) => `${CHECK_TITLES[fix]}: ${cleaned.counts[fix]}`)
          .join(', '),
        fix: 'Look at the changes with “Preview only”, and choose less.',
      })
    const kept = params.preview ? rows : cleaned.kept
    const removed = cleaned.removed.map(({ row, fix, detail }) => ({
      ...row,
      columns: { ...row.columns, removed_because: `${CHECK_TITLES[fix]}: ${detail}` },
    }))
    const gone = params.preview ? [] : removed
    const table = cleaned.changes.map((c, i) => ({
      id: `c${i + 1}`,
      fix: c.fix,
      action: params.preview ? (c.action === 'removed' ? 'would be removed' : 'would be changed') : c.action,
      row: String(rows[c.row]?.id ?? ''),
      line: c.row + 1,
      detail: c.detail,
      other_row: c.other ?? '',
      text: rows[c.row] ? excerpt(rows[c.row] as (typeof rows)[number]) : '',
    }))
    const touched = cleaned.changes.length
    const report = await putReport(ctx, {
      title: 'Clean data',
      verdict: {
        tone: touched === 0 ? 'good' : 'look',
        text:
          touched === 0
            ? `All ${plural(rows.length, 'row')} stay as they are.`
            : `${params.preview ? 'Would leave out' : 'Left out'} ${plural(removed.length, 'row')} of ${rows.length.toLocaleString('en-US')} (${percentWords(removed.length / Math.max(1, rows.length))}) and ${params.preview ? 'change' : 'changed'} ${(touched - removed.length).toLocaleString('en-US')}.`,
        action:
          touched === 0
            ? null
            : params.preview
              ? 'Read the changes; then turn “Preview only” off.'
              : removed.length > 0.2 * rows.length
                ? 'That is much: read the removed rows before training without them.'
                : null,
      },
      facts: [
        { label: 'Rows before', value: rows.length.toLocaleString('en-US') },
        { label: 'Rows after', value: kept.length.toLocaleString('en-US') },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Leaks', value: inputs.validation || inputs.test ? 'looked for' : 'not looked for: neither validation nor test is wired' },
      ],
      sections: [
        {
          title: 'Fixes',
          bars: FIXES.filter((fix) => params[fix] !== 'keep').map((fix) => ({
            label: CHECK_TITLES[fix],
            value: cleaned.counts[fix],
            tone: cleaned.counts[fix] > 0 ? ('look' as const) : ('good' as const),
            note: `${plural(cleaned.counts[fix], 'row')}: ${LABELS[params[fix]].toLowerCase()}`,
          })),
        },
      ],
    })
    for (const fix of FIXES) if (cleaned.counts[fix] > 0) ctx.log(`${CHECK_TITLES[fix]}: ${plural(cleaned.counts[fix], 'row')}`)
    return {
      data: await putRows(ctx, inputs.data, packRows(kept)),
      removed: await putRows(ctx, inputs.data, packRows(gone), {
        name: `${inputs.data.name}, removed`,
        columns: [...new Set([...inputs.data.columns, 'removed_because'])],
      }),
      changes: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'changes'),
      report,
    }
  },
})

const FIXES = [
  'leakage',
  'empty_target',
  'truncated_target',
  'template_token',
  'exact_duplicate',
  'near_duplicate',
  'contradiction',
  'personal_data',
  'length',
  'language',
] as const
