/**
 * A RunContext for testing one node by itself: artifacts in memory under their real digests, log lines and progress kept.
 * What needs the engine or the network throws; nodes that use those are tested in a real run.
 */
import { createHash } from 'node:crypto'
import type { ArtifactAccess, RunContext } from '../../nodes/_kit/context'
import type { DatasetHandle, Digest } from '../../nodes/_kit/ports'

export interface TestContext extends RunContext {
  readonly lines: string[]
  readonly points: Record<string, number>[]
}

const digestOf = (bytes: Uint8Array): Digest => createHash('sha256').update(bytes).digest('hex')

function refuse(what: string): never {
  throw new Error(`This test context has no ${what}: test the node in a real run.`)
}

function memoryArtifacts(): ArtifactAccess {
  const stored = new Map<Digest, Uint8Array>()
  const read = (digest: Digest): Uint8Array => stored.get(digest) ?? refuse(`artifact ${digest}`)
  return {
    async put(bytes) {
      const copy = typeof bytes === 'string' ? new TextEncoder().encode(bytes) : bytes.slice()
      const digest = digestOf(copy)
      stored.set(digest, copy)
      return digest
    },
    putFile: async () => refuse('files'),
    path: async () => refuse('files'),
    read: async (digest) => read(digest),
    readText: async (digest) => new TextDecoder().decode(read(digest)),
    async putManifest(name, files) {
      const sorted = files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
      return {
        manifest: await this.put(JSON.stringify(sorted)),
        name,
        bytes: sorted.reduce((sum, file) => sum + file.size, 0),
        files: sorted,
      }
    },
  }
}

export function nodeContext(given: Partial<RunContext> = {}): TestContext {
  const lines: string[] = []
  const points: Record<string, number>[] = []
  return {
    signal: new AbortController().signal,
    seed: 42,
    node: 'node',
    log: (text) => void lines.push(text),
    progress: () => undefined,
    metrics: (point) => void points.push(point),
    artifacts: memoryArtifacts(),
    checkpoint: { latest: async () => null, save: async () => refuse('checkpoints') },
    get engine(): never {
      return refuse('engine')
    },
    secrets: async () => refuse('secrets'),
    curves: async () => [],
    fetchModel: async () => refuse('network'),
    readFile: async () => refuse('files'),
    get tmp(): never {
      return refuse('folder')
    },
    provenance: { thawVersion: '0.0.0', graph: '{}', graphDigest: digestOf(new Uint8Array()), lineage: () => [] },
    ...given,
    lines,
    points,
  }
}

/** Stores rows as a dataset of a format and returns its handle. Each row needs an `id`. */
export async function datasetOf(
  ctx: RunContext,
  rows: readonly ({ id: string } & Record<string, unknown>)[],
  format: DatasetHandle['format'],
): Promise<DatasetHandle> {
  const { lengthsOf, rowsToJsonl } = await import('../../analysis/index')
  const artifact = await ctx.artifacts.put(rowsToJsonl(rows))
  return { artifact, rows: rows.length, format, columns: [], name: 'rows', split: 'all', source: artifact, chars: lengthsOf([...rows]) }
}
