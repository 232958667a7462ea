/** New runs made from earlier ones: with other data, or again from one node on. The earlier run never changes. */
import type { Pipeline } from '../../nodes/_kit/graph'
import { applyInputs, parseDocument } from '../../nodes/_kit/migrate'
import { isTrained, ModelHandle } from '../../nodes/_kit/ports'
import { reach } from '../../nodes/_kit/wires'
import { AppError } from '../errors'
import { getVersion } from '../storage/pipelines'
import { getRun, listNodeRuns, type NodeRunRow, type RunRow } from '../storage/runs'
import type { ExecutorDeps, SubmitRequest } from './run'
import { hasOutputs } from './states'

type Pins = Record<string, NonNullable<SubmitRequest['pins']>[string]>

export type RerunRequest = {
  run: string
  /** New values by exposed input; what is not named stays as it was. */
  inputs: Readonly<Record<string, unknown>>
  /** `last`: the training begins with the weights that the earlier run ended with; they become part of the lineage. */
  startFrom: 'base' | 'last'
  name?: string | null | undefined
  note?: string | undefined
  idempotencyKey: string
}

/** The document that a run ran with, brought to this version of Thaw. @throws AppError NOT_FOUND, INVALID_DOCUMENT */
export async function documentOfRun(deps: ExecutorDeps, owner: string, row: RunRow): Promise<Pipeline> {
  const version = await getVersion(deps.storage.db, owner, row.versionId)
  const opened = parseDocument(JSON.stringify(version.document), deps.registry)
  if (!opened.ok) throw new AppError('INVALID_DOCUMENT', opened.problems[0] ?? { message: 'The pipeline cannot be opened.' })
  return opened.document
}

/** What to submit for a rerun. */
export async function rerunRequest(deps: ExecutorDeps, owner: string, request: RerunRequest): Promise<SubmitRequest> {
  const row = await getRun(deps.storage.db, owner, request.run)
  const document = await documentOfRun(deps, owner, row)
  const inputs = { ...row.inputs, ...request.inputs }
  const { unknown } = applyInputs(document, inputs)
  if (unknown.length > 0) {
    throw new AppError('INVALID_INPUT', {
      message: `This pipeline has no input "${unknown[0]}".`,
      where: `run ${row.number}`,
      expected: document.inputs.map((input) => input.id).join(', ') || 'none: expose a setting first',
      got: unknown.join(', '),
    })
  }
  const pins = request.startFrom === 'last' ? trainedPins(row, document, await listNodeRuns(deps.storage.db, owner, row.id)) : {}
  return {
    pipelineId: row.pipelineId,
    document,
    target: row.target,
    inputs,
    idempotencyKey: request.idempotencyKey,
    parentRun: row.id,
    pins,
    name: request.name ?? null,
    note: request.note ?? '',
  }
}

/** For each training: whatever gives it its model gives the trained one instead. @throws AppError CONFLICT when nothing was trained */
export function trainedPins(row: RunRow, document: Pipeline, nodes: readonly NodeRunRow[]): Pins {
  const pins: Pins = {}
  for (const node of nodes) {
    if (!node.type.startsWith('train') || !hasOutputs(node.status)) continue
    const trained = ModelHandle.safeParse(node.outputs?.model)
    const wire = document.edges.find((edge) => edge.to.node === node.nodeId && edge.to.port === 'model')
    const source = wire && nodes.find((one) => one.nodeId === wire.from.node)
    const given = source && ModelHandle.safeParse(source.outputs?.[wire.from.port])
    if (!trained.success || !isTrained(trained.data) || !wire || !source || !given?.success) continue
    // A training that follows another one goes on from its own parent's new weights.
    if (source.type.startsWith('train')) continue
    const earlier = pins[source.nodeId]?.outputs ?? source.outputs ?? {}
    pins[source.nodeId] = {
      run: row.number,
      // The training's own node run: it holds the bytes of the weights.
      nodeRun: node.id,
      outputs: { ...earlier, [wire.from.port]: { ...trained.data, trainable: given.data.trainable } },
    }
  }
  if (Object.keys(pins).length === 0)
    throw new AppError('CONFLICT', {
      message: `Run ${row.number} has no trained model to start from.`,
      where: `run ${row.number}`,
      expected: 'a finished training',
      fix: 'Start from the base model.',
    })
  return pins
}

/** Again from one node on: what finished and does not lie below it is taken as it is, also what is volatile. */
export async function retryRequest(
  deps: ExecutorDeps,
  owner: string,
  runId: string,
  nodeId: string,
  idempotencyKey: string,
): Promise<SubmitRequest> {
  const row = await getRun(deps.storage.db, owner, runId)
  if (row.endedAt === null)
    throw new AppError('CONFLICT', { message: `Run ${row.number} is not over.`, where: `run ${row.number}`, fix: 'Stop it first.' })
  const document = await documentOfRun(deps, owner, row)
  const nodes = await listNodeRuns(deps.storage.db, owner, runId)
  const here = nodes.find((node) => node.nodeId === nodeId)
  if (!here) throw new AppError('NOT_FOUND', { message: 'There is no such node in this run.', where: `run ${row.number}`, got: nodeId })
  const down = new Map<string, string[]>()
  for (const { from, to } of document.edges) down.set(from.node, [...(down.get(from.node) ?? []), to.node])
  const below = new Set([nodeId, ...reach(down, nodeId)])
  const pins: Pins = {}
  for (const node of nodes)
    if (!below.has(node.nodeId) && hasOutputs(node.status) && node.outputs)
      pins[node.nodeId] = { run: row.number, nodeRun: node.id, outputs: node.outputs }
  return {
    pipelineId: row.pipelineId,
    document,
    target: row.target,
    inputs: row.inputs,
    idempotencyKey,
    parentRun: row.id,
    pins,
    // What finished would be found again by its key; what did not goes on from its checkpoint, which forcing would forbid.
    force: nodes.filter((node) => below.has(node.nodeId) && hasOutputs(node.status)).map((node) => node.nodeId),
  }
}
