/** Runs as users command them: plan, submit, stop, pause, resume. Each command is one transaction; the workers do the rest. */

import type { Pipeline } from '../../nodes/_kit/graph'
import { parseDocument } from '../../nodes/_kit/migrate'
import type { Plan, PlanNode } from '../../nodes/_kit/plan'
import { AppError } from '../errors'
import type { Tx } from '../storage/db'
import { appendEvents, notifyControl } from '../storage/events'
import { childRuns, lockRun, type ResourceClass, scheduledOf, setRunWanted } from '../storage/node-runs'
import { getVersion, versionFor } from '../storage/pipelines'
import { getRun, insertRun, listNodeRuns, type NewNodeRun } from '../storage/runs'
import { servedClasses } from '../storage/worker-rows'
import { type PlanDeps, type PlanRequest, planWithFacts } from './plan-facts'
import type { Queue } from './queue'
import { type RerunRequest, rerunRequest, retryRequest } from './rerun'
import { advance, enqueue, move, nodeEvent } from './schedule'
import { hasOutputs } from './states'
import { createSweep } from './sweep'

export type ExecutorDeps = PlanDeps & { queue: Queue }

export type SubmitRequest = {
  pipelineId: string
  document: Pipeline
  target?: readonly string[] | null
  inputs?: Readonly<Record<string, unknown>>
  /** Nodes to run although their result is known. */
  force?: readonly string[]
  /** Made by the client once per press of the button: the same key twice is one run. */
  idempotencyKey: string
  parentRun?: string | null
  /** Outputs to take as they are, by node id. */
  pins?: PlanRequest['pins']
  priority?: number | undefined
  name?: string | null
  note?: string
  sweepId?: string | null
}
export type Submitted = { run: string; number: number; existing: boolean; plan: Plan }

/**
 * `keep`: finish the step, keep the checkpoint. `now`: end at once; the last committed checkpoint counts. `pause`: as keep, but Resume
 * continues the same run.
 */
export type StopHow = 'keep' | 'now' | 'pause'
const WANTED = { keep: 'stop', now: 'cancel', pause: 'pause' } as const

export type Executor = ReturnType<typeof createExecutor>

export function createExecutor(deps: ExecutorDeps) {
  const { storage, queue } = deps

  const plan = (owner: string, request: PlanRequest): Promise<Plan> => planWithFacts(deps, owner, request)

  /** @throws AppError PLAN_BLOCKED that lists what is in the way. */
  async function submit(owner: string, request: SubmitRequest): Promise<Submitted> {
    const { force, ...rest } = request
    const planned = await plan(owner, { ...rest, ...(force && { forced: force }) })
    assertRunnable(planned)
    const classes = await servedClasses(storage.db)
    const submitted = await storage.db.transaction((tx) => submitIn(tx, queue, owner, request, planned, classes))
    return { ...submitted, plan: planned }
  }

  /** Acknowledged when this returns: what had not begun is cancelled, what runs is told. */
  async function stop(owner: string, runId: string, how: StopHow): Promise<void> {
    const wanted = WANTED[how]
    await getRun(storage.db, owner, runId)
    await storage.db.transaction(async (tx) => {
      const run = await lockRun(tx, runId)
      if (!run || run.status === 'succeeded' || run.status === 'failed' || run.status === 'stopped') return
      await setRunWanted(tx, runId, wanted)
      run.wanted = wanted
      const events = [{ nodeId: null, kind: 'run' as const, data: { status: run.status, wanted } }]
      for (const node of await scheduledOf(tx, runId)) {
        if (node.status !== 'waiting' && node.status !== 'queued' && (node.status !== 'paused' || how === 'pause')) continue
        if (node.jobId !== null) await queue.cancel(tx, node.resource, node.jobId)
        const to = how === 'pause' ? 'paused' : node.status === 'paused' ? 'stopped' : 'cancelled'
        await move(tx, node, to)
        events.push(nodeEvent(node.nodeId, { status: to }) as never)
      }
      await advance(tx, queue, run, events)
      await notifyControl(tx, runId)
    })
  }

  /** A paused run goes on itself; a stopped or failed one is tried again as a new run that takes over what is finished. */
  async function resume(owner: string, runId: string): Promise<{ run: string; number: number }> {
    const row = await getRun(storage.db, owner, runId)
    if (row.status === 'succeeded') {
      throw new AppError('CONFLICT', { message: `Run ${row.number} has finished; there is nothing to resume.`, where: `run ${row.number}` })
    }
    if (row.status === 'failed' || row.status === 'stopped') {
      const earlier = await childRuns(storage.db, owner, runId)
      const open = earlier.find((child) => child.endedAt === null)
      if (open) return { run: open.id, number: open.number }
      const version = await getVersion(storage.db, owner, row.versionId)
      // Volatile nodes are never found by their key, so what they gave is pinned; all else is found again by itself.
      const pins: Record<string, { run: number; nodeRun: string; outputs: Record<string, unknown> }> = {}
      for (const node of await listNodeRuns(storage.db, owner, runId)) {
        const volatile = Object.hasOwn(deps.registry, node.type) && deps.registry[node.type]?.purity === 'volatile'
        if (volatile && hasOutputs(node.status) && node.outputs)
          pins[node.nodeId] = { run: row.number, nodeRun: node.id, outputs: node.outputs }
      }
      const opened = parseDocument(JSON.stringify(version.document), deps.registry)
      if (!opened.ok) throw new AppError('INVALID_DOCUMENT', opened.problems[0] ?? { message: 'The pipeline cannot be opened.' })
      return submit(owner, {
        pipelineId: row.pipelineId,
        document: opened.document,
        target: row.target,
        inputs: row.inputs,
        // Two clicks at once see the same number of earlier tries, so they make one run.
        idempotencyKey: `resume:${row.id}:${earlier.length}`,
        parentRun: row.id,
        pins,
      })
    }
    await storage.db.transaction(async (tx) => {
      const run = await lockRun(tx, runId)
      if (!run || run.wanted === 'run') return
      await setRunWanted(tx, runId, 'run')
      run.wanted = 'run'
      const nodes = await scheduledOf(tx, runId)
      const status = new Map(nodes.map((node) => [node.nodeId, node.status]))
      const events = [{ nodeId: null, kind: 'run' as const, data: { status: run.status, wanted: 'run' as const } }]
      for (const node of nodes) {
        if (node.status !== 'paused') continue
        const ready = Object.values(node.wires).every((end) => hasOutputs(status.get(end.node) ?? 'waiting'))
        if (ready) await enqueue(tx, queue, run, node)
        else await move(tx, node, 'waiting')
        events.push(nodeEvent(node.nodeId, { status: node.status }) as never)
      }
      await advance(tx, queue, run, events)
      await notifyControl(tx, runId)
    })
    return { run: row.id, number: row.number }
  }

  const rerun = async (owner: string, request: RerunRequest): Promise<Submitted> => submit(owner, await rerunRequest(deps, owner, request))

  /** What a rerun would do, without doing it. */
  async function planRerun(owner: string, request: Omit<RerunRequest, 'idempotencyKey'>): Promise<Plan> {
    const { document, inputs, target, pins, pipelineId } = await rerunRequest(deps, owner, { ...request, idempotencyKey: '' })
    return plan(owner, { pipelineId, document, target: target ?? null, inputs: inputs ?? {}, ...(pins && { pins }) })
  }

  const retryFrom = async (owner: string, runId: string, nodeId: string, idempotencyKey: string): Promise<Submitted> =>
    submit(owner, await retryRequest(deps, owner, runId, nodeId, idempotencyKey))

  return { plan, submit, stop, resume, rerun, planRerun, retryFrom, ...createSweep(deps, { plan, submit }) }
}

/** @throws AppError PLAN_BLOCKED */
export function assertRunnable(planned: Plan): void {
  const blocked = planned.nodes.filter((node) => node.action === 'blocked')
  if (blocked.length === 0 && planned.nodes.length > 0) return
  if (planned.nodes.length === 0) {
    throw new AppError('PLAN_BLOCKED', {
      message: 'There is nothing to run.',
      expected: 'at least one enabled node',
      got: 'none',
      fix: 'Add a node.',
    })
  }
  const roots = blocked.filter((node) => node.reasons.every((reason) => reason.code !== 'upstream-blocked'))
  const first = roots[0] ?? blocked[0]
  throw new AppError('PLAN_BLOCKED', {
    message: `${first?.title ?? 'A node'} cannot run: ${first?.reasons[0]?.text ?? 'it is blocked.'}`,
    where: (roots.length > 0 ? roots : blocked).map((node) => node.node).join(', '),
    expected: 'every node of the run ready',
    got: `${blocked.length} blocked`,
    details: roots.map((node) => `${node.node}: ${node.reasons.map((reason) => reason.text).join(' ')}`).join('\n'),
    fix: 'Correct what is marked, or run only to a node above it.',
  })
}

/** The whole of a submit: version, run, node runs, jobs and first events appear together or not at all. */
async function submitIn(
  tx: Tx,
  queue: Queue,
  owner: string,
  request: SubmitRequest,
  planned: Plan,
  classes: readonly ResourceClass[],
): Promise<Omit<Submitted, 'plan'>> {
  const version = await versionFor(tx, owner, request.pipelineId, request.document, 'run')
  const finished = new Set(planned.nodes.filter((node) => node.action === 'reuse').map((node) => node.node))
  const submitted = await insertRun(tx, owner, {
    pipelineId: request.pipelineId,
    versionId: version.id,
    parentRun: request.parentRun ?? null,
    target: request.target ? [...request.target] : null,
    inputs: { ...request.inputs },
    // Outputs stand in the node runs; twice would only make the row large.
    plan: { ...planned, nodes: planned.nodes.map((node) => ({ ...node, outputs: null })) },
    idempotencyKey: request.idempotencyKey,
    priority: request.priority ?? 0,
    name: request.name ?? null,
    note: request.note ?? '',
    sweepId: request.sweepId ?? null,
    nodes: planned.nodes.map((node) => newNodeRun(node, finished, classes, request.force ?? [])),
  })
  if (submitted.existing) return { run: submitted.id, number: submitted.number, existing: true }
  const run = await lockRun(tx, submitted.id)
  if (!run) throw new AppError('INTERNAL', { message: 'The run was not stored.' })
  const reused = planned.nodes
    .filter((node) => node.action === 'reuse')
    .map((node) =>
      nodeEvent(node.node, {
        status: 'reused',
        attempt: 0,
        key: node.key,
        outputs: node.outputs,
        ...(node.from && { reusedFrom: { run: node.from.run, nodeRun: node.from.nodeRun } }),
      }),
    )
  await appendEvents(tx, run.id, [{ nodeId: null, kind: 'run', data: { status: 'queued', wanted: 'run' } }])
  await advance(tx, queue, run, reused)
  return { run: submitted.id, number: submitted.number, existing: false }
}

function newNodeRun(
  node: PlanNode,
  finished: ReadonlySet<string>,
  classes: readonly ResourceClass[],
  forced: readonly string[],
): NewNodeRun {
  return {
    nodeId: node.node,
    type: node.type,
    // `waiting` even when ready: `advance` queues what is, in the same transaction.
    status: finished.has(node.node) ? 'reused' : 'waiting',
    // Engine work asks for a GPU worker only where one lives; else it would wait for ever.
    resource: node.resource === 'engine' && classes.includes('gpu') ? 'gpu' : 'cpu',
    params: node.params ?? {},
    wires: { ...node.wires },
    recipe: {
      version: node.version,
      implDigest: node.implDigest,
      inputs: node.inputs ? { ...node.inputs } : null,
      source: node.source,
      estimatedSeconds: node.cost?.seconds ?? null,
      ...(forced.includes(node.node) && { forced: true }),
    },
    key: node.key,
    identityKey: node.identityKey,
    outputs: node.outputs,
    reusedFrom: node.action === 'reuse' ? (node.from?.nodeRun ?? null) : null,
  }
}
