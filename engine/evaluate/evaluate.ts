/** Loss of a model on encoded rows: token-weighted over the whole set, and of each row (SCI-3). */
import type { Executable } from '../backends/backend'
import { batchFeeds, type PlannedBatch, planEvaluation } from '../data/batches'
import type { EncodedSet } from '../data/encode'
import { EngineError } from '../errors'
import type { Program } from '../graph/types'
import { evaluate as evaluateProgram, type WeightPlan } from '../programs/index'
import { breathe, type InferenceSession } from '../session'

export type Evaluation = {
  /** Mean over all trained tokens, nats. */
  readonly loss: number
  readonly perplexity: number
  /** Trained tokens. */
  readonly tokens: number
  /** Mean over the row's trained tokens, by row of the source; NaN for rows the length policy left out. */
  readonly rowLosses: Float64Array
}

export type EvaluateOptions = {
  readonly batch: number
  readonly padId?: number
  readonly signal?: AbortSignal
  onProgress?(done: number, total: number): void
}

/** Batches of an evaluation and the programs they need: planned apart, so that several jobs can be compiled at once. */
export function planEvaluate(
  plan: WeightPlan,
  set: EncodedSet,
  batch: number,
): { batches: PlannedBatch[]; programs: Program[]; program: Map<PlannedBatch, string> } {
  const size = Math.min(batch, Math.max(1, set.rows.length))
  const batches = planEvaluation(set.rows, size)
  const programs = new Map<string, Program>()
  const program = new Map<PlannedBatch, string>()
  const byShape = new Map<string, Program>()
  for (const planned of batches) {
    const key = `${planned.shape.length}/${planned.shape.labels}`
    const made = byShape.get(key) ?? evaluateProgram(plan, planned.shape)
    byShape.set(key, made)
    programs.set(made.name, made)
    program.set(planned, made.name)
  }
  return { batches, programs: [...programs.values()], program }
}

/** Runs planned batches through `evaluate` programs: the sum of the loss and the number of trained tokens of every source row. */
export async function scoreRows(
  executable: Pick<Executable, 'run'>,
  set: EncodedSet,
  sourceRows: number,
  planned: Pick<ReturnType<typeof planEvaluate>, 'batches' | 'program'>,
  options: Omit<EvaluateOptions, 'batch'> = {},
): Promise<Evaluation> {
  const logProbs = new Map<number, Float32Array>()
  let done = 0
  for (const batch of planned.batches) {
    if (options.signal?.aborted) throw new EngineError('cancelled', 'evaluation was cancelled')
    const feeds = batchFeeds(set.rows, batch, options.padId)
    const values = (await executable.run(planned.program.get(batch) as string, feeds, ['logProbs'])).logProbs as Float32Array
    let at = 0
    for (const index of batch.rows) {
      const labels = set.rows[index]?.labels as number
      logProbs.set(index, values.subarray(at, at + labels))
      at += labels
    }
    done += batch.rows.length
    options.onProgress?.(done, set.rows.length)
    await breathe()
  }
  return evaluationOf(set, sourceRows, (index) => logProbs.get(index) as Float32Array)
}

/** From ln p of the labels of each encoded row to the losses of the set and of its source rows. */
export function evaluationOf(set: EncodedSet, sourceRows: number, logProbs: (index: number) => Float32Array): Evaluation {
  const sums = new Float64Array(sourceRows)
  const counts = new Float64Array(sourceRows)
  set.source.forEach((source, index) => {
    for (const value of logProbs(index)) sums[source] = (sums[source] as number) - value
    counts[source] = (counts[source] as number) + (set.rows[index]?.labels as number)
  })
  const total = sums.reduce((a, b) => a + b, 0)
  const tokens = counts.reduce((a, b) => a + b, 0)
  if (!tokens) throw new EngineError('bad_argument', 'there is nothing to evaluate: no row fits max_length', { fix: 'raise max_length' })
  const loss = total / tokens
  return {
    loss,
    perplexity: Math.exp(loss),
    tokens,
    rowLosses: sums.map((sum, i) => (counts[i] ? sum / (counts[i] as number) : Number.NaN)),
  }
}

/** Runs the model over all rows once. `sourceRows` is the number of rows before the length policy. */
export async function evaluate(
  session: InferenceSession,
  set: EncodedSet,
  sourceRows: number,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const planned = planEvaluate(session.plan, set, options.batch)
  const executable = planned.batches.length ? await session.prepare(planned.programs) : { run: async () => ({}) }
  return scoreRows(executable, set, sourceRows, planned, options)
}
