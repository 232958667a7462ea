/** The range test: which learning rate to suggest from one sweep (SCI-37…42). */

/** lr_i = start · (end / start)^(i / N), for i = 0 … N. */
export const sweepRates = (start: number, end: number, steps: number): number[] =>
  Array.from({ length: steps + 1 }, (_, i) => start * (end / start) ** (i / steps))

/** Exponential mean with bias correction: a = 0.98 a + 0.02 loss. */
export function smoothed(losses: readonly number[], keep = 0.98): number[] {
  let mean = 0
  return losses.map((loss, i) => {
    mean = keep * mean + (1 - keep) * loss
    return mean / (1 - keep ** (i + 1))
  })
}

/** What the sweep keeps: without its first tenth and its last 5 points, and nothing from the first NaN on. */
export function usable(losses: readonly number[]): { from: number; to: number } {
  const bad = losses.findIndex((x) => !Number.isFinite(x))
  const end = bad < 0 ? losses.length : bad
  return { from: Math.floor(losses.length / 10), to: Math.max(0, end - (bad < 0 ? 5 : 0)) }
}

/** Index that `valley` suggests in a list of smoothed losses: two thirds … of the longest falling subsequence (SCI-38). */
export function valleyIndex(losses: readonly number[]): number {
  const length = losses.map(() => 1)
  for (let i = 1; i < losses.length; i++)
    for (let j = 0; j < i; j++)
      if ((losses[i] as number) < (losses[j] as number) && (length[j] as number) + 1 > (length[i] as number))
        length[i] = (length[j] as number) + 1
  const longest = Math.max(0, ...length)
  const end = length.indexOf(longest)
  const start = end - longest
  return Math.max(0, start + Math.floor(longest / 3) + Math.floor(longest / 6))
}

/** Index of the steepest fall over the logarithm of the rate. */
export function steepestIndex(losses: readonly number[], rates: readonly number[]): number {
  let best = 0
  let slope = Number.POSITIVE_INFINITY
  for (let i = 0; i + 1 < losses.length; i++) {
    const found = ((losses[i + 1] as number) - (losses[i] as number)) / Math.log((rates[i + 1] as number) / (rates[i] as number))
    if (found < slope) [best, slope] = [i, found]
  }
  return best
}

/**
 * First index of the final unbroken rise of the raw loss, or null where it does not end rising (SCI-39). A value that is no number, or has
 * overflowed, counts as higher than any.
 */
export function divergenceIndex(losses: readonly number[]): number | null {
  const value = (i: number) => (Number.isFinite(losses[i]) ? (losses[i] as number) : Number.POSITIVE_INFINITY)
  let i = losses.length - 1
  while (i > 0 && (value(i) > value(i - 1) || value(i) === Number.POSITIVE_INFINITY)) i--
  return i >= losses.length - 1 ? null : i + 1
}

export type RateRule = 'valley' | 'steep' | 'minimum'
/** The suggested rate of a sweep; never above a third of the rate at which it diverges. */
export function suggestRate(
  rates: readonly number[],
  losses: readonly number[],
  rule: RateRule,
): { rate: number; divergence: number | null; capped: boolean } {
  const { from, to } = usable(losses)
  const flat = smoothed(losses.slice(0, Math.max(to, 1)))
  const kept = flat.slice(from, Math.max(to, from + 1))
  const keptRates = rates.slice(from, from + kept.length)
  const index = rule === 'valley' ? valleyIndex(kept) : rule === 'steep' ? steepestIndex(kept, keptRates) : kept.indexOf(Math.min(...kept))
  const found = (keptRates[Math.max(0, index)] ?? rates[0] ?? 0) / (rule === 'minimum' ? 10 : 1)
  const at = divergenceIndex(losses)
  const divergence = at === null ? null : (rates[at] as number)
  const limit = divergence === null ? Number.POSITIVE_INFINITY : divergence / 3
  return { rate: Math.min(found, limit), divergence, capped: found > limit }
}

/** MI = (fall of the loss on rows that were seen once − fall on rows that were not) / loss before (SCI-42). */
export const memorisationIndex = (seen: { before: number; after: number }, heldOut: { before: number; after: number }): number =>
  seen.before === 0 ? 0 : (seen.before - seen.after - (heldOut.before - heldOut.after)) / seen.before

/** Two significant digits: a suggestion has no more. */
export const roundRate = (rate: number): number => (rate > 0 ? Number(rate.toPrecision(2)) : rate)
