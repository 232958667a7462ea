/**
 * All that is wrong with a document, at once (style.md habit 16): structure, params, wires, what the nodes say themselves, and the lineage
 * lint. Pure; run by canvas, server and CLI with the same facts.
 */
import { type AnyNode, type PortDef, type Registry, versionOf } from './define-node'
import type { Pipeline } from './graph'
import { type Facts, type InferredGraph, inferGraph } from './infer'
import { lineageLint } from './lint'
import { PORT_WORDS } from './ports'
import { nearest, type Problem } from './problems'
import { cyclesOf, defOf, own, portOf, titleOf } from './wires'

export type Checked = { problems: readonly Problem[]; inference: InferredGraph }

/** @returns every problem, errors first, then by node in running order; and the inference they rest on. Never throws on a document. */
export function check(document: Pipeline, registry: Registry, facts: Facts = {}): Checked {
  const inference = inferGraph(document, registry, facts)
  const problems: Problem[] = [
    ...typeProblems(document, registry),
    ...wireProblems(document, registry),
    ...cycleProblems(document, registry),
    ...Object.values(inference.nodes).flatMap((node) => [...node.problems]),
    ...missingInputs(document, registry, inference),
  ]
  problems.push(...lineageLint(document, registry, inference))
  const rank = new Map([...inference.order, ...inference.cyclic].map((id, i) => [id, i]))
  const place = (problem: Problem) => (problem.node === null ? -1 : (rank.get(problem.node) ?? rank.size))
  const sorted = problems
    .map((problem, i) => ({ problem, i }))
    .sort(
      (a, b) =>
        Number(a.problem.severity === 'warning') - Number(b.problem.severity === 'warning') ||
        place(a.problem) - place(b.problem) ||
        a.i - b.i,
    )
  return { problems: sorted.map(({ problem }) => problem), inference }
}

function typeProblems(document: Pipeline, registry: Registry): Problem[] {
  const problems: Problem[] = []
  for (const [id, node] of Object.entries(document.nodes)) {
    const def = own(registry, node.type)
    const severity = node.disabled ? 'warning' : 'error'
    if (!def) {
      const meant = nearest(node.type, Object.keys(registry))
      problems.push({
        severity,
        code: 'unknown-type',
        node: id,
        message: `This Thaw has no node type "${node.type}"${meant ? `. Did you mean "${meant}"?` : ''}. The node is kept as it is and cannot run.`,
        expected: meant ?? Object.keys(registry).sort().join(', '),
        got: node.type,
      })
    } else if (node.version > versionOf(def)) {
      problems.push({
        severity,
        code: 'newer-version',
        node: id,
        message: `This ${def.title} was saved by a newer Thaw (version ${node.version}, known here: ${versionOf(def)}). The node is kept as it is and cannot run.`,
        expected: `at most ${versionOf(def)}`,
        got: String(node.version),
      })
    }
  }
  document.inputs.forEach((input) => {
    const def = defOf(document, registry, input.node)
    if (!own(document.nodes, input.node) || (def && !Object.hasOwn(def.params.shape, input.param))) {
      problems.push({
        severity: 'error',
        code: 'bad-input',
        node: own(document.nodes, input.node) ? input.node : null,
        message: `The input "${input.title}" stands for ${input.node}.${input.param}, which does not exist.`,
        got: `${input.node}.${input.param}`,
      })
    }
  })
  return problems
}

function wireProblems(document: Pipeline, registry: Registry): Problem[] {
  const problems: Problem[] = []
  const taken = new Set<string>()
  for (const { from, to } of document.edges) {
    const fix = { kind: 'remove-edge' as const, label: 'Remove the wire', from, to }
    const missing = [from, to].find((end) => !own(document.nodes, end.node))
    if (missing) {
      problems.push({
        severity: 'error',
        code: 'dangling-wire',
        node: own(document.nodes, to.node) ? to.node : own(document.nodes, from.node) ? from.node : null,
        message: `A wire from ${from.node}.${from.port} to ${to.node}.${to.port} ends at a node "${missing.node}" that does not exist.`,
        got: missing.node,
        fix,
      })
      continue
    }
    const slot = `${to.node}\n${to.port}`
    if (taken.has(slot)) {
      problems.push({
        severity: 'error',
        code: 'double-wire',
        node: to.node,
        port: to.port,
        message: `Two wires end at ${titleOf(document, registry, to.node)} · ${to.port}; an input takes one.`,
        expected: 'one wire',
        got: 'two',
        fix,
      })
    }
    taken.add(slot)
    const a = defOf(document, registry, from.node)
    const b = defOf(document, registry, to.node)
    const out = portOf(a, 'outputs', from.port)
    const into = portOf(b, 'inputs', to.port)
    const unknown: [AnyNode | undefined, PortDef | undefined, 'outputs' | 'inputs', typeof from][] = [
      [a, out, 'outputs', from],
      [b, into, 'inputs', to],
    ]
    for (const [def, port, side, end] of unknown) {
      if (!def || port) continue
      const names = Object.keys(def[side])
      const meant = nearest(end.port, names)
      problems.push({
        severity: 'error',
        code: 'unknown-port',
        node: end.node,
        port: end.port,
        message: `${def.title} has no ${side === 'inputs' ? 'input' : 'output'} "${end.port}"${meant ? `. Did you mean "${meant}"?` : '.'}`,
        expected: names.join(', ') || 'none',
        got: end.port,
        fix,
      })
    }
    if (out && into && out.kind !== into.kind) {
      problems.push({
        severity: 'error',
        code: 'kind-mismatch',
        node: to.node,
        nodes: [from.node],
        port: to.port,
        message: `${titleOf(document, registry, to.node)} needs ${PORT_WORDS[into.kind].article} at ${into.title}; ${titleOf(document, registry, from.node)} gives ${PORT_WORDS[out.kind].article}.`,
        expected: into.kind,
        got: out.kind,
        fix,
      })
    }
  }
  return problems
}

function cycleProblems(document: Pipeline, registry: Registry): Problem[] {
  return cyclesOf(document).map((cycle) => ({
    severity: 'error' as const,
    code: 'cycle' as const,
    node: cycle[0] ?? null,
    nodes: cycle.slice(0, -1),
    message: `The wires go round: ${cycle.map((id) => titleOf(document, registry, id)).join(' → ')}.`,
  }))
}

function missingInputs(document: Pipeline, registry: Registry, inference: InferredGraph): Problem[] {
  const problems: Problem[] = []
  for (const [id, node] of Object.entries(inference.nodes)) {
    if (!node.def) continue
    for (const [port, input] of Object.entries(node.def.inputs as Record<string, PortDef>)) {
      if (input.optional || node.wires[port]) continue
      const makers = Object.values(registry).filter((def) =>
        (Object.values(def.outputs) as PortDef[]).some((output) => output.kind === input.kind),
      )
      // The shortest way to the kind: a node that needs nothing itself.
      const maker = makers.find((def) => Object.keys(def.inputs).length === 0) ?? makers[0]
      const output = maker && Object.entries(maker.outputs as Record<string, PortDef>).find(([, out]) => out.kind === input.kind)?.[0]
      problems.push({
        severity: 'error',
        code: 'missing-input',
        node: id,
        port,
        message: `${titleOf(document, registry, id)} needs ${PORT_WORDS[input.kind].article} at ${input.title}.`,
        expected: input.kind,
        got: 'nothing connected',
        ...(maker &&
          output && {
            fix: { kind: 'insert' as const, label: `Add ${maker.title}`, type: maker.type, port: output, to: { node: id, port } },
          }),
      })
    }
  }
  return problems
}
