/**
 * Autosave (UX-44 … UX-46). A machine with five states, apart from React so that it can be tested with a real clock and a fake server:
 *
 *   saved ──edit──► pending ──800 ms──► saving ──ok──► saved (or pending, when edits came meanwhile)
 *                                         ├──refused: somebody saved in between──► conflict, left only by a choice
 *                                         └──no answer──► failed ──2, 5, 10, 10 … s──► saving
 *
 * Only one save is under way at a time, and each carries the revision it started from. While the state is not `saved` the document lies in
 * this browser too.
 */
import type { Pipeline } from '../../nodes/_kit/graph'

export const QUIET_MS = 800
const RETRY_MS = [2_000, 5_000, 10_000]

export type Theirs = { document: Pipeline; revision: number; updatedAt: Date }
export type SaveState =
  | { status: 'saved'; at: Date | null }
  | { status: 'pending' }
  | { status: 'saving' }
  | { status: 'failed'; message: string }
  | { status: 'conflict'; theirs: Theirs }

export type Saving = {
  /** What is on screen, and the revision it goes back to. */
  current(): { document: Pipeline; revision: number }
  send(document: Pipeline, revision: number): Promise<{ saved: true; revision: number; updatedAt: Date } | ({ saved: false } & Theirs)>
  onSaved(revision: number): void
  onState(state: SaveState): void
  keep(document: Pipeline, revision: number): void
  forget(): void
  messageOf(error: unknown): string
}

export class Saver {
  private saved: Pipeline
  private timer: ReturnType<typeof setTimeout> | undefined
  private failures = 0
  private state_: SaveState
  /** Set exactly while a save is under way. */
  private sending: Promise<void> | null = null

  constructor(
    private readonly o: Saving,
    savedAt: Date | null,
  ) {
    this.saved = o.current().document
    this.state_ = { status: 'saved', at: savedAt }
  }

  get state(): SaveState {
    return this.state_
  }

  private enter(state: SaveState) {
    this.state_ = state
    this.o.onState(state)
  }

  /** Call after every change of the document. */
  changed() {
    const { document, revision } = this.o.current()
    if (this.state_.status === 'conflict') return this.o.keep(document, revision)
    if (document === this.saved) {
      // Undone back to what the server has: nothing is owed.
      if (this.state_.status === 'pending') {
        clearTimeout(this.timer)
        this.o.forget()
        this.enter({ status: 'saved', at: null })
      }
      return
    }
    this.o.keep(document, revision)
    if (this.state_.status === 'saving') return
    this.enter({ status: 'pending' })
    this.schedule(QUIET_MS)
  }

  private schedule(ms: number) {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.flush(), ms)
  }

  /** Saves now. Resolves once nothing is owed, or the attempt failed. */
  async flush(): Promise<void> {
    clearTimeout(this.timer)
    if (this.sending) return this.sending
    const { document, revision } = this.o.current()
    if (this.state_.status === 'conflict' || document === this.saved) return
    this.enter({ status: 'saving' })
    this.sending = this.attempt(document, revision)
    try {
      await this.sending
    } finally {
      this.sending = null
    }
    if (this.state_.status === 'pending') this.schedule(QUIET_MS)
  }

  private async attempt(document: Pipeline, revision: number) {
    try {
      const answer = await this.o.send(document, revision)
      this.failures = 0
      if (!answer.saved) return this.enter({ status: 'conflict', theirs: answer })
      this.saved = document
      this.o.onSaved(answer.revision)
      const now = this.o.current().document
      if (now === document) {
        this.o.forget()
        this.enter({ status: 'saved', at: answer.updatedAt })
      } else {
        this.o.keep(now, answer.revision)
        this.enter({ status: 'pending' })
      }
    } catch (error) {
      this.failures += 1
      this.enter({ status: 'failed', message: this.o.messageOf(error) })
      this.schedule(RETRY_MS[Math.min(this.failures, RETRY_MS.length) - 1] ?? 10_000)
    }
  }

  /** Leaves a conflict: `mine` overwrites, `theirs` says that the screen now shows what the server has. */
  resolve(how: 'mine' | 'theirs', theirs: Theirs) {
    if (how === 'theirs') {
      this.saved = this.o.current().document
      this.o.forget()
      return this.enter({ status: 'saved', at: theirs.updatedAt })
    }
    this.o.onSaved(theirs.revision)
    this.enter({ status: 'pending' })
    void this.flush()
  }

  stop() {
    clearTimeout(this.timer)
  }
}
