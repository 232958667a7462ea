/**
 * The RunContext that a node sees, made in the trainer for one attempt. It has no database and no network: bytes go to the local artifact
 * store, everything else is a message to the worker. What the engine needs besides is an EngineHost; the engine itself comes as an argument.
 */
import { sep } from 'node:path'
import type { ArtifactAccess, Checkpoint, CheckpointAccess, EngineAccess, LogLevel, RunContext } from '../../nodes/_kit/context'
import type { LineageEntry } from '../../nodes/_kit/ports'
import { AppError } from '../errors'
import type { ArtifactStore } from '../storage/artifact-store'

/** What the engine's side of a node may use, for one attempt. */
export type EngineHost = {
  artifacts: ArtifactAccess
  checkpoint: CheckpointAccess
  /** End now, keep nothing. */
  signal: AbortSignal
  /** Stop and keep: finish the micro-batch in progress, save a checkpoint, end with `stopped`. */
  stop: AbortSignal
  /** True once after somebody asked for a checkpoint without stopping; asked at step boundaries. */
  takeCheckpointRequest(): boolean
  log(text: string, level?: LogLevel): void
  tmp: string
  provenance: RunContext['provenance']
}
/** Made once per trainer; called per attempt. May load TensorFlow on first use, never before. */
export type EngineFactory = (host: EngineHost) => EngineAccess | Promise<EngineAccess>

/** Where the attempt's words go. */
export type Outlet = {
  progress(done: number, total: number, unit: string): void
  metrics(point: Record<string, number>): void
  log(text: string, level: LogLevel): void
  /** Resolves once the worker recorded it. */
  checkpoint(saved: { step: number; manifest: string; metric?: number; artifacts: StoredArtifact[] }): Promise<void>
  fetchModel(source: string): Promise<{ path: string; name: string; license: string | null }>
  secret(name: string): Promise<string>
  curves(node: string): Promise<Record<string, number>[]>
}
export type StoredArtifact = { digest: string; size: number; kind: string }

export type AttemptFacts = {
  node: string
  seed: number
  tmp: string
  /** Of the same identity, newest first. */
  checkpoints: readonly { step: number; manifest: string; metric?: number | undefined }[]
  /** Digest that the cache key was made with, by file param value. */
  sources: Readonly<Record<string, string>>
  provenance: { thawVersion: string; graph: string; graphDigest: string }
  /** Lineage of the model on the inputs, if there is one. */
  lineage: readonly LineageEntry[]
}

export type Controls = { abort: AbortController; stop: AbortController; checkpointWanted: boolean }

export type NodeContext = {
  ctx: RunContext
  /** Everything this attempt stored or named as stored. */
  stored(): StoredArtifact[]
  /** Step of the newest checkpoint this attempt saved or began from. */
  lastStep(): number | null
}

/** @param readSource opens a data file by its param value, refusing what may not be read (SEC-6). */
export async function createContext(args: {
  facts: AttemptFacts
  store: ArtifactStore
  outlet: Outlet
  controls: Controls
  engine: EngineFactory
  /** For nodes that declare plain CPU work: the engine is loaded only if they ask it something. */
  light: boolean
  readSource: (value: string) => Promise<{ bytes: Uint8Array; name: string }>
  /** THAW_CACHE: what lies there never changes, so its bytes may be shared with the store. */
  cache: string
}): Promise<NodeContext> {
  const { facts, store, outlet, controls } = args
  const stored = new Map<string, StoredArtifact>()
  const keep = ({ digest, sizeBytes }: { digest: string; sizeBytes: number }, kind: string) => {
    stored.set(digest, { digest, size: sizeBytes, kind })
    return digest
  }
  let lastStep: number | null = null

  const artifacts: ArtifactAccess = {
    put: async (bytes) => keep(await store.put(bytes), 'file'),
    putFile: async (path) => keep(await store.putFile(path, howToStore(path, facts.tmp, args.cache)), 'file'),
    path: (digest) => store.verifiedPath(digest),
    read: async (digest) => {
      await store.verifiedPath(digest)
      return store.read(digest)
    },
    readText: async (digest) => {
      await store.verifiedPath(digest)
      return store.readText(digest)
    },
    putManifest: async (name, files) => {
      const manifest = keep(await store.putManifest(files), 'manifest')
      for (const file of files) stored.set(file.digest, { digest: file.digest, size: file.size, kind: 'file' })
      const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1)).map(({ path, digest, size }) => ({ path, digest, size }))
      return { manifest, name, bytes: sorted.reduce((sum, file) => sum + file.size, 0), files: sorted }
    },
  }

  const checkpoint: CheckpointAccess = {
    async latest(): Promise<Checkpoint | null> {
      for (const saved of facts.checkpoints) {
        const verified = await store.verifyManifest(saved.manifest)
        if (verified.ok) {
          lastStep = saved.step
          return { step: saved.step, manifest: saved.manifest, ...(saved.metric !== undefined && { metric: saved.metric }) }
        }
        outlet.log(`The checkpoint of step ${saved.step} is damaged and was passed over.`, 'warn')
      }
      return null
    },
    async save({ step, files, metric }) {
      const manifest = await store.putManifest(files)
      await outlet.checkpoint({
        step,
        manifest: manifest.digest,
        ...(metric !== undefined && { metric }),
        artifacts: [
          { digest: manifest.digest, size: manifest.sizeBytes, kind: 'manifest' },
          ...files.map((file) => ({ digest: file.digest, size: file.size, kind: 'checkpoint' })),
        ],
      })
      lastStep = step
    },
  }

  const provenance = { ...facts.provenance, lineage: () => [...facts.lineage] }
  const log = (text: string, level: LogLevel = 'info') => outlet.log(text, level)
  const host: EngineHost = {
    artifacts,
    checkpoint,
    signal: controls.abort.signal,
    stop: controls.stop.signal,
    takeCheckpointRequest() {
      const wanted = controls.checkpointWanted
      controls.checkpointWanted = false
      return wanted
    },
    log,
    tmp: facts.tmp,
    provenance,
  }
  const engine = args.light ? onDemand(async () => args.engine(host)) : await args.engine(host)

  const ctx: RunContext = {
    signal: controls.abort.signal,
    seed: facts.seed,
    node: facts.node,
    log,
    progress: (done, total, unit) => outlet.progress(done, total, unit),
    metrics: (point) => outlet.metrics(finite(point)),
    artifacts,
    checkpoint,
    engine,
    secrets: (name) => outlet.secret(name),
    curves: (node) => outlet.curves(node),
    fetchModel: (source) => outlet.fetchModel(source),
    async readFile(file) {
      const { bytes, name } = await args.readSource(file)
      const digest = keep(await store.put(bytes), 'upload')
      const expected = facts.sources[file]
      if (expected !== undefined && expected !== digest) {
        throw new AppError('CONFLICT', {
          message: `${name} changed while the run was starting.`,
          where: file,
          expected,
          got: digest,
          fix: 'Run again.',
        })
      }
      return { bytes, name, digest }
    },
    tmp: facts.tmp,
    provenance,
  }
  return { ctx, stored: () => [...stored.values()], lastStep: () => lastStep }
}

/** An engine that is loaded at the first question; only `backend` needs it to be there already. */
function onDemand(load: () => Promise<EngineAccess>): EngineAccess {
  let loaded: EngineAccess | undefined
  const engine = async () => {
    loaded ??= await load()
    return loaded
  }
  return {
    get backend() {
      if (loaded) return loaded.backend
      throw new AppError('INTERNAL', {
        message: 'A node that declares light work asked which backend the engine has.',
        fix: "Declare resource: 'engine'.",
      })
    },
    importModel: async (source) => (await engine()).importModel(source),
    header: async (model) => (await engine()).header(model),
    async *train(job) {
      yield* (await engine()).train(job)
    },
    evaluate: async (job) => (await engine()).evaluate(job),
    score: async (job) => (await engine()).score(job),
    tokens: async (job) => (await engine()).tokens(job),
    generate: async (job) => (await engine()).generate(job),
    trial: async (job) => (await engine()).trial(job),
    gradients: async (job) => (await engine()).gradients(job),
    divergence: async (job) => (await engine()).divergence(job),
    singularValues: async (job) => (await engine()).singularValues(job),
    interpolate: async (job) => (await engine()).interpolate(job),
    exportFolder: async (job) => (await engine()).exportFolder(job),
    exportAdapter: async (job) => (await engine()).exportAdapter(job),
  }
}

/** The attempt's own files are moved, downloads shared; a user's file is copied, since it may change under our hands. */
const howToStore = (path: string, tmp: string, cache: string): 'move' | 'link' | 'copy' =>
  path.startsWith(tmp + sep) ? 'move' : path.startsWith(cache + sep) ? 'link' : 'copy'

/** JSON carries no NaN; a missing number is a gap in a curve, which is what it is. */
const finite = (point: Record<string, number>) => Object.fromEntries(Object.entries(point).filter(([, value]) => Number.isFinite(value)))
