/** One training as the cases of training/ describe it: data, programs, steps, and what of the log is compared. */
import type { Executable } from '../../engine/backends/backend'
import { EngineError } from '../../engine/errors'
import {
  accumulate,
  applyGradients,
  logits,
  type OptimizerSpec,
  optimizerFeeds,
  planWeights,
  trainStep,
  type WeightPlan,
  writeWeights,
} from '../../engine/programs/index'
import type { WeightSource } from '../../engine/session'
import { learningRateAt, scheduleOf } from '../../engine/train/schedules'
import type { Context, Json, Tensors } from './cases'
import { labelFeeds } from './models'

type Batch = { ids: Int32Array; rows: Int32Array; targets: Int32Array; weights: Float32Array; labels: number; attention: Float64Array }

/** Micro-batches [step][micro] of data.safetensors, label room equal for all. */
function batchesOf(data: Tensors): { steps: Batch[][]; batch: number; length: number; room: number } {
  const [stepCount, micros, batch, length] = data.shape('input_ids') as [number, number, number, number]
  const ids = data.numbers('input_ids')
  const labels = data.numbers('labels')
  const attention = data.numbers('attention_mask')
  const size = batch * length
  const raw = Array.from({ length: stepCount * micros }, (_, i) => ({
    ids: Int32Array.from(ids.subarray(i * size, (i + 1) * size)),
    attention: attention.slice(i * size, (i + 1) * size),
    ...labelFeeds(labels.subarray(i * size, (i + 1) * size), batch, length),
  }))
  const room = Math.max(...raw.map(({ count }) => count))
  const padded = raw.map(({ ids: own, attention: mask, rows, targets, weights, count }): Batch => {
    const pad = <T extends Int32Array | Float32Array>(values: T, to: T): T => {
      to.set(values)
      return to
    }
    return {
      ids: own,
      attention: mask,
      rows: pad(rows, new Int32Array(room)),
      targets: pad(targets, new Int32Array(room)),
      weights: pad(weights, new Float32Array(room)),
      labels: count,
    }
  })
  return { steps: Array.from({ length: stepCount }, (_, s) => padded.slice(s * micros, (s + 1) * micros)), batch, length, room }
}

/** Hyper-parameters by torch's names; AdamW unless they name another. */
function optimizerOf(h: Json): OptimizerSpec {
  const maxGradNorm = h.max_grad_norm ?? 0
  const [beta1, beta2] = h.betas ?? []
  switch (h.optimizer ?? 'adamw') {
    case 'adamw':
      return { beta1, beta2, epsilon: h.eps, maxGradNorm }
    case 'lion':
      return { name: 'lion', beta1, beta2, maxGradNorm }
    case 'adafactor':
      return { name: 'adafactor', decayRate: h.decay_rate, clipThreshold: h.clip_threshold, maxGradNorm }
    case 'sgd':
      return { name: 'sgd', momentum: h.momentum ?? 0, nesterov: h.nesterov ?? false, maxGradNorm }
    default:
      throw new EngineError('unsupported', `the optimizer ${h.optimizer} is not built`)
  }
}

export type Trainer = {
  weights: WeightSource
  plan: WeightPlan
  executable: Executable
  run(from: number, to: number): Promise<{ loss: number[]; gradNorm: number[]; rate: number[]; micro: number[][]; labels: number[] }>
  finalLogits(): Promise<Float32Array>
  close(): void
}

export async function openTrainer(
  context: Context,
  weights: WeightSource,
  names: readonly string[],
  h: Json,
  data: Tensors,
): Promise<Trainer> {
  const plan = planWeights(weights.model, { trainable: names, precision: 'fp32', fuseTrainable: h.optimizer !== 'adafactor' })
  const { steps, batch, length, room } = batchesOf(data)
  const optimizer = optimizerOf(h)
  const fused = (h.accumulation ?? 1) === 1
  const shape = { batch, length, labels: room }
  const step = fused ? trainStep(plan, { ...shape, optimizer }) : accumulate(plan, shape)
  const apply = fused ? null : applyGradients(plan, { optimizer })
  const look = logits(plan, { batch, length })
  const executable = await context.backend.compile([step, ...(apply ? [apply] : []), look])
  await writeWeights(executable, plan, (name) => weights.read(name))
  const rates = scheduleOf(h.schedule, h.lr, h.warmup_steps, h.total_steps ?? h.steps, h.schedule_options ?? {})
  return {
    weights,
    plan,
    executable,
    async run(from, to) {
      const out = {
        loss: [] as number[],
        gradNorm: [] as number[],
        rate: [] as number[],
        micro: [] as number[][],
        labels: [] as number[],
      }
      for (let i = from; i < to; i++) {
        const micros = steps[i] as Batch[]
        const labels = micros.reduce((sum, m) => sum + m.labels, 0)
        const rate = learningRateAt(rates, i)
        const adam = optimizerFeeds({ learningRate: [rate], weightDecay: [h.weight_decay], step: i + 1, optimizer })
        const micro: number[] = []
        let norm = Number.NaN
        for (const { ids, rows, targets, weights } of micros) {
          const got = await executable.run(step.name, {
            ids,
            rows,
            targets,
            weights,
            scale: Float32Array.of(1 / labels),
            ...(fused ? adam : {}),
          })
          micro.push((got.loss?.[0] as number) / labels)
          if (got.gradNorm) norm = got.gradNorm[0] as number
        }
        if (apply) norm = (await executable.run(apply.name, adam)).gradNorm?.[0] as number
        out.loss.push(micro.reduce((a, b) => a + b, 0))
        out.gradNorm.push(norm)
        out.rate.push(rate)
        out.micro.push(micro)
        out.labels.push(labels)
      }
      return out
    },
    finalLogits: async () => (await executable.run(look.name, { ids: (steps[0] as Batch[])[0]?.ids as Int32Array })).logits as Float32Array,
    close: () => executable.close(),
  }
}

/** Trains all steps, and compares what the log says and the logits at the end. */
export async function compareTrajectory(
  context: Context,
  at: string,
  trainer: Trainer,
  expected: Json,
  data: Tensors,
  tensors: Tensors,
): Promise<void> {
  const { report } = context
  const { log, hyperparameters: h, tolerance_abs: tolerance } = expected
  const { plan, weights } = trainer
  const sizeOf = (wanted: (name: string) => boolean) =>
    weights.model.parameters
      .filter(({ name, derived }) => !derived && wanted(name))
      .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
  if (expected.trainable_parameters !== undefined)
    report.same(
      at,
      'trainable parameters',
      sizeOf((name) => plan.trainable.has(name)),
      expected.trainable_parameters,
    )
  if (expected.all_parameters !== undefined)
    report.same(
      at,
      'all parameters',
      sizeOf(() => true),
      expected.all_parameters,
    )
  const got = await trainer.run(0, h.steps)
  report.near(at, 'loss', got.loss, log.loss, tolerance.loss)
  if (log.micro_loss) report.near(at, 'micro-batch losses', got.micro.flat(), log.micro_loss.flat(), tolerance.loss)
  if (log.label_tokens) report.same(at, 'label tokens', got.labels, log.label_tokens)
  report.near(
    at,
    'gradient norm, relative',
    got.gradNorm.map((norm, i) => norm / log.grad_norm[i]),
    log.grad_norm.map(() => 1),
    tolerance.grad_norm_rel,
  )
  report.near(at, 'learning rate', got.rate, log.lr, tolerance.lr ?? 1e-12)
  if (tensors.has('final_logits')) {
    const seen = (values: Float32Array) => seenLogits(values, data, weights.model.config.vocabSize)
    report.near(at, 'final logits', seen(await trainer.finalLogits()), seen(tensors.floats('final_logits')), tolerance.final_logits)
  }
}

/** Logits of the first micro-batch where it is not padding. */
export function seenLogits(values: Float32Array, data: Tensors, vocab: number): number[] {
  const attention = batchesOf(data).steps[0]?.[0]?.attention as Float64Array
  return Array.from(values).filter((_, i) => attention[Math.floor(i / vocab)])
}
