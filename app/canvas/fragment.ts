/**
 * What copy and paste carry (UX-31): plain JSON text, so that it also travels through a chat, a file or another window. Secrets and
 * absolute paths of this computer are left out on copying; the paste tells which.
 */
import * as z from 'zod'
import type { Registry } from '../../nodes/_kit/define-node'
import { Edge, LIMITS, type Pipeline, PipelineNode } from '../../nodes/_kit/graph'
import { own } from '../../nodes/_kit/wires'
import { type Edit, freshId, type Point } from './editor-state'
import { placeOf } from './graph-queries'

const At = z.strictObject({ x: z.number(), y: z.number() })
export const Fragment = z.strictObject({
  kind: z.literal('thaw-fragment'),
  v: z.literal(1),
  nodes: z.record(z.string(), PipelineNode.extend({ at: At, title: z.string().max(120).optional() })),
  edges: z.array(Edge),
})
export type Fragment = z.infer<typeof Fragment>

/** Absolute on Linux and macOS, on Windows, a network share, or a home folder. */
const isLocalPath = (value: unknown): boolean => typeof value === 'string' && /^(\/|~[/\\]|[A-Za-z]:[/\\]|\\\\)/.test(value)

function isSecret(registry: Registry, type: string, param: string): boolean {
  const field = own(registry, type)?.params.shape[param] as z.ZodType | undefined
  return (field?.meta() as { widget?: unknown } | undefined)?.widget === 'secret'
}

/** The chosen nodes with the wires among them, relative to their upper left corner. */
export function copyFragment(doc: Pipeline, registry: Registry, ids: readonly string[]): Fragment {
  const chosen = ids.filter((id) => Object.hasOwn(doc.nodes, id))
  const places = chosen.map((id) => placeOf(doc, id))
  const left = Math.min(...places.map((p) => p.x))
  const top = Math.min(...places.map((p) => p.y))
  const inside = new Set(chosen)
  const nodes: Fragment['nodes'] = {}
  for (const id of chosen) {
    const node = doc.nodes[id] as PipelineNode
    const { x, y, title } = doc.layout.nodes[id] ?? { x: 0, y: 0, title: undefined }
    const params = Object.fromEntries(
      Object.entries(node.params).filter(([name, value]) => !isLocalPath(value) && !isSecret(registry, node.type, name)),
    )
    nodes[id] = { ...node, params, at: { x: x - left, y: y - top }, ...(title ? { title } : {}) }
  }
  return { kind: 'thaw-fragment', v: 1, nodes, edges: doc.edges.filter((e) => inside.has(e.from.node) && inside.has(e.to.node)) }
}

/** Reads clipboard text. Returns null when it is anything else than a fragment; it never throws. */
export function parseFragment(text: string): Fragment | null {
  if (text.length > LIMITS.bytes || !text.includes('thaw-fragment')) return null
  try {
    const parsed = Fragment.safeParse(JSON.parse(text))
    return parsed.success && Object.keys(parsed.data.nodes).length <= LIMITS.nodes ? parsed.data : null
  } catch {
    return null // Not JSON: the caller says "That isn't a Thaw fragment".
  }
}

/** The edit that puts a fragment down with new ids, its upper left corner at `at`, and the ids it makes. */
export function pasteEdit(doc: Pipeline, fragment: Fragment, at: Point): { edit: Edit; ids: string[] } {
  const renamed = new Map<string, string>()
  const taken: Record<string, unknown> = { ...doc.nodes }
  for (const id of Object.keys(fragment.nodes)) {
    // `train-2` pasted beside `train-2` becomes `train-3`, not `train-2-2`.
    const fresh = freshId(taken, id.replace(/-\d+$/, ''))
    taken[fresh] = true
    renamed.set(id, fresh)
  }
  const nodes: Extract<Edit, { kind: 'paste' }>['nodes'] = Object.fromEntries(
    Object.entries(fragment.nodes).map(([id, { at: place, title, ...node }]) => [
      renamed.get(id) as string,
      { node, at: { x: Math.round((at.x + place.x) / 16) * 16, y: Math.round((at.y + place.y) / 16) * 16 }, ...(title ? { title } : {}) },
    ]),
  )
  const edges = fragment.edges.flatMap(({ from, to }) => {
    const [source, target] = [renamed.get(from.node), renamed.get(to.node)]
    return source && target ? [{ from: { node: source, port: from.port }, to: { node: target, port: to.port } }] : []
  })
  return { edit: { kind: 'paste', nodes, edges }, ids: [...renamed.values()] }
}
