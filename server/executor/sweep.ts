/**
 * Several runs of one pipeline with other params (UX-77). They are ordinary runs in the ordinary queue: they survive restarts, share what they have
 * in common, and one that fails stops no other.
 */
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Plan } from '../../nodes/_kit/plan'
import { SWEEP_LIMITS, type SweepAxis, sweepDocument, sweepSize, sweepValues } from '../../nodes/_kit/sweep'
import { AppError } from '../errors'
import { insertSweep } from '../storage/sweeps'
import type { ExecutorDeps, SubmitRequest, Submitted } from './run'

export type SweepRequest = {
  pipelineId: string
  document: Pipeline
  target: string[] | null
  inputs: Record<string, unknown>
  axes: SweepAxis[]
  /** One per click: the same key again finishes what a broken-off request began. */
  idempotencyKey: string
}
export type SweepPlan = { runs: number; seconds: number; first: Plan }

type Parts = {
  plan(owner: string, request: Pick<SubmitRequest, 'pipelineId' | 'document' | 'target' | 'inputs'>): Promise<Plan>
  submit(owner: string, request: SubmitRequest): Promise<Submitted>
}

/** @throws AppError INVALID_INPUT */
function assertAxes({ axes, document }: Pick<SweepRequest, 'axes' | 'document'>): void {
  const size = sweepSize(axes)
  const bad = (message: string, where?: string, got?: string) =>
    new AppError('INVALID_INPUT', { message, where, got, fix: 'Take away values, or whole settings.' })
  if (axes.length === 0 || axes.length > SWEEP_LIMITS.axes)
    throw bad(`A sweep has 1 to ${SWEEP_LIMITS.axes} settings.`, 'axes', String(axes.length))
  if (size > SWEEP_LIMITS.runs) throw bad(`A sweep makes at most ${SWEEP_LIMITS.runs} runs.`, 'axes', `${size} runs`)
  const names = axes.map(({ node, param }) => `${node}.${param}`)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw bad(`${twice} is there twice.`, twice)
  for (const { node, param } of axes)
    if (!Object.hasOwn(document.nodes, node)) throw bad(`The pipeline has no node "${node}".`, `${node}.${param}`, node)
}

export function createSweep(deps: ExecutorDeps, parts: Parts) {
  const each = (request: SweepRequest) =>
    Array.from({ length: sweepSize(request.axes) }, (_, i) => {
      const values = sweepValues(request.axes, i)
      return { i, values, document: sweepDocument(request.document, request.axes, values) }
    })
  const named = (axes: readonly SweepAxis[], values: readonly unknown[]) =>
    axes.map(({ param }, i) => `${param} ${typeof values[i] === 'string' ? values[i] : JSON.stringify(values[i])}`).join(', ')

  /** Plans every run, so that none is refused after others have begun. @throws AppError PLAN_BLOCKED that names the values */
  async function planSweep(owner: string, request: Omit<SweepRequest, 'idempotencyKey'>): Promise<SweepPlan> {
    const whole = { ...request, idempotencyKey: '' }
    assertAxes(whole)
    let first: Plan | null = null
    let seconds = 0
    // What two runs share is computed once: a node counts where its key, or the values above it, are new.
    const counted = new Set<string>()
    for (const { values, document } of each(whole)) {
      const { pipelineId, target, inputs } = request
      const plan = await parts.plan(owner, { pipelineId, document, target, inputs })
      const blocked = plan.nodes.find((node) => node.action === 'blocked')
      if (blocked)
        throw new AppError('PLAN_BLOCKED', {
          message: `With ${named(request.axes, values)}: ${blocked.reasons[0]?.text ?? 'a node cannot run.'}`,
          where: blocked.node,
          fix: 'Change these values.',
        })
      first ??= plan
      for (const node of plan.nodes) {
        if (node.action === 'reuse') continue
        const signature = JSON.stringify([node.node, node.key ?? [node.params, upstream(plan, node.node)]])
        if (!counted.has(signature)) seconds += node.cost?.seconds ?? 0
        counted.add(signature)
      }
    }
    return { runs: sweepSize(request.axes), seconds, first: first as Plan }
  }

  /** Submits all of them; asked again with the same key it submits what is missing. */
  async function sweep(owner: string, request: SweepRequest): Promise<{ sweep: string; runs: string[] }> {
    await planSweep(owner, request)
    const id = await insertSweep(deps.storage.db, owner, request)
    const runs: string[] = []
    for (const { i, values, document } of each(request)) {
      const made = await parts.submit(owner, {
        pipelineId: request.pipelineId,
        document,
        target: request.target,
        inputs: request.inputs,
        idempotencyKey: `sweep:${id}:${i}`,
        sweepId: id,
        name: named(request.axes, values).slice(0, 200),
        // Whoever presses Run meanwhile does not wait for a hundred runs.
        priority: -1,
      })
      runs.push(made.run)
    }
    return { sweep: id, runs }
  }

  return { planSweep, sweep }
}

/** Params of everything above a node, so that equal work is counted once. */
function upstream(plan: Plan, id: string): unknown[] {
  const seen = new Set<string>()
  const walk = (at: string): void => {
    for (const end of Object.values(plan.nodes.find((node) => node.node === at)?.wires ?? {})) {
      if (seen.has(end.node)) continue
      seen.add(end.node)
      walk(end.node)
    }
  }
  walk(id)
  return plan.nodes.filter((node) => seen.has(node.node)).map((node) => [node.node, node.params])
}
