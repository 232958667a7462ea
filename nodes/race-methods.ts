import * as z from 'zod'
import { datasetFacts, evenly, modelFacts, putNew } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import type { ModelHeader } from './_kit/facts'
import { planOf } from './_kit/freeze'
import { NodeError, throwProblem } from './_kit/node-error'
import type { TrainablePlan } from './_kit/ports'
import { putReport } from './_kit/report'
import { needRows, someRows, trainableProblem, trialBasis, trialEstimate, trialRates } from './_kit/trials'
import { countWords, rateWords } from './_kit/words'

const ENTRANTS = ['full', 'last', 'middle', 'first', 'random', 'attention', 'norms'] as const
type Entrant = (typeof ENTRANTS)[number]
const WORDS: Record<Entrant, string> = {
  full: 'all of it',
  last: 'last third',
  middle: 'middle third',
  first: 'first third',
  random: 'random third',
  attention: 'attention only',
  norms: 'norms only',
}

export const raceMethods = defineNode({
  type: 'race-methods',
  title: 'Race methods',
  summary: 'Lets ways of tuning compete for a few steps each, and draws what each learns against what it forgets.',
  help: `Rules of thumb say which layers to open; this node lets them race on your task. Every entrant starts with each learning rate for a few steps; the best third goes on with three times the budget, then again. Diverged ones drop out.

The **rate is always raced too**, because it moves both learning and forgetting more than the choice of layers does. After each heat the loss on validation rows and the **knowledge cost** on general text are measured, and drawn against each other: what lies on the frontier is worth considering, everything else is beaten in both.

A **winner** is named only if its lead over the runner-up is clear over rows; otherwise it is a tie, and the smaller choice is the better one. The **plan** of the winner goes into Freeze layers.`,
  group: 'Training',
  icon: 'race-methods',
  tags: ['halving', 'compare', 'sweep', 'search', 'pareto', 'frontier', 'hyperband', 'which', 'full', 'layers', 'tournament'],
  params: z.strictObject({
    entrants: z
      .array(z.enum(ENTRANTS))
      .min(2)
      .max(ENTRANTS.length)
      .default(['full', 'last', 'middle', 'random'])
      .meta({ title: 'Entrants', description: 'What each of them trains; a random third is the control.', labels: WORDS }),
    learning_rates: z
      .array(z.number().min(1e-7).max(1))
      .min(1)
      .max(8)
      .default([3e-4, 1e-3, 3e-3])
      .meta({ title: 'Learning rates', description: 'Every entrant starts with each of them.' }),
    heat_steps: z
      .int()
      .min(2)
      .max(1000)
      .default(10)
      .meta({ title: 'First heat', description: 'Steps of the first heat; each further heat has three times as many.', unit: 'steps' }),
    heats: z.int().min(1).max(4).default(2).meta({ title: 'Heats', description: 'How often the field is cut to a third.', unit: 'heats' }),
    per_device_train_batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .meta({ title: 'Batch size', description: 'Rows of each step.', unit: 'rows', advanced: true }),
    eval_samples: z
      .int()
      .min(8)
      .max(2000)
      .default(64)
      .meta({ title: 'Rows to judge by', description: 'Validation rows read after each heat.', unit: 'rows', advanced: true }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'Order of the batches, and which layers are the random ones.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to tune, before any training.' },
    data: { kind: 'dataset', title: 'Data', description: 'Training rows.' },
    validation: { kind: 'dataset', title: 'Validation', description: 'Rows to judge by, never trained on.' },
  },
  outputs: {
    plan: { kind: 'plan', title: 'Layer plan', description: 'What the winner trains, for Freeze layers.' },
    metrics: { kind: 'metrics', title: 'Metrics', description: 'Gain, knowledge cost and rate of the winner, and its lead.' },
    report: { kind: 'report', title: 'Report', description: 'Every heat as a point: loss against knowledge cost.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const starts = params.entrants.length * params.learning_rates.length
    const estimate =
      model &&
      trialEstimate(
        model,
        data,
        Array.from({ length: params.heats }, (_, h) => ({
          plan: null,
          count: Math.ceil(starts / 3 ** h),
          steps: params.heat_steps * 3 ** h,
          looks: 1,
        })),
        { batch: params.per_device_train_batch_size, watched: params.eval_samples + 24 },
      )
    return {
      outputs: {
        metrics: { kind: 'metrics', facts: { names: ['gain', 'knowledge_cost', 'learning_rate', 'lead'] } },
        report: { kind: 'report', facts: { name: 'Race methods' } },
      },
      ...(estimate && { estimate }),
      card: [
        { label: 'Starts', value: `${starts}` },
        { label: 'Heats', value: `${params.heats}, from ${params.heat_steps} steps` },
      ],
      problems: [...trainableProblem(data?.format), ...trainableProblem(datasetFacts(inputs.validation)?.format)],
    }
  },
  async run({ params, inputs, ctx }) {
    const { GENERAL_TEXT, pieces, packRows, parseJsonl, gainOf, frontierOf, goOn, seeded, pairedBootstrap } = await import(
      '../analysis/index'
    )
    throwProblem([...trainableProblem(inputs.data.format), ...trainableProblem(inputs.validation.format)])
    needRows(inputs.data, 8, 'training')
    needRows(inputs.validation, 8, 'validation')
    const { model } = inputs
    const header = await ctx.engine.header(model)
    const plans = new Map(params.entrants.map((entrant) => [entrant, planFor(entrant, header, seeded(params.seed).shuffle)]))
    const judged = await someRows(ctx, inputs.validation, params.eval_samples, { pack: packRows, parse: parseJsonl })
    const texts = pieces(evenly(GENERAL_TEXT, 12), 400)
    const general = await putNew(ctx, packRows(texts.map((text, i) => ({ id: `g${i}`, text }))), 'text', 'general text')
    const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0)
    const basis = trialBasis(ctx, model, inputs.data, params.per_device_train_batch_size)
    const tryOut = async (names: readonly string[], rate: number, steps: number) => {
      const trial = await ctx.engine.trial({
        ...basis,
        trainable: names,
        watch: [
          { data: judged, train_on: basis.train_on, max_length: basis.max_length },
          { data: general, train_on: 'all', max_length: Math.min(256, model.contextLength) },
        ],
        rates: trialRates(rate, steps, 2),
        eval_steps: 0,
        max_grad_norm: 1,
        seed: params.seed,
      })
      ctx.signal.throwIfAborted()
      const [task, text] = trial.looks.at(-1)?.sets ?? []
      return {
        rows: task?.rowLosses ?? [],
        loss: task?.loss ?? Number.NaN,
        bits: text ? (text.loss * text.tokens) / Math.LN2 / bytes : Number.NaN,
      }
    }
    const before = await tryOut(
      header.parameters.map((p) => p.name),
      0,
      0,
    )
    type Run = { entrant: string; kind: Entrant; rate: number; loss: number; cost: number; heat: number; rows: number[] }
    let field = params.entrants.flatMap((kind) => params.learning_rates.map((rate) => ({ kind, rate })))
    const all: Run[] = []
    let last: Run[] = []
    let done = 0
    for (let heat = 0; heat < params.heats && field.length > 0; heat++) {
      last = []
      for (const { kind, rate } of field) {
        const found = await tryOut((plans.get(kind) as TrainablePlan).names, rate, params.heat_steps * 3 ** heat)
        last.push({ entrant: WORDS[kind], kind, rate, loss: found.loss, cost: found.bits - before.bits, heat, rows: found.rows })
        ctx.progress(++done, done + field.length, 'trials')
        ctx.log(
          `Heat ${heat + 1}, ${WORDS[kind]} at ${rateWords(rate)}: loss ${found.loss.toFixed(4)}, knowledge cost ${(found.bits - before.bits).toFixed(3)}`,
        )
      }
      all.push(...last)
      const on = goOn(last, 1 / 3)
      field = on.map((run) => ({ kind: (run as Run).kind, rate: run.rate }))
      if (field.length <= 1) break
    }
    const order = last.filter((run) => Number.isFinite(run.loss)).toSorted((a, b) => a.loss - b.loss)
    const winner = order[0]
    if (!winner)
      throw new NodeError('diverged', 'Every entrant lost its loss.', {
        param: 'learning_rates',
        got: params.learning_rates.join(', '),
        fix: 'Race lower rates.',
      })
    // The best of another kind: two rates of one method are no rivals.
    const second = order.find((run) => run.kind !== winner.kind)
    const lead = second ? pairedBootstrap(second.rows, winner.rows) : null
    const clear = lead !== null && lead.low > 0
    const gain = gainOf(before.rows, winner.rows)
    const frontier = new Set(frontierOf(all))
    const plan = plans.get(winner.kind) as TrainablePlan
    const tied = order.filter((run) => run.kind !== winner.kind && pairedBootstrap(run.rows, winner.rows).low <= 0)
    const report = await putReport(ctx, {
      title: 'Race methods',
      verdict: {
        tone: clear ? 'good' : 'look',
        text: clear
          ? `${upper(winner.entrant)} at ${rateWords(winner.rate)} wins: gain ${gain.mean.toFixed(3)} nats, ${(lead?.mean ?? 0).toFixed(3)} ahead of ${second?.entrant}, at a knowledge cost of ${winner.cost.toFixed(3)} bits per byte.`
          : second
            ? `A tie between ${[winner, ...tied].map((r) => `${r.entrant} at ${rateWords(r.rate)}`).join(', ')}: no difference seen.`
            : `Only ${winner.entrant} is left, at ${rateWords(winner.rate)}.`,
        action: clear
          ? `Wire the plan into Freeze layers and set ${rateWords(winner.rate)} in Train.`
          : `Take the one that forgets least: ${[winner, ...tied].toSorted((a, b) => a.cost - b.cost)[0]?.entrant}.`,
      },
      facts: [
        { label: 'Rows judged by', value: String(judged.rows) },
        { label: 'Heats', value: `${params.heats}, from ${params.heat_steps} steps, batch ${basis.batch_size}` },
        { label: 'Seed', value: String(params.seed) },
        { label: 'Trials', value: String(done) },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Model', value: model.base.name },
        { label: 'Backend', value: ctx.engine.backend.device },
      ],
      sections: [
        {
          title: 'Learned against forgotten',
          text: 'One point for each entrant, rate and heat that ended with a loss below twice the first. Lower and further left is better.',
          scatter: {
            x: { title: 'knowledge cost, bits per byte' },
            y: { title: 'validation loss, nats' },
            points: all
              .filter((run) => Number.isFinite(run.loss) && run.loss < 2 * before.loss)
              .map((run) => ({
                label: frontier.has(run) || run === winner ? `${run.entrant} ${rateWords(run.rate)}` : '',
                x: run.cost,
                y: run.loss,
                tone: run === winner ? ('good' as const) : ('quiet' as const),
                ...(frontier.has(run) && { frontier: true }),
              })),
          },
        },
        {
          title: 'Heats',
          table: {
            columns: ['heat', 'trains', 'parameters', 'rate', 'loss', 'knowledge cost'],
            rows: all.map((run) => [
              run.heat + 1,
              run.entrant,
              countWords((plans.get(run.kind) as TrainablePlan).parameters),
              rateWords(run.rate),
              Number.isFinite(run.loss) ? Math.round(run.loss * 1e4) / 1e4 : 'lost',
              Number.isFinite(run.cost) ? Math.round(run.cost * 1e3) / 1e3 : '',
            ]),
          },
        },
      ],
    })
    return {
      plan,
      metrics: {
        gain: gain.mean,
        gain_low: gain.low,
        gain_high: gain.high,
        knowledge_cost: winner.cost,
        learning_rate: winner.rate,
        ...(lead && { lead: lead.mean, lead_low: lead.low, lead_high: lead.high }),
        trials: done,
      } as Record<string, number>,
      report,
    }
  },
})

const upper = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** Exact names of what an entrant trains. */
function planFor(entrant: Entrant, header: ModelHeader, shuffle: (list: number[]) => number[]): TrainablePlan {
  const { blocks } = header
  const third = Math.max(1, Math.round(blocks / 3))
  const all = Array.from({ length: blocks }, (_, i) => i)
  const start = (blocks - third) >> 1
  const chosen = new Set(
    {
      full: all,
      attention: all,
      norms: all,
      last: all.slice(-third),
      first: all.slice(0, third),
      middle: all.slice(start, start + third),
      random: shuffle([...all]).slice(0, third),
    }[entrant],
  )
  const names = header.parameters
    .filter((p) =>
      entrant === 'full'
        ? true
        : p.block !== null &&
          chosen.has(p.block) &&
          (entrant === 'attention' ? p.part === 'attention' : entrant === 'norms' ? p.part === 'norm' : true),
    )
    .map((p) => p.name)
  return planOf(names, header, WORDS[entrant])
}
