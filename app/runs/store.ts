'use client'
/**
 * What this tab knows of runs, apart from the graph store (TC-39): keyed by run and node, one update per batch of events, so that a loss
 * point redraws the card it belongs to and nothing else.
 */
import { create } from 'zustand'
import type { RunEvent } from './events'
import type { Link } from './feed'
import { emptyRun, foldEvents, type NodeRun, type RunState } from './reduce'

type RunsStore = {
  runs: Readonly<Record<string, RunState>>
  /** The run whose states the canvas and the run panel show. */
  current: string | null
  link: Link
}

export const useRuns = create<RunsStore>(() => ({ runs: {}, current: null, link: 'idle' }))

/** Folds a batch in; one store update. Returns the run as it is now. */
export function ingest(id: string, events: readonly RunEvent[]): RunState {
  const before = useRuns.getState().runs[id] ?? emptyRun(id)
  const after = foldEvents(before, events)
  if (after !== before) useRuns.setState(({ runs }) => ({ runs: { ...runs, [id]: after } }))
  return after
}

/** Puts what a page loaded in the place of what was known, unless events have already gone past it. */
export function loadRun(run: RunState, force = false): RunState {
  const known = useRuns.getState().runs[run.id]
  if (!force && known && known.seq >= run.seq) return known
  useRuns.setState(({ runs }) => ({ runs: { ...runs, [run.id]: run } }))
  return run
}

export const showRun = (id: string | null) => useRuns.setState({ current: id })
export const setLink = (link: Link) => useRuns.setState({ link })

/** A run by id, or the one that is shown; null while none is, undefined while it is not loaded. */
export function useRun(id?: string): RunState | null | undefined {
  return useRuns(({ runs, current }) => {
    const which = id ?? current
    return which === null ? null : runs[which]
  })
}

/** One node of a run, or of the run that is shown. A card that uses this redraws only when its own node changes. */
export function useNodeRun(nodeId: string, id?: string): NodeRun | undefined {
  return useRuns(({ runs, current }) => {
    const which = id ?? current
    return which === null ? undefined : runs[which]?.nodes[nodeId]
  })
}
