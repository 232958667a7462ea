/**
 * The engine as a trainer offers it to nodes: EngineAccess (nodes/_kit/context.ts) over engine/, for one EngineHost (server/executor/context.ts).
 * `openEngine` is called once per trainer, before its first node; the factory it gives, once per attempt.
 */
import { AppError } from '../errors'
import type { EngineFactory } from '../executor/context'

/** @throws AppError NO_ENGINE */
export async function openEngine(_options: { cache: string; root: string }): Promise<EngineFactory> {
  throw new AppError('NO_ENGINE', {
    message: 'The training engine is not part of this build yet.',
    where: 'server/workers/engine-access.ts',
  })
}
