/**
 * Rows of a dataset → token ids and the mask of tokens that train (F-38 … F-47). One function for training, evaluation and the token
 * view, so that all three see the same tokens.
 */
import { EngineError } from '../errors'
import { type ChatMessage, type ChatTemplate, maskOf } from '../tokenizer/chat'
import type { Tokenizer } from '../tokenizer/tokenizer'

/** The shapes a row can have (F-32). Prompt and completion may be texts or lists of messages. */
export type Row =
  | { readonly messages: readonly ChatMessage[]; readonly tools?: readonly unknown[] | null }
  | { readonly prompt: string | readonly ChatMessage[]; readonly completion: string | readonly ChatMessage[] }
  | { readonly text: string }

/** `completion`: the answer of a prompt, or the last turn of a chat. `assistant`: every assistant turn. */
export type TrainOn = 'completion' | 'assistant' | 'last_turn' | 'all'

export type EncodedRow = {
  readonly ids: Int32Array
  /** 1 where the token is predicted and counts in the loss. The first token is never predicted. */
  readonly mask: Uint8Array
  /** Number of ones in `mask` behind the first token: what this row adds to the denominator of the loss. */
  readonly labels: number
  /** Tokens across the border between prompt and answer, counted as prompt (F-45). */
  readonly straddling: number
  /** Whether the last trained token ends a turn or the document (F-41). */
  readonly endTrained: boolean
}

export type RowEncoder = {
  readonly tokenizer: Tokenizer
  /** null: a base model. Chats are then refused; prompts are joined by `separator`. */
  readonly template: ChatTemplate | null
  readonly trainOn: TrainOn
  /** Between prompt and completion where no chat template is used. */
  readonly separator?: string
}

const asMessages = (value: string | readonly ChatMessage[], role: 'user' | 'assistant'): readonly ChatMessage[] =>
  typeof value === 'string' ? [{ role, content: value }] : value

const specialTokensOf = (tokenizer: Tokenizer): string[] => [...tokenizer.specialIds].map((id) => tokenizer.tokenOf(id) as string)

function finish(ids: Int32Array, mask: Uint8Array, straddling: number, tokenizer: Tokenizer): EncodedRow {
  let labels = 0
  let last = -1
  for (let i = 1; i < mask.length; i++) {
    if (mask[i]) {
      labels++
      last = i
    }
  }
  const end = last < 0 ? undefined : (ids[last] as number)
  return {
    ids,
    mask,
    labels,
    straddling,
    endTrained: end !== undefined && (tokenizer.specialIds.has(end) || end === tokenizer.documentEnd),
  }
}

/** Renders and tokenises a chat as one text. Whatever special tokens the template writes, the tokenizer adds none besides (F-42). */
function encodeChat(
  encoder: RowEncoder,
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  tools: readonly unknown[] | null,
  onlyLast: boolean,
): EncodedRow {
  const { tokenizer, trainOn } = encoder
  if (onlyLast) {
    const last = messages.at(-1)
    if (last?.role !== 'assistant') return encodeSpans(encoder, template.render(messages, { tools }), [])
    const before = template.render(messages.slice(0, -1), { tools, addGenerationPrompt: true })
    const text = template.render(messages, { tools })
    if (!text.startsWith(before)) {
      throw new EngineError(
        'unsupported',
        'the chat template does not put the generation prompt before the answer, so the answer cannot be told apart',
        { where: 'chat_template.jinja' },
      )
    }
    // White space after the end-of-turn token belongs to the next turn.
    const trimmed = text.trimEnd()
    const ends = specialTokensOf(tokenizer).some((token) => trimmed.endsWith(token))
    return encodeSpans(encoder, text, [[before.length, ends ? trimmed.length : text.length]])
  }
  if (trainOn === 'all') {
    const text = template.render(messages, { tools })
    return encodeSpans(encoder, text, [[0, text.length]])
  }
  const { text, spans } = template.renderWithSpans(messages, specialTokensOf(tokenizer), { tools })
  return encodeSpans(encoder, text, spans)
}

function encodeSpans({ tokenizer }: RowEncoder, text: string, spans: readonly (readonly [number, number])[]): EncodedRow {
  const { ids, offsets } = tokenizer.encode(text, { addSpecialTokens: false })
  const { mask, straddling } = maskOf(offsets, spans)
  return finish(Int32Array.from(ids), mask, straddling, tokenizer)
}

function endOf(tokenizer: Tokenizer): number {
  const id = tokenizer.documentEnd
  if (id === undefined)
    throw new EngineError('unsupported', 'the tokenizer has no token that ends a document', {
      where: 'tokenizer_config.json',
      expected: 'eos_token',
    })
  return id
}

/** Tokenises one row. Throws for a chat without a template, and for shapes that are not for training. */
export function encodeRow(encoder: RowEncoder, row: Row): EncodedRow {
  const { tokenizer, template, trainOn } = encoder
  if ('messages' in row) {
    if (!template) {
      throw new EngineError('bad_argument', 'the model has no chat template, so chats cannot be turned into text', {
        fix: 'use an instruction-tuned model, or give prompts and completions instead of messages',
      })
    }
    return encodeChat(encoder, template, row.messages, row.tools ?? null, trainOn === 'last_turn' || trainOn === 'completion')
  }
  if ('prompt' in row) {
    if (template) {
      const messages = [...asMessages(row.prompt, 'user'), ...asMessages(row.completion, 'assistant')]
      return encodeChat(encoder, template, messages, null, trainOn !== 'all')
    }
    if (typeof row.prompt !== 'string' || typeof row.completion !== 'string')
      throw new EngineError('bad_argument', 'the model has no chat template, so lists of messages cannot be turned into text')
    // Encoded apart, so that no token spans the border (F-45). BOS, where the tokenizer adds one, comes with the prompt.
    const prompt = tokenizer.encode(row.prompt + (encoder.separator ?? '\n')).ids
    const answer = [...tokenizer.encode(row.completion, { addSpecialTokens: false }).ids, endOf(tokenizer)]
    const mask = new Uint8Array(prompt.length + answer.length).fill(1, trainOn === 'all' ? 0 : prompt.length)
    return finish(Int32Array.from([...prompt, ...answer]), mask, 0, tokenizer)
  }
  const { ids } = tokenizer.encode(row.text)
  const end = endOf(tokenizer)
  const all = ids.at(-1) === end ? ids : [...ids, end]
  return finish(Int32Array.from(all), new Uint8Array(all.length).fill(1), 0, tokenizer)
}

/** What a row asks the model: its text up to where the answer begins. Null when it has no answer to come (raw text). */
export function promptOf(
  encoder: Pick<RowEncoder, 'tokenizer' | 'template' | 'separator'>,
  row: Row,
): { text: string; ids: number[] } | null {
  const { tokenizer, template } = encoder
  if ('text' in row) return null
  const rendered = (messages: readonly ChatMessage[], tools: readonly unknown[] | null) => {
    const asked = messages.at(-1)?.role === 'assistant' ? messages.slice(0, -1) : messages
    const text = (template as ChatTemplate).render(asked, { tools, addGenerationPrompt: true })
    return { text, ids: tokenizer.encode(text, { addSpecialTokens: false }).ids }
  }
  if ('messages' in row) {
    if (!template) throw new EngineError('bad_argument', 'the model has no chat template, so chats cannot be turned into text')
    return rendered(row.messages, row.tools ?? null)
  }
  if (template) return rendered(asMessages(row.prompt, 'user'), null)
  if (typeof row.prompt !== 'string')
    throw new EngineError('bad_argument', 'the model has no chat template, so lists of messages cannot be turned into text')
  const text = row.prompt + (encoder.separator ?? '\n')
  return { text, ids: tokenizer.encode(text).ids }
}

export const EXCESS_STRATEGIES = ['drop', 'truncate_end', 'truncate_start', 'split', 'raise'] as const
/** What becomes of rows longer than `max_length` (F-47). */
export type ExcessStrategy = (typeof EXCESS_STRATEGIES)[number]

export type EncodedSet = {
  readonly rows: readonly EncodedRow[]
  /** Index of the source row each encoded row came from (`split` makes several of one). */
  readonly source: Int32Array
  /** Source rows left out, and cut. */
  readonly dropped: readonly number[]
  readonly cut: readonly number[]
  readonly straddling: number
  /** Rows whose end-of-turn token trains: "EOS trained in N of N rows" (F-41). */
  readonly endTrained: number
  readonly tokens: number
  readonly labels: number
}

function slice(row: EncodedRow, from: number, to: number, tokenizer: Tokenizer): EncodedRow {
  return finish(row.ids.slice(from, to), row.mask.slice(from, to), row.straddling, tokenizer)
}

/**
 * Encodes all rows and applies the length policy: `split` for raw text, else `drop`, unless one is named. A row in which nothing trains is
 * refused (F-43), naming the first of them. `yieldNow` is awaited now and then, so that beats pass while a large set is tokenised.
 */
export async function encodeRows(
  encoder: RowEncoder,
  rows: readonly Row[],
  options: { maxLength: number; excess?: ExcessStrategy; onProgress?(done: number, total: number): void; yieldNow?(): Promise<void> },
): Promise<EncodedSet> {
  const { maxLength } = options
  if (!Number.isInteger(maxLength) || maxLength < 2)
    throw new EngineError('bad_argument', 'max_length is out of range', {
      where: 'max_length',
      expected: '2 or more',
      got: String(maxLength),
    })
  const out: EncodedRow[] = []
  const source: number[] = []
  const dropped: number[] = []
  const cut: number[] = []
  const empty: number[] = []
  const keep = (row: EncodedRow, i: number): void => {
    if (row.labels === 0) empty.push(i)
    out.push(row)
    source.push(i)
  }
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i] as Row
    if (i % 64 === 63) {
      options.onProgress?.(i, rows.length)
      await options.yieldNow?.()
    }
    const encoded = encodeRow(encoder, row)
    const { length } = encoded.ids
    if (length <= maxLength) {
      keep(encoded, i)
      continue
    }
    const excess = options.excess ?? ('text' in row ? 'split' : 'drop')
    if (excess === 'raise')
      throw new EngineError('bad_argument', `row ${i + 1} is longer than max_length`, {
        where: 'max_length',
        expected: `at most ${maxLength} tokens`,
        got: String(length),
      })
    if (excess === 'drop') {
      dropped.push(i)
      continue
    }
    cut.push(i)
    if (excess === 'truncate_end') keep(slice(encoded, 0, maxLength, encoder.tokenizer), i)
    else if (excess === 'truncate_start') keep(slice(encoded, length - maxLength, length, encoder.tokenizer), i)
    else {
      for (let from = 0; from < length; from += maxLength) {
        // A single left-over token has nothing to predict it.
        if (length - from >= 2) keep(slice(encoded, from, Math.min(length, from + maxLength), encoder.tokenizer), i)
      }
    }
  }
  options.onProgress?.(rows.length, rows.length)
  if (empty.length) {
    throw new EngineError('bad_argument', `${empty.length} of ${rows.length} rows have no token that trains`, {
      where: `row ${empty
        .slice(0, 5)
        .map((i) => i + 1)
        .join(', ')}`,
      expected: 'an answer of the assistant in every row',
      fix: cut.length ? 'raise max_length, or drop long rows instead of cutting them' : 'remove these rows, or train on all tokens',
    })
  }
  return {
    rows: out,
    source: Int32Array.from(source),
    dropped,
    cut,
    straddling: out.reduce((sum, row) => sum + row.straddling, 0),
    endTrained: out.filter((row) => row.endTrained).length,
    tokens: out.reduce((sum, row) => sum + row.ids.length, 0),
    labels: out.reduce((sum, row) => sum + row.labels, 0),
  }
}
