/** Which strip a node's card shows (D-19, D-20) and how warm a model wire is (D-25). Read off the ports, so new node types are covered. */
import type { AnyNode, PortDef } from '../../nodes/_kit/define-node'
import type { ModelFacts, PortFacts } from '../../nodes/_kit/facts'
import type { InferredNode } from '../../nodes/_kit/infer'
import type { StripModel } from '../ui/layer-strip'

const first = (ports: Record<string, PortDef>, kind: string): string | undefined =>
  Object.entries(ports).find(([, port]) => port.kind === kind)?.[0]
const modelOf = (facts: PortFacts | undefined): ModelFacts | null => (facts?.kind === 'model' ? facts.facts : null)

const cold = (model: ModelFacts): StripModel => ({ blocks: Array.from({ length: model.blocks }, () => 0) })
const warm = (model: ModelFacts): StripModel => ({ blocks: Array.from({ length: model.blocks }, () => 1), embeddings: 1, head: 1 })
const open = (model: ModelFacts): StripModel =>
  model.trainable ? { blocks: model.trainable.blocks, embeddings: model.trainable.embeddings, head: model.trainable.head } : warm(model)

/** Whether this node trains: it takes a model, needs data, and gives a model. */
export const trains = (def: AnyNode | null): boolean =>
  def !== null &&
  first(def.inputs, 'model') !== undefined &&
  (Object.values(def.inputs) as PortDef[]).some((port) => port.kind === 'dataset' && !port.optional) &&
  first(def.outputs, 'model') !== undefined

export type Strip = {
  model: StripModel
  /** Said in place of the counts where nothing is chosen yet: the model's name. */
  name: string | null
}

/**
 * A loaded model lies at rest; a freeze shows what it leaves open; a training what it trains; an export which blocks differ from the
 * model as loaded. Nodes that only look at a model have none.
 */
export function stripOf(node: InferredNode): Strip | null {
  const { def } = node
  if (!def) return null
  const [input, output] = [first(def.inputs, 'model'), first(def.outputs, 'model')]
  const into = modelOf(input === undefined ? undefined : node.inputs[input])
  const out = modelOf(output === undefined ? undefined : node.outputs[output])
  if (input === undefined && out) return { model: cold(out), name: out.name }
  if (output !== undefined && into)
    return trains(def) ? { model: open(into), name: null } : { model: out ? open(out) : cold(into), name: null }
  if (input !== undefined && output === undefined && first(def.outputs, 'file') !== undefined && into)
    return { model: into.trainedOn.length > 0 ? open(into) : cold(into), name: null }
  return null
}

/** Share of blocks that a model on this port has thawed: 0 for a model as loaded, 1 for one that was trained whole. */
export function warmth(facts: PortFacts | undefined): number {
  const model = modelOf(facts)
  if (!model) return 0
  if (!model.trainable) return model.trainedOn.length > 0 ? 1 : 0
  const { blocks } = model.trainable
  return blocks.length === 0 ? 0 : blocks.filter((share) => share > 0).length / blocks.length
}

/** D-25: 1.5 px plus 3.5 px times the thawed share; absent when nothing is thawed. */
export const coreWidth = (share: number): number => (share > 0 ? 1.5 + 3.5 * share : 0)
