import { describe, expect, it } from 'vitest'
import { fromSnapshot, type Snapshot } from '../../../app/runs/live'
import { nodesOf } from '../../../app/runs/use-run-view'

const at = new Date('2026-11-23T12:00:00Z')
const row = (nodeId: string, more: Partial<Snapshot['nodes'][number]> = {}): Snapshot['nodes'][number] => ({
  id: nodeId,
  nodeId,
  type: nodeId,
  status: 'waiting',
  resource: 'cpu',
  params: {},
  key: null,
  attempt: 0,
  outputs: null,
  error: null,
  step: null,
  checkpoint: null,
  skippedBy: null,
  reusedFrom: null,
  queuedAt: null,
  startedAt: null,
  lastBeat: null,
  endedAt: null,
  ...more,
})
const snapshot = {
  run: { id: 'r', status: 'running', wanted: 'run', startedAt: at, endedAt: null, createdAt: at },
  document: {
    edges: [{ from: { node: 'data', port: 'data' }, to: { node: 'train', port: 'data' } }],
    layout: { nodes: { data: { x: 0, y: 0, title: 'Clauses' } } },
  },
  plan: {
    nodes: [
      { node: 'data', title: 'Load data', action: 'reuse', reasons: [{ code: 'same-recipe', text: 'nothing changed' }] },
      { node: 'train', title: 'Train', action: 'run', reasons: [{ code: 'never-run', text: 'Has no result yet.' }] },
    ],
  },
  nodes: [
    row('train', { status: 'running', attempt: 2, lastBeat: at, startedAt: at, checkpoint: { step: 12, manifest: 'a', metric: null } }),
    row('data', { status: 'reused', reusedFrom: { run: 'x', number: 7 } }),
  ],
  seq: 5_000,
  attempts: {},
} as unknown as Snapshot

describe('a run as the server describes it', () => {
  it('R-85: states come at once; the last events are read again for curves and logs', () => {
    const run = fromSnapshot(snapshot, 4_000)
    expect(run).toMatchObject({ id: 'r', status: 'running', wanted: null, seq: 1_000, settled: 5_000, startedAt: at.toISOString() })
    expect(run.nodes.train).toMatchObject({ status: 'running', attempt: 2, lastBeat: at.toISOString(), checkpoints: [{ step: 12 }] })
    expect(run.nodes.data?.reusedFrom).toEqual({ run: 'x', number: 7 })
    expect(fromSnapshot({ ...snapshot, seq: 10 }).seq).toBe(0)
  })

  it('UX-69: a wish to stop is known before it has happened', () => {
    expect(fromSnapshot({ ...snapshot, run: { ...snapshot.run, wanted: 'stop' } }).wanted).toBe('stop')
  })

  it('UX-70: nodes stand in the order of the plan, named as the pipeline named them when it ran', () => {
    expect(nodesOf(snapshot).map((node) => [node.id, node.title, node.needs, node.planned])).toEqual([
      ['data', 'Clauses', [], 'nothing changed'],
      ['train', 'Train', ['data'], null],
    ])
  })
})
