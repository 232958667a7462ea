/**
 * What a graph says about itself before anything runs (UX-21): walks the nodes in topological order and calls each node's own `infer` with
 * the facts on its inputs. Pure; the facts about files and models come from the server as a table.
 */
import type { AnyNode, PortDef, Registry } from './define-node'
import { versionOf } from './define-node'
import type { CardRow, Estimate, Fact, FactRequest, Inference, PortFacts } from './facts'
import type { Pipeline } from './graph'
import { type Problem, paramProblems } from './problems'
import { type End, topologicalOrder, wiresOf } from './wires'

/** Answers to the nodes' fact requests, by `factKey`. Missing: not looked up yet. */
export type Facts = Readonly<Record<string, Fact>>

export const factKey = (request: FactRequest): string => (request.kind === 'model' ? `model:${request.source}` : `data:${request.file}`)

/** What is known about one node. */
export type InferredNode = {
  node: string
  def: AnyNode | null
  /** Parsed, defaults filled, `auto` resolved where inference could; null when the params are not valid. */
  params: Record<string, unknown> | null
  /** Params that stood on `auto`, with the value inference gave. */
  resolved: Readonly<Record<string, unknown>>
  wires: Readonly<Record<string, End>>
  inputs: Readonly<Record<string, PortFacts | undefined>>
  outputs: Readonly<Record<string, PortFacts>>
  estimate: Estimate | null
  card: readonly CardRow[]
  problems: readonly Problem[]
  /** What the server must look at for this node; null when nothing. */
  request: FactRequest | null
  fact: Fact | undefined
}

export type InferredGraph = {
  /** Enabled nodes, each after what feeds it; those on a cycle are left out. */
  order: readonly string[]
  cyclic: readonly string[]
  nodes: Readonly<Record<string, InferredNode>>
  /** Requests that `facts` did not answer. */
  unanswered: readonly FactRequest[]
}

/** @returns facts, resolved params, estimates, card rows and params problems of every enabled node. Never throws on a document. */
export function inferGraph(document: Pipeline, registry: Registry, facts: Facts = {}): InferredGraph {
  const wires = wiresOf(document, registry)
  const { order, cyclic } = topologicalOrder(wires)
  const nodes: Record<string, InferredNode> = Object.create(null)
  const unanswered = new Map<string, FactRequest>()
  for (const id of [...order, ...cyclic]) {
    const saved = document.nodes[id]
    if (!saved) continue
    const inputWires = wires.get(id) ?? {}
    const found = Object.hasOwn(registry, saved.type) ? registry[saved.type] : undefined
    const def = found && saved.version <= versionOf(found) ? found : null
    const blank: InferredNode = {
      node: id,
      def,
      params: null,
      resolved: {},
      wires: inputWires,
      inputs: {},
      outputs: {},
      estimate: null,
      card: [],
      problems: [],
      request: null,
      fact: undefined,
    }
    nodes[id] = def ? inferNode(blank, def, saved.params, nodes, facts) : blank
    const request = nodes[id].request
    if (request && nodes[id].fact === undefined) unanswered.set(factKey(request), request)
  }
  return { order, cyclic, nodes, unanswered: [...unanswered.values()] }
}

function inferNode(
  blank: InferredNode,
  def: AnyNode,
  saved: Record<string, unknown>,
  before: Readonly<Record<string, InferredNode>>,
  facts: Facts,
): InferredNode {
  const inputs: Record<string, PortFacts | undefined> = {}
  for (const [port, input] of Object.entries(def.inputs as Record<string, PortDef>)) {
    const from = blank.wires[port]
    const value = from && before[from.node]?.outputs[from.port]
    // A wire of the wrong kind tells nothing; the check reports it.
    if (value && value.kind === input.kind) inputs[port] = value
  }
  const parsed = def.params.safeParse(saved)
  if (!parsed.success) return { ...blank, inputs, problems: paramProblems(blank.node, def, saved, parsed.error) }
  const params = parsed.data as Record<string, unknown>
  const request = def.facts?.(params) ?? null
  const answer = request ? facts[factKey(request)] : undefined
  // A model that is fetched by the run is not missing; it is only not known yet.
  const later = answer?.kind === 'error' && answer.code === 'NOT_DOWNLOADED'
  const fact = later ? undefined : answer
  let inference: Inference = {}
  const problems: Problem[] = []
  try {
    inference = def.infer?.({ params, inputs, fact, node: blank.node }) ?? {}
  } catch (thrown) {
    // A fault of ours in one node must not take the canvas down with it.
    problems.push({
      severity: 'error',
      code: 'node',
      detail: 'infer-failed',
      node: blank.node,
      message: `${def.title} could not look at its inputs: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    })
  }
  for (const { fix, code, ...problem } of inference.problems ?? []) {
    problems.push({
      ...problem,
      code: 'node',
      detail: code,
      node: blank.node,
      ...(fix && { fix: { kind: 'params' as const, label: fix.label, node: blank.node, params: fix.params } }),
    })
  }
  if (later) {
    problems.push({ severity: 'warning', code: 'source-missing', detail: answer.code, node: blank.node, message: answer.message })
  }
  if (fact?.kind === 'error' && !problems.some((problem) => problem.severity === 'error')) {
    problems.push({
      severity: 'error',
      code: 'source-missing',
      detail: fact.code,
      node: blank.node,
      message: fact.message,
      ...(request && { got: request.kind === 'model' ? request.source : request.file }),
      ...(fact.fix && { expected: fact.fix }),
    })
  }
  const resolved = inference.resolved ?? {}
  return {
    ...blank,
    params: { ...params, ...resolved },
    resolved,
    inputs,
    outputs: inference.outputs ?? {},
    estimate: inference.estimate ?? null,
    card: (inference.card ?? []).slice(0, 3),
    problems,
    request,
    fact: answer,
  }
}
