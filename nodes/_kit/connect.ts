/** May this output feed that input (UX-20 … UX-22)? One pure function for canvas, server and CLI: yes, or the reason with a repair. */
import type { PortDef, Registry } from './define-node'
import type { Edge, Pipeline } from './graph'
import { type Facts, inferGraph } from './infer'
import { PORT_WORDS } from './ports'
import type { Fix } from './problems'
import { defOf, type End, own, pathBetween, portOf, titleOf } from './wires'

export type ConnectionVerdict =
  | { ok: true /** The wire that the new one takes the place of (UX-20). */; replaces: Edge | null }
  | {
      ok: false
      code: 'no-node' | 'no-port' | 'unknown-type' | 'kind-mismatch' | 'cycle' | 'refused'
      /** One or two sentences for people. */
      reason: string
      expected?: string
      got?: string
      /** Node ids along the cycle that would arise. */
      path?: readonly string[]
      fix?: Fix
    }

/**
 * @param facts when given, the target node's own `infer` is asked too: an error it would report without naming a param refuses the wire
 * (a param can be set afterwards, a tokenizer that does not fit cannot).
 */
export function connectionVerdict(args: {
  document: Pipeline
  registry: Registry
  from: End
  to: End
  facts?: Facts | undefined
}): ConnectionVerdict {
  const { document, registry, from, to, facts } = args
  for (const end of [from, to]) {
    const node = own(document.nodes, end.node)
    if (!node) return { ok: false, code: 'no-node', reason: `There is no node "${end.node}".` }
    if (!own(registry, node.type)) {
      return {
        ok: false,
        code: 'unknown-type',
        reason: `This Thaw does not know the node type "${node.type}", so it cannot say what fits.`,
      }
    }
  }
  const title = (id: string) => titleOf(document, registry, id)
  const out = portOf(defOf(document, registry, from.node), 'outputs', from.port)
  const into = portOf(defOf(document, registry, to.node), 'inputs', to.port)
  if (!out) return { ok: false, code: 'no-port', reason: `${title(from.node)} has no output "${from.port}".` }
  if (!into) return { ok: false, code: 'no-port', reason: `${title(to.node)} has no input "${to.port}".` }
  if (from.node === to.node) {
    return { ok: false, code: 'cycle', reason: `${title(from.node)} cannot feed itself.`, path: [from.node, from.node] }
  }
  if (out.kind !== into.kind) {
    const fix = mismatchFix(document, registry, from, to, into)
    return {
      ok: false,
      code: 'kind-mismatch',
      reason: `${title(to.node)} needs ${PORT_WORDS[into.kind].article} at ${into.title}; this is ${PORT_WORDS[out.kind].article}.`,
      expected: into.kind,
      got: out.kind,
      ...(fix && { fix }),
    }
  }
  const back = pathBetween(document, to.node, from.node)
  if (back) {
    const path = [...back, to.node]
    return { ok: false, code: 'cycle', reason: `The wires would go round: ${path.map(title).join(' → ')}.`, path }
  }
  const replaces = document.edges.find((edge) => edge.to.node === to.node && edge.to.port === to.port) ?? null
  if (facts) {
    const wired = { ...document, edges: [...document.edges.filter((edge) => edge !== replaces), { from, to }] }
    const faults = (doc: Pipeline) =>
      (inferGraph(doc, registry, facts).nodes[to.node]?.problems ?? []).filter(
        (problem) => problem.severity === 'error' && problem.code === 'node' && problem.param === undefined,
      )
    const known = new Set(faults(document).map((problem) => problem.message))
    const fault = faults(wired).find((problem) => !known.has(problem.message))
    if (fault) {
      return {
        ok: false,
        code: 'refused',
        reason: fault.message,
        ...(fault.expected !== undefined && { expected: fault.expected }),
        ...(fault.got !== undefined && { got: fault.got }),
        ...(fault.fix && { fix: fault.fix }),
      }
    }
  }
  return { ok: true, replaces }
}

/** Another free input of the target that takes this kind, else a new node that makes what the input needs. */
function mismatchFix(document: Pipeline, registry: Registry, from: End, to: End, into: PortDef): Fix | null {
  const target = defOf(document, registry, to.node)
  const kind = portOf(defOf(document, registry, from.node), 'outputs', from.port)?.kind
  for (const [port, input] of Object.entries((target?.inputs ?? {}) as Record<string, PortDef>)) {
    const free = !document.edges.some((edge) => edge.to.node === to.node && edge.to.port === port)
    if (input.kind === kind && free) {
      return { kind: 'reconnect', label: `Connect to ${input.title}`, from, to: { node: to.node, port } }
    }
  }
  const sources = Object.values(registry).filter((def) => Object.keys(def.inputs).length === 0)
  for (const maker of sources) {
    const port = Object.entries(maker.outputs as Record<string, PortDef>).find(([, output]) => output.kind === into.kind)?.[0]
    if (port) return { kind: 'insert', label: `Add ${maker.title}`, type: maker.type, port, to }
  }
  return null
}
