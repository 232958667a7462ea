/** What the database knows about stored bytes: that they exist, how large they are, and who keeps them alive. Bytes are in artifact-store.ts. */
import { and, desc, eq, inArray, sql } from 'drizzle-orm'
import { artifactRefs, artifacts, type HolderKind } from '../../drizzle/schema'
import { AppError } from '../errors'
import { lockAgainstCollection } from './collect'
import type { Queryer, Tx } from './db'

export type NewArtifact = { digest: string; sizeBytes: number; kind: string; meta?: Record<string, unknown> }
export type Holder = { kind: HolderKind; id: string }

/** Whether bytes are here: their size, or null. */
export type Bytes = { has(digest: string): Promise<number | null> }

/**
 * Records artifacts and the reference that keeps them. The same digest may be recorded any number of times.
 * @throws AppError ARTIFACT_MISSING when bytes were collected between being stored and being recorded.
 */
export async function recordArtifacts(tx: Tx, bytes: Bytes, owner: string, holder: Holder, list: readonly NewArtifact[]): Promise<void> {
  if (list.length === 0) return
  await lockAgainstCollection(tx)
  for (const { digest } of list) {
    if ((await bytes.has(digest)) === null)
      throw new AppError('ARTIFACT_MISSING', { message: 'Bytes are gone before they were recorded.', where: digest, fix: 'Run again.' })
  }
  const unique = [...new Map(list.map((artifact) => [artifact.digest, artifact])).values()].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  await tx
    .insert(artifacts)
    .values(unique.map(({ digest, sizeBytes, kind, meta }) => ({ digest, sizeBytes, kind, meta: meta ?? {} })))
    // Stored again after it was found missing or corrupt.
    .onConflictDoUpdate({ target: artifacts.digest, set: { state: 'present' } })
  await tx
    .insert(artifactRefs)
    .values(unique.map(({ digest }) => ({ digest, holderKind: holder.kind, holderId: holder.id, ownerId: owner })))
    .onConflictDoNothing()
}

export async function dropRefs(db: Queryer, holder: Holder): Promise<void> {
  await db.delete(artifactRefs).where(and(eq(artifactRefs.holderKind, holder.kind), eq(artifactRefs.holderId, holder.id)))
}

/** Whether this owner holds these bytes through anything: a digest by itself opens nothing (SEC-16). */
export async function mayRead(db: Queryer, owner: string, digest: string): Promise<boolean> {
  const rows = await db
    .select({ digest: artifactRefs.digest })
    .from(artifactRefs)
    .where(and(eq(artifactRefs.digest, digest), eq(artifactRefs.ownerId, owner)))
    .limit(1)
  return rows.length > 0
}

export async function setArtifactState(db: Queryer, digest: string, state: 'present' | 'corrupt' | 'missing'): Promise<void> {
  await db.update(artifacts).set({ state }).where(eq(artifacts.digest, digest))
}

export async function artifactRows(db: Queryer, digests: readonly string[]) {
  return digests.length === 0
    ? []
    : db
        .select()
        .from(artifacts)
        .where(inArray(artifacts.digest, [...digests]))
}

export type UploadRow = { digest: string; name: string; sizeBytes: number; createdAt: Date }

/** Files sent through the browser, newest first. */
export async function listUploads(db: Queryer, owner: string, limit = 100): Promise<UploadRow[]> {
  return db
    .select({
      digest: artifacts.digest,
      name: sql<string>`coalesce(${artifacts.meta} ->> 'name', 'file')`,
      sizeBytes: artifacts.sizeBytes,
      createdAt: artifactRefs.createdAt,
    })
    .from(artifactRefs)
    .innerJoin(artifacts, eq(artifacts.digest, artifactRefs.digest))
    .where(and(eq(artifactRefs.ownerId, owner), eq(artifactRefs.holderKind, 'upload')))
    .orderBy(desc(artifactRefs.createdAt))
    .limit(limit)
}
