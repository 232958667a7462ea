/** Tokenizer and chat template of a model as `tokenizer.*` keys of a GGUF file (F-26). An unknown tokenizer is refused, not guessed. */
import { EngineError } from '../errors'
import type { LoadedModel } from '../model'
import type { GgufEntry } from './gguf'
import { preTokenizerName } from './gguf-pre'
import { ggufCount, ggufFlag, ggufList, ggufText } from './gguf-write'

const TYPE = { normal: 1, unknown: 2, control: 3, user: 4, unused: 5, byte: 6 } as const

type Json = Readonly<Record<string, unknown>>
type Added = { id: number; content: string; special: boolean }

const refused = (what: string, got: unknown): never => {
  throw new EngineError('unsupported', `GGUF has no name for this tokenizer: ${what}`, {
    where: 'tokenizer.json',
    got: (JSON.stringify(got) ?? 'nothing').slice(0, 300),
    expected: 'byte-level BPE as in GPT-2, SmolLM2, Llama 3 or Qwen2, or SentencePiece BPE',
    fix: 'export the Hugging Face folder instead',
  })
}

/** Merge of two pieces, in either spelling of the file. */
const pairOf = (merge: unknown): [string, string] => {
  if (Array.isArray(merge)) return [String(merge[0]), String(merge[1])]
  const text = String(merge)
  const at = text.indexOf(' ', 1)
  return [text.slice(0, at), text.slice(at + 1)]
}

/** All steps of a normalizer or pre-tokenizer, sequences opened up. */
const steps = (value: unknown, list: string): Json[] => {
  if (typeof value !== 'object' || value === null) return []
  const { type } = value as Json
  return type === 'Sequence' ? ((value as Json)[list] as unknown[]).flatMap((one) => steps(one, list)) : [value as Json]
}

/** Whether SentencePiece puts a space before text; refuses what is not SentencePiece. */
function spacePrefix(tokenizer: Json): boolean {
  let prefix = false
  for (const step of steps(tokenizer.normalizer, 'normalizers')) {
    if (step.type === 'Prepend' && step.prepend === '\u2581') prefix = true
    else if (!(step.type === 'Replace' && (step.pattern as Json)?.String === ' ' && step.content === '\u2581'))
      refused('its normalizer', step)
  }
  for (const step of steps(tokenizer.pre_tokenizer, 'pretokenizers')) {
    if (step.type === 'Metaspace' && step.split === false) prefix = step.prepend_scheme !== 'never'
    // After the normalizer no space is left to split at.
    else if (!(step.type === 'Split' && (step.pattern as Json)?.String === ' ')) refused('its pre-tokenizer', step)
  }
  return prefix
}

/**
 * The keys. `rows` is the number of rows of the embedding: readers want one token for each, so what is beyond the vocabulary gets a name
 * and the type “unused” (F-15).
 */
export function vocabularyOf(model: LoadedModel, rows: number): Map<string, GgufEntry> {
  const tokenizer = JSON.parse(model.source.text('tokenizer.json') as string) as Json
  const bpe = tokenizer.model as Json
  if (bpe.type !== 'BPE') refused('its model', bpe.type)
  const sentencePiece = bpe.byte_fallback === true
  const pre = sentencePiece ? 'default' : (preTokenizerName(tokenizer) ?? refused('its pre-tokenizer', tokenizer.pre_tokenizer))
  const added = new Map(((tokenizer.added_tokens ?? []) as Added[]).map((token) => [token.id, token]))
  const tokens: string[] = []
  for (const [text, id] of Object.entries(bpe.vocab as Record<string, number>)) tokens[id] = text
  for (const { id, content } of added.values()) tokens[id] = content
  const types = Array.from({ length: rows }, (_, id): number => {
    const own = added.get(id)
    if (tokens[id] === undefined) return TYPE.unused
    if (own) return own.content === bpe.unk_token ? TYPE.unknown : own.special ? TYPE.control : TYPE.user
    return sentencePiece && /^<0x[0-9A-F]{2}>$/.test(tokens[id]) ? TYPE.byte : TYPE.normal
  })
  const names = Array.from({ length: rows }, (_, id) => tokens[id] ?? `[PAD${id}]`)

  const out = new Map<string, GgufEntry>()
  const put = (key: string, entry: GgufEntry) => out.set(`tokenizer.${key}`, entry)
  const merges = (bpe.merges as unknown[]).map(pairOf)
  put('ggml.model', ggufText(sentencePiece ? 'llama' : 'gpt2'))
  put('ggml.pre', ggufText(pre))
  put('ggml.tokens', ggufList('STRING', names))
  put('ggml.token_type', ggufList('INT32', types))
  if (sentencePiece) {
    put('ggml.scores', ggufList('FLOAT32', scoresOf(names, types, merges)))
    put('ggml.add_space_prefix', ggufFlag(spacePrefix(tokenizer)))
  } else
    put(
      'ggml.merges',
      ggufList(
        'STRING',
        merges.map(([a, b]) => `${a} ${b}`),
      ),
    )

  const { tokenizer: made, stopIds } = model
  const idOf = (token: string | null) => (token === null ? undefined : made.idOf(token))
  const bos = idOf(made.bosToken)
  const own = idOf(made.eosToken)
  // The first stop token that the tokenizer itself ends with is EOS; a further one ends a turn, a third a message.
  const stops = own !== undefined && stopIds.includes(own) ? [own, ...stopIds.filter((id) => id !== own)] : [...stopIds]
  const special: readonly (readonly [string, number | undefined])[] = [
    ['ggml.bos_token_id', bos],
    ['ggml.eos_token_id', stops[0] ?? own],
    ['ggml.eot_token_id', stops[1]],
    ['ggml.eom_token_id', stops[2]],
    ['ggml.unknown_token_id', idOf(made.unkToken)],
    ['ggml.padding_token_id', idOf(made.padToken)],
  ]
  for (const [key, id] of special) if (id !== undefined) put(key, ggufCount(id))
  const framed = made.encode('a').ids
  const plain = made.encode('a', { addSpecialTokens: false }).ids
  const addsBos = framed.length > plain.length && framed[0] === bos
  // Written out: readers differ in what they assume (formats.md section 4).
  put('ggml.add_bos_token', ggufFlag(addsBos))
  put('ggml.add_eos_token', ggufFlag(framed.length > plain.length + (addsBos ? 1 : 0)))
  const template = model.source.text('chat_template.jinja')
  if (template) put('chat_template', ggufText(template))
  return out
}

/** SentencePiece scores that give the same merges: the earlier a piece is merged, the higher it scores. */
function scoresOf(names: readonly string[], types: readonly number[], merges: readonly [string, string][]): number[] {
  const rank = new Map<string, number>()
  for (const [a, b] of merges) if (!rank.has(a + b)) rank.set(a + b, -rank.size)
  return names.map((name, id) => (types[id] === TYPE.normal ? (rank.get(name) ?? -rank.size - id) : 0))
}
