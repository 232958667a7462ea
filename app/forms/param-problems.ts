/** What is wrong with a node's settings, by field (UX-41): the schema the server uses, in words that name what was expected. */
import type * as z from 'zod'
import { numberText } from './number-text'
import type { Field } from './schema'

export type ParamProblem = {
  /** Path inside the params; the first part is the field. */
  path: readonly (string | number)[]
  message: string
}

type Issue = z.core.$ZodIssue

function rangeWords(field: Field | undefined): string | null {
  if (field?.shape.kind !== 'number') return null
  const { min, max, exclusiveMin, integer } = field.shape
  const what = integer ? 'a whole number' : 'a number'
  const unit = field.unit ? ` ${field.unit}` : ''
  if (min !== undefined && max !== undefined) return `${what} from ${numberText(min)} to ${numberText(max)}${unit}`
  if (min !== undefined) return `${what} ${exclusiveMin ? 'above' : 'from'} ${numberText(min)}${exclusiveMin ? '' : ' up'}${unit}`
  if (max !== undefined) return `${what} up to ${numberText(max)}${unit}`
  return what
}

function shown(value: unknown): string {
  if (typeof value === 'number') return numberText(value)
  if (typeof value === 'string') return value === '' ? 'an empty text' : `“${value.length > 40 ? `${value.slice(0, 40)}…` : value}”`
  return value === undefined ? 'nothing' : JSON.stringify(value)
}

const valueAt = (value: unknown, path: readonly (string | number)[]): unknown =>
  path.reduce<unknown>(
    (at, key) => (typeof at === 'object' && at !== null ? (at as Record<string | number, unknown>)[key] : undefined),
    value,
  )

function messageOf(issue: Issue, field: Field | undefined, got: unknown): string {
  const auto = field?.auto ? ', or auto' : ''
  switch (issue.code) {
    case 'invalid_type':
      if (got === undefined || got === '')
        return field?.shape.kind === 'number' ? `Enter ${rangeWords(field)}${auto}.` : 'This setting is needed.'
      return `Expected ${rangeWords(field) ?? issue.expected}${auto}; this is ${shown(got)}.`
    case 'too_small':
    case 'too_big': {
      if (issue.origin === 'string') return issue.code === 'too_small' ? 'This setting is needed.' : `At most ${issue.maximum} characters.`
      if (issue.origin === 'array') return issue.code === 'too_small' ? `At least ${issue.minimum}.` : `At most ${issue.maximum}.`
      const range = rangeWords(field)
      return range ? `${shown(got)} is outside the range: ${range}${auto}.` : issue.message
    }
    case 'invalid_value':
      return `Choose one of ${issue.values.map((v) => shown(v)).join(', ')}.`
    case 'invalid_union': {
      const range = rangeWords(field)
      return range ? `Expected ${range}${auto}; this is ${shown(got)}.` : `${shown(got)} does not fit here.`
    }
    case 'invalid_format':
      return `${shown(got)} does not have the expected form.`
    case 'unrecognized_keys':
      return `Unknown setting ${issue.keys.map((k) => `“${k}”`).join(', ')}.`
    default:
      return issue.message
  }
}

/** Problems of a node's params as saved. Empty when they parse. */
export function problemsOf(schema: z.ZodObject, fields: readonly Field[], params: Readonly<Record<string, unknown>>): ParamProblem[] {
  const parsed = schema.safeParse(params)
  if (parsed.success) return []
  return parsed.error.issues.flatMap((issue): ParamProblem[] => {
    const path = issue.path.filter((part): part is string | number => typeof part !== 'symbol')
    if (issue.code === 'unrecognized_keys' && path.length === 0)
      return issue.keys.map((key) => ({ path: [key], message: `Unknown setting “${key}”. This version of the node has no such setting.` }))
    const field = fields.find((f) => f.name === path[0])
    return [{ path, message: messageOf(issue, path.length <= 1 ? field : undefined, valueAt(params, path)) }]
  })
}

/** The value a field shows: what is saved, else the default. */
export const shownValue = (field: Field, params: Readonly<Record<string, unknown>>): unknown =>
  Object.hasOwn(params, field.name) ? params[field.name] : field.default
