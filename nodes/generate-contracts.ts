import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import { putReport } from './_kit/report'
import { percentWords, plural } from './_kit/words'

const FIELDS = ['supplier', 'customer', 'start', 'notice', 'fee', 'law'] as const
/** A clause with its answer, in characters. */
const CHARS = { mean: 620, max: 1400 }

export const generateContracts = defineNode({
  type: 'generate-contracts',
  title: 'Generate contracts',
  summary: 'Makes up contract clauses with exact answers: six fields each, some absent, with distractors.',
  help: `Invented clauses whose answers are known to the letter: **supplier, customer, start, notice, fee and law**. Other dates, sums, terms and companies stand between, dates and amounts are written in several ways, and a field that the clause does not state is **null** in the answer, so that a model learns to say so instead of inventing one.

There are **two halves** that share no wording, no name and no layout. Train on one and score on the other, with two of these nodes: a model that only learned the wordings by heart fails there. Real contracts are harder still; score on yours before you trust it.

**Wrong answers** plants errors on purpose, to see what they cost; what should stand there is in the column **gold**.

The same settings and seed give the same rows.`,
  group: 'Data',
  icon: 'generate-contracts',
  tags: ['synthetic', 'sample', 'example', 'extraction', 'json', 'fields', 'clauses', 'legal', 'generate'],
  params: z.strictObject({
    rows: z
      .int()
      .min(1)
      .max(100_000)
      .default(300)
      .meta({ title: 'Rows', description: 'How many clauses to make.', unit: 'rows', scale: 'log' }),
    wordings: z
      .enum(['train', 'unseen'])
      .default('train')
      .meta({
        title: 'Half',
        description: 'Which half of the wordings, names and layouts to use; the halves share none.',
        labels: { train: 'For training', unseen: 'Never in training' },
      }),
    absent_rate: z
      .number()
      .min(0)
      .max(0.7)
      .default(0.3)
      .meta({ title: 'Absent fields', description: 'Mean share of fields that a clause does not state.', step: 0.05 }),
    noise_rate: z.number().min(0).max(1).default(0).meta({
      title: 'Wrong answers',
      description: 'Share of rows in which one field of the answer is wrong on purpose.',
      step: 0.05,
      advanced: true,
    }),
    instruction: z.string().max(2000).default('Extract the contract fields as JSON.').meta({
      title: 'Instruction',
      description: 'System prompt of every row. Empty: rows of prompt and completion without one.',
      widget: 'text',
      advanced: true,
    }),
    seed: z.int().min(0).max(2_147_483_647).default(42).meta({ title: 'Seed', description: 'The same seed gives the same clauses.' }),
  }),
  inputs: {},
  outputs: {
    data: { kind: 'dataset', title: 'Data', description: 'Clauses with their fields as JSON.' },
    report: { kind: 'report', title: 'Report', description: 'How often each field is stated, and what was planted.' },
  },
  purity: 'seeded',
  resource: 'light',
  infer: ({ params, node }) => ({
    outputs: {
      data: {
        kind: 'dataset',
        facts: {
          name: params.wordings === 'train' ? 'made-up contracts' : 'made-up contracts, other wordings',
          rows: params.rows,
          format: params.instruction === '' ? 'prompt_completion' : 'messages',
          columns: ['layout', 'gold', 'wrong_field'],
          split: 'all',
          chars: CHARS,
          origin: node,
        },
      },
      report: { kind: 'report', facts: { name: 'Generate contracts' } },
    },
    estimate: { seconds: Math.round(1 + params.rows / 5000), memoryBytes: params.rows * 4000, diskBytes: params.rows * 1500 },
    card: [
      { label: 'Rows', value: params.rows.toLocaleString('en-US') },
      { label: 'Half', value: params.wordings === 'train' ? 'for training' : 'never in training' },
      { label: 'Absent fields', value: percentWords(params.absent_rate) },
    ],
  }),
  async run({ params, ctx }) {
    const { rowsToJsonl, lengthsOf, seeded } = await import('../analysis/index')
    const { makeContracts } = await import('../templates/contract-fields/generate')
    const contracts = makeContracts(params.wordings, params.rows, params.seed, params.absent_rate)
    const random = seeded(`noise ${params.seed}`)
    const wrong = new Set(random.shuffle([...contracts.keys()]).slice(0, Math.round(params.noise_rate * contracts.length)))
    let planted = 0
    const rows = contracts.map(({ text, answer, made }, i) => {
      const spoilt = wrong.has(i)
        ? spoil(
            answer,
            contracts.map((c) => c.answer),
            random,
          )
        : null
      if (spoilt) planted++
      const completion = JSON.stringify(spoilt?.answer ?? answer)
      const turns = [
        { role: 'system', content: params.instruction },
        { role: 'user', content: text },
        { role: 'assistant', content: completion },
      ]
      return {
        id: `${params.wordings}-${params.seed}-${i + 1}`,
        ...(params.instruction === '' ? { prompt: text, completion } : { messages: turns }),
        columns: { layout: made.layout, gold: JSON.stringify(answer), wrong_field: spoilt?.field ?? '' },
      }
    })
    ctx.progress(rows.length, rows.length, 'rows')
    const stated = FIELDS.map((field) => ({ field, n: contracts.filter((c) => c.answer[field] !== null).length }))
    const absent = 1 - stated.reduce((sum, s) => sum + s.n, 0) / (FIELDS.length * contracts.length)
    const report = await putReport(ctx, {
      title: 'Generate contracts',
      verdict: {
        tone: 'good',
        text: `${plural(rows.length, 'clause')} in ${plural(new Set(contracts.map((c) => c.made.layout)).size, 'layout')}; ${percentWords(absent)} of the fields are absent${planted > 0 ? `, ${plural(planted, 'answer')} wrong on purpose` : ''}.`,
        action: null,
      },
      facts: [
        { label: 'Rows', value: rows.length.toLocaleString('en-US') },
        { label: 'Half', value: params.wordings },
        { label: 'Seed', value: String(params.seed) },
      ],
      sections: [
        {
          title: 'Stated in the clause',
          bars: stated.map(({ field, n }) => ({
            label: field,
            value: n,
            tone: 'quiet' as const,
            note: `${percentWords(n / contracts.length)} of the clauses`,
          })),
        },
      ],
    })
    const artifact = await ctx.artifacts.put(rowsToJsonl(rows))
    return {
      data: {
        artifact,
        rows: rows.length,
        format: params.instruction === '' ? ('prompt_completion' as const) : ('messages' as const),
        columns: ['layout', 'gold', 'wrong_field'],
        name: params.wordings === 'train' ? 'made-up contracts' : 'made-up contracts, other wordings',
        split: 'all' as const,
        source: artifact,
        chars: lengthsOf(rows),
      },
      report,
    }
  },
})

type Answer = Record<(typeof FIELDS)[number], string | null>

/** One stated field gets the value that another clause has there; null where no other value is to be had. */
function spoil(
  answer: Answer,
  all: readonly Answer[],
  random: { pick<T>(list: readonly T[]): T },
): { answer: Answer; field: string } | null {
  const field = random.pick(FIELDS.filter((f) => answer[f] !== null))
  const others = all.flatMap((a) => (a[field] !== null && a[field] !== answer[field] ? [a[field]] : []))
  return others.length === 0 ? null : { field, answer: { ...answer, [field]: random.pick(others) } }
}
