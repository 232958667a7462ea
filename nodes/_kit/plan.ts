/**
 * What a run would do, node by node, and why (R-53 … R-57). A pure function: no clock, no I/O, no randomness; browser, server and CLI call
 * it with the same facts and get the same answer. Rows it was not given it asks for in `needs`; the caller loads them and calls again, at
 * most once per level of the graph.
 */
import { artifactsOf, cacheKey, contentDigest, extentOf, identityKey, type Recipe } from './cache-key'
import { check } from './check'
import type { AnyNode, PortDef, Registry } from './define-node'
import type { Estimate } from './facts'
import type { Pipeline } from './graph'
import { type Facts, factKey, type InferredNode } from './infer'
import { applyInputs } from './migrate'
import { type PlanAction, planSummary, type Reason, type ReasonData, reasonText } from './plan-text'
import type { Digest } from './ports'
import type { Problem } from './problems'
import { type End, neighbours, reach, titleOf } from './wires'

export type { PlanAction, Reason } from './plan-text'

/** A recorded success by its key. */
export type StoredResult = {
  /** Number people know the run by. */
  run: number
  nodeRun: string
  outputs: Record<string, unknown>
  /** Of the artifacts behind the outputs. */
  state: 'present' | 'missing' | 'corrupt'
  invalidated?: boolean
  /** Shown when it differs from here. */
  madeOn?: string
}
export type StoredCheckpoint = { step: number; manifest: Digest; run: number; nodeRun: string; params: Record<string, unknown> }
/** The newest earlier node run of the same node in the same pipeline. */
export type LastRun = {
  run: number
  done: boolean
  version: number
  implDigest: string | null
  params: Record<string, unknown>
  /** Content digests by port; null when it never got that far. */
  inputs: Record<string, Digest> | null
  source: string | null
  seconds: number | null
  /** What had been predicted for it. */
  estimatedSeconds: number | null
}
export type PlanFacts = {
  facts: Facts
  /** By node type, from the build. A type without one is never reused. */
  implDigests: Readonly<Record<string, string>>
  /** By `factKey`: digest of the file or model behind a request; null when it is not there. */
  sources: Readonly<Record<string, { digest: string; name: string } | null>>
  /** By cache key; null when looked up and not found. */
  results: Readonly<Record<string, StoredResult | null>>
  /** By identity key, newest first, verified. */
  checkpoints: Readonly<Record<string, readonly StoredCheckpoint[]>>
  /** By node id. */
  last: Readonly<Record<string, LastRun>>
  /** Outputs to take as they are (R-52, UX-63), by node id. */
  pins?: Readonly<Record<string, { run: number; nodeRun: string; outputs: Record<string, unknown> }>>
  /** Nodes that run although a result exists. */
  forced?: readonly string[]
  freeBytes?: number | null
  /** Memory of the machine that runs the nodes. */
  memoryBytes?: number | null
  /** Queue classes that a live worker serves; null when unknown. */
  workers?: readonly string[] | null
}
export const NO_FACTS: PlanFacts = { facts: {}, implDigests: {}, sources: {}, results: {}, checkpoints: {}, last: {} }

export type PlanNode = {
  node: string
  type: string
  version: number
  title: string
  action: PlanAction
  reasons: readonly Reason[]
  /** Null until the content of every input is known. */
  key: Digest | null
  identityKey: Digest | null
  /** Where a reuse or a continuation comes from. */
  from: { run: number; nodeRun: string; step?: number } | null
  /** Handles by port; given with `reuse`. */
  outputs: Record<string, unknown> | null
  cost: Estimate | null
  /** Null when not valid. */
  params: Record<string, unknown> | null
  /** What stood on `auto`, resolved. */
  resolved: Readonly<Record<string, unknown>>
  wires: Readonly<Record<string, End>>
  resource: 'light' | 'engine' | null
  implDigest: string | null
  /** Content digest by input port; null until all are known. */
  inputs: Readonly<Record<string, Digest>> | null
  /** Digest of the file or model that the node reads; null when it reads none. */
  source: string | null
}
export type Plan = {
  /** Every node of the target after what feeds it; ties by id. */
  nodes: readonly PlanNode[]
  /** Not part of this run. */
  absent: { outside: readonly string[]; disabled: readonly string[] }
  problems: readonly Problem[]
  needs: { results: readonly string[]; checkpoints: readonly string[]; sources: readonly string[] }
  summary: PlanSummary
}
export type PlanSummary = {
  run: number
  continue: number
  reuse: number
  blocked: number
  seconds: number
  memoryBytes: number
  diskBytes: number
  text: string
}

/**
 * @param target node ids the run must reach; null: every enabled node.
 * @param inputs values for the document's exposed inputs, by input id.
 */
export function plan(args: {
  document: Pipeline
  registry: Registry
  target?: readonly string[] | null
  inputs?: Readonly<Record<string, unknown>>
  facts?: PlanFacts
}): Plan {
  const { registry, target = null, facts = NO_FACTS } = args
  const overridden = applyInputs(args.document, args.inputs ?? {})
  const document = overridden.document
  const { problems: found, inference } = check(document, registry, facts.facts)
  const problems: Problem[] = [
    ...overridden.unknown.map((id) => ({
      severity: 'error' as const,
      code: 'bad-input' as const,
      node: null,
      message: `This pipeline has no input "${id}".`,
      expected: document.inputs.map((input) => input.id).join(', ') || 'none',
      got: id,
    })),
    ...found,
  ]
  const { up } = neighbours(new Map(Object.values(inference.nodes).map((node) => [node.node, node.wires as Record<string, End>])))
  const wanted = target === null ? null : new Set(target.flatMap((id) => [id, ...reach(up, id)]))
  const ids = [...inference.order, ...inference.cyclic]
  const inside = ids.filter((id) => wanted === null || wanted.has(id))
  const errors = new Map<string, Problem[]>()
  for (const problem of problems) {
    // A problem of the document itself blocks every node: nothing could be trusted to mean what it says.
    const at = problem.node === null ? inside : [problem.node, ...(problem.code === 'cycle' ? (problem.nodes ?? []) : [])]
    if (problem.severity === 'error') for (const id of new Set(at)) errors.set(id, [...(errors.get(id) ?? []), problem])
  }

  const planned = new Map<string, PlanNode>()
  const needs = { results: new Set<string>(), checkpoints: new Set<string>(), sources: new Set<string>() }
  const word = (data: ReasonData): Reason => ({ ...data, text: reasonText(data, (id) => titleOf(document, registry, id)) })

  for (const id of inside) {
    const inferred = inference.nodes[id]
    const saved = document.nodes[id]
    if (!inferred || !saved) continue
    const blank: PlanNode = {
      node: id,
      type: saved.type,
      version: saved.version,
      title: titleOf(document, registry, id),
      action: 'blocked',
      reasons: [],
      key: null,
      identityKey: null,
      from: null,
      outputs: null,
      cost: null,
      params: inferred.params,
      resolved: inferred.resolved,
      wires: inferred.wires,
      resource: inferred.def?.resource ?? null,
      implDigest: (inferred.def && facts.implDigests[saved.type]) ?? null,
      inputs: null,
      source: null,
    }
    const decided = decide({ blank, inferred, errors: errors.get(id) ?? [], facts, planned, needs })
    planned.set(id, { ...blank, ...decided, reasons: decided.reasons.map(word) })
  }

  const nodes = inside.map((id) => planned.get(id)).filter((node) => node !== undefined)
  const spaced = warnOfMemory(blockForSpace(nodes, facts.freeBytes ?? null, word), facts.memoryBytes ?? null, word)
  const count = (action: PlanAction) => spaced.filter((node) => node.action === action).length
  const working = spaced.filter(works)
  const totals = {
    run: count('run'),
    continue: count('continue'),
    reuse: count('reuse'),
    blocked: count('blocked'),
    seconds: working.reduce((sum, node) => sum + (node.cost?.seconds ?? 0), 0),
    // One trainer works on one node at a time, so the largest counts.
    memoryBytes: Math.max(0, ...working.map((node) => node.cost?.memoryBytes ?? 0)),
    diskBytes: working.reduce((sum, node) => sum + (node.cost?.diskBytes ?? 0), 0),
  }
  return {
    nodes: spaced,
    absent: {
      outside: ids.filter((id) => wanted !== null && !wanted.has(id)),
      disabled: Object.keys(document.nodes)
        .filter((id) => document.nodes[id]?.disabled)
        .sort(),
    },
    problems,
    needs: { results: [...needs.results].sort(), checkpoints: [...needs.checkpoints].sort(), sources: [...needs.sources].sort() },
    summary: { ...totals, text: planSummary({ ...totals, memoryThere: facts.memoryBytes ?? null }) },
  }
}

type Decided = Partial<Omit<PlanNode, 'reasons'>> & { action: PlanAction; reasons: ReasonData[] }

function decide(args: {
  blank: PlanNode
  inferred: InferredNode
  errors: readonly Problem[]
  facts: PlanFacts
  planned: ReadonlyMap<string, PlanNode>
  needs: Record<'results' | 'checkpoints' | 'sources', Set<string>>
}): Decided {
  const { blank, inferred, errors, facts, planned, needs } = args
  const { def, params } = inferred
  const id = blank.node
  if (errors.length > 0 || !def || !params) return { action: 'blocked', reasons: errors.map((problem) => blockedBy(id, problem)) }
  const parents = Object.values(inferred.wires).map((end) => planned.get(end.node))
  const blockedParent = parents.find((parent) => parent === undefined || parent.action === 'blocked')
  if (blockedParent) return { action: 'blocked', reasons: [{ code: 'upstream-blocked', node: rootOf(blockedParent, 'upstream-blocked') }] }

  const pin = facts.pins && Object.hasOwn(facts.pins, id) ? facts.pins[id] : undefined
  if (pin) {
    return {
      action: 'reuse',
      reasons: [{ code: 'pinned', node: id, run: pin.run }],
      from: { run: pin.run, nodeRun: pin.nodeRun },
      outputs: pin.outputs,
    }
  }
  const sourceKey = inferred.request ? factKey(inferred.request) : null
  const source = sourceKey === null ? undefined : facts.sources[sourceKey]
  if (sourceKey !== null && source === undefined) needs.sources.add(sourceKey)
  if (source === null && inferred.request) {
    return { action: 'blocked', reasons: [{ code: 'source-missing', node: id, source: sourceValue(inferred) ?? '' }] }
  }
  if (facts.workers && !facts.workers.some((served) => served === 'gpu' || served === 'cpu')) {
    return { action: 'blocked', reasons: [{ code: 'no-worker', node: id, resource: def.resource }] }
  }

  const inputs = inputDigests(def, inferred.wires, planned)
  const last = Object.hasOwn(facts.last, id) ? facts.last[id] : undefined
  const cost = calibrated(inferred.estimate, last)
  const recipe: Recipe | null =
    inputs.complete && blank.implDigest !== null && (sourceKey === null || source)
      ? {
          def,
          version: blank.version,
          implDigest: blank.implDigest,
          params,
          inputs: inputs.digests,
          source: source ? { ...source, value: sourceValue(inferred) ?? '' } : undefined,
        }
      : null
  const key = recipe && cacheKey(recipe)
  const identity = recipe && identityKey(recipe)
  const base = { key, identityKey: identity, cost, inputs: inputs.complete ? inputs.digests : null, source: source?.digest ?? null }
  const changes = changesSince(blank, inferred, last, inputs, source?.digest ?? null, planned)

  if (!inputs.complete) return { ...base, action: 'run', reasons: [...changes, { code: 'upstream-runs', node: inputs.cause }] }
  if (key === null || identity === null) return { ...base, action: 'run', reasons: orNeverRun(id, changes) }
  if (def.purity === 'volatile') return { ...base, action: 'run', reasons: [{ code: 'volatile', node: id }] }
  if (facts.forced?.includes(id)) return { ...base, action: 'run', reasons: [{ code: 'forced', node: id }] }

  const result = facts.results[key]
  if (result === undefined) needs.results.add(key)
  if (result) {
    if (result.invalidated) return { ...base, action: 'run', reasons: [{ code: 'invalidated', node: id, run: result.run }] }
    if (result.state === 'missing') return { ...base, action: 'run', reasons: [{ code: 'artifact-missing', node: id, run: result.run }] }
    if (result.state === 'corrupt') return { ...base, action: 'run', reasons: [{ code: 'artifact-corrupt', node: id, run: result.run }] }
    return {
      ...base,
      action: 'reuse',
      reasons: [{ code: 'same-recipe', node: id, run: result.run, ...(result.madeOn !== undefined && { madeOn: result.madeOn }) }],
      from: { run: result.run, nodeRun: result.nodeRun },
      outputs: result.outputs,
      cost: null,
    }
  }
  const saved = facts.checkpoints[identity]
  if (saved === undefined) needs.checkpoints.add(identity)
  const fit = saved && fittingCheckpoint(def, params, saved)
  if (fit) {
    const { checkpoint, longer } = fit
    return {
      ...base,
      action: 'continue',
      reasons: longer
        ? [{ code: 'more-epochs', node: id, param: longer.param, old: longer.old, new: longer.new, step: checkpoint.step }]
        : [{ code: 'interrupted', node: id, step: checkpoint.step }],
      from: { run: checkpoint.run, nodeRun: checkpoint.nodeRun, step: checkpoint.step },
    }
  }
  return { ...base, action: 'run', reasons: orNeverRun(id, changes) }
}

const orNeverRun = (node: string, changes: ReasonData[]): ReasonData[] => (changes.length > 0 ? changes : [{ code: 'never-run', node }])

const sourceValue = (inferred: InferredNode): string | null =>
  inferred.request === null ? null : inferred.request.kind === 'model' ? inferred.request.source : inferred.request.file

function blockedBy(node: string, problem: Problem): ReasonData {
  const cause = problem.node ?? node
  switch (problem.code) {
    case 'missing-input':
    case 'unknown-type':
    case 'source-missing':
      return { code: problem.code, node: cause, message: problem.message }
    case 'cycle':
      return { code: 'cycle', node: cause, nodes: problem.nodes ?? [], message: problem.message }
    default:
      return { code: 'invalid-param', node: cause, message: problem.message, ...(problem.param !== undefined && { param: problem.param }) }
  }
}

/** Content digests of everything on the node's inputs; `cause` is the node whose run keeps one of them unknown. */
type Inputs = { complete: boolean; digests: Record<string, Digest>; cause: string }

function inputDigests(def: AnyNode, wires: Readonly<Record<string, End>>, planned: ReadonlyMap<string, PlanNode>): Inputs {
  const digests: Record<string, Digest> = {}
  for (const [port, input] of Object.entries(def.inputs as Record<string, PortDef>)) {
    const from = wires[port]
    if (!from) continue
    const parent = planned.get(from.node)
    const value = parent?.outputs?.[from.port]
    if (value === undefined || !parent) return { complete: false, digests: {}, cause: parent ? rootOf(parent, 'upstream-runs') : from.node }
    digests[port] = contentDigest(input.kind, value)
  }
  return { complete: true, digests, cause: '' }
}

/** The node a chain of "because of upstream" ends at. */
const rootOf = (node: PlanNode, code: 'upstream-runs' | 'upstream-blocked'): string =>
  node.reasons.find((reason) => reason.code === code)?.node ?? node.node

function changesSince(
  blank: PlanNode,
  inferred: InferredNode,
  last: LastRun | undefined,
  inputs: Inputs,
  source: string | null,
  planned: ReadonlyMap<string, PlanNode>,
): ReasonData[] {
  if (!last) return [{ code: 'never-run', node: blank.node }]
  const reasons: ReasonData[] = []
  const value = sourceValue(inferred)
  for (const name of Object.keys({ ...last.params, ...inferred.params }).sort()) {
    const [old, now] = [last.params[name], inferred.params?.[name]]
    if (JSON.stringify(old) === JSON.stringify(now)) continue
    // Another path to the same bytes is no change of content.
    if (now === value && value !== null && source !== null && source === last.source) continue
    reasons.push({ code: 'param-changed', node: blank.node, param: name, old: old ?? null, new: now ?? null })
  }
  const pathChanged = reasons.some((reason) => reason.code === 'param-changed' && reason.new === value)
  if (source !== null && last.source !== null && source !== last.source && !pathChanged) {
    reasons.push({ code: 'source-changed', node: blank.node, source: value ?? '' })
  }
  if (last.version !== blank.version || (last.implDigest !== null && blank.implDigest !== null && last.implDigest !== blank.implDigest)) {
    reasons.push({ code: 'code-changed', node: blank.node })
  }
  if (inputs.complete && last.inputs) {
    for (const port of Object.keys({ ...last.inputs, ...inputs.digests }).sort()) {
      if (last.inputs[port] === inputs.digests[port]) continue
      const from = inferred.wires[port]
      reasons.push({ code: 'input-changed', node: from ? (planned.get(from.node)?.node ?? from.node) : blank.node, port })
    }
  }
  return reasons
}

/** The node type's estimate, corrected by how far off it was last time; the measured time where there is no estimate. */
function calibrated(estimate: Estimate | null, last: LastRun | undefined): Estimate | null {
  if (!last?.done || last.seconds === null) return estimate
  if (!estimate) return { seconds: last.seconds, memoryBytes: 0, diskBytes: 0 }
  if (!last.estimatedSeconds) return estimate
  // Bounded: one run on a busy machine must not make every later promise absurd.
  const factor = Math.min(10, Math.max(0.1, last.seconds / last.estimatedSeconds))
  return { ...estimate, seconds: estimate.seconds * factor }
}

const works = (node: PlanNode) => node.action === 'run' || node.action === 'continue'

/** E-19: said before the run, not forbidden: the prediction is of the peak, and a system may swap. */
function warnOfMemory(nodes: readonly PlanNode[], there: number | null, word: (data: ReasonData) => Reason): PlanNode[] {
  return nodes.map((node) => {
    const needed = works(node) ? (node.cost?.memoryBytes ?? 0) : 0
    if (there === null || needed <= there) return node
    return { ...node, reasons: [...node.reasons, word({ code: 'little-memory', node: node.node, needed, there })] }
  })
}

/** less than 1.2 × the estimate free blocks what would write. */
function blockForSpace(nodes: readonly PlanNode[], free: number | null, word: (data: ReasonData) => Reason): PlanNode[] {
  const writes = (node: PlanNode) => works(node) && (node.cost?.diskBytes ?? 0) > 0
  const needed = nodes.filter(writes).reduce((sum, node) => sum + (node.cost?.diskBytes ?? 0), 0)
  if (free === null || free >= 1.2 * needed) return [...nodes]
  const blocked = new Map<string, PlanNode>()
  return nodes.map((node) => {
    const parent = Object.values(node.wires).find((end) => blocked.has(end.node))
    const reason: ReasonData | null = writes(node)
      ? { code: 'no-space', node: node.node, needed, free }
      : parent
        ? { code: 'upstream-blocked', node: parent.node }
        : null
    if (!reason) return node
    const out: PlanNode = { ...node, action: 'blocked', reasons: [word(reason)] }
    blocked.set(node.node, out)
    return out
  })
}

/**
 * The checkpoint that this node may continue from: the newest of a run of equal or smaller extent; for a smaller extent only one at
 * exactly the step asked for. `saved` must be of the same identity, newest first.
 */
export function fittingCheckpoint(
  def: AnyNode,
  params: Record<string, unknown>,
  saved: readonly StoredCheckpoint[],
): { checkpoint: StoredCheckpoint; longer: { param: string; old: unknown; new: unknown } | null } | null {
  const extent = extentOf(def, params)
  const size = (value: unknown) => (typeof value === 'number' && value >= 0 ? value : Number.POSITIVE_INFINITY)
  for (const checkpoint of saved) {
    const pairs = extent.map((param) => ({ param, old: checkpoint.params[param], new: params[param] }))
    const changed = pairs.filter((pair) => pair.old !== pair.new)
    if (changed.length === 0) return { checkpoint, longer: null }
    const [first] = changed
    if (first && changed.every((pair) => size(pair.new) >= size(pair.old))) return { checkpoint, longer: first }
    if (changed.every((pair) => pair.new === checkpoint.step)) return { checkpoint, longer: null }
  }
  return null
}

/** Artifacts a plan rests on: those of reused outputs. The caller verifies them before it trusts the plan. */
export function artifactsOfOutputs(def: AnyNode, outputs: Record<string, unknown>): Digest[] {
  return Object.entries(def.outputs as Record<string, PortDef>).flatMap(([port, output]) =>
    outputs[port] === undefined ? [] : artifactsOf(output.kind, outputs[port]),
  )
}
