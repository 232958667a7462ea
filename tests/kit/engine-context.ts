/**
 * A RunContext with the real engine and a real artifact store in a folder of its own: for nodes whose work is the engine's. Nothing else of
 * the product runs; logs, progress and live points are kept.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { packRows } from '../../analysis/index'
import type { RunContext } from '../../nodes/_kit/context'
import type { DatasetHandle, ModelHandle, PortValue } from '../../nodes/_kit/ports'
import type { Report } from '../../nodes/_kit/report'
import { ensureEngine } from '../../scripts/engine-install.mjs'
import type { EngineHost } from '../../server/executor/context'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { openEngine } from '../../server/workers/engine-access'

const ROOT = join(import.meta.dirname, '../..')

export interface EngineContext {
  readonly ctx: RunContext
  readonly logs: string[]
  readonly points: Record<string, number>[]
  tiny(): Promise<ModelHandle>
  model(source: string, name: string): Promise<ModelHandle>
  dataset(
    rows: readonly ({ id: string } & Record<string, unknown>)[],
    format: DatasetHandle['format'],
    name?: string,
  ): Promise<DatasetHandle>
  rowsOf(data: DatasetHandle): Promise<Record<string, unknown>[]>
  reportOf(report: PortValue<'report'>): Promise<Report>
  close(): void
}

/** Installs TensorFlow where it is missing, as the product does. */
export async function engineContext(): Promise<EngineContext> {
  await ensureEngine({ onProgress: () => {} })
  const home = mkdtempSync(join(tmpdir(), 'thaw-node-'))
  const store = new ArtifactStore(join(home, 'artifacts'))
  const factory = await openEngine({ cache: process.env.THAW_CACHE ?? join(homedir(), '.cache/thaw'), root: ROOT })
  const logs: string[] = []
  const points: Record<string, number>[] = []
  const tmp = mkdtempSync(join(home, 'attempt-'))
  const host: EngineHost = {
    artifacts: {
      put: async (bytes) => (await store.put(bytes)).digest,
      putFile: async (file) => (await store.putFile(file, file.startsWith(tmp) ? 'move' : 'link')).digest,
      path: (digest) => store.verifiedPath(digest),
      read: (digest) => store.read(digest),
      readText: (digest) => store.readText(digest),
      putManifest: async (name, files) => ({
        manifest: (await store.putManifest(files)).digest,
        name,
        bytes: files.reduce((sum, f) => sum + f.size, 0),
        files: [...files],
      }),
    },
    checkpoint: { latest: async () => null, save: async () => undefined },
    signal: new AbortController().signal,
    stop: new AbortController().signal,
    takeCheckpointRequest: () => false,
    log: (text) => void logs.push(text),
    tmp,
    provenance: { thawVersion: '0', graph: '{}', graphDigest: '0'.repeat(64), lineage: () => [] },
  }
  const engine = await factory(host)
  const ctx: RunContext = {
    ...host,
    seed: 42,
    node: 'node',
    log: (text) => void logs.push(text),
    progress: () => undefined,
    metrics: (point) => void points.push(point),
    engine,
    secrets: () => Promise.reject(new Error('no secrets here')),
    curves: async () => [],
    fetchModel: () => Promise.reject(new Error('no network here')),
    async readFile(file) {
      const bytes = new Uint8Array(readFileSync(file))
      return { bytes, name: basename(file), digest: (await store.put(bytes)).digest }
    },
  }
  const model = (source: string, name: string) => engine.importModel({ path: source, name, source, license: null })
  return {
    ctx,
    logs,
    points,
    model,
    tiny: () => model(join(ROOT, 'models/thaw-tiny'), 'thaw-tiny'),
    async dataset(rows, format, name = 'rows') {
      const { text, ...rest } = packRows(rows)
      const { digest } = await store.put(text)
      return { artifact: digest, format, columns: [], name, split: 'all', source: digest, ...rest }
    },
    rowsOf: async (data) =>
      (await store.readText(data.artifact))
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    reportOf: async (report) => JSON.parse(await store.readText(report.artifact)) as Report,
    close: () => rmSync(home, { recursive: true, force: true }),
  }
}
