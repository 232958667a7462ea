import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, it } from 'vitest'
import { encodeRow, encodeRows, promptOf, type Row, type RowEncoder } from '../../../engine/data/encode'
import { ChatTemplate } from '../../../engine/tokenizer/chat'
import { Tokenizer } from '../../../engine/tokenizer/tokenizer'

const reference = path.join(import.meta.dirname, '../../reference')
const read = (name: string) => fs.readFileSync(path.join(reference, 'tokenizers/bbpe-smollm', name), 'utf8')
const rendered = JSON.parse(fs.readFileSync(path.join(reference, 'data/rendered.json'), 'utf8'))
const tokenizer = Tokenizer.fromTexts({ tokenizer: read('tokenizer.json'), config: read('tokenizer_config.json') })
const template = new ChatTemplate(rendered.chat_template)
const encoder: RowEncoder = { tokenizer, template, trainOn: 'assistant' }

const messagesOf = (text: string) =>
  [...text.matchAll(/<\|im_start\|>(\w+)\n([\s\S]*?)<\|im_end\|>\n/g)].map((m) => ({ role: m[1] as string, content: m[2] as string }))
const got = (row: Row, e: RowEncoder = encoder) => {
  const { ids, mask } = encodeRow(e, row)
  return { ids: [...ids], mask: [...mask] }
}

describe('F-45, F-46: ids and masks of every shape equal the reference', () => {
  it('messages', () => {
    for (const r of rendered.messages_and_sharegpt) expect(got({ messages: messagesOf(r.text) })).toEqual({ ids: r.ids, mask: r.mask })
  })
  it('prompt and completion through the chat template', () => {
    for (const r of rendered['prompt-completion']) {
      const [prompt, completion] = messagesOf(r.text)
      expect(
        got({ prompt: prompt?.content as string, completion: completion?.content as string }, { ...encoder, trainOn: 'completion' }),
      ).toEqual({ ids: r.ids, mask: r.mask })
    }
  })
  it('text', () => {
    for (const r of rendered.text) expect(got({ text: r.text }, { ...encoder, trainOn: 'all' })).toEqual({ ids: r.ids, mask: r.mask })
  })
  it.each([
    ['newline', '\n'],
    ['space', ' '],
  ])('prompt and completion without a template, separated by a %s', (name, separator) => {
    rendered[`prompt-completion-plain-${name}`].forEach((r: { ids: number[]; mask: number[] }, i: number) => {
      const [prompt, completion] = messagesOf(rendered['prompt-completion'][i].text)
      const row = { prompt: prompt?.content as string, completion: completion?.content as string }
      expect(got(row, { tokenizer, template: null, trainOn: 'completion', separator })).toEqual({ ids: r.ids, mask: r.mask })
    })
  })
})

const chat: Row = {
  messages: [
    { role: 'user', content: 'one' },
    { role: 'assistant', content: 'two' },
    { role: 'user', content: 'three' },
    { role: 'assistant', content: 'four' },
  ],
}

describe('what trains', () => {
  const trained = (trainOn: RowEncoder['trainOn']) => {
    const { ids, mask } = encodeRow({ ...encoder, trainOn }, chat)
    return tokenizer.decode([...ids].filter((_, i) => mask[i]))
  }
  it('assistant, last turn, all', () => {
    expect(trained('assistant')).toBe('two<|im_end|>four<|im_end|>')
    expect(trained('last_turn')).toBe('four<|im_end|>')
    expect(trained('completion')).toBe('four<|im_end|>')
    expect(trained('all')).toContain('<|im_start|>user\none<|im_end|>')
  })
  it('the prompt ends where the answer begins', () => {
    const prompt = promptOf(encoder, chat)
    expect(prompt?.text.endsWith('three<|im_end|>\n<|im_start|>assistant\n')).toBe(true)
    const full = encodeRow({ ...encoder, trainOn: 'last_turn' }, chat)
    expect([...full.ids].slice(0, prompt?.ids.length)).toEqual(prompt?.ids)
    expect(promptOf(encoder, { text: 'x' })).toBeNull()
  })
  it('F-41: counts rows whose end trains', async () => {
    const set = await encodeRows(encoder, [chat, chat], { maxLength: 512 })
    expect([set.endTrained, set.rows.length]).toEqual([2, 2])
  })
})

describe('F-43, F-47: rows that do not fit or do not train', () => {
  const long: Row = { text: 'The lighthouse keeper kept a ledger of every ship that passed. '.repeat(10) }
  it('splits raw text into pieces that together hold every token', async () => {
    const whole = encodeRow({ ...encoder, trainOn: 'all' }, long)
    const set = await encodeRows({ ...encoder, trainOn: 'all' }, [long], { maxLength: 50 })
    expect(set.rows.flatMap((r) => [...r.ids])).toEqual([...whole.ids])
    expect([...set.source]).toEqual(set.rows.map(() => 0))
  })
  it('drops long chats, or cuts or refuses them when told', async () => {
    const big: Row = {
      messages: [
        { role: 'user', content: 'x '.repeat(200) },
        { role: 'assistant', content: 'y' },
      ],
    }
    expect((await encodeRows(encoder, [chat, big], { maxLength: 100 })).dropped).toEqual([1])
    await expect(encodeRows(encoder, [big], { maxLength: 100, excess: 'raise' })).rejects.toThrow(/row 1 is longer/)
    await expect(encodeRows(encoder, [chat, big], { maxLength: 100, excess: 'truncate_end' })).rejects.toThrow(
      /no token that trains.*row 2.*raise max_length/,
    )
    expect((await encodeRows(encoder, [big], { maxLength: 100, excess: 'truncate_start' })).rows[0]?.endTrained).toBe(true)
  })
  it('refuses a chat without an answer', async () => {
    await expect(encodeRows(encoder, [chat, { messages: [{ role: 'user', content: 'x' }] }], { maxLength: 100 })).rejects.toThrow(
      /1 of 2 rows have no token that trains.*row 2/,
    )
  })
  it('refuses a chat for a model without a template', () => {
    expect(() => encodeRow({ tokenizer, template: null, trainOn: 'assistant' }, chat)).toThrow(/no chat template/)
  })
})
