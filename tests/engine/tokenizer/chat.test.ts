import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelSource } from '../../../engine/formats/source'
import { type ChatMessage, ChatTemplate, maskOf } from '../../../engine/tokenizer/chat'
import { Tokenizer, toCodePoints } from '../../../engine/tokenizer/tokenizer'

const reference = path.join(import.meta.dirname, '../../reference')
const rendered = JSON.parse(fs.readFileSync(path.join(reference, 'data/rendered.json'), 'utf8'))
const read = (name: string) => fs.readFileSync(path.join(reference, 'tokenizers/bbpe-smollm', name), 'utf8')
const tokenizer = Tokenizer.fromTexts({ tokenizer: read('tokenizer.json'), config: read('tokenizer_config.json') })
const special = [...tokenizer.specialIds].map((id) => tokenizer.tokenOf(id) as string)

/** Messages back from ChatML text: the fixture gives the rendered form only. */
const messagesOf = (text: string): ChatMessage[] =>
  [...text.matchAll(/<\|im_start\|>(\w+)\n([\s\S]*?)<\|im_end\|>\n/g)].map((m) => ({ role: m[1] as string, content: m[2] as string }))

const CHATML =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"

describe('F-37, F-39: text, ids and assistant masks equal the reference', () => {
  const rows: { text: string; ids: number[]; mask: number[]; trained_char_spans: [number, number][] }[] = [
    ...rendered.alpaca,
    ...rendered.messages_and_sharegpt,
  ]
  it.each([
    ['by generation marks', rendered.chat_template],
    ['by the prefix property', CHATML],
  ])('%s', (_, source) => {
    const template = new ChatTemplate(source as string)
    expect(rows.length).toBeGreaterThan(15)
    for (const row of rows) {
      const { text, spans } = template.renderWithSpans(messagesOf(row.text), special)
      expect(text).toBe(row.text)
      expect(toCodePoints(text, spans)).toEqual(row.trained_char_spans)
      const { ids, offsets } = tokenizer.encode(text)
      expect(ids).toEqual(row.ids)
      expect([...maskOf(offsets, spans).mask]).toEqual(row.mask)
    }
  })

  const gguf = path.join(process.env.THAW_CACHE ?? path.join(os.homedir(), '.cache/thaw'), 'models/SmolLM2-135M-Instruct.Q4_1.gguf')
  it.skipIf(!fs.existsSync(gguf))('the tokenizer and template inside the real SmolLM2 file', () => {
    const expected = JSON.parse(fs.readFileSync(path.join(reference, 'tokenizers/smollm2-real/expected.json'), 'utf8'))
    const source = openModelSource(gguf)
    const real = Tokenizer.fromTexts({ tokenizer: source.text('tokenizer.json') as string, config: source.text('tokenizer_config.json') })
    for (const c of expected.cases) expect(real.encode(c.text).ids, c.text).toEqual(c.ids)
    const template = new ChatTemplate(source.text('chat_template.jinja') as string)
    for (const chat of expected.chats) {
      const { text, spans } = template.renderWithSpans(chat.messages, special)
      expect(text).toBe(chat.text)
      const { ids, offsets } = real.encode(text)
      expect(ids).toEqual(chat.ids)
      expect([...maskOf(offsets, spans).mask]).toEqual(chat.assistant_mask)
      expect(template.render(chat.messages.slice(0, -1), { addGenerationPrompt: true })).toBe(chat.prompt_text)
    }
    source.close()
  })
})

describe('F-38, F-45: what cannot be masked is said', () => {
  it('a template that drops earlier reasoning is refused with the way out', () => {
    const source =
      '{% for m in messages %}{% if loop.last %}[{{ m.role }}:{{ m.content }}]{% else %}[{{ m.role }}]{% endif %}{% endfor %}{% if add_generation_prompt %}[assistant:{% endif %}'
    const chat: ChatMessage[] = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
      { role: 'user', content: 'c' },
      { role: 'assistant', content: 'd' },
    ]
    expect(() => new ChatTemplate(source).renderWithSpans(chat, [])).toThrow(/last_turn/)
  })

  it('a token across the border counts as prompt and is counted', () => {
    const { mask, straddling } = maskOf(
      [
        [0, 2],
        [2, 5],
        [5, 6],
        [0, 0],
      ],
      [[3, 6]],
    )
    expect([...mask]).toEqual([0, 0, 1, 0])
    expect(straddling).toBe(1)
  })
})

describe('F-36: templates are untrusted', () => {
  it.each([
    ['no way to constructors', "{{ messages.constructor.constructor('return process')() }}"],
    ['no way to prototypes', "{{ ''.__proto__.constructor }}"],
    ['unknown syntax', '{% import "x" as y %}'],
  ])('%s', (_, source) => {
    let out = ''
    try {
      out = new ChatTemplate(source).render([{ role: 'user', content: 'x' }])
    } catch (error) {
      expect(['bad_argument', 'unsupported']).toContain((error as { code?: string }).code)
    }
    expect(out).not.toMatch(/function|process|object/i)
  })

  it('raise_exception reaches the caller with its words', () => {
    expect(() => new ChatTemplate("{{ raise_exception('roles must alternate') }}").render([])).toThrow(/roles must alternate/)
  })
})
