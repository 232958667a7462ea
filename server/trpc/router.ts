/**
 * Every question the browser may ask. A procedure parses, calls storage, nodes or the executor, and leaves errors to init.ts; none is public.
 * The procedures are listed in ARCHITECTURE.md; a test compares the two lists.
 */
import { tracked } from '@trpc/server'
import * as z from 'zod'
import { registry } from '../../nodes'
import { check } from '../../nodes/_kit/check'
import type { Fact, FactRequest } from '../../nodes/_kit/facts'
import type { Pipeline } from '../../nodes/_kit/graph'
import { factKey } from '../../nodes/_kit/infer'
import { loadDocument } from '../../nodes/_kit/migrate'
import { datasetRows } from '../dataset-rows'
import { AppError } from '../errors'
import { compareDatasets } from '../rerun-data'
import { listUploads } from '../storage/artifacts'
import { metricPoints } from '../storage/events'
import * as pipelines from '../storage/pipelines'
import * as runs from '../storage/runs'
import { listWorkers } from '../storage/workers'
import { NewTemplate } from '../templates'
import { authed, router } from './init'
import { runTools } from './run-tools'
import { downsample } from './series'
import type { Services } from './services'

const Id = z.uuid()
const Name = z.string().trim().min(1).max(200)
/** Typed for the client; what comes is opened with bounds and migrations (SEC-15, R-94), never taken as it is. */
const Document = z.custom<Pipeline>((value) => typeof value === 'object' && value !== null)
const NodeId = z.string().min(1).max(64)
const Inputs = z.record(z.string(), z.unknown()).default({})
const Target = z.array(NodeId).max(2_000).nullable().default(null)

/** @throws AppError INVALID_DOCUMENT that lists every fault. */
function opened(value: unknown): Pipeline {
  const loaded = loadDocument(value, registry)
  if (loaded.ok) return loaded.document
  const [first] = loaded.problems
  throw new AppError('INVALID_DOCUMENT', {
    message: loaded.problems
      .map((problem) => problem.message)
      .join(' ')
      .slice(0, 4_000),
    where: first?.where,
    expected: first?.expected,
    got: first?.got,
    fix: first?.fix,
  })
}

async function factsFor(services: Services, owner: string, requests: readonly FactRequest[]): Promise<Record<string, Fact>> {
  const entries = await Promise.all(
    requests.map(async (request) => [factKey(request), await services.facts.resolve(owner, request)] as const),
  )
  return Object.fromEntries(entries)
}

const FactRequestInput = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('model'), source: z.string().max(4_096) }),
  z.object({ kind: z.literal('data'), file: z.string().max(4_096) }),
])

const system = router({
  status: authed.query(async ({ ctx: { services, owner } }) => {
    const [info, workers, open] = await Promise.all([
      services.system(),
      listWorkers(services.storage.db),
      runs.listRuns(services.storage.db, owner, { open: true }),
    ])
    return { ...info, workers, openRuns: open, streams: services.hub.readers, now: new Date() }
  }),
})

const templates = router({
  list: authed.query(({ ctx }) => ctx.services.templates.list()),
  get: authed.input(z.object({ id: z.string().max(64) })).query(({ ctx, input }) => ctx.services.templates.get(input.id)),
  /** A cleaned copy of a document; answers what was taken out of it. */
  save: authed.input(NewTemplate.extend({ document: Document })).mutation(({ ctx, input: { document, ...values } }) => {
    const { templates } = ctx.services
    return templates.save(values, opened(document))
  }),
  remove: authed.input(z.object({ id: z.string().max(64) })).mutation(({ ctx, input }) => ctx.services.templates.remove(input.id)),
})

const pipelineRouter = router({
  list: authed.query(({ ctx }) => pipelines.listPipelines(ctx.services.storage.db, ctx.owner)),
  get: authed.input(z.object({ id: Id })).query(async ({ ctx, input }) => {
    const row = await pipelines.getPipeline(ctx.services.storage.db, ctx.owner, input.id)
    return { ...row, document: opened(row.document) }
  }),
  /** From a template, from a document (import), or blank. */
  create: authed
    .input(z.object({ name: Name.optional(), template: z.string().max(64).optional(), document: Document.optional() }))
    .mutation(async ({ ctx, input }) => {
      const { db } = ctx.services.storage
      if (input.template !== undefined) {
        const template = await ctx.services.templates.get(input.template)
        return pipelines.createPipeline(db, ctx.owner, {
          name: input.name ?? template.title,
          document: template.document,
          templateOf: template.id,
        })
      }
      return pipelines.createPipeline(db, ctx.owner, {
        name: input.name ?? 'Untitled',
        ...(input.document === undefined ? {} : { document: opened(input.document) }),
      })
    }),
  save: authed
    .input(z.object({ id: Id, revision: z.int().min(1), document: Document }))
    .mutation(({ ctx, input }) =>
      pipelines.savePipeline(ctx.services.storage.db, ctx.owner, input.id, { document: opened(input.document), revision: input.revision }),
    ),
  rename: authed
    .input(z.object({ id: Id, name: Name }))
    .mutation(({ ctx, input }) => pipelines.renamePipeline(ctx.services.storage.db, ctx.owner, input.id, input.name)),
  duplicate: authed.input(z.object({ id: Id, name: Name.optional() })).mutation(async ({ ctx, input }) => {
    const source = await pipelines.getPipeline(ctx.services.storage.db, ctx.owner, input.id)
    return pipelines.duplicatePipeline(ctx.services.storage.db, ctx.owner, input.id, input.name ?? `${source.name} copy`.slice(0, 200))
  }),
  remove: authed
    .input(z.object({ id: Id }))
    .mutation(({ ctx, input }) => pipelines.removePipeline(ctx.services.storage.db, ctx.owner, input.id)),
  versions: authed
    .input(z.object({ id: Id }))
    .query(({ ctx, input }) => pipelines.listVersions(ctx.services.storage.db, ctx.owner, input.id)),
  version: authed.input(z.object({ id: Id })).query(async ({ ctx, input }) => {
    const row = await pipelines.getVersion(ctx.services.storage.db, ctx.owner, input.id)
    return { ...row, document: opened(row.document) }
  }),
  /** A named version of the draft as it is. */
  saveVersion: authed.input(z.object({ id: Id, name: Name })).mutation(({ ctx, input }) =>
    ctx.services.storage.db.transaction(async (tx) => {
      const { document } = await pipelines.getPipeline(tx, ctx.owner, input.id)
      return pipelines.addVersion(tx, ctx.owner, input.id, { document, reason: 'save', name: input.name })
    }),
  ),
  restore: authed
    .input(z.object({ version: Id }))
    .mutation(({ ctx, input }) => pipelines.restoreVersion(ctx.services.storage.db, ctx.owner, input.version)),
  /** Problems, and the facts they rest on: with both the browser infers the rest by itself. */
  check: authed.input(z.object({ document: Document })).query(async ({ ctx, input }) => {
    const document = opened(input.document)
    const facts = await factsFor(ctx.services, ctx.owner, check(document, registry).inference.unanswered)
    return { problems: check(document, registry, facts).problems, facts }
  }),
})

const factRouter = router({
  /** Answers by `factKey`. */
  resolve: authed
    .input(z.object({ requests: z.array(FactRequestInput).max(200) }))
    .query(({ ctx, input }) => factsFor(ctx.services, ctx.owner, input.requests)),
})

const PlanInput = z.object({ pipelineId: Id.nullable().default(null), document: Document, target: Target, inputs: Inputs })

const runRouter = router({
  ...runTools,
  plan: authed
    .input(PlanInput)
    .query(({ ctx, input }) => ctx.services.runs.plan(ctx.owner, { ...input, document: opened(input.document) })),
  submit: authed
    .input(
      z.object({
        pipelineId: Id,
        /** Absent: the saved draft. */
        document: Document.optional(),
        target: Target,
        inputs: Inputs,
        /** One per click: the same key again gives the same run. */
        idempotencyKey: z.string().min(8).max(100),
        parentRun: Id.nullable().default(null),
        force: z.array(NodeId).max(2_000).default([]),
      }),
    )
    .mutation(async ({ ctx, input }) => {
      const document = opened(
        input.document ?? (await pipelines.getPipeline(ctx.services.storage.db, ctx.owner, input.pipelineId)).document,
      )
      return ctx.services.runs.submit(ctx.owner, { ...input, document })
    }),
  /** A snapshot; its events go on after `seq`. */
  get: authed.input(z.object({ id: Id })).query(async ({ ctx, input }) => {
    const [snapshot, attempts] = await Promise.all([
      runs.runSnapshot(ctx.services.storage.db, ctx.owner, input.id),
      runs.listAttempts(ctx.services.storage.db, ctx.owner, input.id),
    ])
    return { ...snapshot, attempts }
  }),
  list: authed
    .input(
      z
        .object({
          pipelineId: Id.optional(),
          before: z.int().min(1).optional(),
          limit: z.int().min(1).max(200).default(50),
          open: z.boolean().optional(),
          search: z.string().max(200).optional(),
          tag: z.string().max(40).optional(),
          sweepId: Id.optional(),
        })
        .default({ limit: 50 }),
    )
    .query(({ ctx, input }) => runs.listRuns(ctx.services.storage.db, ctx.owner, input)),
  stop: authed
    .input(z.object({ id: Id, how: z.enum(['keep', 'now', 'pause']).default('keep') }))
    .mutation(({ ctx, input }) => ctx.services.runs.stop(ctx.owner, input.id, input.how)),
  resume: authed.input(z.object({ id: Id })).mutation(({ ctx, input }) => ctx.services.runs.resume(ctx.owner, input.id)),
  /** Curves of one node, down-sampled on the server. */
  series: authed
    .input(z.object({ id: Id, node: NodeId, points: z.int().min(10).max(5_000).default(1_000) }))
    .query(async ({ ctx, input }) => {
      const all = await metricPoints(ctx.services.storage.db, ctx.owner, input.id, input.node)
      return { total: all.length, points: downsample(all, input.points) }
    }),
  /** One per tab, all runs multiplexed. After a reconnect the client sends back the last cursor it saw. */
  events: authed
    .input(
      z.object({
        cursors: z.record(Id, z.int().min(0)).refine((runs) => Object.keys(runs).length <= 100, 'at most 100 runs'),
        lastEventId: z.string().max(10_000).nullish(),
      }),
    )
    .subscription(async function* ({ ctx, input, signal }) {
      const cursors = { ...input.cursors, ...seenCursors(input.lastEventId, input.cursors) }
      for await (const batch of ctx.services.hub.read(ctx.owner, cursors, signal ?? new AbortController().signal)) {
        yield tracked(JSON.stringify(batch.cursors), batch.events)
      }
    }),
})

/** The cursor map that travelled as the SSE event id; only runs that are asked for, and never backwards. */
function seenCursors(lastEventId: string | null | undefined, asked: Record<string, number>): Record<string, number> {
  if (!lastEventId) return {}
  const parsed = z.record(z.string(), z.int().min(0)).safeParse(parseJson(lastEventId))
  if (!parsed.success) return {}
  return Object.fromEntries(Object.entries(parsed.data).filter(([run, seq]) => asked[run] !== undefined && seq > asked[run]))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const PortOfRun = z.object({ run: Id, node: NodeId, port: z.string().max(64) })

/** The dataset on an output port. Reached through the run, never by digest alone (SEC-16). @throws AppError NOT_FOUND */
async function datasetOn(services: Services, owner: string, { run, node, port }: z.output<typeof PortOfRun>) {
  const { outputs } = await runs.outputsOf(services.storage.db, owner, run, node)
  const handle = z
    .object({ artifact: z.string(), columns: z.array(z.string()), format: z.string(), rows: z.number() })
    .safeParse(outputs?.[port])
  if (!handle.success) throw new AppError('NOT_FOUND', { message: 'There is no dataset on this port.', got: `${node}.${port}` })
  return handle.data
}

const artifacts = router({
  /** A page of the dataset on an output port. */
  rows: authed
    .input(
      PortOfRun.extend({
        offset: z.int().min(0).default(0),
        limit: z.int().min(1).max(500).default(50),
      }),
    )
    .query(async ({ ctx, input }) => {
      const handle = await datasetOn(ctx.services, ctx.owner, input)
      const page = await datasetRows(ctx.services.artifacts, handle.artifact, input)
      return { ...page, offset: input.offset, columns: handle.columns, format: handle.format }
    }),
  /** What is new in one dataset against another; both are reached through their runs (SEC-16). */
  compare: authed.input(z.object({ earlier: PortOfRun, later: PortOfRun })).query(async ({ ctx, input }) => {
    const [a, b] = await Promise.all([datasetOn(ctx.services, ctx.owner, input.earlier), datasetOn(ctx.services, ctx.owner, input.later)])
    return compareDatasets(ctx.services.artifacts, a.artifact, b.artifact)
  }),
  /** Files sent through the browser, newest first. */
  uploads: authed.query(({ ctx }) => listUploads(ctx.services.storage.db, ctx.owner)),
})

const inspect = router({
  submit: authed
    .input(z.object({ kind: z.string().regex(/^[a-z][a-z-]{0,40}$/), request: z.record(z.string(), z.unknown()) }))
    .mutation(async ({ ctx, input: { kind, request } }) => {
      // A dataset is named by the run that made it; the digest behind it is ours to fill in (SEC-16).
      const { dataset, artifact: _, rows, ...rest } = request
      if (dataset === undefined)
        return ctx.services.runs.inspect(ctx.owner, { kind, request: rows === undefined ? rest : { ...rest, rows } })
      const named = PortOfRun.safeParse(dataset)
      if (!named.success) throw new AppError('INVALID_INPUT', { message: 'A dataset is named by run, node and port.', where: 'dataset' })
      const handle = await datasetOn(ctx.services, ctx.owner, named.data)
      return ctx.services.runs.inspect(ctx.owner, { kind, request: { ...rest, artifact: handle.artifact, rows: handle.rows } })
    }),
  result: authed.input(z.object({ id: Id })).query(({ ctx, input }) => ctx.services.runs.inspection(ctx.owner, input.id)),
})

export const appRouter = router({ system, templates, pipelines: pipelineRouter, facts: factRouter, runs: runRouter, artifacts, inspect })
export type AppRouter = typeof appRouter
