import { describe, expect, it } from 'vitest'
import {
  asCsv,
  dataLines,
  findPredictions,
  graphLines,
  otherRows,
  pairedDifference,
  pairsOf,
  paramLines,
  predictionRows,
  scoreLines,
  seedGroups,
  spreadOf,
  verdictOf,
} from '../../../app/runs/compare'
import type { Snapshot } from '../../../app/runs/live'
import { scoredRow } from '../../../app/runs/rows'
import { registry } from '../../../nodes'

const edge = (from: string, to: string) => ({
  from: { node: from.split('.')[0], port: from.split('.')[1] },
  to: { node: to.split('.')[0], port: to.split('.')[1] },
})

/** As the server gives it, cut to what comparing reads. */
function snapshot(number: number, over: { seed?: number; rate?: number; rows?: string; exact?: number; extra?: boolean } = {}): Snapshot {
  const { seed = 42, rate = 1e-3, rows = 'aa', exact = 0.5, extra = false } = over
  const nodes = [
    { nodeId: 'data', type: 'load-data', params: { file: 'x' }, outputs: { data: { artifact: rows, rows: 10, columns: ['text'] } } },
    { nodeId: 'train', type: 'train', params: { learning_rate: rate, seed }, outputs: { metrics: { loss: 0.1 } } },
    {
      nodeId: 'val',
      type: 'validate',
      params: {},
      outputs: { metrics: { rows: 10, exact_match: exact, base_exact_match: 0, eval_loss: 1 - exact } },
    },
    ...(extra ? [{ nodeId: 'export', type: 'export', params: {}, outputs: null }] : []),
  ]
  return {
    run: { id: `run-${number}`, number },
    nodes,
    plan: { nodes: nodes.map((node) => ({ node: node.nodeId, title: node.type })) },
    document: {
      edges: [edge('data.data', 'train.data'), edge('data.data', 'val.data'), ...(extra ? [edge('train.model', 'export.model')] : [])],
    },
  } as unknown as Snapshot
}

describe('comparing runs', () => {
  it('UX-89: scores stand side by side, the best is named, and rows that differ are said', () => {
    const runs = [snapshot(1, { exact: 0.5 }), snapshot(2, { exact: 0.8 }), snapshot(3, { exact: 0.9, rows: 'bb' })]
    const lines = scoreLines(runs)
    expect(lines.map((line) => [line.score.name, line.best])).toEqual([
      ['exact_match', 2],
      ['eval_loss', 2],
    ])
    expect(otherRows(runs)).toEqual([{ node: 'val', title: 'validate', runs: [3] }])
    expect(otherRows(runs.slice(0, 2))).toEqual([])
    expect(dataLines(runs).map((line) => [line.node, line.differs])).toEqual([['data', true]])
  })

  it('UX-91: settings and graph that differ; runs that differ only in seed are one group', () => {
    const runs = [snapshot(1), snapshot(2, { seed: 7 }), snapshot(3, { rate: 2e-3 }), snapshot(4, { extra: true })]
    expect(seedGroups(runs)).toEqual([[0, 1], [2], [3]])
    const differing = paramLines(runs.slice(0, 3), registry).filter((line) => line.differs)
    expect(differing.map((line) => [line.param, line.values])).toEqual([
      ['learning_rate', ['0.001', '0.001', '0.002']],
      ['seed', ['42', '7', '42']],
    ])
    expect(graphLines(runs.slice(0, 3))).toEqual([])
    expect(graphLines([runs[0], runs[3]] as Snapshot[]).map((line) => line.inRuns)).toEqual([
      [false, true],
      [false, true],
    ])
  })

  it('UX-91: a difference inside the spread or the interval says so', () => {
    // Agresti and Min: 6 gained, 1 lost of 20: (6.5 − 1.5)/22 ± 1.96·√(8 − 25/22)/22.
    const base = Array.from({ length: 20 }, (_, i) => i === 0)
    const other = Array.from({ length: 20 }, (_, i) => i >= 1 && i <= 6)
    const difference = pairedDifference(base, other)
    expect(difference?.mean).toBeCloseTo(5 / 20)
    expect(difference?.low).toBeCloseTo(5 / 22 - (1.959964 * Math.sqrt(8 - 25 / 22)) / 22)
    expect(difference?.low).toBeLessThan(0)
    expect(verdictOf(5 / 20, 'higher', difference, null)).toBe('no difference seen')
    const clear = pairedDifference(
      new Array(20).fill(false),
      Array.from({ length: 20 }, (_, i) => i < 15),
    )
    expect(verdictOf(0.75, 'higher', clear, null)).toBe('better')
    expect(verdictOf(0.75, 'higher', clear, 0.5)).toBe('no difference seen')
    expect(verdictOf(0.2, 'lower', null, null)).toBeNull()
    expect(verdictOf(0.2, 'lower', null, 0.01)).toBe('worse')
    expect(spreadOf([1, 2, 3])).toEqual({ mean: 2, sd: 1, low: 1, high: 3 })
    expect(pairedDifference([], [])).toBeNull()
  })

  it('UX-92: answers to the same rows, matched by what was asked, with "b right, a wrong"', () => {
    const row = (input: string, correct: boolean, i: number) => scoredRow({ input, expected: 'x', after: correct ? 'x' : 'y', correct }, i)
    const a = [row('one', true, 0), row('two', false, 1), row('two', true, 2)]
    const b = [row('two', true, 0), row('one', true, 1), row('three', false, 2)]
    const rows = predictionRows([a, b])
    expect(rows.map((line) => [line.input, ...line.answers.map((answer) => answer?.correct ?? null)])).toEqual([
      ['one', true, true],
      ['two', false, true],
      ['two', true, null],
      ['three', null, false],
    ])
    expect(findPredictions(rows, { right: 1, wrong: 0 }).map((line) => line.input)).toEqual(['two'])
    expect(findPredictions(rows, 'disagree')).toHaveLength(1)
    expect(pairsOf(rows, 0, 1)).toEqual({ base: [true, false], other: [true, true] })
  })

  it('UX-93: the table leaves as CSV; what a spreadsheet would run is text', () => {
    const runs = [snapshot(1), snapshot(2, { exact: 0.8 })]
    const csv = asCsv(runs, scoreLines(runs), [
      { node: 'n', nodeTitle: '=cmd()', param: 'p', title: 'a,b', values: ['-0.5', '+1'], differs: true },
    ])
    expect(csv.split('\n')).toEqual([
      'node,what,run 1,run 2',
      'validate,"Exact match, whole answer",0.5,0.8',
      'validate,Loss,0.5,0.2',
      '\'=cmd(),"a,b",-0.5,\'+1',
      '',
    ])
  })
})
