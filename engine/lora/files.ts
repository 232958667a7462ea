/** Adapters from and to PEFT folders. */
import { EngineError } from '../errors'
import { readAdapterFolder, writeAdapterFolder } from '../formats/peft'
import type { ParameterSpec } from '../models/architecture'
import type { WeightSource } from '../session'
import { type Adapted, adaptModel, assemble } from './adapter'
import { type AdapterConfig, parseAdapterConfig } from './config'
import { moduleOf } from './modules'

const PARTS = /\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector)$/
/** PEFT's place for the weights of a layer that has a change beside it. */
const BASE_LAYER = /\.base_layer\.(weight|bias)$/

/**
 * Opens an adapter folder over its base. Which layers it changes is what its file holds, not what its configuration would select. Throws
 * `mismatch` where file, configuration and base do not fit together, with the first tensor that is too much, missing or misshapen.
 */
export function loadAdapter<Base extends WeightSource>(base: Base, folder: string): Adapted<Base> {
  const files = readAdapterFolder(folder)
  const parsed = parseAdapterConfig(files.config, `${folder}/adapter_config.json`)
  const modules = new Set([...files.tensors.keys()].filter((name) => PARTS.test(name)).map((name) => name.replace(PARTS, '')))
  const bases = new Set(base.model.parameters.map(({ name }) => moduleOf(name)))
  const foreign = [...modules].find((module) => !bases.has(module) && module !== 'lm_head')
  const refuse = (message: string, where: string, facts: { expected?: string; got?: string } = {}): never => {
    throw new EngineError('mismatch', message, {
      where: `${folder}, ${where}`,
      fix: 'choose the model that the adapter was trained on',
      ...facts,
    })
  }
  if (foreign) refuse('the adapter belongs to another model: this one has no such layer', foreign)
  // Exact paths: the selection cannot differ from the file.
  const exact: AdapterConfig = { ...parsed, target_modules: [...modules], exclude_modules: [], layers_to_transform: [], layers_pattern: [] }
  for (const name of files.tensors.keys())
    if (name.includes('.lora_embedding_'))
      throw new EngineError('unsupported', 'an embedding cannot get a low-rank change', { where: `${folder}, ${name}` })
  const shape = adaptModel(base.model, exact)
  const specs = new Map(shape.model.parameters.map((spec) => [spec.name, spec]))
  const values = new Map<string, Float32Array>()
  for (const name of shape.trainable) {
    const stored = files.tensors.get(name) ?? files.tensors.get(name.replace(/\.(?=bias$)/, '.base_layer.'))
    const expected = (specs.get(name) as ParameterSpec).shape
    if (!stored) return refuse('a tensor of the adapter is missing', name)
    if (stored.shape.join() !== expected.join())
      refuse('a tensor of the adapter does not have the shape that its configuration and this model ask for', name, {
        expected: `[${expected}]`,
        got: `[${stored.shape}]`,
      })
    values.set(name, stored.values)
  }
  for (const [name, stored] of files.tensors) {
    const plain = name.replace(BASE_LAYER, '.$1')
    if (values.has(plain)) continue
    // PEFT writes a copy of the head along where it has a change beside it.
    if (plain === name) refuse('the adapter holds a tensor that its configuration does not speak of', name)
    const own = base.model.parameters.some((spec) => spec.name === plain) ? base.read(plain) : null
    if (own?.length !== stored.values.length || own.some((value, i) => value !== stored.values[i]))
      refuse('the adapter was trained beside other weights than this model has', name)
  }
  return assemble(base, { ...parsed, target_modules: shortNames(base, modules, parsed) }, shape, values)
}

/** The settings as the file has them, unless they are a wish that only PEFT's own list of layers can tell. */
function shortNames(base: WeightSource, modules: ReadonlySet<string>, { target_modules }: AdapterConfig): string | readonly string[] {
  return typeof target_modules === 'string' ? targetNames(base, [...modules]) : target_modules
}

/** The shortest list that PEFT would resolve to exactly these modules: their last names, or whole paths where those would take more. */
function targetNames({ model }: WeightSource, modules: readonly string[]): string[] {
  const last = (module: string) => module.slice(module.lastIndexOf('.') + 1)
  const names = new Set(modules.map(last))
  const all = model.parameters.filter(({ role }) => role === 'matrix').map(({ name }) => moduleOf(name))
  const same = all.filter((module) => names.has(last(module))).length === modules.filter((module) => all.includes(module)).length
  return (same ? [...names] : [...modules]).sort()
}

/**
 * Writes adapter_config.json and adapter_model.safetensors as PEFT does; PEFT's `PeftModel.from_pretrained` loads the folder. Target layers
 * are written by name, so that `all-linear` and patterns mean the same everywhere. Returns the names of the files.
 */
export async function saveAdapter<Base extends WeightSource>(
  folder: string,
  adapted: Adapted<Base>,
  { metadata }: { metadata?: Record<string, string> } = {},
): Promise<string[]> {
  const { config, model } = adapted
  const specs = new Map(model.parameters.map((spec) => [spec.name, spec]))
  const transposed = [...model.adapters.keys()].some((name) => specs.get(name)?.outputAxis === 1)
  const orNull = <T>(list: T): T | null => ((list as readonly unknown[] | string).length ? list : null)
  return writeAdapterFolder(folder, {
    config: {
      peft_type: 'LORA',
      task_type: 'CAUSAL_LM',
      base_model_name_or_path: config.base_model_name_or_path,
      revision: config.revision,
      r: config.r,
      lora_alpha: config.lora_alpha,
      lora_dropout: config.lora_dropout,
      bias: config.bias,
      target_modules: targetNames(adapted, [...model.adapters.keys()].map(moduleOf)),
      exclude_modules: null,
      modules_to_save: orNull(config.modules_to_save),
      fan_in_fan_out: transposed,
      layers_to_transform: null,
      layers_pattern: null,
      rank_pattern: config.rank_pattern,
      alpha_pattern: config.alpha_pattern,
      use_dora: config.use_dora,
      use_rslora: config.use_rslora,
      init_lora_weights: config.init_lora_weights,
      inference_mode: true,
    },
    tensors: adapted.trainable.map((name) => ({
      name: model.adapters.has(name.replace(/\.bias$/, '.weight')) ? name.replace(/\.(?=bias$)/, '.base_layer.') : name,
      shape: specs.get(name)?.shape ?? [],
      values: adapted.read(name),
    })),
    ...(metadata && { metadata }),
  })
}
