import * as z from 'zod'
import { datasetFacts, evenly, modelFacts, putNew, putRows } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { FLOPS_PER_SECOND, forwardBytes, forwardFlopsPerToken, tokensOfChars, WARM_UP_SECONDS } from './_kit/estimate'
import { NodeError } from './_kit/node-error'
import { baseOf, isTrained, type ModelHandle } from './_kit/ports'
import { putReport } from './_kit/report'
import { autoLength, autoTrainOn } from './_kit/resolve-train'
import { trainableProblem } from './_kit/trials'

export const interpolateWeights = defineNode({
  type: 'interpolate-weights',
  title: 'Interpolate weights',
  summary: 'Mixes the trained weights with those before training: most of what was learned, less forgotten.',
  help: `Between the weights before training and after it lies a line, and points on it are models too. Half of the way often keeps most of the new skill and wins back much of what was forgotten, at no training cost.

**α** 0 is the model before training, 1 the trained one, bit for bit. Wire validation **rows** and the node also measures the way between: loss on your task and knowledge cost on general text, point by point, so that you can choose.

Small models bend more than large ones: look at the curve before you trust the middle.`,
  group: 'Model',
  icon: 'interpolate-weights',
  tags: ['wise-ft', 'merge', 'average', 'alpha', 'forgetting', 'interpolation', 'ensemble'],
  params: z.strictObject({
    alpha: z
      .number()
      .min(0)
      .max(1)
      .default(0.5)
      .meta({ title: 'α', description: 'Share of the trained weights: 0 is before training, 1 after it.', step: 0.05 }),
    sweep: z.int().min(0).max(20).default(4).meta({
      title: 'Points to measure',
      description: 'Steps between 0 and 1 that are measured where rows are wired; 0: none.',
      unit: 'steps',
    }),
    max_rows: z
      .int()
      .min(1)
      .max(10_000)
      .default(64)
      .meta({ title: 'Rows', description: 'Rows read at each point.', unit: 'rows', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'A trained model; what it was before comes with it.' },
    data: { kind: 'dataset', title: 'Rows', description: 'Validation rows of the task, to measure the way.', optional: true },
  },
  outputs: {
    model: { kind: 'model', title: 'Model', description: 'The mixed model.' },
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Loss on the task and knowledge cost at α, where rows are wired.' },
    report: { kind: 'report', title: 'Report', description: 'The curve between before and after.' },
  },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const points = inputs.data ? params.sweep + 1 + (onGrid(params) ? 0 : 1) : 0
    const length = data?.chars ? tokensOfChars(data.chars.mean) : 128
    return {
      outputs: {
        ...(model && { model: { kind: 'model' as const, facts: model } }),
        metrics: { kind: 'metrics', facts: { names: inputs.data ? ['eval_loss', 'knowledge_cost'] : ['alpha'] } },
        report: { kind: 'report', facts: { name: 'Interpolate weights' } },
      },
      ...(model && {
        estimate: {
          seconds: Math.round(
            WARM_UP_SECONDS +
              model.sizeBytes / 100e6 +
              points *
                (1 +
                  model.sizeBytes / 100e6 +
                  ((params.max_rows * length + 3000) * forwardFlopsPerToken(model, length)) / FLOPS_PER_SECOND),
          ),
          memoryBytes: Math.round(forwardBytes(model, 8, length)),
          diskBytes: 4 * (model.trainable?.parameters ?? model.sizeBytes / 2) * (1 + points),
        },
      }),
      card: [
        { label: 'α', value: String(params.alpha) },
        { label: 'Measured', value: points === 0 ? 'nothing wired' : `${points} points` },
      ],
      problems: trainableProblem(data?.format),
    }
  },
  async run({ params, inputs, ctx }) {
    const { model } = inputs
    if (!isTrained(model))
      throw new NodeError('not_trained', 'This model was not trained, so there is nothing between before and after.', {
        expected: 'a model that comes out of Train',
        got: model.base.name,
        fix: 'Wire the model of Train.',
      })
    const at = async (alpha: number): Promise<ModelHandle> => {
      if (alpha === 0) return baseOf(model)
      if (alpha === 1) return model
      const { adapter: _, ...rest } = model
      return { ...rest, delta: await ctx.engine.interpolate({ model, alpha }) }
    }
    const chosen = await at(params.alpha)
    const points: { alpha: number; loss: number; cost: number }[] = []
    if (inputs.data && params.sweep > 0) {
      const { GENERAL_TEXT, pieces, packRows, parseJsonl } = await import('../analysis/index')
      const rows = await putRows(
        ctx,
        inputs.data,
        packRows(evenly(parseJsonl(await ctx.artifacts.readText(inputs.data.artifact)), params.max_rows)),
      )
      const texts = pieces(evenly(GENERAL_TEXT, 12), 400)
      const general = await putNew(ctx, packRows(texts.map((text, i) => ({ id: `g${i}`, text }))), 'text', 'general text')
      const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0)
      const max_length = autoLength({ chars: rows.chars, contextLength: model.contextLength }) ?? model.contextLength
      const alphas = [...new Set([...Array.from({ length: params.sweep + 1 }, (_, i) => i / params.sweep), params.alpha])].sort(
        (a, b) => a - b,
      )
      let base = 0
      for (const [i, alpha] of alphas.entries()) {
        const of = alpha === params.alpha ? chosen : await at(alpha)
        const job = { model: of, batch_size: 8 }
        const task = await ctx.engine.evaluate({ ...job, data: rows, max_length, train_on: autoTrainOn(rows.format) ?? 'all' })
        const text = await ctx.engine.evaluate({ ...job, data: general, max_length: Math.min(256, model.contextLength), train_on: 'all' })
        ctx.signal.throwIfAborted()
        const bits = (text.loss * text.tokens) / Math.LN2 / bytes
        if (i === 0) base = bits
        points.push({ alpha, loss: task.loss, cost: bits - base })
        ctx.progress(i + 1, alphas.length, 'points')
        ctx.metrics({ step: i, eval_loss: task.loss, knowledge_cost: bits - base })
      }
    }
    const own = points.find((p) => p.alpha === params.alpha)
    const [first, last] = [points[0], points.at(-1)]
    const best = points.toSorted((a, b) => a.loss - b.loss)[0]
    const kept = own && first && last && first.loss !== last.loss ? (first.loss - own.loss) / (first.loss - last.loss) : null
    // Cheapest point that keeps nine tenths of what was learned.
    const cheap =
      first && last
        ? points.filter((p) => first.loss - p.loss >= 0.9 * (first.loss - last.loss)).toSorted((a, b) => a.cost - b.cost)[0]
        : undefined
    const report = await putReport(ctx, {
      title: 'Interpolate weights',
      verdict:
        own && kept !== null && last
          ? {
              tone: kept >= 0.8 ? 'good' : 'look',
              text: `At α ${params.alpha} the model keeps ${Math.round(100 * kept)} % of what it learned at a knowledge cost of ${own.cost.toFixed(3)} bits per byte, against ${last.cost.toFixed(3)} fully trained.`,
              action:
                cheap && Math.abs(cheap.alpha - params.alpha) > 0.01
                  ? `Try α ${cheap.alpha}: it keeps nine tenths of the gain at ${cheap.cost.toFixed(3)} bits per byte.`
                  : best && best.loss < own.loss - 1e-4
                    ? `Lowest loss was at α ${best.alpha}.`
                    : null,
            }
          : {
              tone: 'good',
              text: `Weights ${params.alpha} of the way from before training to after it.`,
              action: 'Wire validation rows to see what that keeps and what it costs.',
            },
      facts: [
        { label: 'α', value: String(params.alpha) },
        { label: 'Model', value: model.base.name },
        { label: 'Rows', value: inputs.data ? `${Math.min(inputs.data.rows, params.max_rows)} of ${inputs.data.name}` : 'not wired' },
        { label: 'Backend', value: ctx.engine.backend.device },
      ],
      sections:
        points.length > 1
          ? [
              {
                title: 'Loss on the task along the way',
                curves: {
                  x: { title: 'α, from before training to after' },
                  y: { title: 'loss, nats' },
                  lines: [{ name: 'task loss', look: 'line', points: points.map((p): [number, number] => [p.alpha, p.loss]) }],
                  marks: [{ x: params.alpha, label: 'chosen', tone: 'good' }],
                },
              },
              {
                title: 'Task against knowledge',
                scatter: {
                  x: { title: 'knowledge cost, bits per byte' },
                  y: { title: 'loss on the task' },
                  points: points.map((p) => ({
                    label: `α ${p.alpha}`,
                    x: p.cost,
                    y: p.loss,
                    tone: p.alpha === params.alpha ? ('good' as const) : ('quiet' as const),
                    frontier: true,
                  })),
                },
              },
            ]
          : [],
    })
    return { model: chosen, metrics: { alpha: params.alpha, ...(own && { eval_loss: own.loss, knowledge_cost: own.cost }) }, report }
  },
})

const onGrid = ({ alpha, sweep }: { alpha: number; sweep: number }): boolean =>
  sweep > 0 && Number.isInteger(Math.round(alpha * sweep * 1e9) / 1e9)
