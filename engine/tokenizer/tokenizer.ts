/**
 * A Hugging Face tokenizer: text → ids with offsets, ids → text. Ids, offsets and decoded text equal the reference library's (E-10).
 * The library `@huggingface/tokenizers` does the merging and translates patterns; the stages around it are ours because it keeps no
 * offsets and fails some cases (fixtures NOTES 18).
 */
import { EngineError } from '../errors'
import { Aligned } from './aligned'
import { makeDecoder } from './decode'
import { makeWordModel, type WordModel } from './models'
import { BYTE_TO_CHAR, type Json, makeNormalizer, makePreTokenizer, type Normalizer, type PreTokenizer } from './pipeline'

type AddedToken = {
  id: number
  content: string
  single_word: boolean
  lstrip: boolean
  rstrip: boolean
  normalized: boolean
  special: boolean
}
/** One step of the post-processor: a special token's ids, or the text itself. */
type TemplatePart = { ids: readonly number[] } | 'text'

export type Encoding = {
  ids: number[]
  /** [start, end) of each token in UTF-16 units of the text: what `slice` takes. Special tokens that were added have [0, 0]. */
  offsets: [number, number][]
  /** As the reference names them: an added token that takes the spaces beside it along is named with them. */
  tokens: string[]
}

export type EncodeOptions = {
  /** Adds what the post-processor adds, such as BOS. Default true, as in the reference. */
  addSpecialTokens?: boolean
}

/** Words seen lately with their tokens: text repeats its words, and a merge costs more than a look-up. */
const WORD_CACHE_SIZE = 50_000

export class Tokenizer {
  readonly bosToken: string | null
  readonly eosToken: string | null
  readonly padToken: string | null
  readonly unkToken: string | null
  /** Highest id + 1. The model's embedding may have more rows (F-15). */
  readonly size: number
  /** Ids that `skipSpecialTokens` leaves out. */
  readonly specialIds: ReadonlySet<number>
  readonly #added: readonly AddedToken[]
  readonly #addedIds: ReadonlySet<number>
  readonly #model: WordModel
  readonly #normalize: Normalizer
  readonly #preTokenize: PreTokenizer
  readonly #decode: (tokens: string[]) => string[]
  readonly #template: readonly TemplatePart[]
  readonly #trimOffsets: false | 'spaces' | 'prefix'
  readonly #tokens: (string | undefined)[]
  readonly #ids: Map<string, number>
  readonly #raw: RegExp | null
  readonly #normalized: RegExp | null
  readonly #byContent = new Map<string, AddedToken>()
  readonly #cache = new Map<string, ReturnType<WordModel['tokenize']>>()

  /** `tokenizer` is tokenizer.json, `config` tokenizer_config.json (special tokens and flags), both parsed. */
  constructor(tokenizer: Json, config: Json = {}) {
    if (typeof tokenizer.model !== 'object' || tokenizer.model === null)
      throw new EngineError('bad_file', 'the tokenizer has no model', { where: 'tokenizer.json' })
    this.#model = makeWordModel(tokenizer.model as Json)
    this.#added = ((tokenizer.added_tokens ?? []) as AddedToken[]).filter((token) => token.content)
    this.#addedIds = new Set(this.#added.map((token) => token.id))
    this.#normalize = makeNormalizer(tokenizer.normalizer as Json | null)
    this.#preTokenize = makePreTokenizer(tokenizer.pre_tokenizer as Json | null)
    this.#decode = makeDecoder(tokenizer.decoder as Json | null)

    this.#ids = new Map(this.#model.vocab)
    this.#tokens = []
    for (const [token, id] of this.#model.vocab) this.#tokens[id] = token
    for (const { id, content } of this.#added) {
      this.#ids.set(content, id)
      this.#tokens[id] = content
    }
    this.size = this.#tokens.length
    this.specialIds = new Set(this.#added.filter((t) => t.special).map((t) => t.id))

    for (const token of this.#added)
      this.#byContent.set(token.normalized ? this.#normalize(Aligned.plain(token.content, 0)).text : token.content, token)
    this.#raw = this.#finder((token) => !token.normalized)
    this.#normalized = this.#finder((token) => token.normalized)
    const { parts, trim } = this.#postProcessor(tokenizer.post_processor as Json | null)
    this.#template = parts
    this.#trimOffsets = trim

    const named = (key: string): string | null => {
      const value = config[key]
      const content = typeof value === 'object' && value !== null ? (value as { content?: unknown }).content : value
      return typeof content === 'string' ? content : null
    }
    this.bosToken = named('bos_token')
    this.eosToken = named('eos_token')
    this.padToken = named('pad_token')
    this.unkToken = named('unk_token')
  }

  /** From the texts of the two files. `tokenizer_config.json` may be missing; special tokens then come from special_tokens_map.json. */
  static fromTexts(texts: { tokenizer: string; config?: string | null; specialTokens?: string | null }): Tokenizer {
    const parse = (text: string | null | undefined, where: string): Json => {
      if (!text) return {}
      try {
        return JSON.parse(text) as Json
      } catch (cause) {
        throw new EngineError('bad_file', 'the file is not JSON', { where, cause })
      }
    }
    return new Tokenizer(parse(texts.tokenizer, 'tokenizer.json'), {
      ...parse(texts.specialTokens, 'special_tokens_map.json'),
      ...parse(texts.config, 'tokenizer_config.json'),
    })
  }

  /** One pattern for all added tokens of a kind, longest first: alternation takes the first that fits. */
  #finder(wanted: (token: AddedToken) => boolean): RegExp | null {
    const contents = [...this.#byContent].filter(([content, token]) => content && wanted(token)).map(([content]) => content)
    if (!contents.length) return null
    return new RegExp(
      contents
        .sort((a, b) => b.length - a.length)
        .map((content) => content.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'))
        .join('|'),
      'gu',
    )
  }

  #postProcessor(config: Json | null): { parts: TemplatePart[]; trim: false | 'spaces' | 'prefix' } {
    const none = { parts: ['text' as const], trim: false as const }
    if (!config) return none
    const special = (pair: unknown): TemplatePart => ({ ids: [(pair as [string, number])[1]] })
    const trims = (c: Json) => (c.trim_offsets ? (c.add_prefix_space ? ('prefix' as const) : ('spaces' as const)) : (false as const))
    switch (config.type) {
      case 'ByteLevel':
        return { parts: ['text'], trim: trims(config) }
      case 'TemplateProcessing': {
        const tokens = (config.special_tokens ?? {}) as Record<string, { ids: number[] }>
        const parts = ((config.single ?? []) as Record<string, { id: string }>[]).map((part): TemplatePart => {
          if (part.Sequence) return 'text'
          const entry = tokens[part.SpecialToken?.id ?? '']
          if (!entry)
            throw new EngineError('bad_file', 'the template names a special token that it does not define', {
              where: 'tokenizer.json, post_processor',
            })
          return { ids: entry.ids }
        })
        return { parts, trim: false }
      }
      case 'BertProcessing':
        return { parts: [special(config.cls), 'text', special(config.sep)], trim: false }
      case 'RobertaProcessing':
        return { parts: [special(config.cls), 'text', special(config.sep)], trim: trims(config) }
      case 'Sequence':
        return ((config.processors ?? []) as Json[]).reduce<{ parts: TemplatePart[]; trim: false | 'spaces' | 'prefix' }>(
          (all, processor) => {
            const next = this.#postProcessor(processor)
            return { parts: next.parts.flatMap((part) => (part === 'text' ? all.parts : [part])), trim: next.trim || all.trim }
          },
          none,
        )
      default:
        throw new EngineError('unsupported', 'this tokenizer uses a post-processor that is not built yet', {
          where: 'tokenizer.json, post_processor',
          got: String(config.type),
        })
    }
  }

  /** Cuts a piece at its added tokens. Matches may take the spaces beside them along, or need word borders. */
  *#cut(piece: Aligned, finder: RegExp | null): Generator<Aligned | { token: AddedToken; piece: Aligned }> {
    const { text } = piece
    let last = 0
    for (const match of finder ? text.matchAll(finder) : []) {
      const token = this.#byContent.get(match[0]) as AddedToken
      let from = match.index
      let to = from + match[0].length
      if (from < last) continue
      if (
        token.single_word &&
        (/[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]$/u.test(text.slice(0, from)) || /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u.test(text.slice(to)))
      )
        continue
      if (token.lstrip) from = Math.max(last, from - (text.slice(0, from).match(/\p{White_Space}*$/u)?.[0].length ?? 0))
      if (token.rstrip) to += text.slice(to).match(/^\p{White_Space}*/u)?.[0].length ?? 0
      if (from > last) yield piece.slice(last, from)
      yield { token, piece: piece.slice(from, to) }
      last = to
    }
    if (last < text.length) yield piece.slice(last, text.length)
  }

  #words(word: Aligned): ReturnType<WordModel['tokenize']> {
    let pieces = this.#cache.get(word.text)
    if (!pieces) {
      pieces = this.#model.tokenize(word.text)
      if (this.#cache.size >= WORD_CACHE_SIZE) this.#cache.clear()
      this.#cache.set(word.text, pieces)
    }
    return pieces
  }

  encode(text: string, { addSpecialTokens = true }: EncodeOptions = {}): Encoding {
    const ids: number[] = []
    const offsets: [number, number][] = []
    const tokens: string[] = []
    for (const outer of this.#cut(Aligned.plain(text, 0), this.#raw)) {
      for (const inner of outer instanceof Aligned ? this.#cut(this.#normalize(outer), this.#normalized) : [outer]) {
        if (!(inner instanceof Aligned)) {
          ids.push(inner.token.id)
          offsets.push(inner.piece.range(0, inner.piece.text.length))
          tokens.push(inner.piece.text)
          continue
        }
        for (const word of this.#preTokenize([inner])) {
          if (!word.text) continue
          for (const { id, from, to, surface } of this.#words(word)) {
            ids.push(id)
            tokens.push(surface ? word.text.slice(from, to) : (this.#tokens[id] as string))
            offsets.push(word.range(from, to))
          }
        }
      }
    }
    if (this.#trimOffsets) for (const [i, token] of tokens.entries()) this.#trim(text, token, offsets[i] as [number, number], i === 0)
    if (!addSpecialTokens || (this.#template.length === 1 && this.#template[0] === 'text')) return { ids, offsets, tokens }
    const out: Encoding = { ids: [], offsets: [], tokens: [] }
    for (const part of this.#template) {
      if (part === 'text') {
        for (const id of ids) out.ids.push(id)
        for (const offset of offsets) out.offsets.push(offset)
        for (const token of tokens) out.tokens.push(token)
      } else {
        out.ids.push(...part.ids)
        out.offsets.push(...part.ids.map((): [number, number] => [0, 0]))
        out.tokens.push(...part.ids.map((id) => this.#tokens[id] ?? ''))
      }
    }
    return out
  }

  /**
   * Takes the spaces at the ends of a token out of its range. As in the reference, the range shrinks by as many characters of the text as
   * the token has spaces, whether or not these stand in the text; a single space before the first word may be one that was put there.
   */
  #trim(text: string, token: string, range: [number, number], first: boolean): void {
    const space = BYTE_TO_CHAR[32] as string
    const blank = (c: string | undefined) => c !== undefined && (c === space || /\p{White_Space}/u.test(c))
    let leading = 0
    while (blank(token[leading])) leading++
    let trailing = 0
    while (blank(token[token.length - 1 - trailing])) trailing++
    if (leading === 1 && this.#trimOffsets === 'prefix' && (first || range[0] === 0)) leading = 0
    const half = (at: number) => /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(at - 1, at + 1))
    while (leading-- > 0 && range[0] < range[1]) range[0] += half(range[0] + 1) ? 2 : 1
    while (trailing-- > 0 && range[1] > range[0]) range[1] -= half(range[1] - 1) ? 2 : 1
  }

  /** Text of ids; ids outside the vocabulary are skipped. */
  decode(ids: readonly number[], { skipSpecialTokens = false } = {}): string {
    const tokens: string[] = []
    for (const id of ids) {
      const token = this.#tokens[id]
      if (token !== undefined && !(skipSpecialTokens && this.specialIds.has(id))) tokens.push(token)
    }
    return this.#decode(tokens).join('')
  }

  /** Decodes token by token: `push` gives the text that has become certain, `end` the rest. Joined they equal `decode` of all. */
  stream(options: { skipSpecialTokens?: boolean } = {}): { push(id: number): string; end(): string } {
    const ids: number[] = []
    // Text is decoded from `from`, a little before the fresh tokens: leading-space rules of SentencePiece need a token in front.
    let from = 0
    let read = 0
    const fresh = (): string => {
      const before = this.decode(ids.slice(from, read), options)
      const text = this.decode(ids.slice(from), options)
      return text.startsWith(before) ? text.slice(before.length) : ''
    }
    return {
      push: (id) => {
        ids.push(id)
        const text = fresh()
        // An unfinished character shows as U+FFFD at the end; it is held back until its bytes are complete.
        if (!text || text.endsWith('\ufffd')) return ''
        from = read
        read = ids.length
        return text
      },
      end: fresh,
    }
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token)
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id]
  }

  /** Whether an id is a token found in raw text before anything else, such as `<|im_end|>`. */
  isAdded(id: number): boolean {
    return this.#addedIds.has(id)
  }

  /** Ends a document that is not a chat: `<|endoftext|>` where there is one, else EOS. */
  get documentEnd(): number | undefined {
    return this.idOf('<|endoftext|>') ?? (this.eosToken === null ? undefined : this.idOf(this.eosToken))
  }
}

/** UTF-16 offsets → code points, as the reference counts them. */
export function toCodePoints(text: string, offsets: readonly (readonly [number, number])[]): [number, number][] {
  const before = new Int32Array(text.length + 1)
  let count = 0
  for (let i = 0; i < text.length; i++) {
    before[i] = count
    const code = text.charCodeAt(i)
    const next = text.charCodeAt(i + 1)
    if (code >= 0xd800 && code < 0xdc00 && next >= 0xdc00 && next < 0xe000) before[++i] = count
    count++
  }
  before[text.length] = count
  return offsets.map(([from, to]) => [before[from] as number, before[to] as number])
}
