/**
 * Which texts nearly repeat another one (SCI-78, SCI-79). Long texts by the Jaccard similarity of their 3-word shingles, short ones by word
 * edit distance. Candidates come from an exact index over rare shingles, and from MinHash bands where there are very many texts; the exact
 * similarity decides every candidate.
 */
import { bandKeys, MINHASH, signer } from './minhash'
import { Groups, hashWords, jaccard, shinglesOf, Vocabulary, withinOneWord } from './words'

export type NearOptions = {
  /** Jaccard similarity from which two texts are near duplicates. */
  threshold: number
  /** The same for texts under 60 words, where one changed word weighs more. */
  shortThreshold: number
  ngram: number
  /** Compare with kept texts only: a text that repeats another is no model for a third. For dropping; groups need them all. */
  leadersOnly?: boolean
  /** Pairs that are no repeats whatever their words; asked for pairs that are near enough. */
  alike?(i: number, j: number): boolean
  /** Short texts count only when their words are equal: one word makes another question. */
  shortEqual?: boolean
  /** Above so many texts candidates come from MinHash. */
  exactBelow?: number
}
export const NEAR: NearOptions = { threshold: 0.8, shortThreshold: 0.6, ngram: 3 }

/** Words under which a text is compared by edit distance, and under which the lower threshold holds. */
export const EDIT_BELOW = 14
const SHORT_BELOW = 60
/** Under so many words one changed word is another text: "yes" and "no". */
const EDIT_FROM = 4

export type NearDuplicates = {
  /** An earlier text that this one repeats, or −1. Equal texts first. */
  of: Int32Array
  /** 1 for equal words; 0 where `of` is −1. */
  similarity: Float64Array
  /** Index of the first text of the group that this one belongs to: itself where it is alone. */
  group: Int32Array
}

export function nearDuplicates(texts: readonly string[], options: NearOptions = NEAR): NearDuplicates {
  const n = texts.length
  const vocabulary = new Vocabulary()
  const words = texts.map((text) => vocabulary.encode(text))
  const of = new Int32Array(n).fill(-1)
  const similarity = new Float64Array(n)
  const groups = new Groups(n)
  const alike = options.alike ?? (() => true)
  const note = (i: number, j: number, s: number) => {
    groups.join(i, j)
    if (s <= (similarity[i] as number)) return
    of[i] = j
    similarity[i] = s
  }

  // Equal words first: what repeats word for word need not be compared with anything else.
  const seen = new Map<number, number[]>()
  const fresh: number[] = []
  for (let i = 0; i < n; i++) {
    const own = words[i] as Int32Array
    const key = hashWords(own, 0, own.length)
    const same = seen.get(key)
    const twin = same?.find((j) => equal(own, words[j] as Int32Array) && alike(i, j))
    // Texts without a word say nothing, and are twins of nothing.
    if (own.length === 0) continue
    if (twin !== undefined) note(i, twin, 1)
    else {
      if (same) same.push(i)
      else seen.set(key, [i])
      fresh.push(i)
    }
  }
  if (!options.shortEqual) {
    const short = fresh.filter((i) => lengthOf(words, i) < EDIT_BELOW)
    nearShort(short, words, groups, note, alike, options.leadersOnly ?? false)
  }
  const long = fresh.filter((i) => lengthOf(words, i) >= EDIT_BELOW)
  const shingles = new Map(long.map((i) => [i, shinglesOf(words[i] as Int32Array, options.ngram)]))
  const candidates = long.length >= (options.exactBelow ?? 20_000) ? byMinHash(shingles) : byRareShingles(shingles, words, options)
  for (const i of long) {
    const own = shingles.get(i) as Uint32Array
    for (const j of candidates.of(i)) {
      // Already in one group and already explained: nothing new to learn.
      if (of[i] !== -1 && (options.leadersOnly || groups.root(i) === groups.root(j))) continue
      const s = jaccard(own, shingles.get(j) as Uint32Array)
      const short = Math.min(lengthOf(words, i), lengthOf(words, j)) < SHORT_BELOW
      if (s >= (short ? options.shortThreshold : options.threshold) && alike(i, j)) note(i, j, s)
    }
    if (of[i] === -1 || !options.leadersOnly) candidates.add(i)
  }
  return { of, similarity, group: Int32Array.from({ length: n }, (_, i) => groups.root(i)) }
}

const lengthOf = (words: readonly Int32Array[], i: number) => (words[i] as Int32Array).length
const equal = (a: Int32Array, b: Int32Array) => a.length === b.length && a.every((w, i) => w === b[i])

/** Texts that one word makes equal share the text without that word: each is filed under itself and under itself less each word. */
function nearShort(
  rows: readonly number[],
  words: readonly Int32Array[],
  groups: Groups,
  note: (i: number, j: number, s: number) => void,
  alike: (i: number, j: number) => boolean,
  leadersOnly: boolean,
): void {
  const files = new Map<number, number[]>()
  for (const i of rows) {
    const own = words[i] as Int32Array
    if (own.length < EDIT_FROM) continue
    const keys = new Set([hashWords(own, 0, own.length)])
    for (let k = 0; k < own.length; k++) {
      const less = Int32Array.from(own.filter((_, at) => at !== k))
      keys.add(hashWords(less, 0, less.length))
    }
    let found = false
    for (const key of keys)
      for (const j of files.get(key) ?? []) {
        if (found && (leadersOnly || groups.root(i) === groups.root(j))) continue
        const other = words[j] as Int32Array
        if (!withinOneWord(own, other) || !alike(i, j)) continue
        note(i, j, 1 - 1 / Math.max(own.length, other.length))
        found = true
      }
    if (found && leadersOnly) continue
    for (const key of keys) {
      const file = files.get(key)
      if (file) file.push(i)
      else files.set(key, [i])
    }
  }
}

type Candidates = { of(i: number): Iterable<number>; add(i: number): void }

/**
 * Exact: of two sets with similarity t or more, the rarest |x| − ⌈t·|x|⌉ + 1 shingles of one meet those of the other (prefix filtering;
 * Chaudhuri et al. 2006). What all rows share, a template's sentences, is common and so never looked up.
 */
function byRareShingles(shingles: ReadonlyMap<number, Uint32Array>, words: readonly Int32Array[], options: NearOptions): Candidates {
  const count = new Map<number, number>()
  for (const set of shingles.values()) for (const s of set) count.set(s, (count.get(s) ?? 0) + 1)
  const prefixOf = (i: number): number[] => {
    const set = shingles.get(i) as Uint32Array
    // A text this long can only be like a short one from below 60 / t words; the lower threshold holds for that pair.
    const t = lengthOf(words, i) < SHORT_BELOW / options.shortThreshold + options.ngram ? options.shortThreshold : options.threshold
    return [...set]
      .sort((a, b) => (count.get(a) as number) - (count.get(b) as number) || a - b)
      .slice(0, set.length - Math.ceil(Math.min(t, options.threshold) * set.length) + 1)
  }
  const files = new Map<number, number[]>()
  const prefixes = new Map<number, number[]>()
  const prefix = (i: number) => {
    let found = prefixes.get(i)
    if (!found) {
      found = prefixOf(i)
      prefixes.set(i, found)
    }
    return found
  }
  return {
    of(i) {
      const own = shingles.get(i) as Uint32Array
      const found = new Set<number>()
      for (const s of prefix(i))
        for (const j of files.get(s) ?? []) {
          const other = (shingles.get(j) as Uint32Array).length
          if (Math.min(own.length, other) >= Math.min(options.shortThreshold, options.threshold) * Math.max(own.length, other)) found.add(j)
        }
      return found
    },
    add(i) {
      // A shingle that nobody else has leads nowhere.
      for (const s of prefix(i)) {
        if (count.get(s) === 1) continue
        const file = files.get(s)
        if (file) file.push(i)
        else files.set(s, [i])
      }
      prefixes.delete(i)
    },
  }
}

function byMinHash(shingles: ReadonlyMap<number, Uint32Array>): Candidates {
  const sign = signer()
  const files = new Map<number, number[]>()
  let last: { i: number; keys: number[] } | null = null
  const keysOf = (i: number): number[] => {
    if (last?.i !== i) last = { i, keys: bandKeys(sign(shingles.get(i) as Uint32Array), MINHASH.bands) }
    return last.keys
  }
  return {
    of(i) {
      const found = new Set<number>()
      for (const key of keysOf(i)) for (const j of files.get(key) ?? []) found.add(j)
      return found
    },
    add(i) {
      for (const key of keysOf(i)) {
        const file = files.get(key)
        if (file) file.push(i)
        else files.set(key, [i])
      }
    },
  }
}
