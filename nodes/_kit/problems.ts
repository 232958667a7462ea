/** What can be wrong with a document, as data: one closed list of codes, so that canvas, server and CLI sort, mark and word alike. */
import type * as z from 'zod'
import type { AnyNode } from './define-node'

export const PROBLEM_CODES = [
  'unknown-type',
  'newer-version',
  'bad-id',
  'unknown-param',
  'invalid-param',
  'missing-input',
  'unknown-port',
  'dangling-wire',
  'double-wire',
  'kind-mismatch',
  'cycle',
  'bad-input',
  'source-missing',
  // What a node's own `infer` reports; the finer code is in `detail`.
  'node',
  // Lineage lint (UX-23).
  'leak',
  'mixed-splits',
  'freeze-after-train',
  'freeze-unused',
  'untrained-export',
  'unused-output',
] as const
export type ProblemCode = (typeof PROBLEM_CODES)[number]

/** A repair that the interface offers as one button; it says what to do, the canvas knows how. */
export type Fix =
  | { kind: 'params'; label: string; node: string; params: Record<string, unknown>; remove?: readonly string[] }
  /** Add a node of `type` and wire its `port` to `to`. */
  | { kind: 'insert'; label: string; type: string; port: string; to: { node: string; port: string } }
  | { kind: 'reconnect'; label: string; from: { node: string; port: string }; to: { node: string; port: string } }
  | { kind: 'remove-edge'; label: string; from: { node: string; port: string }; to: { node: string; port: string } }

export type Problem = {
  severity: 'error' | 'warning'
  code: ProblemCode
  message: string
  /** Node it is shown at; null when it concerns the document. */
  node: string | null
  /** Other nodes that take part, in order. */
  nodes?: readonly string[]
  port?: string
  param?: string
  /** Code given by the node's own `infer`. */
  detail?: string
  expected?: string
  got?: string
  fix?: Fix
}

/**
 * Known name that was probably meant, or null: one that has all words of the given one ("num_epochs"), or is at most two slips, or a third of the
 * longer word, away. Transposed letters count as one slip.
 */
export function nearest(name: string, known: readonly string[]): string | null {
  const words = name.toLowerCase().split(/[_-]/)
  const fuller =
    words.length > 1 ? known.filter((candidate) => words.every((word) => candidate.toLowerCase().split(/[_-]/).includes(word))) : []
  if (fuller.length === 1 && fuller[0] !== undefined) return fuller[0]
  let best: string | null = null
  let bestDistance = Number.POSITIVE_INFINITY
  for (const candidate of [...known].sort()) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best !== null && bestDistance <= Math.max(2, Math.floor(Math.max(name.length, best.length) / 3)) ? best : null
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  // Ids and param names are short; this bounds the work on absurd ones.
  if (Math.abs(a.length - b.length) > 32 || a.length > 256) return Number.POSITIVE_INFINITY
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let value = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) value = Math.min(value, (before[j - 2] ?? 0) + 1)
      row.push(value)
    }
    before = last
    last = row
  }
  return last[b.length] ?? 0
}

/** Short form of a value for messages. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = typeof value === 'string' ? JSON.stringify(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 60 ? `${text.slice(0, 57)}…` : text
}

const at = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  )

type ParamsShape = Record<string, z.ZodType>
export const paramSchemas = (def: AnyNode): ParamsShape => def.params.shape as ParamsShape
export const paramTitle = (def: AnyNode, name: string): string => (paramSchemas(def)[name]?.meta()?.title as string | undefined) ?? name

/** zod's words, made into what a form can say: "must be at most 1". */
function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'too_small':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `at least ${issue.minimum} ${issue.origin === 'string' ? 'characters' : 'entries'}`
        : `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}`
    case 'too_big':
      return issue.origin === 'string' || issue.origin === 'array'
        ? `at most ${issue.maximum} ${issue.origin === 'string' ? 'characters' : 'entries'}`
        : `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}`
    case 'invalid_type':
      return issue.expected === 'int' ? 'a whole number' : `a ${issue.expected}`
    case 'invalid_value':
      return issue.values.length === 1 ? show(issue.values[0]) : `one of ${issue.values.map(show).join(', ')}`
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`
    case 'invalid_union': {
      const options = issue.errors.map((branch) => branch[0]).filter((first) => first !== undefined)
      return options.length > 0 ? [...new Set(options.map(expectation))].join(' or ') : issue.message
    }
    default:
      return issue.message
  }
}

/** Every fault of one node's params, each at its param (F-1, R-97). */
export function paramProblems(node: string, def: AnyNode, params: Record<string, unknown>, error: z.ZodError): Problem[] {
  const problems: Problem[] = []
  for (const issue of error.issues) {
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys) {
        const where = [...issue.path.map(String), key]
        const known = issue.path.length === 0 ? Object.keys(paramSchemas(def)) : []
        const meant = nearest(key, known)
        problems.push({
          severity: 'error',
          code: 'unknown-param',
          node,
          param: where.join('.'),
          message: `${def.title} has no param "${where.join('.')}"${meant ? `. Did you mean "${meant}"?` : '.'}`,
          expected: meant ?? known.join(', '),
          got: key,
          ...(issue.path.length === 0 && {
            fix: {
              kind: 'params' as const,
              label: meant && !(meant in params) ? `Rename to ${meant}` : `Remove ${key}`,
              node,
              params: meant && !(meant in params) ? { [meant]: params[key] } : {},
              remove: [key],
            },
          }),
        })
      }
      continue
    }
    const name = String(issue.path[0] ?? '')
    const got = at(params, issue.path)
    const title = name ? paramTitle(def, name) : def.title
    const inner = issue.path.length > 1 ? ` (${issue.path.slice(1).join('.')})` : ''
    const words = expectation(issue)
    problems.push({
      severity: 'error',
      code: 'invalid-param',
      node,
      ...(name && { param: issue.path.join('.') }),
      message:
        issue.code === 'custom'
          ? `${title}${inner}: ${issue.message}`
          : got === undefined
            ? `${title}${inner} is needed: ${words}.`
            : `${title}${inner} must be ${words}; it is ${show(got)}.`,
      expected: words,
      got: show(got),
    })
  }
  return problems
}
