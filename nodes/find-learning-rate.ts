import * as z from 'zod'
import { datasetFacts, modelFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { NodeError, throwProblem } from './_kit/node-error'
import { putReport, type Report } from './_kit/report'
import { needRows, someRows, trainableProblem, trialBasis, trialEstimate, trialRates } from './_kit/trials'
import { rateWords } from './_kit/words'

/** Above this share more gained by seen rows than by others a rate memorises (SCI-42; the threshold is a first guess). */
const MEMORISES = 0.1

export const findLearningRate = defineNode({
  type: 'find-learning-rate',
  title: 'Find learning rate',
  summary: 'Raises the learning rate step by step, finds where training breaks, and suggests a rate that holds.',
  help: `The learning rate decides more than the method does: too small learns nothing, too large forgets and breaks. This node trains once while the rate rises from tiny to huge, watches training and validation loss, and reads off three things.

The **divergence rate**, from which on the loss only rises. The **suggestion**, in the middle of the fall, never above a third of the divergence rate. And, after three short runs at a third of it, at it, and at three times it, which of them really is best on validation rows.

**Memorising**: rows that were seen once should not gain much more than rows that were not. The **fastest rate that does not memorise** may be lower than the fastest stable one; for few rows prefer it.

Wire the model as it goes into Train: with Freeze layers between, the search is for those layers. Set the result in Train; the model itself is not changed.`,
  group: 'Training',
  icon: 'find-learning-rate',
  tags: ['lr', 'range test', 'finder', 'rate', 'divergence', 'memorise', 'sweep', 'hyperparameter'],
  params: z.strictObject({
    start_lr: z
      .number()
      .min(1e-9)
      .max(1)
      .default(1e-6)
      .meta({ title: 'From', description: 'Lowest rate of the sweep.', scale: 'log', advanced: true }),
    end_lr: z
      .number()
      .min(1e-7)
      .max(10)
      .default(0.1)
      .meta({ title: 'To', description: 'Highest rate of the sweep.', scale: 'log', advanced: true }),
    num_it: z.int().min(12).max(1000).default(60).meta({ title: 'Steps', description: 'Steps of the sweep.', unit: 'steps' }),
    suggest: z
      .enum(['valley', 'steep', 'minimum'])
      .default('valley')
      .meta({
        title: 'Suggest',
        description: 'Where on the curve: in the middle of the fall, where it is steepest, or a tenth of the lowest point.',
        labels: { valley: 'Middle of the fall', steep: 'Steepest fall', minimum: 'A tenth of the lowest' },
        advanced: true,
      }),
    eval_steps: z
      .int()
      .min(1)
      .max(100)
      .default(5)
      .meta({ title: 'Look every', description: 'Steps between two looks at the validation rows.', unit: 'steps', advanced: true }),
    eval_samples: z
      .int()
      .min(8)
      .max(2000)
      .default(64)
      .meta({ title: 'Rows to judge by', description: 'Validation rows that are read at each look.', unit: 'rows', advanced: true }),
    memory_samples: z
      .int()
      .min(8)
      .max(2000)
      .default(64)
      .meta({ title: 'Rows seen once', description: 'Training rows of each confirming run, shown once.', unit: 'rows', advanced: true }),
    per_device_train_batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .meta({ title: 'Batch size', description: 'Rows of each step, as in Train.', unit: 'rows' }),
    confirm: z
      .boolean()
      .default(true)
      .meta({ title: 'Confirm', description: 'Three short runs around the suggestion; the best of them is what comes out.' }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'Order of the batches; not that of the real training.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model as it goes into Train.' },
    data: { kind: 'dataset', title: 'Data', description: 'Training rows.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows to judge by, never trained on.' },
  },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Suggested, stable and diverging rate, and the memorisation index.' },
    report: { kind: 'report', title: 'Report', description: 'The sweep as a curve, and the three runs that confirm it.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const batch = params.per_device_train_batch_size
    const estimate =
      model &&
      trialEstimate(
        model,
        data,
        [
          { plan: model.trainable, count: 1, steps: params.num_it, looks: params.num_it / params.eval_steps },
          { plan: model.trainable, count: params.confirm ? 3 : 0, steps: params.memory_samples / batch, looks: 2 },
        ],
        { batch, watched: params.eval_samples },
      )
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['learning_rate', 'divergence_rate', 'memorisation_index'] } },
        report: { kind: 'report', facts: { name: 'Find learning rate' } },
      },
      ...(estimate && { estimate }),
      card: [
        { label: 'Sweep', value: `${rateWords(params.start_lr)} to ${rateWords(params.end_lr)}` },
        { label: 'Steps', value: String(params.num_it) },
        { label: 'Confirm', value: params.confirm ? 'three short runs' : 'no' },
      ],
      problems: [
        ...trainableProblem(data?.format),
        ...trainableProblem(datasetFacts(inputs.validation)?.format),
        ...(params.start_lr >= params.end_lr ? [RANGE] : []),
      ],
    }
  },
  async run({ params, inputs, ctx }) {
    const { sweepRates, suggestRate, smoothed, roundRate, memorisationIndex, valleyIndex, gainOf, packRows, parseJsonl } = await import(
      '../analysis/index'
    )
    const { model } = inputs
    throwProblem([
      ...trainableProblem(inputs.data.format),
      ...trainableProblem(inputs.validation.format),
      ...(params.start_lr >= params.end_lr ? [RANGE] : []),
    ])
    needRows(inputs.data, 8, 'training')
    needRows(inputs.validation, 8, 'validation')
    const rows = { pack: packRows, parse: parseJsonl }
    const judged = await someRows(ctx, inputs.validation, params.eval_samples, rows)
    const basis = trialBasis(ctx, model, inputs.data, params.per_device_train_batch_size)
    const watch = { data: judged, train_on: basis.train_on, max_length: basis.max_length }
    const common = { trainable: model.trainable?.names ?? null, max_grad_norm: 1, seed: params.seed + 1 }

    const rates = sweepRates(params.start_lr, params.end_lr, params.num_it - 1)
    const sweep = await ctx.engine.trial({
      ...basis,
      ...common,
      watch: [watch],
      rates,
      eval_steps: params.eval_steps,
      onProgress: (done, total) => ctx.progress(done, total, 'steps'),
    })
    ctx.signal.throwIfAborted()
    const losses = rates.map((_, i) => sweep.steps[i]?.loss ?? Number.NaN)
    for (const step of sweep.steps) ctx.metrics({ step: step.step, loss: step.loss, learning_rate: step.learningRate })
    const trained = suggestRate(rates, losses, params.suggest)
    // The validation curve is smoother than single batches, so it suggests where it has enough points.
    const looks = sweep.looks
      .map((look) => ({ rate: rates[look.step - 1] as number, loss: look.sets[0]?.loss ?? Number.NaN }))
      .filter((p) => Number.isFinite(p.loss))
    const lowest = looks.findIndex((p) => p.loss === Math.min(...looks.map((q) => q.loss)))
    const rising = looks.slice(0, lowest + 1)
    const fromLooks =
      params.suggest === 'valley' && rising.length >= 6 ? (rising[valleyIndex(rising.map((p) => p.loss))]?.rate ?? null) : null
    const limit = trained.divergence === null ? Number.POSITIVE_INFINITY : trained.divergence / 3
    const suggestion = roundRate(Math.min(fromLooks ?? trained.rate, limit))

    const seen = await someRows(ctx, inputs.data, params.memory_samples, rows)
    const passes = Math.ceil(seen.rows / basis.batch_size)
    const confirmed: { rate: number; loss: number; gain: ReturnType<typeof gainOf>; memorisation: number }[] = []
    if (params.confirm) {
      const run = (rate: number, steps: number) =>
        ctx.engine.trial({
          ...basis,
          ...common,
          data: seen,
          watch: [watch, { ...watch, data: seen }],
          rates: trialRates(rate, steps, 2),
          eval_steps: 0,
        })
      const before = (await run(suggestion, 0)).looks[0]?.sets
      for (const [i, factor] of [1 / 3, 1, 3].entries()) {
        const rate = roundRate(suggestion * factor)
        const after = (await run(rate, passes)).looks.at(-1)?.sets
        ctx.signal.throwIfAborted()
        ctx.progress(i + 1, 3, 'runs')
        if (!before || !after) {
          confirmed.push({ rate, loss: Number.NaN, gain: gainOf([0], [0]), memorisation: Number.NaN })
          continue
        }
        const [held, own] = [0, 1].map((k) => ({ before: before[k]?.loss ?? 0, after: after[k]?.loss ?? 0 })) as [Pair, Pair]
        confirmed.push({
          rate,
          loss: held.after,
          gain: gainOf(before[0]?.rowLosses ?? [], after[0]?.rowLosses ?? []),
          memorisation: memorisationIndex(own, held),
        })
      }
    }
    const fine = confirmed.filter((c) => Number.isFinite(c.loss))
    const best = fine.toSorted((a, b) => a.loss - b.loss)[0]
    const calm = fine.filter((c) => c.memorisation < MEMORISES && c.gain.mean > 0).toSorted((a, b) => b.rate - a.rate)[0]
    const rate = best?.rate ?? suggestion
    if (!(rate > 0)) throw new NodeError('no_rate', 'The sweep gave no usable loss.', { param: 'start_lr', fix: 'Start lower.' })
    const memorises = best !== undefined && best.memorisation >= MEMORISES
    const learned = !best || best.gain.low > 0
    const verdict: Report['verdict'] = !learned
      ? {
          tone: 'look',
          text: `No rate improved validation clearly in ${passes} steps; ${rateWords(rate)} did best.`,
          action: 'Give it more rows to see, or check that the validation rows are of the same task.',
        }
      : {
          tone: memorises ? 'look' : 'good',
          text: `Suggested learning rate ${rateWords(rate)}${trained.divergence === null ? '; the sweep never diverged' : `; training breaks from ${rateWords(roundRate(trained.divergence))} on`}.${memorises ? ` At that rate rows seen once gain ${Math.round(100 * best.memorisation)} % more than others: it memorises.` : ''}`,
          action:
            memorises && calm
              ? `Set ${rateWords(calm.rate)} in Train: the fastest rate that does not memorise.`
              : `Set ${rateWords(rate)} in Train.`,
        }
    const report = await putReport(ctx, {
      title: 'Find learning rate',
      verdict,
      facts: [
        { label: 'Trained', value: model.trainable?.summary ?? 'all of the model' },
        { label: 'Steps, batch', value: `${params.num_it}, ${basis.batch_size}` },
        { label: 'Rows judged by, seen once', value: `${judged.rows}, ${seen.rows}` },
        { label: 'Seed', value: String(params.seed) },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Model', value: model.base.name },
        { label: 'Backend', value: ctx.engine.backend.device },
      ],
      sections: [
        {
          title: 'Loss while the rate rises',
          curves: {
            x: { title: 'learning rate', log: true },
            y: { title: 'loss, nats' },
            lines: [
              {
                name: 'training',
                look: 'faint',
                points: shown(
                  sweep.steps.map((s): [number, number] => [s.learningRate, s.loss]),
                  losses[0],
                ),
              },
              {
                name: 'smoothed',
                look: 'line',
                points: shown(
                  smoothed(sweep.steps.map((s) => s.loss)).map((l, i): [number, number] => [rates[i] as number, l]),
                  losses[0],
                ),
              },
              {
                name: 'validation',
                look: 'dots',
                points: shown(
                  looks.map((p): [number, number] => [p.rate, p.loss]),
                  losses[0],
                ),
              },
            ],
            marks: [
              { x: rate, label: 'suggested', tone: 'good' },
              ...(trained.divergence === null ? [] : [{ x: trained.divergence, label: 'breaks', tone: 'bad' as const }]),
            ],
          },
        },
        ...(confirmed.length > 0
          ? [
              {
                title: 'Three short runs',
                text: 'Each sees the same rows once. Gain on validation rows with its 95 % interval, and how much more the seen rows gained.',
                bars: confirmed.map((c) => ({
                  label: rateWords(c.rate),
                  value: Number.isFinite(c.loss) ? c.gain.mean : 0,
                  low: c.gain.low,
                  high: c.gain.high,
                  tone: c === best ? ('good' as const) : ('quiet' as const),
                  note: Number.isFinite(c.loss)
                    ? `${c.gain.mean.toFixed(3)} nats, memorises ${c.memorisation.toFixed(2)}`
                    : 'lost the loss',
                })),
              },
            ]
          : []),
      ],
    })
    return {
      metrics: {
        learning_rate: rate,
        suggested_rate: suggestion,
        ...(trained.divergence !== null && { divergence_rate: trained.divergence }),
        ...(best && { memorisation_index: best.memorisation, validation_gain: best.gain.mean }),
        ...(calm && { calm_rate: calm.rate }),
      },
      report,
    }
  },
})

type Pair = { before: number; after: number }
const RANGE = {
  severity: 'error' as const,
  code: 'empty_range',
  param: 'end_lr',
  message: 'The sweep must rise: its highest rate is not above its lowest.',
  fix: { label: 'Use the usual range', params: { start_lr: 1e-6, end_lr: 0.1 } },
}

/** What of a curve is drawn: a broken end would flatten all that is worth seeing. */
const shown = (points: [number, number][], first = 1): [number, number][] => points.filter(([, y]) => Number.isFinite(y) && y < 2.5 * first)
