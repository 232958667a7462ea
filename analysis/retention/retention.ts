/** From the losses of two models on the same text to what was forgotten (SCI-61…64). */
import { bootstrap, type Interval } from '../metrics/bootstrap'
import { shinglesOf, Vocabulary } from '../quality/words'

/** One document: its bytes, and sums over its trained tokens in nats. */
export type DocumentScore = { bytes: number; tokens: number; base: number; tuned: number; divergence: number; agreed: number }
export type Retention = {
  /** Bits a byte of text costs each model. */
  base: number
  tuned: number
  /** tuned − base: the knowledge cost, with its interval over documents. */
  cost: Interval
  /** KL(base‖tuned) per token, nats. */
  divergence: Interval
  /** Share of tokens for which both models prefer the same one. */
  agreement: number
  tokens: number
  bytes: number
}

/**
 * Ratios of sums: long documents count as much as they hold. The intervals resample documents and take the ratio anew (a linearised ratio,
 * exact at the point estimate). Documents without tokens are left out.
 */
export function retentionOf(documents: readonly DocumentScore[]): Retention {
  const used = documents.filter((d) => d.tokens > 0)
  const sum = (pick: (d: DocumentScore) => number) => used.reduce((total, d) => total + pick(d), 0)
  const bytes = sum((d) => d.bytes)
  const tokens = sum((d) => d.tokens)
  const bits = (nats: number) => (bytes === 0 ? 0 : nats / Math.LN2 / bytes)
  const ratio = (value: (d: DocumentScore) => number, size: (d: DocumentScore) => number): Interval => {
    const whole = sum(size) === 0 ? 0 : sum(value) / sum(size)
    const mean = sum(size) / Math.max(1, used.length)
    const spread = bootstrap(used.map((d) => (mean === 0 ? 0 : (value(d) - whole * size(d)) / mean)))
    return { mean: whole, low: whole + spread.low, high: whole + spread.high, standardError: spread.standardError }
  }
  return {
    base: bits(sum((d) => d.base)),
    tuned: bits(sum((d) => d.tuned)),
    cost: ratio(
      (d) => (d.tuned - d.base) / Math.LN2,
      (d) => d.bytes,
    ),
    divergence: ratio(
      (d) => d.divergence,
      (d) => d.tokens,
    ),
    agreement: tokens === 0 ? 1 : sum((d) => d.agreed) / tokens,
    tokens,
    bytes,
  }
}

/** How grave a knowledge cost is, relative to what a byte cost before: an interval that holds 0 is none at all. */
export function gravity({ cost, base }: Pick<Retention, 'cost' | 'base'>): 'none' | 'small' | 'large' {
  if (cost.low <= 0) return 'none'
  return cost.mean > 0.1 * base ? 'large' : 'small'
}

/** Passages cut at spaces into pieces of at most `chars`, so that no text is longer than a model reads. */
export function pieces(texts: readonly string[], chars: number): string[] {
  return texts.flatMap((text) => {
    const out: string[] = []
    let rest = text
    while (rest.length > chars) {
      const cut = rest.lastIndexOf(' ', chars)
      out.push(rest.slice(0, cut > 0 ? cut : chars))
      rest = rest.slice(cut > 0 ? cut + 1 : chars)
    }
    return rest ? [...out, rest] : out
  })
}

/** How many of `texts` have a fifth or more of their three-word runs in `others` (SCI-68): such text hides forgetting. */
export function overlapOf(texts: readonly string[], others: readonly string[]): number {
  const vocabulary = new Vocabulary()
  const known = new Set(others.flatMap((text) => [...shinglesOf(vocabulary.encode(text), 3)]))
  return texts.filter((text) => {
    const own = shinglesOf(vocabulary.encode(text), 3)
    return own.length > 0 && own.filter((s) => known.has(s)).length >= 0.2 * own.length
  }).length
}
