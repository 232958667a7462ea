/**
 * Chat templates: rendering, and which characters of the result the assistant wrote (F-35…F-39). Templates are untrusted: the library's
 * interpreter knows no attribute access outside plain data, and size and output are limited here (F-36).
 */
import { Template } from '@huggingface/jinja'
import { EngineError } from '../errors'

export type ChatMessage = { readonly role: string; readonly content: string } & Readonly<Record<string, unknown>>
/** [start, end) in UTF-16 units. */
export type Span = readonly [number, number]

const MAX_TEMPLATE_CHARS = 1 << 18
const MAX_OUTPUT_CHARS = 1 << 26
/** Characters that no text holds: noncharacters are never assigned. They mark where `{% generation %}` begins and ends. */
const OPEN = '\ufdd0'
const CLOSE = '\ufdd1'

const GENERATION_TAG = /([ \t]*)\{%(-?)\s*(generation|endgeneration)\s*(-?)%\}(\n?)/g

/**
 * Turns `{% generation %}` into marks in the output. The library drops the tags (with the wrong white space); the reference treats them
 * as blocks, so `trim_blocks` and `lstrip_blocks` apply: white space before a tag that begins its line and one newline after it vanish.
 */
function markGeneration(source: string): { source: string; marked: boolean } {
  let marked = false
  const out = source.replace(
    GENERATION_TAG,
    (_, indent: string, left: string, name: string, right: string, newline: string, at: number) => {
      marked = true
      const beginsLine = at === 0 || source[at - 1] === '\n'
      return `${beginsLine || left ? '' : indent}{{${left} '${name === 'generation' ? OPEN : CLOSE}' ${right}}}${newline && !right ? '' : newline}`
    },
  )
  return { source: out, marked }
}

export type RenderOptions = {
  addGenerationPrompt?: boolean
  tools?: readonly unknown[] | null
  /** Further variables of the template, such as `bos_token`. */
  variables?: Readonly<Record<string, unknown>>
}

export class ChatTemplate {
  readonly source: string
  readonly #template: Template
  readonly #variables: Readonly<Record<string, unknown>>
  /** Whether the template says itself what the assistant writes. */
  readonly marksGeneration: boolean

  /** `variables` are the special tokens the template may name: `bos_token`, `eos_token` … Throws `bad_file` for a template that does not parse. */
  constructor(source: string, variables: Readonly<Record<string, unknown>> = {}) {
    if (source.length > MAX_TEMPLATE_CHARS)
      throw new EngineError('bad_file', 'the chat template is too long', {
        expected: `at most ${MAX_TEMPLATE_CHARS} characters`,
        got: String(source.length),
      })
    this.source = source
    this.#variables = variables
    const { source: prepared, marked } = markGeneration(source)
    this.marksGeneration = marked
    try {
      this.#template = new Template(prepared)
    } catch (cause) {
      throw new EngineError('unsupported', 'the chat template uses something that is not supported', {
        where: 'chat_template.jinja',
        got: messageOf(cause),
        cause,
      })
    }
  }

  #renderMarked(messages: readonly ChatMessage[], { addGenerationPrompt = false, tools = null, variables = {} }: RenderOptions): string {
    let text: string
    try {
      text = this.#template.render({
        ...this.#variables,
        ...variables,
        messages,
        tools,
        documents: null,
        add_generation_prompt: addGenerationPrompt,
      })
    } catch (cause) {
      throw new EngineError('bad_argument', 'the chat template refused these messages', {
        where: 'chat_template.jinja',
        got: messageOf(cause),
        cause,
      })
    }
    if (text.length > MAX_OUTPUT_CHARS)
      throw new EngineError('bad_argument', 'the rendered chat is too long', {
        expected: `at most ${MAX_OUTPUT_CHARS} characters`,
        got: String(text.length),
      })
    return text
  }

  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    return this.#renderMarked(messages, options).replaceAll(OPEN, '').replaceAll(CLOSE, '')
  }

  /**
   * The rendered chat and the characters the assistant wrote: content and end-of-turn token, not the header, not the white space after.
   * Spans come from `{% generation %}`, else from the prefix property: the first k messages with a generation prompt render to a prefix of
   * k + 1 messages (F-38). `isSpecial` tells the tokenizer's own tokens, of which the end of a turn is one.
   */
  renderWithSpans(
    messages: readonly ChatMessage[],
    specialTokens: readonly string[],
    options: RenderOptions = {},
  ): { text: string; spans: Span[] } {
    if (this.marksGeneration) return splitMarks(this.#renderMarked(messages, options))
    const text = this.render(messages, options)
    const spans: Span[] = []
    messages.forEach((message, i) => {
      if (message.role !== 'assistant') return
      const before = this.render(messages.slice(0, i), { ...options, addGenerationPrompt: true })
      const after = this.render(messages.slice(0, i + 1), { ...options, addGenerationPrompt: false })
      // Text that ends with the last message alone (an EOS after the whole chat) is allowed to differ behind the turn.
      if (!after.startsWith(before) || !text.startsWith(before)) {
        throw new EngineError(
          'unsupported',
          'this chat template changes earlier turns when later ones are added, so what the assistant wrote cannot be told apart',
          {
            where: `chat_template.jinja, message ${i + 1}`,
            fix: "train only the last turn (train_on: 'last_turn')",
          },
        )
      }
      const turn = after.slice(before.length)
      const trimmed = turn.trimEnd()
      const ending = specialTokens.find((token) => token && trimmed.endsWith(token))
      // Without an end-of-turn token there is nothing to cut at but the turn's own end.
      const length = ending ? trimmed.length : turn.length
      if (!text.startsWith(after.slice(0, before.length + length))) {
        throw new EngineError('unsupported', 'this chat template renders a turn differently once another follows', {
          where: `chat_template.jinja, message ${i + 1}`,
          fix: "train only the last turn (train_on: 'last_turn')",
        })
      }
      spans.push([before.length, before.length + length])
    })
    return { text, spans }
  }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).slice(0, 300)

function splitMarks(marked: string): { text: string; spans: Span[] } {
  let text = ''
  const spans: Span[] = []
  let open: number | null = null
  for (const piece of marked.split(/([\ufdd0\ufdd1])/)) {
    if (piece === OPEN) open = text.length
    else if (piece === CLOSE) {
      if (open !== null && text.length > open) spans.push([open, text.length])
      open = null
    } else text += piece
  }
  return { text, spans }
}

/** 1 for tokens that lie wholly inside a span; a token across the border counts as prompt (F-45). */
export function maskOf(offsets: readonly (readonly [number, number])[], spans: readonly Span[]): { mask: Uint8Array; straddling: number } {
  const mask = new Uint8Array(offsets.length)
  let straddling = 0
  let s = 0
  offsets.forEach(([from, to], i) => {
    while (s < spans.length && from >= (spans[s] as Span)[1] && to > (spans[s] as Span)[1]) s++
    const span = spans[s]
    if (!span || to <= from) return
    if (from >= span[0] && to <= span[1]) mask[i] = 1
    else if (to > span[0] && from < span[1]) straddling++
  })
  return { mask, straddling }
}
