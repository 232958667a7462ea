/** Pipelines: one draft under an optimistic lock, and versions that are only ever added. */
import { and, desc, eq, isNull, sql } from 'drizzle-orm'
import { pipelines, pipelineVersions, runs, type VersionReason } from '../../drizzle/schema'
import { graphDigest } from '../../nodes/_kit/cache-key'
import { emptyPipeline, type Pipeline } from '../../nodes/_kit/graph'
import { AppError } from '../errors'
import type { Db, Queryer, Tx } from './db'
import { isId, newId } from './ids'

/** While somebody edits, a version is written at least this often. */
const AUTO_VERSION_MS = 5 * 60_000

export type PipelineRow = {
  id: string
  name: string
  document: Pipeline
  revision: number
  templateOf: string | null
  sourceFile: string | null
  createdAt: Date
  updatedAt: Date
}
export type PipelineSummary = Omit<PipelineRow, 'document'> & {
  nodes: number
  lastRun: { id: string; number: number; status: string; createdAt: Date; endedAt: Date | null } | null
}
export type VersionRow = {
  id: string
  pipelineId: string
  number: number
  name: string | null
  reason: VersionReason
  graphDigest: string
  createdAt: Date
}

const notFound = (what: string, id: string) => new AppError('NOT_FOUND', { message: `There is no such ${what}.`, got: id })

/** Stored documents are migrated in memory by their readers, never rewritten; here they are only typed. */
const documentOf = (stored: unknown) => stored as Pipeline

const columns = {
  id: pipelines.id,
  name: pipelines.name,
  document: pipelines.draft,
  revision: pipelines.revision,
  templateOf: pipelines.templateOf,
  sourceFile: pipelines.sourceFile,
  createdAt: pipelines.createdAt,
  updatedAt: pipelines.updatedAt,
}
const mine = (owner: string, id: string) => and(eq(pipelines.id, id), eq(pipelines.ownerId, owner), isNull(pipelines.removedAt))

/** Newest first. */
export async function listPipelines(db: Queryer, owner: string, limit = 200): Promise<PipelineSummary[]> {
  const last = db
    .selectDistinctOn([runs.pipelineId], {
      pipelineId: runs.pipelineId,
      id: runs.id,
      number: runs.number,
      status: runs.status,
      createdAt: runs.createdAt,
      endedAt: runs.endedAt,
    })
    .from(runs)
    .where(eq(runs.ownerId, owner))
    .orderBy(runs.pipelineId, desc(runs.createdAt))
    .as('last')
  const { document: _, ...rest } = columns
  const rows = await db
    .select({
      ...rest,
      nodes: sql<number>`(select count(*)::int from json_object_keys(${pipelines.draft} -> 'nodes'))`,
      runId: last.id,
      runNumber: last.number,
      runStatus: last.status,
      runCreatedAt: last.createdAt,
      runEndedAt: last.endedAt,
    })
    .from(pipelines)
    .leftJoin(last, eq(last.pipelineId, pipelines.id))
    .where(and(eq(pipelines.ownerId, owner), isNull(pipelines.removedAt)))
    .orderBy(desc(pipelines.updatedAt))
    .limit(limit)
  return rows.map(({ runId, runNumber, runStatus, runCreatedAt, runEndedAt, ...row }) => ({
    ...row,
    lastRun:
      runId && runNumber !== null && runStatus && runCreatedAt
        ? { id: runId, number: runNumber, status: runStatus, createdAt: runCreatedAt, endedAt: runEndedAt }
        : null,
  }))
}

/** @throws AppError NOT_FOUND, also for a pipeline of somebody else. */
export async function getPipeline(db: Queryer, owner: string, id: string): Promise<PipelineRow> {
  const [row] = isId(id) ? await db.select(columns).from(pipelines).where(mine(owner, id)) : []
  if (!row) throw notFound('pipeline', id)
  return { ...row, document: documentOf(row.document) }
}

export async function createPipeline(
  db: Db,
  owner: string,
  values: { name: string; document?: Pipeline; templateOf?: string | null; sourceFile?: string | null; reason?: VersionReason },
): Promise<PipelineRow> {
  const id = newId()
  return db.transaction(async (tx) => {
    const document = values.document ?? emptyPipeline()
    const [row] = await tx
      .insert(pipelines)
      .values({
        id,
        ownerId: owner,
        name: values.name,
        draft: document,
        templateOf: values.templateOf ?? null,
        sourceFile: values.sourceFile ?? null,
      })
      .returning(columns)
    if (!row) throw new AppError('INTERNAL', { message: 'The pipeline was not stored.' })
    if (Object.keys(document.nodes).length > 0) await addVersion(tx, owner, id, { document, reason: values.reason ?? 'import', name: null })
    return { ...row, document: documentOf(row.document) }
  })
}

export type SaveResult =
  | { saved: true; revision: number; updatedAt: Date }
  /** Somebody else (another tab) saved in between: both documents, nothing overwritten. */
  | { saved: false; revision: number; document: Pipeline; name: string; updatedAt: Date }

/** Autosave. `revision` is the one the editor last saw. */
export async function savePipeline(
  db: Db,
  owner: string,
  id: string,
  values: { document: Pipeline; revision: number },
): Promise<SaveResult> {
  if (!isId(id)) throw notFound('pipeline', id)
  return db.transaction(async (tx) => {
    const [row] = await tx
      .update(pipelines)
      .set({ draft: values.document, revision: sql`${pipelines.revision} + 1`, updatedAt: sql`now()` })
      .where(and(mine(owner, id), eq(pipelines.revision, values.revision)))
      .returning({ revision: pipelines.revision, updatedAt: pipelines.updatedAt })
    if (!row) {
      const current = await getPipeline(tx, owner, id)
      return { saved: false, revision: current.revision, document: current.document, name: current.name, updatedAt: current.updatedAt }
    }
    const [newest] = await tx
      .select({ createdAt: pipelineVersions.createdAt, graphDigest: pipelineVersions.graphDigest })
      .from(pipelineVersions)
      .where(eq(pipelineVersions.pipelineId, id))
      .orderBy(desc(pipelineVersions.number))
      .limit(1)
    const old = !newest || Date.now() - newest.createdAt.getTime() > AUTO_VERSION_MS
    if (old && newest?.graphDigest !== graphDigest(values.document))
      await addVersion(tx, owner, id, { document: values.document, reason: 'auto', name: null })
    return { saved: true, ...row }
  })
}

export async function renamePipeline(db: Queryer, owner: string, id: string, name: string): Promise<void> {
  if (!isId(id)) throw notFound('pipeline', id)
  const rows = await db.update(pipelines).set({ name, updatedAt: sql`now()` }).where(mine(owner, id)).returning({ id: pipelines.id })
  if (rows.length === 0) throw notFound('pipeline', id)
}

export async function duplicatePipeline(db: Db, owner: string, id: string, name: string): Promise<PipelineRow> {
  const source = await getPipeline(db, owner, id)
  return createPipeline(db, owner, { name, document: source.document, templateOf: source.templateOf })
}

/** The pipeline disappears from lists; its runs and versions stay. A file's pipeline gives its path free. */
export async function removePipeline(db: Queryer, owner: string, id: string): Promise<void> {
  if (!isId(id)) throw notFound('pipeline', id)
  const rows = await db
    .update(pipelines)
    .set({ removedAt: sql`now()`, sourceFile: null })
    .where(mine(owner, id))
    .returning({ id: pipelines.id })
  if (rows.length === 0) throw notFound('pipeline', id)
}

const versionColumns = {
  id: pipelineVersions.id,
  pipelineId: pipelineVersions.pipelineId,
  number: pipelineVersions.number,
  name: pipelineVersions.name,
  reason: pipelineVersions.reason,
  graphDigest: pipelineVersions.graphDigest,
  createdAt: pipelineVersions.createdAt,
}

/** Newest first. */
export async function listVersions(db: Queryer, owner: string, pipelineId: string, limit = 200): Promise<VersionRow[]> {
  if (!isId(pipelineId)) return []
  return db
    .select(versionColumns)
    .from(pipelineVersions)
    .where(and(eq(pipelineVersions.pipelineId, pipelineId), eq(pipelineVersions.ownerId, owner)))
    .orderBy(desc(pipelineVersions.number))
    .limit(limit)
}

export async function getVersion(db: Queryer, owner: string, id: string): Promise<VersionRow & { document: Pipeline }> {
  const [row] = isId(id)
    ? await db
        .select({ ...versionColumns, document: pipelineVersions.document })
        .from(pipelineVersions)
        .where(and(eq(pipelineVersions.id, id), eq(pipelineVersions.ownerId, owner)))
    : []
  if (!row) throw notFound('version', id)
  return { ...row, document: documentOf(row.document) }
}

/** Adds a version; numbers are given under the pipeline's row lock, so they have no gaps. */
export async function addVersion(
  tx: Tx,
  owner: string,
  pipelineId: string,
  values: { document: Pipeline; reason: VersionReason; name: string | null },
): Promise<VersionRow> {
  const locked = await tx.select({ id: pipelines.id }).from(pipelines).where(mine(owner, pipelineId)).for('update')
  if (locked.length === 0) throw notFound('pipeline', pipelineId)
  const [row] = await tx
    .insert(pipelineVersions)
    .values({
      id: newId(),
      ownerId: owner,
      pipelineId,
      number: sql`(select coalesce(max(number), 0) + 1 from pipeline_versions where pipeline_id = ${pipelineId})`,
      document: values.document,
      graphDigest: graphDigest(values.document),
      name: values.name,
      reason: values.reason,
    })
    .returning(versionColumns)
  if (!row) throw new AppError('INTERNAL', { message: 'The version was not stored.' })
  return row
}

/** The newest version if it holds exactly this document, else a new one: what a run points at. */
export async function versionFor(
  tx: Tx,
  owner: string,
  pipelineId: string,
  document: Pipeline,
  reason: VersionReason,
): Promise<VersionRow> {
  const [newest] = await tx
    .select({ ...versionColumns, document: pipelineVersions.document })
    .from(pipelineVersions)
    .where(and(eq(pipelineVersions.pipelineId, pipelineId), eq(pipelineVersions.ownerId, owner)))
    .orderBy(desc(pipelineVersions.number))
    .limit(1)
  if (newest && JSON.stringify(newest.document) === JSON.stringify(document)) {
    const { document: _, ...version } = newest
    return version
  }
  return addVersion(tx, owner, pipelineId, { document, reason, name: null })
}

/** Makes a version the draft again and records that as a new version. */
export async function restoreVersion(db: Db, owner: string, versionId: string): Promise<PipelineRow> {
  return db.transaction(async (tx) => {
    const version = await getVersion(tx, owner, versionId)
    const [row] = await tx
      .update(pipelines)
      .set({ draft: version.document, revision: sql`${pipelines.revision} + 1`, updatedAt: sql`now()` })
      .where(mine(owner, version.pipelineId))
      .returning(columns)
    if (!row) throw notFound('pipeline', version.pipelineId)
    await addVersion(tx, owner, version.pipelineId, { document: version.document, reason: 'restore', name: `Version ${version.number}` })
    return { ...row, document: documentOf(row.document) }
  })
}

/** The pipeline of a file that the CLI runs: made at the first run, its draft replaced by the file at each. */
export async function pipelineOfFile(
  db: Queryer,
  owner: string,
  values: { sourceFile: string; name: string; document: Pipeline },
): Promise<PipelineRow> {
  const [row] = await db
    .insert(pipelines)
    .values({ id: newId(), ownerId: owner, name: values.name, draft: values.document, sourceFile: values.sourceFile })
    .onConflictDoUpdate({
      target: [pipelines.ownerId, pipelines.sourceFile],
      set: { draft: values.document, revision: sql`${pipelines.revision} + 1`, updatedAt: sql`now()` },
    })
    .returning(columns)
  if (!row) throw new AppError('INTERNAL', { message: 'The pipeline was not stored.' })
  return { ...row, document: documentOf(row.document) }
}
