/**
 * Every primitive in tfjs-core, for machines without TensorFlow. Correct first: only matrix products, which take nearly all the time, are
 * arranged for speed. bf16 is computed in float32.
 */
import * as tf from '@tensorflow/tfjs-core'
import * as p from '../graph/primitives/table'
import type { DType, Primitive, Variable } from '../graph/types'

export const TFJS_TYPE: Readonly<Record<DType, 'float32' | 'int32' | 'bool'>> = {
  f32: 'float32',
  bf16: 'float32',
  i32: 'int32',
  bool: 'bool',
}

/** State between calls. */
export interface Variables {
  get(variable: Variable): tf.Tensor
  /** Takes over the tensor. */
  set(variable: Variable, value: tf.Tensor): void
}

type Kernel<A> = (inputs: readonly tf.Tensor[], attributes: A, variables: Variables) => readonly tf.Tensor[]
const kernels = new Map<string, Kernel<unknown>>()
function define<A>(primitive: Primitive<A>, kernel: Kernel<A>): void {
  kernels.set(primitive.name, kernel as Kernel<unknown>)
}
export const kernelOf = (name: string): Kernel<unknown> | undefined => kernels.get(name)

const first = (inputs: readonly tf.Tensor[]) => inputs[0] as tf.Tensor
const second = (inputs: readonly tf.Tensor[]) => inputs[1] as tf.Tensor
const third = (inputs: readonly tf.Tensor[]) => inputs[2] as tf.Tensor

for (const [primitive, apply] of [
  [p.neg, tf.neg],
  [p.exp, tf.exp],
  [p.log, tf.log],
  [p.sqrt, tf.sqrt],
  [p.rsqrt, tf.rsqrt],
  [p.square, tf.square],
  [p.tanh, tf.tanh],
  [p.erf, tf.erf],
  [p.sigmoid, tf.sigmoid],
] as const)
  define(primitive, ([x]) => [apply(x as tf.Tensor)])
for (const [primitive, apply] of [
  [p.add, tf.add],
  [p.sub, tf.sub],
  [p.mul, tf.mul],
  [p.div, tf.div],
  [p.minimum, tf.minimum],
  [p.maximum, tf.maximum],
  [p.less, tf.less],
  [p.lessEqual, tf.lessEqual],
  [p.equal, tf.equal],
  [p.and, tf.logicalAnd],
] as const)
  define(primitive, ([a, b]) => [apply(a as tf.Tensor, b as tf.Tensor)])
define(p.select, (inputs) => {
  const shape = tf.broadcastTo(
    first(inputs),
    tf.backend_util.assertAndGetBroadcastShape(
      first(inputs).shape,
      tf.backend_util.assertAndGetBroadcastShape(second(inputs).shape, third(inputs).shape),
    ),
  )
  return [tf.where(shape, second(inputs), third(inputs))]
})
define(p.cast, (inputs, { dtype }) => [tf.cast(first(inputs), TFJS_TYPE[dtype])])

define(p.reshape, (inputs, { shape }) => [tf.reshape(first(inputs), [...shape])])
define(p.transpose, (inputs, { permutation }) => [tf.transpose(first(inputs), [...permutation])])
define(p.slice, (inputs, { begin, size }) => [tf.slice(first(inputs), [...begin], [...size])])
define(p.pad, (inputs, { paddings }) => [
  tf.pad(
    first(inputs),
    paddings.map(([before, after]) => [before, after]),
  ),
])
define(p.concat, (inputs, { axis }) => [tf.concat([...inputs], axis)])
define(p.split, (inputs, { axis, sizes }) => tf.split(first(inputs), [...sizes], axis))
define(p.after, (inputs) => [first(inputs).clone()])
define(p.broadcast, (inputs, { shape }) => [tf.broadcastTo(first(inputs), [...shape])])

define(p.sum, (inputs, { axes, keep }) => [tf.sum(first(inputs), [...axes], keep)])
define(p.mean, (inputs, { axes, keep }) => [tf.mean(first(inputs), [...axes], keep)])
define(p.max, (inputs, { axes, keep }) => [tf.max(first(inputs), [...axes], keep)])
define(p.argMax, (inputs) => [tf.argMax(first(inputs), first(inputs).rank - 1)])

define(p.gather, (inputs) => [tf.gather(first(inputs), second(inputs) as tf.Tensor1D)])
// The wasm backend has no segment sum; scatterND adds duplicates up. Its rows must be two-dimensional indices.
const scatter = (rows: tf.Tensor, indices: tf.Tensor, shape: readonly number[]) =>
  tf.scatterND(tf.reshape(indices, [indices.size, 1]) as tf.Tensor2D, rows, [...shape])
define(p.segmentSum, (inputs, { count }) => [scatter(first(inputs), second(inputs), [count, ...first(inputs).shape.slice(1)])])
define(p.scatterAdd, (inputs) => [tf.add(first(inputs), scatter(second(inputs), third(inputs), first(inputs).shape))])

define(p.softmax, (inputs) => [tf.softmax(first(inputs))])
define(p.crossEntropy, (inputs) => {
  const logits = first(inputs)
  const shifted = tf.sub(logits, tf.max(logits, 1, true))
  const exponentials = tf.exp(shifted)
  const sums = tf.sum(exponentials, 1, true)
  const oneHot = tf.cast(tf.oneHot(tf.cast(second(inputs), 'int32') as tf.Tensor1D, logits.shape[1] as number), 'float32')
  const loss = tf.sub(tf.log(tf.squeeze(sums, [1])), tf.sum(tf.mul(shifted, oneHot), 1))
  return [loss, tf.sub(tf.div(exponentials, sums), oneHot)]
})
define(p.halfSquaredNorm, (inputs) => [tf.mul(tf.sum(tf.square(first(inputs))), 0.5)])

define(p.constant, (_, { values, shape, dtype }) => [
  tf.tensor(
    dtype === 'i32' ? Int32Array.from(values) : dtype === 'bool' ? Uint8Array.from(values) : Float32Array.from(values),
    [...shape],
    TFJS_TYPE[dtype],
  ),
])
define(p.fillShape, (_, { value, shape, dtype }) => [tf.fill([...shape], value, TFJS_TYPE[dtype])])
define(p.read, (_, { variable }, variables) => [variables.get(variable).clone()])
define(p.assign, (inputs, { variable }, variables) => {
  variables.set(variable, first(inputs).clone())
  return []
})
define(p.assignAdd, (inputs, { variable }, variables) => {
  variables.set(variable, tf.add(variables.get(variable), first(inputs)))
  return []
})
define(p.adam, (inputs, { variable, first: m, second: v, beta1, beta2 }, variables) => {
  const [gradient, stepSize, epsilon] = [first(inputs), second(inputs), third(inputs)]
  // 1 − β in float32, as TensorFlow's kernel has it: adamFeeds() divides the difference out.
  const rest = (beta: number) => Math.fround(1 - Math.fround(beta))
  const toward = (old: tf.Tensor, target: tf.Tensor, beta: number) => tf.add(old, tf.mul(tf.sub(target, old), rest(beta)))
  const mean = toward(variables.get(m), gradient, beta1)
  const square = toward(variables.get(v), tf.square(gradient), beta2)
  variables.set(variable, tf.sub(variables.get(variable), tf.div(tf.mul(mean, stepSize), tf.add(tf.sqrt(square), epsilon))))
  variables.set(m, mean)
  variables.set(v, square)
  return []
})
define(p.updateRows, (inputs, { variable }, variables) => {
  const [rows, values] = [first(inputs), second(inputs)]
  const changed = scatter(tf.onesLike(values), rows, variable.shape)
  const updated = tf.where(tf.cast(changed, 'bool'), scatter(values, rows, variable.shape), variables.get(variable))
  variables.set(variable, updated.clone())
  return [updated]
})

/**
 * One product of matrices without flags, the only form that the wasm backend does fast. XNNPACK packs the right operand once per buffer and
 * does not look at the shape again: a second reshape of one buffer there gives wrong numbers, so the right operand is always a tensor of
 * its own. The larger operand goes to the left, where nothing is packed or copied.
 */
function product(a: tf.Tensor2D, b: tf.Tensor2D, transposeA: boolean, transposeB: boolean): tf.Tensor {
  if (tf.getBackend() !== 'wasm') return tf.matMul(a, b, transposeA, transposeB)
  const plain = (x: tf.Tensor2D, flip: boolean) => (flip ? tf.transpose(x) : x)
  const own = (x: tf.Tensor2D, flip: boolean) => (flip ? tf.transpose(x) : tf.mul<tf.Tensor2D>(x, 1))
  if (b.size > a.size) return tf.transpose(tf.matMul(plain(b, !transposeB), own(a, !transposeA)))
  return tf.matMul(plain(a, transposeA), own(b, transposeB))
}
define(p.matmul, (inputs, { transposeA, transposeB }) => [
  product(first(inputs) as tf.Tensor2D, second(inputs) as tf.Tensor2D, transposeA, transposeB),
])
define(p.batchMatmul, (inputs, { transposeA, transposeB }) => {
  const [a, b] = [first(inputs), second(inputs)]
  if (tf.getBackend() !== 'wasm') return [tf.matMul(a, b, transposeA, transposeB)]
  const batch = a.shape.slice(0, -2)
  const count = batch.reduce((x, y) => x * y, 1)
  const parts = (x: tf.Tensor) => tf.unstack(tf.reshape(x, [count, ...x.shape.slice(-2)]))
  const [left, right] = [parts(a), parts(b)]
  const products = left.map((x, i) => product(x as tf.Tensor2D, right[i] as tf.Tensor2D, transposeA, transposeB))
  return [tf.reshape(tf.stack(products), [...batch, ...(products[0] as tf.Tensor).shape])]
})
