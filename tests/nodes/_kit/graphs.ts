/** Random graphs over the stub nodes for property tests: valid wires, any shape. */
import fc from 'fast-check'
import type { PortDef } from '../../../nodes/_kit/define-node'
import type { Edge, Pipeline } from '../../../nodes/_kit/graph'
import { stubRegistry } from '../../kit/stub-nodes'

const TYPES = Object.keys(stubRegistry)

/** A document without cycles whose wires fit; `complete`: every required input that could be wired is. */
export const acyclic = (size = 12, complete = false): fc.Arbitrary<Pipeline> =>
  fc
    .array(
      fc.record({
        type: fc.constantFrom(...TYPES),
        picks: fc.array(fc.nat(), { minLength: 4, maxLength: 4 }),
        wired: fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
      }),
      {
        minLength: 1,
        maxLength: size,
      },
    )
    .map((specs) => {
      const nodes: Pipeline['nodes'] = {}
      const edges: Edge[] = []
      const made: { node: string; port: string; kind: string }[] = []
      specs.forEach(({ type, picks, wired }, i) => {
        const id = `n${i}`
        nodes[id] = { type, version: 1, params: {} }
        const def = stubRegistry[type]
        Object.entries((def?.inputs ?? {}) as Record<string, PortDef>).forEach(([port, input], j) => {
          const fitting = made.filter((one) => one.kind === input.kind)
          const from = fitting[(picks[j] ?? 0) % Math.max(1, fitting.length)]
          if (from && (complete || wired[j])) edges.push({ from: { node: from.node, port: from.port }, to: { node: id, port } })
        })
        for (const [port, output] of Object.entries((def?.outputs ?? {}) as Record<string, PortDef>))
          made.push({ node: id, port, kind: output.kind })
      })
      return { schemaVersion: 1, nodes, edges, inputs: [], notes: [], layout: { nodes: {}, groups: [] } }
    })

/** The same graph written down in another order. */
export const reordered = (document: Pipeline, random: () => number): Pipeline => {
  const mix = <T>(items: T[]): T[] =>
    items
      .map((item) => ({ item, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ item }) => item)
  return { ...document, nodes: Object.fromEntries(mix(Object.entries(document.nodes))), edges: mix([...document.edges]) }
}
