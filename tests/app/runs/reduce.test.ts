import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RunEvent } from '../../../app/runs/events'
import { busiest, emptyRun, foldEvents, isLost, LOG_KEPT, runShare } from '../../../app/runs/reduce'

const at = (seq: number) => `2026-11-23T12:00:${String(seq % 60).padStart(2, '0')}Z`
type Given<E> = E extends RunEvent ? Pick<E, 'kind' | 'data'> & { node?: string } : never
const events = (...list: Given<RunEvent>[]): RunEvent[] =>
  list.map((event, i) => ({ run: 'r', seq: i + 1, node: null, at: at(i + 1), ...event }) as RunEvent)

const story = events(
  { kind: 'run', data: { status: 'queued' } },
  {
    kind: 'node',
    node: 'data',
    data: { status: 'reused', attempt: 0, reason: 'same settings, same data', outputs: { data: { rows: 300 } } },
  },
  { kind: 'node', node: 'train', data: { status: 'queued', attempt: 0 } },
  { kind: 'run', data: { status: 'running' } },
  { kind: 'node', node: 'train', data: { status: 'running', attempt: 1 } },
  { kind: 'progress', node: 'train', data: { done: 2, total: 4, unit: 'steps', etaSeconds: 8 } },
  {
    kind: 'metric',
    node: 'train',
    data: {
      points: [
        { step: 1, loss: 3 },
        { step: 2, loss: 2 },
      ],
    },
  },
  { kind: 'checkpoint', node: 'train', data: { step: 1, manifest: 'a' } },
  { kind: 'log', node: 'train', data: { lines: [{ at: 9, level: 'info', text: 'step 2' }] } },
  // the trainer is killed; another attempt goes on from the checkpoint at step 1
  { kind: 'node', node: 'train', data: { status: 'running', attempt: 2, reason: 'continues from step 1' } },
  { kind: 'metric', node: 'train', data: { points: [{ step: 2, loss: 1.9 }] } },
  { kind: 'node', node: 'train', data: { status: 'done', attempt: 2, outputs: { model: {} } } },
  { kind: 'run', data: { status: 'succeeded' } },
)

describe('folding run events', () => {
  it('R-80: the end state follows from the events alone', () => {
    const run = foldEvents(emptyRun('r'), story)
    expect(run).toMatchObject({ status: 'succeeded', seq: 13, gap: null, startedAt: at(4), endedAt: at(13) })
    expect(run.nodes.data).toMatchObject({ status: 'reused', outputs: { data: { rows: 300 } } })
    expect(run.nodes.train).toMatchObject({
      status: 'done',
      attempt: 2,
      progress: null,
      startedAt: at(10),
      endedAt: at(12),
      checkpoints: [{ step: 1 }],
    })
  })

  it('UX-73: points of an attempt that was lost are replaced from where the next one begins', () => {
    expect(foldEvents(emptyRun('r'), story).nodes.train?.series).toEqual({ steps: [1, 2], columns: { loss: [3, 1.9] } })
  })

  it('R-84: batches of any size, repeated and out of order, end in the same state', () => {
    const whole = foldEvents(emptyRun('r'), story)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: story.length }), { maxLength: 8 }), fc.boolean(), (cuts, backwards) => {
        let run = emptyRun('r')
        for (const end of [...cuts, story.length]) {
          // Each batch repeats everything from the start, as after a reconnect with an old cursor.
          const batch = story.slice(0, end)
          run = foldEvents(run, backwards ? batch.slice().reverse() : batch)
        }
        expect(run).toEqual(whole)
      }),
    )
  })

  it('D-3: a missing event is noted, and nothing after it is shown', () => {
    const run = foldEvents(
      emptyRun('r'),
      story.filter((event) => event.seq !== 5),
    )
    expect(run).toMatchObject({ seq: 4, gap: 6, status: 'running' })
    expect(run.nodes.train?.status).toBe('queued')
    expect(foldEvents(run, story)).toEqual({ ...foldEvents(emptyRun('r'), story), gap: null })
  })

  it('a batch with nothing new is the same object, so that nothing redraws', () => {
    const run = foldEvents(emptyRun('r'), story)
    expect(foldEvents(run, story)).toBe(run)
  })

  it('an event of a kind this page does not know is counted and left alone', () => {
    const odd = { run: 'r', seq: 14, node: 'train', at: at(14), kind: 'telepathy', data: {} } as unknown as RunEvent
    const run = foldEvents(foldEvents(emptyRun('r'), story), [odd])
    expect(run.seq).toBe(14)
    expect(run.nodes.train?.status).toBe('done')
  })

  it('keeps the error of a failed node and drops it when the node runs again', () => {
    const failed = events(
      { kind: 'node', node: 'train', data: { status: 'failed', attempt: 1, error: { code: 'OUT_OF_MEMORY', message: 'no room' } } },
      { kind: 'node', node: 'train', data: { status: 'running', attempt: 2 } },
    )
    expect(foldEvents(emptyRun('r'), failed.slice(0, 1)).nodes.train?.error).toMatchObject({ code: 'OUT_OF_MEMORY' })
    expect(foldEvents(emptyRun('r'), failed).nodes.train?.error).toBeNull()
  })

  it('keeps the last lines of a long log', () => {
    const lines = Array.from({ length: LOG_KEPT + 10 }, (_, i) => ({ at: 1, level: 'info' as const, text: String(i) }))
    const log = foldEvents(emptyRun('r'), events({ kind: 'log', node: 'n', data: { lines } })).nodes.n?.log
    expect(log).toHaveLength(LOG_KEPT)
    expect(log?.at(-1)?.text).toBe(String(LOG_KEPT + 9))
  })

  it('UX-80: the share counts ended nodes as whole and running ones by their progress', () => {
    const half = foldEvents(emptyRun('r'), story.slice(0, 6))
    expect(runShare(half)).toBeCloseTo((1 + 0.5) / 2, 12)
    expect(busiest(half)?.id).toBe('train')
    expect(runShare(emptyRun('r'))).toBeNull()
  })
})

describe('a run opened from a snapshot', () => {
  const snapshot = () => {
    const whole = foldEvents(emptyRun('r'), story)
    // What a snapshot holds: states, but neither curves nor log lines.
    const nodes = Object.fromEntries(
      Object.entries(whole.nodes).map(([id, node]) => [id, { ...node, series: { steps: [], columns: {} }, log: [], seenAttempt: 0 }]),
    )
    return { ...whole, nodes, seq: 0, settled: whole.seq }
  }

  it('R-85: events before the snapshot bring its curves and logs and do not move its states back', () => {
    const half = foldEvents(snapshot(), story.slice(0, 9))
    expect(half).toMatchObject({ status: 'succeeded', seq: 9 })
    expect(half.nodes.train).toMatchObject({ status: 'done', attempt: 2, progress: null, log: [{ text: 'step 2' }] })
    const run = foldEvents(half, story)
    expect(run.nodes.train?.series).toEqual({ steps: [1, 2], columns: { loss: [3, 1.9] } })
    expect(run).toMatchObject({ status: 'succeeded', seq: 13 })
  })

  it('UX-71: running without a sign of life for 15 s is lost, and any event is a sign of life', () => {
    const node = foldEvents(emptyRun('r'), story.slice(0, 9)).nodes.train
    if (!node?.lastBeat) throw new Error('no beat')
    const beat = Date.parse(node.lastBeat)
    expect(isLost(node, beat + 14_000)).toBe(false)
    expect(isLost(node, beat + 16_000)).toBe(true)
    expect(isLost({ ...node, status: 'done' }, beat + 60_000)).toBe(false)
  })
})

it('UX-71: reading old events again does not make a living node look silent', () => {
  const run = foldEvents(emptyRun('r'), story.slice(0, 6))
  const train = run.nodes.train
  if (!train) throw new Error('no node')
  const fresh = { ...run, seq: 0, settled: 6, nodes: { ...run.nodes, train: { ...train, lastBeat: at(50) } } }
  expect(foldEvents(fresh, story.slice(0, 6)).nodes.train?.lastBeat).toBe(at(50))
})
