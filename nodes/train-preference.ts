import * as z from 'zod'
import { adapterSettings, adapterWords, METHOD_NAMES, resolveAdapter } from './_kit/adapters'
import { defineNode } from './_kit/define-node'
import { FLOPS_PER_SECOND, forwardFlopsPerToken, tokensOfChars, trainBytes, trainFlopsPerToken, WARM_UP_SECONDS } from './_kit/estimate'
import type { NodeProblem } from './_kit/facts'
import { countAll } from './_kit/freeze'
import { throwProblem } from './_kit/node-error'
import { isOpenEnded, optimizerStateBytes } from './_kit/optimizer-params'
import { hasReference, LOSS_NAMES, preferenceParams, preferenceSettings } from './_kit/preference-params'
import { resolveTrain, stepsPerEpochOf, totalStepsOf, type Wiring } from './_kit/resolve-train'
import { trainArguments } from './_kit/train-arguments'
import { trainParams } from './_kit/train-params'
import { followTraining, type TrainJob } from './_kit/train-run'
import { countWords, plural, rateWords } from './_kit/words'

/** Preferences move a model that already writes well: a twentieth of the rate that teaches it (SCI-114: 1e-6 whole, 1e-5 with an adapter). */
const RATE_SHARE = 1 / 20

/** What of the training form means nothing here: which tokens train follows from the replies. */
const { train_on: _, neftune_noise_alpha: __, num_train_epochs, ...shared } = trainParams
const params = z.strictObject({ ...preferenceParams, ...shared, num_train_epochs: num_train_epochs.default(1) })
type Params = z.output<typeof params>
/** With what the shared functions ask for. */
const asTrain = (given: Params) => ({ ...given, train_on: 'completion' as const, neftune_noise_alpha: 0 })

export const trainPreference = defineNode({
  type: 'train-preference',
  title: 'Train on preferences',
  summary: 'Teaches a model which of two answers is better, or which answers are good: DPO, ORPO, SimPO, KTO.',
  help: `Takes pairs of a **chosen** and a **rejected** answer to the same prompt, or single answers **rated** good or bad (KTO), and moves the model towards what was preferred. Use it after ordinary training: it sharpens a choice between answers the model can already write.

**DPO** and its relatives compare with the model as it came in. Those log-probabilities are computed once, before the first step; there is never a second model in memory. With an adapter the comparison is the model without it. **ORPO** and **SimPO** need no comparison; ORPO teaches the chosen answer at the same time.

Watch the curves: **rewards/margins** should rise and **rewards/accuracies** approach 1. When **logps/chosen** falls as well, the model forgets how to write even the chosen answers: lower the rate, or also learn the chosen answer.

A pair with an answer longer than the maximum length is left out whole and counted.`,
  group: 'Training',
  icon: 'train-preference',
  tags: ['dpo', 'orpo', 'kto', 'simpo', 'ipo', 'rlhf', 'preference', 'alignment', 'chosen', 'rejected', 'pairs', 'lora'],
  params,
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to train, and what it is compared with.' },
    data: { kind: 'dataset', title: 'Preferences', description: 'Pairs of answers, or rated answers for KTO.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Preferences to watch, never trained on.', optional: true },
  },
  outputs: {
    model: { kind: 'model', title: 'Model', description: 'The trained model.' },
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Loss, rewards, margins and accuracy of this training.' },
  },
  purity: 'seeded',
  resource: 'engine',
  extent: (given) => (isOpenEnded(given) ? ['num_train_epochs', 'max_steps'] : []),
  infer({ params: given, inputs }) {
    const model = inputs.model?.kind === 'model' ? inputs.model.facts : null
    const data = inputs.data?.kind === 'dataset' ? inputs.data.facts : null
    const validation = inputs.validation?.kind === 'dataset' ? inputs.validation.facts : null
    const problems: NodeProblem[] = []
    for (const format of [data?.format, validation?.format]) if (format) problems.push(...formatProblems(format, given))
    const { adapter, problems: adapterProblems } = model ? resolveAdapter(given, model, model.trainable) : { adapter: null, problems: [] }
    problems.push(...adapterProblems)
    const all = model ? countAll(model.parameters) : null
    const resolved = resolvePreference(given, {
      trainableShare: model && all ? (model.trainable ? model.trainable.parameters / all : 1) : null,
      parameters: all,
      contextLength: model?.contextLength ?? null,
      rows: data?.rows ?? null,
      chars: data?.chars ?? null,
      format: data?.format ?? null,
      validation: inputs.validation !== undefined,
      adapter: given.method !== 'full',
    })
    const { beta } = preferenceSettings(given)
    const changed = Object.fromEntries(
      Object.entries({ ...resolved, beta }).filter(
        ([name, value]) => value !== 'auto' && (given as Record<string, unknown>)[name] === 'auto',
      ),
    )
    const batch = resolved.per_device_train_batch_size
    const steps =
      data?.rows && typeof batch === 'number'
        ? totalStepsOf(stepsPerEpochOf(data.rows, batch, given.gradient_accumulation_steps), given.num_train_epochs, given.max_steps)
        : null
    const rate = resolved.learning_rate
    const card = [
      { label: 'Loss', value: `${LOSS_NAMES[given.loss_type]}, β ${beta}` },
      {
        label: 'Learning rate',
        value: typeof rate === 'number' ? `${rateWords(rate)}${given.learning_rate === 'auto' ? ', auto' : ''}` : 'auto',
      },
      adapter
        ? { label: METHOD_NAMES[adapter.method], value: `rank ${adapter.r}, ${countWords(adapter.parameters)}` }
        : { label: 'Steps', value: steps === null ? 'auto' : steps.toLocaleString('en-US') },
    ]
    if (!model) return { resolved: changed, card, problems }
    const trainable = adapter?.parameters ?? model.trainable?.parameters ?? all ?? 0
    const estimate = (() => {
      if (!data?.chars || !data.rows || steps === null || typeof batch !== 'number') return undefined
      // A pair is its prompt twice; how the characters are shared out is not known, and half as much again lies between.
      const perRow = tokensOfChars(data.chars.mean) * 1.5
      const reference = hasReference(given.loss_type) ? data.rows * perRow * forwardFlopsPerToken(model, perRow) : 0
      const flops = steps * batch * given.gradient_accumulation_steps * perRow * trainFlopsPerToken(model, model.trainable, perRow, adapter)
      return {
        seconds: Math.round(WARM_UP_SECONDS + (flops + reference) / FLOPS_PER_SECOND),
        memoryBytes: Math.round(
          trainBytes(model, model.trainable, 2 * batch, tokensOfChars(data.chars.max), adapter, optimizerStateBytes(given)) +
            (given.ema_decay ? 4 * trainable : 0),
        ),
        diskBytes: 4 * trainable + 3 * Math.round(optimizerStateBytes(given) + (given.ema_decay ? 4 : 0)) * trainable,
      }
    })()
    return {
      outputs: {
        model: {
          kind: 'model',
          facts: {
            ...model,
            trainedOn: data ? [...model.trainedOn, data.origin] : model.trainedOn,
            adapter: adapter ? { method: adapter.method, r: adapter.r, parameters: adapter.parameters } : undefined,
          },
        },
        metrics: { kind: 'metrics', facts: { names: ['train_loss', ...(inputs.validation ? ['eval_loss'] : []), 'steps', 'seconds'] } },
      },
      resolved: changed,
      ...(estimate && { estimate }),
      card,
      problems,
    }
  },
  async run({ params: given, inputs, ctx }) {
    const { model, data, validation } = inputs
    throwProblem(formatProblems(data.format, given))
    if (validation) throwProblem(formatProblems(validation.format, given))
    const { adapter, problems } =
      given.method === 'full' ? { adapter: null, problems: [] } : resolveAdapter(given, await ctx.engine.header(model), model.trainable)
    throwProblem(problems)
    const wiring: Wiring = {
      trainableShare: model.trainable ? model.trainable.parameters / model.parameters : 1,
      parameters: model.parameters,
      contextLength: model.contextLength,
      rows: data.rows,
      chars: data.chars,
      format: data.format,
      validation: validation !== undefined && validation.rows > 0,
      adapter: adapter !== null,
    }
    const args = trainArguments({ ...asTrain(given), ...resolvePreference(given, wiring), train_on: 'completion' }, wiring)
    args.bf16 = given.bf16 === 'auto' ? (ctx.engine.backend.bf16 ?? ctx.engine.backend.name === 'tensorflow') : given.bf16
    const preference = preferenceSettings(given)
    const settings = adapterSettings(adapter, given)
    const trainable = adapter?.parameters ?? model.trainable?.parameters ?? model.parameters
    ctx.log(
      `${LOSS_NAMES[given.loss_type]} with β ${preference.beta}, ${adapter ? adapterWords(adapter) : plural(trainable, 'parameter')}; learning_rate ${rateWords(args.learning_rate)}, batch ${args.per_device_train_batch_size}, max_length ${args.max_length}`,
    )
    const job: TrainJob = {
      model,
      data,
      trainable: model.trainable,
      args,
      preference,
      ...(validation && validation.rows > 0 && { validation }),
      ...(settings && { adapter: settings }),
    }
    return followTraining(ctx, job, trainable)
  },
})

/** As for Train, with a lower rate and, since a pair is two rows, half the batch. */
function resolvePreference(given: Params, wiring: Wiring) {
  const { train_on: ___, optim: ____, ...found } = resolveTrain(asTrain(given), wiring)
  const halved = (value: number | 'auto', own: number | 'auto') =>
    own === 'auto' && typeof value === 'number' && given.loss_type !== 'kto' ? Math.max(1, value / 2) : value
  const rate = found.learning_rate
  return {
    ...found,
    learning_rate: given.learning_rate === 'auto' && typeof rate === 'number' ? Number((rate * RATE_SHARE).toPrecision(2)) : rate,
    per_device_train_batch_size: halved(found.per_device_train_batch_size, given.per_device_train_batch_size),
    per_device_eval_batch_size: halved(found.per_device_eval_batch_size, given.per_device_eval_batch_size),
  }
}

function formatProblems(format: string, given: Params): NodeProblem[] {
  const kto = given.loss_type === 'kto'
  const wanted = kto ? 'unpaired_preference' : 'preference'
  if (format === wanted) return []
  const other = kto ? 'preference' : 'unpaired_preference'
  return [
    {
      severity: 'error',
      code: 'no_preferences',
      ...(format === other && { param: 'loss_type' }),
      message: kto
        ? 'KTO learns from single answers that were rated good or bad.'
        : `${LOSS_NAMES[given.loss_type]} learns from pairs of a chosen and a rejected answer.`,
      expected: kto ? 'prompt, completion and a yes-or-no label' : 'prompt, chosen and rejected',
      got: format.replaceAll('_', ' '),
      ...(format === other && {
        fix: kto ? { label: 'Use DPO', params: { loss_type: 'sigmoid' } } : { label: 'Use KTO', params: { loss_type: 'kto' } },
      }),
    },
  ]
}
