/** Which layers matter: units of a model, gains of short trainings, rankings (SCI-9…18). */
import { type Interval, pairedBootstrap, percentile } from '../metrics/bootstrap'

export type LayerParameter = { name: string; shape: readonly number[]; block: number | null; part: string }
/** What is opened or frozen as one: a block, or its attention or MLP half. */
export type Unit = { label: string; block: number; part: 'block' | 'attention' | 'mlp'; names: readonly string[] }

/** Norms go with a whole block and with no half. */
export function unitsOf(parameters: readonly LayerParameter[], unit: 'block' | 'block_half'): Unit[] {
  const blocks = [...new Set(parameters.flatMap((p) => (p.block === null ? [] : [p.block])))].sort((a, b) => a - b)
  const named = (block: number, parts: readonly string[]) =>
    parameters.filter((p) => p.block === block && parts.includes(p.part)).map((p) => p.name)
  return blocks.flatMap((block): Unit[] =>
    unit === 'block'
      ? [{ label: `block ${block}`, block, part: 'block', names: named(block, ['attention', 'mlp', 'norm']) }]
      : (['attention', 'mlp'] as const).map((part) => ({
          label: `block ${block} ${part === 'mlp' ? 'MLP' : part}`,
          block,
          part,
          names: named(block, [part]),
        })),
  )
}

/** What the loss of the same rows fell by, over rows that both have; its error resamples rows. */
export function gainOf(before: readonly number[], after: readonly number[]): Interval {
  const both = before.flatMap((x, i) => (Number.isFinite(x) && Number.isFinite(after[i]) ? [i] : []))
  return pairedBootstrap(
    both.map((i) => before[i] as number),
    both.map((i) => after[i] as number),
  )
}

/** Whether anything was learned: some gain above three standard errors (SCI-13). */
export const learned = (gains: readonly Interval[]): boolean => gains.some((gain) => gain.mean > 3 * gain.standardError && gain.mean > 0)

type Gradient = { name: string; shape: readonly number[]; weight: number; gradient: number }

/** Relative gradient norm of a unit: mean over its matrices of ‖mean gradient‖/‖w‖ (SCI-16). Vectors are left out: tiny norms would rule. */
export function relativeGradient(gradients: readonly Gradient[], names: readonly string[]): number {
  const chosen = new Set(names)
  const ratios = gradients.filter((g) => chosen.has(g.name) && g.shape.length >= 2 && g.weight > 0).map((g) => g.gradient / g.weight)
  return ratios.length === 0 ? 0 : ratios.reduce((a, b) => a + b, 0) / ratios.length
}

/** Spectrum as published (SCI-17): Σ of singular values above σ(1 + √β) over Σ of those below, over the largest. `values` descend. */
export function spectrumPublished(values: readonly number[], rows: number, columns: number): number {
  const rising = [...values].reverse()
  const sigma = (percentile(rising, 0.75) - percentile(rising, 0.25)) / 1.349
  const threshold = sigma * (1 + Math.sqrt(Math.min(rows, columns) / Math.max(rows, columns)))
  const above = values.filter((s) => s > threshold).reduce((a, b) => a + b, 0)
  const below = values.filter((s) => s <= threshold).reduce((a, b) => a + b, 0)
  return values[0] ? above / (below || 1) / values[0] : 0
}

/** Spectrum calibrated (SCI-18): singular values above the edge that noise of the median's size would have. */
export function spectrumCalibrated(values: readonly number[], rows: number, columns: number): { above: number; sum: number } {
  const [n, m] = [Math.min(rows, columns), Math.max(rows, columns)]
  const sigma = percentile([...values].reverse(), 0.5) / Math.sqrt(m * marchenkoPasturMedian(n / m))
  const edge = 1.02 * sigma * (Math.sqrt(n) + Math.sqrt(m))
  const over = values.filter((s) => s > edge)
  return { above: over.length, sum: over.reduce((a, b) => a + b, 0) }
}

/** Median of the Marchenko–Pastur law with ratio β ≤ 1 and variance 1: 0.6528 at β = 1. Bisection over its numeric integral. */
export function marchenkoPasturMedian(beta: number): number {
  const [low, high] = [(1 - Math.sqrt(beta)) ** 2, (1 + Math.sqrt(beta)) ** 2]
  // With x = low + (high − low)·sin²(t) the square roots at both ends become smooth.
  const mass = (to: number): number => {
    const end = Math.asin(Math.sqrt((to - low) / (high - low)))
    const steps = 400
    let sum = 0
    for (let i = 0; i < steps; i++) {
      const t = ((i + 0.5) * end) / steps
      const x = low + (high - low) * Math.sin(t) ** 2
      sum += ((high - low) ** 2 * 2 * (Math.sin(t) * Math.cos(t)) ** 2) / (2 * Math.PI * beta * Math.max(x, 1e-12))
    }
    return (sum * end) / steps
  }
  let [a, b] = [low, high]
  for (let i = 0; i < 60; i++) {
    const middle = (a + b) / 2
    if (mass(middle) < 0.5) a = middle
    else b = middle
  }
  return (a + b) / 2
}

/** Rank correlation of two scores of the same things (Spearman, ties share their rank). */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const ranks = (list: readonly number[]) =>
    list.map((x) => list.filter((y) => y < x).length + (list.filter((y) => y === x).length - 1) / 2)
  const [ra, rb] = [ranks(a), ranks(b)]
  const mean = (a.length - 1) / 2
  let [cross, sa, sb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [(ra[i] as number) - mean, (rb[i] as number) - mean]
    cross += x * y
    sa += x * x
    sb += y * y
  }
  return sa === 0 || sb === 0 ? 0 : cross / Math.sqrt(sa * sb)
}
