import type { Pipeline } from '../../nodes/_kit/graph'

type Wire = `${string}.${string} -> ${string}.${string}`

/** A document in a few words: nodes as `{id: [type, params]}`, wires as `'a.model -> b.model'`. */
export function documentOf(nodes: Record<string, [string, Record<string, unknown>?]>, wires: readonly Wire[] = []): Pipeline {
  const end = (text: string) => {
    const [node = '', port = ''] = text.split('.')
    return { node, port }
  }
  return {
    schemaVersion: 1,
    nodes: Object.fromEntries(Object.entries(nodes).map(([id, [type, params]]) => [id, { type, version: 1, params: params ?? {} }])),
    edges: wires.map((wire) => {
      const [from = '', to = ''] = wire.split(' -> ')
      return { from: end(from), to: end(to) }
    }),
    inputs: [],
    notes: [],
    layout: { nodes: {}, groups: [] },
  }
}
