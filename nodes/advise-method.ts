import * as z from 'zod'
import { datasetFacts, modelFacts } from './_kit/dataset'
import { defineNode } from './_kit/define-node'
import { trainBytes } from './_kit/estimate'
import { planOf, sizeOf } from './_kit/freeze'
import { putReport } from './_kit/report'
import { autoBatch, autoTrainOn } from './_kit/resolve-train'
import { byteWords, countWords } from './_kit/words'

export const adviseMethod = defineNode({
  type: 'advise-method',
  title: 'Advise method',
  summary: 'Ranks full tuning, chosen layers and LoRA for your model, data, memory and what may be forgotten.',
  help: `Full tuning, a few layers, or an adapter? The answer follows from a handful of numbers, and this node shows each of them.

**Memory** rules out what does not fit. **Capacity**: an adapter must be able to hold what the answers say; a rank that is too small learns slowly and stops early. **Few rows** for many parameters means learning by heart, so less is opened. What may be **forgotten** decides between equals: an adapter or few layers forget less than everything.

It is advice with reasons, not a rule. Race methods measures what this node only reckons.`,
  group: 'Training',
  icon: 'advise-method',
  tags: ['lora', 'full', 'layers', 'which', 'choose', 'recommend', 'memory', 'peft', 'strategy'],
  params: z.strictObject({
    goal: z
      .enum(['behaviour', 'domain'])
      .default('behaviour')
      .meta({
        title: 'Goal',
        description: 'New behaviour, such as a task or a tone, or new knowledge, such as a field or a language.',
        labels: { behaviour: 'New behaviour', domain: 'New knowledge or language' },
      }),
    forgetting_tolerance: z
      .enum(['strict', 'medium', 'free'])
      .default('medium')
      .meta({
        title: 'May it forget?',
        description: 'Whether general knowledge must stay, should stay, or does not matter.',
        labels: { strict: 'It must not', medium: 'A little', free: 'Does not matter' },
      }),
    memory_gb: z
      .number()
      .min(0.5)
      .max(10_000)
      .default(8)
      .meta({ title: 'Memory', description: 'What the machine can give to training.', unit: 'GB' }),
    measure: z.boolean().default(true).meta({
      title: 'Ask the model',
      description: 'Read a few rows with the model first, to know how much it has to learn. Off: assume two bits a token.',
      advanced: true,
    }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The model to tune.' },
    data: { kind: 'dataset', title: 'Data', description: 'Training rows.' },
  },
  outputs: { report: { kind: 'report', title: 'Report', description: 'Methods in order, each with reasons, settings and memory.' } },
  purity: 'deterministic',
  resource: 'engine',
  infer({ params, inputs }) {
    const model = modelFacts(inputs.model)
    const data = datasetFacts(inputs.data)
    return {
      outputs: { report: { kind: 'report', facts: { name: 'Advise method' } } },
      estimate: {
        seconds: params.measure && model ? Math.round(4 + model.sizeBytes / 100e6) : 1,
        memoryBytes: params.measure && model ? 4 * model.sizeBytes : 0,
        diskBytes: 10_000,
      },
      card: [
        { label: 'Goal', value: params.goal === 'behaviour' ? 'behaviour' : 'knowledge' },
        { label: 'May forget', value: { strict: 'nothing', medium: 'a little', free: 'anything' }[params.forgetting_tolerance] },
        { label: 'Rows', value: data?.rows?.toLocaleString('en-US') ?? 'unknown' },
      ],
    }
  },
  async run({ params, inputs, ctx }) {
    const { adviseMethod: advise, parseJsonl, packRows } = await import('../analysis/index')
    const { model, data } = inputs
    const header = await ctx.engine.header(model)
    const inBlocks = header.parameters.filter((p) => p.block !== null)
    const linear = inBlocks.filter((p) => p.shape.length === 2)
    const count = Math.max(1, data.rows < 500 ? Math.min(2, header.blocks) : Math.round(header.blocks / 3))
    const top = planOf(
      inBlocks.filter((p) => (p.block as number) >= header.blocks - count).map((p) => p.name),
      header,
      'top',
    )
    const trainOn = autoTrainOn(data.format) ?? 'all'
    const tokens = await ctx.engine.tokens({ model, data, train_on: trainOn })
    const completionTokens = tokens.reduce((sum, row) => sum + row.trained, 0)
    const longest = Math.min(model.contextLength, Math.max(16, ...tokens.map((row) => row.length)))
    const batch = autoBatch({ chars: data.chars }) ?? 8
    let baseBits: number | null = null
    if (params.measure) {
      const some = packRows(parseJsonl(await ctx.artifacts.readText(data.artifact)).slice(0, 32))
      const { loss } = await ctx.engine.evaluate({
        model,
        data: { ...data, artifact: await ctx.artifacts.put(some.text), rows: some.rows },
        max_length: model.contextLength,
        batch_size: 8,
        train_on: trainOn,
      })
      baseBits = loss / Math.LN2
    }
    const full = trainBytes(header, null, batch, longest)
    const layers = trainBytes(header, top, batch, longest)
    const total = header.parameters.reduce((sum, p) => sum + sizeOf(p), 0)
    const loraUnit = linear.reduce((sum, p) => sum + (p.shape[0] as number) + (p.shape[1] as number), 0)
    const options = advise({
      parameters: total,
      blocks: header.blocks,
      perBlock: inBlocks.reduce((sum, p) => sum + sizeOf(p), 0) / Math.max(1, header.blocks),
      loraUnit,
      rows: data.rows,
      completionTokens,
      baseBits,
      memoryBytes: params.memory_gb * 1e9,
      // An adapter has no gradients for the model, and activations as full training has.
      bytes: { full, layers, lora: full - 12 * total + 12 * 16 * loraUnit },
      tolerance: params.forgetting_tolerance,
      goal: params.goal,
    })
    const [first] = options.filter((o) => o.score !== null)
    const report = await putReport(ctx, {
      title: 'Advise method',
      verdict: first
        ? { tone: 'good', text: `${first.title}: ${first.reasons[0]}.`, action: `Set it so: ${first.settings}.` }
        : {
            tone: 'bad',
            text: `Nothing fits into ${params.memory_gb} GB.`,
            action: 'Take a smaller model, shorter rows or a smaller batch, or give it more memory.',
          },
      facts: [
        { label: 'Parameters', value: countWords(total) },
        { label: 'Rows, trained tokens', value: `${data.rows.toLocaleString('en-US')}, ${completionTokens.toLocaleString('en-US')}` },
        { label: 'Before training', value: baseBits === null ? 'not measured' : `${baseBits.toFixed(2)} bits a token` },
        { label: 'Longest row, batch', value: `${longest} tokens, ${batch}` },
        { label: 'Memory', value: `${params.memory_gb} GB, nine tenths of it used` },
        { label: 'Model', value: model.base.name },
      ],
      sections: [
        {
          title: 'Methods, best first',
          table: {
            columns: ['method', 'fits', 'memory', 'trains', 'why', 'settings'],
            rows: options.map((o) => [
              o.title,
              o.score === null ? 'no' : 'yes',
              byteWords(o.memoryBytes),
              countWords(o.trainable),
              o.reasons.join('; '),
              o.settings,
            ]),
          },
        },
        {
          title: 'Memory',
          bars: options.map((o) => ({
            label: o.title,
            value: o.memoryBytes / 1e9,
            tone: o.score === null ? ('bad' as const) : ('good' as const),
            note: byteWords(o.memoryBytes),
          })),
        },
      ],
    })
    return { report }
  },
})
