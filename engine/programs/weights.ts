/**
 * Where a model's parameters live: which variable, at which rows, in which dtype. Pure; every program of one executable uses the same
 * plan, and reading and writing by parameter name goes through it.
 */
import type { Executable } from '../backends/backend'
import { EngineError } from '../errors'
import type { Builder } from '../graph/builder'
import { type DType, type Shape, sizeOf, type Variable } from '../graph/types'
import type { Model, ParameterSpec } from '../models/architecture'
import type { Precision } from './spec'

/** One variable and the parameters it holds, one after the other along the axis of their outputs (the first, unless `transposed`). */
export interface StoredWeight {
  /** Variable name: the parameter's own, or `<prefix>.<fused name>`. */
  readonly name: string
  readonly shape: Shape
  readonly dtype: Extract<DType, 'f32' | 'bf16'>
  readonly trainable: boolean
  /** A matrix [out, in] that lies as [in, out]: see `planWeights`. */
  readonly transposed?: boolean
  /** Absent: it is written before use. */
  readonly initial?: 'zeros'
  readonly parameters: readonly { readonly spec: ParameterSpec; readonly offset: number; readonly size: number }[]
}

export interface WeightPlan {
  readonly model: Model
  readonly precision: Precision
  readonly trainable: ReadonlySet<string>
  readonly stored: readonly StoredWeight[]
  /** By parameter name. */
  readonly of: ReadonlyMap<string, StoredWeight>
}

/**
 * Trainable weights are float32 masters. In bf16 precision the frozen matrices and tables are kept as bf16 only: they are cast once, when
 * written, and take half the memory. Norm weights and biases are always float32.
 * `trainable` holds exact parameter names; an unknown one is refused. Empty for evaluation and generation.
 *
 * `fuseTrainable: false` gives every trainable parameter a variable of its own, for optimizers that look at whole parameters.
 * `inputsFirst` keeps frozen [out, in] matrices as [in, out]. With few rows TensorFlow's float32 product of x by such a matrix is twice as fast
 * as by its transpose (24 rows: 115–133 against 41–70 GFLOP/s on two cores), with thousands as fast or faster; in bf16 there is no difference.
 */
export function planWeights(
  model: Model,
  {
    trainable,
    precision,
    inputsFirst = false,
    fuseTrainable = true,
  }: { trainable: readonly string[]; precision: Precision; inputsFirst?: boolean; fuseTrainable?: boolean },
): WeightPlan {
  const open = new Set(trainable)
  const known = new Set(model.parameters.map(({ name }) => name))
  for (const name of open)
    if (!known.has(name))
      throw new EngineError('bad_argument', 'the model has no such parameter', { where: name, fix: 'use the names that the model lists' })

  const stored: StoredWeight[] = []
  const add = (name: string, specs: readonly ParameterSpec[]) => {
    const [first] = specs as [ParameterSpec]
    const isTrainable = open.has(first.name)
    let offset = 0
    const parameters = specs.map((spec) => {
      const own = { spec, offset, size: sizeOf(spec.shape) }
      offset += own.size
      return own
    })
    const rows = specs.reduce((sum, spec) => sum + (spec.shape[0] as number), 0)
    const transposed = inputsFirst && !isTrainable && first.role === 'matrix' && first.outputAxis === 0
    const shape = specs.length === 1 ? first.shape : [rows, ...first.shape.slice(1)]
    stored.push({
      name,
      shape: transposed ? [...shape].reverse() : shape,
      ...(transposed && { transposed }),
      dtype: precision === 'bf16' && !isTrainable && first.role !== 'vector' ? 'bf16' : 'f32',
      trainable: isTrainable,
      parameters,
    })
  }
  for (let i = 0; i < model.parameters.length; ) {
    const spec = model.parameters[i] as ParameterSpec
    let end = i + 1
    while (spec.fuse !== undefined && model.parameters[end]?.fuse === spec.fuse) end++
    const group = model.parameters.slice(i, end)
    const alike = group.every(({ name }) => open.has(name) === open.has(spec.name)) && (fuseTrainable || !open.has(spec.name))
    if (alike) add(group.length > 1 ? (spec.fuse as string) : spec.name, group)
    else for (const single of group) add(single.name, [single])
    i = end
  }
  const of = new Map(stored.flatMap((weight) => weight.parameters.map(({ spec }) => [spec.name, weight] as const)))
  return { model, precision, trainable: open, stored, of }
}

/** Kinds of state that belong to a trainable weight besides its value. */
export type Moment = 'first' | 'second' | 'rows' | 'columns' | 'gradient' | 'average'
export const stateName = (weight: StoredWeight, moment: Moment): string => `${weight.name}/${moment}`
export const declareWeight = (g: Builder, weight: StoredWeight): Variable =>
  g.variable(weight.name, weight.shape, weight.dtype, weight.initial)
/** `shape`: where it is not the weight's own. */
export const declareState = (g: Builder, weight: StoredWeight, moment: Moment, shape: Shape = weight.shape): Variable =>
  g.variable(stateName(weight, moment), shape, 'f32', 'zeros')

/** The same model with the running averages in place of the trained weights, for programs that look and for reading. */
export function averagedPlan(plan: WeightPlan): WeightPlan {
  const stored = plan.stored.map(
    (weight): StoredWeight => (weight.trainable ? { ...weight, name: stateName(weight, 'average'), initial: 'zeros' } : weight),
  )
  const of = new Map(stored.flatMap((weight) => weight.parameters.map(({ spec }) => [spec.name, weight] as const)))
  return { ...plan, stored, of }
}

/**
 * Writes parameters into an executable, one variable at a time: nothing else is held besides the session's memory. `read` gives float32
 * values in Hugging Face layout. Parameters whose variable no program uses are skipped.
 */
export async function writeWeights(
  executable: Executable,
  plan: WeightPlan,
  read: (name: string) => Float32Array | Promise<Float32Array>,
  onProgress?: (done: number, total: number) => void,
): Promise<void> {
  const used = plan.stored.filter((weight) => executable.variables.has(weight.name))
  for (const [i, weight] of used.entries()) {
    await executable.writeVariable(weight.name, await joined(weight, read))
    onProgress?.(i + 1, used.length)
  }
}

/**
 * Reads trainable parameters (or one of their moments) by name, for saving. Holds the last variable that was read, so that neighbours in one
 * variable cost one fetch when they are asked for one after the other; the values must not change meanwhile.
 */
export function trainableReader(executable: Executable, plan: WeightPlan, moment: Moment | null): (name: string) => Promise<Float32Array> {
  let held: { weight: StoredWeight; values: Float32Array } | null = null
  return async (name) => {
    const { weight, place } = placeOf(plan, name)
    if (!weight.trainable) throw new EngineError('bad_argument', 'this parameter is not trained', { where: name })
    if (held?.weight !== weight)
      held = { weight, values: (await executable.readVariable(moment ? stateName(weight, moment) : weight.name)) as Float32Array }
    return weight.parameters.length === 1 ? held.values : held.values.slice(place.offset, place.offset + place.size)
  }
}

/** Current value of a parameter, float32 in Hugging Face layout. */
export async function readWeight(executable: Executable, plan: WeightPlan, name: string): Promise<Float32Array> {
  return part(executable, plan, name, (weight) => weight.name)
}

/** Adam's moment (or the gradient sum) of a trainable parameter. */
export async function readMoment(executable: Executable, plan: WeightPlan, name: string, moment: Moment): Promise<Float32Array> {
  return part(executable, plan, name, (weight) => stateName(weight, moment))
}

/** Restores moments of all trainable parameters, for resuming. `shapeOf`: see stateShape; it differs only for parameters on their own. */
export async function writeMoments(
  executable: Executable,
  plan: WeightPlan,
  moment: Moment,
  read: (name: string) => Float32Array | Promise<Float32Array>,
  shapeOf: (shape: Shape) => Shape | null = (shape) => shape,
): Promise<void> {
  for (const weight of plan.stored) {
    const shape = weight.trainable ? shapeOf(weight.shape) : null
    if (!shape) continue
    // A state of another shape belongs to a parameter on its own.
    const values =
      sizeOf(shape) === sizeOf(weight.shape) ? await joined(weight, read) : await read(weight.parameters[0]?.spec.name as string)
    await executable.writeVariable(stateName(weight, moment), values)
  }
}

function placeOf(plan: WeightPlan, name: string) {
  const weight = plan.of.get(name)
  const place = weight?.parameters.find(({ spec }) => spec.name === name)
  if (!weight || !place) throw new EngineError('bad_argument', 'the model has no such parameter', { where: name })
  return { weight, place }
}

async function part(
  executable: Executable,
  plan: WeightPlan,
  name: string,
  variable: (weight: StoredWeight) => string,
): Promise<Float32Array> {
  const { weight, place } = placeOf(plan, name)
  const held = (await executable.readVariable(variable(weight))) as Float32Array
  const values = weight.transposed ? transpose(held, weight.shape as [number, number]) : held
  return weight.parameters.length === 1 ? values : values.slice(place.offset, place.offset + place.size)
}

/** Elements of a cache line: in squares of it, and written along the line, a matrix costs 2.4 ns an element; in larger ones up to twice that. */
const SQUARE = 16

/** Values of a matrix [rows, columns] as [columns, rows]. */
function transpose(values: Float32Array, [rows, columns]: readonly [number, number]): Float32Array {
  const out = new Float32Array(values.length)
  for (let left = 0; left < columns; left += SQUARE) {
    const right = Math.min(columns, left + SQUARE)
    for (let top = 0; top < rows; top += SQUARE) {
      const bottom = Math.min(rows, top + SQUARE)
      for (let column = left; column < right; column++)
        for (let row = top; row < bottom; row++) out[column * rows + row] = values[row * columns + column] as number
    }
  }
  return out
}

async function joined(weight: StoredWeight, read: (name: string) => Float32Array | Promise<Float32Array>): Promise<Float32Array> {
  const values = weight.parameters.length === 1 ? null : new Float32Array(sizeOf(weight.shape))
  for (const { spec, offset, size } of weight.parameters) {
    const own = await read(spec.name)
    if (own.length !== size)
      throw new EngineError('shape', 'a weight has another size than the model', {
        where: spec.name,
        expected: `${size} ([${spec.shape.join(', ')}])`,
        got: String(own.length),
      })
    if (!values) return weight.transposed ? transpose(own, spec.shape as [number, number]) : own
    values.set(own, offset)
  }
  const [inputs, outputs] = weight.shape as [number, number]
  return weight.transposed ? transpose(values as Float32Array, [outputs, inputs]) : (values as Float32Array)
}
