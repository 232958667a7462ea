/** Puts the parts together: settings → database → stores → executor → services. Everything else receives what it needs as an argument. */
import { readFileSync, statfsSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { readModelHeader } from '../engine/inspect'
import { registry } from '../nodes'
import { type Env, env } from './env'
import { AppError } from './errors'
import { openQueue } from './executor/queue'
import { createExecutor, type Submitted } from './executor/run'
import { openFacts } from './facts'
import { readImplDigests } from './impl-digests'
import { ArtifactStore } from './storage/artifact-store'
import { openStorage } from './storage/db'
import { EventHub } from './storage/event-hub'
import { getInspection, insertInspection } from './storage/inspections'
import { assertSchema } from './storage/migrate'
import { readSupervisor } from './supervisor-state'
import { openTemplates } from './templates'
import type { Services } from './trpc/services'
import {
  bundleRoute,
  downloadRoute,
  importRoute,
  loginRoute,
  openWeb,
  readRunRoute,
  startRunRoute,
  trpcRoute,
  uploadRoute,
  type Web,
} from './web/routes'

/** What a process here may use at most: the container's limit where there is one. */
function machineMemory(): number {
  const limit = process.constrainedMemory()
  return limit > 0 && limit < totalmem() ? limit : totalmem()
}

export function freeBytes(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch {
    return null
  }
}

export type ComposeOptions = { applicationName: string; databaseUrl?: string; maxConnections?: number }
export type ComposedServices = Services & { close(): Promise<void> }

/** Opens everything a process needs that asks and commands (web, CLI); workers compose their own. @throws AppError SCHEMA_UNKNOWN, DATABASE_AWAY */
export async function composeServices(env: Env, options: ComposeOptions): Promise<ComposedServices> {
  const databaseUrl = options.databaseUrl ?? env.databaseUrl ?? readSupervisor(env.home)?.databaseUrl
  if (databaseUrl === undefined) {
    throw new AppError('DATABASE_AWAY', {
      message: 'No database is running for this THAW_HOME.',
      where: env.home,
      fix: 'Start Thaw with npm start.',
    })
  }
  const storage = openStorage({
    databaseUrl,
    databaseDirectUrl: env.databaseDirectUrl,
    applicationName: options.applicationName,
    max: options.maxConnections ?? 10,
  })
  try {
    await assertSchema(storage, env.root)
    const artifacts = new ArtifactStore(join(env.home, 'artifacts'))
    const queue = await openQueue(storage, { maintain: false })
    const files = { root: env.root, home: env.home, artifacts }
    const facts = openFacts({
      files,
      cache: env.cache,
      inspectModel: async (path) => readModelHeader(path),
    })
    const executor = createExecutor({
      storage,
      registry,
      queue,
      implDigests: readImplDigests(env.root),
      lookAt: facts.lookAt,
      digestOf: (request) => facts.digestOf(request),
      present: async (digest) => (await artifacts.has(digest)) !== null,
      freeBytes: async () => freeBytes(env.home),
      memoryBytes: machineMemory,
    })
    const hub = new EventHub(storage)
    return {
      storage,
      artifacts,
      hub,
      facts: { resolve: (_owner, request) => facts.resolve(request) },
      files,
      templates: openTemplates(env.root, registry, env.home),
      runs: {
        plan: (owner, request) => executor.plan(owner, request),
        submit: async (owner, request) => made(await executor.submit(owner, request)),
        stop: (owner, run, how) => executor.stop(owner, run, how),
        resume: (owner, run) => executor.resume(owner, run),
        rerun: async (owner, request) => made(await executor.rerun(owner, request)),
        planSweep: (owner, request) => executor.planSweep(owner, request),
        sweep: (owner, request) => executor.sweep(owner, request),
        planRerun: (owner, request) => executor.planRerun(owner, request),
        retryFrom: async (owner, run, node, key) => made(await executor.retryFrom(owner, run, node, key)),
        inspect: (owner, request) =>
          storage.db.transaction(async (tx) => {
            const id = await insertInspection(tx, owner, request)
            await queue.send(tx, 'inspect', { id }, { priority: 10 })
            return { id }
          }),
        async inspection(owner, id) {
          const row = await getInspection(storage.db, owner, id)
          if (!row) throw new AppError('NOT_FOUND', { message: 'There is no such inspection.', got: id })
          if (row.status === 'done') return { status: 'done', result: row.result }
          if (row.status === 'failed')
            return {
              status: 'failed',
              error: row.error ?? new AppError('INTERNAL', { message: 'It failed without saying why.' }).toStored(),
            }
          return { status: row.status }
        },
      },
      async system() {
        const version = String(JSON.parse(readFileSync(join(env.root, 'package.json'), 'utf8')).version)
        return { version, home: env.home, children: readSupervisor(env.home)?.children ?? [], freeBytes: freeBytes(env.home) }
      },
      async close() {
        await hub.close()
        await queue.close()
        await storage.close()
      },
    }
  } catch (error) {
    await storage.close().catch(() => {})
    throw error
  }
}

/** The plan stays here: it is stored with the run, and large. */
const made = ({ run, number, existing }: Submitted) => ({ run, number, existing })

// — the web process: one set of services, kept on globalThis, since Next bundles every route apart (TC-16) —

const WEB = Symbol.for('thaw.web')

function web(): Web {
  const shared = globalThis as { [WEB]?: Web }
  shared[WEB] ??= openWeb(env(), () => composeServices(env(), { applicationName: 'thaw web' }))
  return shared[WEB]
}

export const handleTrpc = (request: Request): Promise<Response> => trpcRoute(request, web())
export const handleUpload = (request: Request): Promise<Response> => uploadRoute(request, web())
export const handleLogin = (request: Request): Promise<Response> => loginRoute(request, web())
export const handleDownload = (
  request: Request,
  context: { params: Promise<{ run: string; node: string; port: string }> },
): Promise<Response> => downloadRoute(request, context, web())
export const handleBundle = (request: Request, context: { params: Promise<{ pipeline: string }> }): Promise<Response> =>
  bundleRoute(request, context, web())
export const handleImport = (request: Request): Promise<Response> => importRoute(request, web())
export const handleStartRun = (request: Request): Promise<Response> => startRunRoute(request, web())
export const handleReadRun = (request: Request, context: { params: Promise<{ id: string }> }): Promise<Response> =>
  readRunRoute(request, context, web())
