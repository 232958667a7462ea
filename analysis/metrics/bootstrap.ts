/** Percentile bootstrap intervals (SCI-4): 2,000 resamples over the natural unit, 95 %. */
import { seeded } from '../random'

export type Interval = { mean: number; low: number; high: number; standardError: number }

/** Percentile with linear interpolation, as numpy's default. `sorted` rises; `q` is 0…1. */
export function percentile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const a = sorted[low] ?? 0
  const b = sorted[Math.min(low + 1, sorted.length - 1)] ?? a
  const t = at - low
  // numpy's own form: exact at both ends.
  return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t
}

/** Interval of the mean from given resamples: `indices[r]` are the drawn rows of resample r. */
export function intervalOf(values: readonly number[], indices: readonly ArrayLike<number>[], level = 0.95): Interval {
  const means = indices.map((draw) => {
    let sum = 0
    for (let i = 0; i < draw.length; i++) sum += values[draw[i] as number] as number
    return sum / draw.length
  })
  const center = means.reduce((a, b) => a + b, 0) / means.length
  const variance = means.length > 1 ? means.reduce((s, m) => s + (m - center) ** 2, 0) / (means.length - 1) : 0
  means.sort((a, b) => a - b)
  const tail = (1 - level) / 2
  return {
    mean: values.reduce((a, b) => a + b, 0) / values.length,
    low: percentile(means, tail),
    high: percentile(means, 1 - tail),
    standardError: Math.sqrt(variance),
  }
}

/** Interval of the mean of `values`, resampled with a seed. */
export function bootstrap(values: readonly number[], options: { resamples?: number; seed?: number; level?: number } = {}): Interval {
  const { resamples = 2000, seed = 42, level = 0.95 } = options
  if (values.length === 0) return { mean: 0, low: 0, high: 0, standardError: 0 }
  const random = seeded(seed)
  const indices = Array.from({ length: resamples }, () => Uint32Array.from({ length: values.length }, () => random.below(values.length)))
  return intervalOf(values, indices, level)
}

/** Interval of the mean difference a − b over pairs of the same rows. An interval that holds 0 means: no difference seen. */
export function pairedBootstrap(
  a: readonly number[],
  b: readonly number[],
  options: { resamples?: number; seed?: number; level?: number } = {},
): Interval {
  if (a.length !== b.length) throw new Error(`pairedBootstrap: ${a.length} and ${b.length} values are no pairs`)
  return bootstrap(
    a.map((v, i) => v - (b[i] as number)),
    options,
  )
}
