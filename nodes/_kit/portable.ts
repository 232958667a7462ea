/** What a pipeline must not take along when it leaves this computer (F-55, UX-96): local paths become bare names, secrets go; both are listed. */
import type { Registry } from './define-node'
import { LIMITS, type Pipeline } from './graph'

export type Removed = { node: string; param: string; kind: 'path' | 'secret' }

/** Absolute on Linux and macOS, on Windows, a network share, a home folder, or relative to a file of this computer. */
const LOCAL_PATH = /^(?:file:)?(?:\/|~[\\/]|\.{1,2}[\\/]|[A-Za-z]:[\\/]|\\\\)/
const SECRET_NAME = /token(?!s)|secret|password|api_?key/i
/** A path or login inside a longer text, such as a note or a filter. */
const PATH_INSIDE = /(?<![\w:/])(?:\/(?:home|Users|root|mnt|media|tmp|var|opt|srv)\/|[A-Za-z]:\\)[^\s"'`)]*/g
const LOGIN_INSIDE = /\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@:]+:[^\s/@]+@/gi
const TOKEN_INSIDE = /\b(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16})\b/g

const bareName = (path: string): string => path.split(/[\\/]/).filter(Boolean).at(-1) ?? ''

export const isLocalPath = (value: unknown): boolean => typeof value === 'string' && LOCAL_PATH.test(value)

/** Text for people, without paths, logins and tokens. */
export const cleanText = (text: string): string =>
  text.replace(PATH_INSIDE, bareName).replace(LOGIN_INSIDE, '$1').replace(TOKEN_INSIDE, '(removed)')

const widgetOf = (registry: Registry | null, type: string, param: string): unknown => {
  const def = registry && Object.hasOwn(registry, type) ? registry[type] : undefined
  const field = def?.params.shape[param] as { meta?: () => { widget?: unknown } | undefined } | undefined
  return field?.meta?.()?.widget
}

/**
 * The pipeline as it may be passed on, and what was taken out. Without a registry secrets are known by the names of their params only.
 * A param that named a local file keeps the file's name, so that whoever opens the pipeline sees what is missing.
 */
export function portable(document: Pipeline, registry: Registry | null = null): { document: Pipeline; removed: Removed[] } {
  const removed: Removed[] = []
  const nodes = Object.fromEntries(
    Object.entries(document.nodes).map(([id, node]) => {
      const clean = (value: unknown, param: string): unknown => {
        if (typeof value === 'string') {
          const bare = LOCAL_PATH.test(value) ? bareName(value) : cleanText(value)
          if (bare !== value) removed.push({ node: id, param, kind: LOCAL_PATH.test(value) ? 'path' : 'secret' })
          return bare
        }
        if (Array.isArray(value)) return value.map((one) => clean(one, param))
        if (value === null || typeof value !== 'object') return value
        return Object.fromEntries(
          Object.entries(value).flatMap(([key, inner]) => {
            if (!SECRET_NAME.test(key)) return [[key, clean(inner, param)]]
            removed.push({ node: id, param, kind: 'secret' })
            return []
          }),
        )
      }
      const params = Object.fromEntries(
        Object.entries(node.params ?? {}).flatMap(([name, value]) => {
          if (!SECRET_NAME.test(name) && widgetOf(registry, node.type, name) !== 'secret') return [[name, clean(value, name)]]
          if (value !== '' && value !== null && value !== undefined) removed.push({ node: id, param: name, kind: 'secret' })
          return []
        }),
      )
      return [id, { ...node, params }]
    }),
  )
  const notes = document.notes?.map((note) => ({ ...note, text: cleanText(note.text) }))
  return { document: { ...document, nodes, ...(notes && { notes }) }, removed }
}

/** F-55: at most 1 MiB, otherwise only the digest stays. */
const GRAPH_LIMIT = 1024 * 1024

/** The same for a document as text, as it goes into the header of a weights file. Null when it is no pipeline, or too large. */
export function portableGraph(graph: string): string | null {
  let parsed: Pipeline
  try {
    parsed = JSON.parse(graph) as Pipeline
  } catch {
    return null
  }
  if (parsed === null || typeof parsed !== 'object' || typeof parsed.nodes !== 'object') return null
  const text = JSON.stringify(portable(parsed).document)
  return text.length <= Math.min(GRAPH_LIMIT, LIMITS.bytes) ? text : null
}
