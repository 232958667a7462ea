/**
 * Which results no longer count, the moment a setting changes (UX-64): the document as it is now against the document that the shown run
 * ran, node by node, with the reason; and everything below. Layout, titles and notes do not count (UX-49).
 */
import type { Registry } from '../../nodes/_kit/define-node'
import type { Edge, Pipeline } from '../../nodes/_kit/graph'
import { paramTitle, show } from '../../nodes/_kit/problems'
import { defOf, own, titleOf } from '../../nodes/_kit/wires'
import { numberText } from '../forms/number-text'
import { fieldsOf } from '../forms/schema'
import { sameJson } from './editor-state'

const said = (value: unknown): string => (typeof value === 'number' ? numberText(value) : typeof value === 'string' ? value : show(value))

/** Params with defaults filled in, whether they are valid or not, so that writing down a default changes nothing. */
function filled(doc: Pipeline, registry: Registry, id: string): Record<string, unknown> {
  const params = doc.nodes[id]?.params ?? {}
  const def = defOf(doc, registry, id)
  const defaults = def ? Object.fromEntries(fieldsOf(def.params).map((field) => [field.name, field.default])) : {}
  return { ...defaults, ...params }
}

const feeding = (doc: Pipeline, id: string): Edge[] => doc.edges.filter((edge) => edge.to.node === id)

/** @returns a sentence for every node of `then` that is still in `now` and whose result of `run` is no longer what it would give. */
export function staleReasons(now: Pipeline, then: Pipeline, registry: Registry, run: number | null): Map<string, string> {
  const reasons = new Map<string, string>()
  const when = run === null ? '' : ` in run ${run}`
  for (const [id, node] of Object.entries(now.nodes)) {
    const old = own(then.nodes, id)
    if (!old || node.disabled) continue
    const def = defOf(now, registry, id)
    if (old.type !== node.type) reasons.set(id, `Was ${old.type}${when}`)
    else if ((old.disabled ?? false) !== (node.disabled ?? false)) reasons.set(id, `Was disabled${when}`)
    else if (old.params !== node.params) {
      const [before, after] = [filled(then, registry, id), filled(now, registry, id)]
      const changed = Object.keys({ ...before, ...after }).filter((name) => !sameJson(before[name], after[name]))
      const [name] = changed
      if (name !== undefined) {
        const more = changed.length > 1 ? `, and ${changed.length - 1} more` : ''
        reasons.set(id, `${def ? paramTitle(def, name) : name} ${said(after[name])}, was ${said(before[name])}${when}${more}`)
      }
    }
    if (reasons.has(id)) continue
    const [before, after] = [feeding(then, id), feeding(now, id)]
    const rewired =
      after.find((edge) => !before.some((other) => sameJson(edge, other))) ??
      before.find((edge) => !after.some((other) => sameJson(edge, other)))
    if (rewired) reasons.set(id, `Other wires than${when || ' before'}`)
    // A disabled node passes its wire on: what it fed now gets something else.
    else if (after.some((edge) => (now.nodes[edge.from.node]?.disabled ?? false) !== (then.nodes[edge.from.node]?.disabled ?? false)))
      reasons.set(id, `Other inputs than${when || ' before'}`)
  }
  const open = [...reasons.keys()]
  for (let at = open.shift(); at !== undefined; at = open.shift()) {
    for (const edge of now.edges) {
      if (edge.from.node !== at || reasons.has(edge.to.node) || !own(then.nodes, edge.to.node)) continue
      reasons.set(edge.to.node, `${titleOf(now, registry, at)} changed`)
      open.push(edge.to.node)
    }
  }
  return reasons
}
