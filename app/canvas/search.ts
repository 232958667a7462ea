/** Search by every word in name, summary and tags (UX-27). Pure. */
import type { AnyNode } from '../../nodes/_kit/define-node'

const words = (text: string): string[] =>
  text
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean)

/** 0: some word of the query is nowhere; else higher the better. A hit at the start of the title counts most, one inside the summary least. */
export function matches(def: Pick<AnyNode, 'title' | 'summary' | 'tags' | 'type'>, query: string): number {
  const wanted = words(query)
  if (wanted.length === 0) return 1
  const title = words(def.title)
  const tags = (def.tags ?? []).flatMap(words)
  const summary = words(def.summary)
  let total = 0
  for (const word of wanted) {
    const score = title.some((w) => w.startsWith(word))
      ? 8
      : tags.some((w) => w.startsWith(word))
        ? 4
        : title.some((w) => w.includes(word))
          ? 3
          : summary.some((w) => w.startsWith(word))
            ? 2
            : [...tags, ...summary].some((w) => w.includes(word))
              ? 1
              : 0
    if (score === 0) return 0
    total += score
  }
  return total / wanted.length
}

/** Those of `items` in whose text every word of the query begins some word, in their own order: what was typed before has no say in it. */
export function byWords<T>(items: readonly T[], query: string, textOf: (item: T) => string): T[] {
  const wanted = words(query)
  return items.filter((item) => {
    const found = words(textOf(item))
    return wanted.every((word) => found.some((w) => w.startsWith(word)))
  })
}

/** For lists of commands: every word of the query must be somewhere; earlier is better. Shape of cmdk's `filter`. */
export function wordRank(text: string, query: string, keywords: readonly string[] = []): number {
  const hay = [text, ...keywords].join(' ').toLowerCase()
  const wanted = query.toLowerCase().split(/\s+/).filter(Boolean)
  return wanted.every((word) => hay.includes(word)) ? 1 / (1 + hay.indexOf(wanted[0] ?? '')) : 0
}
