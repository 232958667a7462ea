/** Fused kernels that the backends have for networks. */
import { type } from '../lowering'
import { type Primitive, sizeOf, type TensorType } from '../types'
import { at, refuse } from './check'

type None = Record<never, never>

/** Over the last axis, float32. */
export const softmax: Primitive<None> = {
  name: 'softmax',
  infer: (inputs) => {
    const x = at(inputs, 0, 'softmax')
    if (x.dtype !== 'f32' || x.shape.length === 0) refuse('softmax', inputs, 'needs float32 with at least one axis')
    return [x]
  },
  // dx = y · (dy − Σ dy·y)
  vjp: ({ g, outputs: [y], gradients: [dy] }) => {
    if (!(y && dy)) return []
    const weighted = g.mul(dy, y)
    return [g.sub(weighted, g.mul(y, g.sum(weighted, [y.shape.length - 1], true)))]
  },
  cost: (inputs) => ({ flops: 5 * sizeOf(at(inputs, 0, 'softmax').shape), bytes: 0 }),
  lower: (emit, inputs) => [emit.node('Softmax', inputs, { T: type('f32') })],
}

/**
 * logits f32 [n, classes], labels i32 [n] → cross-entropy in nats f32 [n], and its gradient by the logits (softmax − one-hot), which costs
 * the same pass.
 */
export const crossEntropy: Primitive<None> = {
  name: 'crossEntropy',
  infer: (inputs) => {
    const [logits, labels] = [at(inputs, 0, 'crossEntropy'), at(inputs, 1, 'crossEntropy')]
    const fits =
      logits.dtype === 'f32' &&
      labels.dtype === 'i32' &&
      logits.shape.length === 2 &&
      labels.shape.length === 1 &&
      labels.shape[0] === logits.shape[0]
    if (!fits) refuse('crossEntropy', inputs, 'the inputs do not fit', 'f32[n, classes] and i32[n]')
    return [{ shape: labels.shape, dtype: 'f32' }, logits]
  },
  vjp: ({ g, outputs: [, difference], gradients: [dy] }) =>
    difference && dy ? [g.mul(difference, g.reshape(dy, [...dy.shape, 1])), null] : [],
  cost: (inputs) => ({ flops: 8 * sizeOf(at(inputs, 0, 'crossEntropy').shape), bytes: 0 }),
  lower: (emit, inputs) => {
    const node = emit.node('SparseSoftmaxCrossEntropyWithLogits', inputs, { T: type('f32'), Tlabels: type('i32') })
    return [node, `${node}:1`]
  },
}

/** Σ x² / 2 over everything: half the squared norm in one pass. */
export const halfSquaredNorm: Primitive<None> = {
  name: 'halfSquaredNorm',
  infer: (inputs) => {
    if (at(inputs, 0, 'halfSquaredNorm').dtype !== 'f32') refuse('halfSquaredNorm', inputs, 'needs float32')
    return [{ shape: [], dtype: 'f32' }]
  },
  cost: (inputs) => ({ flops: 2 * sizeOf(at(inputs, 0, 'halfSquaredNorm').shape), bytes: 0 }),
  lower: (emit, inputs, { inputTypes: [x] }) => [emit.node('L2Loss', inputs, { T: type((x as TensorType).dtype) })],
}
