'use client'
/**
 * A node on the canvas (D-23 … D-28, UX-16): header with icon, title and state; rows of 24 px with the layer strip, counts and at most
 * three settings; while training the bar, step, loss and curve; a footer with what the state needs. Everything about the type comes from
 * its declaration, so there is one card for all nodes.
 */
import { type NodeProps, useStore as useFlowStore } from '@xyflow/react'
import { memo, type RefObject, useLayoutEffect, useRef } from 'react'
import { useShallow } from 'zustand/react/shallow'
import type { Estimate } from '../../nodes/_kit/facts'
import type { InferredNode } from '../../nodes/_kit/infer'
import type { Problem } from '../../nodes/_kit/problems'
import { own } from '../../nodes/_kit/wires'
import type { NodeRun } from '../runs/reduce'
import { direction, latest } from '../runs/series'
import { reusedWords } from '../runs/show'
import { useNodeRun } from '../runs/store'
import { IconButton } from '../ui/button'
import { Icon } from '../ui/icon'
import { LayerStrip } from '../ui/layer-strip'
import { STATES, State } from '../ui/state'
import { Bar } from '../ui/tag'
import { about, bytes, count, figure } from '../ui/words'
import { type CardState, cardState } from './card-state'
import { useDerived, useEditor, useStores, useView } from './context'
import { portsOf, wiredPorts } from './graph-queries'
import { Port } from './port'
import { useRunLink } from './run-link'
import { Sparkline } from './sparkline'
import { type Strip, stripOf } from './strip'

/** Below this zoom only titles are drawn (UX-16, D-26). A boolean, never the number: TC-39. */
const isFar = (state: { transform: [number, number, number] }): boolean => state.transform[2] < 0.35

export const NodeCard = memo(function NodeCard({ id, selected }: NodeProps) {
  const { registry, view } = useStores()
  const node = useEditor((s) => s.document.nodes[id])
  const given = useEditor((s) => s.document.layout.nodes[id]?.title)
  const tabStop = useView((s) => s.focused === id)
  const card = useRef<HTMLDivElement>(null)
  useKeptFocus(id, card, node !== undefined)
  const dim = useView(
    (s) => s.connecting !== null && s.connecting.from.node !== id && ![...s.connecting.fits].some((end) => end.startsWith(`${id}.`)),
  )
  const inferred = useDerived((s) => s.nodes[id])
  const [errors, warnings] = useDerived(useShallow((s) => countFaults(s.problems, id)))
  const stale = useDerived((s) => s.stale[id] ?? null)
  const far = useFlowStore(isFar)
  const run = useNodeRun(id)
  if (!node) return null
  const def = own(registry, node.type)
  const title = given ?? def?.title ?? node.type
  const placeholder = !def || (inferred !== undefined && inferred.def === null)
  const state = cardState({ placeholder, disabled: node.disabled === true, type: node.type, run, stale })
  const { word } = STATES[state.name]
  // "Done 12 s": the state itself, then what the card adds to it.
  const said = state.words === word || state.border === 'is-placeholder' ? state.words : `${word} ${state.words}`
  const classes = ['node', state.border, selected && 'sel', dim && 'dim', far && 'far'].filter(Boolean).join(' ')
  return (
    // biome-ignore lint/a11y/useSemanticElements: a card is a named group of controls, not a form's fieldset
    <div
      ref={card}
      className={classes}
      role="group"
      aria-label={`${title}, ${said}${errors > 0 ? `, ${errors} ${errors === 1 ? 'problem' : 'problems'}` : ''}`}
      aria-roledescription="node"
      tabIndex={tabStop ? 0 : -1}
      data-node={id}
      onFocus={() => view.getState().set({ focused: id, seeking: null })}
    >
      {errors + warnings > 0 ? (
        <span className={errors > 0 ? 'badge' : 'badge warn'} aria-hidden="true">
          {errors || warnings}
        </span>
      ) : null}
      {far ? (
        <div className="far-title">{title}</div>
      ) : (
        <>
          <div className="hd">
            <Icon name={def?.icon ?? 'question'} />
            <b className={def ? 'ell' : 'ell mono'}>{title}</b>
            <State state={state.name} training={state.view.training}>
              {state.words}
            </State>
          </div>
          <Body
            inferred={inferred}
            run={run}
            live={state.border === 'is-training'}
            placeholder={placeholder}
            type={node.type}
            version={node.version}
          />
          <Footer state={state} run={run} stale={stale} estimate={inferred?.estimate ?? null} heavy={def?.resource === 'engine'} />
        </>
      )}
      <Ports id={id} />
    </div>
  )
})

/** React Flow takes a card that leaves the view out of the page, and its focus with it. The card asks for it back when it is drawn again. */
function useKeptFocus(id: string, card: RefObject<HTMLDivElement | null>, drawn: boolean) {
  const { editor, view } = useStores()
  useLayoutEffect(() => {
    const element = card.current
    if (!drawn || !element) return
    if (view.getState().seeking === id) element.focus({ preventScroll: true })
    return () => {
      if (own(editor.getState().document.nodes, id) && element.contains(document.activeElement)) view.getState().set({ seeking: id })
    }
  }, [id, card, drawn, editor, view])
}

function countFaults(problems: readonly Problem[], id: string): [errors: number, warnings: number] {
  const here = problems.filter((problem) => problem.node === id)
  const errors = here.filter((problem) => problem.severity === 'error').length
  // An output nobody uses is worth a line in the list, not a mark on every last node.
  return [errors, here.filter((problem) => problem.severity === 'warning' && problem.code !== 'unused-output').length]
}

const Ports = memo(function Ports({ id }: { id: string }) {
  const { registry } = useStores()
  const type = useEditor((s) => s.document.nodes[id]?.type ?? '')
  const def = own(registry, type)
  const lost = useEditor(
    useShallow((s) =>
      def ? [] : (['in', 'out'] as const).flatMap((side) => wiredPorts(s.document.edges, id, side).map((port) => `${side} ${port}`)),
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

const Row = ({ label, value }: { label: string; value: string }) => (
  <div className="p">
    <span>{label}</span>
    <span className="ell">{value}</span>
  </div>
)

function Body({
  inferred,
  run,
  live,
  placeholder,
  type,
  version,
}: {
  inferred: InferredNode | undefined
  run: NodeRun | undefined
  live: boolean
  placeholder: boolean
  type: string
  version: number
}) {
  if (placeholder || !inferred)
    return (
      <div className="bd">
        <Row label="Type" value={type} />
        <Row label="Version" value={String(version)} />
      </div>
    )
  const def = inferred.def ?? undefined
  const strip = stripOf(inferred)
  const card = inferred.card.filter((row) => row.value !== strip?.name).slice(0, live ? 2 : 3)
  const used = (strip ? 2 : 0) + card.length
  // Ports have a row each even while nothing is known to stand in it, so they never move (D-24).
  const bare = Array.from({ length: Math.max(portsOf(def, 'in').length, portsOf(def, 'out').length) }, (_, row) => row).slice(used)
  return (
    <div className="bd">
      {strip ? <StripRows strip={strip} live={live} /> : null}
      {card.map((row) => (
        <Row key={row.label} label={row.label} value={row.value} />
      ))}
      {bare.map((row) => (
        <Row key={row} label={portsOf(def, 'in')[row]?.[1].title ?? portsOf(def, 'out')[row]?.[1].title ?? ''} value="" />
      ))}
      {live && run ? <Live run={run} /> : null}
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
      <div className="counts">
        {strip.name !== null ? (
          <span className="name ell">{strip.name}</span>
        ) : (
          <>
            <span className="ice-t">{strip.model.blocks.length - open} frozen</span>
            <span className={open > 0 ? 'thaw-t' : ''}>{open > 0 ? `${open} trainable` : 'none trainable'}</span>
          </>
        )}
      </div>
    </>
  )
}

const ARROW = { down: ['▼', 'falling'], up: ['▲', 'rising'], level: ['▬', 'level'] } as const

function Live({ run }: { run: NodeRun }) {
  const { progress } = run
  const total = progress?.unit === 'steps' ? progress.total : undefined
  const loss = latest(run.series, 'loss')
  const way = direction(run.series, 'loss')
  const where = !progress
    ? 'starting'
    : progress.unit === 'steps'
      ? `step ${count(progress.done)}/${count(progress.total)}`
      : `${count(progress.done)}/${count(progress.total)} ${progress.unit}`
  return (
    <>
      <Bar training label="Training" value={progress?.done ?? 0} max={progress?.total ?? 1} />
      <div className="live-row">
        <span className="ell">{where}</span>
        {loss ? (
          <span className="loss">
            <span className="muted">loss</span> <b>{figure(loss.value)}</b>{' '}
            {way ? (
              <span className={way === 'level' ? 'muted' : 'thaw-t'}>
                <span aria-hidden="true">{ARROW[way][0]}</span>
                <span className="vh">{ARROW[way][1]}</span>
              </span>
            ) : null}
          </span>
        ) : null}
      </div>
      <Sparkline series={run.series} until={total} height={36} label={loss ? `Loss ${figure(loss.value)} at step ${loss.step}` : 'Loss'} />
    </>
  )
}

function Footer({
  state,
  run,
  stale,
  estimate,
  heavy,
}: {
  state: CardState
  run: NodeRun | undefined
  stale: string | null
  estimate: Estimate | null
  heavy: boolean
}) {
  const link = useRunLink()
  const { view } = state
  if (state.border === 'is-placeholder') return <div className="ft">kept as it is, cannot run</div>
  switch (state.name) {
    case 'disabled':
      return <div className="ft">wires pass through where they fit</div>
    case 'notrun':
      return heavy && estimate && estimate.seconds >= 5 ? (
        <div className="ft">
          <Icon name="clock" />
          {about(estimate.seconds)}
          {estimate.memoryBytes >= 1e8 ? <span className="right muted">needs {bytes(estimate.memoryBytes)}</span> : null}
        </div>
      ) : null
    case 'running':
      return (
        <div className="ft">
          {view.training ? (
            <span>{view.timeLeft ?? 'measuring the time left'}</span>
          ) : (
            <>
              {run?.progress && view.share !== null ? <Bar label="Progress" value={view.share} /> : <span>working</span>}
              {view.timeLeft ? <span className="muted nowrap">{view.timeLeft}</span> : null}
            </>
          )}
          {heavy ? (
            <IconButton
              icon="stop"
              label="Stop and keep checkpoint"
              size="sm"
              variant="secondary"
              className="right nodrag nopan"
              onClick={() => link.stop('keep')}
            />
          ) : null}
        </div>
      )
    case 'stale':
      return stale ? (
        <div className="ft">
          <span className="clamp">{stale}</span>
        </div>
      ) : null
    case 'failed':
      return (
        <div className="ft bad">
          <span className="clamp">{view.detail ?? 'The reason is in the log.'}</span>
        </div>
      )
    case 'stopped':
      return (
        <div className="ft">
          <span>{view.detail ?? 'stopped'}</span>
          <button type="button" className="btn sm right nodrag nopan" onClick={link.resume}>
            Resume
          </button>
        </div>
      )
    case 'done': {
      const loss = run && latest(run.series, 'loss')
      return view.training && loss ? (
        <div className="ft">
          <span>
            loss <b>{figure(loss.value)}</b>
          </span>
          {link.number !== null ? <span className="right muted">run {link.number}</span> : null}
        </div>
      ) : null
    }
    case 'reused':
      return view.training && reusedWords(run?.reusedFrom) ? <div className="ft">same settings, same data</div> : null
    default:
      return view.detail ? (
        <div className="ft">
          <span className="clamp">{view.detail}</span>
        </div>
      ) : null
  }
}
