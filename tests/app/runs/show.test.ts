import { describe, expect, it } from 'vitest'
import type { NodeStatus } from '../../../app/runs/events'
import { emptyNodeRun, emptyRun, type NodeRun, type RunState } from '../../../app/runs/reduce'
import { addPoints, EMPTY_SERIES } from '../../../app/runs/series'
import { doneOf, lossWords, reusedWords, runWords, viewNode, whyOf } from '../../../app/runs/show'
import { announcement, faviconOf, titleOf } from '../../../app/runs/tab-title'
import { STATES } from '../../../app/ui/state'

const node = (status: NodeStatus, more: Partial<NodeRun> = {}): NodeRun => ({ ...emptyNodeRun, status, attempt: 1, ...more })
const run = (more: Partial<RunState>): RunState => ({ ...emptyRun('r'), ...more })
const nodes = [
  { id: 'train', title: 'Train', icon: 'train', type: 'train' },
  { id: 'data', title: 'Load data', icon: 'load-data', type: 'load-data' },
]
const training = node('running', {
  progress: { done: 38, total: 60, unit: 'steps', etaSeconds: 43 },
  series: addPoints(EMPTY_SERIES, [{ step: 38, loss: 0.0141 }]),
})

describe('states in words (UX-66)', () => {
  it('every stored state has an icon and a word', () => {
    for (const status of [
      'waiting',
      'queued',
      'running',
      'paused',
      'done',
      'reused',
      'failed',
      'stopped',
      'skipped',
      'cancelled',
    ] as const) {
      expect(viewNode(node(status), 'train').state).toBe(status)
      expect(STATES[status].word).not.toBe('')
    }
    expect(viewNode(undefined, 'train').state).toBe('notrun')
  })
  it('UX-67: a training node says its share, step, loss and time left, and is warm', () => {
    expect(viewNode(training, 'train')).toMatchObject({
      words: '63 %',
      detail: 'step 38 of 60 · loss 0.014',
      timeLeft: 'about 45 s left',
      training: true,
    })
  })
  it('D-7: work that does not train is never warm', () => expect(viewNode(training, 'validate').training).toBe(false))
  it('D-3: without a number there is no share', () => expect(viewNode(node('running'), 'train').share).toBeNull())
  it('done says its time, reused its run, stopped its step', () => {
    expect(viewNode(node('done', { startedAt: '2026-01-01T00:00:00Z', endedAt: '2026-01-01T00:02:04Z' }), 'train').words).toBe('2 min 04 s')
    expect(viewNode(node('reused', { reusedFrom: { run: 'x', number: 13 } }), 'train').words).toBe('run 13')
    expect(viewNode(node('stopped', { checkpoints: [{ step: 36, manifest: 'a' }] }), 'train').detail).toBe('at step 36, checkpoint kept')
    expect(reusedWords('something')).toBeNull()
  })
  it('the arrow follows the direction of the loss', () => {
    const falling = node('running', {
      series: addPoints(
        EMPTY_SERIES,
        Array.from({ length: 20 }, (_, i) => ({ step: i, loss: 1 / (i + 1) })),
      ),
    })
    expect(lossWords(falling)).toBe('loss 0.050 ▼')
    expect(lossWords(node('running'))).toBeNull()
  })
})

describe('why a node is where it is', () => {
  const chain = [
    { ...(nodes[1] as (typeof nodes)[number]), planned: 'same file, same settings' },
    { ...(nodes[0] as (typeof nodes)[number]), needs: ['data'] },
    { id: 'check', title: 'Validate', icon: 'validate', type: 'validate', needs: ['train', 'data'] },
    { id: 'export', title: 'Export', icon: 'export', type: 'export', needs: ['check'] },
  ]
  it('UX-66: waiting names what is not there yet, by title', () => {
    expect(whyOf(run({ nodes: { data: node('done'), train: training, check: node('waiting') } }), chain, 'check')).toBe('waits for Train')
    expect(whyOf(run({ nodes: { data: node('running'), train: node('waiting'), check: node('waiting') } }), chain, 'check')).toBe(
      'waits for Train, Load data',
    )
  })
  it('UX-66: skipped names the failure above, however far', () => {
    const failed = run({ nodes: { data: node('done'), train: node('failed'), check: node('skipped'), export: node('skipped') } })
    expect(whyOf(failed, chain, 'check')).toBe('because Train failed')
    expect(whyOf(failed, chain, 'export')).toBe('because Train failed')
  })
  it('reused says what the plan said', () =>
    expect(whyOf(run({ nodes: { data: node('reused') } }), chain, 'data')).toBe('same file, same settings'))
  it('a wire in a circle ends nothing', () => {
    const circle = [{ ...(nodes[0] as (typeof nodes)[number]), needs: ['train'] }]
    expect(whyOf(run({ nodes: { train: node('skipped') } }), circle, 'train')).toBeNull()
  })
})

describe('a run in one sentence', () => {
  it.each([
    [run({ status: 'running', nodes: { train: training } }), 'Train 63 %, about 45 s left'],
    [run({ status: 'running', wanted: 'stop', nodes: { train: training } }), 'Stopping'],
    [run({ status: 'failed', nodes: { data: node('done'), train: node('failed') } }), 'Failed in Train'],
    [run({ status: 'succeeded', startedAt: '2026-01-01T00:00:00Z', endedAt: '2026-01-01T00:02:04Z' }), 'Done in 2 min 04 s'],
    [run({ status: 'queued' }), 'Waiting for a worker'],
  ])('%#', (state, words) => expect(runWords(state, nodes)).toBe(words))
  it('counts what has ended', () =>
    expect(doneOf(run({ nodes: { a: node('done'), b: node('skipped'), c: node('running') } }))).toEqual({ ended: 2, all: 3 }))
})

describe('what a person hears and sees without looking', () => {
  const half = run({ status: 'running', nodes: { data: node('done'), train: training } })
  it('UX-80: the tab title carries the share, then how it ended', () => {
    expect(titleOf(half, 'Contract fields')).toBe('82 % · Contract fields')
    expect(titleOf(run({ status: 'failed' }), 'Contract fields')).toBe('✕ Contract fields')
    expect(titleOf(null, 'Contract fields')).toBe('Contract fields')
  })
  it('UX-80: the icon is a ring of that share', () => {
    expect(decodeURIComponent(faviconOf(0.5, false))).toContain('stroke-dasharray="18.9 40"')
    expect(decodeURIComponent(faviconOf(null, true))).toContain('#be1e4b')
  })
  it('UX-132: quarters, ends and failures are announced, single steps are not', () => {
    const title = (id: string) => nodes.find((n) => n.id === id)?.title ?? id
    const at = (done: number) =>
      run({ status: 'running', nodes: { train: node('running', { progress: { done, total: 60, unit: 'steps', etaSeconds: null } }) } })
    expect(announcement(at(28), at(29), title)).toBeNull()
    expect(announcement(at(29), at(30), title)).toBe('Train 50 %')
    expect(announcement(at(59), run({ status: 'running', nodes: { train: node('done') } }), title)).toBe('Train is done')
    expect(announcement(at(59), run({ status: 'failed', nodes: { train: node('running') } }), title)).toBe('The run failed')
    expect(announcement(null, at(30), title)).toBeNull()
  })
})
