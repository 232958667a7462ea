/** Procedures around finished runs: again with other data, again from a node on, names and tags, letting go, disk use. Part of `runs` in router.ts. */
import * as z from 'zod'
import { registry } from '../../nodes'
import { parseDocument } from '../../nodes/_kit/migrate'
import { SWEEP_LIMITS, SweepAxis } from '../../nodes/_kit/sweep'
import { AppError } from '../errors'
import { compareInputs } from '../rerun-data'
import { collectGarbage } from '../storage/collect'
import { getVersion } from '../storage/pipelines'
import { invalidateResult } from '../storage/results'
import { describeRun, discardRuns, diskUse, heldOnlyBy, TAGS, tagsInUse } from '../storage/run-shelf'
import { getRun, listNodeRuns } from '../storage/runs'
import { getSweep } from '../storage/sweeps'
import { authed } from './init'
import type { Services } from './services'

const Id = z.uuid()
const Key = z.string().min(8).max(100)
const Inputs = z.record(z.string().max(130), z.unknown()).default({})
const Ids = z.array(Id).min(1).max(1_000)
export const Rerun = z.object({
  run: Id,
  inputs: Inputs,
  startFrom: z.enum(['base', 'last']).default('base'),
  name: z.string().trim().max(200).nullish(),
  note: z.string().max(10_000).optional(),
})

/** The document a run ran with, and what its inputs were. */
async function documentOf(services: Services, owner: string, id: string) {
  const run = await getRun(services.storage.db, owner, id)
  const { document } = await getVersion(services.storage.db, owner, run.versionId)
  const opened = parseDocument(JSON.stringify(document), registry)
  if (!opened.ok) throw new AppError('INVALID_DOCUMENT', opened.problems[0] ?? { message: 'The pipeline cannot be opened.' })
  return { run, document: opened.document }
}

const Sweep = z.object({ run: Id, axes: z.array(SweepAxis).min(1).max(SWEEP_LIMITS.axes) })

async function sweepOf(services: Services, owner: string, { run: id, axes }: z.output<typeof Sweep>) {
  const { run, document } = await documentOf(services, owner, id)
  return { pipelineId: run.pipelineId, document, target: run.target, inputs: run.inputs, axes }
}

export async function comparedInputs(services: Services, owner: string, id: string, inputs: Record<string, unknown>) {
  const { run, document } = await documentOf(services, owner, id)
  return compareInputs(services.files, registry, document, run.inputs, inputs)
}

export const runTools = {
  /** What is new in the data, and what the run would do. */
  rerunPlan: authed.input(Rerun).query(async ({ ctx, input }) => {
    const [data, plan] = await Promise.all([
      comparedInputs(ctx.services, ctx.owner, input.run, input.inputs),
      ctx.services.runs.planRerun(ctx.owner, input),
    ])
    return { data, plan }
  }),
  rerun: authed.input(Rerun.extend({ idempotencyKey: Key })).mutation(({ ctx, input }) => ctx.services.runs.rerun(ctx.owner, input)),
  retryFrom: authed
    .input(z.object({ run: Id, node: z.string().min(1).max(64), idempotencyKey: Key }))
    .mutation(({ ctx, input }) => ctx.services.runs.retryFrom(ctx.owner, input.run, input.node, input.idempotencyKey)),
  /** A sweep over the document of a run: how many runs, how long (UX-77). */
  sweepPlan: authed.input(Sweep).query(async ({ ctx, input }) => {
    const { runs, seconds } = await ctx.services.runs.planSweep(ctx.owner, await sweepOf(ctx.services, ctx.owner, input))
    return { runs, seconds }
  }),
  startSweep: authed
    .input(Sweep.extend({ idempotencyKey: Key }))
    .mutation(async ({ ctx, input }) =>
      ctx.services.runs.sweep(ctx.owner, { ...(await sweepOf(ctx.services, ctx.owner, input)), idempotencyKey: input.idempotencyKey }),
    ),
  sweep: authed.input(z.object({ id: z.guid() })).query(({ ctx, input }) => getSweep(ctx.services.storage.db, ctx.owner, input.id)),
  /** Forgets the result of one node: the next plan runs it again and says why. */
  forget: authed.input(z.object({ run: Id, node: z.string().min(1).max(64) })).mutation(async ({ ctx, input }) => {
    const { db } = ctx.services.storage
    const node = (await listNodeRuns(db, ctx.owner, input.run)).find((one) => one.nodeId === input.node)
    if (!node) throw new AppError('NOT_FOUND', { message: 'There is no such node in this run.', got: `${input.run} ${input.node}` })
    return { forgotten: node.key !== null && (await invalidateResult(db, ctx.owner, node.key)) }
  }),
  describe: authed
    .input(
      z.object({
        id: Id,
        name: z.string().trim().max(200).nullish(),
        note: z.string().max(10_000).optional(),
        tags: z.array(z.string().trim().min(1).max(TAGS.chars)).max(TAGS.most).optional(),
      }),
    )
    .mutation(({ ctx, input: { id, ...values } }) =>
      describeRun(ctx.services.storage.db, ctx.owner, id, { ...values, ...(values.tags && { tags: [...new Set(values.tags)] }) }),
    ),
  tags: authed.query(({ ctx }) => tagsInUse(ctx.services.storage.db, ctx.owner)),
  /** What discarding would free. */
  held: authed.input(z.object({ ids: Ids })).query(({ ctx, input }) => heldOnlyBy(ctx.services.storage.db, ctx.owner, input.ids)),
  discard: authed.input(z.object({ ids: Ids })).mutation(({ ctx, input }) => discardRuns(ctx.services.storage.db, ctx.owner, input.ids)),
  disk: authed.query(async ({ ctx }) => ({
    ...(await diskUse(ctx.services.storage.db)),
    freeBytes: (await ctx.services.system()).freeBytes,
  })),
  /** Deletes what nothing refers to any more and is older than a day. */
  collect: authed.mutation(({ ctx }) => collectGarbage({ db: ctx.services.storage.db, store: ctx.services.artifacts })),
}
