/** What the configuration files of different architectures share, in both spellings (hub, and transformers 5). */
import * as z from 'zod'
import { EngineError } from '../errors'
import type { RopeScaling } from '../graph/layers/rope'

export const count = z.int().positive()
/** Present as null in many files. */
export const optional = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined)

/** Refuses a setting that would change the arithmetic and is not built, by name. */
export function unsupported(field: string, got: unknown, expected: string): never {
  throw new EngineError('unsupported', `the model's configuration asks for something that Thaw does not have: ${field}`, {
    where: `config.json, ${field}`,
    got: JSON.stringify(got),
    expected,
    fix: 'choose another model',
  })
}

/**
 * Settings that no architecture here has, whatever its name: refused before anything else, so that the message names what is in the way.
 * A field that is absent, null, false, empty, or the count of one expert asks for nothing.
 */
export function refuseForeign(config: unknown): void {
  if (typeof config !== 'object' || config === null) return
  for (const [fields, expected] of FOREIGN)
    for (const field of fields) {
      const value = (config as Record<string, unknown>)[field]
      if (value === undefined || value === null || value === false || value === 0 || value === 1) continue
      if (typeof value === 'object' && Object.keys(value).length === 0) continue
      unsupported(field, value, expected)
    }
}
const FOREIGN: readonly (readonly [readonly string[], string])[] = [
  [['quantization_config'], 'unquantised weights, or a GGUF file'],
  [['num_experts', 'num_local_experts', 'n_routed_experts', 'moe_intermediate_size', 'enable_moe_block'], 'a dense model, without experts'],
  [['vision_config', 'vision_tower', 'audio_config'], 'a model of text alone'],
  [['use_bidirectional_attention', 'is_encoder_decoder'], 'a causal decoder'],
]

/** One set of rotary settings. */
export const ropeSettings = z.looseObject({
  rope_type: optional(z.string()),
  /** Older files say `type`. */
  type: optional(z.string()),
  rope_theta: optional(z.number().positive()),
  factor: optional(z.number().positive()),
  low_freq_factor: optional(z.number().positive()),
  high_freq_factor: optional(z.number().positive()),
  original_max_position_embeddings: optional(count),
})

/** Fields of config.json that describe rotary embedding; spread into an architecture's schema. */
export const ropeFields = {
  rope_theta: optional(z.number().positive()),
  rope_scaling: optional(ropeSettings),
  rope_parameters: optional(ropeSettings),
}

export interface RopeSettings {
  readonly theta: number
  readonly scaling: RopeScaling
}

/** theta and scaling out of either spelling. */
export function readRope(config: Partial<z.output<z.ZodObject<typeof ropeFields>>>, defaultTheta = 10000): RopeSettings {
  const settings: Partial<z.output<typeof ropeSettings>> = config.rope_parameters ?? config.rope_scaling ?? {}
  const field = config.rope_parameters ? 'rope_parameters' : 'rope_scaling'
  const theta = config.rope_parameters?.rope_theta ?? config.rope_theta ?? defaultTheta
  const type = settings.rope_type ?? settings.type ?? 'default'
  const need = (name: 'factor' | 'low_freq_factor' | 'high_freq_factor' | 'original_max_position_embeddings') =>
    settings[name] ?? unsupported(`${field}.${name}`, null, `a number, for rope_type ${type}`)
  if (type === 'default') return { theta, scaling: { type } }
  if (type === 'linear') return { theta, scaling: { type, factor: need('factor') } }
  if (type === 'llama3')
    return {
      theta,
      scaling: {
        type,
        factor: need('factor'),
        lowFrequencyFactor: need('low_freq_factor'),
        highFrequencyFactor: need('high_freq_factor'),
        originalContext: need('original_max_position_embeddings'),
      },
    }
  return unsupported(`${field}.rope_type`, type, 'default, linear or llama3')
}
