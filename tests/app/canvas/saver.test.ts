import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { applyEdit } from '../../../app/canvas/editor-state'
import { QUIET_MS, Saver, type SaveState, type Theirs } from '../../../app/canvas/saver'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { START } from './arbitrary'

/** A server as `pipelines.save` behaves: one draft, one revision, refusing what did not start from it. */
function server() {
  let revision = 1
  let document: Pipeline = START
  let away = false
  const seen: number[] = []
  return {
    seen,
    get document() {
      return document
    },
    goAway: (gone: boolean) => {
      away = gone
    },
    elsewhere(next: Pipeline) {
      document = next
      revision++
    },
    async send(sent: Pipeline, from: number) {
      await new Promise((resolve) => setTimeout(resolve, 50))
      if (away) throw new Error('away')
      seen.push(from)
      if (from !== revision) return { saved: false as const, document, revision, updatedAt: new Date(0) }
      document = sent
      return { saved: true as const, revision: ++revision, updatedAt: new Date(0) }
    },
  }
}

function editor(remote = server()) {
  let document: Pipeline = START
  let revision = 1
  let kept: Pipeline | null = null
  const states: SaveState['status'][] = []
  const saver = new Saver(
    {
      current: () => ({ document, revision }),
      send: remote.send,
      onSaved: (next) => {
        revision = next
      },
      onState: (state) => states.push(state.status),
      keep: (next) => {
        kept = next
      },
      forget: () => {
        kept = null
      },
      messageOf: String,
    },
    null,
  )
  return {
    saver,
    remote,
    states,
    kept: () => kept,
    document: () => document,
    edit(x: number) {
      document = applyEdit(document, { kind: 'move', positions: { a: { x, y: 0 } } })
      saver.changed()
    },
    show(next: Pipeline) {
      document = next
      saver.changed()
    },
  }
}

describe('autosave', () => {
  beforeEach(() => vi.useFakeTimers())
  afterEach(() => vi.useRealTimers())

  it('UX-44: one save 800 ms after the last of several edits', async () => {
    const e = editor()
    for (const x of [16, 32, 48]) {
      e.edit(x)
      await vi.advanceTimersByTimeAsync(QUIET_MS - 100)
    }
    expect(e.remote.seen).toEqual([])
    await vi.advanceTimersByTimeAsync(200)
    expect(e.remote.seen).toEqual([1])
    expect(e.remote.document).toBe(e.document())
    expect(e.saver.state.status).toBe('saved')
    expect(e.kept()).toBeNull()
  })

  it('UX-45: what the server does not have lies in the browser, and edits during a save are saved after it', async () => {
    const e = editor()
    e.edit(16)
    expect(e.kept()).toBe(e.document())
    await vi.advanceTimersByTimeAsync(QUIET_MS + 10)
    expect(e.saver.state.status).toBe('saving')
    e.edit(32)
    await vi.advanceTimersByTimeAsync(60)
    expect(e.saver.state.status).toBe('pending')
    expect(e.kept()).toBe(e.document())
    await vi.advanceTimersByTimeAsync(QUIET_MS + 100)
    expect(e.remote.seen).toEqual([1, 2])
    expect(e.remote.document).toBe(e.document())
  })

  it('UX-46: a save that did not start from the newest revision is a conflict, left only by a choice', async () => {
    const e = editor()
    const theirs = applyEdit(START, { kind: 'rename', id: 'a', title: 'Theirs' })
    e.remote.elsewhere(theirs)
    e.edit(16)
    await vi.advanceTimersByTimeAsync(QUIET_MS + 100)
    expect(e.saver.state).toMatchObject({ status: 'conflict', theirs: { revision: 2 } })
    e.edit(32)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(e.remote.document).toBe(theirs)
    expect(e.kept()).toBe(e.document())
    e.saver.resolve('mine', (e.saver.state as { theirs: Theirs }).theirs)
    await vi.advanceTimersByTimeAsync(100)
    expect(e.remote.document).toBe(e.document())
    expect(e.saver.state.status).toBe('saved')
  })

  it('a server that does not answer is asked again until it does, and nothing is lost', async () => {
    const e = editor()
    e.remote.goAway(true)
    e.edit(16)
    await vi.advanceTimersByTimeAsync(QUIET_MS + 100)
    expect(e.saver.state.status).toBe('failed')
    expect(e.kept()).toBe(e.document())
    await vi.advanceTimersByTimeAsync(30_000)
    expect(e.saver.state.status).toBe('failed')
    e.remote.goAway(false)
    await vi.advanceTimersByTimeAsync(11_000)
    expect(e.saver.state.status).toBe('saved')
    expect(e.remote.document).toBe(e.document())
  })

  it('undoing back to what is saved owes nothing', async () => {
    const e = editor()
    const before = e.document()
    e.edit(16)
    e.show(before)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(e.remote.seen).toEqual([])
    expect(e.saver.state.status).toBe('saved')
    expect(e.kept()).toBeNull()
  })
})
