/** Rows on two sides of a split (SCI-80): word for word, nearly, contained in a longer one, or from the same group. */
import type { CanonicalRow } from '../rows'
import { EDIT_BELOW, NEAR, type NearOptions } from './near-duplicates'
import { askedOf, contentOf, hashWords, sharedCount, shinglesOf, Vocabulary, withinOneWord } from './words'

export type Leak = {
  /** Index of the held-out row, and of the row that gives it away. */
  row: number
  of: number
  kind: 'same_prompt' | 'near_duplicate' | 'contained' | 'group'
  /** Jaccard similarity, or the contained share. */
  similarity: number
}
export type LeakOptions = NearOptions & { containment: number; groupColumn?: string }
export const LEAK: LeakOptions = { ...NEAR, containment: 0.8 }

/** At most one leak for each held-out row: the strongest kind first. `known` are the rows that a model reads, `heldOut` those it is scored on. */
export function leaksBetween(heldOut: readonly CanonicalRow[], known: readonly CanonicalRow[], options: LeakOptions = LEAK): Leak[] {
  const vocabulary = new Vocabulary()
  const asked = known.map((row) => vocabulary.encode(askedOf(row)))
  const whole = known.map((row) => vocabulary.encode(contentOf(row)))
  const prompts = new Map<number, number>()
  const neighbours = new Map<number, number[]>()
  const shingles = asked.map((words) => shinglesOf(words, options.ngram))
  const count = new Map<number, number>()
  const files = new Map<number, number[]>()
  const file = (map: Map<number, number[]>, key: number, j: number) => {
    const list = map.get(key)
    if (list) list.push(j)
    else map.set(key, [j])
  }
  for (let j = known.length - 1; j >= 0; j--) {
    const words = asked[j] as Int32Array
    if (words.length > 0) prompts.set(hashWords(words, 0, words.length), j)
    if (words.length < EDIT_BELOW) for (const key of oneWordKeys(whole[j] as Int32Array)) file(neighbours, key, j)
    else
      for (const s of shingles[j] as Uint32Array) {
        count.set(s, (count.get(s) ?? 0) + 1)
        file(files, s, j)
      }
  }
  const groups = new Map<string, number>()
  const groupOf = (row: CanonicalRow): string | null => {
    if (!options.groupColumn) return null
    const value = row.columns?.[options.groupColumn] ?? row[options.groupColumn]
    return value === undefined || value === null || value === '' ? null : JSON.stringify(value)
  }
  for (const [j, row] of known.entries()) {
    const group = groupOf(row)
    if (group !== null && !groups.has(group)) groups.set(group, j)
  }

  const leakOf = (row: CanonicalRow, i: number): Leak | null => {
    const words = vocabulary.encode(askedOf(row))
    const same = words.length > 0 ? prompts.get(hashWords(words, 0, words.length)) : undefined
    if (same !== undefined && sameWords(words, asked[same] as Int32Array)) return { row: i, of: same, kind: 'same_prompt', similarity: 1 }
    if (words.length < EDIT_BELOW) {
      const content = vocabulary.encode(contentOf(row))
      for (const key of oneWordKeys(content))
        for (const j of neighbours.get(key) ?? [])
          if (withinOneWord(content, whole[j] as Int32Array))
            return { row: i, of: j, kind: 'near_duplicate', similarity: 1 - 1 / Math.max(1, content.length) }
    } else {
      const own = shinglesOf(words, options.ngram)
      const lowest = Math.min(options.shortThreshold, options.threshold, options.containment)
      // The rarest shingles: whatever shares enough with this row shares one of them (prefix filtering).
      const rare = [...own]
        .sort((a, b) => (count.get(a) ?? 0) - (count.get(b) ?? 0) || a - b)
        .slice(0, own.length - Math.ceil(lowest * own.length) + 1)
      let best: Leak | null = null
      for (const j of new Set(rare.flatMap((s) => files.get(s) ?? []))) {
        const other = shingles[j] as Uint32Array
        const shared = sharedCount(own, other)
        const similarity = shared / (own.length + other.length - shared)
        const threshold = Math.min(words.length, (asked[j] as Int32Array).length) < 60 ? options.shortThreshold : options.threshold
        if (similarity >= threshold && (best?.kind !== 'near_duplicate' || similarity > best.similarity))
          best = { row: i, of: j, kind: 'near_duplicate', similarity }
        else if (best === null && shared / own.length >= options.containment)
          best = { row: i, of: j, kind: 'contained', similarity: shared / own.length }
      }
      if (best) return best
    }
    const group = groupOf(row)
    const of = group === null ? undefined : groups.get(group)
    return of === undefined ? null : { row: i, of, kind: 'group', similarity: 0 }
  }
  return heldOut.flatMap((row, i) => leakOf(row, i) ?? [])
}

const sameWords = (a: Int32Array, b: Int32Array) => a.length === b.length && a.every((w, i) => w === b[i])

/** Keys that two texts share when one word makes them equal; none for texts of a word or three. */
function oneWordKeys(words: Int32Array): Set<number> {
  const keys = new Set<number>()
  if (words.length < 4 || words.length > 64) return keys
  keys.add(hashWords(words, 0, words.length))
  for (let k = 0; k < words.length; k++) {
    const less = words.filter((_, at) => at !== k)
    keys.add(hashWords(less, 0, less.length))
  }
  return keys
}
