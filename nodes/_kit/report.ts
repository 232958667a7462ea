/** A report that people read and the app draws: a verdict in one sentence, its evidence, one thing to do. Stored as JSON. */
import * as z from 'zod'
import type { RunContext } from './context'
import type { PortValue } from './ports'

export const Report = z.object({
  version: z.literal(1),
  title: z.string(),
  verdict: z.object({ tone: z.enum(['good', 'look', 'bad']), text: z.string(), action: z.string().nullable() }),
  /** What it rests on (SCI-6): rows, digests, settings. */
  facts: z.array(z.object({ label: z.string(), value: z.string() })),
  sections: z.array(
    z.object({
      title: z.string(),
      text: z.string().optional(),
      /** One bar each; `tone` colours what is wrong. */
      bars: z
        .array(z.object({ label: z.string(), value: z.number(), tone: z.enum(['good', 'look', 'bad', 'quiet']), note: z.string() }))
        .optional(),
      table: z.object({ columns: z.array(z.string()), rows: z.array(z.array(z.union([z.string(), z.number(), z.null()]))) }).optional(),
    }),
  ),
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
