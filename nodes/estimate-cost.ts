import * as z from 'zod'
import { datasetFacts, modelFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { FLOPS_PER_SECOND, logitBytes, lowestOpenBlock, trainBytes, trainFlopsPerToken, WARM_UP_SECONDS } from './_kit/estimate'
import { sizeOf } from './_kit/freeze'
import { throwProblem } from './_kit/node-error'
import { putReport } from './_kit/report'
import { needRows, trainableProblem, trialBasis } from './_kit/trials'
import { byteWords, plural } from './_kit/words'

/** Discarded steps, in which memory is first touched and kernels chosen; then those that are timed. */
const DISCARDED = 2
const TIMED = 4

export const estimateCost = defineNode({
  type: 'estimate-cost',
  title: 'Estimate cost',
  summary: 'Says before a training how long it takes and how much memory it needs, from a few real steps.',
  help: `The plan already shows a first guess. This node takes **${TIMED} real steps** with your model, your layers and your rows, and reckons from them.

Time is that of a step times their number, with a range from the slowest and the fastest step. Memory is added up by what needs it: weights, gradients, the optimizer, activations, and the logits over the vocabulary, so that you see what to make smaller.

Wire the model as it goes into Train. With calibration off it only reckons, and costs nothing.`,
  group: 'Training',
  icon: 'estimate-cost',
  tags: ['memory', 'time', 'duration', 'how long', 'vram', 'ram', 'speed', 'flops', 'budget', 'fit'],
  params: z.strictObject({
    num_train_epochs: z
      .number()
      .min(0.01)
      .max(1000)
      .default(3)
      .meta({ title: 'Epochs', description: 'Passes over the data, as in Train.', unit: 'epochs' }),
    per_device_train_batch_size: z
      .int()
      .min(1)
      .max(1024)
      .default(8)
      .meta({ title: 'Batch size', description: 'As in Train: rows that are computed together.', unit: 'rows' }),
    calibrate: z
      .boolean()
      .default(true)
      .meta({ title: 'Take real steps', description: 'Measure a few steps on this machine instead of reckoning.' }),
    memory_gb: z
      .number()
      .min(0.5)
      .max(10_000)
      .default(8)
      .meta({ title: 'Memory', description: 'What the machine can give to training.', unit: 'GB' }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model as it goes into Train.' },
    data: { kind: 'dataset', title: 'Data', description: 'The rows to train on.' },
  },
  outputs: {
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Seconds, bytes by what needs them, and seconds a step.' },
    report: { kind: 'report', title: 'Report', description: 'Time with its range, and memory as bars.' },
  },
  purity: 'volatile',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['seconds', 'memory_bytes'] } },
        report: { kind: 'report', facts: { name: 'Estimate cost' } },
      },
      estimate: {
        seconds: params.calibrate && model ? Math.round(WARM_UP_SECONDS + model.sizeBytes / 20e6) : 1,
        memoryBytes: model ? 8 * model.sizeBytes : 0,
        diskBytes: 10_000,
      },
      card: [
        { label: 'Epochs', value: String(params.num_train_epochs) },
        { label: 'Batch size', value: String(params.per_device_train_batch_size) },
        { label: 'Steps', value: params.calibrate ? `${DISCARDED + TIMED} taken` : 'only reckoned' },
      ],
      problems: trainableProblem(data?.format),
    }
  },
  async run({ params, inputs, ctx }) {
    throwProblem(trainableProblem(inputs.data.format))
    needRows(inputs.data, 1, 'training')
    const { model, data } = inputs
    const header = await ctx.engine.header(model)
    const basis = trialBasis(ctx, model, data, params.per_device_train_batch_size)
    const tokens = (await ctx.engine.tokens({ model, data, train_on: basis.train_on })).filter(
      (row) => row.error === null && row.length <= basis.max_length,
    )
    const length = tokens.reduce((sum, row) => sum + row.length, 0) / Math.max(1, tokens.length)
    const longest = Math.max(1, ...tokens.map((row) => row.length))
    const steps = Math.max(1, Math.ceil(Math.ceil(tokens.length / basis.batch_size) * params.num_train_epochs))
    const flops = basis.batch_size * length * trainFlopsPerToken(header, model.trainable, length)
    const reckoned = flops / FLOPS_PER_SECOND
    const times: number[] = []
    if (params.calibrate) {
      let last = performance.now()
      await ctx.engine.trial({
        ...basis,
        trainable: model.trainable?.names ?? null,
        watch: [],
        rates: Array(DISCARDED + TIMED).fill(0),
        eval_steps: 0,
        max_grad_norm: 1,
        seed: ctx.seed,
        onProgress(done, total) {
          const now = performance.now()
          if (done > DISCARDED) times.push((now - last) / 1000)
          last = now
          ctx.progress(done, total, 'steps')
        },
      })
      ctx.signal.throwIfAborted()
    }
    const sorted = times.toSorted((a, b) => a - b)
    const [low, high] = times.length > 0 ? [sorted[0] as number, sorted.at(-1) as number] : [reckoned / 2, reckoned * 2]
    const perStep = times.length > 0 ? times.reduce((a, b) => a + b, 0) / times.length : reckoned
    const seconds = WARM_UP_SECONDS + perStep * steps
    const all = header.parameters.reduce((sum, p) => sum + sizeOf(p), 0)
    const trained = model.trainable?.parameters ?? all
    const whole = trainBytes(header, model.trainable, basis.batch_size, longest)
    const logits = logitBytes(header, basis.batch_size, longest)
    const parts = [
      { label: 'Weights', bytes: 4 * all },
      { label: 'Gradients', bytes: 4 * trained },
      { label: 'Optimizer', bytes: 8 * trained },
      { label: 'Activations', bytes: Math.max(0, whole - 4 * all - 12 * trained - logits) },
      { label: 'Logits', bytes: logits },
    ]
    const fits = whole <= 0.9 * params.memory_gb * 1e9
    const largest = parts.slice(1).toSorted((a, b) => b.bytes - a.bytes)[0]
    const words = (s: number) =>
      s < 90 ? `${Math.max(1, Math.round(s))} s` : s < 5400 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`
    const report = await putReport(ctx, {
      title: 'Estimate cost',
      verdict: {
        tone: fits ? 'good' : 'bad',
        text: `About ${words(seconds)} for ${plural(steps, 'step')} (${words(WARM_UP_SECONDS + low * steps)} to ${words(WARM_UP_SECONDS + high * steps)}), and ${byteWords(whole)} of memory${fits ? '' : `, where ${params.memory_gb} GB are there`}.`,
        action: fits
          ? null
          : largest?.label === 'Activations' || largest?.label === 'Logits'
            ? 'Halve the batch size and accumulate twice as much, or leave out the longest rows.'
            : 'Open fewer layers, or train an adapter: gradients and optimizer shrink with what trains.',
      },
      facts: [
        { label: 'Trains', value: model.trainable?.summary ?? 'all of the model' },
        { label: 'Rows, tokens a row', value: `${tokens.length.toLocaleString('en-US')}, ${Math.round(length)} (longest ${longest})` },
        { label: 'A step', value: `${perStep.toFixed(2)} s, ${(flops / 1e9).toFixed(0)} GFLOP` },
        { label: 'Measured', value: times.length > 0 ? `${times.length} steps after ${DISCARDED}` : 'nothing, only reckoned' },
        { label: 'Lowest open block', value: String(lowestOpenBlock(header, model.trainable)) },
        { label: 'Backend', value: ctx.engine.backend.device },
      ],
      sections: [
        {
          title: 'Memory',
          bars: parts.map((p) => ({ label: p.label, value: p.bytes / 1e9, tone: 'quiet' as const, note: byteWords(p.bytes) })),
        },
      ],
    })
    return {
      metrics: {
        seconds,
        seconds_low: WARM_UP_SECONDS + low * steps,
        seconds_high: WARM_UP_SECONDS + high * steps,
        seconds_per_step: perStep,
        steps,
        memory_bytes: whole,
      },
      report,
    }
  },
})
