/** Entity scores of tag sequences, as seqeval computes them: `default` is lenient as conlleval was, `strict` is IOB2. */

export type Tagging = 'default' | 'strict'
export type EntityScore = { precision: number; recall: number; f1: number; support: number }
export type EntityScores = {
  precision: number
  recall: number
  f1: number
  f1Macro: number
  perType: Record<string, EntityScore>
  tokenAccuracy: number
}

type Entity = { type: string; start: number; end: number }

/** Entities of one sequence. Leniently an I- without its B- opens one; strictly it belongs to none. */
export function entitiesOf(tags: readonly string[], tagging: Tagging): Entity[] {
  const out: Entity[] = []
  let open: Entity | null = null
  const close = () => {
    if (open) out.push(open)
    open = null
  }
  for (const [i, tag] of [...tags, 'O'].entries()) {
    const [mark, type] = tag === 'O' ? ['O', ''] : [tag[0] as string, tag.slice(2) || '_']
    const current = open as Entity | null
    if (mark === 'I' && current && current.type === type) {
      current.end = i
      continue
    }
    close()
    if (mark === 'B' || (mark === 'I' && tagging === 'default')) open = { type, start: i, end: i }
  }
  return out
}

export function entityScores(
  gold: readonly (readonly string[])[],
  predicted: readonly (readonly string[])[],
  tagging: Tagging,
): EntityScores {
  const counts = new Map<string, { right: number; claimed: number; there: number }>()
  const of = (type: string) => {
    const found = counts.get(type) ?? { right: 0, claimed: 0, there: 0 }
    counts.set(type, found)
    return found
  }
  let tokens = 0
  let same = 0
  for (const [i, tags] of gold.entries()) {
    const guess = predicted[i] as readonly string[]
    for (const [j, tag] of tags.entries()) {
      tokens++
      if (guess[j] === tag) same++
    }
    const key = (e: Entity) => `${e.type}\u0001${e.start}\u0001${e.end}`
    const there = new Set(entitiesOf(tags, tagging).map(key))
    for (const e of entitiesOf(tags, tagging)) of(e.type).there++
    for (const e of entitiesOf(guess, tagging)) {
      of(e.type).claimed++
      if (there.has(key(e))) of(e.type).right++
    }
  }
  const score = (c: { right: number; claimed: number; there: number }): EntityScore => {
    const precision = c.claimed === 0 ? 0 : c.right / c.claimed
    const recall = c.there === 0 ? 0 : c.right / c.there
    return { precision, recall, f1: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall), support: c.there }
  }
  const all = { right: 0, claimed: 0, there: 0 }
  for (const c of counts.values()) {
    all.right += c.right
    all.claimed += c.claimed
    all.there += c.there
  }
  const perType = Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([type, c]) => [type, score(c)]))
  const list = Object.values(perType)
  const { precision, recall, f1 } = score(all)
  return {
    precision,
    recall,
    f1,
    f1Macro: list.length ? list.reduce((s, t) => s + t.f1, 0) / list.length : 0,
    perType,
    tokenAccuracy: tokens === 0 ? 0 : same / tokens,
  }
}
