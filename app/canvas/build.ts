/** Edits that take some working out, made ready for `applyEdit`: pure, so that gesture, key, menu and fix give the same result. */

import type { AnyNode, Registry } from '../../nodes/_kit/define-node'
import { versionOf } from '../../nodes/_kit/define-node'
import type { Edge, Pipeline } from '../../nodes/_kit/graph'
import type { Fix } from '../../nodes/_kit/problems'
import { defOf, type End, own, titleOf } from '../../nodes/_kit/wires'
import { type Edit, edgeKey, freshId, type Point } from './editor-state'
import { bridgesAround, fittingPairs, freePlace, kindAt, placeOf, portsOf, type Side } from './graph-queries'
import type { Selection } from './history'

/** A step sideways on the canvas: node width and a gap that leaves room for a wire (UX-28). */
export const STRIDE = 288

export type Built = { edit: Edit; label: string; ids: string[] }

export const blank = (def: AnyNode, params: Record<string, unknown> = {}) => ({ type: def.type, version: versionOf(def), params })

/** The wire between an existing end and a new node, over the first pair of ports that fits; null when none does. */
function wireTo(def: AnyNode, id: string, link: { end: End; side: Side }, doc: Pipeline, registry: Registry): Edge | null {
  const kind = kindAt(doc, registry, link.end, link.side)
  const port = portsOf(def, link.side === 'out' ? 'in' : 'out').find(([, p]) => p.kind === kind)?.[0]
  if (!port) return null
  const end = { node: id, port }
  return link.side === 'out' ? { from: link.end, to: end } : { from: end, to: link.end }
}

/** A new node, wired to `link` where that is given. Null when the type is unknown. */
export function addNode(
  doc: Pipeline,
  registry: Registry,
  type: string,
  at: Point,
  link?: { end: End; side: Side },
  params?: Record<string, unknown>,
): Built | null {
  const def = own(registry, type)
  if (!def) return null
  const id = freshId(doc.nodes, type)
  const edge = link ? wireTo(def, id, link, doc, registry) : null
  const add: Edit = { kind: 'add-node', id, node: blank(def, params), at: freePlace(doc, at) }
  return { edit: edge ? { kind: 'all', edits: [add, { kind: 'connect', edge }] } : add, label: `add ${def.title}`, ids: [id] }
}

/** What a click in the palette does (UX-10): beside the one selected node and wired when exactly one free pair of ports fits. */
export function addBeside(doc: Pipeline, registry: Registry, type: string, selected: string | undefined, centre: Point): Built | null {
  const def = own(registry, type)
  const beside = selected !== undefined ? defOf(doc, registry, selected) : undefined
  if (!def || !beside || selected === undefined) return addNode(doc, registry, type, centre)
  const taken = (port: string) => doc.edges.some((e) => e.to.node === selected && e.to.port === port)
  const down = fittingPairs(beside, def).map((pair): { end: End; side: Side } => ({
    end: { node: selected, port: pair.from },
    side: 'out',
  }))
  const up = fittingPairs(def, beside)
    .filter((pair) => !taken(pair.to))
    .map((pair): { end: End; side: Side } => ({ end: { node: selected, port: pair.to }, side: 'in' }))
  const links = [...down, ...up]
  if (links.length !== 1) return addNode(doc, registry, type, centre)
  const place = placeOf(doc, selected)
  return addNode(doc, registry, type, { x: place.x + (links[0]?.side === 'out' ? STRIDE : -STRIDE), y: place.y }, links[0])
}

/** A node put on a wire: both ends must fit; what lies downstream moves right where there is no room (UX-24, UX-28). */
export function insertOn(doc: Pipeline, registry: Registry, type: string, edge: Edge): Built | null {
  const def = own(registry, type)
  const kind = kindAt(doc, registry, edge.from, 'out')
  const into = portsOf(def, 'in').find(([, p]) => p.kind === kind)?.[0]
  const out = portsOf(def, 'out').find(([, p]) => p.kind === kindAt(doc, registry, edge.to, 'in'))?.[0]
  if (!def || !into || !out) return null
  const [from, to] = [placeOf(doc, edge.from.node), placeOf(doc, edge.to.node)]
  const room = to.x - from.x >= 2 * STRIDE
  const id = freshId(doc.nodes, type)
  const moved: Record<string, Point> = {}
  if (!room) {
    const below = new Set([edge.to.node])
    for (let grew = true; grew; ) {
      grew = false
      for (const e of doc.edges)
        if (below.has(e.from.node) && !below.has(e.to.node)) {
          below.add(e.to.node)
          grew = true
        }
    }
    for (const node of below) if (placeOf(doc, node).x >= to.x) moved[node] = { x: placeOf(doc, node).x + STRIDE, y: placeOf(doc, node).y }
  }
  const at = room ? { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 } : { x: from.x + STRIDE, y: to.y }
  return {
    ids: [id],
    label: `insert ${def.title}`,
    edit: {
      kind: 'all',
      edits: [
        { kind: 'move', positions: moved },
        { kind: 'add-node', id, node: blank(def), at: { x: Math.round(at.x / 16) * 16, y: Math.round(at.y / 16) * 16 } },
        { kind: 'connect', edge: { from: edge.from, to: { node: id, port: into } } },
        { kind: 'connect', edge: { from: { node: id, port: out }, to: edge.to } },
      ],
    },
  }
}

const named = (doc: Pipeline, registry: Registry, ids: readonly string[]): string =>
  ids.length === 1 ? titleOf(doc, registry, ids[0] as string) : `${ids.length} nodes`

/** Deletes what is selected; wires bridge the gap where kinds match unless `plain` (UX-38). Null when nothing is selected. */
export function deleteSelected(doc: Pipeline, registry: Registry, selection: Selection, plain: boolean): Built | null {
  const edges = doc.edges.filter((edge) => selection.edges.includes(edgeKey(edge)))
  const ids = selection.nodes.filter((id) => own(doc.nodes, id))
  if (ids.length === 0 && edges.length === 0) return null
  const bridges =
    plain || ids.length === 0 ? [] : bridgesAround({ ...doc, edges: doc.edges.filter((e) => !edges.includes(e)) }, registry, ids)
  const label = ids.length > 0 ? `delete ${named(doc, registry, ids)}` : `delete ${edges.length === 1 ? 'wire' : `${edges.length} wires`}`
  return {
    ids,
    label,
    edit: {
      kind: 'all',
      edits: [{ kind: 'disconnect', edges }, { kind: 'remove-nodes', ids }, ...bridges.map((edge): Edit => ({ kind: 'connect', edge }))],
    },
  }
}

export const disableSelected = (doc: Pipeline, registry: Registry, ids: readonly string[]): Built | null => {
  if (ids.length === 0) return null
  const disabled = !ids.every((id) => doc.nodes[id]?.disabled)
  return {
    edit: { kind: 'disable', ids, disabled },
    label: `${disabled ? 'disable' : 'enable'} ${named(doc, registry, ids)}`,
    ids: [...ids],
  }
}

export function moveBy(doc: Pipeline, registry: Registry, ids: readonly string[], by: Point): Built | null {
  if (ids.length === 0) return null
  const positions = Object.fromEntries(ids.map((id) => [id, { x: placeOf(doc, id).x + by.x, y: placeOf(doc, id).y + by.y }]))
  return { edit: { kind: 'move', positions }, label: `move ${named(doc, registry, ids)}`, ids: [...ids] }
}

/** A repair as one undoable edit (UX-85). Null when the document has moved on and it no longer applies. */
export function fixEdit(doc: Pipeline, registry: Registry, fix: Fix): Built | null {
  switch (fix.kind) {
    case 'params':
      return own(doc.nodes, fix.node)
        ? {
            edit: { kind: 'set-params', id: fix.node, set: fix.params, ...(fix.remove && { unset: fix.remove }) },
            label: fix.label,
            ids: [fix.node],
          }
        : null
    case 'insert': {
      const def = own(registry, fix.type)
      if (!def || !own(doc.nodes, fix.to.node)) return null
      const id = freshId(doc.nodes, fix.type)
      const place = placeOf(doc, fix.to.node)
      const at = freePlace(doc, { x: place.x - STRIDE, y: place.y + 48 })
      return {
        ids: [id],
        label: fix.label,
        edit: {
          kind: 'all',
          edits: [
            { kind: 'add-node', id, node: blank(def), at },
            { kind: 'connect', edge: { from: { node: id, port: fix.port }, to: fix.to } },
          ],
        },
      }
    }
    case 'reconnect':
      return { edit: { kind: 'connect', edge: { from: fix.from, to: fix.to } }, label: fix.label, ids: [] }
    case 'remove-edge':
      return { ids: [], label: fix.label, edit: { kind: 'disconnect', edges: [{ from: fix.from, to: fix.to }] } }
  }
}

/** Every port that this end could be joined with: same kind, other side, another node, no cycle. Keys as `node.port`. */
export function fittingEnds(doc: Pipeline, registry: Registry, end: End, side: Side): Set<string> {
  const kind = kindAt(doc, registry, end, side)
  const fits = new Set<string>()
  if (!kind) return fits
  // A wire from here must not lead to anything that already feeds this node, and the other way round.
  const barred = new Set([end.node])
  const open = [end.node]
  for (let at = open.pop(); at !== undefined; at = open.pop())
    for (const e of doc.edges) {
      const [here, next] = side === 'out' ? [e.to.node, e.from.node] : [e.from.node, e.to.node]
      if (here === at && !barred.has(next)) {
        barred.add(next)
        open.push(next)
      }
    }
  for (const id of Object.keys(doc.nodes)) {
    if (barred.has(id)) continue
    for (const [port, def] of portsOf(defOf(doc, registry, id), side === 'out' ? 'in' : 'out'))
      if (def.kind === kind) fits.add(`${id}.${port}`)
  }
  return fits
}
