import type * as z from 'zod'
import type { Registry } from '../../nodes/_kit/define-node'
import type { Edge, Pipeline } from '../../nodes/_kit/graph'
import { paramTitle } from '../../nodes/_kit/problems'
import { own, titleOf } from '../../nodes/_kit/wires'
import { type Built, blank } from './build'
import type { Edit } from './editor-state'
import { kindAt, portsOf } from './graph-queries'

/**
 * Another type in a node's place (UX-29): its position, settings of the same name that the new type takes, and wires whose ends fit, first
 * by the name of the port, then by kind. `lost` names the rest.
 */
export function replaceNode(doc: Pipeline, registry: Registry, id: string, type: string): (Built & { lost: string[] }) | null {
  const old = own(doc.nodes, id)
  const def = own(registry, type)
  if (!old || !def || old.type === type) return null
  const lost: string[] = []
  const params: Record<string, unknown> = {}
  const before = own(registry, old.type)
  for (const [name, value] of Object.entries(old.params)) {
    const field = Object.hasOwn(def.params.shape, name) ? (def.params.shape as Record<string, z.ZodType>)[name] : undefined
    if (field?.safeParse(value).success) params[name] = value
    else lost.push(before && Object.hasOwn(before.params.shape, name) ? paramTitle(before, name) : name)
  }
  const kept: Edge[] = []
  for (const side of ['in', 'out'] as const) {
    const taken = new Set<string>()
    for (const edge of doc.edges) {
      const end = side === 'in' ? edge.to : edge.from
      if (end.node !== id) continue
      const other = side === 'in' ? edge.from : edge.to
      const kind = kindAt(doc, registry, end, side)
      const fits = portsOf(def, side).filter(([port, shape]) => shape.kind === kind && (side === 'out' || !taken.has(port)))
      const port = fits.find(([name]) => name === end.port)?.[0] ?? fits[0]?.[0]
      if (port === undefined || kind === undefined) {
        lost.push(`the wire ${side === 'in' ? 'from' : 'to'} ${titleOf(doc, registry, other.node)}`)
        continue
      }
      taken.add(port)
      kept.push(side === 'in' ? { from: edge.from, to: { node: id, port } } : { from: { node: id, port }, to: edge.to })
    }
  }
  const touching = doc.edges.filter((edge) => edge.from.node === id || edge.to.node === id)
  return {
    ids: [id],
    lost,
    label: `replace ${titleOf(doc, registry, id)} with ${def.title}`,
    edit: {
      kind: 'all',
      edits: [
        { kind: 'disconnect', edges: touching },
        { kind: 'replace-node', id, node: { ...blank(def, params), ...(old.disabled && { disabled: true }) } },
        ...kept.map((edge): Edit => ({ kind: 'connect', edge })),
        { kind: 'set-inputs', inputs: doc.inputs.filter((input) => input.node !== id || Object.hasOwn(def.params.shape, input.param)) },
      ],
    },
  }
}
