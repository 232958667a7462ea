/** Folding an adapter into its base: what comes out is a model like any other. In float32 with sums in float64 (F-23). */
import { EngineError } from '../errors'
import type { LowRank, Model, ParameterSpec } from '../models/architecture'
import type { WeightSource } from '../session'
import type { Adapted } from './adapter'

type Readable = { readonly model: Model; read(name: string): Float32Array }

function partsOf({ model }: Readable, name: string): { spec: ParameterSpec; adapter: LowRank; rank: number } {
  const adapter = model.adapters?.get(name)
  const spec = model.parameters.find((known) => known.name === name)
  const a = model.parameters.find((known) => known.name === adapter?.a)
  if (!adapter || !spec || !a) throw new EngineError('bad_argument', 'the adapter does not change this parameter', { where: name })
  return { spec, adapter, rank: a.shape[0] as number }
}

/** Sizes of a matrix and the distance of its elements along outputs and inputs, whichever way it is stored. */
function layoutOf({ shape, outputAxis }: ParameterSpec) {
  const [rows, columns] = shape as [number, number]
  return outputAxis === 1
    ? { outputs: columns, inputs: rows, outputStep: 1, inputStep: columns }
    : { outputs: rows, inputs: columns, outputStep: columns, inputStep: 1 }
}

/** W + scale · B·A in the layout of W, without DoRA's magnitudes. */
export function changedMatrix(source: Readable, name: string): Float32Array {
  const { spec, adapter, rank } = partsOf(source, name)
  const merged = Float32Array.from(source.read(name))
  const [a, b] = [source.read(adapter.a), source.read(adapter.b)]
  const { outputs, inputs, outputStep, inputStep } = layoutOf(spec)
  const row = new Float64Array(inputs)
  for (let o = 0; o < outputs; o++) {
    row.fill(0)
    for (let k = 0; k < rank; k++) {
      const factor = b[o * rank + k] as number
      if (factor === 0) continue
      for (let i = 0; i < inputs; i++) row[i] = (row[i] as number) + factor * (a[k * inputs + i] as number)
    }
    for (let i = 0; i < inputs; i++) {
      const at = o * outputStep + i * inputStep
      merged[at] = (merged[at] as number) + adapter.scale * (row[i] as number)
    }
  }
  return merged
}

/** Euclidean length of the weights that lead to each output. */
export function rowNorms(matrix: Float32Array, spec: ParameterSpec): Float32Array {
  const { outputs, inputs, outputStep, inputStep } = layoutOf(spec)
  return Float32Array.from({ length: outputs }, (_, o) => {
    let sum = 0
    for (let i = 0; i < inputs; i++) sum += (matrix[o * outputStep + i * inputStep] as number) ** 2
    return Math.sqrt(sum)
  })
}

/** A weight with its low-rank change and magnitudes folded in. */
export function mergedMatrix(source: Readable, name: string): Float32Array {
  const { spec, adapter } = partsOf(source, name)
  const matrix = changedMatrix(source, name)
  if (!adapter.magnitude) return matrix
  const magnitudes = source.read(adapter.magnitude)
  const norms = rowNorms(matrix, spec)
  const { outputs, inputs, outputStep, inputStep } = layoutOf(spec)
  for (let o = 0; o < outputs; o++) {
    const factor = (magnitudes[o] as number) / (norms[o] as number)
    for (let i = 0; i < inputs; i++) {
      const at = o * outputStep + i * inputStep
      matrix[at] = (matrix[at] as number) * factor
    }
  }
  return matrix
}

/**
 * The adapted model as a plain one: its parameters are those of the base, `read` gives merged values, one matrix at a time. Of a loaded
 * model, a loaded model: saveModel writes it as a folder, with its own head where the adapter untied it.
 */
export function mergeAdapter<Base extends WeightSource>(adapted: Adapted<Base>): Base {
  const { base, model, trainable } = adapted
  const { adapters, ...plain } = model
  const own = new Set([...adapters.values()].flatMap(({ a, b, magnitude, squares }) => [a, b, magnitude, squares]))
  const parameters = model.parameters.filter(({ name }) => !own.has(name))
  const untied = base.model.config.tiedEmbeddings && !model.config.tiedEmbeddings
  const loaded = base as Partial<{ source: { config: object }; changed: readonly string[] }>
  const changed = new Set([...(loaded.changed ?? []), ...adapters.keys(), ...trainable.filter((name) => !own.has(name))])
  return {
    ...base,
    ...(loaded.source && untied && { source: { ...loaded.source, config: { ...loaded.source.config, tie_word_embeddings: false } } }),
    ...(loaded.changed && { changed: [...changed] }),
    model: { ...plain, parameters },
    read: (name: string) => (adapters.has(name) ? mergedMatrix(adapted, name) : adapted.read(name)),
  }
}
