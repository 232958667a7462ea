/** Questions about a document that the canvas asks again and again. Pure; the registry says what ports a type has. */
import type { AnyNode, PortDef, Registry } from '../../nodes/_kit/define-node'
import type { Edge, Pipeline } from '../../nodes/_kit/graph'
import type { PortKind } from '../../nodes/_kit/ports'
import { defOf, type End, portOf } from '../../nodes/_kit/wires'
import type { Point } from './editor-state'

export type Side = 'in' | 'out'

/** Ports of one side in the order they are drawn. */
export function portsOf(def: AnyNode | undefined, side: Side): readonly (readonly [string, PortDef])[] {
  if (!def) return []
  return Object.entries((side === 'in' ? def.inputs : def.outputs) as Record<string, PortDef>)
}

/** Ports that a placeholder must keep so that its wires stay visible: those its wires name. */
export const wiredPorts = (edges: readonly Edge[], node: string, side: Side): readonly string[] => [
  ...new Set(edges.filter((e) => (side === 'in' ? e.to : e.from).node === node).map((e) => (side === 'in' ? e.to : e.from).port)),
]

export const kindAt = (doc: Pipeline, registry: Registry, end: End, side: Side): PortKind | undefined =>
  portOf(defOf(doc, registry, end.node), side === 'in' ? 'inputs' : 'outputs', end.port)?.kind

export const placeOf = (doc: Pipeline, id: string): Point => doc.layout.nodes[id] ?? { x: 0, y: 0 }

/** Pairs of ports over which an output of one type can feed an input of another. */
export function fittingPairs(from: AnyNode | undefined, to: AnyNode | undefined): { from: string; to: string; kind: PortKind }[] {
  return portsOf(from, 'out').flatMap(([out, { kind }]) =>
    portsOf(to, 'in').flatMap(([input, port]) => (port.kind === kind ? [{ from: out, to: input, kind }] : [])),
  )
}

/** Nodes in reading order: upstream first, then from top to bottom and left to right. Nodes on a cycle come last. */
export function readingOrder(doc: Pipeline): string[] {
  const ids = Object.keys(doc.nodes)
  const waiting = new Map(ids.map((id) => [id, 0]))
  const below = new Map<string, string[]>()
  for (const { from, to } of doc.edges) {
    if (!waiting.has(from.node) || !waiting.has(to.node)) continue
    waiting.set(to.node, (waiting.get(to.node) ?? 0) + 1)
    below.set(from.node, [...(below.get(from.node) ?? []), to.node])
  }
  const before = (a: string, b: string): number => {
    const [p, q] = [placeOf(doc, a), placeOf(doc, b)]
    return p.x - q.x || p.y - q.y || (a < b ? -1 : 1)
  }
  const order: string[] = []
  let ready = ids.filter((id) => waiting.get(id) === 0).sort(before)
  while (ready.length > 0) {
    const [id, ...rest] = ready as [string, ...string[]]
    order.push(id)
    const freed = (below.get(id) ?? []).filter((next) => {
      const left = (waiting.get(next) ?? 0) - 1
      waiting.set(next, left)
      return left === 0
    })
    ready = freed.length > 0 ? [...rest, ...freed].sort(before) : rest
  }
  return order.length === ids.length ? order : [...order, ...ids.filter((id) => !order.includes(id)).sort(before)]
}

/**
 * Wires that bridge the nodes about to go (UX-38): what fed a removed node feeds what it fed, where the kinds match. Bridges run through
 * several removed nodes; inputs keep one wire each.
 */
export function bridgesAround(doc: Pipeline, registry: Registry, ids: readonly string[]): Edge[] {
  const gone = new Set(ids)
  /** The output, outside the removed nodes, that stands for a value of this kind arriving at a removed node. */
  const sourceOf = (node: string, kind: PortKind, seen: ReadonlySet<string>): End | undefined => {
    if (seen.has(node)) return undefined
    for (const edge of doc.edges) {
      if (edge.to.node !== node || kindAt(doc, registry, edge.from, 'out') !== kind) continue
      if (!gone.has(edge.from.node)) return edge.from
      const further = sourceOf(edge.from.node, kind, new Set([...seen, node]))
      if (further) return further
    }
    return undefined
  }
  return doc.edges.flatMap((edge) => {
    if (!gone.has(edge.from.node) || gone.has(edge.to.node)) return []
    const kind = kindAt(doc, registry, edge.to, 'in')
    const from = kind && sourceOf(edge.from.node, kind, new Set())
    return from ? [{ from, to: edge.to }] : []
  })
}

/** A card with its most rows and its footer, as it stands when nothing runs (D-23). */
const CARD = { width: 224, height: 208 }

/** A free place near the wanted one: moved down until nothing is covered. */
export function freePlace(doc: Pipeline, wanted: Point, size = CARD): Point {
  const places = Object.keys(doc.nodes).map((id) => placeOf(doc, id))
  let y = Math.round(wanted.y / 16) * 16
  const x = Math.round(wanted.x / 16) * 16
  const covered = () => places.some((p) => Math.abs(p.x - x) < size.width + 16 && Math.abs(p.y - y) < size.height)
  for (let tries = 0; covered() && tries < 200; tries++) y += 16
  return { x, y }
}
