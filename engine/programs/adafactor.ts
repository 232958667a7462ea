/**
 * Adafactor as transformers computes it with `scale_parameter` and `relative_step` off, which is what its Trainer does: of a matrix's squared
 * gradients only the means of rows and columns are kept, so the state is small beside the weights.
 */
import type { Builder } from '../graph/builder'
import { type Shape, sizeOf, type Tensor } from '../graph/types'
import type { Update } from './optimizers'
import type { AdafactorSpec } from './spec'
import { declareState } from './weights'

/** Added to squared gradients, so that a row without any has a mean. */
const LEAST_SQUARE = 1e-30

/** Shapes of what is kept beside a weight: means by row and by column of a matrix, else every square. */
export const adafactorState = (shape: Shape): { readonly [state in 'rows' | 'columns' | 'second']?: Shape } =>
  shape.length >= 2 ? { rows: shape.slice(0, -1), columns: [...shape.slice(0, -2), shape.at(-1) as number] } : { second: shape }

/** What newer squared gradients count at update `step` (from 1): step^rate. */
export const squareShare = ({ decayRate = -0.8 }: AdafactorSpec, step: number): number => step ** decayRate

/** p ← p·decay − lr · u / max(1, rms(u) / threshold), where u is the gradient over the root of its estimated square. */
export function adafactorUpdate(g: Builder, { clipThreshold = 1 }: AdafactorSpec, own: Update): void {
  const { weight, variable, gradient, stepSize, decay } = own
  const direction = g.mul(gradient, inverseRoot(g, own))
  const rms = g.sqrt(g.mul(g.halfSquaredNorm(direction), g.fill(2 / sizeOf(weight.shape), 'f32')))
  const length = g.div(stepSize, g.maximum(g.fill(1, 'f32'), g.mul(rms, g.fill(1 / clipThreshold, 'f32'))))
  const kept = weight.shape.length >= 2 ? g.mul(g.read(variable), decay) : g.read(variable)
  g.assign(variable, g.sub(kept, g.mul(direction, length)))
}

/** 1 / √ of the estimated squared gradient, after this update's has joined it. */
function inverseRoot(g: Builder, { weight, gradient, feed }: Update): Tensor {
  const { shape } = weight
  const share = feed('squareShare')
  const squares = g.add(g.square(gradient), g.fill(LEAST_SQUARE, 'f32'))
  const join = (name: 'rows' | 'columns' | 'second', newest: Tensor) => {
    const state = declareState(g, weight, name, newest.shape)
    const old = g.read(state)
    g.assign(state, g.add(old, g.mul(g.sub(newest, old), share)))
    return g.read(state)
  }
  const last = shape.length - 1
  if (last < 1) return g.rsqrt(join('second', squares))
  const rows = join('rows', g.mean(squares, [last]))
  const columns = join('columns', g.mean(squares, [last - 1]))
  const byRow = g.rsqrt(g.div(rows, g.mean(rows, [last - 1], true)))
  return g.mul(g.reshape(byRow, [...rows.shape, 1]), g.reshape(g.rsqrt(columns), [...shape.slice(0, last - 1), 1, shape[last] as number]))
}
