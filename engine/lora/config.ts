/** adapter_config.json as PEFT writes it: reading, refusing what is not built, and the settings of a new adapter (F-19, F-22). */
import * as z from 'zod'
import { EngineError } from '../errors'

const names = z.array(z.string().min(1).max(500)).max(10_000)
/** Absent and null mean the same in these files. */
const maybe = <T extends z.ZodType>(schema: T) => schema.nullish().transform((value) => value ?? undefined)

/** The fields that decide the arithmetic. Names are PEFT's. */
const schema = z.looseObject({
  peft_type: z.literal('LORA'),
  r: z.int().positive(),
  lora_alpha: z.number().positive(),
  lora_dropout: maybe(z.number().min(0).max(1)),
  bias: maybe(z.enum(['none', 'all', 'lora_only'])),
  target_modules: maybe(z.union([z.string().max(1000), names])),
  exclude_modules: maybe(z.union([z.string().max(1000), names])),
  modules_to_save: maybe(names),
  layers_to_transform: maybe(z.union([z.int().nonnegative(), z.array(z.int().nonnegative())])),
  layers_pattern: maybe(z.union([z.string().max(1000), names])),
  rank_pattern: maybe(z.record(z.string().max(1000), z.int().positive())),
  alpha_pattern: maybe(z.record(z.string().max(1000), z.number().positive())),
  use_dora: maybe(z.boolean()),
  use_rslora: maybe(z.boolean()),
  init_lora_weights: maybe(z.union([z.boolean(), z.string()])),
  base_model_name_or_path: maybe(z.string()),
  revision: maybe(z.string()),
})

/** An adapter's settings, defaults filled in. */
export interface AdapterConfig {
  /** Rank: rows of A and columns of B. */
  readonly r: number
  /** The change is scaled by alpha / r, or alpha / √r with `use_rslora`. */
  readonly lora_alpha: number
  /** Exact module paths or their ends, `all-linear`, or a regular expression over the whole path. */
  readonly target_modules: string | readonly string[]
  readonly exclude_modules: string | readonly string[]
  /** Modules trained and stored whole. */
  readonly modules_to_save: readonly string[]
  /** Blocks that get an adapter; empty: all. */
  readonly layers_to_transform: readonly number[]
  readonly layers_pattern: readonly string[]
  /** Rank or alpha of their own for modules whose path ends with the key (a regular expression). */
  readonly rank_pattern: Readonly<Record<string, number>>
  readonly alpha_pattern: Readonly<Record<string, number>>
  readonly use_dora: boolean
  readonly use_rslora: boolean
  /** Which biases of the base train: none, all, or those of adapted layers. */
  readonly bias: 'none' | 'all' | 'lora_only'
  /** true: A uniform in ±1/√in, B zero. `gaussian`: A normal with σ = 1/r, B zero. false: A and B uniform. */
  readonly init_lora_weights: true | false | 'gaussian'
  /** Share of A's inputs dropped in training. Only 0 is built. */
  readonly lora_dropout: number
  readonly base_model_name_or_path: string | null
  readonly revision: string | null
}

/** Refuses to train with dropout: PEFT would drop inputs of A that we would not. Scoring and answers know no dropout, so they may have it. */
export function refuseDropout({ lora_dropout: dropout }: Pick<AdapterConfig, 'lora_dropout'>): void {
  if (dropout !== 0)
    throw new EngineError('unsupported', 'dropout on the inputs of an adapter is not built', {
      where: 'lora_dropout',
      expected: '0',
      got: String(dropout),
      fix: 'train it with lora_dropout 0',
    })
}

/** The settings of a new adapter where nothing is said (formats.md section 1). */
export const ADAPTER_DEFAULTS: AdapterConfig = {
  r: 16,
  lora_alpha: 32,
  target_modules: 'all-linear',
  exclude_modules: [],
  modules_to_save: [],
  layers_to_transform: [],
  layers_pattern: [],
  rank_pattern: {},
  alpha_pattern: {},
  use_dora: false,
  use_rslora: false,
  bias: 'none',
  init_lora_weights: true,
  lora_dropout: 0,
  base_model_name_or_path: null,
  revision: null,
}

/** Fields that change nothing in what the adapter computes. */
const HARMLESS = new Set([
  'auto_mapping',
  'ensure_weight_tying',
  'fan_in_fan_out',
  'inference_mode',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'runtime_config',
  'task_type',
])

const asksForNothing = (value: unknown): boolean =>
  value === undefined || value === null || value === false || (typeof value === 'object' && Object.keys(value).length === 0)

/**
 * Reads adapter_config.json's contents. Throws `unsupported` for a kind of adapter or a field that is not built (PiSSA, OLoRA, LoftQ and
 * their like change the base, F-22), `bad_file` for a missing or wrong field; both name the field.
 */
export function parseAdapterConfig(json: unknown, where = 'adapter_config.json'): AdapterConfig {
  const refuse = (field: string, got: unknown, expected: string): never => {
    throw new EngineError('unsupported', `the adapter asks for something that Thaw does not have: ${field}`, {
      where: `${where}, ${field}`,
      got: JSON.stringify(got)?.slice(0, 100) ?? 'nothing',
      expected,
      fix: 'merge the adapter into its base with PEFT, and load the result',
    })
  }
  const type = typeof json === 'object' && json !== null ? (json as { peft_type?: unknown }).peft_type : undefined
  if (typeof type === 'string' && type !== 'LORA') refuse('peft_type', type, 'LORA')
  const parsed = schema.safeParse(json)
  if (!parsed.success)
    throw new EngineError('bad_file', `the adapter's configuration is not valid: ${z.prettifyError(parsed.error)}`, {
      where: `${where}, ${parsed.error.issues[0]?.path.join('.') ?? ''}`,
    })
  const c = parsed.data
  const known = new Set(Object.keys(schema.shape))
  for (const [field, value] of Object.entries(c))
    if (!known.has(field) && !HARMLESS.has(field) && !asksForNothing(value)) refuse(field, value, 'null')
  const init = c.init_lora_weights ?? true
  if (typeof init === 'string' && init !== 'gaussian') refuse('init_lora_weights', init, 'true, false or "gaussian"')
  const list = <T>(value: T | readonly T[] | undefined): readonly T[] =>
    value === undefined ? [] : Array.isArray(value) ? value : [value as T]
  return {
    r: c.r,
    lora_alpha: c.lora_alpha,
    target_modules: c.target_modules ?? [],
    exclude_modules: c.exclude_modules ?? [],
    modules_to_save: c.modules_to_save ?? [],
    layers_to_transform: list(c.layers_to_transform),
    layers_pattern: list(c.layers_pattern),
    rank_pattern: c.rank_pattern ?? {},
    alpha_pattern: c.alpha_pattern ?? {},
    use_dora: c.use_dora ?? false,
    use_rslora: c.use_rslora ?? false,
    bias: c.bias ?? 'none',
    init_lora_weights: init as AdapterConfig['init_lora_weights'],
    lora_dropout: c.lora_dropout ?? 0,
    base_model_name_or_path: c.base_model_name_or_path ?? null,
    revision: c.revision ?? null,
  }
}

/**
 * A regular expression of an adapter's configuration over a whole module path, or over its end. Files come from strangers: an expression
 * that could take for ever on a short text, one that repeats a group, is refused.
 */
export function modulePattern(source: string, field: string, part: 'whole' | 'end' = 'whole'): RegExp {
  if (/\)[*+{?]/.test(source) || source.length > 1000)
    throw new EngineError('unsupported', 'this pattern repeats a group', {
      where: `${field}: ${source.slice(0, 100)}`,
      expected: 'names, |, . and * or + after single characters',
      fix: 'list the modules by name',
    })
  try {
    return new RegExp(part === 'end' ? `^(?:.*\\.)?(?:${source})$` : `^(?:${source})$`)
  } catch (cause) {
    throw new EngineError('bad_argument', 'this is not a regular expression', { where: `${field}: ${source.slice(0, 100)}`, cause })
  }
}

/** Rank and scale of one module: by the patterns' first match, else the adapter's own (F-20). */
export function scaleOf(config: AdapterConfig, module: string): { r: number; scale: number } {
  const own = (patterns: Readonly<Record<string, number>>, field: string) =>
    Object.entries(patterns).find(([key]) => modulePattern(key, field, 'end').test(module))?.[1]
  const r = own(config.rank_pattern, 'rank_pattern') ?? config.r
  const alpha = own(config.alpha_pattern, 'alpha_pattern') ?? config.lora_alpha
  return { r, scale: alpha / (config.use_rslora ? Math.sqrt(r) : r) }
}
