import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import type { DatasetFacts, NodeProblem } from './_kit/facts'
import { NodeError } from './_kit/node-error'
import { byteWords, plural } from './_kit/words'

/** How a file can be read; the first choice looks at the first rows and says what it found and why (F-31). */
const READINGS = [
  'auto',
  'alpaca',
  'sharegpt',
  'messages',
  'prompt_completion',
  'preference',
  'unpaired_preference',
  'text',
  'table',
] as const

/** The shape inside Thaw that each reading ends in (F-32). An alpaca file with system or history columns becomes conversations. */
const SHAPE_OF = {
  alpaca: 'prompt_completion',
  sharegpt: 'messages',
  messages: 'messages',
  prompt_completion: 'prompt_completion',
  preference: 'preference',
  unpaired_preference: 'unpaired_preference',
  text: 'text',
  table: 'table',
} as const satisfies Record<string, DatasetFacts['format']>

const column = (title: string, description: string) =>
  z.string().max(200).default('').meta({ title, description, widget: 'column', advanced: true })

export const loadData = defineNode({
  type: 'load-data',
  title: 'Load data',
  summary: 'Reads a file of examples, finds out its format and shows what it found.',
  help: `Takes **JSONL, JSON, CSV, TSV, Parquet or plain text**. It recognises instruction files (Alpaca), conversations (ShareGPT, messages), prompts with completions, preference pairs and raw text, says why, and lets you choose otherwise. Where a file can be read in two ways, it asks.

Columns with other names are mapped here, not in the file: name the prompt column and the completion column.

A damaged file stops with the line and the reason. **Skip** leaves such rows out, counts them and lists them in the log; nothing is dropped silently.

Every row keeps an id made from its content, so it can be followed through splits, training and scores.`,
  group: 'Data',
  icon: 'load-data',
  tags: [
    'dataset',
    'jsonl',
    'json',
    'csv',
    'tsv',
    'parquet',
    'text',
    'alpaca',
    'sharegpt',
    'messages',
    'chat',
    'import',
    'rows',
    'examples',
    'file',
  ],
  params: z.strictObject({
    file: z
      .string()
      .min(1)
      .max(4096)
      .meta({
        title: 'File',
        description: 'A sample, an upload or a path: .jsonl, .json, .csv, .tsv, .parquet or .txt.',
        widget: 'file',
        accept: ['.jsonl', '.json', '.csv', '.tsv', '.parquet', '.txt'],
      }),
    format: z
      .enum(READINGS)
      .default('auto')
      .meta({
        title: 'Format',
        description: 'How the rows are meant. Automatic looks at the first rows and tells what it found.',
        labels: {
          auto: 'Automatic',
          alpaca: 'Instructions (Alpaca)',
          sharegpt: 'Conversations (ShareGPT)',
          messages: 'Messages',
          prompt_completion: 'Prompt and completion',
          preference: 'Preference pairs',
          unpaired_preference: 'Rated answers (KTO)',
          text: 'Text',
          table: 'Table',
        },
      }),
    system_prompt: z.string().max(20_000).default('').meta({
      title: 'System prompt',
      description: 'Put before every conversation that has none. It is part of the prompt and is not trained.',
      widget: 'text',
    }),
    prompt_column: column('Prompt column', 'Name of the column with the input, where it is not called prompt.'),
    completion_column: column('Completion column', 'Name of the column with the wanted answer, where it is not called completion.'),
    text_column: column('Text column', 'Name of the column with the text, where it is not called text.'),
    on_bad_rows: z
      .enum(['stop', 'skip'])
      .default('stop')
      .meta({
        title: 'Damaged rows',
        description: 'Stop with the line and the reason, or leave such rows out and list them.',
        labels: { stop: 'Stop', skip: 'Skip and list' },
      }),
    max_rows: z
      .int()
      .min(0)
      .max(10_000_000)
      .default(0)
      .meta({ title: 'Rows to read', description: 'Read only the first so many rows; 0 reads all.', unit: 'rows', advanced: true }),
  }),
  inputs: {},
  outputs: { data: { kind: 'dataset', title: 'Data', description: 'All rows of the file in one shape, each with its id.' } },
  purity: 'deterministic',
  resource: 'light',
  facts: (params) => ({ kind: 'data', file: params.file }),
  infer({ params, fact, node }) {
    if (fact?.kind === 'error') return { problems: [{ severity: 'error', code: fact.code, param: 'file', message: fact.message }] }
    if (fact?.kind !== 'data') return {}
    const { header } = fact
    const problems: NodeProblem[] = []
    const mapped = params.prompt_column || params.completion_column ? 'prompt_completion' : params.text_column ? 'text' : null
    for (const param of ['prompt_column', 'completion_column', 'text_column'] as const)
      if (params[param] && !header.columns.includes(params[param]))
        problems.push({
          severity: 'error',
          code: 'no_such_column',
          param,
          message: `${header.name} has no column “${params[param]}”.`,
          expected: header.columns.join(', '),
          got: params[param],
          fix: { label: 'Clear the mapping', params: { [param]: '' } },
        })
    const reading = params.format === 'auto' ? (mapped ?? header.detected?.format ?? null) : params.format
    if (params.format === 'auto' && !mapped) {
      if (!header.detected)
        problems.push({
          severity: 'error',
          code: 'format_unknown',
          param: 'format',
          message: `The columns of ${header.name} fit no known format. Choose one, or name the prompt and completion columns.`,
          expected: 'for example prompt and completion, messages, or text',
          got: header.columns.join(', ') || 'no columns',
          fix: { label: 'Read it as a table', params: { format: 'table' } },
        })
      else if (header.detected.alternatives.length > 0)
        problems.push({
          severity: 'error',
          code: 'format_ambiguous',
          param: 'format',
          message: `${header.name} can be read as ${[header.detected.format, ...header.detected.alternatives].join(' or ')}: ${header.detected.reason}. Choose one.`,
          fix: { label: `Read it as ${header.detected.format}`, params: { format: header.detected.format } },
        })
    }
    const broken = header.faults?.[0]
    if (broken && params.on_bad_rows === 'stop')
      problems.push({
        severity: 'error',
        code: 'bad_data',
        param: 'file',
        message: `${header.name}${broken.line === null ? '' : `, line ${broken.line}`}: ${broken.reason}${(header.faults?.length ?? 0) > 1 ? ` (and ${plural((header.faults?.length ?? 0) - 1, 'more row')})` : ''}.`,
        got: broken.reason,
        fix: { label: 'Skip such rows and list them', params: { on_bad_rows: 'skip' } },
      })
    const shape = reading && reading in SHAPE_OF ? SHAPE_OF[reading as keyof typeof SHAPE_OF] : null
    const conversations =
      shape === 'prompt_completion' &&
      (params.system_prompt !== '' || (reading === 'alpaca' && (header.columns.includes('system') || header.columns.includes('history'))))
    const format = conversations ? 'messages' : shape
    const rows = params.max_rows > 0 ? Math.min(params.max_rows, header.rows) : header.rows
    const facts: DatasetFacts = {
      name: header.name,
      rows,
      format,
      columns: header.columns,
      split: 'all',
      chars: header.chars,
      origin: node,
    }
    return {
      outputs: { data: { kind: 'dataset', facts } },
      estimate: { seconds: 0.5 + header.sizeBytes / 20e6, memoryBytes: 3 * header.sizeBytes, diskBytes: header.sizeBytes },
      card: [
        { label: 'File', value: header.name },
        { label: 'Rows', value: `${header.rowsExact ? '' : 'about '}${rows.toLocaleString('en-US')}` },
        { label: 'Format', value: reading ? reading.replaceAll('_', ' ') : 'unknown' },
      ],
      problems,
    }
  },
  async run({ params, ctx }) {
    const { readTable, detectFormat, toCanonicalRows, rowsToJsonl, lengthsOf } = await import('../analysis/index')
    const { bytes, name, digest } = await ctx.readFile(params.file)
    ctx.log(`Reading ${name}, ${byteWords(bytes.byteLength)}`)
    const table = await readTable(bytes, name, params.max_rows > 0 ? { maxRows: params.max_rows } : {})
    ctx.signal.throwIfAborted()
    const mapping = { prompt: params.prompt_column, completion: params.completion_column, text: params.text_column }
    const detected = params.format === 'auto' ? detectFormat(table, mapping) : null
    if (detected && detected.alternatives.length > 0)
      throw new NodeError(
        'format_ambiguous',
        `${name} can be read as ${[detected.format, ...detected.alternatives].join(' or ')}: ${detected.reason}. Choose the format.`,
        { param: 'format', where: name },
      )
    if (params.format === 'auto' && !detected && table.errors.length === 0 && table.rows.length > 0)
      throw new NodeError('format_unknown', `The columns of ${name} fit no known format.`, {
        param: 'format',
        where: name,
        got: table.columns.join(', '),
        expected: 'prompt and completion, instruction and output, messages, conversations, chosen and rejected, or text',
        fix: 'Choose the format, or name the prompt and completion columns.',
      })
    if (detected) ctx.log(`Read as ${detected.format.replaceAll('_', ' ')}: ${detected.reason}`)
    const reading = params.format === 'auto' ? (detected?.format ?? 'table') : params.format
    const { rows, format, errors: rowErrors, warnings } = toCanonicalRows(table, reading, { mapping, systemPrompt: params.system_prompt })
    const errors = [...table.errors, ...rowErrors].sort((a, b) => (a.line ?? 0) - (b.line ?? 0))
    for (const warning of [...table.warnings, ...warnings])
      ctx.log(`${name}${warning.line ? `, line ${warning.line}` : ''}: ${warning.reason}`, 'warn')
    const say = (e: { line: number | null; reason: string }) => `${e.line === null ? name : `${name}, line ${e.line}`}: ${e.reason}`
    const first = errors[0]
    if (first && (params.on_bad_rows === 'stop' || rows.length === 0)) {
      for (const e of errors.slice(0, 50)) ctx.log(say(e), 'error')
      throw new NodeError(
        'bad_data',
        `${say(first)}${errors.length > 1 ? ` (and ${plural(errors.length - 1, 'more fault')}, listed in the log)` : ''}`,
        {
          param: 'file',
          where: first.line === null ? name : `${name}, line ${first.line}`,
          got: first.reason,
          fix: rows.length > 0 ? 'Mend the file, or set “Damaged rows” to skip them.' : 'Mend the file or choose another.',
        },
      )
    }
    if (rows.length === 0)
      throw new NodeError('no_rows', `${name} holds no rows.`, { param: 'file', where: name, expected: 'at least one row', got: 'none' })
    for (const e of errors.slice(0, 200)) ctx.log(`Skipped: ${say(e)}`, 'warn')
    if (errors.length > 200) ctx.log(`Skipped ${plural(errors.length - 200, 'more row')}`, 'warn')
    ctx.progress(rows.length, rows.length, 'rows')
    const artifact = await ctx.artifacts.put(rowsToJsonl(rows))
    ctx.log(
      `${plural(rows.length, 'row')} as ${format.replaceAll('_', ' ')}${errors.length ? `, ${plural(errors.length, 'row')} skipped` : ''}`,
    )
    return {
      data: {
        artifact,
        rows: rows.length,
        format,
        columns: [...table.columns],
        name,
        split: 'all' as const,
        source: digest,
        chars: lengthsOf(rows),
      },
    }
  },
})
