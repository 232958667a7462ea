/** Word → tokens: BPE through the library's merge loop, Unigram and WordPiece here. A token is a piece of its word, in UTF-16 units. */
import { BPE } from '@huggingface/tokenizers'
import { EngineError } from '../errors'
import type { Json } from './pipeline'

/** `surface`: the token is named by its text, not by its entry in the vocabulary. */
export type Piece = { readonly id: number; readonly from: number; readonly to: number; readonly surface?: true }

export interface WordModel {
  readonly vocab: ReadonlyMap<string, number>
  tokenize(word: string): Piece[]
}

const encoder = new TextEncoder()
const byteToken = (byte: number) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`

/** Ids of a text's UTF-8 bytes as `<0xNN>` tokens; undefined when the vocabulary lacks one. */
function byteIds(text: string, vocab: ReadonlyMap<string, number>): number[] | undefined {
  const ids: number[] = []
  for (const byte of encoder.encode(text)) {
    const id = vocab.get(byteToken(byte))
    if (id === undefined) return undefined
    ids.push(id)
  }
  return ids
}

function vocabOf(config: Json): Map<string, number> {
  if (typeof config.vocab !== 'object' || config.vocab === null || Array.isArray(config.vocab))
    throw new EngineError('bad_file', 'the vocabulary is not an object', { where: 'tokenizer.json, model.vocab' })
  return new Map(Object.entries(config.vocab as Record<string, number>))
}

function bpe(config: Json): WordModel {
  for (const key of ['end_of_word_suffix', 'continuing_subword_prefix', 'dropout']) {
    if (config[key])
      throw new EngineError('unsupported', `a BPE tokenizer with ${key} is not built yet`, {
        where: 'tokenizer.json, model',
        got: String(config[key]),
      })
  }
  const vocab = vocabOf(config)
  const merger = new BPE(config as never)
  const unknown = typeof config.unk_token === 'string' ? vocab.get(config.unk_token) : undefined
  const whole = config.ignore_merges === true
  return {
    vocab,
    tokenize(word) {
      if (whole) {
        const id = vocab.get(word)
        if (id !== undefined) return [{ id, from: 0, to: word.length }]
      }
      const out: Piece[] = []
      let at = 0
      let fused = false
      for (const token of merger.bpe(word)) {
        const from = at
        at += token.length
        const id = vocab.get(token)
        if (id !== undefined) {
          out.push({ id, from, to: at })
          fused = false
          continue
        }
        const bytes = config.byte_fallback ? byteIds(token, vocab) : undefined
        if (bytes) {
          for (const byte of bytes) out.push({ id: byte, from, to: at })
          fused = false
        } else if (unknown !== undefined) {
          const last = out.at(-1)
          if (fused && last && config.fuse_unk) out[out.length - 1] = { id: unknown, from: last.from, to: at }
          else out.push({ id: unknown, from, to: at })
          fused = true
        }
      }
      return out
    },
  }
}

/** Best-scoring segmentation by dynamic programming over the word; ties keep the earlier start, as the reference does. */
function unigram(config: Json): WordModel {
  const entries = config.vocab as [string, number][]
  if (!Array.isArray(entries) || !entries.length)
    throw new EngineError('bad_file', 'the vocabulary is not a list', { where: 'tokenizer.json, model.vocab' })
  const vocab = new Map(entries.map(([token], id) => [token, id]))
  const scores = Float64Array.from(entries, ([, score]) => score)
  const unknown = typeof config.unk_id === 'number' ? config.unk_id : undefined
  const unknownScore = scores.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY) - 10
  let longest = 0
  for (const [token] of entries) longest = Math.max(longest, token.length)

  const segment = (word: string): { from: number; to: number; unknown: boolean }[] => {
    const size = word.length
    const best = new Float64Array(size + 1).fill(Number.NEGATIVE_INFINITY)
    const start = new Int32Array(size + 1).fill(-1)
    const isUnknown = new Uint8Array(size + 1)
    best[0] = 0
    for (let at = 0; at < size; ) {
      const step = (word.codePointAt(at) as number) > 0xffff ? 2 : 1
      const here = best[at] as number
      let single = false
      for (let to = at + 1; to <= Math.min(size, at + longest); to++) {
        const id = vocab.get(word.slice(at, to))
        if (id === undefined) continue
        const score = here + (scores[id] as number)
        if (start[to] === -1 || score > (best[to] as number)) {
          best[to] = score
          start[to] = at
          isUnknown[to] = id === unknown ? 1 : 0
        }
        if (to - at === step) single = true
      }
      if (!single) {
        const to = at + step
        const score = here + unknownScore
        if (start[to] === -1 || score > (best[to] as number)) {
          best[to] = score
          start[to] = at
          isUnknown[to] = 1
        }
      }
      at += step
    }
    const out: { from: number; to: number; unknown: boolean }[] = []
    for (let to = size; to > 0; to = start[to] as number) {
      const from = start[to] as number
      const next = out.at(-1)
      // Neighbouring unknown characters become one token.
      if (isUnknown[to] && next?.unknown) next.from = from
      else out.push({ from, to, unknown: isUnknown[to] === 1 })
    }
    return out.reverse()
  }

  return {
    vocab,
    tokenize(word) {
      return segment(word).flatMap(({ from, to }): Piece[] => {
        const token = word.slice(from, to)
        const id = vocab.get(token)
        if (id !== undefined) return [{ id, from, to }]
        const bytes = config.byte_fallback ? byteIds(token, vocab) : undefined
        if (bytes) return bytes.map((byte) => ({ id: byte, from, to }))
        if (unknown === undefined)
          throw new EngineError('bad_argument', 'the text holds a character that this tokenizer cannot represent', {
            got: JSON.stringify(token),
          })
        return [{ id: unknown, from, to, surface: true }]
      })
    },
  }
}

/** Longest match first; a word with any part missing is one unknown token. */
function wordPiece(config: Json): WordModel {
  const vocab = vocabOf(config)
  const prefix = String(config.continuing_subword_prefix ?? '##')
  const limit = Number(config.max_input_chars_per_word ?? 100)
  const unknown = vocab.get(String(config.unk_token ?? '[UNK]'))
  if (unknown === undefined)
    throw new EngineError('bad_file', 'the unknown token is not in the vocabulary', { where: 'tokenizer.json, model.unk_token' })
  return {
    vocab,
    tokenize(word) {
      const whole = [{ id: unknown, from: 0, to: word.length }]
      if ([...word].length > limit) return whole
      const out: Piece[] = []
      for (let from = 0; from < word.length; ) {
        let to = word.length
        let id: number | undefined
        for (; to > from; to--) {
          id = vocab.get((from ? prefix : '') + word.slice(from, to))
          if (id !== undefined) break
        }
        if (id === undefined) return whole
        out.push({ id, from, to })
        from = to
      }
      return out
    },
  }
}

export function makeWordModel(config: Json): WordModel {
  const type = config.type ?? (config.merges ? 'BPE' : undefined)
  if (type === 'BPE') return bpe(config)
  if (type === 'Unigram') return unigram(config)
  if (type === 'WordPiece') return wordPiece(config)
  throw new EngineError('unsupported', 'this kind of tokenizer is not built yet', {
    where: 'tokenizer.json, model.type',
    expected: 'BPE, Unigram or WordPiece',
    got: String(type),
  })
}
