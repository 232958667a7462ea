/** Which modules of a model an adapter's settings mean, by PEFT's rules. */
import { EngineError } from '../errors'
import type { Model, ParameterSpec } from '../models/architecture'
import { type AdapterConfig, modulePattern } from './config'

/** Path of the module that owns a parameter: `model.layers.0.mlp.up_proj` of `model.layers.0.mlp.up_proj.weight`. */
export const moduleOf = (parameter: string): string => parameter.slice(0, parameter.lastIndexOf('.'))

/** The path itself, or its end after a dot. */
const endsWith = (module: string, name: string): boolean => module === name || module.endsWith(`.${name}`)

/** A module whose path ends so, or one inside it. As in PEFT the end need not be a whole name: `norm` means `input_layernorm` too. */
const within = (module: string, name: string): boolean => module.endsWith(name) || module.includes(`${name}.`)

/**
 * Weights that get a low-rank change, in the model's order. `all-linear` means every matrix but the head. Throws `bad_argument` for settings
 * that select nothing, and for a name that no module has; `unsupported` for an embedding.
 */
export function targetsOf(model: Model, config: AdapterConfig): ParameterSpec[] {
  const head = model.architecture.head(model.config)
  const candidates = model.parameters.filter(({ name, role }) => role === 'matrix' || name === head)
  const modules = candidates.map(({ name }) => moduleOf(name))
  const targets = config.target_modules
  if (Array.isArray(targets)) {
    for (const target of targets) {
      if (modules.some((module) => endsWith(module, target))) continue
      if (model.parameters.some(({ name, role }) => role === 'table' && endsWith(moduleOf(name), target)))
        throw new EngineError('unsupported', 'an embedding cannot get a low-rank change', {
          where: `target_modules: ${target}`,
          fix: 'train it whole: put it into modules_to_save',
        })
      throw new EngineError('bad_argument', `no linear layer of this model is called "${target}"`, {
        where: 'target_modules',
        expected: [...new Set(modules.map((module) => module.slice(module.lastIndexOf('.') + 1)))].join(', '),
      })
    }
  }
  const wanted = selector(targets, 'target_modules', head)
  const excluded = selector(config.exclude_modules, 'exclude_modules', '')
  const saved = (module: string) => config.modules_to_save.some((name) => within(module, name))
  const chosen = candidates.filter((spec) => {
    const module = moduleOf(spec.name)
    return wanted(spec.name, module) && !excluded(spec.name, module) && !saved(module) && inLayers(config, module, spec.block)
  })
  if (!chosen.length)
    throw new EngineError('bad_argument', 'the adapter changes nothing', {
      where: 'target_modules',
      got: JSON.stringify(targets),
      fix: 'name at least one linear layer',
    })
  return chosen
}

function selector(targets: string | readonly string[], field: string, head: string): (name: string, module: string) => boolean {
  if (typeof targets !== 'string') return (_, module) => targets.some((target) => endsWith(module, target))
  if (targets.toLowerCase() === 'all-linear') return (name) => name !== head
  const pattern = modulePattern(targets, field)
  return (_, module) => pattern.test(module)
}

function inLayers({ layers_to_transform: layers, layers_pattern: patterns }: AdapterConfig, module: string, block: number | null): boolean {
  if (!layers.length) return true
  if (block === null || !layers.includes(block)) return false
  return !patterns.length || patterns.some((name) => `.${module}.`.includes(`.${name}.${block}.`))
}

/** Parameters of the base that train whole beside the low-rank changes: `modules_to_save`, and biases. */
export function wholeOf(model: Model, config: AdapterConfig, adapted: ReadonlySet<string>): string[] {
  for (const name of config.modules_to_save)
    if (!model.parameters.some((spec) => within(moduleOf(spec.name), name)))
      throw new EngineError('bad_argument', `no module of this model is called "${name}"`, { where: 'modules_to_save' })
  return model.parameters
    .filter(({ name }) => {
      const module = moduleOf(name)
      if (config.modules_to_save.some((saved) => within(module, saved))) return true
      if (!name.endsWith('.bias') || config.bias === 'none') return false
      return config.bias === 'all' || adapted.has(`${module}.weight`)
    })
    .map(({ name }) => name)
}
