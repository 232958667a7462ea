/** Constants and variables. Effects on one variable happen in the order in which they were written down. */
import { type } from '../lowering'
import { type DType, type Primitive, type Shape, sameShape, sizeOf, type TensorType, type Variable } from '../types'
import { at, refuse } from './check'

export type ConstantValue = { values: ArrayLike<number>; shape: Shape; dtype: DType }
export const constant: Primitive<ConstantValue> = {
  name: 'constant',
  infer: (_, { values, shape, dtype }) => {
    if (values.length !== sizeOf(shape)) refuse('constant', [{ shape, dtype }], `${values.length} values do not fill it`)
    return [{ shape, dtype }]
  },
  cost: () => ({ flops: 0, bytes: 0 }),
  lower: (emit, _, { attributes }) => [emit.constant(attributes.values, attributes.shape, attributes.dtype)],
}

/** One value everywhere, without storing it everywhere. */
export const fillShape: Primitive<{ value: number; shape: Shape; dtype: DType }> = {
  name: 'fillShape',
  infer: (_, { shape, dtype }) => [{ shape, dtype }],
  lower: (emit, _, { attributes: { value, shape, dtype } }) => [
    emit.node('Fill', [emit.ints(shape), emit.float(value, dtype)], { T: type(dtype), index_type: type('i32') }),
  ],
}

export const read: Primitive<{ variable: Variable }> = {
  name: 'read',
  effect: 'read',
  infer: (_, { variable }) => [{ shape: variable.shape, dtype: variable.dtype }],
  cost: () => ({ flops: 0, bytes: 0 }),
  lower: (emit, _, { attributes }) => [emit.read(attributes.variable)],
}

const mustFit = (name: string, variable: Variable, inputs: readonly TensorType[]) => {
  const value = at(inputs, 0, name)
  if (value.dtype !== variable.dtype || !sameShape(value.shape, variable.shape))
    refuse(name, inputs, `does not fit the variable ${variable.name}`, `${variable.dtype}[${variable.shape.join(', ')}]`)
}

export const assign: Primitive<{ variable: Variable }> = {
  name: 'assign',
  effect: 'write',
  infer: (inputs, { variable }) => {
    mustFit('assign', variable, inputs)
    return []
  },
  lower: (emit, inputs, { attributes: { variable } }) => {
    emit.write(variable, 'AssignVariableOp', [emit.handle(variable), ...inputs], { dtype: type(variable.dtype) })
    return []
  },
}

export const assignAdd: Primitive<{ variable: Variable }> = {
  name: 'assignAdd',
  effect: 'write',
  infer: (inputs, { variable }) => {
    mustFit('assignAdd', variable, inputs)
    return []
  },
  lower: (emit, inputs, { attributes: { variable } }) => {
    emit.write(variable, 'AssignAddVariableOp', [emit.handle(variable), ...inputs], { dtype: type(variable.dtype) })
    return []
  },
}

export type AdamState = { variable: Variable; first: Variable; second: Variable; beta1: number; beta2: number }
/**
 * m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − stepSize · m / (√v + epsilon), in one pass.
 * Inputs: gradient, stepSize f32[], epsilon f32[]. The caller folds bias correction into the two scalars (see programs/adam.ts).
 */
export const adam: Primitive<AdamState> = {
  name: 'adam',
  effect: 'write',
  infer: (inputs, { variable }) => {
    mustFit('adam', variable, inputs)
    if (variable.dtype !== 'f32') refuse('adam', inputs, `${variable.name} is not float32`)
    return []
  },
  cost: (inputs) => ({ flops: 12 * sizeOf(at(inputs, 0, 'adam').shape), bytes: 28 * sizeOf(at(inputs, 0, 'adam').shape) }),
  lower: (emit, [gradient, stepSize, epsilon], { attributes: { variable, first, second, beta1, beta2 } }) => {
    // With both powers fed as zero the kernel's own bias correction is the factor one.
    const zero = emit.float(0, 'f32')
    const handles = [emit.handle(variable), emit.handle(first), emit.handle(second)]
    emit.write(
      variable,
      'ResourceApplyAdam',
      [
        ...handles,
        zero,
        zero,
        stepSize as string,
        emit.float(beta1, 'f32'),
        emit.float(beta2, 'f32'),
        epsilon as string,
        gradient as string,
      ],
      { T: type('f32'), use_locking: { bool: false }, use_nesterov: { bool: false } },
    )
    return []
  },
}

/**
 * Replaces rows of a variable [n, width] in place and gives the variable's new value. Inputs: rows i32 [k], values [k, width].
 * For key/value caches: nothing else of the same program may read the variable before, and the variable must have been assigned a value
 * computed for it alone, because equal constants and zeros may share one buffer.
 */
export const updateRows: Primitive<{ variable: Variable }> = {
  name: 'updateRows',
  effect: 'write',
  infer: (inputs, { variable }) => {
    const [rows, values] = [at(inputs, 0, 'updateRows'), at(inputs, 1, 'updateRows')]
    const fits =
      rows.dtype === 'i32' &&
      values.dtype === variable.dtype &&
      sameShape(values.shape, [rows.shape[0] ?? 0, ...variable.shape.slice(1)]) &&
      rows.shape.length === 1
    if (!fits) refuse('updateRows', inputs, `does not fit the variable ${variable.name}`)
    return [{ shape: variable.shape, dtype: variable.dtype }]
  },
  lower: (emit, [rows, values], { attributes: { variable } }) => {
    // InplaceUpdate writes into the buffer that the variable and its read value share: no copy of the cache for one new token.
    const current = emit.read(variable)
    return [emit.write(variable, 'InplaceUpdate', [current, rows as string, values as string], { T: type(variable.dtype) })]
  },
}
