/** Every vector-Jacobian product against central differences, through the front door: the program computes both. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Backend } from '../../../engine/backends/backend'
import { Builder } from '../../../engine/graph/builder'
import { geluErf, geluTanh, relu, sigmoidGate, swiglu } from '../../../engine/graph/layers/activation'
import { attend, causalMask, groupQueries, splitHeads } from '../../../engine/graph/layers/attention'
import { layerNorm, rmsNorm } from '../../../engine/graph/layers/norm'
import { rotate } from '../../../engine/graph/layers/rope'
import * as primitives from '../../../engine/graph/primitives/table'
import { type Shape, sizeOf, type Tensor } from '../../../engine/graph/types'
import { tensorFlow } from '../support/backend'

type Case = { inputs: readonly Shape[]; positive?: boolean; build(g: Builder, inputs: readonly Tensor[]): Tensor }
const one = (build: (g: Builder, x: Tensor) => Tensor, shape: Shape = [3, 4], positive = false): Case => ({
  inputs: [shape],
  positive,
  build: (g, [x]) => build(g, x as Tensor),
})
const two = (build: (g: Builder, a: Tensor, b: Tensor) => Tensor, a: Shape, b: Shape, positive = false): Case => ({
  inputs: [a, b],
  positive,
  build: (g, [x, y]) => build(g, x as Tensor, y as Tensor),
})
const indices = (g: Builder) => g.constant([2, 0, 2, 1], [4], 'i32')
const angles = (g: Builder) =>
  [
    g.constant([0.8, 0.1, -0.3, 0.6, 0.9, 0.2], [1, 3, 1, 2], 'f32'),
    g.constant([0.6, 0.9, 0.7, -0.2, 0.1, 0.5], [1, 3, 1, 2], 'f32'),
  ] as const

/** By primitive name; several where flags change the arithmetic. */
const CASES: Record<string, Case> = {
  neg: one((g, x) => g.neg(x)),
  exp: one((g, x) => g.exp(x)),
  log: one((g, x) => g.log(x), [3, 4], true),
  sqrt: one((g, x) => g.sqrt(x), [3, 4], true),
  rsqrt: one((g, x) => g.rsqrt(x), [3, 4], true),
  square: one((g, x) => g.square(x)),
  tanh: one((g, x) => g.tanh(x)),
  erf: one((g, x) => g.erf(x)),
  sigmoid: one((g, x) => g.sigmoid(x)),
  'add, broadcast': two((g, a, b) => g.add(a, b), [2, 3, 4], [3, 1]),
  'sub, broadcast': two((g, a, b) => g.sub(a, b), [4], [3, 4]),
  'mul, broadcast': two((g, a, b) => g.mul(a, b), [2, 1, 4], [3, 4]),
  'div, broadcast': two((g, a, b) => g.div(a, b), [3, 4], [4], true),
  select: two((g, a, b) => g.select(g.constant([1, 0, 1, 0], [4], 'bool'), a, b), [3, 4], [3, 1]),
  cast: one((g, x) => g.cast(g.cast(x, 'f32'), 'f32')),
  matmul: two((g, a, b) => g.matmul(a, b), [3, 5], [5, 4]),
  'matmul, a transposed': two((g, a, b) => g.matmul(a, b, { transposeA: true }), [5, 3], [5, 4]),
  'matmul, b transposed': two((g, a, b) => g.matmul(a, b, { transposeB: true }), [3, 5], [4, 5]),
  'matmul, both transposed': two((g, a, b) => g.matmul(a, b, { transposeA: true, transposeB: true }), [5, 3], [4, 5]),
  batchMatmul: two((g, a, b) => g.batchMatmul(a, b), [2, 3, 5], [2, 5, 4]),
  'batchMatmul, both transposed': two((g, a, b) => g.batchMatmul(a, b, { transposeA: true, transposeB: true }), [2, 5, 3], [2, 4, 5]),
  reshape: one((g, x) => g.reshape(x, [2, 6])),
  transpose: one((g, x) => g.transpose(x, [2, 0, 1]), [2, 3, 4]),
  slice: one((g, x) => g.slice(x, [1, 2], [2, 1])),
  pad: one((g, x) =>
    g.pad(x, [
      [1, 0],
      [0, 2],
    ]),
  ), // prettier-ignore
  concat: two((g, a, b) => g.concat([a, b], 1), [2, 3], [2, 4]),
  'split, one part unused': one((g, x) => {
    const [a, , c] = g.split(x, 1, [1, 2, 1])
    return g.mul(a, c)
  }),
  after: two((g, a, b) => g.mul(g.after(a, b), b), [3, 4], [3, 4]),
  broadcast: one((g, x) => g.broadcast(x, [2, 3, 4]), [3, 1]),
  sum: one((g, x) => g.sum(x, [0, 2], true), [2, 3, 4]),
  mean: one((g, x) => g.mean(x, [1]), [2, 3, 4]),
  'gather, one row twice': one((g, x) => g.gather(x, indices(g)), [3, 5]),
  segmentSum: one((g, x) => g.segmentSum(x, indices(g), 3), [4, 5]),
  scatterAdd: two((g, a, b) => g.scatterAdd(a, b, indices(g)), [3, 5], [4, 5]),
  softmax: one((g, x) => g.softmax(x)),
  crossEntropy: one((g, x) => g.crossEntropy(x, g.constant([1, 3, 0], [3], 'i32'))),
  'layer rmsNorm': two((g, x, w) => rmsNorm(g, x, w, 1e-5), [3, 4], [4]),
  'layer layerNorm': { inputs: [[3, 4], [4], [4]], build: (g, [x, w, b]) => layerNorm(g, x as Tensor, w as Tensor, b as Tensor, 1e-5) },
  'layer swiglu': two((g, a, b) => swiglu(g, a, b), [3, 4], [3, 4]),
  'layer geluTanh': one((g, x) => geluTanh(g, x)),
  'layer geluErf': one((g, x) => geluErf(g, x)),
  'layer sigmoidGate, silu': one((g, x) => sigmoidGate(g, x)),
  'layer sigmoidGate, quick GELU': one((g, x) => sigmoidGate(g, x, 1.702)),
  'layer relu': one((g, x) => relu(g, x)),
  'layer rotate': one((g, x) => rotate(g, x, ...angles(g)), [2, 3, 2, 4]),
  'layer attend, grouped and causal': {
    inputs: [
      [6, 16],
      [6, 8],
      [6, 8],
    ],
    build: (g, [q, k, v]) => {
      const heads = { heads: 4, kvHeads: 2, headDim: 4 }
      const split = (x: Tensor) => splitHeads(g, x, 2, 3, heads)
      return attend(g, groupQueries(g, q as Tensor, 2, 3, heads), split(k as Tensor), split(v as Tensor), causalMask(g, 3), 3, heads)
    },
  },
}

let backend: Backend
beforeAll(async () => {
  backend = await tensorFlow()
})
afterAll(() => backend.close())

let seed = 7
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
  return seed / 2 ** 32 - 0.5
}

test('every primitive with a vector-Jacobian product has a case', () => {
  const covered = new Set(Object.keys(CASES).map((name) => name.split(',')[0]))
  const missing = Object.values(primitives).filter((primitive) => 'vjp' in primitive && !covered.has(primitive.name))
  expect(missing.map(({ name }) => name)).toEqual([])
})

describe('the gradient equals the difference quotient', () => {
  test.each(Object.keys(CASES))('%s', async (name) => {
    const { inputs: shapes, build, positive } = CASES[name] as Case
    const g = new Builder()
    const inputs = shapes.map((shape, i) => g.feed(`x${i}`, shape, 'f32'))
    const output = build(g, inputs)
    // Random weights, so that no error cancels in the sum.
    const weights = Float32Array.from({ length: sizeOf(output.shape) }, () => random() * 2)
    const loss = g.sum(
      g.mul(output, g.constant(weights, output.shape, 'f32')),
      output.shape.map((_, axis) => axis),
    )
    const gradients = g.gradients(loss, inputs)
    const program = g.finish('check', { loss, ...Object.fromEntries(gradients.map((gradient, i) => [`d${i}`, gradient as Tensor])) })
    const executable = await backend.compile([program])
    const values = shapes.map((shape) => Float32Array.from({ length: sizeOf(shape) }, () => (positive ? 1 + random() : random() * 2)))
    const feeds = Object.fromEntries(values.map((value, i) => [`x${i}`, value]))
    const found = await executable.run('check', feeds)
    const step = 1 / 64
    for (const [i, value] of values.entries()) {
      for (let at = 0; at < value.length; at++) {
        const lossAt = async (offset: number) => {
          const moved = value.slice()
          moved[at] = (value[at] as number) + offset
          return (await executable.run('check', { ...feeds, [`x${i}`]: moved }, ['loss'])).loss?.[0] as number
        }
        // Fourth order, so that a step wide enough for float32 is still exact enough.
        const difference =
          (8 * ((await lossAt(step)) - (await lossAt(-step))) - ((await lossAt(2 * step)) - (await lossAt(-2 * step)))) / (12 * step)
        const gradient = (found[`d${i}`] as Float32Array)[at] as number
        expect(Math.abs(gradient - difference), `input ${i}, element ${at}: ${gradient} against ${difference}`).toBeLessThan(
          5e-4 * (1 + Math.abs(difference)),
        )
      }
    }
    executable.close()
  })
})

test('E-3: the backward pass writes nothing below the lowest wanted tensor', () => {
  const g = new Builder()
  let x = g.feed('x', [2, 4], 'f32')
  const weights = Array.from({ length: 6 }, (_, i) => g.read(g.variable(`w${i}`, [4, 4], 'f32')))
  for (const weight of weights) x = g.tanh(g.matmul(x, weight))
  const before = g.ops.length
  const loss = g.sum(x, [0, 1])
  const [last] = g.gradients(loss, weights.slice(-1))
  expect(last).not.toBeNull()
  // One block's worth: tanh' (3 ops), the product by the weight, and the broadcast and scalars of the sum; no product by any input.
  const products = g.ops.slice(before).filter(({ primitive }) => primitive.name === 'matmul')
  expect(products).toHaveLength(1)
})
