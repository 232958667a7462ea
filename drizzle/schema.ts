/**
 * The tables (runs.md section 7). Why they look like this:
 * - `json`, never `jsonb`, where order or exact numbers matter: documents, params, outputs are read back as they were written.
 * - Every table with user data carries `owner_id` and is read through it; in local mode there is one owner, `LOCAL_OWNER`.
 * - Ids are UUIDv7 made by storage, never by the database, so they sort by time and are known before the insert.
 * - Documents are `unknown` here and parsed where they are read: the schema knows nothing above the tables.
 * - `node_runs` is the truth about execution; the queue (pg-boss, its own schema) is only a wake-up with a lease.
 */
import { sql } from 'drizzle-orm'
import {
  bigint,
  boolean,
  doublePrecision,
  index,
  integer,
  json,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'

/** The one owner of local mode. */
export const LOCAL_OWNER = '01900000-0000-7000-8000-000000000001'

export const RUN_STATUS = ['queued', 'running', 'paused', 'succeeded', 'failed', 'stopped'] as const
export type RunStatus = (typeof RUN_STATUS)[number]
/** What the user asked for; only the executor turns it into a status. */
export const RUN_WANTED = ['run', 'pause', 'stop', 'cancel'] as const
export type RunWanted = (typeof RUN_WANTED)[number]
export const NODE_RUN_STATUS = [
  'waiting',
  'queued',
  'running',
  'paused',
  'done',
  'reused',
  'failed',
  'stopped',
  'skipped',
  'cancelled',
] as const
export type NodeRunStatus = (typeof NODE_RUN_STATUS)[number]
/** Queue class of a node run: one pg-boss queue each. */
export const RESOURCE_CLASSES = ['cpu', 'gpu'] as const
export type ResourceClass = (typeof RESOURCE_CLASSES)[number]
export const VERSION_REASONS = ['save', 'run', 'restore', 'import', 'auto'] as const
export type VersionReason = (typeof VERSION_REASONS)[number]
export const EVENT_KINDS = ['run', 'node', 'progress', 'metric', 'log', 'checkpoint'] as const
export type EventKind = (typeof EVENT_KINDS)[number]

/** An AppError as stored in a row or sent in an event. */
export type StoredError = {
  code: string
  message: string
  failure: 'user' | 'internal' | 'resource' | 'transient' | 'lost'
  /** Finer code of the library that threw it, for example of a node or the engine. */
  reason?: string | undefined
  /** Param of the node the error belongs to. */
  param?: string | undefined
  where?: string | undefined
  expected?: string | undefined
  got?: string | undefined
  fix?: string | undefined
  /** Last lines of the log, exit signals and the like. */
  details?: string | undefined
}

const id = () => uuid('id').primaryKey()
const owner = () => uuid('owner_id').notNull()
const at = (name: string) => timestamp(name, { withTimezone: true })
const createdAt = () => at('created_at').notNull().defaultNow()

export const pipelines = pgTable(
  'pipelines',
  {
    id: id(),
    ownerId: owner(),
    name: text('name').notNull(),
    draft: json('draft').$type<unknown>().notNull(),
    /** Optimistic lock: counts saved drafts. */
    revision: integer('revision').notNull().default(1),
    /** Folder name of the template it was made from. */
    templateOf: text('template_of'),
    /** Absolute path of the file the CLI ran; runs of one file are versions of one pipeline. Null for pipelines made in the browser. */
    sourceFile: text('source_file'),
    createdAt: createdAt(),
    updatedAt: at('updated_at').notNull().defaultNow(),
    /** Set when the user removed it; runs keep pointing at its versions. */
    removedAt: at('removed_at'),
  },
  (t) => [index('pipelines_owner').on(t.ownerId, t.updatedAt), uniqueIndex('pipelines_source_file').on(t.ownerId, t.sourceFile)],
)

/** Append-only. */
export const pipelineVersions = pgTable(
  'pipeline_versions',
  {
    id: id(),
    ownerId: owner(),
    pipelineId: uuid('pipeline_id')
      .notNull()
      .references(() => pipelines.id),
    /** 1, 2, 3 … within the pipeline. */
    number: integer('number').notNull(),
    document: json('document').$type<unknown>().notNull(),
    /** Covers everything but `layout` and `notes`. */
    graphDigest: text('graph_digest').notNull(),
    /** Given by the user; null when the version was written by itself. */
    name: text('name'),
    reason: text('reason').$type<VersionReason>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [uniqueIndex('pipeline_versions_number').on(t.pipelineId, t.number)],
)

export const runs = pgTable(
  'runs',
  {
    id: id(),
    ownerId: owner(),
    pipelineId: uuid('pipeline_id')
      .notNull()
      .references(() => pipelines.id),
    versionId: uuid('version_id')
      .notNull()
      .references(() => pipelineVersions.id),
    /** 1, 2, 3 … of this owner: "run 14". */
    number: integer('number').notNull(),
    /** The run this one retries or reruns. */
    parentRun: uuid('parent_run'),
    /** Node ids the run must reach; null means every enabled node. */
    target: json('target').$type<string[] | null>(),
    /** Overrides of exposed inputs by input id. */
    inputs: json('inputs').$type<Record<string, unknown>>().notNull(),
    /** The plan as it was shown, per node id. */
    plan: json('plan').$type<unknown>().notNull(),
    status: text('status').$type<RunStatus>().notNull().default('queued'),
    wanted: text('wanted').$type<RunWanted>().notNull().default('run'),
    /** Node run whose failure is shown as the cause; null unless failed. */
    rootCause: uuid('root_cause'),
    idempotencyKey: text('idempotency_key').notNull(),
    priority: integer('priority').notNull().default(0),
    /** Given by a person; null: known by its number alone. */
    name: text('name'),
    note: text('note').notNull().default(''),
    tags: json('tags').$type<string[]>().notNull().default([]),
    /** Runs that one sweep made (UX-77). */
    sweepId: uuid('sweep_id'),
    /** Set when the user discarded it: no list shows it, and what only it held may be collected. Its node runs keep the history. */
    removedAt: at('removed_at'),
    createdAt: createdAt(),
    startedAt: at('started_at'),
    endedAt: at('ended_at'),
  },
  (t) => [
    uniqueIndex('runs_idempotency').on(t.ownerId, t.idempotencyKey),
    uniqueIndex('runs_number').on(t.ownerId, t.number),
    index('runs_pipeline').on(t.pipelineId, t.createdAt),
    index('runs_open').on(t.status).where(sql`ended_at is null`),
    index('runs_sweep').on(t.sweepId).where(sql`sweep_id is not null`),
  ],
)

/** Several runs of one pipeline with other params (UX-77). Its runs are ordinary ones that wait in the ordinary queue. */
export const sweeps = pgTable(
  'sweeps',
  {
    id: id(),
    ownerId: owner(),
    pipelineId: uuid('pipeline_id')
      .notNull()
      .references(() => pipelines.id),
    /** Axes (`node`, `param`, values) and the metric that decides, as they were asked for. */
    spec: json('spec').$type<unknown>().notNull(),
    createdAt: createdAt(),
  },
  (t) => [index('sweeps_pipeline').on(t.ownerId, t.pipelineId, t.createdAt)],
)

export const nodeRuns = pgTable(
  'node_runs',
  {
    id: id(),
    ownerId: owner(),
    runId: uuid('run_id')
      .notNull()
      .references(() => runs.id),
    nodeId: text('node_id').notNull(),
    type: text('type').notNull(),
    status: text('status').$type<NodeRunStatus>().notNull(),
    resource: text('resource').$type<ResourceClass>().notNull(),
    /** Resolved: defaults filled, no `auto` left, overrides applied. */
    params: json('params').$type<Record<string, unknown>>().notNull(),
    /** What the keys are made of besides params: node version, implDigest, content digests by input port, source digest; and the prediction. */
    recipe: json('recipe').$type<{
      version: number
      implDigest: string | null
      inputs: Record<string, string> | null
      source: string | null
      estimatedSeconds: number | null
      /** Asked to run although a result may exist. */
      forced?: boolean
    }>(),
    /** Input port → where its value comes from. */
    wires: json('wires').$type<Record<string, { node: string; port: string }>>().notNull(),
    /** Cache key; null until the real input digests are known. */
    key: text('key'),
    /** Key without the extent params: which checkpoints fit. */
    identityKey: text('identity_key'),
    /** Number of the newest attempt; 0 before the first. Fences every write of a worker. */
    attempt: integer('attempt').notNull().default(0),
    /** Of the running attempt; null unless status is `running`. */
    workerId: uuid('worker_id'),
    /** Queue job that wakes it; null unless status is `queued` or `running`. */
    jobId: uuid('job_id'),
    /** Port → handle; null unless status is `done` or `reused`. */
    outputs: json('outputs').$type<Record<string, unknown>>(),
    /** Newest checkpoint (checkpoints.id). */
    checkpointId: uuid('checkpoint_id'),
    step: integer('step'),
    /** Null unless status is `failed`. */
    error: json('error').$type<StoredError>(),
    /** Failed node run above it; null unless status is `skipped`. */
    skippedBy: uuid('skipped_by'),
    /** Node run whose outputs it shares; null unless status is `reused`. */
    reusedFrom: uuid('reused_from'),
    /** Attempts lost since the newest checkpoint. */
    lostInARow: integer('lost_in_a_row').notNull().default(0),
    /** Not before this time (R-49, transient failures). */
    notBefore: at('not_before'),
    createdAt: createdAt(),
    queuedAt: at('queued_at'),
    startedAt: at('started_at'),
    /** Last sign of life of the worker that holds it. */
    lastBeat: at('last_beat'),
    endedAt: at('ended_at'),
  },
  (t) => [
    uniqueIndex('node_runs_node').on(t.runId, t.nodeId),
    index('node_runs_live').on(t.status).where(sql`status in ('queued', 'running')`),
    index('node_runs_history').on(t.ownerId, t.type, t.endedAt),
  ],
)

export const ATTEMPT_OUTCOMES = ['done', 'reused', 'failed', 'lost', 'stopped', 'released', 'dropped'] as const
export type AttemptOutcome = (typeof ATTEMPT_OUTCOMES)[number]

export const attempts = pgTable(
  'attempts',
  {
    id: id(),
    ownerId: owner(),
    nodeRunId: uuid('node_run_id')
      .notNull()
      .references(() => nodeRuns.id),
    attempt: integer('attempt').notNull(),
    workerId: uuid('worker_id'),
    trainerPid: integer('trainer_pid'),
    fromStep: integer('from_step'),
    toStep: integer('to_step'),
    /** Null while it runs. */
    outcome: text('outcome').$type<AttemptOutcome>(),
    error: json('error').$type<StoredError>(),
    startedAt: at('started_at').notNull().defaultNow(),
    endedAt: at('ended_at'),
  },
  (t) => [uniqueIndex('attempts_number').on(t.nodeRunId, t.attempt)],
)

/** Complete successes by cache key; the first writer wins. */
export const results = pgTable(
  'results',
  {
    id: id(),
    ownerId: owner(),
    key: text('key').notNull(),
    nodeRunId: uuid('node_run_id')
      .notNull()
      .references(() => nodeRuns.id),
    type: text('type').notNull(),
    outputs: json('outputs').$type<Record<string, unknown>>().notNull(),
    /** Device, versions, seconds, bytes: what is not part of the key. */
    provenance: json('provenance').$type<Record<string, unknown>>().notNull(),
    createdAt: createdAt(),
    invalidatedAt: at('invalidated_at'),
  },
  (t) => [uniqueIndex('results_key').on(t.ownerId, t.key).where(sql`invalidated_at is null`)],
)

export const checkpoints = pgTable(
  'checkpoints',
  {
    id: id(),
    ownerId: owner(),
    nodeRunId: uuid('node_run_id')
      .notNull()
      .references(() => nodeRuns.id),
    identityKey: text('identity_key').notNull(),
    step: integer('step').notNull(),
    /** Digest of the manifest. */
    manifest: text('manifest').notNull(),
    metric: doublePrecision('metric'),
    schedulePhase: text('schedule_phase'),
    pinned: boolean('pinned').notNull().default(false),
    createdAt: createdAt(),
  },
  (t) => [uniqueIndex('checkpoints_step').on(t.nodeRunId, t.step), index('checkpoints_identity').on(t.ownerId, t.identityKey, t.step)],
)

/** The counter behind `run_events.seq`, narrow and half-filled so that its updates stay on the page. */
export const runSeq = pgTable('run_seq', {
  runId: uuid('run_id')
    .primaryKey()
    .references(() => runs.id),
  ownerId: owner(),
  seq: bigint('seq', { mode: 'number' }).notNull().default(0),
})

export const runEvents = pgTable(
  'run_events',
  {
    runId: uuid('run_id').notNull(),
    seq: bigint('seq', { mode: 'number' }).notNull(),
    ownerId: owner(),
    nodeId: text('node_id'),
    kind: text('kind').$type<EventKind>().notNull(),
    data: json('data').$type<unknown>().notNull(),
    at: at('at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.runId, t.seq] }), index('run_events_series').on(t.runId, t.nodeId, t.kind, t.seq)],
)

export const ARTIFACT_STATES = ['present', 'corrupt', 'missing'] as const
/** Bytes are shared between owners; who may read them is a question to `artifact_refs` (SEC-16). */
export const artifacts = pgTable('artifacts', {
  digest: text('digest').primaryKey(),
  sizeBytes: bigint('size_bytes', { mode: 'number' }).notNull(),
  /** `file`, `manifest`, `upload`, `dataset` …: for people, never for decisions. */
  kind: text('kind').notNull(),
  state: text('state').$type<(typeof ARTIFACT_STATES)[number]>().notNull().default('present'),
  meta: json('meta').$type<Record<string, unknown>>().notNull(),
  createdAt: createdAt(),
})

export const HOLDER_KINDS = ['node_run', 'result', 'checkpoint', 'upload', 'pipeline', 'inspection'] as const
export type HolderKind = (typeof HOLDER_KINDS)[number]

/** Who keeps an artifact alive. */
export const artifactRefs = pgTable(
  'artifact_refs',
  {
    digest: text('digest')
      .notNull()
      .references(() => artifacts.digest),
    holderKind: text('holder_kind').$type<HolderKind>().notNull(),
    holderId: uuid('holder_id').notNull(),
    ownerId: owner(),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ columns: [t.digest, t.holderKind, t.holderId] }),
    index('artifact_refs_holder').on(t.holderKind, t.holderId),
    index('artifact_refs_owner').on(t.ownerId, t.digest),
  ],
)

export const workers = pgTable(
  'workers',
  {
    id: id(),
    host: text('host').notNull(),
    /** Which of the host's workers it is: a restarted one takes over its slot's leases. */
    slot: integer('slot').notNull(),
    pid: integer('pid').notNull(),
    resources: json('resources').$type<ResourceClass[]>().notNull(),
    devices: json('devices').$type<unknown>().notNull(),
    versions: json('versions').$type<Record<string, string>>().notNull(),
    startedAt: at('started_at').notNull().defaultNow(),
    lastBeat: at('last_beat').notNull().defaultNow(),
    /** Set when it said goodbye; null while it lives or was killed. */
    endedAt: at('ended_at'),
    tokenHash: text('token_hash'),
  },
  (t) => [index('workers_beat').on(t.lastBeat), index('workers_slot').on(t.host, t.slot)],
)

export const INSPECTION_STATUS = ['queued', 'running', 'done', 'failed'] as const
/** Questions that need a tokenizer or weights outside a run (token view, chat, previews); answered by a worker. */
export const inspections = pgTable(
  'inspections',
  {
    id: id(),
    ownerId: owner(),
    kind: text('kind').notNull(),
    request: json('request').$type<Record<string, unknown>>().notNull(),
    status: text('status').$type<(typeof INSPECTION_STATUS)[number]>().notNull().default('queued'),
    attempt: integer('attempt').notNull().default(0),
    workerId: uuid('worker_id'),
    jobId: uuid('job_id'),
    result: json('result').$type<unknown>(),
    error: json('error').$type<StoredError>(),
    createdAt: createdAt(),
    endedAt: at('ended_at'),
  },
  (t) => [index('inspections_owner').on(t.ownerId, t.createdAt)],
)

/** SEC-22. The token itself is never stored. */
export const apiTokens = pgTable(
  'api_tokens',
  {
    id: id(),
    ownerId: owner(),
    name: text('name').notNull(),
    tokenHash: text('token_hash').notNull(),
    scope: text('scope').$type<'read' | 'run' | 'admin'>().notNull(),
    createdAt: createdAt(),
    expiresAt: at('expires_at'),
    lastUsedAt: at('last_used_at'),
    revokedAt: at('revoked_at'),
  },
  (t) => [uniqueIndex('api_tokens_hash').on(t.tokenHash)],
)

/** SEC-24: who, what, when; never values. Append-only. */
export const auditLog = pgTable(
  'audit_log',
  {
    id: id(),
    ownerId: owner(),
    action: text('action').notNull(),
    objectKind: text('object_kind'),
    objectId: text('object_id'),
    at: at('at').notNull().defaultNow(),
  },
  (t) => [index('audit_log_owner').on(t.ownerId, t.at)],
)
