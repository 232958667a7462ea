/** Real Web Locks and BroadcastChannels of Node; the stream is a small event log in memory that behaves like the server's. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { RunEvent } from '../../../app/runs/events'
import { type Cursors, Feed, type FeedOptions, type Source } from '../../../app/runs/feed'
import { emptyRun, foldEvents } from '../../../app/runs/reduce'

let serial = 0
const event = (run: string, seq: number): RunEvent => ({
  run,
  seq,
  node: 'n',
  at: '2026-11-23T12:00:00Z',
  kind: 'progress',
  data: { done: seq, total: 100, unit: 'steps', etaSeconds: null },
})

/** Sends what is past each cursor at once, then whatever is added; counts connections. */
class Log {
  readonly rows = new Map<string, RunEvent[]>()
  readonly streams = new Set<{ cursors: Cursors; on: Parameters<Source>[1] }>()
  opened = 0
  readonly source: Source = (cursors, on) => {
    this.opened += 1
    const stream = { cursors: { ...cursors }, on }
    this.streams.add(stream)
    queueMicrotask(() => {
      if (!this.streams.has(stream)) return
      on.link('live')
      for (const [run, after] of Object.entries(cursors)) {
        const missed = (this.rows.get(run) ?? []).filter((row) => row.seq > after)
        if (missed.length) on.events(run, missed)
      }
    })
    return () => this.streams.delete(stream)
  }
  add(run: string, count: number) {
    const rows = this.rows.get(run) ?? []
    this.rows.set(run, rows)
    const fresh = Array.from({ length: count }, (_, i) => event(run, rows.length + i + 1))
    rows.push(...fresh)
    for (const { cursors, on } of this.streams) if (run in cursors) on.events(run, fresh)
  }
}

/** A browser tab: a feed and the fold behind it. */
class Tab {
  readonly runs = new Map<string, ReturnType<typeof emptyRun>>()
  readonly resets: string[] = []
  readonly feed: Feed
  constructor(log: Log, options: Partial<FeedOptions> = {}) {
    this.feed = new Feed({
      source: log.source,
      onEvents: (run, events) => {
        const folded = foldEvents(this.runs.get(run) ?? emptyRun(run), events)
        this.runs.set(run, folded)
        if (folded.gap !== null) this.feed.rewind(run, folded.seq)
      },
      onReset: (run) => this.resets.push(run),
      name: `test-${serial}`,
      beatEvery: 20,
      silentAfter: 120,
      ...options,
    })
    tabs.push(this)
  }
  seq(run: string) {
    return this.runs.get(run)?.seq ?? 0
  }
}
const tabs: Tab[] = []
afterEach(() => {
  for (const tab of tabs.splice(0)) tab.feed.stop()
  serial += 1
})

describe('feed of run events', () => {
  it('R-86: eight tabs share one connection and all see every event', async () => {
    const log = new Log()
    log.add('a', 3)
    const all = Array.from({ length: 8 }, () => new Tab(log))
    for (const tab of all) tab.feed.watch('a', 0)
    await vi.waitFor(() => expect(all.map((tab) => tab.seq('a'))).toEqual(all.map(() => 3)))
    log.add('a', 2)
    await vi.waitFor(() => expect(all.map((tab) => tab.seq('a'))).toEqual(all.map(() => 5)))
    await vi.waitFor(() => expect(log.streams.size).toBe(1))
    expect(all.filter((tab) => tab.feed.isLeader)).toHaveLength(1)
  })

  it('R-86: all runs of all tabs travel in that one connection', async () => {
    const log = new Log()
    log.add('a', 1)
    log.add('b', 2)
    const [one, two] = [new Tab(log), new Tab(log)]
    one.feed.watch('a', 0)
    two.feed.watch('b', 0)
    await vi.waitFor(() => expect([one.seq('a'), two.seq('b')]).toEqual([1, 2]))
    await vi.waitFor(() => expect(log.streams.size).toBe(1))
    await vi.waitFor(() => expect([...log.streams][0]?.cursors).toEqual({ a: expect.any(Number), b: expect.any(Number) }))
    expect(one.seq('b')).toBe(0)
  })

  it('R-86: when the leading tab closes, another goes on from where it was, without loss', async () => {
    const log = new Log()
    const [one, two] = [new Tab(log), new Tab(log)]
    one.feed.watch('a', 0)
    two.feed.watch('a', 0)
    log.add('a', 4)
    await vi.waitFor(() => expect(two.seq('a')).toBe(4))
    const [leader, other] = one.feed.isLeader ? [one, two] : [two, one]
    leader.feed.stop()
    log.add('a', 3)
    await vi.waitFor(() => expect(other.seq('a')).toBe(7))
    expect(other.feed.isLeader).toBe(true)
    await vi.waitFor(() => expect(log.streams.size).toBe(1))
  })

  it('R-86: a visible tab takes over from a leader that went silent, and the old one follows', async () => {
    const log = new Log()
    // The leader's beats never come: its channel is cut, as when the browser freezes a hidden tab.
    let cut = false
    const frozen = new Tab(log, {
      channel: (name) => {
        const channel = new BroadcastChannel(name)
        const post = channel.postMessage.bind(channel)
        channel.postMessage = (message) => (cut ? undefined : post(message))
        return channel
      },
    })
    frozen.feed.watch('a', 0)
    await vi.waitFor(() => expect(frozen.feed.isLeader).toBe(true))
    const tab = new Tab(log)
    tab.feed.watch('a', 0)
    cut = true
    log.add('a', 2)
    await vi.waitFor(() => expect(tab.feed.isLeader).toBe(true), { timeout: 3000 })
    await vi.waitFor(() => expect(tab.seq('a')).toBe(2))
    expect(frozen.feed.isLeader).toBe(false)
    cut = false
    log.add('a', 1)
    await vi.waitFor(() => expect([tab.seq('a'), frozen.seq('a')]).toEqual([3, 3]), { timeout: 3000 })
    await vi.waitFor(() => expect(log.streams.size).toBe(1))
  })

  it('R-84: a tab that comes later gets what it missed, and nobody counts an event twice', async () => {
    const log = new Log()
    const early = new Tab(log)
    early.feed.watch('a', 0)
    log.add('a', 5)
    await vi.waitFor(() => expect(early.seq('a')).toBe(5))
    const late = new Tab(log)
    late.feed.watch('a', 2)
    late.runs.set('a', { ...emptyRun('a'), seq: 2 })
    await vi.waitFor(() => expect(late.seq('a')).toBe(5))
    log.add('a', 1)
    await vi.waitFor(() => expect([early.seq('a'), late.seq('a')]).toEqual([6, 6]))
  })

  it('a gap is fetched again', async () => {
    const log = new Log()
    const tab = new Tab(log)
    tab.feed.watch('a', 0)
    log.add('a', 2)
    await vi.waitFor(() => expect(tab.seq('a')).toBe(2))
    // One event is written that this stream never carried.
    log.rows.get('a')?.push(event('a', 3))
    log.add('a', 1)
    await vi.waitFor(() => expect(tab.runs.get('a')).toMatchObject({ seq: 4, gap: null }))
  })

  it('R-85: a reset reaches every tab that shows the run', async () => {
    const log = new Log()
    const [one, two] = [new Tab(log), new Tab(log)]
    one.feed.watch('a', 0)
    two.feed.watch('a', 0)
    log.add('a', 1)
    await vi.waitFor(() => expect([one.seq('a'), two.seq('a')]).toEqual([1, 1]))
    for (const { on } of log.streams) on.reset('a')
    await vi.waitFor(() => expect([one.resets, two.resets]).toEqual([['a'], ['a']]))
  })

  it('no tab shows a run: no connection stays open', async () => {
    const log = new Log()
    const tab = new Tab(log)
    const stop = tab.feed.watch('a', 0)
    await vi.waitFor(() => expect(log.streams.size).toBe(1))
    stop()
    await vi.waitFor(() => expect(log.streams.size).toBe(0))
  })

  it('R-86: without Web Locks each tab has its own connection', async () => {
    const log = new Log()
    log.add('a', 1)
    const [one, two] = [new Tab(log, { locks: undefined }), new Tab(log, { locks: undefined })]
    one.feed.watch('a', 0)
    two.feed.watch('a', 0)
    await vi.waitFor(() => expect([one.seq('a'), two.seq('a')]).toEqual([1, 1]))
    await vi.waitFor(() => expect(log.streams.size).toBe(2))
  })
})
