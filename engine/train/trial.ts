/**
 * Short trainings that leave nothing behind: no checkpoint, no schedule, the weights gone at the end. They answer what training would do,
 * and are looked at row by row. The gradients of a model, without any training, are measured here too.
 */
import type { Backend, Executable } from '../backends/backend'
import { batchFeeds, type PlannedBatch, planTraining } from '../data/batches'
import type { EncodedSet } from '../data/encode'
import { Random } from '../data/random'
import { EngineError } from '../errors'
import { type Evaluation, planEvaluate, scoreRows } from '../evaluate/evaluate'
import type { Program } from '../graph/types'
import {
  accumulate,
  adamFeeds,
  logits,
  type Precision,
  planWeights,
  trainableReader,
  trainStep,
  type WeightPlan,
  writeWeights,
} from '../programs/index'
import { breathe, type WeightSource } from '../session'
import type { TrainedWeights } from './train'

export type TrialJob = {
  readonly backend: Backend
  readonly weights: WeightSource
  readonly data: EncodedSet
  /** Exact parameter names. */
  readonly trainable: readonly string[]
  /** Sets whose losses are looked at; `sourceRows` as in `evaluate`. */
  readonly watch: readonly { readonly set: EncodedSet; readonly sourceRows: number }[]
  /** Learning rate of each step: their number is the number of steps. */
  readonly rates: readonly number[]
  readonly batch: number
  readonly evalBatch: number
  /** Steps between two looks; 0: only after the last step. */
  readonly evalSteps: number
  readonly optimizer: { readonly beta1: number; readonly beta2: number; readonly epsilon: number; readonly maxGradNorm: number }
  readonly seed: number
  readonly precision: Precision
  readonly padId?: number
  readonly signal?: AbortSignal
  onProgress?(done: number, total: number): void
  /** The weights after the last step, readable until this resolves. */
  onWeights?(weights: TrainedWeights): Promise<void>
}
export type Trial = {
  /** `loss` in nats per trained token, before the step's update. */
  readonly steps: readonly { readonly step: number; readonly loss: number; readonly gradNorm: number; readonly learningRate: number }[]
  /** In the order of `watch`. */
  readonly looks: readonly { readonly step: number; readonly sets: readonly Evaluation[] }[]
  /** Step whose loss or gradient was no number any more; nothing was done after it. */
  readonly divergedAt: number | null
}

/** @throws EngineError `cancelled`, `out_of_memory`, `bad_argument` for unknown parameters or no rows */
export async function runTrial(job: TrialJob): Promise<Trial> {
  const { rates, padId = 0 } = job
  const plan = planWeights(job.weights.model, { trainable: job.trainable, precision: job.precision })
  const optimizer = { ...job.optimizer, decays: false }
  const schedule = planTraining(job.data.rows, {
    batch: Math.min(job.batch, job.data.rows.length),
    accumulation: 1,
    epochs: 1,
    maxSteps: Math.max(1, rates.length),
    seed: job.seed,
    buckets: 2,
  })
  const micro = schedule.epochs.flat().slice(0, rates.length) as (readonly PlannedBatch[])[]
  const stepPrograms = new Map<string, Program>()
  const keyOf = ({ shape }: PlannedBatch) => `${shape.length}/${shape.labels}`
  for (const [batch] of micro)
    if (batch && !stepPrograms.has(keyOf(batch))) stepPrograms.set(keyOf(batch), trainStep(plan, { ...batch.shape, optimizer }))
  const watched = job.watch.map(({ set, sourceRows }) => ({ set, sourceRows, planned: planEvaluate(plan, set, job.evalBatch) }))
  const executable = await filled(job, plan, [...stepPrograms.values(), ...watched.flatMap(({ planned }) => planned.programs)])
  try {
    const steps: { step: number; loss: number; gradNorm: number; learningRate: number }[] = []
    const looks: { step: number; sets: Evaluation[] }[] = []
    let divergedAt: number | null = null
    const look = async (step: number) => {
      const sets: Evaluation[] = []
      for (const { set, sourceRows, planned } of watched)
        sets.push(await scoreRows(executable, set, sourceRows, planned, { padId, ...(job.signal && { signal: job.signal }) }))
      looks.push({ step, sets })
    }
    for (const [i, [batch]] of micro.entries()) {
      if (job.signal?.aborted) throw new EngineError('cancelled', 'the trial was cancelled')
      const planned = batch as PlannedBatch
      const learningRate = rates[i] as number
      const { loss, gradNorm } = await executable.run((stepPrograms.get(keyOf(planned)) as Program).name, {
        ...batchFeeds(job.data.rows, planned, padId),
        scale: Float32Array.of(1 / planned.labelTokens),
        ...adamFeeds({ learningRate: [learningRate], weightDecay: [0], step: i + 1, optimizer }),
      })
      const mean = (loss?.[0] as number) / planned.labelTokens
      const norm = gradNorm?.[0] as number
      steps.push({ step: i + 1, loss: mean, gradNorm: norm, learningRate })
      if (!Number.isFinite(mean) || !Number.isFinite(norm)) {
        divergedAt = i + 1
        break
      }
      job.onProgress?.(i + 1, rates.length)
      await breathe()
      if (job.evalSteps > 0 && (i + 1) % job.evalSteps === 0 && i + 1 < micro.length) await look(i + 1)
    }
    if (divergedAt === null) {
      if (watched.length) await look(micro.length)
      const names = job.weights.model.parameters.map(({ name }) => name).filter((name) => plan.trainable.has(name))
      await job.onWeights?.({ names, read: trainableReader(executable, plan, null) })
    }
    return { steps, looks, divergedAt }
  } finally {
    executable.close()
  }
}

export type GradientJob = Pick<
  TrialJob,
  'backend' | 'weights' | 'data' | 'trainable' | 'batch' | 'seed' | 'precision' | 'padId' | 'signal' | 'onProgress'
> & {
  /** Micro-batches to average over. */
  readonly batches: number
  /** Replace every trained token by one that the model itself draws there: the gradient is then zero on average (SCI-14). */
  readonly resample: boolean
}
export type TensorGradient = {
  readonly name: string
  readonly shape: readonly number[]
  /** ‖w‖ and ‖mean gradient‖. */
  readonly weight: number
  readonly gradient: number
  /** (‖Σ gᵢ‖² − Σ ‖gᵢ‖²) / (n(n − 1)): its mean over draws is ‖E g‖² (SCI-15). NaN with one batch. */
  readonly unbiased: number
}

/** Norms of every trainable tensor and of its gradient, for the mean loss of each micro-batch; nothing is changed. */
export async function gradientNorms(job: GradientJob): Promise<TensorGradient[]> {
  const { padId = 0 } = job
  const plan = planWeights(job.weights.model, { trainable: job.trainable, precision: job.precision })
  const batch = Math.min(job.batch, job.data.rows.length)
  const schedule = planTraining(job.data.rows, { batch, accumulation: 1, epochs: 1, maxSteps: job.batches, seed: job.seed, buckets: 2 })
  const micro = schedule.epochs.flat(2).slice(0, job.batches)
  const programs = new Map<string, { gradient: Program; draw: Program | null }>()
  const keyOf = ({ shape }: PlannedBatch) => `${shape.length}/${shape.labels}`
  for (const planned of micro)
    if (!programs.has(keyOf(planned)))
      programs.set(keyOf(planned), {
        gradient: accumulate(plan, planned.shape),
        draw: job.resample ? logits(plan, planned.shape) : null,
      })
  const executable = await filled(
    job,
    plan,
    [...programs.values()].flatMap(({ gradient, draw }) => [gradient, ...(draw ? [draw] : [])]),
  )
  try {
    const random = Random.of(job.seed, 'tokens of the reference')
    const names = job.weights.model.parameters.filter(({ name }) => plan.trainable.has(name))
    const before = new Map<string, Float32Array>()
    const squares = new Map<string, number>()
    for (const [i, planned] of micro.entries()) {
      if (job.signal?.aborted) throw new EngineError('cancelled', 'the measurement was cancelled')
      const { gradient, draw } = programs.get(keyOf(planned)) as { gradient: Program; draw: Program | null }
      const feeds = batchFeeds(job.data.rows, planned, padId)
      if (draw) {
        const { logits: values } = await executable.run(draw.name, { ids: feeds.ids, rows: feeds.rows }, ['logits'])
        drawTargets(feeds, values as Float32Array, plan.model.config.vocabSize, random)
      }
      await executable.run(gradient.name, { ...feeds, scale: Float32Array.of(1 / planned.labelTokens) })
      // The sums so far; the gradient of this batch is what they grew by.
      const read = trainableReader(executable, plan, 'gradient')
      for (const { name } of names) {
        const sum = (await read(name)).slice()
        const last = before.get(name)
        let square = 0
        for (let k = 0; k < sum.length; k++) square += ((sum[k] as number) - (last?.[k] ?? 0)) ** 2
        squares.set(name, (squares.get(name) ?? 0) + square)
        before.set(name, sum)
      }
      job.onProgress?.(i + 1, micro.length)
      await breathe()
    }
    const n = micro.length
    return names.map(({ name, shape }) => {
      const total = squareOf(before.get(name) as Float32Array)
      return {
        name,
        shape,
        weight: Math.sqrt(squareOf(job.weights.read(name))),
        gradient: Math.sqrt(total) / n,
        unbiased: (total - (squares.get(name) as number)) / (n * (n - 1)),
      }
    })
  } finally {
    executable.close()
  }
}

async function filled(job: Pick<TrialJob, 'backend' | 'weights'>, plan: WeightPlan, programs: readonly Program[]): Promise<Executable> {
  const executable = await job.backend.compile([...new Map(programs.map((program) => [program.name, program])).values()])
  try {
    await writeWeights(executable, plan, async (name) => {
      await breathe()
      return job.weights.read(name)
    })
    return executable
  } catch (error) {
    executable.close()
    throw error
  }
}

/** Puts a token drawn from softmax(logits) in place of each target that counts. */
function drawTargets(feeds: { targets: Int32Array; weights: Float32Array }, values: Float32Array, vocab: number, random: Random): void {
  for (let i = 0; i < feeds.targets.length; i++) {
    if (!feeds.weights[i]) continue
    const row = values.subarray(i * vocab, (i + 1) * vocab)
    let top = Number.NEGATIVE_INFINITY
    for (const x of row) if (x > top) top = x
    let sum = 0
    for (const x of row) sum += Math.exp(x - top)
    let left = random.uniform() * sum
    let token = 0
    while (token < vocab - 1) {
      left -= Math.exp((row[token] as number) - top)
      if (left < 0) break
      token++
    }
    feeds.targets[i] = token
  }
}

const squareOf = (values: Float32Array): number => {
  let sum = 0
  for (const x of values) sum += x * x
  return sum
}
