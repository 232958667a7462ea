/**
 * Edits of a pipeline as tagged values, folded by one pure function (UX-43). The canvas, the inspector, paste, fixes and undo all speak
 * this language and nothing else changes a document, so every change can be named, undone, saved and tested alike.
 *
 * `applyEdit` is total: what an edit names but the document lacks is skipped, and an edit that changes nothing returns the same object.
 * What it touches is copied once, the rest is shared; a history of 200 documents therefore costs little more than the edits themselves.
 * It keeps four promises: a wire has both its nodes, an input has at most one wire (UX-20), no wire leads from a node to itself, and
 * layout, groups and exposed inputs name only nodes that exist.
 */
import type { Edge, ExposedInput, Pipeline, PipelineNode } from '../../nodes/_kit/graph'

export type Point = { readonly x: number; readonly y: number }
type Group = Pipeline['layout']['groups'][number]
type Note = Pipeline['notes'][number]

export type Edit =
  | { readonly kind: 'add-node'; readonly id: string; readonly node: PipelineNode; readonly at: Point; readonly title?: string }
  | { readonly kind: 'remove-nodes'; readonly ids: readonly string[] }
  | { readonly kind: 'connect'; readonly edge: Edge }
  | { readonly kind: 'disconnect'; readonly edges: readonly Edge[] }
  /** `unset` goes back to the default by leaving the param out. */
  | {
      readonly kind: 'set-params'
      readonly id: string
      readonly set: Readonly<Record<string, unknown>>
      readonly unset?: readonly string[]
    }
  | { readonly kind: 'replace-node'; readonly id: string; readonly node: PipelineNode }
  | { readonly kind: 'move'; readonly positions: Readonly<Record<string, Point>> }
  /** An empty title goes back to the node type's own. */
  | { readonly kind: 'rename'; readonly id: string; readonly title: string }
  | { readonly kind: 'disable'; readonly ids: readonly string[]; readonly disabled: boolean }
  | {
      readonly kind: 'paste'
      readonly nodes: Readonly<Record<string, { readonly node: PipelineNode; readonly at: Point; readonly title?: string }>>
      readonly edges: readonly Edge[]
    }
  | { readonly kind: 'set-inputs'; readonly inputs: readonly ExposedInput[] }
  | { readonly kind: 'set-notes'; readonly notes: readonly Note[] }
  | { readonly kind: 'set-groups'; readonly groups: readonly Group[] }
  /** The whole document at once: an imported file, a restored version. */
  | { readonly kind: 'replace-document'; readonly document: Pipeline }
  | { readonly kind: 'all'; readonly edits: readonly Edit[] }

/** Text that names a wire: what React Flow and selections use as its id. */
export const edgeKey = (edge: Edge): string => `${edge.from.node}.${edge.from.port}>${edge.to.node}.${edge.to.port}`
const sameEdge = (a: Edge, b: Edge): boolean =>
  a.from.node === b.from.node && a.from.port === b.from.port && a.to.node === b.to.node && a.to.port === b.to.port

const own = (record: object, key: string): boolean => Object.hasOwn(record, key)

/** Deep equality of JSON values; params hold nothing else. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || Array.isArray(a) !== Array.isArray(b)) return false
  const left = Object.keys(a)
  if (left.length !== Object.keys(b).length) return false
  return left.every((key) => own(b, key) && sameJson(a[key as keyof typeof a], b[key as keyof typeof b]))
}

function withoutNodes(doc: Pipeline, ids: readonly string[]): Pipeline {
  const gone = new Set(ids.filter((id) => own(doc.nodes, id)))
  if (gone.size === 0) return doc
  const keep = <T>(record: Record<string, T>): Record<string, T> =>
    Object.fromEntries(Object.entries(record).filter(([id]) => !gone.has(id)))
  return {
    ...doc,
    nodes: keep(doc.nodes),
    edges: doc.edges.filter((edge) => !gone.has(edge.from.node) && !gone.has(edge.to.node)),
    inputs: doc.inputs.filter((input) => !gone.has(input.node)),
    layout: {
      nodes: keep(doc.layout.nodes),
      groups: doc.layout.groups
        .map((group) => (group.nodes.some((id) => gone.has(id)) ? { ...group, nodes: group.nodes.filter((id) => !gone.has(id)) } : group))
        .filter((group) => group.nodes.length > 0),
    },
  }
}

function withEdge(doc: Pipeline, edge: Edge): Pipeline {
  if (edge.from.node === edge.to.node || !own(doc.nodes, edge.from.node) || !own(doc.nodes, edge.to.node)) return doc
  if (doc.edges.some((other) => sameEdge(other, edge))) return doc
  const others = doc.edges.filter((other) => other.to.node !== edge.to.node || other.to.port !== edge.to.port)
  return { ...doc, edges: [...others, edge] }
}

function withNodeAdded(doc: Pipeline, id: string, node: PipelineNode, at: Point, title: string | undefined): Pipeline {
  if (own(doc.nodes, id)) return doc
  return {
    ...doc,
    nodes: { ...doc.nodes, [id]: node },
    layout: { ...doc.layout, nodes: { ...doc.layout.nodes, [id]: { x: at.x, y: at.y, ...(title ? { title } : {}) } } },
  }
}

function withParams(doc: Pipeline, edit: Extract<Edit, { kind: 'set-params' }>): Pipeline {
  const node = own(doc.nodes, edit.id) ? doc.nodes[edit.id] : undefined
  if (!node) return doc
  const params = { ...node.params, ...edit.set }
  for (const name of edit.unset ?? []) delete params[name]
  return sameJson(params, node.params) ? doc : { ...doc, nodes: { ...doc.nodes, [edit.id]: { ...node, params } } }
}

function withPositions(doc: Pipeline, positions: Readonly<Record<string, Point>>): Pipeline {
  const moved = Object.entries(positions).filter(([id, at]) => {
    if (!own(doc.nodes, id)) return false
    const old = doc.layout.nodes[id]
    return !old || old.x !== at.x || old.y !== at.y
  })
  if (moved.length === 0) return doc
  const nodes = { ...doc.layout.nodes }
  for (const [id, at] of moved) nodes[id] = { ...nodes[id], x: at.x, y: at.y }
  return { ...doc, layout: { ...doc.layout, nodes } }
}

function withTitle(doc: Pipeline, id: string, title: string): Pipeline {
  const place = own(doc.nodes, id) ? (doc.layout.nodes[id] ?? { x: 0, y: 0 }) : undefined
  const wanted = title.trim().slice(0, 120)
  if (!place || (place.title ?? '') === wanted) return doc
  const { title: _, ...rest } = place
  return { ...doc, layout: { ...doc.layout, nodes: { ...doc.layout.nodes, [id]: wanted === '' ? rest : { ...rest, title: wanted } } } }
}

function withDisabled(doc: Pipeline, ids: readonly string[], disabled: boolean): Pipeline {
  const changed = ids.filter((id) => own(doc.nodes, id) && (doc.nodes[id]?.disabled ?? false) !== disabled)
  if (changed.length === 0) return doc
  const nodes = { ...doc.nodes }
  for (const id of changed) {
    const { disabled: _, ...rest } = nodes[id] as PipelineNode
    nodes[id] = disabled ? { ...rest, disabled: true } : rest
  }
  return { ...doc, nodes }
}

/** The document after the edit. Pure; the same object when nothing changed. */
export function applyEdit(doc: Pipeline, edit: Edit): Pipeline {
  switch (edit.kind) {
    case 'add-node':
      return withNodeAdded(doc, edit.id, edit.node, edit.at, edit.title)
    case 'remove-nodes':
      return withoutNodes(doc, edit.ids)
    case 'connect':
      return withEdge(doc, edit.edge)
    case 'disconnect': {
      const edges = doc.edges.filter((edge) => !edit.edges.some((gone) => sameEdge(edge, gone)))
      return edges.length === doc.edges.length ? doc : { ...doc, edges }
    }
    case 'set-params':
      return withParams(doc, edit)
    case 'replace-node':
      return own(doc.nodes, edit.id) && !sameJson(doc.nodes[edit.id], edit.node)
        ? { ...doc, nodes: { ...doc.nodes, [edit.id]: edit.node } }
        : doc
    case 'move':
      return withPositions(doc, edit.positions)
    case 'rename':
      return withTitle(doc, edit.id, edit.title)
    case 'disable':
      return withDisabled(doc, edit.ids, edit.disabled)
    case 'paste': {
      let next = doc
      for (const [id, { node, at, title }] of Object.entries(edit.nodes)) next = withNodeAdded(next, id, node, at, title)
      return edit.edges.reduce(withEdge, next)
    }
    case 'set-inputs': {
      const inputs = edit.inputs.filter((input) => own(doc.nodes, input.node))
      return sameJson(inputs, doc.inputs) ? doc : { ...doc, inputs }
    }
    case 'set-notes':
      return sameJson(edit.notes, doc.notes) ? doc : { ...doc, notes: [...edit.notes] }
    case 'set-groups': {
      const groups = edit.groups
        .map((group) => ({ ...group, nodes: group.nodes.filter((id) => own(doc.nodes, id)) }))
        .filter((group) => group.nodes.length > 0)
      return sameJson(groups, doc.layout.groups) ? doc : { ...doc, layout: { ...doc.layout, groups } }
    }
    case 'replace-document':
      return sameJson(edit.document, doc) ? doc : edit.document
    case 'all':
      return edit.edits.reduce(applyEdit, doc)
  }
}

/** An id that is not taken: the type itself when free, else `train-2`, `train-3`, … Readable, since people meet ids on the command line. */
export function freshId(taken: Readonly<Record<string, unknown>>, base: string): string {
  const stem = base.replace(/[^A-Za-z0-9_-]/g, '-').slice(0, 56) || 'node'
  if (!own(taken, stem)) return stem
  for (let i = 2; ; i++) if (!own(taken, `${stem}-${i}`)) return `${stem}-${i}`
}
