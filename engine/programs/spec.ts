/**
 * What each program is asked for, and the names, types and units of what goes in and comes out. All shapes are static: lengths and
 * label counts come in buckets, and unused room is padding.
 *
 * Rows are flattened: position t of row b of a batch is row b·length + t of every [rows, …] tensor.
 */
import type { DType } from '../graph/types'

/** bf16 casts around matrix products only; norms, softmax, loss, master weights and moments stay fp32 (E-7). */
export type Precision = 'fp32' | 'bf16'

export interface BatchSpec {
  /** Rows of the batch. */
  readonly batch: number
  /** Positions of a row. */
  readonly length: number
  /**
   * `causal`: one sequence a row, right-padded; positions 0…length−1. Feeds: none more.
   * `segments`: packed rows with block-diagonal attention. Feeds `segments` i32[batch, length] (0 = padding, equal numbers see each
   * other) and `positions` i32[batch, length].
   */
  readonly attention?: 'causal' | 'segments'
  /**
   * Start from the output of the blocks below this index instead of token ids: feed `hidden` (dtype `hiddenDtype`)
   * [batch·length, hidden] as the `prefix` program returned it, and no `ids`.
   */
  readonly fromBlock?: number
  /** Noise on the embeddings: feed `noise` f32[batch·length, hidden], added to them. Not with `fromBlock`. */
  readonly noise?: boolean
  /** dtype of `hidden`; default: bf16 in bf16 precision, else f32. */
  readonly hiddenDtype?: Extract<DType, 'f32' | 'bf16'>
}

/**
 * Only chosen positions reach the head and the loss. Feeds
 * `rows` i32[labels]: flattened position whose output predicts the label (the position before the label token);
 * `targets` i32[labels]: the token to be predicted; `weights` f32[labels]: 1, or 0 for padding (`rows` and `targets` then 0).
 */
export interface LabelSpec {
  /** Label positions in a call, padding included. */
  readonly labels: number
}

/** What all optimizers have. */
interface UpdateSpec {
  /** Global norm to which gradients are scaled down, min(1, max / (norm + 1e-6)); 0: never. */
  readonly maxGradNorm: number
  /**
   * Parameters with a learning rate or decay of their own, by exact name; index in this list + 1 is the group number. All others are
   * group 0. `learningRate` and `weightDecay` are fed per group.
   */
  readonly groups?: readonly (readonly string[])[]
  /** Keeps a running average of every trained weight beside it (see averageShare); 0 or absent: none. */
  readonly averageDecay?: number
}

export interface AdamWSpec extends UpdateSpec {
  readonly name?: 'adamw'
  readonly beta1: number
  readonly beta2: number
  /** Added after the bias-corrected square root, as in torch.optim.AdamW. */
  readonly epsilon: number
  /** False where every weight decay is 0 for good: spares a pass over all trainable weights. Default true. */
  readonly decays?: boolean
}

/** Lion: the sign of a momentum is the direction; decay as in AdamW. Keeps one moment; wants about a tenth of AdamW's learning rate. */
export interface LionSpec extends UpdateSpec {
  readonly name: 'lion'
  readonly beta1: number
  readonly beta2: number
}

/** torch.optim.SGD: decay is added to the gradient. Keeps one moment when there is momentum, else none. */
export interface SgdSpec extends UpdateSpec {
  readonly name: 'sgd'
  /** 0: none. */
  readonly momentum: number
  readonly nesterov?: boolean
}

/**
 * Adafactor with a given learning rate; decay as in AdamW. It looks at single parameters, so plan the weights with `fuseTrainable: false`.
 */
export interface AdafactorSpec extends UpdateSpec {
  readonly name: 'adafactor'
  /** Power of the step by which older squared gradients fade; default −0.8. */
  readonly decayRate?: number
  /** Root mean square to which an update is scaled down; default 1. */
  readonly clipThreshold?: number
}

export type OptimizerSpec = AdamWSpec | LionSpec | SgdSpec | AdafactorSpec

/**
 * One optimizer step over one batch, fused (accumulation 1).
 * Feeds: `ids` i32[batch, length] (or `hidden`), labels as above, `scale` f32[] = 1 / label tokens of the whole step, and what
 * `optimizerFeeds()` returns (for AdamW, `adamFeeds()`). Fetches: `loss` f32[] = Σ weight · cross-entropy in nats, unscaled; `gradNorm` f32[] before clipping.
 */
export interface TrainStepSpec extends BatchSpec, LabelSpec {
  readonly optimizer: OptimizerSpec
  readonly name?: string
}

/** `accumulate`: as trainStep, but adds gradients to accumulators. Feeds as trainStep without those of the optimizer; fetches `loss`. */
export interface AccumulateSpec extends BatchSpec, LabelSpec {
  readonly name?: string
}

/** `applyGradients`: clips, updates and clears the accumulators. Feeds `optimizerFeeds()`; fetches `gradNorm`. */
export interface ApplySpec {
  readonly optimizer: OptimizerSpec
  readonly name?: string
}

/** `evaluate`: feeds `ids` (or `hidden`) and labels. Fetches `loss` f32[] = Σ weight · cross-entropy; `logProbs` f32[labels] = weight · ln p(target). */
export interface EvaluateSpec extends BatchSpec, LabelSpec {
  readonly name?: string
}

/** `logits`: feeds `ids` and `rows` i32[labels]; fetches `logits` f32[labels, vocab]. Without `labels`: of every position. */
export interface LogitsSpec extends BatchSpec, Partial<LabelSpec> {
  readonly name?: string
}

/** `prefix`: feeds `ids`; fetches `hidden` [batch·length, hidden], the output of the blocks below `block`, in `hiddenDtype`. */
export interface PrefixSpec extends Omit<BatchSpec, 'fromBlock'> {
  readonly block: number
  readonly name?: string
}
