/** Normalisation over the last axis, float32, with backward passes that reuse the normalised values. */
import type { Builder } from '../builder'
import type { Tensor } from '../types'

/** Gradient by a weight or bias of shape [width]: summed over all other axes. */
const sumRows = (g: Builder, x: Tensor) =>
  g.sum(
    x,
    x.shape.slice(0, -1).map((_, axis) => axis),
  )

/**
 * y = x / √(mean(x²) + ε) · w. x […, width], w [width].
 * With x̂ = y/w: dx = (dŷ − x̂ · mean(dŷ · x̂)) / √(…), dŷ = dy · w; dw = Σ dy · x̂.
 */
export function rmsNorm(g: Builder, x: Tensor, weight: Tensor, epsilon: number): Tensor {
  const axes = [x.shape.length - 1]
  let inverse: Tensor
  let normal: Tensor
  return g.composite(
    [x, weight],
    () => {
      inverse = g.rsqrt(g.add(g.mean(g.square(x), axes, true), g.fill(epsilon, 'f32')))
      normal = g.mul(x, inverse)
      return g.mul(normal, weight)
    },
    (dy, needs) => {
      const dx = () => {
        const dNormal = g.mul(dy, weight)
        return g.mul(g.sub(dNormal, g.mul(normal, g.mean(g.mul(dNormal, normal), axes, true))), inverse)
      }
      return [needs[0] ? dx() : null, needs[1] ? sumRows(g, g.mul(dy, normal)) : null]
    },
  )
}

/**
 * y = (x − mean) / √(var + ε) · w + b.
 * dx = (dŷ − mean(dŷ) − x̂ · mean(dŷ · x̂)) / √(…); dw = Σ dy · x̂; db = Σ dy.
 */
export function layerNorm(g: Builder, x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  const axes = [x.shape.length - 1]
  let inverse: Tensor
  let normal: Tensor
  return g.composite(
    [x, weight, bias],
    () => {
      const centred = g.sub(x, g.mean(x, axes, true))
      inverse = g.rsqrt(g.add(g.mean(g.square(centred), axes, true), g.fill(epsilon, 'f32')))
      normal = g.mul(centred, inverse)
      return g.add(g.mul(normal, weight), bias)
    },
    (dy, needs) => {
      const dx = () => {
        const dNormal = g.mul(dy, weight)
        const along = g.mul(normal, g.mean(g.mul(dNormal, normal), axes, true))
        return g.mul(g.sub(g.sub(dNormal, g.mean(dNormal, axes, true)), along), inverse)
      }
      return [needs[0] ? dx() : null, needs[1] ? sumRows(g, g.mul(dy, normal)) : null, needs[2] ? sumRows(g, dy) : null]
    },
  )
}
