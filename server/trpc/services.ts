/**
 * What the procedures need, as one value that server/main.ts puts together. The executor's side is an interface here, so that the router's
 * types do not hang on its parts, and tests of the router need no worker.
 */
import type { Fact, FactRequest } from '../../nodes/_kit/facts'
import type { Pipeline } from '../../nodes/_kit/graph'
import type { Plan } from '../../nodes/_kit/plan'
import type { SweepAxis } from '../../nodes/_kit/sweep'

import type { ErrorInfo } from '../errors'
import type { FileSources } from '../files'
import type { ArtifactStore } from '../storage/artifact-store'
import type { Storage } from '../storage/db'
import type { EventHub } from '../storage/event-hub'
import type { Templates } from '../templates'

export type PlanRequest = {
  document: Pipeline
  /** Whose history the reasons speak of; null for a document that was never saved. */
  pipelineId: string | null
  /** Node ids the run must reach; null: every enabled node. */
  target: string[] | null
  /** Overrides of exposed inputs by id. */
  inputs: Record<string, unknown>
}

export type SubmitRequest = PlanRequest & {
  pipelineId: string
  /** Given by the caller, one per click. */
  idempotencyKey: string
  parentRun: string | null
  /** Nodes to run although their result is known. */
  force: string[]
  priority?: number | undefined
  name?: string | null
  note?: string
  sweepId?: string | null
}

export type Rerun = {
  run: string
  inputs: Record<string, unknown>
  startFrom: 'base' | 'last'
  name?: string | null | undefined
  note?: string | undefined
  idempotencyKey: string
}

export type SweepRequest = Omit<PlanRequest, 'pipelineId'> & { pipelineId: string; axes: SweepAxis[] }

export type InspectionResult =
  | { status: 'queued' | 'running' }
  | { status: 'done'; result: unknown }
  | { status: 'failed'; error: ErrorInfo }

/** The executor, seen from outside. Every call checks the owner; what is not there or not his is NOT_FOUND. */
export interface RunService {
  plan(owner: string, request: PlanRequest): Promise<Plan>
  /** @throws AppError PLAN_BLOCKED when no node can run. */
  submit(owner: string, request: SubmitRequest): Promise<{ run: string; number: number; existing: boolean }>
  /** `keep`: checkpoint first (default); `now`: at once; `pause`: checkpoint, and Resume continues the same run. */
  stop(owner: string, run: string, how: 'keep' | 'now' | 'pause'): Promise<void>
  /** Continues a paused run, or starts a new run from where a stopped or failed one ended. */
  resume(owner: string, run: string): Promise<{ run: string; number: number }>
  /** With other data, as a run that opens beside the earlier one. */
  rerun(owner: string, request: Rerun): Promise<{ run: string; number: number; existing: boolean }>
  planRerun(owner: string, request: Omit<Rerun, 'idempotencyKey'>): Promise<Plan>
  /** Again from one node on. */
  retryFrom(owner: string, run: string, node: string, idempotencyKey: string): Promise<{ run: string; number: number; existing: boolean }>
  /** How many runs, and how long all of them take. @throws AppError PLAN_BLOCKED that names the values that cannot run. */
  planSweep(owner: string, request: SweepRequest): Promise<{ runs: number; seconds: number; first: Plan }>
  sweep(owner: string, request: SweepRequest & { idempotencyKey: string }): Promise<{ sweep: string; runs: string[] }>
  inspect(owner: string, request: { kind: string; request: Record<string, unknown> }): Promise<{ id: string }>
  inspection(owner: string, id: string): Promise<InspectionResult>
}

export interface FactService {
  /** Never throws for a file or model that cannot be read: that is an answer. */
  resolve(owner: string, request: FactRequest): Promise<Fact>
}

export type SystemInfo = {
  version: string
  /** Where everything that lasts lies, for "Open folder" hints. */
  home: string
  /** What the supervisor says about its children; empty when there is none (tests, `next dev`). */
  children: { name: string; pid: number | null; state: 'up' | 'restarting' | 'degraded'; lines: string[] }[]
  freeBytes: number | null
}

export type Services = {
  storage: Storage
  artifacts: ArtifactStore
  hub: EventHub
  runs: RunService
  facts: FactService
  templates: Templates
  /** From a file param to bytes. */
  files: FileSources
  system(): Promise<SystemInfo>
}
