'use client'
import { Icon } from '../ui/icon'
import { State, type StateName } from '../ui/state'
import { Bar } from '../ui/tag'
import { count, duration, elapsed, figure, plural, when } from '../ui/words'
import type { RunActions } from './actions'
import type { RunStatus } from './events'
import { NodeList } from './node-list'
import { useNow } from './now'
import { type RunState, runShare } from './reduce'
import { RootCause } from './root-cause'
import { RunButtons } from './run-buttons'
import { latest } from './series'
import { doneOf, type NodeInfo, progressWords, runWords, viewNode } from './show'

export const RUN_STATE: Record<RunStatus, StateName> = {
  queued: 'queued',
  running: 'running',
  paused: 'paused',
  succeeded: 'done',
  failed: 'failed',
  stopped: 'stopped',
}

/** Where a run stands: the whole at the left, its nodes at the right. A failed one shows its cause instead of the whole (UX-74). */
export function ProgressTab({
  run,
  nodes,
  number,
  actions,
  onSelect,
}: {
  run: RunState
  nodes: readonly NodeInfo[]
  number: number
  actions: RunActions
  onSelect?: ((id: string) => void) | undefined
}) {
  return (
    <div className="progress-tab">
      {run.status === 'failed' ? (
        <RootCause run={run} nodes={nodes} number={number} actions={actions} onSelect={onSelect} />
      ) : (
        <Whole run={run} nodes={nodes} number={number} actions={actions} />
      )}
      <NodeList run={run} nodes={nodes} onSelect={onSelect} />
    </div>
  )
}

function Whole({ run, nodes, number, actions }: { run: RunState; nodes: readonly NodeInfo[]; number: number; actions: RunActions }) {
  const now = useNow(run.status === 'running')
  const training = nodes.find((node) => node.type.startsWith('train') && run.nodes[node.id]?.status === 'running')
  const { ended, all } = doneOf(run)
  const share = runShare(run)
  const took = run.startedAt ? ((run.endedAt ? Date.parse(run.endedAt) : now) - Date.parse(run.startedAt)) / 1000 : null
  return (
    <section className="whole" aria-label={`Run ${number}`}>
      <div className="row">
        <State state={RUN_STATE[run.status]} training={training !== undefined}>
          {runWords(run, nodes)}
        </State>
        <span className="ml-auto">
          <RunButtons run={run} actions={actions} />
        </span>
      </div>
      {training ? (
        <Training run={run} node={training} />
      ) : share !== null && run.status === 'running' ? (
        <Bar value={share} large label={`${ended} of ${all} nodes done`} />
      ) : null}
      <p className="muted num text-12">
        run {number} · {ended} of {plural(all, 'node')} ended
        {run.startedAt ? ` · started ${when(new Date(run.startedAt))}` : ''}
        {took === null ? '' : run.endedAt === null ? `, ${elapsed(took)} ago` : `, took ${duration(took)}`}
      </p>
      {actions.fault ? (
        <p className="err" role="alert">
          <Icon name="error" />
          <span>
            {actions.fault.message} {actions.fault.fix}
          </span>
        </p>
      ) : null}
    </section>
  )
}

/** The key numbers of a training: loss, validation, bar, pace. */
export function Training({ run, node, large = false }: { run: RunState; node: NodeInfo; large?: boolean }) {
  const state = run.nodes[node.id]
  if (!state) return null
  const view = viewNode(state, node.type)
  const loss = latest(state.series, 'loss')
  const validation = latest(state.series, 'eval_loss')
  const pace = latest(state.series, 'tokens_per_second')
  return (
    <div className="grid gap-2">
      {loss || validation ? (
        <div className="flex items-end justify-between gap-4">
          <div>
            <div className="muted text-12">Training loss</div>
            <div className={large ? 'big text-28 leading-[34px]' : 'big'}>{loss ? figure(loss.value) : '–'}</div>
          </div>
          <div className="text-right">
            <div className="muted text-12">Validation</div>
            <div className={large ? 'big' : 'big text-16'}>{validation ? figure(validation.value) : '–'}</div>
          </div>
        </div>
      ) : null}
      {view.share !== null ? <Bar value={view.share} training large label={`${node.title}, ${view.words}`} /> : null}
      <div className="num flex justify-between gap-4 text-12">
        <span>{progressWords(state) ?? 'Preparing'}</span>
        <span className="muted">{[pace ? `${count(pace.value)} tokens/s` : null, view.timeLeft].filter(Boolean).join(' · ')}</span>
      </div>
    </div>
  )
}
