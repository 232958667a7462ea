/**
 * Adapters: a base model with small trained matrices beside some of its own (LoRA, rsLoRA, DoRA). An adapted model is a source of weights
 * like any other, whose list of parameters holds those of the adapter under PEFT's names; training it means training `trainable`, and all
 * of the base stays frozen.
 *
 *   const adapted = createAdapter(model, { r: 16, target_modules: 'all-linear' }, { seed: 42 })
 *   for await (const event of train({ backend, weights: adapted, trainable: adapted.trainable, … }))
 *     if (event.type === 'done') await saveAdapter('adapter', await withValues(adapted, event.weights))
 */
import { Random } from '../data/random'
import { EngineError } from '../errors'
import { sizeOf } from '../graph/types'
import type { LowRank, Model, ParameterSpec } from '../models/architecture'
import type { WeightSource } from '../session'
import { ADAPTER_DEFAULTS, type AdapterConfig, refuseDropout, scaleOf } from './config'
import { changedMatrix, rowNorms } from './merge'
import { moduleOf, targetsOf, wholeOf } from './modules'

/** What an adapter adds to a source of weights. */
export interface Adaptation {
  readonly config: AdapterConfig
  /** Parameters of base and adapter, and which belong together. */
  readonly model: Model & { readonly adapters: ReadonlyMap<string, LowRank> }
  /** What an adapter file holds, and what its training changes: the low-rank matrices, magnitudes, and whatever trains whole. */
  readonly trainable: readonly string[]
  /** Current value of any parameter, the adapter's among them. */
  read(name: string): Float32Array
}
export type Adapted<Base extends WeightSource> = Omit<Base, 'model' | 'read'> & Adaptation & { readonly base: Base }

/**
 * The description of a model with an adapter: no values. A tied model whose head or embedding gets weights of its own is untied (F-23).
 * Throws `bad_argument` for settings that select nothing, `unsupported` for embeddings.
 */
export function adaptModel(base: Model, config: AdapterConfig): Pick<Adaptation, 'model' | 'trainable'> {
  const model = untied(base, config)
  const targets = targetsOf(model, config)
  const adapters = new Map<string, LowRank>()
  const added: Record<'a' | 'b' | 'magnitudes' | 'derived', ParameterSpec[]> = { a: [], b: [], magnitudes: [], derived: [] }
  for (const spec of targets) {
    const module = moduleOf(spec.name)
    const { r, scale } = scaleOf(config, module)
    const [outputs, inputs] = spec.outputAxis === 1 ? [...spec.shape].reverse() : spec.shape
    const own = { block: spec.block, part: spec.part }
    const name = { a: `${module}.lora_A.weight`, b: `${module}.lora_B.weight` }
    const matrix = { ...own, role: 'matrix', outputAxis: 0 } as const
    const fuse = spec.fuse ? { fuse: `${spec.fuse}.lora_A` } : {}
    added.a.push({ ...matrix, ...fuse, name: name.a, shape: [r, inputs as number] })
    added.b.push({ ...matrix, name: name.b, shape: [outputs as number, r] })
    const magnitude = config.use_dora ? `${module}.lora_magnitude_vector` : undefined
    const squares = `${module}.lora_base_squares`
    if (magnitude) {
      added.magnitudes.push({ ...own, role: 'vector', name: magnitude, shape: [outputs as number] })
      added.derived.push({ ...own, role: 'vector', name: squares, shape: [outputs as number], derived: true })
    }
    adapters.set(spec.name, { ...name, scale, ...(magnitude && { magnitude, squares }) })
  }
  const whole = wholeOf(model, config, new Set(adapters.keys()))
  // Rows that share an input stand together (see ParameterSpec.fuse), so the A's come first.
  const extra = [...added.a, ...added.b, ...added.magnitudes]
  return {
    model: { ...model, parameters: [...model.parameters, ...extra, ...added.derived], adapters },
    trainable: [...extra.map(({ name }) => name), ...whole],
  }
}

/** The model with a head of its own, where the settings give head or embedding other weights than the other has. */
function untied(model: Model, config: AdapterConfig): Model {
  if (!model.config.tiedEmbeddings) return model
  const own = { ...model.config, tiedEmbeddings: false }
  const apart: Model = { ...model, config: own, parameters: model.architecture.parameters(own) }
  const shared = [model.architecture.head(model.config), apart.architecture.head(own)].map(moduleOf)
  const named = [...config.modules_to_save, ...(Array.isArray(config.target_modules) ? config.target_modules : [])]
  return named.some((name) => shared.some((module) => module === name || module.endsWith(`.${name}`))) ? apart : model
}

/**
 * A new adapter with PEFT's initial values: it computes what the base computes, unless `init_lora_weights` is false. Throws `unsupported` for
 * lora_dropout other than 0.
 */
export function createAdapter<Base extends WeightSource>(
  base: Base,
  settings: Partial<AdapterConfig> = {},
  { seed = 42 }: { seed?: number } = {},
): Adapted<Base> {
  const config = { ...ADAPTER_DEFAULTS, ...settings }
  refuseDropout(config)
  const shape = adaptModel(base.model, config)
  const values = new Map<string, Float32Array>()
  const specs = new Map(shape.model.parameters.map((spec) => [spec.name, spec]))
  for (const { a, b } of shape.model.adapters.values())
    for (const name of [a, b]) values.set(name, initialValues(specs.get(name) as ParameterSpec, config, name === a, seed))
  const adapted = assemble(base, config, shape, values)
  for (const [name, adapter] of shape.model.adapters)
    if (adapter.magnitude) values.set(adapter.magnitude, rowNorms(changedMatrix(adapted, name), specs.get(name) as ParameterSpec))
  return adapted
}

/** nn.Linear's own initial values are uniform in ±1/√inputs (Kaiming, a = √5). */
function initialValues(
  { name, shape }: ParameterSpec,
  { init_lora_weights: init }: AdapterConfig,
  isA: boolean,
  seed: number,
): Float32Array {
  const values = new Float32Array(sizeOf(shape))
  if (!isA && init !== false) return values
  const random = Random.of(seed, `adapter ${name}`)
  if (init === 'gaussian') {
    // Box and Muller; 1 − u is never 0.
    const deviation = 1 / (shape[0] as number)
    for (let i = 0; i < values.length; i++)
      values[i] = deviation * Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform())
  } else {
    const bound = 1 / Math.sqrt(shape[1] as number)
    for (let i = 0; i < values.length; i++) values[i] = (2 * random.uniform() - 1) * bound
  }
  return values
}

const specOf = (model: Model, name: string): ParameterSpec => model.parameters.find((spec) => spec.name === name) as ParameterSpec

/** Puts base, description and values together. `values` has the adapter's own parameters, and may have others of the base. */
export function assemble<Base extends WeightSource>(
  base: Base,
  config: AdapterConfig,
  { model, trainable }: Pick<Adaptation, 'model' | 'trainable'>,
  values: ReadonlyMap<string, Float32Array>,
): Adapted<Base> {
  const known = new Set(base.model.parameters.map(({ name }) => name))
  const tiedHead = base.model.architecture.head(base.model.config)
  const squares = new Map([...model.adapters].flatMap(([name, adapter]) => (adapter.squares ? [[adapter.squares, name] as const] : [])))
  const read = (name: string): Float32Array => {
    const own = values.get(name)
    if (own) return own
    const weight = squares.get(name)
    if (weight !== undefined) return rowNorms(read(weight), specOf(model, weight)).map((length) => length ** 2)
    // An untied head begins as the embedding.
    const from = known.has(name) || name !== model.architecture.head(model.config) ? name : tiedHead
    if (!known.has(from)) throw new EngineError('missing', 'the adapter has no such parameter', { where: name })
    return base.read(from)
  }
  return { ...base, base, config, model, trainable, read }
}

/** The adapted model with trained values in place of its own; they are copied, so the training may go on or end. */
export async function withValues<Base extends WeightSource>(
  adapted: Adapted<Base>,
  trained: { readonly names: readonly string[]; read(name: string): Promise<Float32Array> },
): Promise<Adapted<Base>> {
  const values = new Map<string, Float32Array>()
  for (const name of adapted.trainable)
    values.set(name, (trained.names.includes(name) ? await trained.read(name) : adapted.read(name)).slice())
  return assemble(adapted.base, adapted.config, adapted, values)
}
