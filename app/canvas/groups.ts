/**
 * Groups (UX-35): frames around nodes, which keep their own identity, wires and ports. A folded group is drawn as one box that shows the
 * ports which wires cross. Membership is by name in the layout, so grouping never makes anything stale (UX-49). Pure.
 */
import type { Registry } from '../../nodes/_kit/define-node'
import type { Edge, Pipeline } from '../../nodes/_kit/graph'
import type { PortKind } from '../../nodes/_kit/ports'
import { titleOf } from '../../nodes/_kit/wires'
import { type Edit, freshId, type Point } from './editor-state'
import { kindAt, type Side } from './graph-queries'

export type Group = Pipeline['layout']['groups'][number]
export type Size = { readonly width: number; readonly height: number }
export type Frame = Point & Size

export const GROUP_PREFIX = 'group:'
// Together a multiple of the grid, so that a frame which is moved on it keeps its nodes on it.
const PAD = 16
const HEAD = 32
const CARD: Size = { width: 224, height: 176 }
/** Row height and first row of a folded group's ports, as on cards. */
const ROW = 24

/** The frame around a group's nodes, or the box it is folded to. `at` overrides places during a drag. */
export function frameOf(
  doc: Pick<Pipeline, 'edges' | 'layout'>,
  group: Group,
  sizes: Readonly<Record<string, Size>>,
  at: (id: string) => Point = (id) => doc.layout.nodes[id] ?? { x: 0, y: 0 },
): Frame {
  const boxes = group.nodes.map((id) => ({ ...at(id), ...(sizes[id] ?? CARD) }))
  const left = Math.min(...boxes.map((box) => box.x)) - PAD
  const top = Math.min(...boxes.map((box) => box.y)) - PAD - HEAD
  if (group.folded) {
    const { in: into, out } = crossings(doc, group)
    return { x: left, y: top, width: CARD.width, height: HEAD + ROW * Math.max(1, into.length, out.length) + 12 }
  }
  return {
    x: left,
    y: top,
    width: Math.max(...boxes.map((box) => box.x + box.width)) + PAD - left,
    height: Math.max(...boxes.map((box) => box.y + box.height)) + PAD - top,
  }
}

export type Crossing = { readonly node: string; readonly port: string }

/** Ports of the group's nodes that wires from outside reach, in the order of the wires, each once. */
export function crossings(doc: Pick<Pipeline, 'edges'>, group: Group): { in: Crossing[]; out: Crossing[] } {
  const inside = new Set(group.nodes)
  const once = (ends: Crossing[]) => [...new Map(ends.map((end) => [`${end.node}.${end.port}`, end])).values()]
  return {
    in: once(doc.edges.filter((e) => inside.has(e.to.node) && !inside.has(e.from.node)).map((e) => e.to)),
    out: once(doc.edges.filter((e) => inside.has(e.from.node) && !inside.has(e.to.node)).map((e) => e.from)),
  }
}

export const crossingPorts = (
  doc: Pipeline,
  registry: Registry,
  group: Group,
  side: Side,
): { end: Crossing; kind: PortKind | undefined; title: string }[] =>
  crossings(doc, group)[side].map((end) => ({
    end,
    kind: kindAt(doc, registry, end, side),
    title: `${titleOf(doc, registry, end.node)}, ${end.port}`,
  }))

/** Which folded group hides a node. */
export function hiddenBy(groups: readonly Group[]): Map<string, string> {
  return new Map(groups.filter((group) => group.folded).flatMap((group) => group.nodes.map((node) => [node, group.id] as const)))
}

/** Where a wire's ends are drawn; null: both are in the same folded box. */
export function drawnEnds(
  edge: Edge,
  hidden: ReadonlyMap<string, string>,
): { source: string; sourcePort: string; target: string; targetPort: string } | null {
  const [a, b] = [hidden.get(edge.from.node), hidden.get(edge.to.node)]
  if (a !== undefined && a === b) return null
  return {
    source: a === undefined ? edge.from.node : GROUP_PREFIX + a,
    sourcePort: a === undefined ? edge.from.port : `${edge.from.node}.${edge.from.port}`,
    target: b === undefined ? edge.to.node : GROUP_PREFIX + b,
    targetPort: b === undefined ? edge.to.port : `${edge.to.node}.${edge.to.port}`,
  }
}

/** Selected nodes become a group; those that were in another leave it, so that a node is in one group at most. */
export function groupEdit(doc: Pipeline, ids: readonly string[]): { edit: Edit; label: string; group: string } | null {
  const nodes = ids.filter((id) => Object.hasOwn(doc.nodes, id))
  if (nodes.length === 0) return null
  const { groups } = doc.layout
  const id = freshId(Object.fromEntries(groups.map((group) => [group.id, true])), 'group')
  const taken = new Set(nodes)
  const left = groups.map((group) => ({ ...group, nodes: group.nodes.filter((node) => !taken.has(node)) }))
  return {
    group: id,
    label: `group ${nodes.length === 1 ? '1 node' : `${nodes.length} nodes`}`,
    edit: { kind: 'set-groups', groups: [...left, { id, title: 'Group', nodes }] },
  }
}

export function ungroupEdit(doc: Pipeline, ids: readonly string[]): { edit: Edit; label: string } | null {
  const gone = doc.layout.groups.filter((group) => group.nodes.some((node) => ids.includes(node)))
  if (gone.length === 0) return null
  return {
    label: gone.length === 1 ? `ungroup ${gone[0]?.title}` : `ungroup ${gone.length} groups`,
    edit: { kind: 'set-groups', groups: doc.layout.groups.filter((group) => !gone.includes(group)) },
  }
}

export const changeGroup = (doc: Pipeline, id: string, change: Partial<Group>): Edit => ({
  kind: 'set-groups',
  groups: doc.layout.groups.map((group) => (group.id === id ? { ...group, ...change } : group)),
})

/**
 * What a drag does to membership: a node whose middle leaves the frame that its group has without it leaves the group, one that lands in
 * a frame joins it. Groups that moved as a whole stay as they are. Null when nothing changes.
 */
export function regroupAfterMove(
  doc: Pipeline,
  moved: Readonly<Record<string, Point>>,
  sizes: Readonly<Record<string, Size>>,
): Edit | null {
  const open = doc.layout.groups.filter((group) => !group.folded && !group.nodes.every((node) => moved[node]))
  const within = (frame: Frame, point: Point) =>
    point.x >= frame.x && point.x <= frame.x + frame.width && point.y >= frame.y && point.y <= frame.y + frame.height
  let { groups } = doc.layout
  let changed = false
  for (const [id, at] of Object.entries(moved)) {
    const size = sizes[id] ?? CARD
    const middle = { x: at.x + size.width / 2, y: at.y + size.height / 2 }
    const own = groups.find((group) => group.nodes.includes(id))
    if (own && !open.some((group) => group.id === own.id)) continue
    const target = open.find((group) => {
      const rest = group.nodes.filter((node) => node !== id && !moved[node])
      return rest.length > 0 && within(frameOf(doc, { ...group, nodes: rest }, sizes), middle)
    })
    // A frame of one holds on to its node.
    if (own && !target && own.nodes.length === 1) continue
    if (target?.id === own?.id) continue
    changed = true
    groups = groups.map((group) => {
      const nodes = group.nodes.filter((node) => node !== id)
      return group.id === target?.id
        ? { ...group, nodes: [...nodes, id] }
        : group.nodes.length === nodes.length
          ? group
          : { ...group, nodes }
    })
  }
  return changed ? { kind: 'set-groups', groups } : null
}
