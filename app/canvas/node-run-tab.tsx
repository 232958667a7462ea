'use client'
/** One node's part in the shown run: state, loss and bar while it works, the fault when it failed, what it gave. */
import { own } from '../../nodes/_kit/wires'
import { latest, lowest } from '../runs/series'
import { progressWords } from '../runs/show'
import { useNodeRun } from '../runs/store'
import { Button } from '../ui/button'
import { Empty, Notice } from '../ui/notice'
import { State } from '../ui/state'
import { Bar } from '../ui/tag'
import { count, duration, figure } from '../ui/words'
import { cardState } from './card-state'
import { useDerived, useEditor, useStores } from './context'
import { useRunLink } from './run-link'
import { Sparkline } from './sparkline'

export function NodeRunTab({ id }: { id: string }) {
  const { registry } = useStores()
  const link = useRunLink()
  const node = useEditor((s) => s.document.nodes[id])
  const stale = useDerived((s) => s.stale[id] ?? null)
  const run = useNodeRun(id)
  if (!node) return null
  if (!run)
    return (
      <Empty
        icon="history"
        title="Not run yet"
        action={
          <Button icon="play" disabled={link.active} onClick={() => link.start({ kind: 'to', node: id })}>
            Run to here
          </Button>
        }
      >
        Each run is kept with its settings, data and result.
      </Empty>
    )
  const def = own(registry, node.type)
  const { name, words, view } = cardState({ placeholder: !def, disabled: node.disabled === true, type: node.type, run, stale })
  const loss = latest(run.series, 'loss')
  const validation = latest(run.series, 'eval_loss')
  const best = lowest(run.series, 'eval_loss')
  const speed = latest(run.series, 'tokens_per_second')
  return (
    <div className="form">
      <div className="row">
        <State state={name} training={view.training}>
          {words}
        </State>
        {link.number !== null ? <span className="muted ml-auto text-12">run {link.number}</span> : null}
      </div>
      {stale ? <p className="help warned">{stale}</p> : null}
      {run.error ? (
        <Notice tone="error" title={run.error.message}>
          {[run.error.expected && `Expected ${run.error.expected}.`, run.error.got && `Got ${run.error.got}.`, run.error.fix]
            .filter(Boolean)
            .join(' ')}
        </Notice>
      ) : null}
      {loss ? (
        <section className="loss-block" aria-label="Loss">
          <div className="row items-end">
            <div>
              <div className="muted text-12">Training loss</div>
              <div className="huge">{figure(loss.value)}</div>
            </div>
            {validation ? (
              <div className="ml-auto text-right">
                <div className="muted text-12">Validation</div>
                <div className="big">{figure(validation.value)}</div>
              </div>
            ) : null}
          </div>
          {view.share !== null ? <Bar training={view.training} large label="Progress" value={view.share} /> : null}
          <div className="row text-12">
            <span>
              {run.progress?.unit === 'steps'
                ? `step ${count(run.progress.done)} of ${count(run.progress.total)}`
                : `step ${count(loss.step)}`}
            </span>
            {view.timeLeft ? <span className="muted ml-auto">{view.timeLeft}</span> : null}
          </div>
          <Sparkline
            series={run.series}
            until={run.progress?.unit === 'steps' ? run.progress.total : undefined}
            width={288}
            height={56}
            label={`Loss ${figure(loss.value)} at step ${loss.step}`}
          />
        </section>
      ) : view.share !== null ? (
        <section className="loss-block" aria-label="Progress">
          <Bar training={view.training} large label="Progress" value={view.share} />
          <div className="row text-12">
            <span>{progressWords(run)}</span>
            {view.timeLeft ? <span className="muted ml-auto">{view.timeLeft}</span> : null}
          </div>
        </section>
      ) : null}
      <dl>
        {best ? <Line label="Best validation loss" value={`${figure(best.value)} at step ${count(best.step)}`} /> : null}
        {speed ? <Line label="Speed" value={`${count(speed.value)} tokens/s`} /> : null}
        {view.seconds !== null ? <Line label="Took" value={duration(view.seconds)} /> : null}
        {run.attempt > 1 ? <Line label="Attempt" value={String(run.attempt)} /> : null}
        {run.checkpoints.at(-1) ? <Line label="Checkpoint" value={`step ${count(run.checkpoints.at(-1)?.step ?? 0)}`} /> : null}
        {run.reason && !run.error ? <Line label="Because" value={run.reason} /> : null}
      </dl>
      {link.active && def?.resource === 'engine' && name === 'running' ? (
        <div className="row">
          <Button icon="stop" onClick={() => link.stop('keep')}>
            Stop and keep
          </Button>
          <Button variant="ghost" onClick={() => link.stop('now')}>
            Stop now
          </Button>
        </div>
      ) : null}
      {name === 'stopped' || name === 'failed' ? (
        <Button icon="play" onClick={link.resume}>
          Resume
        </Button>
      ) : null}
    </div>
  )
}

const Line = ({ label, value }: { label: string; value: string }) => (
  <div className="kv">
    <dt>{label}</dt>
    <dd>{value}</dd>
  </div>
)
