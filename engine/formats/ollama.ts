/**
 * Modelfile for Ollama (F-52). Its TEMPLATE is Go syntax, not Jinja: the model's own template is rendered on a few conversations and compared
 * with the known ways of writing them; one that matches none gives no TEMPLATE, and the caller says so.
 */
import type { LoadedModel } from '../model'
import type { ChatTemplate } from '../tokenizer/chat'

type Message = { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }

type Dialect = {
  readonly name: string
  /** Text of one message. */
  message(message: Message): string
  /** What opens the answer. */
  readonly open: string
  /** The same in Go. */
  readonly go: string
}

const tagged = (name: string, before: string, between: string, after: string): Dialect => ({
  name,
  message: ({ role, content }) => `${before}${role}${between}${content}${after}`,
  open: `${before}assistant${between}`,
  go: `{{- range .Messages }}${before}{{ .Role }}${between}{{ .Content }}${after}{{ end }}${before}assistant${between}`,
})

const DIALECTS: readonly Dialect[] = [
  tagged('ChatML', '<|im_start|>', '\n', '<|im_end|>\n'),
  tagged('Llama 3', '<|start_header_id|>', '<|end_header_id|>\n\n', '<|eot_id|>'),
  tagged('Phi-3', '<|', '|>\n', '<|end|>\n'),
  tagged('Zephyr', '<|', '|>\n', '</s>\n'),
  {
    name: 'Gemma',
    message: ({ role, content }) => `<start_of_turn>${role === 'assistant' ? 'model' : role}\n${content}<end_of_turn>\n`,
    open: '<start_of_turn>model\n',
    go: '{{- range .Messages }}<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}user{{ end }}\n{{ .Content }}<end_of_turn>\n{{ end }}<start_of_turn>model\n',
  },
  {
    name: 'Mistral',
    message: ({ role, content }) => (role === 'assistant' ? ` ${content}</s>` : `[INST] ${content} [/INST]`),
    open: '',
    go: '{{- range .Messages }}{{ if eq .Role "assistant" }} {{ .Content }}</s>{{ else }}[INST] {{ .Content }} [/INST]{{ end }}{{ end }}',
  },
]

const PROBES: readonly (readonly Message[])[] = [
  [{ role: 'user', content: 'A first question.' }],
  [
    { role: 'user', content: 'A first question.' },
    { role: 'assistant', content: 'An answer.' },
    { role: 'user', content: 'And then?' },
  ],
]
const SYSTEM: readonly Message[] = [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: 'A first question.' },
]

const rendered = (template: ChatTemplate, messages: readonly Message[]): string | null => {
  try {
    return template.render([...messages], { addGenerationPrompt: true })
  } catch {
    return null
  }
}

/** The dialect of a template, and the system message that it writes where none is given. */
export function dialectOf(template: ChatTemplate, bos: string | null): { name: string; go: string; system: string | null } | null {
  const plain = (text: string) => (bos && text.startsWith(bos) ? text.slice(bos.length) : text)
  for (const dialect of DIALECTS) {
    const write = (messages: readonly Message[]) => messages.map(dialect.message).join('') + dialect.open
    const first = rendered(template, PROBES[0] as readonly Message[])
    if (first === null) continue
    const asked = write(PROBES[0] as readonly Message[])
    if (!plain(first).endsWith(asked)) continue
    const before = plain(first).slice(0, -asked.length)
    const [head, tail] = dialect.message({ role: 'system', content: '\0' }).split('\0') as [string, string]
    const ownSystem = before.length > head.length + tail.length && before.startsWith(head) && before.endsWith(tail)
    if (before && !ownSystem) continue
    if (PROBES.some((probe) => plain(rendered(template, probe) ?? '') !== before + write(probe))) continue
    // A template may refuse system messages; one that takes them must write them the same way.
    const told = rendered(template, SYSTEM)
    if (told !== null && plain(told) !== write(SYSTEM)) continue
    return { name: dialect.name, go: dialect.go, system: before ? before.slice(head.length, -tail.length || undefined) : null }
  }
  return null
}

const quoted = (text: string) => (text.includes('\n') || text.includes('"') ? `"""${text}"""` : `"${text}"`)

/** The file, and what it lacks: null where nothing does. `from` is the file beside it. */
export function modelfileOf(model: LoadedModel, from: string): { text: string; lacks: string | null } {
  const { template, tokenizer, stopIds } = model
  const dialect = template && dialectOf(template, tokenizer.bosToken)
  const stops = stopIds.map((id) => tokenizer.decode([id], { skipSpecialTokens: false })).filter((text) => text && !/["\n]/.test(text))
  const lines = [
    `FROM ./${from}`,
    ...(dialect ? [`TEMPLATE """${dialect.go}"""`] : []),
    ...(dialect?.system ? [`SYSTEM ${quoted(dialect.system)}`] : []),
    ...stops.map((stop) => `PARAMETER stop "${stop}"`),
    `PARAMETER num_ctx ${Math.min(model.model.config.contextLength, 8192)}`,
  ]
  return {
    text: `${lines.join('\n')}\n`,
    lacks:
      template && !dialect
        ? 'The chat template is none that Thaw can write in Ollama’s own syntax, so the Modelfile has no TEMPLATE: Ollama will guess one.'
        : null,
  }
}
