/** Rotary position embedding (the half-split form of Hugging Face models). */
import { EngineError } from '../../errors'
import type { Builder } from '../builder'
import type { Tensor } from '../types'

/**
 * Rotates the pairs (x[i], x[i + d/2]) of the last axis by their position's angle. cos and sin broadcast to [..., d/2].
 * The backward pass is the rotation the other way.
 */
export function rotate(g: Builder, x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const turn = (value: Tensor, back: boolean) => {
    const axis = value.shape.length - 1
    const half = (value.shape[axis] as number) / 2
    const [a, b] = g.split(value, axis, [half, half])
    const [ac, as, bc, bs] = [g.mul(a, cos), g.mul(a, sin), g.mul(b, cos), g.mul(b, sin)]
    return back ? g.concat([g.add(ac, bs), g.sub(bc, as)], axis) : g.concat([g.sub(ac, bs), g.add(bc, as)], axis)
  }
  return g.composite(
    [x],
    () => turn(x, false),
    (dy) => [turn(dy, true)],
  )
}

export type RopeScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3'
      readonly factor: number
      readonly lowFrequencyFactor: number
      readonly highFrequencyFactor: number
      readonly originalContext: number
    }

/** Angle per position of each pair, float64. Llama 3 slows the low frequencies down by `factor` and blends in between. */
export function ropeFrequencies(headDim: number, theta: number, scaling: RopeScaling): Float64Array {
  if (headDim % 2) throw new EngineError('unsupported', 'rotary embedding needs an even head size', { got: String(headDim) })
  const frequencies = Float64Array.from({ length: headDim / 2 }, (_, i) => 1 / theta ** ((2 * i) / headDim))
  if (scaling.type === 'linear') return frequencies.map((frequency) => frequency / scaling.factor)
  if (scaling.type === 'default') return frequencies
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalContext } = scaling
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency
    if (wavelength > originalContext / low) return frequency / factor
    if (wavelength < originalContext / high) return frequency
    const smooth = (originalContext / wavelength - low) / (high - low)
    return ((1 - smooth) * frequency) / factor + smooth * frequency
  })
}

/** cos and sin of positions 0 … count−1, [count, headDim / 2] each. */
export function ropeTable(frequencies: Float64Array, count: number): { cos: Float32Array; sin: Float32Array } {
  const width = frequencies.length
  const [cos, sin] = [new Float32Array(count * width), new Float32Array(count * width)]
  for (let position = 0; position < count; position++)
    for (let i = 0; i < width; i++) {
      // The reference holds the frequency and the angle in float32; beyond a few thousand positions that is what decides the last digits.
      const angle = Math.fround(Math.fround(frequencies[i] as number) * position)
      cos[position * width + i] = Math.cos(angle)
      sin[position * width + i] = Math.sin(angle)
    }
  return { cos, sin }
}
