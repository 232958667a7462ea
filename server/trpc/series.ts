/** Fewer points for the same picture: charts draw a curve's extremes, so those are what is kept. */
import type { MetricPoint } from '../storage/events'

/** At most about `limit` points: the first, the last, and per stretch of points the lowest and highest of each series. */
export function downsample(points: readonly MetricPoint[], limit: number): MetricPoint[] {
  if (points.length <= limit) return [...points]
  const names = new Set(points.flatMap((point) => Object.keys(point)).filter((name) => name !== 'step' && name !== 'epoch'))
  const buckets = Math.max(1, Math.floor((limit - 2) / Math.max(2, names.size * 2)))
  const kept = new Set([0, points.length - 1])
  for (let b = 0; b < buckets; b++) {
    const from = Math.floor((b * points.length) / buckets)
    const to = Math.floor(((b + 1) * points.length) / buckets)
    for (const name of names) {
      let low = -1
      let high = -1
      for (let i = from; i < to; i++) {
        const value = points[i]?.[name]
        if (value === undefined) continue
        if (low === -1 || value < (points[low]?.[name] ?? 0)) low = i
        if (high === -1 || value > (points[high]?.[name] ?? 0)) high = i
      }
      if (low !== -1) kept.add(low).add(high)
    }
  }
  return [...kept].sort((a, b) => a - b).map((i) => points[i] as MetricPoint)
}
