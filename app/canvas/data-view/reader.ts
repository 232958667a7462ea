/** Who reads a dataset, and how: the model and the settings that turn its rows into tokens (UX-84). Pure. */
import type { InferredNode } from '../../../nodes/_kit/infer'
import { type End, neighbours, reach } from '../../../nodes/_kit/wires'
import { portsOf } from '../graph-queries'

export type TrainOn = 'completion' | 'assistant' | 'last_turn' | 'all'

export type Reader = {
  /** The node whose settings count; the model's own node where nothing reads the rows yet. */
  readonly node: string
  /** As `load-model.model` names it. */
  readonly model: string
  readonly trainOn: TrainOn
  /** Longest row that trains, in tokens; null: no limit, or not known before the run. */
  readonly maxLength: number | null
  readonly batch: number | null
  readonly seed: number
  /** It trains on the rows: what is left out, cut or padded can be told. */
  readonly trains: boolean
}

type Nodes = Readonly<Record<string, InferredNode>>

/** Source of the model that arrives at a node: the settings of the node its weights come from. */
function modelOf(nodes: Nodes, start: string): { node: string; model: string } | null {
  for (let id: string | undefined = start, left = 100; id !== undefined && left > 0; left--) {
    const at: InferredNode | undefined = nodes[id]
    if (!at?.def) return null
    const input: string | undefined = portsOf(at.def, 'in').find(([, port]) => port.kind === 'model')?.[0]
    if (input === undefined) {
      const model = at.params?.model
      return typeof model === 'string' && model !== '' ? { node: id, model } : null
    }
    id = at.wires[input]?.node
  }
  return null
}

const takes = (node: InferredNode, kind: 'model' | 'dataset') =>
  node.def !== null && portsOf(node.def, 'in').some(([, p]) => p.kind === kind)
const settled = <T>(value: unknown, is: (value: unknown) => value is T): T | null => (is(value) ? value : null)
const isNumber = (value: unknown): value is number => typeof value === 'number'
const isTrainOn = (value: unknown): value is TrainOn => ['completion', 'assistant', 'last_turn', 'all'].includes(value as string)

/**
 * The nearest training below an output, else the nearest node that reads rows with a model, else any model of the pipeline.
 * Null when there is no model at all.
 */
export function readerOf(nodes: Nodes, order: readonly string[], end: End): Reader | null {
  const wires = new Map(Object.values(nodes).map((node) => [node.node, node.wires as Record<string, End>]))
  const below = [end.node, ...reach(neighbours(wires).down, end.node)]
  const readers = below
    .map((id) => nodes[id])
    .filter((node): node is InferredNode => node !== undefined && takes(node, 'model') && takes(node, 'dataset'))
  // `order` puts what feeds first, so the first is the nearest along the wires.
  const nearest = (list: InferredNode[]) => list.toSorted((a, b) => order.indexOf(a.node) - order.indexOf(b.node))[0]
  // Validate has `train_on` too, since it scores what would train; only what gives out a model trains.
  const training = nearest(
    readers.filter(
      (node) =>
        Object.hasOwn(node.def?.params.shape ?? {}, 'train_on') &&
        portsOf(node.def ?? undefined, 'out').some(([, port]) => port.kind === 'model'),
    ),
  )
  const reading = training ?? nearest(readers)
  const found = reading ? modelOf(nodes, reading.node) : null
  if (reading && found) {
    const { params } = reading
    return {
      node: reading.node,
      model: found.model,
      trainOn: settled(params?.train_on, isTrainOn) ?? 'completion',
      maxLength: settled(params?.max_length, isNumber),
      batch: settled(params?.per_device_train_batch_size, isNumber),
      seed: settled(params?.seed, isNumber) ?? 0,
      trains: training !== undefined,
    }
  }
  for (const id of order) {
    const any = nodes[id] && !takes(nodes[id], 'model') && portsOf(nodes[id].def ?? undefined, 'out').some(([, p]) => p.kind === 'model')
    const source = any ? modelOf(nodes, id) : null
    if (source) return { ...source, trainOn: 'completion', maxLength: null, batch: null, seed: 0, trains: false }
  }
  return null
}
