/**
 * Opens a saved document (R-94 … R-97): bounds first (SEC-15), then the document's own migrations, then each node's. In memory only; the
 * stored bytes are never rewritten by opening. Nothing is executed but the pure `up` functions beside the node schemas.
 */
import { type Registry, versionOf } from './define-node'
import { LIMITS, Pipeline, SCHEMA_VERSION } from './graph'

export type DocumentMigration = { name: string; up(old: Record<string, unknown>): Record<string, unknown> }
/** schemaVersion n → n+1. The list only grows; SCHEMA_VERSION is one more than its length. */
export const DOCUMENT_MIGRATIONS: readonly DocumentMigration[] = []

export type LoadProblem = {
  code: 'not-json' | 'too-large' | 'newer-schema' | 'invalid-document' | 'migration-failed'
  message: string
  where?: string
  expected?: string
  got?: string
  fix?: string
}
export type Loaded =
  | { ok: true; document: Pipeline; migrated: readonly { node: string; from: number; to: number; names: readonly string[] }[] }
  | { ok: false; problems: readonly LoadProblem[] }

const refuse = (problem: LoadProblem): Loaded => ({ ok: false, problems: [problem] })

/** Reads a document's text. Line and column of broken JSON are in the problem. */
export function parseDocument(text: string, registry: Registry): Loaded {
  const bytes = new TextEncoder().encode(text).length
  if (bytes > LIMITS.bytes) return refuse(tooLarge('size', `${LIMITS.bytes} bytes`, `${bytes} bytes`))
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const before = text.slice(0, jsonFault(text)).split('\n')
    return refuse({
      code: 'not-json',
      message: 'The pipeline is not valid JSON.',
      where: `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`,
      expected: 'a pipeline document',
      got: cause instanceof Error ? cause.message : String(cause),
      fix: 'Export the pipeline again, or correct the file at that place.',
    })
  }
  return loadDocument(value, registry)
}

/** Offset of the first character that cannot be JSON. Engines say it in words of their own, or not at all. */
function jsonFault(text: string): number {
  const token =
    // biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them inside strings
    /[ \t\r\n]*(?:([{}[\]:,])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null))/y
  // What may come next; a stack of the open brackets says what a closed value returns to.
  const open: string[] = []
  let state: 'value' | 'value or ]' | 'key' | 'key or }' | ':' | ', or end' = 'value'
  let at = 0
  for (;;) {
    token.lastIndex = at
    const found = token.exec(text)
    const start = found
      ? token.lastIndex - (found[1] ?? found[2] ?? found[3] ?? '').length
      : at + (/^[ \t\r\n]*/.exec(text.slice(at, at + 10_000))?.[0].length ?? 0)
    if (!found || (state === ', or end' && open.length === 0)) return start
    const [, mark, string] = found
    const values = state === 'value' || state === 'value or ]'
    const closes = mark === '}' || mark === ']'
    if (values && (mark === '{' || mark === '[')) {
      open.push(mark)
      state = mark === '{' ? 'key or }' : 'value or ]'
    } else if (values && mark === undefined) state = ', or end'
    else if ((state === 'key' || state === 'key or }') && string !== undefined) state = ':'
    else if (state === ':' && mark === ':') state = 'value'
    else if (state === ', or end' && mark === ',') state = open.at(-1) === '{' ? 'key' : 'value'
    else if (
      closes &&
      (state === ', or end' || state === (mark === '}' ? 'key or }' : 'value or ]')) &&
      open.at(-1) === (mark === '}' ? '{' : '[')
    ) {
      open.pop()
      state = ', or end'
    } else return start
    at = token.lastIndex
  }
}

const tooLarge = (where: string, expected: string, got: string): LoadProblem => ({
  code: 'too-large',
  message: `The pipeline is too large to open: ${got}, at most ${expected}.`,
  where,
  expected: `at most ${expected}`,
  got,
})

function depthWithin(value: unknown, limit: number): boolean {
  // An explicit stack: the document may be nested deeper than our own call stack.
  const stack: { value: unknown; depth: number }[] = [{ value, depth: 0 }]
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (typeof at.value !== 'object' || at.value === null) continue
    if (at.depth >= limit) return false
    for (const inner of Object.values(at.value)) stack.push({ value: inner, depth: at.depth + 1 })
  }
  return true
}

/** Opens a parsed document. Unknown node types and newer node versions stay as inert placeholders; `check` reports them. */
export function loadDocument(value: unknown, registry: Registry): Loaded {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse({
      code: 'invalid-document',
      message: 'This is not a pipeline.',
      expected: 'a JSON object with nodes and edges',
      got: typeof value,
    })
  }
  if (!depthWithin(value, LIMITS.nesting)) return refuse(tooLarge('nesting', `${LIMITS.nesting} levels`, 'more'))
  let raw = value as Record<string, unknown>
  const saved = raw.schemaVersion
  if (typeof saved !== 'number' || !Number.isInteger(saved) || saved < 1) {
    return refuse({
      code: 'invalid-document',
      message: 'The pipeline does not say which schema it follows.',
      where: 'schemaVersion',
      expected: `a whole number from 1 to ${SCHEMA_VERSION}`,
      got: JSON.stringify(saved) ?? 'nothing',
    })
  }
  if (saved > SCHEMA_VERSION) {
    return refuse({
      code: 'newer-schema',
      message: `This pipeline was made with a newer Thaw: it follows schema ${saved}, this Thaw reads up to ${SCHEMA_VERSION}. It was not changed.`,
      where: 'schemaVersion',
      expected: `at most ${SCHEMA_VERSION}`,
      got: String(saved),
      fix: 'Open it with the Thaw that made it, or update this one.',
    })
  }
  for (const migration of DOCUMENT_MIGRATIONS.slice(saved - 1)) raw = migration.up(raw)
  const nodes = typeof raw.nodes === 'object' && raw.nodes !== null ? Object.keys(raw.nodes).length : 0
  if (nodes > LIMITS.nodes) return refuse(tooLarge('nodes', `${LIMITS.nodes} nodes`, `${nodes} nodes`))
  const edges = Array.isArray(raw.edges) ? raw.edges.length : 0
  if (edges > LIMITS.edges) return refuse(tooLarge('edges', `${LIMITS.edges} wires`, `${edges} wires`))

  const parsed = Pipeline.safeParse(raw)
  if (!parsed.success) {
    return {
      ok: false,
      problems: parsed.error.issues.map((issue) => ({
        code: 'invalid-document',
        message: `${issue.path.join('.') || 'The pipeline'}: ${issue.message}.`,
        where: issue.path.join('.') || 'document',
      })),
    }
  }
  const document = parsed.data
  const migrated: { node: string; from: number; to: number; names: string[] }[] = []
  const failed: LoadProblem[] = []
  for (const [id, node] of Object.entries(document.nodes)) {
    const def = Object.hasOwn(registry, node.type) ? registry[node.type] : undefined
    if (!def || node.version >= versionOf(def)) continue
    const steps = (def.migrations ?? []).slice(node.version - 1)
    try {
      const params = steps.reduce((old, migration) => migration.up(old), node.params)
      document.nodes[id] = { ...node, version: versionOf(def), params }
      migrated.push({ node: id, from: node.version, to: versionOf(def), names: steps.map((step) => step.name) })
    } catch (cause) {
      failed.push({
        code: 'migration-failed',
        message: `The params of ${def.title} (${id}) could not be brought from version ${node.version} to ${versionOf(def)}.`,
        where: `nodes.${id}.params`,
        got: cause instanceof Error ? cause.message : String(cause),
      })
    }
  }
  return failed.length > 0 ? { ok: false, problems: failed } : { ok: true, document, migrated }
}

/** The one way a document is written to a file: fixed order of its parts, two spaces, final newline. Placeholders come back byte for byte. */
export const writeDocument = (document: Pipeline): string => `${JSON.stringify(Pipeline.parse(document), null, 2)}\n`

/** Values for exposed inputs by input id, written over the params they stand for. Unknown ids are named. */
export function applyInputs(document: Pipeline, inputs: Readonly<Record<string, unknown>>): { document: Pipeline; unknown: string[] } {
  const nodes = { ...document.nodes }
  const unknown: string[] = []
  for (const [key, value] of Object.entries(inputs)) {
    const dot = key.indexOf('.')
    const input = document.inputs.find((candidate) => candidate.id === (dot === -1 ? key : key.slice(0, dot)))
    const node = input && Object.hasOwn(nodes, input.node) ? nodes[input.node] : undefined
    if (!input || !node) unknown.push(key)
    else nodes[input.node] = { ...node, params: { ...node.params, [dot === -1 ? input.param : key.slice(dot + 1)]: value } }
  }
  return { document: { ...document, nodes }, unknown }
}
