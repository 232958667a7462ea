import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { THUMB, thumbCells, thumbOf } from '../../../app/start/thumb'
import { registry } from '../../../nodes'
import type { Pipeline } from '../../../nodes/_kit/graph'

describe('picture of a template', () => {
  it('D-19: ten cells stand for all blocks, and what may change is never hidden', () => {
    expect(
      thumbCells(Array.from({ length: 30 }, (_, i) => (i >= 20 ? 1 : 0)))
        .map(Number)
        .join(''),
    ).toBe('0000000111')
    expect(thumbCells(Array.from({ length: 30 }, (_, i) => (i === 14 ? 1 : 0))).filter(Boolean)).toHaveLength(1)
    expect(thumbCells([0, 0, 1]).filter(Boolean).length).toBeGreaterThan(0)
    expect(thumbCells([]).includes(true)).toBe(false)
  })

  it('UX-1: in every shipped template the boxes lie inside the picture and not on each other', () => {
    for (const name of ['contract-fields']) {
      const document = JSON.parse(readFileSync(new URL(`../../../templates/${name}/pipeline.json`, import.meta.url), 'utf8')) as Pipeline
      const { boxes, wires } = thumbOf(document, registry)
      expect(boxes).toHaveLength(Object.keys(document.nodes).length)
      expect(wires).toHaveLength(document.edges.length)
      for (const a of boxes) {
        expect(a.x).toBeGreaterThanOrEqual(THUMB.pad - 1)
        expect(a.x + a.width).toBeLessThanOrEqual(THUMB.width - THUMB.pad + 1)
        expect(a.y).toBeGreaterThanOrEqual(THUMB.pad - 1)
        expect(a.y + THUMB.high).toBeLessThanOrEqual(THUMB.height - THUMB.pad + 1)
        for (const b of boxes) if (a !== b && a.x === b.x) expect(Math.abs(a.y - b.y)).toBeGreaterThanOrEqual(THUMB.high)
      }
    }
  })

  it('UX-53: a node of unknown type is drawn, with a question mark', () => {
    const document: Pipeline = {
      schemaVersion: 1,
      nodes: { odd: { type: 'not-there', version: 9, params: {} } },
      edges: [],
      inputs: [],
      notes: [],
      layout: { nodes: {}, groups: [] },
    }
    expect(thumbOf(document, registry).boxes).toMatchObject([{ icon: 'question', cells: null }])
  })
})
