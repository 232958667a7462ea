/** What a training makes smaller, as the loop sees it: which batches, programs and feeds, and what of the outputs is drawn. */
import { type PlannedBatch, planEvaluation, planTraining, type TrainPlan } from '../data/batches'
import type { EncodedSet } from '../data/encode'
import type { Program } from '../graph/types'
import { accumulate, type BatchSpec, evaluate, type LabelSpec, type OptimizerSpec, trainStep, type WeightPlan } from '../programs/index'

export type Values = Readonly<Record<string, ArrayLike<number> | undefined>>
export type Feeds = Record<string, Int32Array | Float32Array | Uint16Array>
export type RunProgram = (program: string, feeds: Feeds, fetches?: readonly string[]) => Promise<Values>

/** Means over a stretch of steps, by name. */
export class Tally {
  readonly #sums = new Map<string, { sum: number; count: number }>()
  add(name: string, value: number, count = 1): void {
    const known = this.#sums.get(name)
    this.#sums.set(name, { sum: (known?.sum ?? 0) + value, count: (known?.count ?? 0) + count })
  }
  /** Means, and an empty tally again. */
  take(prefix = ''): Record<string, number> {
    const means = Object.fromEntries([...this.#sums].map(([name, { sum, count }]) => [prefix + name, sum / count]))
    this.#sums.clear()
    return means
  }
}

/** Everything that a batch knows of its place: the rows it stands in, and the micro-batches of its step. */
export type Place = { readonly phase: 'train' | 'evaluate'; readonly batch: PlannedBatch; readonly step: readonly PlannedBatch[] }

/**
 * `labelTokens` of a planned batch is what the loss is a mean over: trained tokens, or pairs. A step's loss is Σ `loss` of its batches / Σ
 * `labelTokens`.
 */
export interface Objective {
  /** What must be the same for a checkpoint to be continued. */
  readonly identity: Readonly<Record<string, unknown>>
  /** Rows for people: pairs count once. */
  count(set: EncodedSet): number
  plan(set: EncodedSet, options: Parameters<typeof planTraining>[1]): TrainPlan
  planEvaluation(set: EncodedSet, batch: number): PlannedBatch[]
  /** With an optimizer: fused with its update; without: adding gradients up. */
  step(plan: WeightPlan, spec: BatchSpec & LabelSpec, optimizer: OptimizerSpec | null): Program
  evaluate(plan: WeightPlan, spec: BatchSpec & LabelSpec): Program
  /** Programs that `feeds` runs besides. `outcome`: what evaluations look at. */
  helpers?(plan: WeightPlan, outcome: WeightPlan): readonly Program[]
  /** Feeds beside those of the rows, which are given. */
  feeds(place: Place, rows: Feeds, run: RunProgram): Promise<Feeds> | Feeds
  /** The loss of a batch, and what else of its outputs is worth a curve. */
  loss(place: Place, out: Values, tally: Tally): number
  /** Outputs that `loss` reads in an evaluation. */
  readonly fetches: readonly string[]
}

/** The next token: cross-entropy over the trained tokens. */
export const nextToken: Objective = {
  identity: {},
  count: (set) => set.rows.length,
  plan: (set, options) => planTraining(set.rows, options),
  planEvaluation: (set, batch) => planEvaluation(set.rows, batch),
  step: (plan, spec, optimizer) => (optimizer ? trainStep(plan, { ...spec, optimizer }) : accumulate(plan, spec)),
  evaluate,
  feeds: ({ phase, step }): Feeds => (phase === 'evaluate' ? {} : { scale: Float32Array.of(1 / unitsOf(step)) }),
  loss: (_, { loss }) => loss?.[0] as number,
  fetches: ['loss'],
}

export const unitsOf = (step: readonly PlannedBatch[]): number => step.reduce((sum, batch) => sum + batch.labelTokens, 0)
