/** An exponential moving average of trained weights, kept beside them in the same precision. */
import type { Builder } from '../graph/builder'
import type { Tensor, Variable } from '../graph/types'
import { declareState, type StoredWeight } from './weights'

/** average ← average + share · (weight − average), after the weight's own update. */
export function trackAverage(g: Builder, weight: StoredWeight, variable: Variable, share: Tensor): void {
  const average = declareState(g, weight, 'average')
  g.assignAdd(average, g.mul(g.sub(g.read(variable), g.read(average)), share))
}

/**
 * What the newest weights count at update `step` (from 1): 1 − min(decay, (1 + t) / (10 + t)), and all at the first. So the average begins
 * as the weights themselves, and a short training is not held back by where it started.
 */
export const averageShare = (decay: number, step: number): number => (step <= 1 ? 1 : 1 - Math.min(decay, (1 + step) / (10 + step)))
