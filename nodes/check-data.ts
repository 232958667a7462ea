import * as z from 'zod'
import type { RowTokens, RunContext } from './_kit/context'
import { columnProblem, datasetFacts, knownColumns, NEAR_PARAMS, nearOptions, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { WARM_UP_SECONDS } from './_kit/estimate'
import { NodeError, throwProblem } from './_kit/node-error'
import type { DatasetHandle, ModelHandle } from './_kit/ports'
import { putReport, type Report } from './_kit/report'
import { autoTrainOn } from './_kit/resolve-train'
import { percentWords, plural } from './_kit/words'

/** Text that all checks read in a second on one core: 1.6 MB of contract clauses took 3 s (5,286 rows, measured). */
const BYTES_PER_SECOND = 0.5e6
/** Tokenising beside it. */
const TOKEN_BYTES_PER_SECOND = 1e6
const NO_GROUPS = { label: 'Check without groups', params: { group_column: '' } }
const COLUMNS = ['check', 'effect', 'part', 'row', 'other_part', 'other_row', 'detail', 'text', 'other_text'] as const
/** The table is for reading; what it leaves out is counted. */
const MOST_FINDINGS = 20_000
const TRAINABLE: readonly string[] = ['messages', 'prompt_completion', 'text']

export const checkData = defineNode({
  type: 'check-data',
  title: 'Check data',
  summary: 'Looks for repeats, contradictions, leaks, personal data and broken answers, and says what to do.',
  help: `Most fine-tunes that disappoint do so because of their data. This node reads all rows and needs no model.

**Leakage**: rows of validation or test that training reads too, word for word, nearly, or as part of a longer row; a score on them is worth nothing. **Contradictions**: the same question with another answer. **Repeats**, exact and near: whatever occurs often is learned by heart. **Answers** that are empty or stop in the middle, and control tokens of chat templates inside a text. **Personal data**: e-mail addresses, phone numbers, account and card numbers, addresses of computers, passwords in links; named by kind and place, the values are never shown. **Odd rows**: far longer, shorter, or in another language than the rest.

Wire a **model** and it also checks the tokens that training will see: rows that are too long, how much of each row trains, and whether the end of the answer trains, without which a model never learns to stop.

The report gives a verdict and one thing to do; **findings** is the list, row by row. Nothing is changed: that is what Clean data is for.`,
  group: 'Data',
  icon: 'check-data',
  tags: [
    'quality',
    'duplicates',
    'deduplicate',
    'leakage',
    'contamination',
    'contradiction',
    'pii',
    'privacy',
    'outliers',
    'language',
    'eos',
    'tokens',
    'lint',
  ],
  params: z.strictObject({
    personal_data: z
      .boolean()
      .default(true)
      .meta({ title: 'Personal data', description: 'Look for e-mail addresses, phone, account and card numbers and the like.' }),
    outliers: z
      .boolean()
      .default(true)
      .meta({ title: 'Odd rows', description: 'Look for rows of unusual length and rows in another language.' }),
    max_length: z
      .union([z.literal('auto'), z.int().min(8).max(131_072)])
      .default('auto')
      .meta({
        title: 'Longest row',
        description: 'With a model: rows above this many tokens are counted as too long. Automatic: what the model can read.',
        unit: 'tokens',
        advanced: true,
      }),
    ...NEAR_PARAMS,
    group_column: z.string().max(200).default('').meta({
      title: 'Group column',
      description: 'Rows with the same value here belong together, and leak when they are on both sides. Empty: no groups.',
      widget: 'column',
      advanced: true,
    }),
  }),
  inputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows to train on.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows watched during training, to look for leaks.', optional: true },
    test: { kind: 'dataset', title: 'Test', description: 'Rows kept for the score, to look for leaks.', optional: true },
    model: { kind: 'model', title: 'Model', description: 'Whose tokenizer and chat template to check with.', optional: true },
  },
  outputs: {
    report: { kind: 'report', title: 'Report', description: 'Verdict, counts by check and one thing to do.' },
    findings: { kind: 'dataset', title: 'Findings', description: 'A table: check, row, what was found, the other row.' },
  },
  purity: 'deterministic',
  resource: 'light',
  infer({ params, inputs }) {
    const parts = (['data', 'validation', 'test'] as const).flatMap((name) => {
      const facts = datasetFacts(inputs[name])
      return facts ? [facts] : []
    })
    const data = datasetFacts(inputs.data)
    const bytes = parts.reduce((sum, p) => sum + (p.rows ?? 0) * (p.chars?.mean ?? 0), 0)
    const known = parts.length > 0 && parts.every((p) => p.rows !== null && p.chars !== null)
    return {
      outputs: {
        report: { kind: 'report', facts: { name: 'Check data' } },
        findings: { kind: 'dataset', facts: tableFacts(data, 'findings', COLUMNS) },
      },
      ...(known && {
        estimate: {
          seconds: Math.round(1 + bytes / BYTES_PER_SECOND + (inputs.model ? WARM_UP_SECONDS + bytes / TOKEN_BYTES_PER_SECOND : 0)),
          memoryBytes: Math.round(20 * bytes),
          diskBytes: Math.round(bytes / 2),
        },
      }),
      card: [
        { label: 'Rows', value: known ? parts.reduce((sum, p) => sum + (p.rows ?? 0), 0).toLocaleString('en-US') : 'all' },
        { label: 'Leaks', value: parts.length > 1 ? 'looked for' : 'need a validation or test wire' },
        { label: 'Tokens', value: inputs.model ? 'checked' : 'need a model wire' },
      ],
      problems: columnProblem('group_column', params.group_column, knownColumns(data), NO_GROUPS),
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, checkRows, excerpt, SEVERITY, CHECKS, CHECK_TITLES } = await import('../analysis/index')
    const read = async (handle: DatasetHandle | undefined) => (handle ? parseJsonl(await ctx.artifacts.readText(handle.artifact)) : [])
    const parts = { training: await read(inputs.data), validation: await read(inputs.validation), test: await read(inputs.test) }
    if (parts.training.length === 0)
      throw new NodeError('no_rows', 'There are no rows to check.', { expected: 'at least one row', got: 'none' })
    throwProblem(columnProblem('group_column', params.group_column, inputs.data.columns, NO_GROUPS))
    let pass = 0
    const result = await checkRows(
      parts,
      {
        ...nearOptions(params),
        groupColumn: params.group_column,
        personalData: params.personal_data,
        outliers: params.outliers,
      },
      async () => {
        ctx.signal.throwIfAborted()
        ctx.progress(++pass, 10, 'checks')
        await new Promise((resolve) => setImmediate(resolve))
      },
    )
    const tokens = inputs.model ? await checkTokens(ctx, inputs.model, inputs.data, params.max_length) : null

    const rowOf = (part: keyof typeof parts, row: number) => parts[part][row]
    const table = result.findings.slice(0, MOST_FINDINGS).map((f, i) => ({
      id: `f${i + 1}`,
      check: f.check,
      effect: SEVERITY[f.check] as string,
      part: f.part as string,
      row: String(rowOf(f.part, f.row)?.id ?? ''),
      line: f.row + 1,
      other_part: f.other?.part ?? '',
      other_row: f.other ? String(rowOf(f.other.part, f.other.row)?.id ?? '') : '',
      detail: f.detail,
      text: excerptOf(f.part, f.row),
      other_text: f.other ? excerptOf(f.other.part, f.other.row) : '',
    }))
    function excerptOf(part: keyof typeof parts, row: number): string {
      const value = rowOf(part, row)
      return value ? excerpt(value) : ''
    }
    for (const t of tokens?.findings ?? [])
      if (table.length < MOST_FINDINGS)
        table.push({
          id: `f${table.length + 1}`,
          check: t.check as (typeof table)[number]['check'],
          effect: t.effect,
          part: 'training',
          row: String(parts.training[t.row]?.id ?? ''),
          line: t.row + 1,
          other_part: '',
          other_row: '',
          detail: t.detail,
          text: excerptOf('training', t.row),
          other_text: '',
        })
    const total = parts.training.length + parts.validation.length + parts.test.length
    const tone = (check: (typeof CHECKS)[number]) =>
      result.counts[check] === 0 ? ('good' as const) : SEVERITY[check] === 'stops_score' ? ('bad' as const) : ('look' as const)
    const skipped = (check: string) =>
      (check === 'leakage' && parts.validation.length + parts.test.length === 0) ||
      (check === 'personal_data' && !params.personal_data) ||
      ((check === 'length' || check === 'language') && !params.outliers)
    const bars: NonNullable<Report['sections'][number]['bars']> = CHECKS.filter((check) => !skipped(check)).map((check) => ({
      label: CHECK_TITLES[check],
      value: result.counts[check],
      tone: tone(check),
      note: `${plural(result.counts[check], 'row')} of ${total.toLocaleString('en-US')}`,
    }))
    const report = await putReport(ctx, {
      title: 'Check data',
      verdict: verdictOf(result.counts, parts, tokens),
      facts: [
        { label: 'Training rows', value: parts.training.length.toLocaleString('en-US') },
        { label: 'Validation rows', value: inputs.validation ? parts.validation.length.toLocaleString('en-US') : 'not wired' },
        { label: 'Test rows', value: inputs.test ? parts.test.length.toLocaleString('en-US') : 'not wired' },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Language', value: result.language ?? 'not told' },
        {
          label: 'Near from',
          value: `${params.near_duplicate_threshold}, ${(0.75 * params.near_duplicate_threshold).toFixed(2)} under 60 words`,
        },
        ...(inputs.model ? [{ label: 'Model', value: inputs.model.base.name }] : []),
      ],
      sections: [
        {
          title: 'Checks',
          text: `${plural(result.rowsFound, 'row')} of ${total.toLocaleString('en-US')} with a finding${result.findings.length > MOST_FINDINGS ? `; the table holds the first ${MOST_FINDINGS.toLocaleString('en-US')} findings` : ''}.`,
          bars,
        },
        ...(Object.keys(result.personalKinds).length > 0
          ? [
              {
                title: 'Personal data',
                text: 'Kinds and places only; the values are neither shown nor logged.',
                table: { columns: ['kind', 'finds'], rows: Object.entries(result.personalKinds).sort((a, b) => b[1] - a[1]) },
              },
            ]
          : []),
        ...(tokens ? [tokens.section] : []),
      ],
    })
    for (const bar of bars) if (bar.value > 0) ctx.log(`${bar.label}: ${bar.note}`)
    return { report, findings: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'findings') }
  },
})

type TokenCheck = {
  section: Report['sections'][number]
  findings: { check: string; effect: string; row: number; detail: string }[]
  endMissing: number
  tooLong: number
  unusable: number
  rows: number
}

/** What training will see of each row (F-40 … F-47). */
async function checkTokens(ctx: RunContext, model: ModelHandle, data: DatasetHandle, maxLength: number | 'auto'): Promise<TokenCheck> {
  if (!TRAINABLE.includes(data.format))
    throw new NodeError('format_not_trainable', `The tokens of ${data.format.replaceAll('_', ' ')} rows cannot be checked.`, {
      expected: 'messages, prompt and completion, or text',
      got: data.format,
      fix: 'Take the model wire away.',
    })
  const limit = maxLength === 'auto' ? model.contextLength : Math.min(maxLength, model.contextLength)
  const rows = await ctx.engine.tokens({
    model,
    data,
    train_on: autoTrainOn(data.format) ?? 'all',
    onProgress: (done, total) => ctx.progress(done, total, 'rows'),
  })
  const findings: TokenCheck['findings'] = []
  const count = (is: (r: RowTokens) => boolean, check: string, detail: (r: RowTokens) => string) => {
    let n = 0
    for (const [row, r] of rows.entries()) {
      if (!is(r)) continue
      n++
      findings.push({ check, effect: 'hurts_training', row, detail: detail(r) })
    }
    return n
  }
  const fine = (r: RowTokens) => r.error === null
  const unusable = count(
    (r) => !fine(r),
    'not_trainable',
    (r) => r.error ?? '',
  )
  const silent = count(
    (r) => fine(r) && r.trained === 0,
    'nothing_trains',
    () => 'no token of this row trains',
  )
  const tooLong = count(
    (r) => fine(r) && r.length > limit,
    'too_long',
    (r) => `${r.length.toLocaleString('en-US')} tokens, ${limit.toLocaleString('en-US')} fit`,
  )
  const endMissing = count(
    (r) => fine(r) && r.trained > 0 && !r.endTrained,
    'end_not_trained',
    () => 'the token that ends the answer does not train',
  )
  const doubled = count(
    (r) => fine(r) && r.doubleStart,
    'two_start_tokens',
    () => 'two start tokens',
  )
  const used = rows.filter(fine)
  const sum = (pick: (r: RowTokens) => number) => used.reduce((total, r) => total + pick(r), 0)
  const lengths = used.map((r) => r.length).sort((a, b) => a - b)
  const all = sum((r) => r.length)
  const bar = (label: string, value: number) => ({
    label,
    value,
    tone: value > 0 ? ('look' as const) : ('good' as const),
    note: `${plural(value, 'row')} of ${rows.length.toLocaleString('en-US')}`,
  })
  return {
    section: {
      title: 'Tokens',
      text: `${all.toLocaleString('en-US')} tokens, of which ${percentWords(all === 0 ? 0 : sum((r) => r.trained) / all)} train. Rows have ${lengths[0] ?? 0} to ${lengths.at(-1) ?? 0} tokens, half of them less than ${lengths[lengths.length >> 1] ?? 0}. The end of the answer trains in ${used.filter((r) => r.endTrained).length} of ${rows.length} rows.`,
      bars: [
        bar('Cannot be trained on', unusable),
        bar('No token trains', silent),
        bar(`Longer than ${limit.toLocaleString('en-US')} tokens`, tooLong),
        bar('End token not trained', endMissing),
        bar('Two start tokens', doubled),
      ],
    },
    findings,
    endMissing,
    tooLong,
    unusable: unusable + silent,
    rows: rows.length,
  }
}

type Counts = Record<
  | 'leakage'
  | 'contradiction'
  | 'empty_target'
  | 'truncated_target'
  | 'template_token'
  | 'exact_duplicate'
  | 'near_duplicate'
  | 'personal_data'
  | 'length'
  | 'language',
  number
>

/** The gravest thing first; one sentence, one thing to do. */
function verdictOf(
  counts: Counts,
  parts: Record<'training' | 'validation' | 'test', readonly unknown[]>,
  tokens: TokenCheck | null,
): Report['verdict'] {
  const held = parts.validation.length + parts.test.length
  const rows = parts.training.length
  const say = (tone: 'look' | 'bad', text: string, action: string) => ({ tone, text, action })
  if (counts.leakage > 0)
    return say(
      'bad',
      `${plural(counts.leakage, 'held-out row')} of ${held.toLocaleString('en-US')} (${percentWords(counts.leakage / held)}) can be read in training too, so a score on them would be too high.`,
      'Add Clean data before training, with the same validation and test wired: it takes the training rows out that give held-out ones away.',
    )
  if (tokens && tokens.unusable > 0)
    return say(
      'bad',
      `${plural(tokens.unusable, 'row')} of ${tokens.rows.toLocaleString('en-US')} cannot be trained on with this model.`,
      'Look at the findings: each says why. Often another format, or a model with a chat template, is the answer.',
    )
  if (tokens && tokens.endMissing > 0.05 * tokens.rows)
    return say(
      'bad',
      `The end of the answer does not train in ${plural(tokens.endMissing, 'row')} of ${tokens.rows.toLocaleString('en-US')}: the model would not learn to stop.`,
      'Use a chat template that closes each turn, or rows of prompt and completion.',
    )
  if (counts.contradiction > 0)
    return say(
      'look',
      `${plural(counts.contradiction, 'row')} of ${rows.toLocaleString('en-US')} contradict another row: the same question, another answer.`,
      'Add Clean data: it keeps the answer that most rows give, and takes out those without a majority.',
    )
  const broken = counts.empty_target + counts.truncated_target + counts.template_token
  if (broken > 0)
    return say(
      'look',
      `${plural(broken, 'answer')} of ${rows.toLocaleString('en-US')} are empty, stop in the middle or hold control tokens.`,
      'Mend them in the file, or add Clean data to leave them out.',
    )
  if (tokens && tokens.tooLong > 0)
    return say(
      'look',
      `${plural(tokens.tooLong, 'row')} of ${tokens.rows.toLocaleString('en-US')} are too long for the limit and would be left out.`,
      'Raise the longest row in Train if memory allows, or shorten these rows.',
    )
  const repeats = counts.exact_duplicate + counts.near_duplicate
  if (repeats > 0.02 * rows || counts.exact_duplicate > 0)
    return say(
      'look',
      `${plural(repeats, 'row')} of ${rows.toLocaleString('en-US')} (${percentWords(repeats / rows)}) repeat another one, exactly or nearly.`,
      'Add Clean data to keep one of each.',
    )
  if (counts.personal_data > 0)
    return say(
      'look',
      `${plural(counts.personal_data, 'row')} hold personal data; a model can repeat what it was trained on.`,
      'Add Clean data to replace it by stand-ins.',
    )
  if (repeats + counts.length + counts.language > 0)
    return say(
      'look',
      `Only small things: ${[repeats && `${plural(repeats, 'near repeat')}`, counts.length && `${plural(counts.length, 'row')} of unusual length`, counts.language && `${plural(counts.language, 'row')} in another language`].filter(Boolean).join(', ')}.`,
      'Look at them in the findings; they may be meant.',
    )
  return {
    tone: 'good',
    text: `Nothing was found in ${plural(rows + held, 'row')}${held === 0 ? '; leaks were not looked for, since neither validation nor test is wired' : ''}.`,
    action: null,
  }
}
