import * as z from 'zod'
import type { RunContext, TrialJob } from './_kit/context'
import { datasetFacts, modelFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { planOf } from './_kit/freeze'
import { NodeError, throwProblem } from './_kit/node-error'
import { putReport, type Section } from './_kit/report'
import { needRows, someRows, trainableProblem, trialBasis, trialEstimate, trialRates } from './_kit/trials'
import { plural, rangeWords, rateWords } from './_kit/words'

const AUTO_RATES = [1e-4, 3e-4, 1e-3, 3e-3] as const
const BASELINES = ['rgn', 'contrast', 'spectrum', 'spectrum_calibrated'] as const
type Baseline = (typeof BASELINES)[number]
const BASELINE_WORDS: Record<Baseline, string> = {
  rgn: 'RGN',
  contrast: 'contrast RGN',
  spectrum: 'Spectrum',
  spectrum_calibrated: 'Spectrum, calibrated',
}
/** Rows that are trained on and looked at: enough for the error of a gain, few enough for minutes. */
const MOST_JOINT = 4

export const probeLayers = defineNode({
  type: 'probe-layers',
  title: 'Probe layers',
  summary: 'Tries each layer alone for a few steps and says which ones the task needs.',
  help: `Which layers matter depends on the task, and rules of thumb are often wrong. This node asks: it trains **each block alone** for a few steps, with the same batches, and measures how much better the model then predicts validation rows it never trained on. In tests with a planted answer this found the right layer in five cases of six; gradient sizes found it in one.

From the best layers it puts together a **set**: it adds the layer that helps most beside those already chosen, until the set learns nearly as much as all blocks together. The **plan** goes into Freeze layers. A **random** set of the same size is measured beside it; if that does as well, the choice does not matter.

Published methods can be drawn next to it: **RGN** (relative gradient norm), **contrast** (the same against tokens the model would have written itself) and **Spectrum**, which ignores your data.

A ranking holds for its few steps and its learning rate; both stand on the report. The model itself is not changed.`,
  group: 'Model',
  icon: 'probe-layers',
  tags: ['layers', 'blocks', 'relevance', 'importance', 'spectrum', 'rgn', 'gradient', 'surgical', 'which', 'unfreeze', 'sensitivity'],
  params: z.strictObject({
    unit: z
      .enum(['block', 'block_half'])
      .default('block')
      .meta({
        title: 'Try',
        description: 'Whole blocks, or attention and MLP of each block apart, which takes twice as long.',
        labels: { block: 'Blocks', block_half: 'Attention and MLP apart' },
      }),
    max_steps: z
      .int()
      .min(1)
      .max(200)
      .default(8)
      .meta({ title: 'Steps', description: 'Steps that each layer is trained for.', unit: 'steps' }),
    learning_rate: z
      .union([z.literal('auto'), z.number().min(1e-6).max(1)])
      .default('auto')
      .meta({
        title: 'Learning rate',
        description: 'The same for every layer. Automatic: the best of four for all blocks together.',
        scale: 'log',
      }),
    coverage: z
      .number()
      .min(0.1)
      .max(1)
      .default(0.9)
      .meta({ title: 'Enough from', description: 'Share of what all blocks together learn from which a set is large enough.', step: 0.05 }),
    max_units: z.int().min(1).max(200).default(4).meta({
      title: 'At most',
      description: 'Largest set that is put together; each further layer costs four more trials.',
      unit: 'layers',
    }),
    baselines: z
      .array(z.enum(BASELINES))
      .max(BASELINES.length)
      .default(['rgn'])
      .meta({
        title: 'Draw beside it',
        description: 'Published measures to compare with. They choose nothing.',
        labels: { rgn: 'Relative gradient', contrast: 'Contrast', spectrum: 'Spectrum', spectrum_calibrated: 'Spectrum, calibrated' },
        advanced: true,
      }),
    per_device_train_batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(16)
      .meta({ title: 'Batch size', description: 'Rows of each step.', unit: 'rows', advanced: true }),
    eval_samples: z
      .int()
      .min(8)
      .max(2000)
      .default(96)
      .meta({ title: 'Rows to judge by', description: 'Validation rows that are read after each trial.', unit: 'rows', advanced: true }),
    warmup_steps: z
      .int()
      .min(0)
      .max(100)
      .default(2)
      .meta({ title: 'Warm-up', description: 'Steps in which the rate rises.', unit: 'steps', advanced: true }),
    max_grad_norm: z
      .number()
      .min(0)
      .max(1000)
      .default(1)
      .meta({ title: 'Clip gradients at', description: 'As in Train; 0 does not clip.', advanced: true }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'Order of the batches, and which layers are the random ones.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to look into.' },
    data: { kind: 'dataset', title: 'Data', description: 'Training rows of the task.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows to judge by, never trained on.' },
  },
  outputs: {
    plan: { kind: 'plan', title: 'Layer plan', description: 'The chosen layers, for Freeze layers.' },
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Gains of the best layer, the set, all blocks and a random set.' },
    report: { kind: 'report', title: 'Report', description: 'Gain of every layer with its error, the set, and the baselines.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const units = model ? model.blocks * (params.unit === 'block' ? 1 : 2) : null
    const joint = 1 + MOST_JOINT * (params.max_units - 1)
    const trials = units === null ? null : units + (params.learning_rate === 'auto' ? AUTO_RATES.length : 1) + joint + 1
    const estimate =
      model && trials !== null
        ? trialEstimate(
            model,
            data,
            // A layer alone costs 0.55 of a full step (SCI-9); counted here as the middle block open.
            [
              { plan: middlePlan(model), count: trials, steps: params.max_steps, looks: 1 },
              { plan: null, count: params.baselines.length, steps: 4, looks: 0 },
            ],
            { batch: params.per_device_train_batch_size, watched: params.eval_samples },
          )
        : null
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['best_gain', 'chosen_gain', 'all_gain', 'random_gain'] } },
        report: { kind: 'report', facts: { name: 'Probe layers' } },
      },
      ...(estimate && { estimate }),
      card: [
        { label: 'Try', value: units === null ? 'every layer' : `${units} ${params.unit === 'block' ? 'blocks' : 'halves'}` },
        { label: 'Steps each', value: String(params.max_steps) },
        { label: 'Learning rate', value: params.learning_rate === 'auto' ? 'auto' : rateWords(params.learning_rate) },
      ],
      problems: [...trainableProblem(data?.format), ...trainableProblem(datasetFacts(inputs.validation)?.format)],
    }
  },
  async run({ params, inputs, ctx }) {
    const analysis = await import('../analysis/index')
    const { unitsOf, gainOf, learned, rankCorrelation, seeded, packRows, parseJsonl } = analysis
    const { model } = inputs
    throwProblem([...trainableProblem(inputs.data.format), ...trainableProblem(inputs.validation.format)])
    needRows(inputs.data, 8, 'training')
    needRows(inputs.validation, 8, 'validation')
    const rows = { pack: packRows, parse: parseJsonl }
    const header = await ctx.engine.header(model)
    const units = unitsOf(header.parameters, params.unit)
    const data = await someRows(ctx, inputs.data, params.max_steps * params.per_device_train_batch_size, rows)
    const judged = await someRows(ctx, inputs.validation, params.eval_samples, rows)
    const basis = trialBasis(ctx, model, data, params.per_device_train_batch_size)
    const planned = units.length + 2 + (params.learning_rate === 'auto' ? AUTO_RATES.length : 1)
    let done = 0
    /** Losses of the judged rows after training these parameters; null where the loss was lost. */
    const tryOut = async (names: readonly string[], rate: number, steps = params.max_steps): Promise<number[] | null> => {
      const job: TrialJob = {
        ...basis,
        trainable: names,
        watch: [{ data: judged, train_on: basis.train_on, max_length: basis.max_length }],
        rates: trialRates(rate, steps, params.warmup_steps),
        eval_steps: 0,
        max_grad_norm: params.max_grad_norm,
        seed: params.seed,
      }
      const trial = await ctx.engine.trial(job)
      ctx.signal.throwIfAborted()
      ctx.progress(++done, Math.max(planned, done + 1), 'trials')
      return trial.looks.at(-1)?.sets[0]?.rowLosses ?? null
    }
    const everything = units.flatMap((unit) => unit.names)
    const before = (await tryOut(everything, 0, 0)) ?? []
    const gain = (after: number[] | null) =>
      after ? gainOf(before, after) : { mean: Number.NEGATIVE_INFINITY, low: 0, high: 0, standardError: 0 }

    let all = { rate: 0, gain: gain(null) }
    for (const rate of params.learning_rate === 'auto' ? AUTO_RATES : [params.learning_rate]) {
      const found = gain(await tryOut(everything, rate))
      ctx.log(`All blocks at ${rateWords(rate)}: gain ${found.mean.toFixed(4)}`)
      if (found.mean > all.gain.mean) all = { rate, gain: found }
    }
    if (all.rate === 0)
      throw new NodeError('diverged', 'All blocks together lost the loss at this learning rate.', {
        param: 'learning_rate',
        got: String(params.learning_rate),
        fix: 'Set the learning rate to automatic, or to a tenth.',
      })
    const singles: { unit: (typeof units)[number]; gain: ReturnType<typeof gain> }[] = []
    for (const unit of units) {
      const found = gain(await tryOut(unit.names, all.rate))
      singles.push({ unit, gain: found })
      ctx.log(`${unit.label}: gain ${found.mean.toFixed(4)} ± ${found.standardError.toFixed(4)}`)
      ctx.metrics({ step: singles.length, gain: found.mean })
    }
    const ranked = singles.toSorted((a, b) => b.gain.mean - a.gain.mean)
    const [best] = ranked
    if (!best || !learned(singles.map((s) => s.gain)))
      throw new NodeError('nothing_to_learn', 'No layer learned anything at this budget: no gain is above three standard errors.', {
        param: 'max_steps',
        expected: 'a gain clearly above its error',
        got: best ? `${best.gain.mean.toFixed(4)} ± ${best.gain.standardError.toFixed(4)} nats at ${rateWords(all.rate)}` : 'none',
        fix: 'Take more steps, or check that the task differs from what the model already does.',
      })

    // One layer after the other, judged together with those already chosen (SCI-10).
    let chosen = { units: [best.unit], gain: best.gain }
    while (chosen.units.length < params.max_units && chosen.gain.mean < params.coverage * all.gain.mean) {
      const rest = ranked.filter(({ unit }) => !chosen.units.includes(unit)).slice(0, MOST_JOINT)
      let next: typeof chosen | null = null
      for (const { unit } of rest) {
        const together = [...chosen.units, unit]
        const found = gain(
          await tryOut(
            together.flatMap((u) => u.names),
            all.rate,
          ),
        )
        if (!next || found.mean > next.gain.mean) next = { units: together, gain: found }
      }
      if (!next || next.gain.mean <= chosen.gain.mean) break
      chosen = next
    }
    const random = seeded(params.seed)
      .shuffle([...units])
      .slice(0, chosen.units.length)
    const randomGain = gain(
      await tryOut(
        random.flatMap((u) => u.names),
        all.rate,
      ),
    )
    const possible = Math.max(all.gain.mean, chosen.gain.mean, ...singles.map((s) => s.gain.mean))
    const shortfall = possible - chosen.gain.mean

    const baselines = await measureBaselines(ctx, params, basis, units, header.parameters)
    const gains = singles.map((s) => s.gain.mean)
    const names = chosen.units.flatMap((u) => u.names)
    const words = chosenWords(chosen.units)
    const plan = planOf(
      header.parameters.filter((p) => names.includes(p.name)).map((p) => p.name),
      header,
      `${words}, probed`,
    )
    // Whether random layers would have done as well: judged over the same rows.
    const better = chosen.gain.low > randomGain.high
    const nats = (n: number) => n.toFixed(3)
    const columns = params.unit === 'block' ? ['block'] : ['attention', 'MLP']
    const blocks = [...new Set(units.map((u) => u.block))]
    const cell = (block: number, column: number) =>
      singles.find((s) => s.unit.block === block && (params.unit === 'block' || (s.unit.part === 'mlp') === (column === 1)))
    const grid: NonNullable<Section['grid']> = {
      rows: blocks.map((b) => `block ${b}`),
      columns: [...columns.map((c) => `${c}, gain`), ...baselines.map((b) => BASELINE_WORDS[b.kind])],
      values: blocks.map((b) => [
        ...columns.map((_, c) => cell(b, c)?.gain.mean ?? null),
        ...baselines.map(({ scores }) => {
          const own = units.flatMap((u, i) => (u.block === b ? [scores[i] as number] : []))
          // Shares of the largest, so that one shade means the same in every column.
          return (Math.max(...own) / Math.max(...scores, 1e-12)) * Math.max(...gains)
        }),
      ]),
      marked: blocks.flatMap((b, r) =>
        columns.flatMap((_, c): [number, number][] => (chosen.units.some((u) => u === cell(b, c)?.unit) ? [[r, c]] : [])),
      ),
      unit: 'nats of validation loss; baselines scaled to the same largest value',
    }
    const report = await putReport(ctx, {
      title: 'Probe layers',
      verdict: {
        tone: better ? 'good' : 'look',
        text: `Best single ${params.unit === 'block' ? 'block' : 'half'} ${nats(best.gain.mean)} nats (${best.unit.label}), chosen set ${nats(chosen.gain.mean)} of ${nats(possible)} possible: ${words}.${better ? '' : ` Random layers reach ${nats(randomGain.mean)}, so the choice matters little here.`}`,
        action: better
          ? 'Wire the layer plan into Freeze layers.'
          : 'Choose the cheapest layers, the last ones, or train all of them; a longer probe may tell them apart.',
      },
      facts: [
        { label: 'Rows trained on, judged by', value: `${data.rows}, ${judged.rows}` },
        { label: 'Steps, batch', value: `${params.max_steps}, ${basis.batch_size}` },
        {
          label: 'Learning rate',
          value: `${rateWords(all.rate)}${params.learning_rate === 'auto' ? ', best of four for all blocks' : ''}`,
        },
        { label: 'Seed', value: String(params.seed) },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Model', value: model.base.name },
        { label: 'Trials', value: String(done) },
        { label: 'Backend', value: ctx.engine.backend.device },
      ],
      sections: [
        {
          title: 'Gain of each layer alone',
          text: 'How much lower the validation loss is after a few steps of this layer alone; the whisker is the 95 % interval over rows.',
          bars: singles.map(({ unit, gain: g }) => ({
            label: unit.label,
            value: finite(g.mean),
            low: finite(g.low),
            high: finite(g.high),
            tone: chosen.units.includes(unit) ? ('good' as const) : ('quiet' as const),
            note: `${nats(finite(g.mean))} ± ${nats(g.standardError)}`,
          })),
        },
        {
          title: 'The model as a grid',
          text: `Outlined: chosen. ${baselines.map(({ kind, scores }) => `Rank correlation with ${BASELINE_WORDS[kind]}: ${rankCorrelation(gains.map(finite), scores).toFixed(2)}.`).join(' ')}`,
          grid,
        },
        {
          title: 'Sets',
          bars: [
            { label: 'Chosen', of: chosen.gain, tone: 'good' as const },
            { label: `Random, ${plural(random.length, 'layer')}`, of: randomGain, tone: 'quiet' as const },
            { label: 'All blocks', of: all.gain, tone: 'quiet' as const },
          ].map(({ label, of, tone }) => ({
            label,
            value: finite(of.mean),
            low: finite(of.low),
            high: finite(of.high),
            tone,
            note: `${nats(finite(of.mean))} nats`,
          })),
          text: `Shortfall against the best gain measured: ${nats(shortfall)} nats (${Math.round((100 * shortfall) / possible)} %).`,
        },
      ],
    })
    return {
      plan,
      metrics: {
        best_gain: best.gain.mean,
        chosen_gain: chosen.gain.mean,
        all_gain: all.gain.mean,
        random_gain: finite(randomGain.mean),
        shortfall,
        learning_rate: all.rate,
        chosen_layers: chosen.units.length,
        trials: done,
      },
      report,
    }
  },
})

const finite = (n: number): number => (Number.isFinite(n) ? n : 0)

/** "blocks 2, 4 of the model", "attention of block 2, MLP of block 4". */
const chosenWords = (units: readonly { label: string; block: number; part: string }[]): string =>
  units.every((u) => u.part === 'block')
    ? `block${units.length > 1 ? 's' : ''} ${rangeWords(units.map((u) => u.block))}`
    : units.map((u) => u.label).join(', ')

/** The middle block open: what a trial of one layer costs on average. */
const middlePlan = (model: Parameters<typeof planOf>[1]) => {
  const names = model.parameters.filter((p) => p.block === model.blocks >> 1).map((p) => p.name)
  return names.length > 0 ? planOf(names, model, 'one block') : null
}

type Unit = { names: readonly string[] }

/** Scores of each unit by the published measures; higher is said to matter more. */
async function measureBaselines(
  ctx: RunContext,
  params: { baselines: readonly Baseline[]; seed: number },
  basis: ReturnType<typeof trialBasis>,
  units: readonly Unit[],
  parameters: readonly { name: string; shape: readonly number[] }[],
): Promise<{ kind: Baseline; scores: number[] }[]> {
  const { relativeGradient, spectrumCalibrated, spectrumPublished } = await import('../analysis/index')
  const out: { kind: Baseline; scores: number[] }[] = []
  const wants = (kind: Baseline) => params.baselines.includes(kind)
  const gradients = (resample: boolean) => ctx.engine.gradients({ ...basis, batches: 5, resample, seed: params.seed })
  const task = wants('rgn') || wants('contrast') ? await gradients(false) : []
  const scores = task.length > 0 ? units.map((u) => relativeGradient(task, u.names)) : []
  if (wants('rgn')) out.push({ kind: 'rgn', scores })
  if (wants('contrast')) {
    const reference = await gradients(true)
    out.push({
      kind: 'contrast',
      scores: units.map((u, i) => (scores[i] as number) / Math.max(1e-12, relativeGradient(reference, u.names))),
    })
  }
  if (wants('spectrum') || wants('spectrum_calibrated')) {
    const names = units.flatMap((u) => u.names)
    const found = await ctx.engine.singularValues({
      model: basis.model,
      names: parameters.filter((p) => p.shape.length === 2 && names.includes(p.name)).map((p) => p.name),
      onProgress: (done, total) => ctx.progress(done, total, 'matrices'),
    })
    const byUnit = (score: (values: readonly number[], rows: number, columns: number) => number) =>
      units.map((u) => {
        const own = found.filter((f) => u.names.includes(f.name)).map((f) => score(f.values, f.shape[0] as number, f.shape[1] as number))
        return own.length === 0 ? 0 : own.reduce((a, b) => a + b, 0) / own.length
      })
    if (wants('spectrum')) out.push({ kind: 'spectrum', scores: byUnit(spectrumPublished) })
    if (wants('spectrum_calibrated')) out.push({ kind: 'spectrum_calibrated', scores: byUnit((...of) => spectrumCalibrated(...of).sum) })
  }
  return out
}
