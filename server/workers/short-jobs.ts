/** Jobs of the engine that measure and leave no model behind: trials, gradients, how far two models are apart, the spectrum of weights. */
import type { Backend } from '../../engine/backends/backend'
import type { EncodedSet } from '../../engine/data/encode'
import { EngineError } from '../../engine/errors'
import { divergence } from '../../engine/evaluate/divergence'
import { singularValues } from '../../engine/evaluate/singular-values'
import type { LoadedModel } from '../../engine/model'
import { breathe, InferenceSession } from '../../engine/session'
import type { TrainedWeights } from '../../engine/train/train'
import { gradientNorms, runTrial } from '../../engine/train/trial'
import type { EngineAccess, TrainArguments } from '../../nodes/_kit/context'
import type { DatasetHandle, Digest, ModelHandle } from '../../nodes/_kit/ports'
import type { EngineHost } from '../executor/context'

/** What the warm engine lends to a job. */
export type Warm = {
  backend: Backend
  /** Opened, without weights on the backend. */
  open(handle: ModelHandle): Promise<LoadedModel>
  /** With weights on the backend, in fp32. */
  loaded(handle: ModelHandle): Promise<{ model: LoadedModel; session: InferenceSession }>
  /** Frees the weights that are loaded. */
  unload(): void
  encode(
    model: LoadedModel,
    data: DatasetHandle,
    maxLength: number,
    trainOn: TrainArguments['train_on'],
  ): Promise<{ set: EncodedSet; rows: number }>
  /** Stores what differs from the base. */
  delta(model: LoadedModel, values: TrainedWeights): Promise<Digest>
  precision(bf16: boolean): 'bf16' | 'fp32'
}

type ShortJobs = Pick<EngineAccess, 'trial' | 'gradients' | 'divergence' | 'singularValues' | 'interpolate'>

export function shortJobs(host: EngineHost, warm: Warm): ShortJobs {
  return {
    async trial(job) {
      const model = await warm.open(job.model)
      warm.unload()
      const { set } = await warm.encode(model, job.data, job.max_length, job.train_on)
      const watch: { set: EncodedSet; sourceRows: number }[] = []
      for (const one of job.watch) {
        const encoded = await warm.encode(model, one.data, one.max_length, one.train_on)
        watch.push({ set: encoded.set, sourceRows: encoded.rows })
      }
      let delta: Digest | null = null
      const trial = await runTrial({
        backend: warm.backend,
        weights: model,
        data: set,
        trainable: job.trainable ?? model.model.parameters.map(({ name }) => name),
        watch,
        rates: job.rates,
        batch: job.batch_size,
        evalBatch: job.eval_batch_size,
        evalSteps: job.eval_steps,
        optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: job.max_grad_norm },
        seed: job.seed,
        precision: warm.precision(job.bf16),
        padId: model.padId,
        signal: host.signal,
        ...(job.onProgress && { onProgress: job.onProgress }),
        ...(job.keep && {
          onWeights: async (weights: TrainedWeights) => {
            delta = await warm.delta(model, weights)
          },
        }),
      })
      return {
        ...trial,
        looks: trial.looks.map(({ step, sets }) => ({
          step,
          sets: sets.map(({ loss, tokens, rowLosses }) => ({ loss, tokens, rowLosses: [...rowLosses] })),
        })),
        delta,
      }
    },
    async gradients(job) {
      const model = await warm.open(job.model)
      warm.unload()
      const { set } = await warm.encode(model, job.data, job.max_length, job.train_on)
      return gradientNorms({
        backend: warm.backend,
        weights: model,
        data: set,
        trainable: model.model.parameters.map(({ name }) => name),
        batch: job.batch_size,
        batches: job.batches,
        resample: job.resample,
        seed: job.seed,
        precision: warm.precision(job.bf16),
        padId: model.padId,
        signal: host.signal,
        ...(job.onProgress && { onProgress: job.onProgress }),
      })
    },
    async divergence(job) {
      const tuned = await warm.loaded(job.model)
      // A second set of weights for the length of this job: the two are read in turn.
      const base = new InferenceSession(warm.backend, await warm.open(job.base))
      try {
        const { set, rows } = await warm.encode(tuned.model, job.data, job.max_length, job.train_on)
        const found = await divergence(base, tuned.session, set, rows, {
          padId: tuned.model.padId,
          signal: host.signal,
          ...(job.onProgress && { onProgress: job.onProgress }),
        })
        const words = (encoded: number, from: number, to: number) =>
          tuned.model.tokenizer.decode([...(set.rows[encoded]?.ids.slice(Math.max(0, from), to) ?? [])], { skipSpecialTokens: false })
        return {
          rows: found.rows,
          lost: found.lost.map(({ row, encoded, position, base: was, tuned: is }) => ({
            row,
            before: words(encoded, position - 12, position),
            token: words(encoded, position, position + 1),
            base: was,
            tuned: is,
          })),
        }
      } finally {
        base.close()
      }
    },
    async singularValues(job) {
      const model = await warm.open(job.model)
      const shapes = new Map(model.model.parameters.map(({ name, shape }) => [name, shape]))
      const found: { name: string; shape: readonly number[]; values: readonly number[] }[] = []
      for (const [i, name] of job.names.entries()) {
        host.signal.throwIfAborted()
        const shape = shapes.get(name)
        if (shape?.length !== 2) throw new EngineError('bad_argument', 'this is no matrix of the model', { where: name })
        found.push({ name, shape, values: [...singularValues(model.read(name), shape[0] as number, shape[1] as number)] })
        job.onProgress?.(i + 1, job.names.length)
        await breathe()
      }
      return found
    },
    async interpolate(job) {
      if (job.alpha === 0) return null
      if (job.alpha === 1 && !job.model.adapter) return job.model.delta
      const model = await warm.open(job.model)
      const mix = async (name: string) => {
        const [from, to] = [model.readBase(name), model.read(name)]
        return Float32Array.from(from, (x, i) => (1 - job.alpha) * x + job.alpha * (to[i] as number))
      }
      return warm.delta(model, { names: model.changed, read: mix })
    },
  }
}
