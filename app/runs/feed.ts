/**
 * Live events of all runs that any tab of this browser shows, over one connection (R-86, TC-29): browsers open six HTTP/1.1 connections per
 * host, and with one stream per tab the seventh never loads.
 *
 * Every tab runs this. The one that holds a Web Lock leads: it alone has the EventSource and relays what comes through a BroadcastChannel.
 * The others say what they watch and from which event on. If the leader dies its lock goes to the next; if it is frozen (no beat for 6 s)
 * a visible tab takes the lock. Without these APIs each tab has its own connection and closes it while it is hidden.
 *
 * Nothing here decides what is new: the fold drops events that it has seen and notes one that is missing (reduce.ts), and `watch` again
 * from that cursor fetches it. So a relayed batch may repeat, but never lose, an event.
 */
import type { RunEvent } from './events'

export type Cursors = Record<string, number>
export type Link = 'idle' | 'connecting' | 'live' | 'lost'

/** Opens the stream for these runs, each after its cursor. Returns what closes it. */
export type Source = (
  cursors: Cursors,
  on: { events(run: string, events: readonly RunEvent[]): void; reset(run: string): void; link(link: Link): void },
) => () => void

type Message =
  | { type: 'hello'; from: string }
  /** `rewind`: this run is wanted from an earlier event on than was said before. */
  | { type: 'want'; from: string; cursors: Cursors; rewind?: string }
  | { type: 'bye'; from: string }
  /** `knows`: the tabs whose wishes the leader has heard; one that misses itself, as after being frozen, says them again. */
  | { type: 'beat'; from: string; link: Link; knows: readonly string[] }
  | { type: 'events'; run: string; events: readonly RunEvent[] }
  | { type: 'reset'; run: string }

export type FeedOptions = {
  source: Source
  onEvents(run: string, events: readonly RunEvent[]): void
  /** The server no longer keeps what this tab's cursor needs: load a new snapshot and watch from there. */
  onReset(run: string): void
  onLink?(link: Link): void
  name?: string
  locks?: Pick<LockManager, 'request'> | undefined
  channel?: (name: string) => BroadcastChannel
  visible?: () => boolean
  /** Milliseconds; tests shorten them. */
  beatEvery?: number
  silentAfter?: number
}

/** A tab that closed without a word is forgotten after this; hidden tabs' timers run once a minute. */
const FORGET_AFTER = 150_000
const WANT_EVERY = 20_000
/** Runs that are opened together are asked for together. */
const SETTLE = 20

export class Feed {
  readonly id = crypto.randomUUID()
  private readonly watched = new Map<string, { cursor: number; watchers: number }>()
  private readonly others = new Map<string, { cursors: Cursors; seen: number }>()
  private readonly channel: BroadcastChannel | null
  private readonly abort = new AbortController()
  private readonly timers: ReturnType<typeof setInterval>[] = []
  private leading = false
  private solo = false
  private close_: (() => void) | null = null
  /** How far the open stream has delivered each of its runs. */
  private open: Cursors = {}
  private settle: ReturnType<typeof setTimeout> | undefined
  private release: (() => void) | null = null
  private lastBeat = Date.now()
  private link: Link = 'idle'
  private readonly o: Required<Omit<FeedOptions, 'locks'>> & { locks: FeedOptions['locks'] }

  constructor(options: FeedOptions) {
    const locks = 'locks' in options ? options.locks : typeof navigator === 'undefined' ? undefined : navigator.locks
    this.o = {
      onLink: () => {},
      name: 'thaw-runs',
      channel: (name) => new BroadcastChannel(name),
      visible: () => typeof document === 'undefined' || document.visibilityState === 'visible',
      beatEvery: 2_000,
      silentAfter: 6_000,
      ...options,
      locks,
    }
    if (!locks || (typeof BroadcastChannel === 'undefined' && !options.channel)) {
      this.channel = null
      this.solo = true
      this.leading = true
      if (typeof document !== 'undefined') document.addEventListener('visibilitychange', this.onVisibility, { signal: this.abort.signal })
      return
    }
    this.channel = this.o.channel(this.o.name)
    this.channel.onmessage = (event: MessageEvent<Message>) => this.receive(event.data)
    this.queueForLead(false)
    this.timers.push(
      setInterval(() => this.tick(), this.o.beatEvery),
      setInterval(() => this.sayWants(), WANT_EVERY),
    )
    if (typeof window !== 'undefined')
      window.addEventListener('pagehide', () => this.say({ type: 'bye', from: this.id }), { signal: this.abort.signal })
  }

  get isLeader(): boolean {
    return this.leading
  }

  /** Starts delivering this run's events after `cursor`. Call again to fetch from an earlier cursor; call the result when no longer shown. */
  watch(run: string, cursor: number): () => void {
    const entry = this.watched.get(run)
    this.watched.set(run, { cursor: entry ? Math.min(entry.cursor, cursor) : cursor, watchers: (entry?.watchers ?? 0) + 1 })
    this.changed(run)
    let done = false
    return () => {
      if (done) return
      done = true
      const now = this.watched.get(run)
      if (!now) return
      if (now.watchers <= 1) this.watched.delete(run)
      else now.watchers -= 1
      this.changed()
    }
  }

  /** Fetches again after `cursor`: an event is missing before the next one that came. */
  rewind(run: string, cursor: number) {
    const entry = this.watched.get(run)
    if (!entry) return
    entry.cursor = cursor
    this.changed(run)
  }

  stop() {
    this.abort.abort()
    for (const timer of this.timers) clearInterval(timer)
    clearTimeout(this.settle)
    this.say({ type: 'bye', from: this.id })
    this.disconnect()
    this.release?.()
    this.leading = false
    this.channel?.close()
  }

  // — leading —

  private queueForLead(steal: boolean) {
    const { locks, name } = this.o
    if (!locks || this.abort.signal.aborted) return
    const hold = () => {
      if (this.abort.signal.aborted) return
      return new Promise<void>((resolve) => {
        this.release = resolve
        this.lead()
      })
    }
    locks
      // `steal` and `signal` exclude each other in the specification.
      .request(name, steal ? { steal: true } : { signal: this.abort.signal }, hold)
      .catch(() => {
        // Somebody took the lock from a tab that had gone silent, this one: follow, and wait for the next turn.
        if (this.abort.signal.aborted) return
        this.follow()
        this.queueForLead(false)
      })
  }

  private lead() {
    this.leading = true
    this.others.clear()
    this.say({ type: 'hello', from: this.id })
    this.changed()
  }

  private follow() {
    this.leading = false
    this.release = null
    this.lastBeat = Date.now()
    this.disconnect()
    this.sayWants()
  }

  private tick() {
    if (this.leading) {
      const now = Date.now()
      for (const [id, other] of this.others) if (now - other.seen > FORGET_AFTER) this.others.delete(id)
      this.sayBeat()
    } else if (this.watched.size > 0 && this.o.visible() && Date.now() - this.lastBeat > this.o.silentAfter) {
      this.lastBeat = Date.now()
      this.queueForLead(true)
    }
  }

  // — the one connection —

  private changed(rewind?: string) {
    if (!this.leading) return this.sayWants(rewind)
    clearTimeout(this.settle)
    this.settle = setTimeout(() => this.connect(), SETTLE)
  }

  /** What all tabs together need: every run from its lowest cursor. */
  private wants(): Cursors {
    const all: Cursors = {}
    const add = (run: string, cursor: number) => {
      all[run] = Math.min(all[run] ?? Number.POSITIVE_INFINITY, cursor)
    }
    for (const [run, { cursor }] of this.watched) add(run, cursor)
    for (const { cursors } of this.others.values()) for (const [run, cursor] of Object.entries(cursors)) add(run, cursor)
    return all
  }

  private connect() {
    if (!this.leading || this.abort.signal.aborted) return
    if (this.solo && !this.o.visible()) return
    const wants = this.wants()
    const runs = Object.keys(wants)
    // A stream stays unless a run is new, gone, or wanted from before what it has delivered.
    const fits =
      this.close_ &&
      runs.length === Object.keys(this.open).length &&
      runs.every((run) => this.open[run] !== undefined && (wants[run] ?? 0) >= (this.open[run] ?? 0))
    if (fits) return
    this.disconnect()
    if (runs.length === 0) return
    this.open = { ...wants }
    this.setLink('connecting')
    this.close_ = this.o.source(wants, {
      events: (run, events) => this.deliver(run, events),
      reset: (run) => {
        this.say({ type: 'reset', run })
        this.o.onReset(run)
      },
      link: (link) => this.setLink(link),
    })
  }

  private disconnect() {
    this.close_?.()
    this.close_ = null
    this.open = {}
    if (this.leading) this.setLink('idle')
  }

  private deliver(run: string, events: readonly RunEvent[]) {
    const last = events.at(-1)?.seq
    if (last === undefined) return
    for (const { cursors } of this.others.values()) {
      const cursor = cursors[run]
      if (cursor !== undefined) cursors[run] = Math.max(cursor, last)
    }
    this.advance(run, last)
    if (this.others.size > 0) this.say({ type: 'events', run, events })
    if (this.watched.has(run)) this.o.onEvents(run, events)
  }

  private advance(run: string, seq: number) {
    const entry = this.watched.get(run)
    if (entry) entry.cursor = Math.max(entry.cursor, seq)
    if (this.leading && this.open[run] !== undefined) this.open[run] = Math.max(this.open[run], seq)
  }

  private setLink(link: Link) {
    if (this.link === link) return
    this.link = link
    this.o.onLink(link)
    if (this.leading) this.sayBeat()
  }

  // — between tabs —

  private say(message: Message) {
    try {
      this.channel?.postMessage(message)
    } catch {
      // The channel is closed: this tab is going away.
    }
  }

  private sayBeat() {
    this.say({ type: 'beat', from: this.id, link: this.link, knows: [...this.others.keys()] })
  }

  private sayWants(rewind?: string) {
    if (this.leading || !this.channel) return
    const cursors = Object.fromEntries([...this.watched].map(([run, { cursor }]) => [run, cursor]))
    this.say({ type: 'want', from: this.id, cursors, ...(rewind !== undefined && { rewind }) })
  }

  private receive(message: Message) {
    switch (message.type) {
      case 'hello':
        this.lastBeat = Date.now()
        return this.sayWants()
      case 'beat':
        this.lastBeat = Date.now()
        if (this.leading) return
        this.setLink(message.link)
        if (!message.knows.includes(this.id)) this.sayWants()
        return
      case 'want': {
        if (!this.leading) return
        // What was relayed to a tab since it last spoke counts, or each of its messages would reopen the stream.
        const known = this.others.get(message.from)?.cursors ?? {}
        const cursors = Object.fromEntries(
          Object.entries(message.cursors).map(([run, cursor]) => [
            run,
            run === message.rewind ? cursor : Math.max(cursor, known[run] ?? cursor),
          ]),
        )
        this.others.set(message.from, { cursors, seen: Date.now() })
        return this.changed()
      }
      case 'bye':
        if (this.leading && this.others.delete(message.from)) this.changed()
        return
      case 'reset':
        if (this.watched.has(message.run)) this.o.onReset(message.run)
        return
      case 'events': {
        this.lastBeat = Date.now()
        const last = message.events.at(-1)?.seq
        if (!this.watched.has(message.run) || last === undefined) return
        this.advance(message.run, last)
        this.o.onEvents(message.run, message.events)
        return
      }
    }
  }

  private readonly onVisibility = () => {
    if (this.o.visible()) this.connect()
    else this.disconnect()
  }
}
