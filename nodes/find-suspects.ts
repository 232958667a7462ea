import * as z from 'zod'
import { datasetFacts, modelFacts, putRows, putTable, tableFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { throwProblem } from './_kit/node-error'
import { putReport, type Report } from './_kit/report'
import { autoLearningRate } from './_kit/resolve-train'
import { needRows, trainableProblem, trialBasis, trialEstimate, trialRates } from './_kit/trials'
import { percentWords, plural, rateWords } from './_kit/words'

const COLUMNS = ['rank', 'score', 'reason', 'first_loss', 'last_loss', 'action', 'row', 'line', 'text'] as const
/** Rows that are listed where none stands out: the hardest are worth a look all the same. */
const LEAST_LISTED = 20

export const findSuspects = defineNode({
  type: 'find-suspects',
  title: 'Find suspects',
  summary: 'Watches which training rows the model finds hard to learn: often their answers are wrong.',
  help: `For any training data, also where answers are free text. The node trains a copy for a few epochs and writes down the loss of **each row** after each epoch. Rows whose answer fits their question are learned; rows with a wrong, swapped or broken answer stay hard.

**Watch training** judges rows that are trained on, which is quick. **Judge unseen** trains on one half and judges the other, and the other way round: sharper where the model is large enough to learn wrong rows by heart.

For answers that are JSON objects it also lists values that do not stand in their source.

Rows are ranked by how far they stand out. **Leave out** takes only the ones that clearly do, never the merely hard: rare but right rows are hard too, and worth most. Read the list first; Review rows is for what you decide.`,
  group: 'Data',
  icon: 'find-suspects',
  tags: ['noise', 'mislabeled', 'training dynamics', 'loss', 'outlier', 'quality', 'hard', 'data map', 'cartography'],
  params: z.strictObject({
    method: z
      .enum(['dynamics', 'held_out'])
      .default('dynamics')
      .meta({
        title: 'How',
        description: 'Watch rows while they are trained on, or judge each half by a model that saw only the other.',
        labels: { dynamics: 'Watch training', held_out: 'Judge unseen' },
      }),
    action: z
      .enum(['review', 'drop'])
      .default('review')
      .meta({
        title: 'Do with them',
        description: 'List only, or leave out those that clearly stand out.',
        labels: { review: 'List only', drop: 'Leave out' },
      }),
    num_train_epochs: z
      .int()
      .min(1)
      .max(20)
      .default(3)
      .meta({ title: 'Epochs', description: 'How often every row is shown.', unit: 'epochs' }),
    beyond: z.number().min(1).max(20).default(3.5).meta({
      title: 'Stands out from',
      description: 'Distance above the middle, in robust deviations, from which a row is suspect.',
      advanced: true,
    }),
    learning_rate: z
      .union([z.literal('auto'), z.number().min(1e-7).max(1)])
      .default('auto')
      .meta({ title: 'Learning rate', description: 'Automatic: as in Train for the same layers.', scale: 'log', advanced: true }),
    per_device_train_batch_size: z
      .int()
      .min(1)
      .max(256)
      .default(8)
      .meta({ title: 'Batch size', description: 'Rows of each step.', unit: 'rows', advanced: true }),
    seed: z
      .int()
      .min(0)
      .max(2_147_483_647)
      .default(42)
      .meta({ title: 'Seed', description: 'Order of the rows, and which half is which.', advanced: true }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to train a copy of.' },
    data: { kind: 'dataset', title: 'Data', description: 'Training rows.' },
  },
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'The rows, after what was chosen to be done.' },
    suspects: { kind: 'dataset', title: 'Suspects', description: 'A table: the rows that stand out most, with reason and losses.' },
    report: { kind: 'report', title: 'Report', description: 'How many rows stand out, and how the losses lie.' },
  },
  purity: 'seeded',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    const rows = data?.rows ?? 0
    const halves = params.method === 'held_out' ? 2 : 1
    const steps = Math.ceil((rows / halves / params.per_device_train_batch_size) * params.num_train_epochs)
    const estimate =
      model &&
      rows > 0 &&
      trialEstimate(model, data, [{ plan: model.trainable, count: halves, steps, looks: params.num_train_epochs }], {
        batch: params.per_device_train_batch_size,
        watched: rows / halves,
      })
    return {
      outputs: {
        ...(data && { data: { kind: 'dataset' as const, facts: { ...data, rows: params.action === 'drop' ? null : data.rows } } }),
        suspects: { kind: 'dataset', facts: tableFacts(data, 'suspects', COLUMNS) },
        report: { kind: 'report', facts: { name: 'Find suspects' } },
      },
      ...(estimate && { estimate }),
      card: [
        { label: 'How', value: params.method === 'dynamics' ? 'watch training' : 'judge unseen' },
        { label: 'Epochs', value: String(params.num_train_epochs) },
        { label: 'Do with them', value: params.action === 'review' ? 'list only' : 'leave out' },
      ],
      problems: trainableProblem(data?.format),
    }
  },
  async run({ params, inputs, ctx }) {
    const { parseJsonl, packRows, dynamicsOf, outlyingScores, seeded, excerpt, answerOf, askedOf, extractObject, Source, typeOfValues } =
      await import('../analysis/index')
    throwProblem(trainableProblem(inputs.data.format))
    needRows(inputs.data, 16, 'training')
    const rows = parseJsonl(await ctx.artifacts.readText(inputs.data.artifact))
    const { model } = inputs
    const basis = trialBasis(ctx, model, inputs.data, params.per_device_train_batch_size)
    const rate =
      params.learning_rate === 'auto'
        ? (autoLearningRate({
            trainableShare: model.trainable ? model.trainable.parameters / model.parameters : 1,
            parameters: model.parameters,
          }) ?? 2e-5)
        : params.learning_rate
    const shuffled = seeded(params.seed).shuffle([...rows.keys()])
    const half = shuffled.length >> 1
    const parts =
      params.method === 'dynamics'
        ? [{ train: [...rows.keys()], judge: [...rows.keys()] }]
        : [
            { train: shuffled.slice(0, half), judge: shuffled.slice(half) },
            { train: shuffled.slice(half), judge: shuffled.slice(0, half) },
          ]
    const losses = Array.from({ length: params.num_train_epochs }, () => rows.map(() => Number.NaN))
    for (const [p, part] of parts.entries()) {
      const take = (list: readonly number[]) => putRows(ctx, inputs.data, packRows(list.map((i) => rows[i] as (typeof rows)[number])))
      const data = await take(part.train)
      const perEpoch = Math.ceil(data.rows / basis.batch_size)
      const steps = perEpoch * params.num_train_epochs
      const trial = await ctx.engine.trial({
        ...basis,
        data,
        trainable: model.trainable?.names ?? null,
        watch: [
          {
            data: part === parts[0] && params.method === 'dynamics' ? data : await take(part.judge),
            train_on: basis.train_on,
            max_length: basis.max_length,
          },
        ],
        rates: trialRates(rate, steps, Math.min(10, Math.ceil(steps / 10))),
        eval_steps: perEpoch,
        max_grad_norm: 1,
        seed: params.seed,
        onProgress: (done, total) => ctx.progress(p * total + done, parts.length * total, 'steps'),
      })
      ctx.signal.throwIfAborted()
      for (const [e, look] of trial.looks.slice(0, params.num_train_epochs).entries())
        for (const [k, i] of part.judge.entries()) (losses[e] as number[])[i] = look.sets[0]?.rowLosses[k] ?? Number.NaN
      for (const look of trial.looks) ctx.metrics({ step: look.step, eval_loss: look.sets[0]?.loss ?? 0 })
    }
    const dynamics = dynamicsOf(losses)
    const { z: scores, suspects } = outlyingScores(
      dynamics.map((d) => d.mean),
      params.beyond,
    )
    const hard = new Set(suspects)

    // Answers with fields: a value that the question does not hold was not read from it.
    const golds = rows.map((row) => (answerOf(row).trim().startsWith('{') ? (extractObject(answerOf(row))?.value ?? null) : null))
    const fielded = golds.every((gold) => gold !== null)
    const types = new Map(
      [...new Set(golds.flatMap((g) => Object.keys(g ?? {})))].map((name) => [name, typeOfValues(golds.map((g) => g?.[name]))]),
    )
    const ungrounded = rows.map((row, i) => {
      if (!fielded) return []
      const source = new Source(askedOf(row))
      return Object.entries(golds[i] ?? {}).flatMap(([name, value]) => (source.holds(types.get(name) ?? 'text', value) ? [] : [name]))
    })
    const ranked = [...rows.keys()]
      .filter((i) => Number.isFinite(scores[i]))
      .sort(
        (a, b) =>
          Number((ungrounded[b]?.length ?? 0) > 0) - Number((ungrounded[a]?.length ?? 0) > 0) ||
          (scores[b] as number) - (scores[a] as number),
      )
    const listed = ranked.filter((i, r) => hard.has(i) || (ungrounded[i]?.length ?? 0) > 0 || r < LEAST_LISTED)
    const dropped = new Set(params.action === 'drop' ? [...hard] : [])
    const round = (n: number | undefined) => Math.round((n ?? 0) * 1e3) / 1e3
    const table = listed.map((i, r) => ({
      id: `s${r + 1}`,
      rank: r + 1,
      score: round(scores[i]),
      reason:
        (ungrounded[i]?.length ?? 0) > 0
          ? `not in the source: ${ungrounded[i]?.join(', ')}`
          : hard.has(i)
            ? 'hard to learn'
            : 'hardest of the rest',
      first_loss: round(losses[0]?.[i]),
      last_loss: round(dynamics[i]?.last),
      action: dropped.has(i) ? 'left out' : hard.has(i) || (ungrounded[i]?.length ?? 0) > 0 ? 'look at this' : 'perhaps',
      row: String(rows[i]?.id ?? ''),
      line: i + 1,
      text: rows[i] ? excerpt(rows[i] as (typeof rows)[number]) : '',
    }))
    const invented = ungrounded.filter((list) => list.length > 0).length
    const share = hard.size / rows.length
    const verdict: Report['verdict'] = {
      tone: hard.size + invented === 0 ? 'good' : 'look',
      text:
        hard.size + invented === 0
          ? `No row of ${rows.length.toLocaleString('en-US')} stands out.`
          : `${plural(hard.size, 'row')} of ${rows.length.toLocaleString('en-US')} (${percentWords(share)}) stay hard to learn${invented > 0 ? `; ${plural(invented, 'answer')} hold a value that is not in the source` : ''}${dropped.size > 0 ? `; ${plural(dropped.size, 'row')} left out` : ''}.`,
      action:
        hard.size + invented === 0
          ? null
          : params.action === 'review'
            ? 'Read the suspects from the top; correct or leave out what is wrong with Review rows.'
            : 'Read what was left out in the suspects table.',
    }
    const sorted = scores.filter(Number.isFinite).sort((a, b) => a - b)
    const report = await putReport(ctx, {
      title: 'Find suspects',
      verdict,
      facts: [
        { label: 'Rows', value: rows.length.toLocaleString('en-US') },
        { label: 'Epochs, rate', value: `${params.num_train_epochs}, ${rateWords(rate)}` },
        { label: 'Trained', value: model.trainable?.summary ?? 'all of the model' },
        { label: 'Seed', value: String(params.seed) },
        { label: 'Stands out from', value: `${params.beyond} deviations` },
        { label: 'Data', value: inputs.data.artifact.slice(0, 12) },
        { label: 'Model', value: model.base.name },
      ],
      sections: [
        {
          title: 'How far rows stand out',
          text: 'Rows in order, by distance of their loss from the middle one.',
          curves: {
            x: { title: 'share of rows' },
            y: { title: 'deviations above the middle' },
            lines: [{ name: 'rows', look: 'line', points: sorted.map((s, i): [number, number] => [(i + 1) / sorted.length, s]) }],
            ...(hard.size > 0 && { marks: [{ x: 1 - share, label: 'suspect', tone: 'bad' as const }] }),
          },
        },
        {
          title: 'Loss over epochs',
          curves: {
            x: { title: 'epoch' },
            y: { title: 'loss, nats' },
            lines: [
              { name: 'suspects', look: 'line', points: meanByEpoch(losses, (i) => hard.has(i)) },
              { name: 'all others', look: 'dashed', points: meanByEpoch(losses, (i) => !hard.has(i)) },
            ],
          },
        },
      ],
    })
    return {
      data: dropped.size > 0 ? await putRows(ctx, inputs.data, packRows(rows.filter((_, i) => !dropped.has(i)))) : inputs.data,
      suspects: await putTable(ctx, inputs.data, packRows(table), COLUMNS, 'suspects'),
      report,
    }
  },
})

function meanByEpoch(losses: readonly (readonly number[])[], belongs: (row: number) => boolean): [number, number][] {
  return losses.flatMap((epoch, e): [number, number][] => {
    const own = epoch.filter((x, i) => belongs(i) && Number.isFinite(x))
    return own.length === 0 ? [] : [[e + 1, own.reduce((a, b) => a + b, 0) / own.length]]
  })
}
