/** Successive halving over methods and learning rates (SCI-126), and the frontier of score against cost. */

export type Heat = { entrant: string; rate: number; loss: number; cost: number }

/** Points that no other beats in both: lower loss and lower cost. Equal points all stay. */
export const frontierOf = (heats: readonly Heat[]): Heat[] =>
  heats.filter(
    (a) => Number.isFinite(a.loss) && !heats.some((b) => b.loss <= a.loss && b.cost <= a.cost && (b.loss < a.loss || b.cost < a.cost)),
  )

/** The best share by loss, at least one, and every frontier member among the better half; diverged ones never go on. */
export function goOn(heats: readonly Heat[], keep: number): Heat[] {
  const alive = heats.filter((h) => Number.isFinite(h.loss)).sort((a, b) => a.loss - b.loss)
  const best = alive.slice(0, Math.max(1, Math.ceil(keep * alive.length)))
  const half = alive.slice(0, Math.ceil(alive.length / 2))
  const frontier = new Set(frontierOf(alive))
  return [...new Set([...best, ...half.filter((h) => frontier.has(h))])]
}
