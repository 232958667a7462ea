/** AdamW as torch.optim.AdamW computes it, split between JavaScript (scalars, float64) and the graph (everything per element). */
import type { Builder } from '../graph/builder'
import type { Update } from './optimizers'
import type { AdamWSpec } from './spec'
import { declareState } from './weights'

export interface AdamFeeds {
  /** Per group. */
  readonly learningRate: readonly number[]
  /** Per group; applies to parameters of two or more dimensions. */
  readonly weightDecay: readonly number[]
  /** Number of this update, from 1 on. */
  readonly step: number
  readonly optimizer: Pick<AdamWSpec, 'beta1' | 'beta2' | 'epsilon'>
}

/**
 * The feeds that `trainStep` and `applyGradients` take besides data.
 *
 * torch: p ← p·(1 − lr·wd); p ← p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε). The kernel computes p − stepSize · m / (√v + epsilon); the two are
 * equal with stepSize = lr·√(1−β₂ᵗ)/(1−β₁ᵗ) and epsilon = ε·√(1−β₂ᵗ). Computed here in float64, because 1 − 0.999ᵗ loses digits in float32.
 *
 * The kernel forms 1 − β in float32, which for β₂ = 0.999 is off by 1.3e-5 from the factor torch uses. Both moments are linear in that factor,
 * so it is divided out of the two scalars exactly.
 */
export function adamFeeds({
  learningRate,
  weightDecay,
  step,
  optimizer: { beta1, beta2, epsilon },
}: AdamFeeds): Record<'stepSize' | 'decay' | 'epsilon', Float32Array> {
  const excess = (beta: number) => (1 - Math.fround(beta)) / Math.fround(1 - beta)
  const root = Math.sqrt((1 - beta2 ** step) * excess(beta2))
  const scale = root / ((1 - beta1 ** step) * excess(beta1))
  return {
    stepSize: Float32Array.from(learningRate, (rate) => rate * scale),
    decay: Float32Array.from(learningRate, (rate, i) => 1 - rate * (weightDecay[i] ?? 0)),
    epsilon: Float32Array.of(epsilon * root),
  }
}

/** p ← p·decay for parameters of two or more dimensions, then the kernel. */
export function adamUpdate(
  g: Builder,
  { beta1, beta2, decays = true }: AdamWSpec,
  { weight, variable, gradient, stepSize, decay, feed }: Update,
): void {
  if (decays && weight.shape.length >= 2) g.assign(variable, g.mul(g.read(variable), decay))
  const moments = { first: declareState(g, weight, 'first'), second: declareState(g, weight, 'second') }
  g.adam({ variable, ...moments, beta1, beta2 }, gradient, stepSize, feed('epsilon'))
}
