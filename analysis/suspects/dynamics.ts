/** Rows that training finds hard, from the losses of each row over epochs (SCI-85). */

export type RowDynamics = { mean: number; last: number; spread: number; drop: number }
/** `losses[e][i]`: loss of row i after epoch e; NaN where it was too long. Rows without any loss have NaN throughout. */
export function dynamicsOf(losses: readonly (readonly number[])[]): RowDynamics[] {
  const rows = losses[0]?.length ?? 0
  return Array.from({ length: rows }, (_, i) => {
    const own = losses.map((epoch) => epoch[i] as number).filter(Number.isFinite)
    if (own.length === 0) return { mean: Number.NaN, last: Number.NaN, spread: Number.NaN, drop: Number.NaN }
    const mean = own.reduce((a, b) => a + b, 0) / own.length
    return {
      mean,
      last: own.at(-1) as number,
      spread: Math.sqrt(own.reduce((s, x) => s + (x - mean) ** 2, 0) / own.length),
      drop: (own[0] as number) - (own.at(-1) as number),
    }
  })
}

const median = (sorted: readonly number[]): number => {
  const middle = sorted.length >> 1
  return sorted.length % 2 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/**
 * Scores as distances above the median in robust deviations (1.4826 · the median deviation), and those further than `beyond`: 3.5 is the usual
 * mark for outliers. NaN scores stay NaN and are never suspect.
 */
export function outlyingScores(scores: readonly number[], beyond = 3.5): { z: number[]; suspects: number[] } {
  const finite = scores.filter(Number.isFinite).sort((a, b) => a - b)
  if (finite.length === 0) return { z: scores.map(() => Number.NaN), suspects: [] }
  const centre = median(finite)
  const deviation = 1.4826 * median(finite.map((x) => Math.abs(x - centre)).sort((a, b) => a - b))
  const z = scores.map((x) => (deviation > 0 ? (x - centre) / deviation : 0))
  return { z, suspects: z.flatMap((x, i) => (x > beyond ? [i] : [])).sort((a, b) => (z[b] as number) - (z[a] as number)) }
}
