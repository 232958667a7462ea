/** Texts as words for comparing them (SCI-78): NFKC, lower case, punctuation removed. */
import { answerOf, type CanonicalRow, type Message, promptOf } from '../rows'

// Scripts that write no spaces: each character counts as a word, or a whole sentence would be one.
const WORD = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]|[\p{L}\p{N}\p{M}]+/gu

/** Words of a text: `Don't pay €5.` → `dont pay 5`. */
export const wordsOf = (text: string): string[] =>
  text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/['’`´]/g, '')
    .match(WORD) ?? []

/** The answer, or nothing for raw text, which has no answer apart from itself. */
export const targetOf = (row: CanonicalRow): string => ('text' in row && !('completion' in row) ? '' : answerOf(row))

const withoutSystem = (turns: unknown): Message[] =>
  Array.isArray(turns) ? (turns as Message[]).filter((m) => m.role !== 'system' && m.role !== 'developer') : []

/** What the model is asked, without the system prompt: all rows share that, so it would make unlike rows look alike. */
export function askedOf(row: CanonicalRow): string {
  if (!Array.isArray(row.messages)) return promptOf(row)
  const turns = withoutSystem(row.messages)
  const last = turns.findLastIndex((m) => m.role === 'assistant')
  return turns
    .slice(0, last < 0 ? turns.length : last)
    .map((m) => m.content)
    .join('\n')
}

/** Question and answer as one text, without the system prompt. */
export function contentOf(row: CanonicalRow): string {
  if (Array.isArray(row.messages))
    return withoutSystem(row.messages)
      .map((m) => m.content)
      .join('\n')
  const prompt = Array.isArray(row.prompt) ? askedOf({ id: row.id, messages: row.prompt }) : row.prompt
  const parts = [prompt, row.completion, row.chosen, row.rejected, row.text].filter((part) => part !== undefined)
  if (parts.length === 0) return promptOf(row)
  return parts.map((part) => (typeof part === 'string' ? part : JSON.stringify(part))).join('\n')
}

/** Words of many texts as small integers, the same for the same word: comparing them is comparing numbers. */
export class Vocabulary {
  readonly #ids = new Map<string, number>()

  encode(text: string): Int32Array {
    const words = wordsOf(text)
    const ids = new Int32Array(words.length)
    for (const [i, word] of words.entries()) {
      let id = this.#ids.get(word)
      if (id === undefined) {
        id = this.#ids.size
        this.#ids.set(word, id)
      }
      ids[i] = id
    }
    return ids
  }
}

/** Mixes a run of word numbers into 32 bits (murmur3's finaliser after each word). */
export function hashWords(words: Int32Array, from: number, to: number): number {
  let h = 0x9747b28c ^ (to - from)
  for (let i = from; i < to; i++) {
    h ^= Math.imul(words[i] as number, 0xcc9e2d51)
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h ^= h >>> 16
  }
  return h >>> 0
}

/** Distinct hashes of all runs of n words; of the whole text where it is shorter. Two of a few hundred collide once in 10^5 texts. */
export function shinglesOf(words: Int32Array, n: number): Uint32Array {
  const set = new Set<number>()
  if (words.length > 0 && words.length < n) set.add(hashWords(words, 0, words.length))
  for (let i = 0; i + n <= words.length; i++) set.add(hashWords(words, i, i + n))
  return Uint32Array.from(set).sort()
}

/** Size of the intersection of two sorted sets. */
export function sharedCount(a: Uint32Array, b: Uint32Array): number {
  let shared = 0
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const x = a[i] as number
    const y = b[j] as number
    if (x === y) {
      shared++
      i++
      j++
    } else if (x < y) i++
    else j++
  }
  return shared
}

export const jaccard = (a: Uint32Array, b: Uint32Array): number => {
  const shared = sharedCount(a, b)
  const union = a.length + b.length - shared
  return union === 0 ? 1 : shared / union
}

/** Whether one word changed, came in or fell out makes a into b; equal texts included. */
export function withinOneWord(a: Int32Array, b: Int32Array): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++
  return Math.max(a.length, b.length) - start - end <= 1
}

/** Disjoint sets with path halving. */
export class Groups {
  readonly #parent: Int32Array
  constructor(size: number) {
    this.#parent = Int32Array.from({ length: size }, (_, i) => i)
  }
  root(i: number): number {
    let r = i
    while (this.#parent[r] !== r) {
      this.#parent[r] = this.#parent[this.#parent[r] as number] as number
      r = this.#parent[r] as number
    }
    return r
  }
  /** Joins under the earlier root, so that a group's root is its first row. */
  join(i: number, j: number): void {
    const a = this.root(i)
    const b = this.root(j)
    if (a < b) this.#parent[b] = a
    else this.#parent[a] = b
  }
}
