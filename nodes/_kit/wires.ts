/** Graph rules over the pipeline document: what feeds what, in which order, and where it goes round. Pure; edges are read, never changed. */
import type { AnyNode, PortDef, Registry } from './define-node'
import type { Edge, Pipeline } from './graph'

export type End = { node: string; port: string }

export const own = <T>(record: Readonly<Record<string, T>>, key: string): T | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

export const defOf = (document: Pipeline, registry: Registry, node: string): AnyNode | undefined => {
  const found = own(document.nodes, node)
  return found && own(registry, found.type)
}

/** Name of a node for people: its title on the canvas, else its type's. */
export function titleOf(document: Pipeline, registry: Registry, node: string): string {
  return own(document.layout.nodes, node)?.title ?? defOf(document, registry, node)?.title ?? own(document.nodes, node)?.type ?? node
}

export const portOf = (def: AnyNode | undefined, side: 'inputs' | 'outputs', port: string): PortDef | undefined =>
  def && own(def[side] as Record<string, PortDef>, port)

/**
 * Where each connected input of each enabled node really gets its value. Through a disabled node a wire passes on to what feeds that
 * node's first input of the same kind (UX-37); where there is none, the input counts as unconnected.
 */
export function wiresOf(document: Pipeline, registry: Registry): Map<string, Record<string, End>> {
  const into = new Map<string, Edge>()
  for (const edge of document.edges) into.set(`${edge.to.node}\n${edge.to.port}`, edge)
  const through = (end: End, seen: Set<string>): End | null => {
    const node = own(document.nodes, end.node)
    if (!node) return null
    if (!node.disabled) return end
    if (seen.has(end.node)) return null
    const def = own(registry, node.type)
    const kind = portOf(def, 'outputs', end.port)?.kind
    if (!def || !kind) return null
    for (const [port, input] of Object.entries(def.inputs as Record<string, PortDef>)) {
      const edge = input.kind === kind ? into.get(`${end.node}\n${port}`) : undefined
      if (edge) return through(edge.from, new Set([...seen, end.node]))
    }
    return null
  }
  const wires = new Map<string, Record<string, End>>()
  for (const [id, node] of Object.entries(document.nodes)) if (!node.disabled) wires.set(id, {})
  for (const edge of document.edges) {
    const inputs = wires.get(edge.to.node)
    const from = inputs && through(edge.from, new Set())
    if (from) inputs[edge.to.port] = from
  }
  // Sorted, so that nothing below depends on the order in which wires were drawn.
  for (const [id, inputs] of wires) {
    const ports = Object.keys(inputs)
    if (ports.length > 1) wires.set(id, Object.fromEntries(ports.sort().map((port) => [port, inputs[port] as End])))
  }
  return wires
}

/** Node ids in an order in which every node comes after what feeds it; ties by id, so that the order depends on the graph alone. */
export function topologicalOrder(wires: ReadonlyMap<string, Record<string, End>>): { order: string[]; cyclic: string[] } {
  const children = new Map<string, string[]>()
  const open = new Map<string, number>()
  for (const [id, inputs] of wires) {
    const parents = new Set(Object.values(inputs).map((end) => end.node))
    open.set(id, parents.size)
    for (const parent of parents) children.set(parent, [...(children.get(parent) ?? []), id])
  }
  const order: string[] = []
  let ready = [...open.keys()].filter((id) => open.get(id) === 0).sort()
  while (ready.length > 0) {
    const next: string[] = []
    for (const id of ready) {
      order.push(id)
      for (const child of children.get(id) ?? []) {
        const left = (open.get(child) ?? 0) - 1
        open.set(child, left)
        if (left === 0) next.push(child)
      }
    }
    ready = next.sort()
  }
  const done = new Set(order)
  return { order, cyclic: [...wires.keys()].filter((id) => !done.has(id)).sort() }
}

/** A path along the wires from one node to another, both included; null when there is none. */
export function pathBetween(document: Pipeline, from: string, to: string): string[] | null {
  const next = new Map<string, string[]>()
  for (const edge of document.edges) next.set(edge.from.node, [...(next.get(edge.from.node) ?? []), edge.to.node])
  const came = new Map<string, string | null>([[from, null]])
  const queue = [from]
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    if (at === to) {
      const path: string[] = []
      for (let step: string | null = at; step !== null; step = came.get(step) ?? null) path.unshift(step)
      return path
    }
    for (const child of next.get(at) ?? []) {
      if (came.has(child)) continue
      came.set(child, at)
      queue.push(child)
    }
  }
  return null
}

/** Each cycle once, as the nodes along it with the first repeated at the end. Found from the document itself, disabled nodes included. */
export function cyclesOf(document: Pipeline): string[][] {
  const raw = new Map<string, Record<string, End>>(Object.keys(document.nodes).map((id) => [id, {}]))
  document.edges.forEach((edge, i) => {
    const inputs = raw.get(edge.to.node)
    if (inputs && raw.has(edge.from.node)) inputs[`${edge.to.port}#${i}`] = edge.from
  })
  const covered = new Set<string>()
  const cycles: string[][] = []
  const edges = [...document.edges].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  for (const id of topologicalOrder(raw).cyclic) {
    if (covered.has(id)) continue
    for (const edge of edges) {
      if (edge.from.node !== id) continue
      const back = pathBetween(document, edge.to.node, id)
      if (!back) continue
      for (const node of back) covered.add(node)
      cycles.push([id, ...back])
      break
    }
  }
  return cycles
}

export type Neighbours = ReadonlyMap<string, readonly string[]>

/** Who is directly above or below each node. */
export function neighbours(wires: ReadonlyMap<string, Record<string, End>>): { up: Neighbours; down: Neighbours } {
  const up = new Map<string, string[]>()
  const down = new Map<string, string[]>()
  for (const [id, inputs] of wires) {
    for (const end of Object.values(inputs)) {
      up.set(id, [...(up.get(id) ?? []), end.node])
      down.set(end.node, [...(down.get(end.node) ?? []), id])
    }
  }
  return { up, down }
}

/** All nodes reachable from one, the start not included. */
export function reach(next: Neighbours, start: string): Set<string> {
  const seen = new Set<string>()
  const stack = [...(next.get(start) ?? [])]
  for (let at = stack.pop(); at !== undefined; at = stack.pop()) {
    if (seen.has(at)) continue
    seen.add(at)
    stack.push(...(next.get(at) ?? []))
  }
  return seen
}
