import * as z from 'zod'
import { defineNode } from './_kit/define-node'
import type { Pipeline } from './_kit/graph'
import { cleanText, portableGraph } from './_kit/portable'
import type { DatasetHandle } from './_kit/ports'
import { putReport } from './_kit/report'
import { type ReportSample, type RunReport, reportHtml, reportMarkdown, tablesOf, verdictOf } from './_kit/report-page'
import { plural } from './_kit/words'

export const report = defineNode({
  type: 'report',
  title: 'Report',
  summary: 'Writes what a run did as one page to pass on: question, scores, curves, settings, samples and how to repeat it.',
  help: `Out come two files with the same content: **report.html**, one page that needs nothing but itself, opens offline and prints well, and **report.md**.

Wire what the page should say: Train's **model** and **metrics**, Validate's **metrics** and **rows**, Measure retention's **metrics**. Everything is optional, and what is not wired is said to be missing instead of left out in silence. The curves are those of the Train node before it.

Answers are shown worst first, as Validate sorts them. Turn **Show answers** off where the rows must not travel. Local paths and secrets are removed as on export.`,
  group: 'Output',
  icon: 'report',
  tags: ['document', 'html', 'markdown', 'print', 'pdf', 'summary', 'share', 'page', 'paper'],
  params: z.strictObject({
    title: z
      .string()
      .max(120)
      .default('')
      .meta({ title: 'Title', description: 'Heading of the page. Empty: the name of the model and what it learned from.' }),
    question: z
      .string()
      .max(1000)
      .default('')
      .meta({ title: 'What was asked', description: 'In your words, for readers who did not see the pipeline.' }),
    samples: z
      .int()
      .min(0)
      .max(100)
      .default(4)
      .meta({ title: 'Show answers', description: 'How many scored rows are shown, worst first; 0 shows none.', unit: 'rows' }),
  }),
  inputs: {
    model: { kind: 'model', title: 'Model', description: 'The trained model: what was open, base, data and seed.', optional: true },
    training: { kind: 'metrics', title: 'Training', description: 'Metrics of Train.', optional: true },
    scores: { kind: 'metrics', title: 'Scores', description: 'Metrics of Validate.', optional: true },
    rows: { kind: 'dataset', title: 'Scored rows', description: 'Rows of Validate, for intervals and samples.', optional: true },
    retention: { kind: 'metrics', title: 'Retention', description: 'Metrics of Measure retention.', optional: true },
  },
  outputs: {
    file: { kind: 'file', title: 'Page', description: 'report.html and report.md.' },
    report: { kind: 'report', title: 'Summary', description: 'The same in short, to look at here.' },
  },
  // The curves belong to the run, not to the inputs' content.
  purity: 'volatile',
  resource: 'light',
  infer({ params, inputs }) {
    const wired = Object.values(inputs).filter(Boolean).length
    return {
      outputs: { file: { kind: 'file', facts: { name: 'report' } } },
      estimate: { seconds: 1, memoryBytes: 10_000_000, diskBytes: 100_000 },
      card: [
        { label: 'Wired', value: `${wired} of 5` },
        { label: 'Answers', value: String(params.samples) },
      ],
      problems: wired
        ? []
        : [
            {
              severity: 'warning' as const,
              code: 'nothing_to_report',
              message: 'Nothing is wired to this report: it would only show the pipeline.',
            },
          ],
    }
  },
  async run({ params, inputs, ctx }) {
    const model = inputs.model ?? null
    const trained = model?.lineage.at(-1)
    const rows = inputs.rows ? await readScored(inputs.rows, (digest) => ctx.artifacts.readText(digest)) : null
    const graph = portableGraph(ctx.provenance.graph)
    const page: RunReport = {
      title: params.title || (model ? `${model.base.name}, ${trained ? 'fine-tuned' : 'as it was'}` : 'Run report'),
      question: cleanText(params.question),
      thawVersion: ctx.provenance.thawVersion,
      document: graph
        ? (JSON.parse(graph) as Pipeline)
        : { schemaVersion: 1, nodes: {}, edges: [], inputs: [], notes: [], layout: { nodes: {}, groups: [] } },
      graphDigest: ctx.provenance.graphDigest,
      model,
      scores: inputs.scores ?? {},
      training: inputs.training ?? {},
      retention: inputs.retention ?? {},
      curve: trained ? await ctx.curves(trained.node) : [],
      samples: rows?.slice(0, params.samples).map(sampleOf) ?? [],
      scored: rows?.every((row) => typeof row.correct === 'boolean')
        ? {
            rows: rows.length,
            right: rows.filter((row) => row.correct === true).length,
            rightBefore: rows.filter((row) => row.before_correct === true).length,
          }
        : null,
      environment: [['Machine', `${process.platform} ${process.arch}, Node ${process.versions.node}`]],
    }
    const files = []
    for (const [path, text] of [
      ['report.html', reportHtml(page)],
      ['report.md', reportMarkdown(page)],
    ] as const) {
      const bytes = new TextEncoder().encode(text)
      files.push({ path, digest: await ctx.artifacts.put(bytes), size: bytes.length })
    }
    const file = await ctx.artifacts.putManifest('report', files)
    ctx.log(
      `Written: ${plural(files.length, 'file')}${page.curve.length ? `, with ${plural(page.curve.length, 'point')} of the curves` : ''}`,
    )
    return {
      file,
      report: await putReport(ctx, {
        title: page.title,
        verdict: { tone: page.scored || page.scores.eval_loss !== undefined ? 'good' : 'look', text: verdictOf(page), action: null },
        facts: [{ label: 'Files', value: files.map(({ path }) => path).join(', ') }],
        sections: tablesOf(page).map(({ title, head, rows: cells, note }) => ({
          title,
          ...(note && { text: note }),
          table: { columns: [...head], rows: cells.map((row) => [...row]) },
        })),
      }),
    }
  },
})

type Scored = Record<string, unknown>

async function readScored(data: DatasetHandle, read: (digest: string) => Promise<string>): Promise<Scored[]> {
  return (await read(data.artifact))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Scored)
}

const LONGEST = 1_200
const sampleOf = (row: Scored): ReportSample => {
  const text = (name: string) => {
    const value = typeof row[name] === 'string' ? (row[name] as string) : JSON.stringify(row[name] ?? '')
    return value.length > LONGEST ? `${value.slice(0, LONGEST)} …` : value
  }
  return { input: text('input'), expected: text('expected'), before: text('before'), after: text('after'), correct: row.correct === true }
}
