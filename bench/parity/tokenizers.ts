/** tokenizers/: ids, offsets, decoding, chats and assistant masks of each folder. */

import * as fs from 'node:fs'
import * as path from 'node:path'
import { openModelSource } from '../../engine/formats/source'
import { ChatTemplate, maskOf } from '../../engine/tokenizer/chat'
import { Tokenizer, toCodePoints } from '../../engine/tokenizer/tokenizer'
import { type Context, exists, foldersIn, type Json, readJson, runCase } from './cases'

type Found = { tokenizer: Tokenizer; template: string | null } | { missing: string } | { unread: string }

/** The tokenizer of a case: its own files, or those inside the GGUF that it names. */
function openTokenizer(context: Context, folder: string, expected: Json): Found {
  const text = (name: string) => (exists(folder, name) ? fs.readFileSync(path.join(folder, name), 'utf8') : null)
  const own = text('tokenizer.json')
  if (own) {
    return {
      tokenizer: Tokenizer.fromTexts({
        tokenizer: own,
        config: text('tokenizer_config.json'),
        specialTokens: text('special_tokens_map.json'),
      }),
      template: text('chat_template.jinja'),
    }
  }
  const name = expected.source
  if (typeof name !== 'string') return { unread: 'there is no tokenizer.json, and no source file is named' }
  const file = [folder, ...context.modelFolders]
    .map((place) => path.join(place, path.basename(name)))
    .find((candidate) => fs.existsSync(candidate))
  if (!file) return { missing: `${name} is not here; node scripts/model-fetch.mjs brings it` }
  const source = openModelSource(file)
  try {
    return {
      tokenizer: Tokenizer.fromTexts({ tokenizer: source.text('tokenizer.json') as string, config: source.text('tokenizer_config.json') }),
      template: source.text('chat_template.jinja'),
    }
  } finally {
    source.close()
  }
}

export async function tokenizers(context: Context, topic: string): Promise<void> {
  for (const name of foldersIn(topic)) {
    const folder = path.join(topic, name)
    await runCase(context, folder, (at) => {
      const { report } = context
      if (!exists(folder, 'expected.json')) return report.fail(at, 'unread', 'the case has no expected.json')
      const expected = readJson(folder, 'expected.json')
      const found = openTokenizer(context, folder, expected)
      if ('missing' in found) return report.skip(at, found.missing)
      if ('unread' in found) return report.fail(at, 'unread', found.unread)
      const { tokenizer, template } = found
      const cases = expected.cases as Json[]
      const plain = (text: string) => tokenizer.encode(text, { addSpecialTokens: false })
      const checks: Record<string, (c: Json) => unknown> = {
        ids: (c) => tokenizer.encode(c.text).ids,
        ids_no_special: (c) => plain(c.text).ids,
        tokens: (c) => plain(c.text).tokens,
        offsets: (c) => toCodePoints(c.text, plain(c.text).offsets),
        offsets_utf16: (c) => plain(c.text).offsets,
        decode: (c) => tokenizer.decode(c.ids_no_special ?? c.ids),
        decode_skip_special: (c) => tokenizer.decode(c.ids, { skipSpecialTokens: true }),
      }
      for (const [key, get] of Object.entries(checks)) {
        const having = cases.filter((c) => key in c)
        if (having.length) {
          report.same(
            at,
            key,
            having.map(get),
            having.map((c) => c[key]),
          )
        }
      }
      for (const key of ['vocab_size', 'vocab_size_with_added']) if (key in expected) report.same(at, key, tokenizer.size, expected[key])
      const streams = (expected.stream ?? []) as Json[]
      if (streams.length) {
        report.same(
          at,
          'stream',
          streams.map((s) => s.ids.map((_: number, i: number) => tokenizer.decode(s.ids.slice(0, i + 1)))),
          streams.map((s) => s.prefix_decodes),
        )
      }
      for (const [key, token] of [
        ['bos', tokenizer.bosToken],
        ['eos', tokenizer.eosToken],
        ['pad', tokenizer.padToken],
        ['unk', tokenizer.unkToken],
      ] as const) {
        if (key in expected) report.same(at, key, token, expected[key])
      }
      if (expected.control_tokens)
        report.same(
          at,
          'control_tokens',
          Object.fromEntries(Object.keys(expected.control_tokens).map((token) => [token, tokenizer.idOf(token)])),
          expected.control_tokens,
        )
      if (expected.chats) checkChats(context, at, tokenizer, template, expected)
    })
  }
}

function checkChats(context: Context, at: string, tokenizer: Tokenizer, template: string | null, expected: Json): void {
  const { report } = context
  if (!template) {
    report.fail(at, 'chats', 'the tokenizer has no chat template')
    return
  }
  if (expected.chat_template) report.same(at, 'chat_template', template, expected.chat_template)
  const chat = new ChatTemplate(template, { bos_token: tokenizer.bosToken ?? '', eos_token: tokenizer.eosToken ?? '' })
  const special = [...tokenizer.specialIds].map((id) => tokenizer.tokenOf(id) as string)
  const rendered = (expected.chats as Json[]).map((c) => {
    const { text, spans } = chat.renderWithSpans(c.messages, special)
    const { ids, offsets } = tokenizer.encode(text)
    const prompt = chat.render(c.messages.slice(0, -1), { addGenerationPrompt: true })
    return {
      text,
      ids,
      assistant_mask: [...maskOf(offsets, spans).mask],
      assistant_char_spans: toCodePoints(text, spans),
      prompt_text: prompt,
      prompt_ids: tokenizer.encode(prompt).ids,
    }
  })
  for (const key of ['text', 'ids', 'assistant_mask', 'assistant_char_spans', 'prompt_text', 'prompt_ids'] as const) {
    const having = (expected.chats as Json[])
      .map((c, i) => ({ want: c[key], got: rendered[i]?.[key] }))
      .filter(({ want }) => want !== undefined)
    if (having.length) {
      report.same(
        at,
        `chats.${key}`,
        having.map(({ got }) => got),
        having.map(({ want }) => want),
      )
    }
  }
}
