import * as z from 'zod'
import type { RunContext } from './_kit/context'
import { datasetFacts, modelFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { DECODE_FLOPS_PER_SECOND, forwardBytes, forwardFlopsPerToken, tokensOfChars, WARM_UP_SECONDS } from './_kit/estimate'
import type { NodeProblem } from './_kit/facts'
import { NodeError } from './_kit/node-error'
import { byteWords, plural } from './_kit/words'

/** Formats whose rows ask something. */
const ASKING: readonly string[] = ['messages', 'prompt_completion']
const COLUMNS = ['id', 'input', 'answer', 'expected', 'tokens', 'cut_off'] as const
/** Rows between two saved states, in batches: each state costs the programs of the next rows anew. */
const BATCHES_PER_PART = 8

type Answer = { text: string; tokens: number; cut: boolean }

export const predict = defineNode({
  type: 'predict',
  title: 'Predict',
  summary: 'Lets a model answer every row and writes the answers to a file.',
  help: `For putting a model to work: every row is asked, nothing is scored. The answers come out as **rows** for the next node and as a **file** to keep, JSON lines or CSV, in the order of the input.

At temperature 0 the model says what it holds most likely, and says the same every time. Above 0 it draws, narrowed by top-k and top-p; the seed makes that repeatable. An answer ends where the model ends it, before a **stop text**, or at the longest answer; answers that were cut off are marked.

**JSON answers** are held to a schema token by token: whatever the model prefers, only what can still become JSON of that schema may be written. So every answer that is not cut off can be read by a program; whether what stands in it is true is another matter.

A long job is saved as it goes: stopped or killed, it goes on after the last saved rows.`,
  group: 'Output',
  icon: 'predict',
  tags: ['generate', 'inference', 'batch', 'answer', 'apply', 'json', 'schema', 'structured', 'constrained', 'csv', 'jsonl', 'sampling'],
  params: z.strictObject({
    max_new_tokens: z.int().min(1).max(8192).default(128).meta({
      title: 'Longest answer',
      description: 'Writing stops here if the model does not stop by itself.',
      unit: 'tokens',
    }),
    json: z
      .enum(['off', 'any', 'schema'])
      .default('off')
      .meta({
        title: 'Hold answers to JSON',
        description: 'Off: the model writes freely. A schema also fixes the fields and their types.',
        labels: { off: 'Off', any: 'Any JSON', schema: 'A schema' },
      }),
    json_schema: z
      .string()
      .max(100_000)
      .default('')
      .meta({
        title: 'JSON schema',
        description:
          'What every answer must be, for example {"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}.',
        widget: 'text',
        showIf: { json: ['schema'] },
      }),
    temperature: z.number().min(0).max(5).default(0).meta({
      title: 'Temperature',
      description: '0 always takes the likeliest token; 1 draws as the model learned; above that it gets wilder.',
      step: 0.1,
    }),
    top_p: z.number().min(0.01).max(1).default(1).meta({
      title: 'Top-p',
      description: 'Draw only among the likeliest tokens that together have this share; 1 is off.',
      step: 0.05,
      advanced: true,
    }),
    top_k: z.int().min(0).max(1000).default(0).meta({
      title: 'Top-k',
      description: 'Draw only among so many of the likeliest tokens; 0 is off.',
      advanced: true,
    }),
    repetition_penalty: z.number().min(0.5).max(3).default(1).meta({
      title: 'Repetition penalty',
      description: 'Above 1, tokens that were already said become less likely.',
      step: 0.05,
      advanced: true,
    }),
    stop: z.string().max(2000).default('').meta({
      title: 'Stop texts',
      description: 'An answer ends before any of these texts; one a line.',
      widget: 'text',
      advanced: true,
    }),
    file_format: z
      .enum(['jsonl', 'csv'])
      .default('jsonl')
      .meta({ title: 'File', description: 'How the answers are written.', labels: { jsonl: 'JSON lines', csv: 'CSV' } }),
    max_rows: z
      .int()
      .min(0)
      .max(10_000_000)
      .default(0)
      .meta({ title: 'Rows to answer', description: 'Answer only the first so many rows; 0 answers all.', unit: 'rows', advanced: true }),
    batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(16)
      .meta({ title: 'Answers at once', description: 'Rows whose answers are written together.', unit: 'rows', advanced: true }),
    bf16: z.boolean().default(false).meta({
      title: '16-bit products',
      description: 'Faster where the machine multiplies in bfloat16; a few answers then differ from those in 32 bit.',
      advanced: true,
    }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'What is drawn above temperature 0.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model that answers.' },
    data: { kind: 'dataset', title: 'Data', description: 'Rows to answer.' },
  },
  outputs: {
    rows: { kind: 'dataset', title: 'Answers', description: 'Each row’s input, the answer, and the expected one where there is one.' },
    file: { kind: 'file', title: 'File', description: 'The same as a file.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const data = datasetFacts(inputs.data)
    const model = modelFacts(inputs.model)
    const problems: NodeProblem[] = []
    if (data?.format && !ASKING.includes(data.format))
      problems.push({
        severity: 'error',
        code: 'format_asks_nothing',
        message: `Rows of ${data.format.replaceAll('_', ' ')} ask the model nothing.`,
        expected: 'messages, or prompt and completion',
        got: data.format.replaceAll('_', ' '),
      })
    const fault = params.json === 'schema' ? schemaFault(params.json_schema) : null
    if (fault)
      problems.push({
        severity: 'error',
        code: 'bad_schema',
        param: 'json_schema',
        message: 'The JSON schema cannot be read.',
        expected: 'a JSON object',
        got: fault,
      })
    const rows =
      data?.rows === null || data?.rows === undefined ? null : params.max_rows > 0 ? Math.min(params.max_rows, data.rows) : data.rows
    const length = data?.chars ? tokensOfChars(data.chars.mean) : null
    return {
      outputs: {
        rows: {
          kind: 'dataset',
          facts: {
            name: data ? `${data.name}, answered` : 'answers',
            rows,
            format: 'table',
            columns: [...COLUMNS],
            split: data?.split ?? 'all',
            chars: null,
            origin: data?.origin ?? '',
          },
        },
      },
      ...(model &&
        rows !== null &&
        length !== null && {
          estimate: {
            seconds: Math.round(
              WARM_UP_SECONDS + (rows * (length + params.max_new_tokens) * forwardFlopsPerToken(model, length)) / DECODE_FLOPS_PER_SECOND,
            ),
            memoryBytes: Math.round(forwardBytes(model, params.batch_size, length)),
            diskBytes: rows * params.max_new_tokens * 8,
          },
        }),
      card: [
        { label: 'Rows', value: rows === null ? 'all' : rows.toLocaleString('en-US') },
        { label: 'Answers', value: params.json === 'off' ? 'free text' : params.json === 'any' ? 'JSON' : 'JSON of a schema' },
      ],
      problems,
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, rowsToJsonl, questionOf, answerOf, lengthsOf } = await import('../analysis/index')
    const { model, data } = inputs
    if (!ASKING.includes(data.format))
      throw new NodeError('format_asks_nothing', `Rows of ${data.format.replaceAll('_', ' ')} ask the model nothing.`, {
        expected: 'messages, or prompt and completion',
        got: data.format,
      })
    const fault = params.json === 'schema' ? schemaFault(params.json_schema) : null
    if (fault) throw new NodeError('bad_schema', 'The JSON schema cannot be read.', { expected: 'a JSON object', got: fault })
    const all = parseJsonl(await ctx.artifacts.readText(data.artifact))
    const rows = params.max_rows > 0 ? all.slice(0, params.max_rows) : all
    if (rows.length === 0) throw new NodeError('no_rows', 'There are no rows to answer.', { expected: 'at least one row', got: 'none' })
    ctx.log(`${ctx.engine.backend.name} on ${ctx.engine.backend.device}, ${params.bf16 ? 'bfloat16 products' : '32 bit'}`)

    const part = params.batch_size * BATCHES_PER_PART
    const answers = await savedAnswers(ctx)
    if (answers.length) ctx.log(`${plural(answers.length, 'row')} were answered before`)
    while (answers.length < rows.length) {
      const from = answers.length
      const asked = rows.slice(from, from + part)
      const artifact = await ctx.artifacts.put(rowsToJsonl(asked))
      const { texts, tokens, truncated } = await ctx.engine.generate({
        model,
        data: { ...data, artifact, rows: asked.length },
        bf16: params.bf16,
        options: {
          max_new_tokens: params.max_new_tokens,
          temperature: params.temperature,
          top_k: params.top_k,
          top_p: params.top_p,
          repetition_penalty: params.repetition_penalty,
          // Rows are numbered anew in every part.
          seed: params.seed + from,
          batch_size: params.batch_size,
          stop: params.stop.split('\n').filter((line) => line !== ''),
          ...(params.json === 'any' && { json_schema: true }),
          ...(params.json === 'schema' && { json_schema: JSON.parse(params.json_schema) }),
        },
        onProgress: (done) => ctx.progress(from + done, rows.length, 'rows'),
      })
      ctx.signal.throwIfAborted()
      answers.push(...texts.map((text, i): Answer => ({ text, tokens: tokens[i] ?? 0, cut: truncated[i] ?? false })))
      if (answers.length < rows.length) await saveAnswers(ctx, answers)
    }

    const table = rows.map((row, i) => {
      const { text, tokens, cut } = answers[i] as Answer
      return { id: String(row.id), input: questionOf(row), answer: text, expected: answerOf(row), tokens, cut_off: cut }
    })
    const written = params.file_format === 'csv' ? csvOf(table) : rowsToJsonl(table)
    const bytes = new TextEncoder().encode(written)
    const file = await ctx.artifacts.putManifest('predictions', [
      { path: `predictions.${params.file_format}`, digest: await ctx.artifacts.put(bytes), size: bytes.length },
    ])
    const cut = table.filter((row) => row.cut_off).length
    ctx.log(`${plural(table.length, 'row')} answered, ${byteWords(bytes.length)}${cut ? `; ${plural(cut, 'answer')} cut off` : ''}`)
    return {
      file,
      rows: {
        artifact: await ctx.artifacts.put(rowsToJsonl(table)),
        rows: table.length,
        format: 'table' as const,
        columns: [...COLUMNS],
        name: `${data.name}, answered`,
        split: data.split,
        source: data.source,
        chars: lengthsOf(table),
      },
    }
  },
})

/** Why this text is no schema, or null. */
function schemaFault(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? null : 'something else'
  } catch (error) {
    return text.trim() === '' ? 'nothing' : (error as Error).message
  }
}

type Saved = Pick<RunContext, 'artifacts' | 'checkpoint'>

async function savedAnswers({ artifacts, checkpoint }: Saved): Promise<Answer[]> {
  const saved = await checkpoint.latest()
  if (!saved) return []
  const { files } = JSON.parse(await artifacts.readText(saved.manifest)) as { files: { digest: string }[] }
  return JSON.parse(await artifacts.readText(files[0]?.digest as string)) as Answer[]
}

async function saveAnswers({ artifacts, checkpoint }: Saved, answers: readonly Answer[]): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify(answers))
  await checkpoint.save({ step: answers.length, files: [{ path: 'answers.json', digest: await artifacts.put(bytes), size: bytes.length }] })
}

/** RFC 4180. A text that a spreadsheet would take for a formula gets an apostrophe before it. */
function csvOf(table: readonly Record<(typeof COLUMNS)[number], string | number | boolean>[]): string {
  const cell = (value: string | number | boolean) => {
    const text = typeof value === 'string' && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value)
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
  }
  return [COLUMNS.join(','), ...table.map((row) => COLUMNS.map((column) => cell(row[column])).join(','))]
    .map((line) => `${line}\r\n`)
    .join('')
}
