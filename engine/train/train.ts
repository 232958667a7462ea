/**
 * The training loop, an async generator: iterate to train, leave the loop to stop and free everything. One native call is one micro-batch;
 * between two of them the event loop runs, so beats, stop requests and messages pass.
 *
 * Straight-line on purpose: what is planned and compiled before the first step, then one loop over steps, then the end.
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as path from 'node:path'
import type { Backend, Executable } from '../backends/backend'
import { type BatchShape, batchFeeds, type PlannedBatch } from '../data/batches'
import type { EncodedRow, EncodedSet } from '../data/encode'
import { EngineError } from '../errors'
import type { Program } from '../graph/types'
import type { Adaptation } from '../lora/adapter'
import { refuseDropout } from '../lora/config'
import {
  applyGradients,
  averagedPlan,
  lowestTrainableBlock,
  momentsOf,
  optimizerFeeds,
  type Precision,
  planWeights,
  stateShape,
  trainableReader,
  type WeightPlan,
  writeMoments,
  writeWeights,
} from '../programs/index'
import { breathe, type WeightSource } from '../session'
import { checkArguments, EXTENT_ARGUMENTS, optimizerOf, rateGroups, ratesOf, type TrainingArguments } from './arguments'
import { type CheckpointFiles, identityDifferences, openCheckpoint, writeCheckpoint } from './checkpoint'
import { embeddingNoise } from './noise'
import { type Feeds, nextToken, type Objective, Tally, unitsOf } from './objective'
import { PrefixCache, planPrefix } from './prefix-cache'
import { learningRateAt } from './schedules'
import { Watchdog } from './watchdog'

export type { TrainingArguments } from './arguments'

export type TrainJob = {
  readonly backend: Backend
  readonly weights: WeightSource
  readonly data: EncodedSet
  readonly validation?: EncodedSet | undefined
  /** What is made smaller; default: the cross-entropy of the next token. */
  readonly objective?: Objective
  /** Exact parameter names. */
  readonly trainable: readonly string[]
  readonly args: TrainingArguments
  /** A folder of this training's own, for checkpoints and the cache of frozen blocks. */
  readonly scratch: string
  readonly padId?: number
  /** What else must be the same for a checkpoint to be continued, such as the digest of the base weights. */
  readonly identity?: Readonly<Record<string, unknown>>
  readonly resume?: CheckpointFiles | undefined
  /** Called with a finished folder; the loop waits for it, and the folder is removed afterwards. Without it no checkpoints are made. */
  onCheckpoint?(folder: string, files: readonly string[], at: { step: number; metric?: number }): Promise<void>
  /** Ends at once, with `cancelled`. */
  readonly signal?: AbortSignal | undefined
  /** Ends after the micro-batch in progress, with a checkpoint. */
  readonly stop?: AbortSignal | undefined
  /** True once after somebody asked for a checkpoint; asked at step boundaries. */
  takeCheckpointRequest?(): boolean
  /** Seconds between checkpoints, besides those at the ends of epochs. Default 60. */
  readonly checkpointSeconds?: number
}

/** Weights as they are when the event is seen; reading works until the loop is continued. */
export type TrainedWeights = { readonly names: readonly string[]; read(name: string): Promise<Float32Array> }

export type TrainingEvent =
  | { type: 'start'; totalSteps: number; fromStep: number; trainedTokensPerEpoch: number; rows: number; dropped: number; backend: string }
  | { type: 'preparing'; done: number; total: number; what: string }
  | {
      type: 'step'
      step: number
      epoch: number
      /** Weighted mean (by trained tokens, or by pairs) of the steps since the last event, nats. */
      loss: number
      /** Before clipping, of the last step. */
      grad_norm: number
      learning_rate: number
      tokens_per_second: number
      /** Tokens seen so far, prompts included, padding not. */
      num_tokens: number
      seconds: number
      /** What the objective draws besides, means since the last event. */
      metrics: Readonly<Record<string, number>>
    }
  | { type: 'eval'; step: number; epoch: number; eval_loss: number; seconds: number; metrics: Readonly<Record<string, number>> }
  | { type: 'checkpoint'; step: number; metric?: number }
  | { type: 'stopped'; step: number; weights: TrainedWeights }
  | {
      type: 'done'
      step: number
      epochs: number
      train_loss: number
      eval_loss: number | null
      bestStep: number | null
      /** Evaluations stopped getting better (early_stopping_patience). */
      endedEarly: boolean
      seconds: number
      weights: TrainedWeights
    }

/** Two checkpoints are never closer than this, however short the epochs. */
const LEAST_CHECKPOINT_SECONDS = 15

const seconds = () => performance.now() / 1000

/** sha256 over ids and masks of all rows, in order: two sets with the same digest train the same. */
export function digestOfRows(rows: readonly EncodedRow[]): string {
  const hash = createHash('sha256')
  for (const { ids, mask } of rows) {
    hash.update(Int32Array.of(ids.length))
    hash.update(ids)
    hash.update(mask)
  }
  return hash.digest('hex')
}

/** Programs by batch shape; made once each. */
class ShapedPrograms {
  readonly #made = new Map<string, Program>()
  readonly #make: (shape: BatchShape) => Program
  constructor(make: (shape: BatchShape) => Program) {
    this.#make = make
  }
  of(shape: BatchShape): Program {
    const key = `${shape.batch}/${shape.length}/${shape.labels}`
    const program = this.#made.get(key) ?? this.#make(shape)
    this.#made.set(key, program)
    return program
  }
  get all(): Program[] {
    return [...this.#made.values()]
  }
}

/** A set of rows as the programs are fed with them: from token ids, or from the cached outputs of the frozen blocks. */
class Rows {
  readonly #set: EncodedSet
  readonly #padId: number
  readonly cache: PrefixCache | null
  constructor(set: EncodedSet, padId: number, cache: PrefixCache | null) {
    this.#set = set
    this.#padId = padId
    this.cache = cache
  }
  feeds(batch: PlannedBatch): Feeds {
    const { ids, rows, targets, weights } = batchFeeds(this.#set.rows, batch, this.#padId)
    if (!this.cache) return { ids, rows, targets, weights }
    return { hidden: this.cache.read(batch.rows, batch.shape.batch, batch.shape.length), rows, targets, weights }
  }
  tokens(batch: PlannedBatch): number {
    return batch.rows.reduce((sum, i) => sum + (this.#set.rows[i]?.ids.length as number), 0)
  }
}

/**
 * Trains. Throws `bad_argument` for settings out of range, `mismatch` for a checkpoint of another training (with the differences),
 * `not_finite` when the loss is lost, `out_of_memory`, `cancelled`.
 */
export async function* train(job: TrainJob): AsyncGenerator<TrainingEvent, void, undefined> {
  const { args, data, validation, objective = nextToken, padId = 0 } = job
  checkArguments(args)
  // Of an adapter that was loaded, the settings it was made with.
  const { config } = job.weights as Partial<Adaptation>
  if (config) refuseDropout(config)
  const began = seconds()
  const precision: Precision = args.bf16 && job.backend.bf16 ? 'bf16' : 'fp32'
  const plan = planWeights(job.weights.model, { trainable: job.trainable, precision, fuseTrainable: args.optim !== 'adafactor' })
  const names = job.weights.model.parameters.map(({ name }) => name).filter((name) => plan.trainable.has(name))
  if (!names.length) throw new EngineError('bad_argument', 'nothing is trainable', { fix: 'open at least one block' })
  const shapes = new Map(job.weights.model.parameters.map(({ name, shape }) => [name, shape]))

  // What will happen, all of it, before anything is compiled.
  const accumulation = args.gradient_accumulation_steps
  const schedule = objective.plan(data, {
    batch: args.per_device_train_batch_size,
    accumulation,
    epochs: args.num_train_epochs,
    maxSteps: args.max_steps,
    seed: args.seed,
  })
  const { totalSteps, stepsPerEpoch } = schedule
  const rates = ratesOf(args, totalSteps)
  const { groups, factors } = rateGroups(job.weights.model, plan.trainable, args.layerwise_lr_decay ?? 1)
  const optimizer = optimizerOf(args, groups)
  const states = momentsOf(optimizer)
  const weightDecay = factors.map(() => args.weight_decay)
  // What is evaluated, kept as the best and given out.
  const outcome = args.ema_decay ? averagedPlan(plan) : plan
  const evalBatches = validation?.rows.length
    ? objective.planEvaluation(validation, Math.min(args.per_device_eval_batch_size, objective.count(validation)))
    : []

  // Filling the cache costs about what the first epoch saves. It must not depend on how long the training is: its values differ in their last
  // bits from those of a step that runs the frozen blocks itself, and one epoch made longer has to equal a training of two.
  const lowest = lowestTrainableBlock(plan)
  const noise = args.neftune_noise_alpha ?? 0
  const usesCache = args.cache_frozen_prefix && lowest > 0 && noise === 0
  const from = usesCache ? { fromBlock: lowest } : {}
  const stepPrograms = new ShapedPrograms((shape) =>
    objective.step(plan, { ...shape, ...from, noise: noise > 0 }, accumulation === 1 ? optimizer : null),
  )
  const evalPrograms = new ShapedPrograms((shape) => objective.evaluate(outcome, { ...shape, ...from }))
  for (const shape of schedule.shapes) stepPrograms.of(shape)
  for (const { shape } of evalBatches) evalPrograms.of(shape)
  const apply = accumulation === 1 ? null : applyGradients(plan, { optimizer })
  const prefixes = usesCache
    ? {
        data: planPrefix(
          plan,
          data.rows,
          lowest,
          new Set(
            schedule.epochs
              .flat()
              .slice(0, totalSteps)
              .flat()
              .flatMap((batch) => batch.rows),
          ),
        ),
        validation: planPrefix(plan, validation?.rows ?? [], lowest),
      }
    : null

  const identity: Record<string, unknown> = {
    ...job.identity,
    ...objective.identity,
    ...args,
    data: digestOfRows(data.rows),
    trainable: names.join('\n'),
  }
  for (const name of EXTENT_ARGUMENTS) delete identity[name]
  await preflight(job, plan, usesCache ? [data, ...(validation ? [validation] : [])] : [], names, shapes)

  const programs = new Map(
    [
      ...stepPrograms.all,
      ...evalPrograms.all,
      ...(apply ? [apply] : []),
      ...(objective.helpers?.(plan, outcome) ?? []),
      ...(prefixes ? [...prefixes.data.programs, ...prefixes.validation.programs] : []),
    ].map((p) => [p.name, p]),
  )
  let executable: Executable | null = null
  const open: { close(): void }[] = []
  try {
    yield { type: 'preparing', done: 0, total: plan.stored.length, what: 'loading the model' }
    executable = await job.backend.compile([...programs.values()])
    const session = executable
    await writeWeights(session, plan, async (name) => {
      await breathe()
      return job.weights.read(name)
    })
    yield { type: 'preparing', done: plan.stored.length, total: plan.stored.length, what: 'loading the model' }

    // Where an earlier attempt came to.
    let step = 0
    let best: { metric: number; step: number } | null = null
    let bestWeights: Map<string, Float32Array> | null = null
    let running: Record<string, number> = {}
    let log: Readonly<Record<string, number>>[] = []
    if (job.resume) {
      const saved = openCheckpoint(job.resume, names)
      try {
        const differences = identityDifferences(saved.state.identity, identity)
        if (differences.length)
          throw new EngineError('mismatch', 'the checkpoint belongs to another training', {
            got: differences.slice(0, 5).join('; '),
            fix: 'start anew, or set it back',
          })
        if (saved.state.step > totalSteps)
          throw new EngineError('mismatch', 'the checkpoint is further than this training goes', {
            expected: `at most step ${totalSteps}`,
            got: `step ${saved.state.step}`,
          })
        await writeTrainable(session, plan, (name) => saved.weight(name))
        for (const state of states)
          await writeMoments(
            session,
            plan,
            state,
            (name) => saved.kept(state, name),
            (shape) => stateShape(optimizer, shape, state),
          )
        step = saved.state.step
        best = saved.state.best
        bestWeights = args.load_best_model_at_end ? saved.best() : null
        running = { ...saved.state.running }
        log = [...saved.state.log]
      } finally {
        saved.close()
      }
    }

    const makeCache = async function* (
      set: EncodedSet,
      prefixPlan: ReturnType<typeof planPrefix>,
      what: string,
    ): AsyncGenerator<TrainingEvent, PrefixCache> {
      const total = prefixPlan.groups.reduce((sum, group) => sum + group.rows.length, 0)
      const cache = new PrefixCache(
        path.join(job.scratch, `${what}.prefix`),
        set.rows,
        plan.model.config.hiddenSize,
        precision === 'bf16' ? 'bf16' : 'f32',
      )
      open.push(cache)
      for await (const done of cache.fill(session, prefixPlan, padId, job.signal)) {
        yield { type: 'preparing', done, total, what: 'running the frozen blocks once' }
      }
      return cache
    }
    const trainRows = new Rows(data, padId, prefixes ? yield* makeCache(data, prefixes.data, 'train') : null)
    const evalRows =
      validation && new Rows(validation, padId, prefixes ? yield* makeCache(validation, prefixes.validation, 'validation') : null)

    yield {
      type: 'start',
      totalSteps,
      fromStep: step,
      trainedTokensPerEpoch: data.labels,
      rows: objective.count(data),
      dropped: data.dropped.length,
      backend: job.backend.name,
    }

    const run = (program: string, feeds: Feeds, fetches?: readonly string[]) => session.run(program, feeds, fetches)
    const drawn = new Tally()
    const watchdog = new Watchdog(plan.model.config.vocabSize, { above: running.above ?? 0, largestNorm: running.largestNorm ?? 0 })
    let sumLoss = running.sumLoss ?? 0
    let sumLabels = running.sumLabels ?? 0
    let allLoss = running.allLoss ?? 0
    let allLabels = running.allLabels ?? 0
    let numTokens = running.numTokens ?? 0
    let spent = running.seconds ?? 0
    // Evaluations in a row that were no better than the lowest loss before them.
    let stale = running.stale ?? 0
    let lowest = running.lowest ?? Number.POSITIVE_INFINITY
    let evalLoss: number | null = Number.isFinite(running.evalLoss) ? (running.evalLoss as number) : null
    let intervalTokens = 0
    let intervalBegan = seconds()
    let savedAt = seconds()
    let savedStep = job.resume ? step : -1
    const stepsBegan = seconds()
    const firstStep = step

    const save = async (): Promise<TrainingEvent | null> => {
      if (!job.onCheckpoint || savedStep === step) return null
      const folder = path.join(job.scratch, `checkpoint-${step}`)
      const state = {
        step,
        epoch: step / stepsPerEpoch,
        totalSteps,
        epochs: args.num_train_epochs,
        identity,
        best,
        running: {
          ...watchdog.state,
          sumLoss,
          sumLabels,
          allLoss,
          allLabels,
          numTokens,
          seconds: spent + seconds() - stepsBegan,
          ...(evalLoss !== null && { evalLoss }),
          ...(Number.isFinite(lowest) && { lowest, stale }),
        },
        log,
      }
      const files = await writeCheckpoint(folder, state, {
        names,
        shape: (name) => shapes.get(name) as readonly number[],
        weight: trainableReader(session, plan, null),
        states: states.map((name) => ({
          name,
          shape: (parameter) => stateShape(optimizer, shapes.get(parameter) as readonly number[], name),
          read: trainableReader(session, plan, name),
        })),
        best: best?.step === step && outcome === plan ? null : bestWeights,
      })
      const metric = best ? { metric: best.metric } : {}
      try {
        await job.onCheckpoint(folder, files, { step, ...metric })
      } finally {
        fs.rmSync(folder, { recursive: true, force: true })
      }
      savedAt = seconds()
      savedStep = step
      return { type: 'checkpoint', step, ...metric }
    }
    const evaluate = async (): Promise<TrainingEvent | null> => {
      if (!evalRows || !evalBatches.length) return null
      const started = seconds()
      const seen = new Tally()
      let loss = 0
      let labels = 0
      for (const batch of evalBatches) {
        if (job.signal?.aborted) throw new EngineError('cancelled', 'training was cancelled')
        const place = { phase: 'evaluate', batch, step: [batch] } as const
        const rows = evalRows.feeds(batch)
        const feeds = { ...rows, ...(await objective.feeds(place, rows, run)) }
        loss += objective.loss(place, await run(evalPrograms.of(batch.shape).name, feeds, objective.fetches), seen)
        labels += batch.labelTokens
        await breathe()
      }
      evalLoss = loss / labels
      stale = lowest - evalLoss > (args.early_stopping_threshold ?? 0) ? 0 : stale + 1
      lowest = Math.min(lowest, evalLoss)
      if (args.load_best_model_at_end && (best === null || evalLoss < best.metric)) {
        best = { metric: evalLoss, step }
        bestWeights = new Map()
        const read = trainableReader(session, outcome, null)
        for (const name of names) bestWeights.set(name, (await read(name)).slice())
      }
      const metrics = seen.take('eval_')
      log.push({ step, epoch: step / stepsPerEpoch, eval_loss: evalLoss, ...metrics })
      return { type: 'eval', step, epoch: step / stepsPerEpoch, eval_loss: evalLoss, metrics, seconds: seconds() - started }
    }

    // Asked before each step, so that a training that was cut off after its last evaluation ends where it would have ended.
    const gaveUp = () => (args.early_stopping_patience ?? 0) > 0 && stale >= (args.early_stopping_patience ?? 0)
    while (step < totalSteps && !gaveUp()) {
      const micro = schedule.epochs[Math.floor(step / stepsPerEpoch)]?.[step % stepsPerEpoch] as readonly PlannedBatch[]
      const units = unitsOf(micro)
      const rate = learningRateAt(rates, step)
      const update = optimizerFeeds({ learningRate: factors.map((factor) => rate * factor), weightDecay, step: step + 1, optimizer })
      let loss = 0
      let gradNorm = Number.NaN
      let stopped = false
      for (const [index, batch] of micro.entries()) {
        if (job.signal?.aborted) throw new EngineError('cancelled', 'training was cancelled')
        const place = { phase: 'train', batch, step: micro } as const
        const rows = trainRows.feeds(batch)
        const out = await run(stepPrograms.of(batch.shape).name, {
          ...rows,
          ...(await objective.feeds(place, rows, run)),
          ...(noise > 0 && {
            noise: embeddingNoise(batch.shape, plan.model.config.hiddenSize, noise, args.seed, `step ${step}, batch ${index}`),
          }),
          ...(apply ? {} : update),
        })
        loss += objective.loss(place, out, drawn)
        if (out.gradNorm) gradNorm = out.gradNorm[0] as number
        intervalTokens += trainRows.tokens(batch)
        await breathe()
        // A step half accumulated is given up: its gradients end with this session.
        if (job.stop?.aborted && apply && batch !== micro.at(-1)) {
          stopped = true
          break
        }
      }
      if (!stopped) {
        if (apply) gradNorm = (await session.run(apply.name, update)).gradNorm?.[0] as number
        watchdog.check(step + 1, loss / units, gradNorm, rate)
        step++
        numTokens += micro.reduce((sum, batch) => sum + trainRows.tokens(batch), 0)
        sumLoss += loss
        sumLabels += units
        allLoss += loss
        allLabels += units
        if (step % args.logging_steps === 0 || step === totalSteps) {
          const now = seconds()
          const entry = { step, epoch: step / stepsPerEpoch, loss: sumLoss / sumLabels, grad_norm: gradNorm, learning_rate: rate }
          const metrics = drawn.take()
          log.push({ ...entry, ...metrics })
          yield {
            type: 'step',
            ...entry,
            metrics,
            tokens_per_second: intervalTokens / (now - intervalBegan),
            num_tokens: numTokens,
            seconds: spent + now - stepsBegan,
          }
          sumLoss = 0
          sumLabels = 0
          intervalTokens = 0
          intervalBegan = seconds()
        }
      }
      if (job.stop?.aborted && step < totalSteps) {
        const saved = await save()
        if (saved) yield saved
        // Before the first step there is nothing to average.
        yield { type: 'stopped', step, weights: { names, read: trainableReader(session, step > 0 ? outcome : plan, null) } }
        return
      }
      const epochEnds = step % stepsPerEpoch === 0
      if (step === totalSteps || (args.eval_steps > 0 ? step % args.eval_steps === 0 : epochEnds)) {
        const event = await evaluate()
        if (event) yield event
        intervalBegan = seconds()
      }
      const since = seconds() - savedAt
      const interval = job.checkpointSeconds ?? 60
      const left = ((seconds() - stepsBegan) / (step - firstStep)) * (totalSteps - step)
      // Shortly before the end the checkpoint of the end is near enough.
      const due =
        (since >= interval && left >= Math.min(interval, LEAST_CHECKPOINT_SECONDS)) || (epochEnds && since >= LEAST_CHECKPOINT_SECONDS)
      if (step === totalSteps || gaveUp() || due || job.takeCheckpointRequest?.()) {
        const event = await save()
        if (event) yield event
        intervalBegan = seconds()
      }
    }

    const chosen = args.load_best_model_at_end && best && bestWeights ? bestWeights : null
    spent += seconds() - stepsBegan
    yield {
      type: 'done',
      step,
      epochs: step / stepsPerEpoch,
      train_loss: allLabels ? allLoss / allLabels : Number.NaN,
      eval_loss: chosen && best ? (best as { metric: number }).metric : evalLoss,
      bestStep: (best as { step: number } | null)?.step ?? null,
      endedEarly: step < totalSteps,
      seconds: seconds() - began,
      weights: chosen
        ? { names, read: async (name) => chosen.get(name) as Float32Array }
        : { names, read: trainableReader(session, outcome, null) },
    }
  } finally {
    executable?.close()
    for (const resource of open) resource.close()
  }
}

/** Overwrites trainable weights, variable by variable. Fused variables are wholly trainable or wholly not. */
async function writeTrainable(executable: Executable, plan: WeightPlan, read: (name: string) => Float32Array): Promise<void> {
  await writeWeights(executable, { ...plan, stored: plan.stored.filter((weight) => weight.trainable) }, read)
}

/** Looks before the first step at what would stop a later one: disk for two checkpoints and the caches (E-19). */
async function preflight(
  job: TrainJob,
  plan: WeightPlan,
  cached: readonly EncodedSet[],
  names: readonly string[],
  shapes: ReadonlyMap<string, readonly number[]>,
): Promise<void> {
  fs.mkdirSync(job.scratch, { recursive: true })
  const trainable = names.reduce((sum, name) => sum + (shapes.get(name) as readonly number[]).reduce((a, b) => a * b, 1), 0)
  // Weights, two moments, their average, the best weights, twice, because the new one is written before the old one goes.
  const checkpoints = job.onCheckpoint ? trainable * 4 * (job.args.ema_decay ? 5 : 4) * 2 : 0
  const caches = cached.reduce(
    (sum, set) => sum + PrefixCache.sizeBytes(set.rows, plan.model.config.hiddenSize, plan.precision === 'bf16' ? 'bf16' : 'f32'),
    0,
  )
  const { bavail, bsize } = fs.statfsSync(job.scratch)
  if (bavail * bsize < checkpoints + caches) {
    throw new EngineError('bad_argument', 'there is not enough disk space for this training', {
      where: job.scratch,
      expected: `${Math.ceil((checkpoints + caches) / 1e6)} MB for checkpoints and caches`,
      got: `${Math.floor((bavail * bsize) / 1e6)} MB`,
      fix: 'free some space, or train fewer blocks',
    })
  }
}
