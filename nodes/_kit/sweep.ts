/** A sweep as values: which params take which values, and every combination of them (UX-77). Pure. */
import * as z from 'zod'
import type { Pipeline } from './graph'

export const SWEEP_LIMITS = { runs: 100, axes: 8, values: 50 } as const

export const SweepAxis = z.object({
  node: z.string().min(1).max(64),
  param: z.string().min(1).max(100),
  values: z.array(z.unknown()).min(1).max(SWEEP_LIMITS.values),
})
export type SweepAxis = z.infer<typeof SweepAxis>

/** How many runs the axes make. */
export const sweepSize = (axes: readonly SweepAxis[]): number => axes.reduce((product, axis) => product * axis.values.length, 1)

/** The values of run `i`, one for each axis; the last axis changes fastest. */
export function sweepValues(axes: readonly SweepAxis[], i: number): unknown[] {
  const values: unknown[] = []
  let rest = i
  for (const axis of [...axes].reverse()) {
    values.unshift(axis.values[rest % axis.values.length])
    rest = Math.floor(rest / axis.values.length)
  }
  return values
}

/** The document of one run. Axes of nodes that are not there change nothing; `check` has said so before. */
export function sweepDocument(document: Pipeline, axes: readonly SweepAxis[], values: readonly unknown[]): Pipeline {
  const nodes = { ...document.nodes }
  axes.forEach(({ node: id, param }, i) => {
    const node = Object.hasOwn(nodes, id) ? nodes[id] : undefined
    if (node) nodes[id] = { ...node, params: { ...node.params, [param]: values[i] } }
  })
  return { ...document, nodes }
}

/**
 * What a person types: `1e-4, 2e-4, 5e-4`, or a range `1e-4..1e-2 x5` (five values), with `log` behind it in equal ratios. Values are JSON
 * where they look like it, else text. Null when it cannot be read.
 */
export function parseValues(text: string): unknown[] | null {
  const range = /^\s*(\S+?)\s*\.\.\s*(\S+)\s+x\s*(\d+)(\s+log)?\s*$/i.exec(text)
  if (range) {
    const [low, high, n] = [Number(range[1]), Number(range[2]), Number(range[3])]
    const log = range[4] !== undefined
    if (!Number.isFinite(low) || !Number.isFinite(high) || n < 2 || n > SWEEP_LIMITS.values || (log && (low <= 0 || high <= 0))) return null
    const whole = Number.isInteger(low) && Number.isInteger(high) && !log
    return Array.from({ length: n }, (_, i) => {
      const share = i / (n - 1)
      const value = log ? low * (high / low) ** share : low + (high - low) * share
      return whole ? Math.round(value) : Number(value.toPrecision(3))
    })
  }
  const values = text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .map((part): unknown => {
      try {
        return JSON.parse(part)
      } catch {
        // JSON knows no `.5` and no `1e-4.`; everything that is no number is text.
        return Number.isFinite(Number(part)) ? Number(part) : part
      }
    })
  return values.length > 0 && values.length <= SWEEP_LIMITS.values ? values : null
}
