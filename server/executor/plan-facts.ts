/** Loads what a plan rests on: facts of files and models, earlier results, checkpoints, the last runs, and whether their artifacts are there. */
import type { PortDef, Registry } from '../../nodes/_kit/define-node'
import type { FactRequest } from '../../nodes/_kit/facts'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Facts, factKey, inferGraph } from '../../nodes/_kit/infer'
import { applyInputs } from '../../nodes/_kit/migrate'
import {
  artifactsOfOutputs,
  type LastRun,
  NO_FACTS,
  type Plan,
  type PlanFacts,
  plan,
  type StoredCheckpoint,
  type StoredResult,
} from '../../nodes/_kit/plan'
import type { Storage } from '../storage/db'
import { checkpointsByIdentity, resultsByKey } from '../storage/results'
import { lastNodeRuns } from '../storage/runs'
import type { SourceDigest } from './attempts'

export type PlanDeps = {
  storage: Storage
  registry: Registry
  implDigests: Readonly<Record<string, string>>
  /** Headers and first rows (server/facts.ts). */
  lookAt(requests: readonly FactRequest[]): Promise<Facts>
  /** Digest of the content behind a request; null when it is not there. */
  digestOf(request: FactRequest): Promise<SourceDigest | null>
  /** Whether stored bytes are there, by size. */
  present(digest: string): Promise<boolean>
  freeBytes?(): Promise<number | null>
  /** Memory of this machine, or of the container it is in. */
  memoryBytes?(): number | null
}

export type PlanRequest = {
  /** For "what changed since the last run"; null for a document that was never saved. */
  pipelineId: string | null
  document: Pipeline
  target?: readonly string[] | null
  inputs?: Readonly<Record<string, unknown>>
  pins?: PlanFacts['pins']
  forced?: readonly string[]
}

/** Plans, loading what the plan says it needs; each round knows at least one more level of the graph. */
export async function planWithFacts(deps: PlanDeps, owner: string, request: PlanRequest): Promise<Plan> {
  const { registry, storage } = deps
  const { document } = applyInputs(request.document, request.inputs ?? {})
  const requests = inferGraph(document, registry, {}).unanswered
  const [facts, sources, last, freeBytes] = await Promise.all([
    deps.lookAt(requests),
    Promise.all(requests.map(async (one) => [factKey(one), await deps.digestOf(one)] as const)),
    request.pipelineId === null ? [] : lastNodeRuns(storage.db, owner, request.pipelineId),
    deps.freeBytes?.() ?? null,
  ])
  const known: PlanFacts = {
    ...NO_FACTS,
    facts,
    implDigests: deps.implDigests,
    sources: Object.fromEntries(sources),
    last: Object.fromEntries(
      last.map((row): [string, LastRun] => [
        row.nodeId,
        {
          run: row.run,
          done: row.status === 'done' || row.status === 'reused',
          version: row.recipe?.version ?? 1,
          implDigest: row.recipe?.implDigest ?? null,
          params: row.params,
          inputs: row.recipe?.inputs ?? null,
          source: row.recipe?.source ?? null,
          seconds: row.status === 'done' ? row.seconds : null,
          estimatedSeconds: row.recipe?.estimatedSeconds ?? null,
        },
      ]),
    ),
    ...(request.pins && { pins: request.pins }),
    forced: request.forced ?? [],
    freeBytes,
    memoryBytes: deps.memoryBytes?.() ?? null,
  }
  const results: Record<string, StoredResult | null> = {}
  const checkpoints: Record<string, readonly StoredCheckpoint[]> = {}
  for (let round = 0; ; round++) {
    const now = plan({
      document: request.document,
      registry,
      target: request.target ?? null,
      inputs: request.inputs ?? {},
      facts: { ...known, results, checkpoints },
    })
    const { needs } = now
    // Each round answers everything asked, so the graph's depth bounds the rounds; the bound is against a fault of ours.
    if ((needs.results.length === 0 && needs.checkpoints.length === 0) || round > Object.keys(document.nodes).length + 1) return now
    const [found, saved] = await Promise.all([
      resultsByKey(storage.db, owner, needs.results),
      checkpointsByIdentity(storage.db, owner, needs.checkpoints),
    ])
    for (const key of needs.results) {
      const row = found.get(key)
      results[key] = row
        ? { run: row.run, nodeRun: row.nodeRun, outputs: row.outputs, invalidated: row.invalidated, state: await stateOf(row) }
        : null
    }
    for (const key of needs.checkpoints) {
      const good: StoredCheckpoint[] = []
      for (const row of saved.get(key) ?? []) {
        if (!(await deps.present(row.manifest))) continue
        good.push({ step: row.step, manifest: row.manifest, run: row.run, nodeRun: row.nodeRun, params: row.params })
      }
      checkpoints[key] = good
    }
  }

  async function stateOf(row: { type: string; outputs: Record<string, unknown> }): Promise<StoredResult['state']> {
    const def = Object.hasOwn(registry, row.type) ? registry[row.type] : undefined
    if (!def) return 'missing'
    if (Object.keys(def.outputs as Record<string, PortDef>).some((port) => row.outputs[port] === undefined)) return 'missing'
    for (const digest of artifactsOfOutputs(def, row.outputs)) if (!(await deps.present(digest))) return 'missing'
    return 'present'
  }
}
