/**
 * Names for work and content (A-5, R-58, R-60, R-93). Everything here is pure and synchronous, so browser, server, worker and CLI come to
 * the same digests; that is why sha256 is a library in plain TypeScript and not WebCrypto (asynchronous) or node:crypto (not in browsers).
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { AnyNode } from './define-node'
import type { Pipeline } from './graph'
import type { DatasetHandle, Digest, FileHandle, ModelHandle, PortKind, PortValue, TrainablePlan } from './ports'

/** Raised when the recipe of a key changes, so that old results are no longer found. */
const KEY_VERSION = 1

/**
 * JSON with sorted keys and no spaces. Keys whose value is `undefined` are left out, as JSON.stringify does.
 * @throws TypeError on what JSON cannot carry exactly: NaN, infinities, bigint, functions, symbols, sparse arrays.
 */
export function canonicalJson(value: unknown, path = '$'): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new TypeError(`${path} is ${value}, which JSON cannot carry.`)
    return JSON.stringify(value)
  }
  if (Array.isArray(value)) return `[${Array.from(value, (item, i) => canonicalJson(item, `${path}[${i}]`)).join(',')}]`
  if (typeof value === 'object') {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined)
    // Code unit order: independent of locale, equal in every JavaScript engine.
    entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item, `${path}.${key}`)}`).join(',')}}`
  }
  throw new TypeError(`${path} is ${typeof value}, which JSON cannot carry.`)
}

/** sha256 of the UTF-8 bytes, lower-case hex. */
export const sha256Hex = (text: string): Digest => bytesToHex(sha256(utf8ToBytes(text)))

export const digestOf = (value: unknown): Digest => sha256Hex(canonicalJson(value))

/** What of a handle is content (R-60). Left out: names for people, ids of nodes, and numbers derived from the bytes. */
const CONTENT: { [K in PortKind]: (value: never) => unknown } = {
  model: (m: ModelHandle) => ({
    base: m.base,
    delta: m.delta,
    // Only where there is one: a model without keeps the name it had before adapters were known.
    ...(m.adapter && { adapter: m.adapter.manifest }),
    dtype: m.dtype,
    tokenizer: m.tokenizer,
    chatTemplate: m.chatTemplate,
    trainable: m.trainable?.names ?? null,
    lineage: m.lineage.map(({ node: _, ...entry }) => entry),
  }),
  dataset: (d: DatasetHandle) => ({ artifact: d.artifact, format: d.format, columns: d.columns, split: d.split, source: d.source }),
  plan: (p: TrainablePlan) => p.names,
  metrics: (m: Record<string, number>) => m,
  report: (r: PortValue<'report'>) => ({ artifact: r.artifact, mediaType: r.mediaType }),
  file: (f: FileHandle) => ({ manifest: f.manifest, name: f.name }),
}

/** Digest of what travels on a wire: equal for equal content, whichever node made it. */
export const contentDigest = (kind: PortKind, value: unknown): Digest => digestOf({ kind, content: CONTENT[kind](value as never) })

/** Artifact digests that a handle names: what must be present for the handle to be usable. */
export function artifactsOf(kind: PortKind, value: unknown): Digest[] {
  switch (kind) {
    case 'model': {
      const model = value as ModelHandle
      return [model.base.manifest, model.delta, model.adapter?.manifest ?? null, model.tokenizer, model.chatTemplate].filter(
        (digest) => digest !== null,
      )
    }
    case 'dataset':
      return [(value as DatasetHandle).artifact]
    case 'report':
      return [(value as PortValue<'report'>).artifact]
    case 'file': {
      const file = value as FileHandle
      return [file.manifest, ...file.files.map((entry) => entry.digest)]
    }
    case 'plan':
    case 'metrics':
      return []
  }
}

export type Recipe = {
  def: AnyNode
  version: number
  implDigest: string
  /** Parsed, defaults filled, `auto` resolved. */
  params: Record<string, unknown>
  /** Content digest by input port; unconnected optional inputs are absent. */
  inputs: Record<string, Digest>
  /** Digest of the file or model behind this node's own fact request, which stands for its path (R-61). */
  source?: { value: string; name: string; digest: string } | undefined
}

/** The params that only lengthen the work, under these params (R-65, R-66). */
export const extentOf = (def: AnyNode, params: Record<string, unknown>): readonly string[] =>
  typeof def.extent === 'function' ? def.extent(params) : (def.extent ?? [])

const recipe = ({ def, version, implDigest, params, inputs, source }: Recipe, without: readonly string[]) => {
  const own: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(params)) {
    if (without.includes(name)) continue
    // The path is not the content: a file moved to another folder is the same file. Its name stays, since readers look at its ending.
    own[name] = source && value === source.value ? { name: source.name, digest: source.digest } : value
  }
  return { v: KEY_VERSION, type: def.type, version, implDigest, params: own, seed: seedOf(def, params), inputs }
}

/** Full cache key (R-58): equal key, equal outputs. */
export const cacheKey = (of: Recipe): Digest => digestOf(recipe(of, []))

/** Key without the extent params (R-65): checkpoints of equal identity can be continued. */
export const identityKey = (of: Recipe): Digest => digestOf({ identity: recipe(of, extentOf(of.def, of.params)) })

/** Seed of a node run; null for nodes that use none. */
export const seedOf = (def: AnyNode, params: Record<string, unknown>): number | null =>
  def.purity === 'seeded' && typeof params.seed === 'number' ? params.seed : null

/** Digest of everything but `layout` and `notes` (R-93): moving a box or writing a note changes nothing. */
export function graphDigest(document: Pipeline): Digest {
  const { layout: _, notes: __, ...graph } = document
  // Edges are a set: the order in which they were drawn means nothing.
  const edges = graph.edges.map((edge) => canonicalJson(edge)).sort()
  return digestOf({ ...graph, edges })
}
