/**
 * What a job will cost, from headers alone (SCI-130…134). First guesses for 2 CPU cores; the measured history of a node replaces them
 * where there is any. Formulas and their sources stand at each function.
 */
import type { AdapterPlan } from './adapters'
import type { ModelHeader, ParameterFact } from './facts'
import { sizeOf } from './freeze'
import type { TrainablePlan } from './ports'

/** Useful work on 2 cores: SmolLM2 with the top 10 blocks open gave 863 tokens/s at 467 MFLOP a token, bf16 (engine.md, measured). */
export const FLOPS_PER_SECOND = 400e9
/** One token at a time reads every weight for little arithmetic; batched decoding reaches about this. */
export const DECODE_FLOPS_PER_SECOND = 60e9
/** Starting TensorFlow and filling its variables. */
export const WARM_UP_SECONDS = 5
/** English text with a 49k vocabulary: 3.4–4.2 characters a token. */
export const CHARS_PER_TOKEN = 3.6
/** Role headers and end marks of a chat template around one exchange. */
export const TEMPLATE_TOKENS = 24

export const tokensOfChars = (chars: number): number => Math.ceil(chars / CHARS_PER_TOKEN) + TEMPLATE_TOKENS

type Shape = Pick<
  ModelHeader,
  | 'blocks'
  | 'hiddenSize'
  | 'intermediateSize'
  | 'keyValueHeads'
  | 'attentionHeads'
  | 'headDim'
  | 'vocabSize'
  | 'modelType'
  | 'parameters'
  | 'tiedEmbeddings'
>

const isMatrix = (p: ParameterFact) => p.shape.length >= 2
const sum = (list: readonly ParameterFact[]) => list.reduce((n, p) => n + sizeOf(p), 0)

/** Index of the lowest block with an open parameter; 0 when the embeddings are open, `blocks` when only the head or last norm is. */
export function lowestOpenBlock(model: Shape, plan: TrainablePlan | null): number {
  if (!plan || plan.embeddings > 0) return 0
  const lowest = plan.blocks.findIndex((share) => share > 0)
  return lowest < 0 ? model.blocks : lowest
}

/** FLOPs of one trained token: 2P forward, 2P≥k back through the activations, 2Pt for the gradients, and attention (SCI-134). */
export function trainFlopsPerToken(model: Shape, plan: TrainablePlan | null, length: number, adapter: AdapterPlan | null = null): number {
  const matrices = model.parameters.filter(isMatrix)
  const k = adapter?.lowestBlock ?? lowestOpenBlock(model, plan)
  const open = plan ? new Set(plan.names) : null
  // The embedding is a look-up going in and, where tied, a product going out: counted once either way.
  const all = sum(matrices.filter((p) => p.part !== 'embedding' || model.tiedEmbeddings))
  const above = sum(
    matrices.filter((p) => (p.block !== null && p.block >= k) || p.part === 'head' || (p.part === 'embedding' && model.tiedEmbeddings)),
  )
  const attention = 4 * length * model.hiddenSize * (model.blocks + 2 * (model.blocks - k))
  // An adapter adds its own products, forward, back and for its gradients; the matrices beside it are not trained.
  if (adapter) return 2 * all + 2 * above + 6 * adapter.parameters + attention
  const trained = sum(matrices.filter((p) => !open || open.has(p.name)))
  return 2 * all + 2 * above + 2 * trained + attention
}

export const forwardFlopsPerToken = (model: Shape, length: number): number =>
  2 * sum(model.parameters.filter((p) => isMatrix(p) && (p.part !== 'embedding' || model.tiedEmbeddings))) +
  4 * model.blocks * length * model.hiddenSize

/** Optimizer state and gradients: 12 bytes for each trainable parameter (SCI-131). */
export const optimizerBytes = (trainable: number): number => 12 * trainable

/** Peak memory of a training: weights, gradients, moments, activations above the lowest open block, and the logits (SCI-131…133). */
export function trainBytes(
  model: Shape,
  plan: TrainablePlan | null,
  batch: number,
  length: number,
  adapter: AdapterPlan | null = null,
  /** Gradient and state beside each trained parameter; AdamW's by default. */
  stateBytes = 12,
): number {
  const all = sum(model.parameters) + (adapter?.parameters ?? 0)
  const trainable = adapter?.parameters ?? plan?.parameters ?? all
  const open = plan ? new Set(plan.names) : null
  const largest = adapter ? 0 : model.parameters.reduce((max, p) => (!open || open.has(p.name) ? Math.max(max, sizeOf(p)) : max), 0)
  const h = model.hiddenSize
  const kv = model.keyValueHeads < model.attentionHeads ? model.keyValueHeads * model.headDim : 0
  const gates = model.modelType === 'gpt2' ? 2 : 4
  const perBlock = 4 * batch * length * (8 * h + gates * model.intermediateSize + 2 * kv + 2 * model.attentionHeads * length)
  const blocks = model.blocks - (adapter?.lowestBlock ?? lowestOpenBlock(model, plan))
  return 4 * all + stateBytes * trainable + 12 * largest + perBlock * Math.max(1, blocks) + logitBytes(model, batch, length)
}

export const logitBytes = (model: Shape, batch: number, length: number): number => 3 * 4 * batch * length * model.vocabSize

/** Weights, one batch of activations and logits: what scoring and generating need. */
export const forwardBytes = (model: Shape, batch: number, length: number): number =>
  4 * sum(model.parameters) + 4 * batch * length * 12 * model.hiddenSize + logitBytes(model, batch, length)
