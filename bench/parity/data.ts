/** data/: files that are well and files that are broken, through the readers, and the training text, ids and masks of their rows. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { detectFormat, type Format, readTable, toCanonicalRows } from '../../analysis/index'
import { encodeRow, type Row, type RowEncoder } from '../../engine/data/encode'
import { type ChatMessage, ChatTemplate } from '../../engine/tokenizer/chat'
import { Tokenizer, toCodePoints } from '../../engine/tokenizer/tokenizer'
import { type Context, exists, type Json, readJson, runCase } from './cases'

/** Our names of formats, by the words of the reference. */
const FORMATS: Readonly<Record<string, string>> = { 'prompt-completion': 'prompt_completion', 'preference (messages)': 'preference' }

/** A file as the node that loads data reads it. */
async function load(file: string) {
  const table = await readTable(new Uint8Array(fs.readFileSync(file)), path.basename(file))
  const detected = detectFormat(table)
  const shaped = toCanonicalRows(table, (detected?.format ?? 'table') as Format)
  const lines = [...table.errors, ...shaped.errors].map(({ line }) => line).filter((line): line is number => line !== null)
  return { table, detected, rows: shaped.rows, lines: lines.sort((a, b) => a - b), shaped }
}

export async function data(context: Context, topic: string): Promise<void> {
  const { report } = context
  const at = path.relative(context.root, topic) || 'data'
  if (!exists(topic, 'expected.json')) return report.fail(at, 'unread', 'the topic has no expected.json')
  const expected = readJson(topic, 'expected.json')
  for (const kind of ['valid', 'broken'] as const) {
    const listed = (expected[kind] ?? {}) as Record<string, Json>
    const present = exists(topic, kind) ? fs.readdirSync(path.join(topic, kind)) : []
    report.same(at, `files in ${kind}`, present.sort(), Object.keys(listed).sort())
    for (const [name, want] of Object.entries(listed)) {
      await runCase(context, path.join(topic, kind, name), async (where) => {
        const { table, detected, rows, lines, shaped } = await load(path.join(topic, kind, name))
        if (kind === 'valid') {
          report.same(where, 'rows', table.rows.length, want.rows)
          report.same(where, 'usable rows', rows.length, want.usable_rows ?? want.rows)
          report.same(
            where,
            'problem lines',
            lines,
            ((want.problems ?? []) as Json[]).map(({ line }) => line),
          )
          if (want.format) report.same(where, 'format', detected?.format, FORMATS[want.format] ?? want.format)
          if (want.columns) report.same(where, 'columns', table.columns, want.columns)
          return
        }
        report.same(where, 'error lines', lines, want.error_lines)
        if (want.valid_rows !== null && want.valid_rows !== undefined) report.same(where, 'valid rows', rows.length, want.valid_rows)
        if (want.valid_rows === 0) report.same(where, 'says what is wrong', table.errors.length + shaped.errors.length > 0, true)
      })
    }
  }
  if (exists(topic, 'rendered.json')) await rendered(context, topic)
}

/** The texts, ids and masks that rows become. The source of each part is the file of its name among the valid ones. */
async function rendered(context: Context, topic: string): Promise<void> {
  const { report } = context
  const file = path.join(topic, 'rendered.json')
  const expected = readJson(file)
  const folder = path.resolve(topic, expected.tokenizer)
  const read = (name: string) => fs.readFileSync(path.join(folder, name), 'utf8')
  const tokenizer = Tokenizer.fromTexts({ tokenizer: read('tokenizer.json'), config: read('tokenizer_config.json') })
  const template = new ChatTemplate(expected.chat_template, { bos_token: tokenizer.bosToken ?? '', eos_token: tokenizer.eosToken ?? '' })
  const special = [...tokenizer.specialIds].map((id) => tokenizer.tokenOf(id) as string)

  const rowsOf = async (...names: string[]): Promise<Row[]> => {
    const name = names.find((candidate) => exists(topic, 'valid', candidate))
    return name ? ((await load(path.join(topic, 'valid', name))).rows as unknown as Row[]) : []
  }
  const chatOf = (row: Row): ChatMessage[] => {
    if ('messages' in row) return [...row.messages]
    if ('prompt' in row)
      return [
        { role: 'user', content: String(row.prompt) },
        { role: 'assistant', content: String(row.completion) },
      ]
    return []
  }
  const compare = (where: string, wants: Json[], rows: readonly Row[], encoder: RowEncoder) => {
    if (!rows.length) return report.fail(where, 'unread', 'the source file of this part is missing')
    const got = rows.map((row) => {
      const { ids, mask } = encodeRow(encoder, row)
      const chat = chatOf(row)
      const { text, spans } =
        encoder.template && chat.length
          ? encoder.template.renderWithSpans(chat, special)
          : { text: 'text' in row ? row.text : '', spans: [] }
      return { ids: [...ids], mask: [...mask], text, trained_char_spans: toCodePoints(text, spans) }
    })
    for (const key of ['text', 'ids', 'mask', 'trained_char_spans'] as const) {
      if (wants.some((want) => key in want)) {
        report.same(
          where,
          key,
          got.map((row) => row[key]),
          wants.map((want) => want[key]),
        )
      }
    }
  }
  await runCase(context, file, async (at) => {
    const chat: RowEncoder = { tokenizer, template, trainOn: 'assistant' }
    for (const [part, wants] of Object.entries(expected) as [string, Json][]) {
      if (!Array.isArray(wants)) continue
      const where = `${at}/${part}`
      if (part === 'alpaca') compare(where, wants, await rowsOf('alpaca.jsonl', 'alpaca.json', 'alpaca.csv'), chat)
      else if (part === 'messages_and_sharegpt') {
        compare(`${where}/messages`, wants, await rowsOf('messages.jsonl', 'messages.parquet'), chat)
        compare(`${where}/sharegpt`, wants, await rowsOf('sharegpt.jsonl'), chat)
      } else if (part === 'prompt-completion')
        compare(where, wants, await rowsOf('prompt-completion.jsonl', 'prompt-completion.tsv'), { ...chat, trainOn: 'completion' })
      else if (part === 'text') compare(where, wants, await rowsOf('text.txt'), { ...chat, trainOn: 'all' })
      else if (part.startsWith('prompt-completion-plain-')) {
        const separator = { newline: '\n', space: ' ' }[part.slice('prompt-completion-plain-'.length)]
        if (separator === undefined) report.skip(where, 'this separator is not known')
        else
          compare(where, wants, await rowsOf('prompt-completion.jsonl', 'prompt-completion.tsv'), {
            tokenizer,
            template: null,
            trainOn: 'completion',
            separator,
          })
      } else if (part === 'chosen-rejected') {
        const rows = (await rowsOf('chosen-rejected.jsonl')) as unknown as Json[]
        for (const side of ['chosen', 'rejected']) {
          compare(
            `${where}/${side}`,
            wants.map((want: Json) => want[side]),
            rows.map((row): Row => ({ messages: [...messagesOf(row.prompt, 'user'), ...messagesOf(row[side], 'assistant')] })),
            chat,
          )
        }
      } else report.fail(where, 'unread', 'unknown part')
    }
  })
}

const messagesOf = (value: Json, role: string): ChatMessage[] =>
  typeof value === 'string' ? [{ role, content: value }] : (value as ChatMessage[])
