/** Ops that move elements without computing. */
import { int, type } from '../lowering'
import { type Primitive, type Shape, sizeOf, type Tensor, type TensorType } from '../types'
import { at, checkAxis, refuse } from './check'

export const reshape: Primitive<{ shape: Shape }> = {
  name: 'reshape',
  infer: (inputs, { shape }) => {
    const x = at(inputs, 0, 'reshape')
    if (sizeOf(x.shape) !== sizeOf(shape)) refuse('reshape', inputs, 'the number of elements differs', `[${shape.join(', ')}]`)
    return [{ shape, dtype: x.dtype }]
  },
  vjp: ({ g, inputs: [x], gradients: [dy] }) => [x && dy ? g.reshape(dy, x.shape) : null],
  cost: () => ({ flops: 0, bytes: 0 }),
  lower: (emit, [x], { attributes, outputTypes: [out] }) => [
    emit.node('Reshape', [x as string, emit.ints(attributes.shape)], { T: type((out as TensorType).dtype), Tshape: type('i32') }),
  ],
}

/** Output axis i is input axis permutation[i]. */
export const transpose: Primitive<{ permutation: readonly number[] }> = {
  name: 'transpose',
  infer: (inputs, { permutation }) => {
    const x = at(inputs, 0, 'transpose')
    const complete = permutation.length === x.shape.length && x.shape.every((_, i) => permutation.includes(i))
    if (!complete) refuse('transpose', inputs, `[${permutation.join(', ')}] is no permutation of its axes`)
    return [{ shape: permutation.map((axis) => x.shape[axis] as number), dtype: x.dtype }]
  },
  vjp: ({ g, gradients: [dy], attributes: { permutation } }) => [
    dy
      ? g.transpose(
          dy,
          permutation.map((_, i) => permutation.indexOf(i)),
        )
      : null,
  ],
  lower: (emit, [x], { attributes, outputTypes: [out] }) => [
    emit.node('Transpose', [x as string, emit.ints(attributes.permutation)], { T: type((out as TensorType).dtype), Tperm: type('i32') }),
  ],
}

export const slice: Primitive<{ begin: Shape; size: Shape }> = {
  name: 'slice',
  infer: (inputs, { begin, size }) => {
    const x = at(inputs, 0, 'slice')
    const inside =
      begin.length === x.shape.length &&
      size.length === begin.length &&
      begin.every((from, i) => from >= 0 && from + (size[i] as number) <= (x.shape[i] as number))
    if (!inside) refuse('slice', inputs, `[${begin.join(', ')}] + [${size.join(', ')}] is outside`)
    return [{ shape: size, dtype: x.dtype }]
  },
  vjp: ({ g, inputs: [x], gradients: [dy], attributes: { begin, size } }) =>
    x && dy
      ? [
          g.pad(
            dy,
            begin.map((from, i) => [from, (x.shape[i] as number) - from - (size[i] as number)] as const),
          ),
        ]
      : [],
  lower: (emit, [x], { attributes, outputTypes: [out] }) => [
    emit.node('Slice', [x as string, emit.ints(attributes.begin), emit.ints(attributes.size)], {
      T: type((out as TensorType).dtype),
      Index: type('i32'),
    }),
  ],
}

/** Zeros before and after, per axis. */
export const pad: Primitive<{ paddings: readonly (readonly [number, number])[] }> = {
  name: 'pad',
  infer: (inputs, { paddings }) => {
    const x = at(inputs, 0, 'pad')
    if (paddings.length !== x.shape.length) refuse('pad', inputs, `${paddings.length} paddings for ${x.shape.length} axes`)
    return [{ shape: x.shape.map((size, i) => size + (paddings[i]?.[0] ?? 0) + (paddings[i]?.[1] ?? 0)), dtype: x.dtype }]
  },
  vjp: ({ g, inputs: [x], gradients: [dy], attributes: { paddings } }) => [
    x && dy
      ? g.slice(
          dy,
          paddings.map(([before]) => before),
          x.shape,
        )
      : null,
  ],
  lower: (emit, [x], { attributes, outputTypes: [out] }) => [
    emit.node('Pad', [x as string, emit.constant(attributes.paddings.flat(), [attributes.paddings.length, 2], 'i32')], {
      T: type((out as TensorType).dtype),
      Tpaddings: type('i32'),
    }),
  ],
}

export const concat: Primitive<{ axis: number }> = {
  name: 'concat',
  infer: (inputs, { axis }) => {
    const first = at(inputs, 0, 'concat')
    checkAxis('concat', first, axis)
    for (const input of inputs) {
      const fits =
        input.dtype === first.dtype &&
        input.shape.length === first.shape.length &&
        input.shape.every((size, i) => i === axis || size === first.shape[i])
      if (!fits) refuse('concat', inputs, `the inputs differ outside axis ${axis}`)
    }
    const total = inputs.reduce((sum, input) => sum + (input.shape[axis] as number), 0)
    return [{ shape: first.shape.map((size, i) => (i === axis ? total : size)), dtype: first.dtype }]
  },
  vjp: ({ g, inputs, gradients: [dy], attributes: { axis } }) =>
    dy
      ? g.split(
          dy,
          axis,
          inputs.map((input) => input.shape[axis] as number),
        )
      : [],
  lower: (emit, inputs, { attributes, outputTypes: [out] }) => [
    emit.node('ConcatV2', [...inputs, emit.int(attributes.axis)], {
      N: int(inputs.length),
      T: type((out as TensorType).dtype),
      Tidx: type('i32'),
    }),
  ],
}

/** The reverse of concat: one output per size. */
export const split: Primitive<{ axis: number; sizes: readonly number[] }> = {
  name: 'split',
  infer: (inputs, { axis, sizes }) => {
    const x = at(inputs, 0, 'split')
    checkAxis('split', x, axis)
    if (sizes.reduce((a, b) => a + b, 0) !== x.shape[axis]) refuse('split', inputs, `sizes ${sizes.join(' + ')} do not fill axis ${axis}`)
    return sizes.map((size) => ({ shape: x.shape.map((old, i) => (i === axis ? size : old)), dtype: x.dtype }))
  },
  vjp: ({ g, outputs, gradients, attributes: { axis } }) => {
    const parts = gradients.map((gradient, i): Tensor => gradient ?? g.zeros((outputs[i] as Tensor).shape, (outputs[i] as Tensor).dtype))
    return [g.concat(parts, axis)]
  },
  lower: (emit, [x], { attributes, outputTypes }) => {
    const first = emit.node('SplitV', [x as string, emit.ints(attributes.sizes), emit.int(attributes.axis)], {
      num_split: int(outputTypes.length),
      T: type((outputTypes[0] as TensorType).dtype),
      Tlen: type('i32'),
    })
    return outputTypes.map((_, i) => (i ? `${first}:${i}` : first))
  },
}

export const broadcast: Primitive<{ shape: Shape }> = {
  name: 'broadcast',
  infer: (inputs, { shape }) => {
    const x = at(inputs, 0, 'broadcast')
    const offset = shape.length - x.shape.length
    const fits = offset >= 0 && x.shape.every((size, i) => size === 1 || size === shape[offset + i])
    if (!fits) refuse('broadcast', inputs, `does not broadcast to [${shape.join(', ')}]`)
    return [{ shape, dtype: x.dtype }]
  },
  vjp: ({ g, inputs: [x], gradients: [dy] }) => [x && dy ? g.unbroadcast(dy, x.shape) : null],
  lower: (emit, [x], { attributes, outputTypes: [out] }) => [
    emit.node('BroadcastTo', [x as string, emit.ints(attributes.shape)], { T: type((out as TensorType).dtype), Tidx: type('i32') }),
  ],
}

/**
 * Its first input, but not before the second has been computed. For backward passes that compute something again instead of keeping it: without
 * this, TensorFlow would see the same op on the same input twice, merge the two and keep the result all the way.
 */
export const after: Primitive<Record<never, never>> = {
  name: 'after',
  infer: (inputs) => {
    at(inputs, 1, 'after')
    return [at(inputs, 0, 'after')]
  },
  vjp: ({ gradients: [dy] }) => [dy ?? null, null],
  cost: () => ({ flops: 0, bytes: 0 }),
  lower: (emit, [x, trigger], { outputTypes: [out] }) => [
    emit.node('Identity', [x as string], { T: type((out as TensorType).dtype) }, { control: [trigger as string] }),
  ],
}
