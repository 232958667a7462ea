/**
 * The points of a training as columns over one step axis, the shape that uPlot draws and a table prints. Pure: appending makes new arrays,
 * which for 100,000 points costs less than one frame (UX-137).
 */
import type { Point } from './events'

export type Series = {
  steps: readonly number[]
  /** One value per step; null where a metric has none there, as validation loss between evaluations. */
  columns: Readonly<Record<string, readonly (number | null)[]>>
}

export const EMPTY_SERIES: Series = { steps: [], columns: {} }

/** First index whose step is not below `step`. */
function find(steps: readonly number[], step: number): number {
  let low = 0
  let high = steps.length
  while (low < high) {
    const mid = (low + high) >> 1
    if ((steps[mid] ?? 0) < step) low = mid + 1
    else high = mid
  }
  return low
}

/** Rows before `step`: what a new attempt that starts there leaves of an earlier one. */
export function cutFrom(series: Series, step: number): Series {
  const end = find(series.steps, step)
  if (end === series.steps.length) return series
  return {
    steps: series.steps.slice(0, end),
    columns: Object.fromEntries(Object.entries(series.columns).map(([name, values]) => [name, values.slice(0, end)])),
  }
}

/** Adds points in any order. A point of a step that is already there is merged into it: training and validation loss share rows. */
export function addPoints(series: Series, points: readonly Point[]): Series {
  if (points.length === 0) return series
  const steps = series.steps.slice()
  const columns: Record<string, (number | null)[]> = {}
  for (const [name, values] of Object.entries(series.columns)) columns[name] = values.slice()
  for (const { step, ...values } of points) {
    if (!Number.isFinite(step)) continue
    const last = steps.length - 1
    let row = last
    if (last < 0 || step > (steps[last] ?? 0)) {
      row = steps.push(step) - 1
      for (const column of Object.values(columns)) column.push(null)
    } else if (step !== steps[last]) {
      row = find(steps, step)
      if (steps[row] !== step) {
        steps.splice(row, 0, step)
        for (const column of Object.values(columns)) column.splice(row, 0, null)
      }
    }
    for (const [name, value] of Object.entries(values)) {
      if (typeof value !== 'number') continue
      columns[name] ??= new Array<number | null>(steps.length).fill(null)
      const column = columns[name]
      // A loss that is not a number travels as null in JSON and is a gap in the line; the failure is told by the node's error.
      column[row] = Number.isFinite(value) ? value : null
    }
  }
  return { steps, columns }
}

/** Last value of a metric and the step it belongs to. */
export function latest(series: Series, name: string): { step: number; value: number } | null {
  const column = series.columns[name]
  if (!column) return null
  for (let i = column.length - 1; i >= 0; i--) {
    const value = column[i]
    if (value !== null && value !== undefined) return { step: series.steps[i] ?? 0, value }
  }
  return null
}

/** Lowest value of a metric and its step: "best" for losses. */
export function lowest(series: Series, name: string): { step: number; value: number } | null {
  const column = series.columns[name] ?? []
  let best: { step: number; value: number } | null = null
  column.forEach((value, i) => {
    if (value !== null && (best === null || value < best.value)) best = { step: series.steps[i] ?? 0, value }
  })
  return best
}

/**
 * Which way a metric goes: the mean of its last quarter against the quarter before (at least 2 values each), a change below half a
 * percent being "level". Feeds the arrow beside the loss (UX-67).
 */
export function direction(series: Series, name: string): 'down' | 'up' | 'level' | null {
  const values = (series.columns[name] ?? []).filter((value): value is number => value !== null)
  const size = Math.max(2, Math.min(25, Math.floor(values.length / 4)))
  if (values.length < 2 * size) return null
  const mean = (part: readonly number[]) => part.reduce((sum, value) => sum + value, 0) / part.length
  const now = mean(values.slice(-size))
  const before = mean(values.slice(-2 * size, -size))
  const change = (now - before) / Math.max(Math.abs(before), 1e-12)
  return Math.abs(change) < 0.005 ? 'level' : change < 0 ? 'down' : 'up'
}

/**
 * Exponential smoothing with its start corrected, so that the first values are not dragged towards zero:
 * m_t = w·m_{t−1} + (1−w)·x_t, shown as m_t / (1 − w^t). Gaps stay gaps.
 */
export function smooth(values: readonly (number | null)[], weight: number): (number | null)[] {
  if (weight <= 0) return values.slice()
  let mean = 0
  let correction = 1
  return values.map((value) => {
    if (value === null) return null
    mean = weight * mean + (1 - weight) * value
    correction *= weight
    return mean / (1 - correction)
  })
}

/** A point per pixel column at most, keeping each column's minimum and maximum, for sparklines. Pure; `width` in pixels. */
export function thin(steps: readonly number[], values: readonly (number | null)[], width: number): { step: number; value: number }[] {
  const rows = steps.flatMap((step, i) => {
    const value = values[i]
    return value === null || value === undefined ? [] : [{ step, value }]
  })
  if (rows.length <= width) return rows
  const columns = Math.max(1, Math.floor(width / 2))
  const out: { step: number; value: number }[] = []
  for (let c = 0; c < columns; c++) {
    const part = rows.slice(Math.floor((c * rows.length) / columns), Math.floor(((c + 1) * rows.length) / columns))
    const first = part[0]
    if (!first) continue
    let low = first
    let high = first
    for (const row of part) {
      if (row.value < low.value) low = row
      if (row.value > high.value) high = row
    }
    out.push(...(low === high ? [low] : low.step < high.step ? [low, high] : [high, low]))
  }
  const end = rows.at(-1)
  if (end && out.at(-1) !== end) out.push(end)
  return out
}
