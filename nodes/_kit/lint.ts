/**
 * Lineage lint (UX-23): what is allowed but cannot be meant. It reads the graph and the facts on the wires, and knows nodes only by their
 * group and port kinds, so that a new node type is covered without a change here.
 */
import type { PortDef, Registry } from './define-node'
import type { DatasetFacts } from './facts'
import type { Pipeline } from './graph'
import { factKey, type InferredGraph, type InferredNode } from './infer'
import type { PortKind } from './ports'
import type { Problem } from './problems'
import { type End, neighbours, reach, titleOf } from './wires'

/** A dataset on a wire, seen back to where its rows came from. */
type Rows = { end: End; facts: DatasetFacts; source: string; splitter: string | null }

export function lineageLint(document: Pipeline, registry: Registry, inference: InferredGraph): Problem[] {
  const { up, down } = neighbours(new Map(Object.values(inference.nodes).map((node) => [node.node, node.wires as Record<string, End>])))
  const title = (id: string) => titleOf(document, registry, id)
  const all = inference.order.map((id) => inference.nodes[id]).filter((node): node is InferredNode & { def: object } => node?.def != null)
  const trainers = all.filter((node) => node.def?.group === 'Training')
  const ports = (node: InferredNode, side: 'inputs' | 'outputs', kind: PortKind) =>
    Object.entries((node.def?.[side] ?? {}) as Record<string, PortDef>)
      .filter(([, port]) => port.kind === kind)
      .map(([name]) => name)
  const problems: Problem[] = []

  /** Follows the rows upwards to the node that read them, remembering where they were divided. */
  const rowsAt = (node: InferredNode, port: string): Rows | null => {
    const end = node.wires[port]
    const value = node.inputs[port]
    if (!end || value?.kind !== 'dataset') return null
    let at = end
    let splitter: string | null = null
    for (let hops = 0; hops < 2_000; hops++) {
      const maker = inference.nodes[at.node]
      const up = maker && ports(maker, 'inputs', 'dataset').find((name) => maker.wires[name])
      const made = maker?.outputs[at.port]
      const taken = maker && up ? maker.inputs[up] : undefined
      if (
        made?.kind === 'dataset' &&
        made.facts.split !== 'all' &&
        !(taken?.kind === 'dataset' && taken.facts.split === made.facts.split)
      ) {
        splitter ??= at.node
      }
      const next = maker && up ? maker.wires[up] : undefined
      if (!next) break
      at = next
    }
    const request = inference.nodes[at.node]?.request
    return { end, facts: value.facts, source: request ? factKey(request) : at.node, splitter }
  }

  const overlap = (trained: Rows, tested: Rows): 'same' | 'mixed' | null => {
    if (trained.source !== tested.source) return null
    if (trained.end.node === tested.end.node && trained.end.port === tested.end.port) return 'same'
    if (trained.splitter !== tested.splitter) return 'mixed'
    return trained.facts.split === tested.facts.split ? 'same' : null
  }

  const report = (trainer: InferredNode, trained: Rows, node: InferredNode, port: string, tested: Rows) => {
    const kind = overlap(trained, tested)
    if (!kind) return
    const other = heldOut(inference, tested, trained)
    problems.push({
      severity: 'warning',
      code: kind === 'same' ? 'leak' : 'mixed-splits',
      node: node.node,
      nodes: [trainer.node],
      port,
      message:
        kind === 'same'
          ? `${title(node.node)} measures on rows that ${title(trainer.node)} trains on, so its numbers will look better than they are.`
          : `${title(node.node)} and ${title(trainer.node)} use rows of one source divided in different ways, so some are in both.`,
      ...(other && {
        fix: {
          kind: 'reconnect' as const,
          label: `Use ${title(other.node)} · ${other.port}`,
          from: other,
          to: { node: node.node, port },
        },
      }),
    })
  }

  for (const trainer of trainers) {
    const [data, ...others] = ports(trainer, 'inputs', 'dataset')
    const trained = data === undefined ? null : rowsAt(trainer, data)
    if (!trained) continue
    for (const port of others) {
      const tested = rowsAt(trainer, port)
      if (tested) report(trainer, trained, trainer, port, tested)
    }
    const below = reach(down, trainer.node)
    for (const node of all) {
      if (node.def?.group !== 'Evaluation' || !below.has(node.node) || ports(node, 'inputs', 'model').length === 0) continue
      for (const port of ports(node, 'inputs', 'dataset')) {
        const tested = rowsAt(node, port)
        if (tested) report(trainer, trained, node, port, tested)
      }
    }
  }

  // Two walks from the trainers instead of two from every node.
  const trainedAbove = new Set(trainers.flatMap((trainer) => [...reach(down, trainer.node)]))
  const trainedBelow = new Set(trainers.flatMap((trainer) => [...reach(up, trainer.node)]))
  for (const node of all) {
    const used = (down.get(node.node)?.length ?? 0) > 0
    if (ports(node, 'outputs', 'plan').length > 0 && ports(node, 'inputs', 'model').length > 0 && !trainedBelow.has(node.node)) {
      const above = trainedAbove.has(node.node) ? reach(up, node.node) : null
      const trainedBefore = above && trainers.findLast((trainer) => above.has(trainer.node))?.node
      if (trainedBefore) {
        problems.push({
          severity: 'warning',
          code: 'freeze-after-train',
          node: node.node,
          nodes: [trainedBefore],
          message: `${title(node.node)} comes after ${title(trainedBefore)} and nothing trains below it, so it has no effect. Put it before ${title(trainedBefore)}.`,
        })
      } else if (used) {
        problems.push({
          severity: 'warning',
          code: 'freeze-unused',
          node: node.node,
          message: `Nothing trains below ${title(node.node)}, so it has no effect.`,
        })
      }
    }
    const [model] = ports(node, 'inputs', 'model')
    const from = model === undefined ? undefined : node.wires[model]
    if (node.def?.group === 'Output' && model !== undefined && from && trainers.length > 0 && !trainedAbove.has(node.node)) {
      const trainer = trainers.find((candidate) => ports(candidate, 'outputs', 'model').length > 0)
      const port = trainer && ports(trainer, 'outputs', 'model')[0]
      problems.push({
        severity: 'warning',
        code: 'untrained-export',
        node: node.node,
        nodes: trainers.map((candidate) => candidate.node),
        port: model,
        message: `${title(node.node)} takes the model as it was loaded; ${trainers.map((candidate) => title(candidate.node)).join(' and ')} trains another branch.`,
        ...(trainer &&
          port && {
            fix: {
              kind: 'reconnect' as const,
              label: `Export the model of ${title(trainer.node)}`,
              from: { node: trainer.node, port },
              to: { node: node.node, port: model },
            },
          }),
      })
    }
    const makes = Object.keys(node.def?.outputs ?? {}).length > 0
    // A report is read by people, so a node that writes one is an end in itself.
    const result = node.def?.group === 'Evaluation' || node.def?.group === 'Output' || ports(node, 'outputs', 'report').length > 0
    if (makes && !result && !used && all.length > 1) {
      problems.push({
        severity: 'warning',
        code: 'unused-output',
        node: node.node,
        message: `Nothing uses what ${title(node.node)} makes.`,
      })
    }
  }
  return problems
}

/** Another output of the node that divided the rows, whose rows are not the trained ones. */
function heldOut(inference: InferredGraph, tested: Rows, trained: Rows): End | null {
  const splitter = trained.splitter ?? tested.splitter
  const maker = splitter === null ? undefined : inference.nodes[splitter]
  if (!maker || splitter === null) return null
  for (const wanted of ['test', 'validation'] as const) {
    for (const [port, value] of Object.entries(maker.outputs)) {
      if (value.kind === 'dataset' && value.facts.split === wanted && value.facts.split !== trained.facts.split)
        return { node: splitter, port }
    }
  }
  return null
}
