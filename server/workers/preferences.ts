/** Preference trainings between handles and the engine: rows, references and the objective that the trainer is given. */
import type { Backend } from '../../engine/backends/backend'
import { encodePairs, encodeRated, type PairRow, type PreferenceSet, type RatedRow } from '../../engine/data/preferences'
import { EngineError } from '../../engine/errors'
import type { LoadedModel } from '../../engine/model'
import { breathe } from '../../engine/session'
import type { Objective } from '../../engine/train/objective'
import { comparesWithReference, type PreferenceLoss, preferenceObjective, referenceLogProbs } from '../../engine/train/preference'
import type { PreferenceSettings, TrainArguments, TrainEvent } from '../../nodes/_kit/context'
import type { DatasetHandle } from '../../nodes/_kit/ports'
import type { EngineHost } from '../executor/context'

const lossOf = ({ loss_type: type, beta, gamma, label_smoothing: labelSmoothing }: PreferenceSettings): PreferenceLoss => {
  if (type === 'kto' || type === 'orpo') return { type, beta }
  if (type === 'simpo') return { type, beta, gamma, labelSmoothing }
  if (type === 'cpo') return { type, beta, labelSmoothing }
  return { type, beta, labelSmoothing }
}

/** The sets as rows of single replies, and what is made smaller. References are computed here, with the weights as they come in. */
export async function* preparePreferences(
  host: EngineHost,
  backend: Backend,
  model: LoadedModel,
  job: {
    data: DatasetHandle
    validation?: DatasetHandle | undefined
    preference: PreferenceSettings
    args: TrainArguments
  },
): AsyncGenerator<TrainEvent, { set: PreferenceSet; validation?: PreferenceSet; objective: Objective }> {
  const { preference, args } = job
  const loss = lossOf(preference)
  const encode = async (data: DatasetHandle): Promise<PreferenceSet> => {
    const text = await host.artifacts.readText(data.artifact)
    const rows: unknown[] = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
    const encoder = { tokenizer: model.tokenizer, template: model.template, trainOn: 'completion' } as const
    const options = { maxLength: args.max_length, promptLabels: loss.type === 'orpo', yieldNow: breathe }
    const set =
      loss.type === 'kto' ? await encodeRated(encoder, rows as RatedRow[], options) : await encodePairs(encoder, rows as PairRow[], options)
    if (!set.pairs)
      throw new EngineError('bad_argument', `every row of ${data.name} is longer than max_length`, {
        where: 'max_length',
        got: String(args.max_length),
        fix: 'raise max_length',
      })
    return set
  }
  const set = await encode(job.data)
  const validation = job.validation && (await encode(job.validation))
  const precision = args.bf16 && backend.bf16 ? 'bf16' : 'fp32'
  const total = set.rows.length + (validation?.rows.length ?? 0)
  const what = 'answers under the model as it was'
  const reference = (of: PreferenceSet) =>
    referenceLogProbs(backend, model, of, {
      batch: args.per_device_eval_batch_size,
      precision,
      padId: model.padId,
      signal: host.signal,
    })
  let references: Parameters<typeof preferenceObjective>[2] = null
  if (comparesWithReference(loss)) {
    yield { type: 'preparing', done: 0, total, what }
    const data = await reference(set)
    yield { type: 'preparing', done: set.rows.length, total, what }
    references = { data, ...(validation && { validation: await reference(validation) }) }
    yield { type: 'preparing', done: total, total, what }
  }
  const objective = preferenceObjective(
    { data: set, validation },
    {
      loss,
      ...(preference.rpo_alpha > 0 && { nllWeight: preference.rpo_alpha }),
      desirableWeight: preference.desirable_weight,
      undesirableWeight: preference.undesirable_weight,
    },
    references,
  )
  return { set, ...(validation && { validation }), objective }
}
