/**
 * What a card says about its node (UX-66, D-27): state, words and footer, worked out from the document, the checks and the last run. Pure.
 * A shown state is true (D-3): stale, blocked and disabled are derived here and never stored; everything else is what the run said.
 */
import type { NodeRun } from '../runs/reduce'
import type { StateName } from '../ui/state'
import { duration, percent } from '../ui/words'

export type CardState = {
  name: StateName
  /** Words beside the mark; the state's own word when absent. */
  words?: string
  /** Class of the border. */
  border: string
}

export type CardFacts = {
  /** The type is unknown or newer (UX-53). */
  placeholder: boolean
  disabled: boolean
  run: NodeRun | null
  /** Why the last result no longer counts; null while it does. */
  stale: string | null
  /** This node changes weights: its progress is warm (D-7). */
  trains: boolean
}

const seconds = (from: string | null, to: string | null): number | null => {
  const time = from === null || to === null ? Number.NaN : (Date.parse(to) - Date.parse(from)) / 1000
  return Number.isFinite(time) && time >= 0 ? time : null
}

/** Number of the run a reused result came from, if the server said one. */
export function reusedRun(from: unknown): number | null {
  if (typeof from === 'number') return from
  if (typeof from !== 'object' || from === null) return null
  const { number, run } = from as { number?: unknown; run?: unknown }
  return typeof number === 'number' ? number : typeof run === 'number' ? run : null
}

export function cardState({ placeholder, disabled, run, stale, trains }: CardFacts): CardState {
  if (placeholder) return { name: 'blocked', words: 'Unknown', border: 'is-placeholder' }
  if (disabled) return { name: 'disabled', border: 'is-disabled' }
  if (!run) return { name: 'notrun', border: '' }
  if (stale !== null && run.status !== 'running' && run.status !== 'queued' && run.status !== 'waiting')
    return { name: 'stale', border: 'is-stale' }
  switch (run.status) {
    case 'running': {
      const done = run.progress && run.progress.total > 0 ? Math.min(1, run.progress.done / run.progress.total) : null
      return { name: 'running', ...(done !== null && { words: percent(done) }), border: trains ? 'is-training' : 'is-running' }
    }
    case 'done': {
      const took = seconds(run.startedAt, run.endedAt)
      return { name: 'done', ...(took !== null && { words: duration(took) }), border: '' }
    }
    case 'reused': {
      const from = reusedRun(run.reusedFrom)
      return { name: 'reused', ...(from !== null && { words: `run ${from}` }), border: '' }
    }
    case 'failed':
      return { name: 'failed', border: 'is-failed' }
    default:
      return { name: run.status, border: '' }
  }
}
