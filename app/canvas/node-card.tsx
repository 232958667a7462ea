'use client'
/**
 * A node on the canvas (D-23 … D-28, UX-16): header with icon, title and state; rows of 24 px with the layer strip, counts and at most
 * three settings; while training the bar, step, loss and curve; a footer with what the state needs. Everything about the type comes from
 * its declaration, so there is one card for all nodes.
 */
import { type NodeProps, useStore as useFlowStore } from '@xyflow/react'
import { memo } from 'react'
import { useShallow } from 'zustand/react/shallow'
import type { Estimate } from '../../nodes/_kit/facts'
import type { InferredNode } from '../../nodes/_kit/infer'
import { own } from '../../nodes/_kit/wires'
import type { NodeRun } from '../runs/reduce'
import { direction, latest } from '../runs/series'
import { IconButton } from '../ui/button'
import { Icon } from '../ui/icon'
import { LayerStrip } from '../ui/layer-strip'
import { STATES, State } from '../ui/state'
import { Bar } from '../ui/tag'
import { about, bytes, figure, left } from '../ui/words'
import { cardState, reusedRun } from './card-state'
import { useDerived, useEditor, useStores, useView } from './context'
import { portsOf, wiredPorts } from './graph-queries'
import { Port } from './port'
import { useNodeRun, useRunLink } from './run-link'
import { Sparkline } from './sparkline'
import { type Strip, stripOf, trains } from './strip'

/** Below this zoom only titles are drawn (UX-16, D-26). A boolean, never the number: TC-39. */
const isFar = (state: { transform: [number, number, number] }): boolean => state.transform[2] < 0.35

export const NodeCard = memo(function NodeCard({ id, selected }: NodeProps) {
  const { registry, view } = useStores()
  const node = useEditor((s) => s.document.nodes[id])
  const given = useEditor((s) => s.document.layout.nodes[id]?.title)
  const tabStop = useView((s) => s.focused === id)
  const dim = useView(
    (s) => s.connecting !== null && s.connecting.from.node !== id && ![...s.connecting.fits].some((end) => end.startsWith(`${id}.`)),
  )
  const inferred = useDerived((s) => s.nodes[id])
  const faults = useDerived(useShallow((s) => countFaults(s.problems, id)))
  const far = useFlowStore(isFar)
  const run = useNodeRun(id)
  const stale = useDerived((s) => s.stale[id] ?? null)
  if (!node) return null
  const def = own(registry, node.type)
  const title = given ?? def?.title ?? node.type
  const placeholder = !def || (inferred !== undefined && inferred.def === null)
  const warm = trains(def ?? null)
  const state = cardState({ placeholder, disabled: node.disabled === true, run, stale, trains: warm })
  const classes = ['node', state.border, selected && 'sel', dim && 'dim', far && 'far'].filter(Boolean).join(' ')
  const words = state.words ?? STATES[state.name].word
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset would not be one; a group with a name is what a card is
    <article
      className={classes}
      role="group"
      aria-label={`${title}, ${words}${faults.errors > 0 ? `, ${faults.errors} ${faults.errors === 1 ? 'problem' : 'problems'}` : ''}`}
      aria-roledescription="node"
      tabIndex={tabStop ? 0 : -1}
      data-node={id}
      onFocus={() => view.getState().set({ focused: id })}
    >
      {faults.errors > 0 ? (
        <span className="badge" aria-hidden="true">
          {faults.errors}
        </span>
      ) : faults.warnings > 0 ? (
        <span className="badge warn" aria-hidden="true">
          {faults.warnings}
        </span>
      ) : null}
      {far ? (
        <div className="far-title">{title}</div>
      ) : (
        <>
          <header className="hd">
            <Icon name={def?.icon ?? 'question'} />
            <b className={def ? 'ell' : 'ell mono'}>{title}</b>
            <State state={state.name} training={warm}>
              {state.words}
            </State>
          </header>
          <Body id={id} inferred={inferred} run={run} warm={warm} placeholder={placeholder} type={node.type} version={node.version} />
          <Footer
            id={id}
            estimate={inferred?.estimate ?? null}
            heavy={def?.resource === 'engine'}
            run={run}
            stale={stale}
            state={state.name}
            warm={warm}
            disabled={node.disabled === true}
            placeholder={placeholder}
          />
        </>
      )}
      <Ports id={id} />
    </article>
  )
})

function countFaults(
  problems: readonly { node: string | null; severity: 'error' | 'warning'; code: string }[],
  id: string,
): { errors: number; warnings: number } {
  let errors = 0
  let warnings = 0
  for (const problem of problems) {
    if (problem.node !== id) continue
    if (problem.severity === 'error') errors++
    // An output nobody uses is worth a line in the list, not a mark on every last node.
    else if (problem.code !== 'unused-output') warnings++
  }
  return { errors, warnings }
}

const Ports = memo(function Ports({ id }: { id: string }) {
  const { registry } = useStores()
  const type = useEditor((s) => s.document.nodes[id]?.type ?? '')
  const def = own(registry, type)
  const lost = useEditor(
    useShallow((s) =>
      def
        ? []
        : [
            ...wiredPorts(s.document.edges, id, 'in').map((p) => `in ${p}`),
            ...wiredPorts(s.document.edges, id, 'out').map((p) => `out ${p}`),
          ],
    ),
  )
  if (!def) {
    const rows = { in: 0, out: 0 }
    return lost.map((key) => {
      const [side, port] = key.split(' ') as ['in' | 'out', string]
      return <Port key={key} node={id} port={port} kind={null} title={port} side={side} row={rows[side]++} optional />
    })
  }
  return (['in', 'out'] as const).flatMap((side) =>
    portsOf(def, side).map(([port, { kind, title, optional }], row) => (
      <Port key={`${side} ${port}`} node={id} port={port} kind={kind} title={title} side={side} row={row} optional={optional === true} />
    )),
  )
})

function Body({
  id,
  inferred,
  run,
  warm,
  placeholder,
  type,
  version,
}: {
  id: string
  inferred: InferredNode | undefined
  run: NodeRun | null
  warm: boolean
  placeholder: boolean
  type: string
  version: number
}) {
  if (placeholder)
    return (
      <div className="bd">
        <Row label="Type" value={type} />
        <Row label="Version" value={String(version)} />
      </div>
    )
  const strip = inferred ? stripOf(inferred) : null
  const live = warm && run?.status === 'running'
  const def = inferred?.def
  const needed = Math.max(portsOf(def ?? undefined, 'in').length, portsOf(def ?? undefined, 'out').length)
  const card = (inferred?.card ?? []).filter((row) => row.value !== strip?.name).slice(0, live ? 2 : 3)
  const used = (strip ? 2 : 0) + card.length
  return (
    <div className="bd">
      {strip ? <StripRows strip={strip} live={live} /> : null}
      {card.map((row) => (
        <Row key={row.label} label={row.label} value={row.value} />
      ))}
      {Array.from({ length: Math.max(0, needed - used) }, (_, i) => {
        const port = portsOf(def ?? undefined, 'in')[used + i]?.[1] ?? portsOf(def ?? undefined, 'out')[used + i]?.[1]
        // biome-ignore lint/suspicious/noArrayIndexKey: rows are positions
        return <Row key={`port ${i}`} label={port?.title ?? ''} value="" />
      })}
      {live && run ? <Live id={id} run={run} /> : null}
    </div>
  )
}

function StripRows({ strip, live }: { strip: Strip; live: boolean }) {
  const open = strip.model.blocks.filter((share) => share > 0).length
  return (
    <>
      <div className="strip-row">
        <LayerStrip model={strip.model} live={live} />
      </div>
      {strip.name !== null ? (
        <div className="cap">
          <span className="name ell" title={strip.name}>
            {strip.name}
          </span>
        </div>
      ) : (
        <div className="cap">
          <span className="ice-t">{strip.model.blocks.length - open} frozen</span>
          <span className={open > 0 ? 'thaw-t' : ''}>{open > 0 ? `${open} trainable` : 'none trainable'}</span>
        </div>
      )}
    </>
  )
}

const Row = ({ label, value }: { label: string; value: string }) => (
  <div className="p">
    <span>{label}</span>
    <span title={value}>{value}</span>
  </div>
)

const ARROW = { down: '▼', up: '▲', level: '▬' } as const
const ARROW_WORD = { down: 'falling', up: 'rising', level: 'level' } as const

function Live({ run }: { id: string; run: NodeRun }) {
  const total = run.progress?.unit === 'steps' ? run.progress.total : 0
  const loss = latest(run.series, 'loss')
  const way = direction(run.series, 'loss')
  const steps =
    run.progress?.unit === 'steps'
      ? `step ${run.progress.done}/${run.progress.total}`
      : run.progress
        ? `${run.progress.done}/${run.progress.total} ${run.progress.unit}`
        : 'starting'
  return (
    <>
      <Bar training label="Training" value={run.progress?.done ?? 0} max={run.progress?.total ?? 1} />
      <div className="live">
        <span>{steps}</span>
        {loss ? (
          <span className="loss">
            <span className="muted">loss</span> <b>{figure(loss.value)}</b>{' '}
            {way ? (
              <span className={way === 'level' ? 'muted' : 'thaw-t'} title={ARROW_WORD[way]}>
                <span aria-hidden="true">{ARROW[way]}</span>
                <span className="vh">{ARROW_WORD[way]}</span>
              </span>
            ) : null}
          </span>
        ) : null}
      </div>
      <Sparkline series={run.series} total={total} />
    </>
  )
}

function Footer({
  estimate,
  heavy,
  run,
  stale,
  state,
  warm,
  disabled,
  placeholder,
}: {
  id: string
  estimate: Estimate | null
  heavy: boolean
  run: NodeRun | null
  stale: string | null
  state: string
  warm: boolean
  disabled: boolean
  placeholder: boolean
}) {
  const link = useRunLink()
  if (placeholder) return <footer className="ft">kept as it is, cannot run</footer>
  if (disabled) return <footer className="ft">wires pass through where they fit</footer>
  switch (state) {
    case 'notrun':
      return heavy && estimate && estimate.seconds >= 5 ? (
        <footer className="ft">
          <Icon name="clock" />
          {about(estimate.seconds)}
          {estimate.memoryBytes >= 1e8 ? <span className="right muted">needs {bytes(estimate.memoryBytes)}</span> : null}
        </footer>
      ) : null
    case 'running': {
      const eta = run?.progress?.etaSeconds ?? null
      return (
        <footer className="ft">
          {warm ? (
            <span>{eta !== null ? left(eta) : 'measuring the time left'}</span>
          ) : (
            <>
              {run?.progress ? <Bar label="Progress" value={run.progress.done} max={run.progress.total} /> : <span>working</span>}
              {eta !== null ? <span className="muted nowrap">{left(eta)}</span> : null}
            </>
          )}
          {heavy ? (
            <IconButton
              icon="stop"
              label="Stop and keep checkpoint"
              size="sm"
              variant="secondary"
              className="right nodrag nopan"
              onClick={link.stop}
            />
          ) : null}
        </footer>
      )
    }
    case 'stale':
      return stale ? (
        <footer className="ft" title={stale}>
          <span className="clamp">{stale}</span>
        </footer>
      ) : null
    case 'failed':
      return (
        <footer className="ft bad" title={run?.error?.message}>
          <span className="clamp">{run?.error?.message ?? 'The reason is in the log.'}</span>
        </footer>
      )
    case 'stopped': {
      const step = run?.checkpoints.at(-1)?.step
      return (
        <footer className="ft">
          <span>{step === undefined ? 'stopped' : `at step ${step}, checkpoint kept`}</span>
          <button type="button" className="btn sm right nodrag nopan" onClick={link.resume}>
            Resume
          </button>
        </footer>
      )
    }
    case 'done': {
      const loss = run && latest(run.series, 'loss')
      return warm && loss ? (
        <footer className="ft">
          <span>
            loss <b>{figure(loss.value)}</b>
          </span>
          {link.number !== null ? <span className="right muted">run {link.number}</span> : null}
        </footer>
      ) : null
    }
    case 'reused':
      return reusedRun(run?.reusedFrom) !== null && warm ? <footer className="ft">same settings, same data</footer> : null
    default:
      return run?.reason ? (
        <footer className="ft">
          <span className="clamp">{run.reason}</span>
        </footer>
      ) : null
  }
}
