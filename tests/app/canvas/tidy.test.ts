import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type TidyNode, tidy } from '../../../app/canvas/tidy'
import type { Edge } from '../../../nodes/_kit/graph'

const edge = (a: string, b: string): Edge => ({ from: { node: a, port: 'out' }, to: { node: b, port: 'in' } })
const node = (id: string, x = 0, y = 0, height = 140): TidyNode => ({ id, at: { x, y }, height })

test('UX-34: a chain lies on one line from left to right, two branches on two, and what feeds late lies beside what it feeds', () => {
  const chain = tidy([node('c', 900, 300), node('a', 16, 700), node('b', 400, 50)], [edge('a', 'b'), edge('b', 'c')])
  expect(new Set(Object.values(chain).map((at) => at.y)).size).toBe(1)
  expect([chain.a?.x, chain.b?.x, chain.c?.x]).toEqual([16, 304, 592])

  const fork = tidy(
    [node('model'), node('freeze'), node('data', 0, 500), node('train'), node('save')],
    [edge('model', 'freeze'), edge('freeze', 'train'), edge('data', 'train'), edge('train', 'save')],
  )
  expect(fork.data?.x).toBe(fork.freeze?.x)
  expect(fork.data?.y).not.toBe(fork.freeze?.y)
  expect(fork.train?.y).toBe(fork.save?.y)
})

test('UX-34: whatever the graph, nothing overlaps, everything is on the grid, wires lead right unless they go round, and twice is once', () => {
  const graphs = fc.record({
    heights: fc.array(fc.integer({ min: 60, max: 320 }), { minLength: 1, maxLength: 24 }),
    wires: fc.array(fc.tuple(fc.nat(23), fc.nat(23)), { maxLength: 40 }),
    places: fc.array(fc.tuple(fc.integer({ min: -900, max: 900 }), fc.integer({ min: -900, max: 900 })), { minLength: 24, maxLength: 24 }),
  })
  fc.assert(
    fc.property(graphs, fc.boolean(), ({ heights, wires, places }, round) => {
      const nodes = heights.map((height, i) => node(`n${i}`, places[i]?.[0], places[i]?.[1], height))
      const edges = wires
        .map(([a, b]) => [a % nodes.length, b % nodes.length] as const)
        // Without `round` wires lead from lower to higher numbers, so none goes round.
        .filter(([a, b]) => (round ? true : a < b))
        .map(([a, b]) => edge(`n${a}`, `n${b}`))
      const found = tidy(nodes, edges)
      expect(Object.keys(found).sort()).toEqual(nodes.map((n) => n.id).sort())
      for (const [i, a] of nodes.entries()) {
        const at = found[a.id]
        if (!at) throw new Error('no place')
        expect([at.x % 16, at.y % 16].map(Math.abs)).toEqual([0, 0])
        for (const b of nodes.slice(i + 1)) {
          const other = found[b.id]
          if (!other || other.x !== at.x) continue
          expect(at.y + a.height + 16 <= other.y || other.y + b.height + 16 <= at.y).toBe(true)
        }
      }
      if (!round) for (const e of edges) expect(found[e.to.node]?.x).toBeGreaterThan(found[e.from.node]?.x ?? Number.POSITIVE_INFINITY)
      const again = tidy(
        nodes.map((n) => ({ ...n, at: found[n.id] ?? n.at })),
        edges,
      )
      if (!round)
        expect(Object.fromEntries(Object.entries(again).map(([id, at]) => [id, at.x]))).toEqual(
          Object.fromEntries(Object.entries(found).map(([id, at]) => [id, at.x])),
        )
    }),
    { numRuns: 150 },
  )
})
