/**
 * What the columns of a file mean (F-31) and how its rows look inside (F-32). Detection says why; where two readings are possible it
 * names both and the user decides. Conversion drops nothing silently: a row that cannot be used comes back as a fault with its line (F-34).
 */
import { contentId } from './hash'
import type { CanonicalRow, Message } from './rows'
import { byLine, type Fault, fault, type SourceRow, type Table } from './table'

export const FORMATS = [
  'alpaca',
  'sharegpt',
  'messages',
  'prompt_completion',
  'preference',
  'unpaired_preference',
  'text',
  'table',
] as const
export type Format = (typeof FORMATS)[number]
/** Shapes inside Thaw; `table` is for results that nobody trains on. */
export type Shape = 'messages' | 'prompt_completion' | 'text' | 'preference' | 'unpaired_preference' | 'table'

export type Mapping = { prompt?: string; completion?: string; text?: string }
export type Detection = {
  format: Exclude<Format, 'table'>
  /** One sentence for people: which columns decided. */
  reason: string
  /** Other readings that fit as well: then the user is asked. */
  alternatives: Exclude<Format, 'table'>[]
}

/** Pairs of names that others use for prompt and completion, most usual first. */
const PAIRS: readonly (readonly [string, string])[] = [
  ['prompt', 'completion'],
  ['prompt', 'response'],
  ['question', 'answer'],
  ['query', 'response'],
  ['input', 'output'],
  ['source', 'target'],
  ['text', 'label'],
]

const sample = (table: Pick<Table, 'rows'>) => table.rows.slice(0, 200)

/** Which format the columns and first values fit, or null. With a mapping the user has decided already. */
export function detectFormat(table: Pick<Table, 'columns' | 'rows'>, mapping: Mapping = {}): Detection | null {
  const has = (name: string) => table.columns.includes(name)
  if (mapping.prompt || mapping.completion)
    return {
      format: 'prompt_completion',
      reason: `columns ${mapping.prompt || 'prompt'} and ${mapping.completion || 'completion'} were named`,
      alternatives: [],
    }
  if (mapping.text) return { format: 'text', reason: `column ${mapping.text} was named`, alternatives: [] }
  const first = sample(table)
  const mostly = (name: string, test: (value: unknown) => boolean) => {
    const values = first.map((r) => r.value[name]).filter((v) => v !== undefined && v !== null)
    return values.length > 0 && values.filter(test).length * 2 > values.length
  }
  const found: { format: Detection['format']; reason: string }[] = []
  const say = (format: Detection['format'], reason: string) => found.push({ format, reason })

  if (has('messages') && mostly('messages', Array.isArray)) say('messages', 'column messages holds lists of role and content')
  if (has('conversations') && mostly('conversations', Array.isArray)) say('sharegpt', 'column conversations holds lists of from and value')
  if (has('chosen') && has('rejected')) say('preference', `columns ${has('prompt') ? 'prompt, ' : ''}chosen and rejected`)
  if (has('prompt') && has('completion') && has('label') && mostly('label', isFlag))
    say('unpaired_preference', 'columns prompt, completion and a yes-or-no label')
  else if (has('instruction') && has('output')) say('alpaca', `columns instruction${has('input') ? ', input' : ''} and output`)
  else {
    const pair = PAIRS.find(([p, c]) => has(p) && has(c))
    if (pair) say('prompt_completion', `columns ${pair[0]} and ${pair[1]}`)
  }
  if (has('text') && mostly('text', (v) => typeof v === 'string')) say('text', 'column text')
  // A column that only one format has, though its partner is missing: so that the fault can name the partner.
  if (found.length === 0) {
    if (has('instruction')) say('alpaca', 'column instruction, but no column output')
    else if (has('prompt')) say('prompt_completion', 'column prompt, but no column completion')
    else if (has('completion')) say('prompt_completion', 'column completion, but no column prompt')
    else if (has('chosen') || has('rejected')) say('preference', `column ${has('chosen') ? 'chosen' : 'rejected'} without its partner`)
  }
  const [best, ...others] = found
  if (!best) return null
  return {
    format: best.format,
    reason: others.length ? found.map((f) => f.reason).join('; ') : best.reason,
    alternatives: others.map((f) => f.format),
  }
}

const isFlag = (v: unknown) => typeof v === 'boolean' || v === 0 || v === 1 || v === 'true' || v === 'false'

export type Conversion = {
  rows: CanonicalRow[]
  format: Shape
  errors: Fault[]
  warnings: Fault[]
  /** Faults by kind (F-34). */
  counts: Record<string, number>
}

type Maker = (row: SourceRow) => { shape: Record<string, unknown>; used: readonly string[] }

/**
 * Rows in the shape of `format`. Every row keeps an id made from its source content, so it can be followed through all nodes.
 * @param table what a reader gave
 * @param format chosen by the user or found by `detectFormat`
 */
export function toCanonicalRows(table: Table, format: Format, options: { mapping?: Mapping; systemPrompt?: string } = {}): Conversion {
  const { mapping = {}, systemPrompt = '' } = options
  const columns = new Set(table.columns)
  const required = requiredColumns(format, columns, mapping)
  const missing = required.find((name) => !columns.has(name))
  const headed = table.container === 'csv' || table.container === 'tsv' || table.container === 'parquet'
  if (missing !== undefined && headed && table.columns.length > 0)
    return {
      rows: [],
      format: shapeOf(format),
      errors: [fault(table.container === 'parquet' ? null : 1, 'no_column', `no column '${missing}' in the header`)],
      warnings: [],
      counts: { no_column: 1 },
    }

  const talk = format === 'alpaca' && (systemPrompt !== '' || columns.has('system') || columns.has('history'))
  const make: Maker = makerOf(format, required, talk)
  const errors: Fault[] = []
  const rows: CanonicalRow[] = []
  const ids = new Map<string, number>()
  const counts: Record<string, number> = {}
  let shape = talk ? ('messages' as const) : shapeOf(format)
  if (shape === 'prompt_completion' && systemPrompt) shape = 'messages'

  for (const row of table.rows) {
    try {
      const made = make(row)
      const content = systemPrompt ? withSystem(made.shape, systemPrompt) : made.shape
      const used = new Set(made.used)
      const rest = Object.entries(row.value).filter(([key]) => !used.has(key))
      // Two equal rows stay two rows: the second gets a suffix, so that an id names one row of a dataset.
      const hash = contentId(row.value)
      const times = (ids.get(hash) ?? 0) + 1
      ids.set(hash, times)
      rows.push({
        id: times === 1 ? hash : `${hash}-${times}`,
        ...content,
        ...(rest.length > 0 && format !== 'table' && { columns: Object.fromEntries(rest) }),
      })
    } catch (thrown) {
      if (!(thrown instanceof RowFault)) throw thrown
      errors.push(fault(row.line, thrown.code, thrown.message))
      counts[thrown.code] = (counts[thrown.code] ?? 0) + 1
    }
  }
  return { rows, format: shape, errors: errors.sort(byLine), warnings: repeatedIds(table), counts }
}

/** Why one row cannot be used. */
class RowFault extends Error {
  constructor(
    readonly code: string,
    reason: string,
  ) {
    super(reason)
  }
}

export const shapeOf = (format: Format): Shape => (format === 'alpaca' ? 'prompt_completion' : format === 'sharegpt' ? 'messages' : format)

function requiredColumns(format: Format, columns: ReadonlySet<string>, mapping: Mapping): string[] {
  switch (format) {
    case 'alpaca':
      return ['instruction', 'output']
    case 'sharegpt':
      return ['conversations']
    case 'messages':
      return ['messages']
    case 'preference':
      return ['chosen', 'rejected']
    case 'unpaired_preference':
      return [mapping.prompt || 'prompt', mapping.completion || 'completion', 'label']
    case 'text':
      return [mapping.text || 'text']
    case 'table':
      return []
    case 'prompt_completion': {
      const pair = PAIRS.find(([p, c]) => columns.has(p) && columns.has(c)) ?? ['prompt', 'completion']
      return [mapping.prompt || pair[0], mapping.completion || pair[1]]
    }
  }
}

function makerOf(format: Format, required: readonly string[], talk: boolean): Maker {
  const [a = '', b = '', c = ''] = required
  switch (format) {
    case 'table':
      return ({ value }) => ({ shape: Object.fromEntries(Object.entries(value).filter(([k]) => k !== 'id' && k !== 'columns')), used: [] })
    case 'text':
      return ({ value }) => ({ shape: { text: filled(value, a, 'text') }, used: [a] })
    case 'alpaca':
      return ({ value }) => {
        const instruction = filled(value, 'instruction', 'instruction')
        const input = optionalText(value, 'input')
        const prompt = input === '' ? instruction : `${instruction}\n\n${input}`
        const output = filled(value, 'output', 'output')
        if (!talk) return { shape: { prompt, completion: output }, used: ['instruction', 'input', 'output'] }
        const system = optionalText(value, 'system')
        const turns: Message[] = [
          ...(system ? [{ role: 'system', content: system }] : []),
          ...history(value.history),
          { role: 'user', content: prompt },
          { role: 'assistant', content: output },
        ]
        return { shape: { messages: turns }, used: ['instruction', 'input', 'output', 'system', 'history'] }
      }
    case 'prompt_completion':
      return ({ value }) => {
        if (Array.isArray(value[a]) || Array.isArray(value[b])) {
          const turns = [...turnsOf(value[a], a, 'user'), ...turnsOf(value[b], b, 'assistant')]
          return { shape: { messages: checkTurns(turns) }, used: [a, b] }
        }
        return { shape: bothTexts(value, a, b), used: [a, b] }
      }
    case 'messages':
      return ({ value }) => ({
        shape: { messages: checkTurns(turnsOf(value.messages, 'messages')), ...(Array.isArray(value.tools) && { tools: value.tools }) },
        used: ['messages', 'tools'],
      })
    case 'sharegpt':
      return ({ value }) => {
        const system = optionalText(value, 'system')
        const turns = turnsOf(fromSharegpt(value.conversations), 'conversations')
        return {
          shape: { messages: checkTurns(system && turns[0]?.role !== 'system' ? [{ role: 'system', content: system }, ...turns] : turns) },
          used: ['conversations', 'system'],
        }
      }
    case 'preference':
      return ({ value }) => ({ shape: preferenceOf(value), used: ['prompt', 'chosen', 'rejected'] })
    case 'unpaired_preference':
      return ({ value }) => {
        const label = value[c]
        if (!isFlag(label)) throw new RowFault('bad_label', `${c} is ${say(label)}, not true or false`)
        return { shape: { ...bothTexts(value, a, b), label: label === true || label === 1 || label === 'true' }, used: [a, b, c] }
      }
  }
}

const say = (value: unknown) =>
  value === undefined
    ? 'missing'
    : value === null
      ? 'null'
      : Array.isArray(value)
        ? 'a list'
        : typeof value === 'object'
          ? 'an object'
          : `a ${typeof value}`

function bothTexts(value: Record<string, unknown>, prompt: string, completion: string): { prompt: string; completion: string } {
  const wrong = [prompt, completion].filter((name) => value[name] !== undefined && typeof value[name] !== 'string')
  if (wrong.length) throw new RowFault('not_text', wrong.map((name) => `${name} is ${say(value[name])}`).join(', '))
  const p = filled(value, prompt, prompt)
  return { prompt: p, completion: filled(value, completion, completion) }
}

/** A text that is there and says something. */
function filled(value: Record<string, unknown>, name: string, word: string): string {
  const text = value[name]
  if (text === undefined) throw new RowFault('missing_field', `no field '${name}'`)
  if (typeof text !== 'string') throw new RowFault('not_text', `${name} is ${say(text)}`)
  if (text.trim() === '')
    throw new RowFault('empty', `empty ${word}: ${word === 'prompt' || word === 'instruction' ? 'nothing to ask' : 'nothing to train on'}`)
  return text
}

function optionalText(value: Record<string, unknown>, name: string): string {
  const text = value[name]
  if (text === undefined || text === null) return ''
  if (typeof text !== 'string') throw new RowFault('not_text', `${name} is ${say(text)}`)
  return text
}

/** LLaMA-Factory's history: pairs of earlier questions and answers. */
function history(value: unknown): Message[] {
  if (value === undefined || value === null || value === '') return []
  if (!Array.isArray(value)) throw new RowFault('not_text', `history is ${say(value)}`)
  return value.flatMap((pair) => {
    if (!Array.isArray(pair) || pair.length !== 2 || !pair.every((t) => typeof t === 'string'))
      throw new RowFault('not_text', 'history holds something other than pairs of texts')
    return [
      { role: 'user', content: pair[0] as string },
      { role: 'assistant', content: pair[1] as string },
    ]
  })
}

const SHAREGPT_ROLES: Record<string, string> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  assistant: 'assistant',
  chatgpt: 'assistant',
  bard: 'assistant',
  model: 'assistant',
  system: 'system',
  tool: 'tool',
  observation: 'tool',
  function_call: 'assistant',
}

function fromSharegpt(value: unknown): unknown {
  if (!Array.isArray(value)) return value
  return value.map((turn: Record<string, unknown> | null) => {
    if (turn === null || typeof turn !== 'object') return turn
    const { from, value: content, role, content: own, ...rest } = turn
    const name = String(from ?? role ?? '')
    return { ...rest, role: SHAREGPT_ROLES[name] ?? name, content: content ?? own }
  })
}

/** Messages with their contents checked; `alone` is the role of a plain text in their place. */
function turnsOf(value: unknown, name: string, alone?: string): Message[] {
  if (typeof value === 'string' && alone) return [{ role: alone, content: value }]
  if (value === undefined) throw new RowFault('missing_field', `no field '${name}'`)
  if (!Array.isArray(value)) throw new RowFault('not_messages', `${name} is ${say(value)}, not a list of messages`)
  return value.map((turn: unknown) => {
    if (turn === null || typeof turn !== 'object' || Array.isArray(turn))
      throw new RowFault('not_messages', `${name} holds ${say(turn)}, not a message`)
    const { role, content, ...rest } = turn as Record<string, unknown>
    if (typeof role !== 'string') throw new RowFault('no_role', 'message without role')
    if (!ROLES.has(role)) throw new RowFault('unknown_role', `unknown role '${role}'`)
    if (content === undefined || content === null) {
      if (role === 'assistant' && Array.isArray(rest.tool_calls)) return { role, content: '', ...rest }
      throw new RowFault('no_content', 'message without content')
    }
    if (typeof content !== 'string') throw new RowFault('not_text', `content is ${say(content)}, not text`)
    const kept = Object.entries(rest).filter(([, v]) => v !== null)
    return { role, content, ...Object.fromEntries(kept) }
  })
}

const ROLES = new Set(['system', 'developer', 'user', 'assistant', 'tool'])

/** A conversation one can train on: perhaps a system message, then turns about, the last one the assistant's, with something in it. */
function checkTurns(turns: Message[]): Message[] {
  if (turns.length === 0) throw new RowFault('empty_conversation', 'empty conversation')
  if (!turns.some((m) => m.role === 'assistant')) throw new RowFault('no_assistant', 'no assistant turn')
  let before: string | null = null
  for (const [i, { role }] of turns.entries()) {
    if (role === 'system' || role === 'developer') {
      if (i > 0) throw new RowFault('system_not_first', `${role} not first`)
      continue
    }
    if (role === 'assistant' && before === null) throw new RowFault('no_user', "no user turn before the assistant's")
    if (role === 'user' && before === 'user') throw new RowFault('two_users', 'two user turns in a row')
    if (role === 'assistant' && before === 'assistant') throw new RowFault('two_assistants', 'two assistant turns in a row')
    if (role === 'tool' && before !== 'assistant' && before !== 'tool')
      throw new RowFault('tool_without_call', 'a tool turn without a call before it')
    before = role
  }
  const last = turns.at(-1) as Message
  if (last.role !== 'assistant') throw new RowFault('last_not_assistant', "last turn is not the assistant's")
  if (last.content.trim() === '' && !last.tool_calls) throw new RowFault('empty', 'empty answer: nothing to train on')
  return turns
}

/** Prompt, chosen and rejected; where there is no prompt, the common turns at the start are it (F-32). */
function preferenceOf(value: Record<string, unknown>): Record<string, unknown> {
  const { prompt, chosen, rejected } = value
  if (typeof chosen === 'string' && typeof rejected === 'string') {
    if (prompt !== undefined && prompt !== null && typeof prompt !== 'string' && !Array.isArray(prompt))
      throw new RowFault('not_text', `prompt is ${say(prompt)}`)
    const ask = Array.isArray(prompt) ? turnsOf(prompt, 'prompt') : ((prompt as string | undefined) ?? '')
    return pair(ask, filled(value, 'chosen', 'chosen'), filled(value, 'rejected', 'rejected'))
  }
  const good = turnsOf(chosen, 'chosen', 'assistant')
  const bad = turnsOf(rejected, 'rejected', 'assistant')
  if (prompt !== undefined && prompt !== null) return pair(turnsOf(prompt, 'prompt', 'user'), good, bad)
  let common = 0
  while (common < good.length - 1 && common < bad.length - 1 && JSON.stringify(good[common]) === JSON.stringify(bad[common])) common++
  return pair(good.slice(0, common), good.slice(common), bad.slice(common))
}

function pair(prompt: unknown, chosen: unknown, rejected: unknown): Record<string, unknown> {
  if (JSON.stringify(chosen) === JSON.stringify(rejected)) throw new RowFault('same_answers', 'chosen and rejected are the same')
  return { prompt, chosen, rejected }
}

/** Puts the system prompt before a conversation that has none; prompt and completion become a conversation. */
function withSystem(shape: Record<string, unknown>, system: string): Record<string, unknown> {
  const first = { role: 'system', content: system }
  if (Array.isArray(shape.messages))
    return (shape.messages[0] as Message | undefined)?.role === 'system' ? shape : { ...shape, messages: [first, ...shape.messages] }
  if (typeof shape.prompt === 'string' && typeof shape.completion === 'string' && !('label' in shape))
    return { messages: [first, { role: 'user', content: shape.prompt }, { role: 'assistant', content: shape.completion }] }
  return shape
}

/** Ids of the source that occur more than once: harmless, and worth knowing. */
function repeatedIds(table: Table): Fault[] {
  if (!table.columns.includes('id')) return []
  const lines = new Map<string, (number | null)[]>()
  for (const row of table.rows) {
    const { id } = row.value
    if (typeof id === 'string' || typeof id === 'number') lines.set(String(id), [...(lines.get(String(id)) ?? []), row.line])
  }
  return [...lines]
    .filter(([, at]) => at.length > 1)
    .map(([id, at]) =>
      fault(at[0] ?? null, 'duplicate_id', `the id ${id} occurs ${at.length} times${at[0] === null ? '' : `, in lines ${at.join(', ')}`}`),
    )
}
