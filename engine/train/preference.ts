/** Preferences as objectives of training (SCI-111 … SCI-115): DPO and its relatives, ORPO, SimPO and CPO over pairs, KTO over rated replies. */
import type { Backend } from '../backends/backend'
import { batchFeeds, type PlannedBatch, planEvaluation, planTraining, type TrainPlan } from '../data/batches'
import type { EncodedRow, EncodedSet } from '../data/encode'
import type { PreferenceSet } from '../data/preferences'
import { EngineError } from '../errors'
import { evaluate } from '../evaluate/evaluate'
import { type KtoLoss, needsReference, type PairLoss } from '../graph/layers/preference'
import {
  accumulatePreference,
  evaluatePreference,
  evaluate as evaluateProgram,
  mismatchKl,
  type Precision,
  preferenceStep,
} from '../programs/index'
import { InferenceSession, type WeightSource } from '../session'
import type { Feeds, Objective, Place, Tally, Values } from './objective'

export type PreferenceLoss = PairLoss | KtoLoss
export type PreferenceOptions = {
  readonly loss: PreferenceLoss
  /** Share of the cross-entropy of chosen replies beside the preference; of ORPO and CPO it is 1 unless said. */
  readonly nllWeight?: number
  /** KTO: weights of wanted and unwanted replies. */
  readonly desirableWeight?: number
  readonly undesirableWeight?: number
}

/** Whether the loss compares with the model as it was. */
export const comparesWithReference = (loss: PreferenceLoss): boolean => loss.type === 'kto' || needsReference(loss)

/** Σ ln p of each reply under the reference model, once for all of training (SCI-115). In the precision that training computes in. */
export async function referenceLogProbs(
  backend: Backend,
  weights: WeightSource,
  set: PreferenceSet,
  options: { batch: number; precision: Precision; padId?: number; signal?: AbortSignal; onProgress?(done: number, total: number): void },
): Promise<Float32Array> {
  const { precision, ...rest } = options
  const session = new InferenceSession(backend, weights, precision)
  try {
    // Only tokens of the reply, whatever else counts in the loss.
    const rows = set.rows.map((row, i): EncodedRow => {
      const mask = set.replies[i] as Uint8Array
      return { ...row, mask, labels: mask.subarray(1).reduce((sum, one) => sum + one, 0) }
    })
    const all = { ...set, rows, source: Int32Array.from(rows.keys()) }
    const { rowLosses } = await evaluate(session, all, rows.length, rest)
    return Float32Array.from(rowLosses, (loss, i) => -loss * (rows[i]?.labels as number))
  } finally {
    session.close()
  }
}

type References = { readonly data: Float32Array; readonly validation?: Float32Array | undefined }

/** The objective over these sets; `references` where the loss compares with a reference. */
export function preferenceObjective(
  sets: { readonly data: PreferenceSet; readonly validation?: PreferenceSet | undefined },
  options: PreferenceOptions,
  references: References | null,
): Objective {
  if (comparesWithReference(options.loss) && !references)
    throw new EngineError('bad_argument', `${options.loss.type} compares with a reference, whose log-probabilities are missing`)
  const { loss } = options
  return loss.type === 'kto' ? rated(sets, { ...options, loss }, references as References) : pairs(sets, { ...options, loss }, references)
}

type Sets = Parameters<typeof preferenceObjective>[0]
const setOf = (sets: Sets, { phase }: Place): PreferenceSet => (phase === 'train' ? sets.data : (sets.validation as PreferenceSet))

/** What batches of pairs are planned with: one row for each, as long as the longer, with half the labels of both. */
const together = ({ rows, pairs }: PreferenceSet): EncodedRow[] =>
  rows.slice(0, pairs).map((chosen, i) => {
    const rejected = rows[pairs + i] as EncodedRow
    const longer = rejected.ids.length > chosen.ids.length ? rejected : chosen
    return { ...longer, labels: Math.ceil((chosen.labels + rejected.labels) / 2) }
  })

/** A batch of pairs as one of rows: chosen replies, then rejected ones. Places that are left over repeat the first pair, with weight 0. */
function asRows(set: PreferenceSet, { rows: own, shape }: PlannedBatch): PlannedBatch {
  const filled = [...own, ...Array<number>(shape.batch - own.length).fill(own[0] as number)]
  const rows = [...filled, ...filled.map((i) => set.pairs + i)]
  const labels = rows.reduce((sum, i) => sum + (set.rows[i]?.labels as number), 0)
  return {
    rows,
    shape: { batch: 2 * shape.batch, length: shape.length, labels: Math.max(2 * shape.labels, Math.ceil(labels / 32) * 32) },
    labelTokens: own.length,
  }
}

const inRows = (plan: TrainPlan, set: PreferenceSet): TrainPlan => {
  const epochs = plan.epochs.map((steps) => steps.map((step) => step.map((batch) => asRows(set, batch))))
  const used = epochs.flat().slice(0, plan.totalSteps).flat()
  const shapes = new Map(used.map(({ shape }) => [`${shape.length}/${shape.labels}`, shape]))
  return { ...plan, epochs, shapes: [...shapes.values()] }
}

/** Which row each label belongs to, and whether it is part of a reply; in the order in which batchFeeds lists labels. */
function labelsOf(set: PreferenceSet, batch: PlannedBatch) {
  const owners = new Int32Array(batch.shape.labels)
  const weights = new Float32Array(batch.shape.labels)
  let at = 0
  batch.rows.forEach((index, b) => {
    const { mask } = set.rows[index] as EncodedRow
    const reply = set.replies[index] as Uint8Array
    for (let t = 1; t < mask.length; t++) {
      if (!mask[t]) continue
      owners[at] = b
      weights[at] = reply[t] as number
      at++
    }
  })
  return { owners, weights, used: at }
}

const programs = ({ loss, nllWeight }: PreferenceOptions): Pick<Objective, 'step' | 'evaluate'> => {
  const own = { loss, ...(nllWeight && { nllWeight }) }
  return {
    step: (plan, spec, optimizer) =>
      optimizer ? preferenceStep(plan, { ...spec, ...own, optimizer }) : accumulatePreference(plan, { ...spec, ...own }),
    evaluate: (plan, spec) => evaluatePreference(plan, { ...spec, ...own }),
  }
}

const pairsOf = (step: readonly PlannedBatch[]): number => step.reduce((sum, { labelTokens }) => sum + labelTokens, 0)

function pairs(sets: Sets, options: PreferenceOptions & { loss: PairLoss }, references: References | null): Objective {
  const { loss } = options
  const nllWeight = options.nllWeight ?? (loss.type === 'orpo' || loss.type === 'cpo' ? 1 : 0)
  const asPairs = (set: EncodedSet) => set as PreferenceSet
  /** Labels of chosen replies whose cross-entropy is added, of a batch. */
  const added = (set: PreferenceSet, batch: PlannedBatch) =>
    batch.rows.slice(0, batch.labelTokens).reduce((sum, i) => sum + (set.rows[i]?.labels as number), 0)
  return {
    identity: { loss, nllWeight },
    count: (set) => asPairs(set).pairs,
    plan: (set, how) => inRows(planTraining(together(asPairs(set)), how), asPairs(set)),
    planEvaluation: (set, batch) => planEvaluation(together(asPairs(set)), batch).map((one) => asRows(asPairs(set), one)),
    ...programs({ ...options, nllWeight }),
    feeds(place) {
      const { batch, step, phase } = place
      const set = setOf(sets, place)
      const { owners, weights, used } = labelsOf(set, batch)
      const half = batch.shape.batch / 2
      const feeds: Feeds = {
        owners,
        weights,
        rowWeights: Float32Array.from({ length: half }, (_, i) => (i < batch.labelTokens ? 1 : 0)),
        scale: Float32Array.of(1 / pairsOf(step)),
      }
      if (needsReference(loss)) feeds.references = referencesOf(references, phase, batch)
      if (nllWeight > 0) {
        feeds.nllWeights = Float32Array.from(owners, (owner, i) => (i < used && owner < batch.labelTokens ? 1 : 0))
        feeds.nllScale = Float32Array.of(1 / step.reduce((sum, one) => sum + added(set, one), 0))
      }
      return feeds
    },
    loss({ batch, step }, out, tally) {
      drawPairs(out, batch, tally)
      return (out.loss?.[0] as number) * pairsOf(step)
    },
    fetches: ['loss', 'logProbs', 'chosenRewards', 'rejectedRewards'],
  }
}

function drawPairs(out: Values, { labelTokens: count, shape }: PlannedBatch, tally: Tally): void {
  const at = (name: string, i: number) => out[name]?.[i] as number
  for (let i = 0; i < count; i++) {
    const margin = at('chosenRewards', i) - at('rejectedRewards', i)
    tally.add('rewards/chosen', at('chosenRewards', i))
    tally.add('rewards/rejected', at('rejectedRewards', i))
    tally.add('rewards/margins', margin)
    tally.add('rewards/accuracies', margin > 0 ? 1 : 0)
    tally.add('logps/chosen', at('logProbs', i))
    tally.add('logps/rejected', at('logProbs', shape.batch / 2 + i))
  }
}

const referencesOf = (references: References | null, phase: Place['phase'], { rows }: PlannedBatch): Float32Array => {
  const values = (phase === 'train' ? references?.data : references?.validation) as Float32Array
  return Float32Array.from(rows, (i) => values[i] as number)
}

/** Replies one by one. The mismatched half of the set is never trained on: it says how far the model is from its reference (SCI-113). */
function rated(sets: Sets, options: PreferenceOptions & { loss: KtoLoss }, references: References): Objective {
  const { loss, desirableWeight = 1, undesirableWeight = 1 } = options
  const asRated = (set: EncodedSet) => set as PreferenceSet
  const own = ({ rows, pairs }: PreferenceSet) => rows.slice(0, pairs)
  const counted = (batch: PlannedBatch): PlannedBatch => ({ ...batch, labelTokens: batch.rows.length })
  const sizes = { train: 1, evaluate: 1 }
  return {
    identity: { loss, desirableWeight, undesirableWeight },
    count: (set) => asRated(set).pairs,
    plan(set, how) {
      sizes.train = how.batch
      const plan = planTraining(own(asRated(set)), how)
      return { ...plan, epochs: plan.epochs.map((steps) => steps.map((step) => step.map(counted))) }
    },
    planEvaluation(set, batch) {
      sizes.evaluate = batch
      return planEvaluation(own(asRated(set)), batch).map(counted)
    },
    ...programs(options),
    helpers: (plan, outcome) => [
      evaluateProgram(plan, { ...mismatchedShape(sets.data, sizes.train), name: 'kl-train' }),
      ...(sets.validation ? [evaluateProgram(outcome, { ...mismatchedShape(sets.validation, sizes.evaluate), name: 'kl-evaluate' })] : []),
    ],
    async feeds(place, _, run) {
      const { batch, step, phase } = place
      const set = setOf(sets, place)
      const others: PlannedBatch = {
        rows: batch.rows.map((i) => set.pairs + i),
        shape: mismatchedShape(set, sizes[phase]),
        labelTokens: batch.rows.length,
      }
      const { logProbs } = await run(`kl-${phase}`, { ...batchFeeds(set.rows, others) }, ['logProbs'])
      const sums = new Float64Array(others.rows.length)
      const { owners, used } = labelsOf(set, others)
      for (let i = 0; i < used; i++) sums[owners[i] as number] = (sums[owners[i] as number] as number) + (logProbs?.[i] as number)
      const wanted = (i: number) => set.wanted?.[i] === true
      const padded = (value: (i: number) => number) =>
        Float32Array.from({ length: batch.shape.batch }, (__, b) => (b < batch.rows.length ? value(batch.rows[b] as number) : 0))
      const labels = labelsOf(set, batch)
      const known = referencesOf(references, phase, batch)
      return {
        owners: labels.owners,
        weights: labels.weights,
        rowWeights: padded((i) => (wanted(i) ? desirableWeight : undesirableWeight)),
        scale: Float32Array.of(1 / pairsOf(step)),
        references: Float32Array.from({ length: batch.shape.batch }, (__, b) => known[b] ?? 0),
        desirable: padded((i) => (wanted(i) ? 1 : 0)),
        kl: Float32Array.of(mismatchKl(sums, referencesOf(references, phase, others))),
      }
    },
    loss(place, out, tally) {
      const set = setOf(sets, place)
      place.batch.rows.forEach((index, b) => {
        const side = set.wanted?.[index] ? 'chosen' : 'rejected'
        tally.add(`rewards/${side}`, out.rewards?.[b] as number)
        tally.add(`logps/${side}`, out.logProbs?.[b] as number)
      })
      return (out.loss?.[0] as number) * pairsOf(place.step)
    },
    fetches: ['loss', 'logProbs', 'rewards'],
  }
}

/** One shape for all batches of mismatched replies of this size: the longest, and the most labels that could meet. */
function mismatchedShape({ rows, pairs }: PreferenceSet, size: number): PlannedBatch['shape'] {
  const list = rows.slice(pairs)
  const roundUp = (n: number, step: number) => Math.ceil(n / step) * step
  const most = list
    .map(({ labels }) => labels)
    .sort((a, b) => b - a)
    .slice(0, size)
  return {
    batch: size,
    length: roundUp(Math.max(...list.map(({ ids }) => ids.length)), 16),
    labels: roundUp(
      most.reduce((a, b) => a + b, 0),
      32,
    ),
  }
}
