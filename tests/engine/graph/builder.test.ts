import { describe, expect, test } from 'vitest'
import { Builder } from '../../../engine/graph/builder'
import { ropeFrequencies, ropeTable } from '../../../engine/graph/layers/rope'

describe('a shape error names the primitive and both shapes', () => {
  const g = new Builder()
  const f = (name: string, ...shape: number[]) => g.feed(name, shape, 'f32')
  test.each([
    ['add', () => g.add(f('a', 2, 3), f('b', 2, 4)), /^add: .*f32\[2, 3\] and f32\[2, 4\]/],
    ['matmul', () => g.matmul(f('a', 2, 3), f('c', 4, 5)), /^matmul: .*inner sizes 3 and 4.*f32\[2, 3\] and f32\[4, 5\]/],
    ['matmul', () => g.matmul(f('a', 2, 3), g.feed('i', [3, 3], 'i32')), /^matmul: .*dtype.*f32\[2, 3\] and i32\[3, 3\]/],
    ['batchMatmul', () => g.batchMatmul(f('d', 2, 3, 4), f('e', 3, 4, 5)), /^batchMatmul: .*batch axes.*f32\[2, 3, 4\] and f32\[3, 4, 5\]/],
    ['reshape', () => g.reshape(f('a', 2, 3), [4, 2]), /^reshape: .*expected \[4, 2\]; got f32\[2, 3\]/],
    ['concat', () => g.concat([f('a', 2, 3), f('g', 3, 3)], 1), /^concat: .*f32\[2, 3\] and f32\[3, 3\]/],
    ['gather', () => g.gather(f('a', 2, 3), f('h', 2)), /^gather: .*f32\[2, 3\] and f32\[2\]/],
    ['softmax', () => g.softmax(g.cast(f('a', 2, 3), 'bf16')), /^softmax: .*bf16\[2, 3\]/],
    ['assign', () => g.assign(g.variable('v', [2], 'f32'), f('k', 3)), /^assign: .*variable v.*expected f32\[2\]; got f32\[3\]/],
  ])('%s', (_, build, message) => {
    expect(build).toThrowError(message)
  })
})

test('ops that no fetch needs are left out, and so are their feeds; writes stay', () => {
  const g = new Builder()
  const [x, unused] = [g.feed('x', [2], 'f32'), g.feed('unused', [2], 'f32')]
  g.exp(unused)
  const variable = g.variable('v', [2], 'f32', 'zeros')
  g.assign(variable, g.square(x))
  const program = g.finish('p', { y: g.neg(x) })
  expect(program.ops.map(({ primitive }) => primitive.name)).toEqual(['square', 'assign', 'neg'])
  expect(Object.keys(program.feeds)).toEqual(['x'])
})

test('the cost of a product counts multiply and add', () => {
  const g = new Builder()
  const y = g.matmul(g.feed('a', [3, 5], 'f32'), g.feed('b', [5, 7], 'f32'))
  expect(g.finish('p', { y }).cost).toEqual({ flops: 2 * 3 * 5 * 7, bytes: 4 * (15 + 35 + 21) })
})

test('a cast inside a hand-differentiated layer does not swallow gradients outside it', () => {
  const g = new Builder()
  const x = g.feed('x', [2], 'f32')
  const inner = g.composite(
    [x],
    () => g.cast(g.cast(x, 'bf16'), 'f32'),
    (dy) => [dy],
  )
  const outer = g.cast(g.cast(x, 'bf16'), 'f32')
  const [gradient] = g.gradients(g.sum(g.add(inner, outer), [0]), [x])
  // Both branches arrive: the gradient is a sum.
  expect(g.ops.some(({ primitive, outputs }) => primitive.name === 'add' && outputs[0] === gradient)).toBe(true)
})

test('llama3 scaling keeps fast angles, slows slow ones and blends between', () => {
  const scaling = { type: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 32 } as const
  const plain = ropeFrequencies(16, 10000, { type: 'default' })
  const scaled = ropeFrequencies(16, 10000, scaling)
  for (const [i, frequency] of plain.entries()) {
    const wavelength = (2 * Math.PI) / frequency
    if (wavelength < 32 / 4) expect(scaled[i]).toBe(frequency)
    else if (wavelength > 32) expect(scaled[i]).toBeCloseTo(frequency / 8, 15)
    else expect(scaled[i]).toBeGreaterThan(frequency / 8)
  }
  const { cos, sin } = ropeTable(plain, 3)
  for (let i = 0; i < 8; i++) expect((cos[16 + i] as number) ** 2 + (sin[16 + i] as number) ** 2).toBeCloseTo(1, 6)
})
