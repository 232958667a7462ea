/** What differs between two versions of a pipeline (UX-47): nodes, wires and settings. Places, titles and notes change no result (UX-49). Pure. */
import type { AnyNode, Registry } from '../../../nodes/_kit/define-node'
import type { Edge, Pipeline, PipelineNode } from '../../../nodes/_kit/graph'
import { paramTitle, show } from '../../../nodes/_kit/problems'
import { defOf, own, titleOf } from '../../../nodes/_kit/wires'
import { numberText } from '../../forms/number-text'
import { fieldsOf } from '../../forms/schema'
import { edgeKey, sameJson } from '../editor-state'

export type Mark = 'same' | 'added' | 'removed' | 'changed'

export type SettingChange = {
  readonly node: string
  readonly title: string
  /** Of a node that was added or removed there is one line, without a setting. */
  readonly setting: string | null
  readonly mark: Exclude<Mark, 'same'>
  readonly before: string
  readonly after: string
}

export type GraphDiff = {
  /** Every node of both, by id. */
  readonly nodes: Readonly<Record<string, Mark>>
  readonly edges: readonly { readonly edge: Edge; readonly mark: Exclude<Mark, 'changed'> }[]
  readonly settings: readonly SettingChange[]
  /** Wires that came or went between nodes that stay. */
  readonly rewired: number
  readonly counts: { readonly added: number; readonly removed: number; readonly changed: number }
}

const said = (value: unknown): string =>
  value === undefined ? '–' : typeof value === 'number' ? numberText(value) : typeof value === 'string' ? value || '“”' : show(value)

/** Params as they count: with defaults, so that writing one down is no change. */
function filled(node: PipelineNode, def: AnyNode | undefined): Record<string, unknown> {
  const defaults = def ? Object.fromEntries(fieldsOf(def.params).map((field) => [field.name, field.default])) : {}
  return { ...defaults, ...node.params }
}

export function graphDiff(before: Pipeline, after: Pipeline, registry: Registry): GraphDiff {
  const nodes: Record<string, Mark> = {}
  const settings: SettingChange[] = []
  for (const id of new Set([...Object.keys(before.nodes), ...Object.keys(after.nodes)])) {
    const [then, now] = [own(before.nodes, id), own(after.nodes, id)]
    if (!then || !now) {
      nodes[id] = now ? 'added' : 'removed'
      const title = titleOf(now ? after : before, registry, id)
      settings.push({
        node: id,
        title,
        setting: null,
        mark: nodes[id] as 'added' | 'removed',
        before: then ? 'there' : '–',
        after: now ? 'there' : '–',
      })
      continue
    }
    const changes: SettingChange[] = []
    const change = (setting: string, a: string, b: string) =>
      changes.push({ node: id, title: titleOf(after, registry, id), setting, mark: 'changed', before: a, after: b })
    if (then.type !== now.type)
      change('Kind of node', defOf(before, registry, id)?.title ?? then.type, defOf(after, registry, id)?.title ?? now.type)
    if ((then.disabled ?? false) !== (now.disabled ?? false))
      change('Runs', then.disabled ? 'disabled' : 'yes', now.disabled ? 'disabled' : 'yes')
    const def = defOf(after, registry, id)
    const [a, b] = [filled(then, defOf(before, registry, id)), filled(now, def)]
    for (const name of new Set([...Object.keys(a), ...Object.keys(b)]))
      if (!sameJson(a[name], b[name]))
        change(def && Object.hasOwn(def.params.shape, name) ? paramTitle(def, name) : name, said(a[name]), said(b[name]))
    nodes[id] = changes.length > 0 ? 'changed' : 'same'
    settings.push(...changes)
  }
  const [then, now] = [new Map(before.edges.map((e) => [edgeKey(e), e])), new Map(after.edges.map((e) => [edgeKey(e), e]))]
  const edges = [...new Map([...then, ...now])].map(([key, edge]) => ({
    edge,
    mark: then.has(key) ? (now.has(key) ? ('same' as const) : ('removed' as const)) : ('added' as const),
  }))
  const stays = (id: string) => nodes[id] === 'same' || nodes[id] === 'changed'
  const marks = Object.values(nodes)
  return {
    nodes,
    edges,
    settings,
    rewired: edges.filter(({ edge, mark }) => mark !== 'same' && stays(edge.from.node) && stays(edge.to.node)).length,
    counts: {
      added: marks.filter((mark) => mark === 'added').length,
      removed: marks.filter((mark) => mark === 'removed').length,
      changed: marks.filter((mark) => mark === 'changed').length,
    },
  }
}

/** "1 added, 2 changed, 1 wire other". */
export function diffWords({ counts, rewired }: GraphDiff): string {
  const parts = [
    counts.added > 0 && `${counts.added} added`,
    counts.removed > 0 && `${counts.removed} removed`,
    counts.changed > 0 && `${counts.changed} changed`,
    rewired > 0 && `${rewired} ${rewired === 1 ? 'wire differs' : 'wires differ'}`,
  ].filter(Boolean)
  return parts.length > 0 ? parts.join(', ') : 'the same nodes, settings and wires'
}
