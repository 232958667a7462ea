/**
 * What a running node reports, gathered and written at most ten times a second: progress keeps only its newest state, points and lines are
 * batched. While the database is away events wait here; beyond the bound metric points are thinned and the oldest log lines go.
 */

import type { Storage } from '../storage/db'
import { appendEventsOf, type NewEvent } from '../storage/events'
import type { Held } from '../storage/node-runs'

const FLUSH_EVERY_MS = 100
/** a row at most 64 kB, a line at most 8 kB. */
const ROW_BYTES = 60_000
const LINE_CHARS = 8_000
/** 10 MB of waiting events, counted as characters of JSON. */
const WAITING_CHARS = 10_000_000

export type LogLine = { at: number; level: 'info' | 'warn' | 'error'; text: string }
export type Progress = { done: number; total: number; unit: string }
export type EventSink = {
  progress(progress: Progress): void
  metrics(points: readonly Record<string, number>[]): void
  log(lines: readonly LogLine[]): void
  /** Writes what is waiting. @returns false when the attempt no longer holds. */
  flush(): Promise<boolean>
  /** Last write, then no more. */
  close(): Promise<void>
}

/** Seconds to go at the recent pace; null until two states of the same unit are a second apart. */
export function etaOf(history: readonly { at: number; done: number }[], total: number): number | null {
  const [first, last] = [history[0], history.at(-1)]
  if (!first || !last || last.at - first.at < 1_000 || last.done <= first.done || total <= last.done) return null
  return ((total - last.done) * (last.at - first.at)) / 1_000 / (last.done - first.done)
}

/** @param onLost called once when a write found the attempt superseded. */
export function openEvents(
  storage: Storage,
  held: Held,
  nodeId: string,
  hooks: { onLost: () => void; redact: (text: string) => string; now?: () => number },
): EventSink {
  const now = hooks.now ?? Date.now
  let progress: Progress | null = null
  let history: { at: number; done: number }[] = []
  let unit = ''
  let points: Record<string, number>[] = []
  let lines: LogLine[] = []
  let waitingChars = 0
  let closed = false
  let lost = false
  let writing: Promise<boolean> = Promise.resolve(true)

  function take(): NewEvent[] {
    const events: NewEvent[] = []
    if (lines.length > 0) for (const chunk of chunks(lines)) events.push({ nodeId, kind: 'log', data: { lines: chunk } })
    if (points.length > 0) for (const chunk of chunks(points)) events.push({ nodeId, kind: 'metric', data: { points: chunk } })
    if (progress) events.push({ nodeId, kind: 'progress', data: { ...progress, etaSeconds: etaOf(history, progress.total) } })
    return events
  }

  async function write(): Promise<boolean> {
    if (lost) return false
    const events = take()
    if (events.length === 0) return true
    const taken = { lines, points, progress }
    lines = []
    points = []
    progress = null
    waitingChars = 0
    try {
      if ((await appendEventsOf(storage.db, held, events)) !== null) return true
      lost = true
      hooks.onLost()
      return false
    } catch {
      // The database is away: put everything back in front of what came meanwhile.
      lines = [...taken.lines, ...lines]
      points = [...taken.points, ...points]
      progress ??= taken.progress
      waitingChars = JSON.stringify([lines, points]).length
      bound()
      return true
    }
  }

  function bound(): void {
    if (waitingChars <= WAITING_CHARS) return
    // Every second point keeps the shape of a curve; the newest lines say what is going on.
    points = points.filter((_, i) => i % 2 === 0 || i === points.length - 1)
    lines = lines.slice(Math.floor(lines.length / 2))
    waitingChars = JSON.stringify([lines, points]).length
  }

  const flush = () => {
    writing = writing.then(write)
    return writing
  }
  const timer = setInterval(() => void flush(), FLUSH_EVERY_MS)
  timer.unref()

  return {
    progress(next) {
      if (closed) return
      const at = now()
      if (next.unit !== unit || next.done < (history.at(-1)?.done ?? 0)) history = []
      unit = next.unit
      history.push({ at, done: next.done })
      // The pace of the last half minute: warm-up at the beginning must not colour the rest.
      while (history.length > 2 && at - (history[0]?.at ?? at) > 30_000) history.shift()
      progress = next
    },
    metrics(next) {
      if (closed) return
      points.push(...next)
      waitingChars += JSON.stringify(next).length
      bound()
    },
    log(next) {
      if (closed) return
      for (const line of next) {
        const text = hooks.redact(line.text).slice(0, LINE_CHARS)
        lines.push({ ...line, text })
        waitingChars += text.length
      }
      bound()
    },
    flush,
    async close() {
      closed = true
      clearInterval(timer)
      await flush()
    },
  }
}

function* chunks<T>(items: readonly T[]): Generator<T[]> {
  let chunk: T[] = []
  let size = 0
  for (const item of items) {
    const length = JSON.stringify(item).length
    if (chunk.length > 0 && size + length > ROW_BYTES) {
      yield chunk
      chunk = []
      size = 0
    }
    chunk.push(item)
    size += length
  }
  if (chunk.length > 0) yield chunk
}
