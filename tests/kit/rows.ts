/** Rows that storage tests need around what they test: a pipeline with a run, made through storage's own functions. */
import type { Pipeline } from '../../nodes/_kit/graph'
import { emptyPipeline } from '../../nodes/_kit/graph'
import { NO_FACTS, plan } from '../../nodes/_kit/plan'
import { type Db, LOCAL_OWNER } from '../../server/storage/db'
import { newId } from '../../server/storage/ids'
import { createPipeline, versionFor } from '../../server/storage/pipelines'
import { insertRun, type NewNodeRun } from '../../server/storage/runs'

export const OWNER = LOCAL_OWNER
export const STRANGER = '01900000-0000-7000-8000-0000000000ff'

export function documentWith(params: Record<string, unknown> = {}): Pipeline {
  return {
    ...emptyPipeline(),
    nodes: { data: { type: 'load-data', version: 1, params } },
    layout: { nodes: { data: { x: 0, y: 0 } }, groups: [] },
  }
}

export async function madeRun(
  db: Db,
  options: { owner?: string; nodes?: Partial<NewNodeRun>[]; idempotencyKey?: string; pipelineId?: string } = {},
): Promise<{ run: string; number: number; existing: boolean; pipelineId: string; versionId: string; nodeRuns: Record<string, string> }> {
  const owner = options.owner ?? OWNER
  const document = documentWith()
  const pipelineId = options.pipelineId ?? (await createPipeline(db, owner, { name: 'Test', document })).id
  return db.transaction(async (tx) => {
    const version = await versionFor(tx, owner, pipelineId, document, 'run')
    const inserted = await insertRun(tx, owner, {
      pipelineId,
      versionId: version.id,
      target: null,
      inputs: {},
      plan: plan({ document, registry: {}, facts: NO_FACTS }),
      idempotencyKey: options.idempotencyKey ?? newId(),
      nodes: (options.nodes ?? [{}]).map((node) => ({
        nodeId: 'data',
        type: 'load-data',
        status: 'queued' as const,
        resource: 'cpu' as const,
        params: {},
        wires: {},
        ...node,
      })),
    })
    return {
      run: inserted.id,
      number: inserted.number,
      existing: inserted.existing,
      pipelineId,
      versionId: version.id,
      nodeRuns: Object.fromEntries(inserted.nodeRuns.map((node) => [node.nodeId, node.id])),
    }
  })
}
