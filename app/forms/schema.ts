/**
 * From a node's params schema to the fields of its form (UX-40). Reads the JSON Schema that zod makes of it, so a param is described
 * once, beside its node, and everything else follows. What JSON Schema cannot say (refinements) comes from parsing, see `nodes/_kit/problems.ts`.
 *
 * Read with care (TC-35): `z.int()` brings bounds near ±2⁵³, which are hidden; `nullable` and `auto` become `anyOf` members; a
 * discriminated union becomes `oneOf` with a `const` in each member and no `discriminator`, so the key is looked for.
 */
import * as z from 'zod'

export type Shape =
  | {
      kind: 'number'
      integer: boolean
      min?: number
      max?: number
      exclusiveMin?: boolean
      exclusiveMax?: boolean
      scale: 'linear' | 'log'
      step?: number
    }
  | { kind: 'text'; maxLength?: number; pattern?: string }
  | { kind: 'flag' }
  | { kind: 'choice'; options: readonly Option[] }
  /** Any of a closed list, each at most once. */
  | { kind: 'choices'; options: readonly Option[] }
  | { kind: 'list'; item: Shape; minItems?: number; maxItems?: number }
  | { kind: 'tuple'; items: readonly Field[] }
  | { kind: 'group'; fields: readonly Field[] }
  | { kind: 'variants'; key: string; variants: readonly { value: string; title: string; fields: readonly Field[] }[] }
  /** Nothing better is known: edited as JSON text. */
  | { kind: 'json' }

export type Option = { value: string | number | boolean | null; title: string }

export type Field = {
  name: string
  title: string
  description: string
  shape: Shape
  /** Value when the param is left out; undefined: there is none, the param is required (or optional). */
  default: unknown
  required: boolean
  /** The plan finds the best value when this is chosen. */
  auto: boolean
  /** `null` is allowed and means "none". */
  nullable: boolean
  unit?: string
  widget?: string
  /** File endings a file picker offers. */
  accept?: readonly string[]
  /** Titles of `true`, `false` and `auto` where a switch can also be left to the plan. */
  labels?: Readonly<Record<string, string>>
  /** Shown only while the named params have one of these values. */
  showIf?: Readonly<Record<string, readonly unknown[]>>
  advanced: boolean
}

type Json = Record<string, unknown>
const isJson = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
const finite = (value: unknown): number | undefined => (typeof value === 'number' && Math.abs(value) < 2 ** 53 - 1 ? value : undefined)

/** `constant_with_warmup` → "Constant with warmup". Only for choices that bring no title of their own. */
export function wordsOf(name: string): string {
  const spaced = name.replaceAll(/[_-]+/g, ' ').trim()
  return spaced === '' ? name : spaced[0]?.toUpperCase() + spaced.slice(1)
}

const membersOf = (schema: Json): Json[] | undefined =>
  [schema.anyOf, schema.oneOf].find((m): m is Json[] => Array.isArray(m) && m.every(isJson))
const constOf = (schema: Json): unknown =>
  Object.hasOwn(schema, 'const') ? schema.const : Array.isArray(schema.enum) && schema.enum.length === 1 ? schema.enum[0] : undefined

function optionsOf(values: readonly unknown[], labels: unknown): Option[] {
  const titles = isJson(labels) ? labels : {}
  return values.map((value) => ({ value: value as Option['value'], title: text(titles[String(value)]) ?? wordsOf(String(value)) }))
}

/** The property that tells the members of a union apart: present in all, with a different constant in each. */
function discriminatorOf(members: readonly Json[]): string | undefined {
  const [first] = members
  if (!first || !members.every((m) => isJson(m.properties))) return undefined
  return Object.keys(first.properties as Json).find((key) => {
    const values = members.map((m) => {
      const property = (m.properties as Json)[key]
      return isJson(property) ? constOf(property) : undefined
    })
    return values.every((v) => typeof v === 'string') && new Set(values).size === members.length
  })
}

function variantsOf(members: readonly Json[], key: string): Shape {
  return {
    kind: 'variants',
    key,
    variants: members.map((member) => {
      const value = String(constOf((member.properties as Json)[key] as Json))
      return { value, title: text(member.title) ?? wordsOf(value), fields: fieldsIn(member).filter((f) => f.name !== key) }
    }),
  }
}

function shapeOf(schema: Json, members: readonly Json[] | undefined): Shape {
  if (members && members.length > 1) {
    const constants = members.map(constOf)
    if (constants.every((c) => c !== undefined))
      return {
        kind: 'choice',
        options: members.map((m, i) => ({ value: constants[i] as Option['value'], title: text(m.title) ?? wordsOf(String(constants[i])) })),
      }
    const key = discriminatorOf(members)
    return key === undefined ? { kind: 'json' } : variantsOf(members, key)
  }
  const only = members?.[0] ?? schema
  if (Array.isArray(only.enum)) return { kind: 'choice', options: optionsOf(only.enum, schema.labels ?? only.labels) }
  if (Object.hasOwn(only, 'const')) return { kind: 'choice', options: optionsOf([only.const], schema.labels) }
  const nested = members ? undefined : membersOf(only)
  if (nested) return shapeOf(only, nested)
  switch (only.type) {
    case 'number':
    case 'integer': {
      const [min, low] = [finite(only.minimum), finite(only.exclusiveMinimum)]
      const [max, high] = [finite(only.maximum), finite(only.exclusiveMaximum)]
      return {
        kind: 'number',
        integer: only.type === 'integer',
        ...(min !== undefined ? { min } : low !== undefined ? { min: low, exclusiveMin: true } : {}),
        ...(max !== undefined ? { max } : high !== undefined ? { max: high, exclusiveMax: true } : {}),
        scale: (schema.scale ?? only.scale) === 'log' ? 'log' : 'linear',
        ...(finite(schema.step ?? only.step) !== undefined ? { step: finite(schema.step ?? only.step) as number } : {}),
      }
    }
    case 'string':
      return {
        kind: 'text',
        ...(finite(only.maxLength) !== undefined ? { maxLength: only.maxLength as number } : {}),
        ...(text(only.pattern) !== undefined ? { pattern: only.pattern as string } : {}),
      }
    case 'boolean':
      return { kind: 'flag' }
    case 'array': {
      if (Array.isArray(only.prefixItems))
        return { kind: 'tuple', items: only.prefixItems.filter(isJson).map((item, i) => fieldOf(String(i), item, true)) }
      if (!isJson(only.items)) return { kind: 'json' }
      const item = shapeOf(only.items, membersOf(only.items))
      if (item.kind === 'choice') return { kind: 'choices', options: item.options }
      return {
        kind: 'list',
        item,
        ...(finite(only.minItems) !== undefined ? { minItems: only.minItems as number } : {}),
        ...(finite(only.maxItems) !== undefined ? { maxItems: only.maxItems as number } : {}),
      }
    }
    case 'object':
      return isJson(only.properties) ? { kind: 'group', fields: fieldsIn(only) } : { kind: 'json' }
    default:
      return { kind: 'json' }
  }
}

function fieldOf(name: string, given: Json, required: boolean): Field {
  // `z.number().nullable()` is written as a list of two types where nothing else needs an `anyOf`.
  const types = Array.isArray(given.type) ? given.type : []
  const schema: Json = types.length > 0 ? { ...given, type: types.find((type) => type !== 'null') } : given
  const all = membersOf(schema)
  const members = all?.filter((m) => m.type !== 'null' && constOf(m) !== 'auto')
  const auto = all?.some((m) => constOf(m) === 'auto') ?? false
  return {
    name,
    title: text(schema.title) ?? wordsOf(name),
    description: text(schema.description) ?? '',
    shape: shapeOf(schema, members),
    default: schema.default,
    required: required && !Object.hasOwn(schema, 'default'),
    auto,
    nullable: types.includes('null') || (all?.some((m) => m.type === 'null') ?? false),
    ...(text(schema.unit) !== undefined ? { unit: schema.unit as string } : {}),
    ...(text(schema.widget) !== undefined ? { widget: schema.widget as string } : {}),
    ...(Array.isArray(schema.accept) ? { accept: schema.accept.filter((end) => typeof end === 'string') } : {}),
    ...(isJson(schema.labels) ? { labels: schema.labels as Record<string, string> } : {}),
    ...(isJson(schema.showIf) ? { showIf: schema.showIf as Record<string, readonly unknown[]> } : {}),
    advanced: schema.advanced === true,
  }
}

function fieldsIn(object: Json): Field[] {
  const required = new Set(Array.isArray(object.required) ? object.required : [])
  return Object.entries(isJson(object.properties) ? object.properties : {}).flatMap(([name, schema]) =>
    isJson(schema) ? [fieldOf(name, schema, required.has(name))] : [],
  )
}

const known = new WeakMap<z.ZodObject, readonly Field[]>()

/** The fields of a params schema, in the order they were declared. Worked out once per schema. */
export function fieldsOf(params: z.ZodObject): readonly Field[] {
  let fields = known.get(params)
  if (!fields) {
    fields = fieldsIn(z.toJSONSchema(params, { io: 'input', reused: 'inline', unrepresentable: 'any' }) as Json)
    known.set(params, fields)
  }
  return fields
}

/** A value to begin with when a list grows or a variant is chosen: the default, else the smallest thing the shape allows. */
export function blankOf(field: Pick<Field, 'shape' | 'default' | 'auto' | 'nullable'>): unknown {
  if (field.default !== undefined) return field.default
  if (field.auto) return 'auto'
  if (field.nullable) return null
  const { shape } = field
  switch (shape.kind) {
    case 'number':
      return shape.min === undefined ? 0 : shape.exclusiveMin ? shape.min + (shape.integer ? 1 : (shape.step ?? 1)) : shape.min
    case 'text':
      return ''
    case 'flag':
      return false
    case 'choice':
      return shape.options[0]?.value ?? null
    case 'choices':
    case 'list':
      return []
    case 'tuple':
      return shape.items.map(blankOf)
    case 'group':
      return Object.fromEntries(shape.fields.filter((f) => f.required).map((f) => [f.name, blankOf(f)]))
    case 'variants': {
      const [first] = shape.variants
      return first ? variantValue(shape.key, first) : {}
    }
    case 'json':
      return null
  }
}

/** The value of a variant as it is first chosen: its key and what it requires. */
export function variantValue(key: string, variant: { value: string; fields: readonly Field[] }): Record<string, unknown> {
  return { [key]: variant.value, ...Object.fromEntries(variant.fields.filter((f) => f.required).map((f) => [f.name, blankOf(f)])) }
}

/** The value a field stands for: what is saved, else the default. */
export const shownValue = (field: Pick<Field, 'name' | 'default'>, params: Readonly<Record<string, unknown>>): unknown =>
  Object.hasOwn(params, field.name) ? params[field.name] : field.default

/** Whether a field matters with these settings. */
export const isShown = (field: Field, fields: readonly Field[], params: Readonly<Record<string, unknown>>): boolean =>
  Object.entries(field.showIf ?? {}).every(([name, values]) => {
    const other = fields.find((f) => f.name === name)
    return !other || values.includes(shownValue(other, params))
  })
