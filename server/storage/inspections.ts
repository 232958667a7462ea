/** Questions that need a tokenizer or weights outside a run: asked by the web process, answered by a worker under its attempt number. */
import { and, eq, sql } from 'drizzle-orm'
import { inspections, type StoredError } from '../../drizzle/schema'
import type { Queryer, Tx } from './db'
import { isId, newId } from './ids'

export type InspectionRow = typeof inspections.$inferSelect

export async function insertInspection(tx: Tx, owner: string, values: { kind: string; request: Record<string, unknown> }): Promise<string> {
  const id = newId()
  await tx.insert(inspections).values({ id, ownerId: owner, ...values })
  return id
}

export async function getInspection(db: Queryer, owner: string, id: string): Promise<InspectionRow | null> {
  const [row] = isId(id)
    ? await db
        .select()
        .from(inspections)
        .where(and(eq(inspections.id, id), eq(inspections.ownerId, owner)))
    : []
  return row ?? null
}

/** Takes an inspection for an attempt; null when it is answered already. */
export async function claimInspection(db: Queryer, id: string, workerId: string): Promise<InspectionRow | null> {
  const [row] = await db
    .update(inspections)
    .set({ status: 'running', attempt: sql`${inspections.attempt} + 1`, workerId })
    .where(and(eq(inspections.id, id), sql`${inspections.status} in ('queued', 'running')`))
    .returning()
  return row ?? null
}

/** Writes the answer if the attempt still holds the question. @returns whether it was written. */
export async function settleInspection(
  db: Queryer,
  id: string,
  attempt: number,
  answer: { result: unknown } | { error: StoredError },
): Promise<boolean> {
  const rows = await db
    .update(inspections)
    .set(
      'result' in answer
        ? { status: 'done', result: answer.result, endedAt: sql`now()` }
        : { status: 'failed', error: answer.error, endedAt: sql`now()` },
    )
    .where(and(eq(inspections.id, id), eq(inspections.attempt, attempt), eq(inspections.status, 'running')))
    .returning({ id: inspections.id })
  return rows.length > 0
}
