/** A report that people read and the app draws: a verdict in one sentence, its evidence, one thing to do. Stored as JSON. */
import * as z from 'zod'
import type { RunContext } from './context'
import type { PortValue } from './ports'

const Tone = z.enum(['good', 'look', 'bad'])
const AnyTone = z.enum(['good', 'look', 'bad', 'quiet'])
const Axis = z.object({ title: z.string(), log: z.boolean().optional() })
const Cell = z.union([z.string(), z.number(), z.null()])

/** Evidence in one section; each kind is drawn by app/ui/report-view.tsx and means something without its picture. */
export const Section = z.object({
  title: z.string(),
  text: z.string().optional(),
  /** One bar each; `tone` colours what is wrong. `low` and `high`: a 95 % interval of the value. */
  bars: z
    .array(
      z.object({
        label: z.string(),
        value: z.number(),
        tone: AnyTone,
        note: z.string(),
        low: z.number().optional(),
        high: z.number().optional(),
      }),
    )
    .optional(),
  /** Lines over a common axis; `marks` are upright lines with a word. */
  curves: z
    .object({
      x: Axis,
      y: Axis,
      lines: z.array(
        z.object({
          name: z.string(),
          look: z.enum(['line', 'faint', 'dots', 'dashed']),
          points: z.array(z.tuple([z.number(), z.number()])),
        }),
      ),
      marks: z.array(z.object({ x: z.number(), label: z.string(), tone: AnyTone })).optional(),
    })
    .optional(),
  /** Points with a name each; `frontier` ones are joined by a line. */
  scatter: z
    .object({
      x: Axis,
      y: Axis,
      points: z.array(
        z.object({
          label: z.string(),
          x: z.number(),
          y: z.number(),
          tone: AnyTone,
          low: z.number().optional(),
          high: z.number().optional(),
          frontier: z.boolean().optional(),
        }),
      ),
    })
    .optional(),
  /** Cells by row and column, darker where larger; null where there is none. `marked` are outlined: [row, column]. */
  grid: z
    .object({
      rows: z.array(z.string()),
      columns: z.array(z.string()),
      values: z.array(z.array(z.number().nullable())),
      marked: z.array(z.tuple([z.number(), z.number()])),
      unit: z.string(),
    })
    .optional(),
  table: z.object({ columns: z.array(z.string()), rows: z.array(z.array(Cell)) }).optional(),
  /** Text in which places are marked, each with a note. */
  passages: z.array(z.object({ note: z.string(), parts: z.array(z.object({ text: z.string(), tone: AnyTone.optional() })) })).optional(),
})
export type Section = z.infer<typeof Section>

export const Report = z.object({
  version: z.literal(1),
  title: z.string(),
  verdict: z.object({ tone: Tone, text: z.string(), action: z.string().nullable() }),
  /** What it rests on (SCI-6): rows, digests, settings. */
  facts: z.array(z.object({ label: z.string(), value: z.string() })),
  sections: z.array(Section),
})
export type Report = z.infer<typeof Report>
export type ReportTone = Report['verdict']['tone']

/** Stores a report and says its verdict in the log; the handle carries the verdict, so that it can be shown at once. */
export async function putReport(ctx: Pick<RunContext, 'artifacts' | 'log'>, report: Omit<Report, 'version'>): Promise<PortValue<'report'>> {
  const { verdict, title } = report
  ctx.log(verdict.text, verdict.tone === 'good' ? 'info' : 'warn')
  if (verdict.action) ctx.log(verdict.action)
  const artifact = await ctx.artifacts.put(`${JSON.stringify({ version: 1, ...report }, null, 1)}\n`)
  return { artifact, title, mediaType: 'application/json', verdict }
}
