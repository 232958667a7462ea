/** How a node run is put into words and numbers for cards, rows and pages: one source for canvas, run panel and run page (UX-17). Pure. */
import { STATES, type StateName } from '../ui/state'
import { about, count, duration, figure, left, percent } from '../ui/words'
import { NODE_ENDED } from './events'
import type { NodeRun, RunState } from './reduce'
import { direction, latest } from './series'

/** What a list of runs or nodes must know about a node besides its run. */
export type NodeInfo = {
  id: string
  title: string
  icon: string
  type: string
  /** Nodes whose outputs it needs, if known. */
  needs?: readonly string[]
  /** Why the plan reused it; null where it meant to run it. */
  planned?: string | null
}

export type NodeView = {
  state: StateName
  /** This work changes weights: it alone may be warm (D-7). */
  training: boolean
  /** Beside the icon: "63 %", "2 min 04 s", "run 13", "Failed". */
  words: string
  /** One line below: the reason, where it stands, what it waits for. */
  detail: string | null
  /** 0…1 while running and known. */
  share: number | null
  timeLeft: string | null
  /** Measured seconds, once ended. */
  seconds: number | null
}

const seconds = (node: NodeRun): number | null =>
  node.startedAt && node.endedAt ? Math.max(0, (Date.parse(node.endedAt) - Date.parse(node.startedAt)) / 1000) : null

/** "run 13" from whatever the server said a result was reused from. */
export function reusedWords(from: unknown): string | null {
  if (typeof from === 'number') return `run ${from}`
  if (from !== null && typeof from === 'object') {
    const { number, run } = from as { number?: unknown; run?: unknown }
    if (typeof number === 'number') return `run ${number}`
    if (typeof run === 'number') return `run ${run}`
  }
  return null
}

const arrow = { down: '▼', up: '▲', level: '' } as const

/** "step 122 of 200", "240 of 360 rows", or null before anything was said. */
export function progressWords(node: NodeRun): string | null {
  const { progress } = node
  if (!progress || progress.total <= 0) return null
  if (progress.unit === 'steps') return `step ${count(progress.done)} of ${count(progress.total)}`
  return `${count(progress.done)} of ${count(progress.total)} ${progress.unit}`
}

/** "loss 0.764 ▼" */
export function lossWords(node: NodeRun): string | null {
  const loss = latest(node.series, 'loss')
  if (!loss) return null
  const way = direction(node.series, 'loss')
  return `loss ${figure(loss.value)}${way && arrow[way] ? ` ${arrow[way]}` : ''}`
}

export function viewNode(node: NodeRun | undefined, type: string): NodeView {
  if (!node)
    return { state: 'notrun', training: false, words: STATES.notrun.word, detail: null, share: null, timeLeft: null, seconds: null }
  const training = type.startsWith('train')
  const state: StateName = node.status
  const took = seconds(node)
  const progress = node.status === 'running' && node.progress && node.progress.total > 0 ? node.progress : null
  const share = progress ? Math.min(1, progress.done / progress.total) : null
  const words =
    node.status === 'running' && share !== null
      ? percent(share)
      : node.status === 'done' && took !== null
        ? duration(took)
        : node.status === 'reused'
          ? (reusedWords(node.reusedFrom) ?? STATES.reused.word)
          : STATES[state].word
  const step = node.checkpoints.at(-1)?.step
  const detail =
    node.status === 'running'
      ? [progressWords(node), lossWords(node)].filter(Boolean).join(' · ') || node.reason
      : node.status === 'failed'
        ? (node.error?.message ?? node.reason)
        : node.status === 'stopped' && step !== undefined
          ? `at step ${count(step)}, checkpoint kept`
          : node.status === 'done' && latest(node.series, 'loss')
            ? [lossWords(node)?.replace(/ [▼▲]$/, ''), progressOfDone(node)].filter(Boolean).join(' · ')
            : node.reason
  const eta = node.status === 'running' ? (node.progress?.etaSeconds ?? null) : null
  return { state, training, words, detail: detail ?? null, share, timeLeft: eta === null ? null : left(eta), seconds: took }
}

const progressOfDone = (node: NodeRun) => {
  const last = node.series.steps.at(-1)
  return last === undefined ? null : `step ${count(last)}`
}

/**
 * Why a node is where it is, in one line: what it waits for, whose failure held it back, why its result was reused. Worked out from the
 * whole run, since a stored reason names nodes by id and is not sent again with a snapshot.
 */
export function whyOf(run: RunState, nodes: readonly NodeInfo[], id: string): string | null {
  const info = nodes.find((node) => node.id === id)
  const state = run.nodes[id]
  if (!info || !state) return null
  const title = (which: string) => nodes.find((node) => node.id === which)?.title ?? which
  if (state.status === 'waiting') {
    const open = (info.needs ?? []).filter((need) => !NODE_ENDED.has(run.nodes[need]?.status ?? 'done'))
    return open.length > 0 ? `waits for ${open.map(title).join(', ')}` : state.reason
  }
  if (state.status === 'skipped') {
    const failed = upstream(nodes, id).find((which) => run.nodes[which]?.status === 'failed')
    return failed === undefined ? state.reason : `because ${title(failed)} failed`
  }
  // Planned to run and found when its inputs were there: what the plan said of it is no reason any more.
  if (state.status === 'reused') return info.planned ?? state.reason ?? 'its inputs turned out to be the same'
  return viewNode(state, info.type).detail
}

/** Every node above, nearest first. */
function upstream(nodes: readonly NodeInfo[], id: string): string[] {
  const needs = new Map(nodes.map((node) => [node.id, node.needs ?? []]))
  const seen = new Set<string>()
  const queue = [...(needs.get(id) ?? [])]
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (seen.has(next)) continue
    seen.add(next)
    queue.push(...(needs.get(next) ?? []))
  }
  return [...seen]
}

/** One sentence about a run: "Train 63 %, about 45 s left", "Failed in Train", "Done in 2 min 04 s". */
export function runWords(run: RunState, nodes: readonly NodeInfo[]): string {
  const title = (id: string) => nodes.find((node) => node.id === id)?.title ?? id
  const took = run.startedAt && run.endedAt ? (Date.parse(run.endedAt) - Date.parse(run.startedAt)) / 1000 : null
  switch (run.status) {
    case 'succeeded':
      return took === null ? 'Done' : `Done in ${duration(took)}`
    case 'failed': {
      const failed = Object.entries(run.nodes).find(([, node]) => node.status === 'failed')
      return failed ? `Failed in ${title(failed[0])}` : 'Failed'
    }
    case 'stopped':
      return 'Stopped'
    case 'paused':
      return 'Paused'
    case 'queued':
      return 'Waiting for a worker'
    case 'running': {
      if (run.wanted === 'stop' || run.wanted === 'cancel') return 'Stopping'
      if (run.wanted === 'pause') return 'Pausing'
      const active = Object.entries(run.nodes).filter(([, node]) => node.status === 'running')
      const [first] = active.sort(([, a], [, b]) => (b.progress?.etaSeconds ?? 0) - (a.progress?.etaSeconds ?? 0))
      if (!first) return 'Running'
      const view = viewNode(first[1], nodes.find((node) => node.id === first[0])?.type ?? '')
      return [`${title(first[0])} ${view.share === null ? 'runs' : view.words}`, view.timeLeft].filter(Boolean).join(', ')
    }
  }
}

/** Counts for "4 of 8 nodes done". */
export function doneOf(run: RunState): { ended: number; all: number } {
  const all = Object.values(run.nodes)
  return { ended: all.filter((node) => NODE_ENDED.has(node.status)).length, all: all.length }
}

export { about }
