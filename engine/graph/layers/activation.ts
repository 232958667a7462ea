/**
 * Non-linearities of the feed-forward part, float32 inside. What the backward pass needs besides the inputs is computed again there: keeping
 * it would triple the memory of the widest tensors of a network, and computing it costs a hundredth of a step.
 */
import type { Builder } from '../builder'
import type { Tensor } from '../types'

/** silu(gate) · up, silu(x) = x · σ(x). d silu = σ · (1 + x · (1 − σ)). bf16 inputs are widened; the result is float32. */
export function swiglu(g: Builder, gate: Tensor, up: Tensor): Tensor {
  return g.composite(
    [gate, up],
    () => {
      const x = g.cast(gate, 'f32')
      return g.mul(g.mul(x, g.sigmoid(x)), g.cast(up, 'f32'))
    },
    (dy, needs) => {
      const x = g.cast(g.after(gate, dy), 'f32')
      const sigma = g.sigmoid(x)
      const silu = g.mul(x, sigma)
      // σ + silu · (1 − σ) is the same derivative with one product less.
      const slope = () => g.add(sigma, g.mul(silu, g.sub(g.fill(1, 'f32'), sigma)))
      const dGate = () => g.mul(g.mul(dy, g.cast(g.after(up, dy), 'f32')), slope())
      return [needs[0] ? g.cast(dGate(), gate.dtype) : null, needs[1] ? g.cast(g.mul(dy, silu), up.dtype) : null]
    },
  )
}

/** 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))): `gelu_new`, `gelu_pytorch_tanh`. */
export function geluTanh(g: Builder, x: Tensor): Tensor {
  const c = (value: number) => g.fill(value, 'f32')
  const root = Math.sqrt(2 / Math.PI)
  const parts = (value: Tensor) => {
    const squared = g.square(value)
    return { squared, t: g.tanh(g.mul(value, g.add(g.mul(squared, c(root * 0.044715)), c(root)))), half: g.mul(value, c(0.5)) }
  }
  return g.composite(
    [x],
    () => {
      const { t, half } = parts(x)
      return g.add(half, g.mul(half, t))
    },
    (dy) => {
      const { squared, t, half } = parts(g.after(x, dy))
      const inner = g.add(g.mul(squared, c(3 * root * 0.044715)), c(root))
      const slope = g.add(g.add(g.mul(t, c(0.5)), c(0.5)), g.mul(g.mul(half, g.sub(c(1), g.square(t))), inner))
      return [g.mul(dy, slope)]
    },
  )
}

/** 0.5 · x · (1 + erf(x / √2)): `gelu`. The derivative is Φ(x) + x · φ(x). */
export function geluErf(g: Builder, x: Tensor): Tensor {
  const c = (value: number) => g.fill(value, 'f32')
  const cdf = (value: Tensor) => g.add(g.mul(g.erf(g.mul(value, c(Math.SQRT1_2))), c(0.5)), c(0.5))
  return g.composite(
    [x],
    () => g.mul(x, cdf(x)),
    (dy) => {
      const again = g.after(x, dy)
      const density = g.mul(g.exp(g.mul(g.square(again), c(-0.5))), c(1 / Math.sqrt(2 * Math.PI)))
      return [g.mul(dy, g.add(cdf(again), g.mul(again, density)))]
    },
  )
}

/** x · σ(slope · x): `silu` with slope 1, `quick_gelu` with 1.702. The derivative is σ + slope · x · σ · (1 − σ). */
export function sigmoidGate(g: Builder, x: Tensor, slope = 1): Tensor {
  const c = (value: number) => g.fill(value, 'f32')
  const scaled = (value: Tensor) => (slope === 1 ? value : g.mul(value, c(slope)))
  return g.composite(
    [x],
    () => g.mul(x, g.sigmoid(scaled(x))),
    (dy) => {
      const z = scaled(g.after(x, dy))
      const sigma = g.sigmoid(z)
      return [g.mul(dy, g.add(sigma, g.mul(g.mul(z, sigma), g.sub(c(1), sigma))))]
    },
  )
}

/** max(x, 0); the derivative at 0 is 0, as in PyTorch. */
export function relu(g: Builder, x: Tensor): Tensor {
  const zero = () => g.fill(0, 'f32')
  return g.composite(
    [x],
    () => g.maximum(x, zero()),
    (dy) => [g.select(g.less(zero(), g.after(x, dy)), dy, zero())],
  )
}
