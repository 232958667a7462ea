/** Non-linearities of the feed-forward part, in the dtype of their input. */
import type { Builder } from '../builder'
import type { Tensor } from '../types'

/** silu(gate) · up, silu(x) = x · σ(x). d silu = σ · (1 + x · (1 − σ)). */
export function swiglu(g: Builder, gate: Tensor, up: Tensor): Tensor {
  let sigma: Tensor
  let silu: Tensor
  return g.composite(
    [gate, up],
    () => {
      sigma = g.sigmoid(gate)
      silu = g.mul(gate, sigma)
      return g.mul(silu, up)
    },
    (dy, needs) => {
      // σ + silu · (1 − σ) is the same derivative with one product less.
      const slope = () => g.add(sigma, g.mul(silu, g.sub(g.fill(1, gate.dtype), sigma)))
      return [needs[0] ? g.mul(g.mul(dy, up), slope()) : null, needs[1] ? g.mul(dy, silu) : null]
    },
  )
}

/** 0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³))): `gelu_new`, `gelu_pytorch_tanh`. */
export function geluTanh(g: Builder, x: Tensor): Tensor {
  const c = (value: number) => g.fill(value, x.dtype)
  const root = Math.sqrt(2 / Math.PI)
  let squared: Tensor
  let t: Tensor
  let half: Tensor
  return g.composite(
    [x],
    () => {
      squared = g.square(x)
      t = g.tanh(g.mul(x, g.add(g.mul(squared, c(root * 0.044715)), c(root))))
      half = g.mul(x, c(0.5))
      return g.add(half, g.mul(half, t))
    },
    (dy) => {
      const inner = g.add(g.mul(squared, c(3 * root * 0.044715)), c(root))
      const slope = g.add(g.add(g.mul(t, c(0.5)), c(0.5)), g.mul(g.mul(half, g.sub(c(1), g.square(t))), inner))
      return [g.mul(dy, slope)]
    },
  )
}

/** 0.5 · x · (1 + erf(x / √2)): `gelu`. The derivative is Φ(x) + x · φ(x). */
export function geluErf(g: Builder, x: Tensor): Tensor {
  const c = (value: number) => g.fill(value, x.dtype)
  let cdf: Tensor
  return g.composite(
    [x],
    () => {
      cdf = g.add(g.mul(g.erf(g.mul(x, c(Math.SQRT1_2))), c(0.5)), c(0.5))
      return g.mul(x, cdf)
    },
    (dy) => {
      const density = g.mul(g.exp(g.mul(g.square(x), c(-0.5))), c(1 / Math.sqrt(2 * Math.PI)))
      return [g.mul(dy, g.add(cdf, g.mul(x, density)))]
    },
  )
}
