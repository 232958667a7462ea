/**
 * State of a node as its card shows it (UX-66, D-27): what its run says, put behind what the document says. Pure.
 * A shown state is true (D-3): unknown, disabled and stale are worked out here and stored nowhere.
 */
import type { NodeRun } from '../runs/reduce'
import { type NodeView, viewNode } from '../runs/show'
import { STATES, type StateName } from '../ui/state'

export type CardState = {
  name: StateName
  words: string
  /** Class of the card that draws its border. */
  border: string
  view: NodeView
}

/** Only what has a result can have one that no longer counts. */
const HAS_RESULT: ReadonlySet<StateName> = new Set(['done', 'reused', 'stopped'])

export function cardState(given: {
  /** The type is unknown or newer (UX-53). */
  placeholder: boolean
  disabled: boolean
  type: string
  run: NodeRun | undefined
  /** Why the last result no longer counts; null while it does. */
  stale: string | null
}): CardState {
  const view = viewNode(given.run, given.type)
  if (given.placeholder) return { name: 'blocked', words: 'Unknown', border: 'is-placeholder', view }
  if (given.disabled) return { name: 'disabled', words: STATES.disabled.word, border: 'is-disabled', view }
  if (given.run && given.stale !== null && HAS_RESULT.has(view.state))
    return { name: 'stale', words: STATES.stale.word, border: 'is-stale', view }
  const border = view.state === 'running' ? (view.training ? 'is-training' : 'is-running') : view.state === 'failed' ? 'is-failed' : ''
  return { name: view.state, words: view.words, border, view }
}
