'use client'
/** Top bar (UX-9): home, name, save state, undo, redo, what a run would do, Check, Run, Stop, commands, theme. */
import Link from 'next/link'
import { useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import type { Plan } from '../../nodes/_kit/plan'
import { titleOf } from '../../nodes/_kit/wires'
import { busiest, runShare } from '../runs/reduce'
import { viewNode } from '../runs/show'
import { useRun } from '../runs/store'
import { ShareMenu } from '../share/share-menu'
import { Button, IconButton } from '../ui/button'
import { Mark } from '../ui/icon'
import { Menu } from '../ui/menu'
import { State } from '../ui/state'
import { Bar, Count } from '../ui/tag'
import { ThemeSwitch } from '../ui/theme'
import { when } from '../ui/words'
import { useActions } from './actions-context'
import { CheckPopover } from './check-popover'
import { useDerived, useEditor, useStores, useView } from './context'
import { type CommandId, shortcutOf } from './keys'
import type { SaveState } from './saver'
import { isMac } from './use-keys'
import type { RunControl } from './use-run'

export function TopBar({
  save,
  control,
  plan,
  fresh,
  commands,
  onRename,
  onTemplate,
}: {
  save: SaveState
  control: RunControl
  plan: Plan | undefined
  /** A copy of a template that was just opened: Run pulses until it was pressed once (UX-3, D-43). */
  fresh: boolean
  commands: (command: CommandId) => void
  onRename: (name: string) => void
  onTemplate: () => void
}) {
  const { view } = useStores()
  const actions = useActions()
  const mac = isMac()
  const [undoLabel, redoLabel] = useEditor(useShallow((s) => [s.history.past.at(-1)?.label ?? null, s.history.future[0]?.label ?? null]))
  const [errors, all] = useDerived(useShallow((s) => [s.problems.filter((p) => p.severity === 'error').length, s.problems.length]))
  const selected = useEditor(useShallow((s) => s.selection.nodes))
  const blank = useEditor((s) => Object.keys(s.document.nodes).length === 0)
  const form = useView((s) => s.form)
  const busy = control.active || control.starting
  return (
    <header className="topbar" data-region="top">
      <Link className="home" href="/" aria-label="Start page">
        <Mark />
      </Link>
      <Name onRename={onRename} />
      <Saved state={save} />
      <span className="sep" />
      <IconButton
        icon="undo"
        label={undoLabel === null ? 'Undo' : `Undo: ${undoLabel}`}
        shortcut={shortcutOf('undo', mac)}
        disabled={undoLabel === null}
        onClick={actions.undo}
      />
      <IconButton
        icon="redo"
        label={redoLabel === null ? 'Redo' : `Redo: ${redoLabel}`}
        shortcut={shortcutOf('redo', mac)}
        disabled={redoLabel === null}
        onClick={actions.redo}
      />
      <IconButton icon="history" label="History" onClick={() => commands('history')} />
      <IconButton icon="sliders" label={form ? 'Show the canvas' : 'Show as a form'} aria-pressed={form} onClick={() => commands('form')} />
      <span className="grow" />
      {control.active ? (
        <Busy />
      ) : plan && !blank ? (
        <button type="button" className="planline" onClick={() => view.getState().set({ open: 'plan' })}>
          {plan.summary.text}
        </button>
      ) : null}
      <CheckPopover
        trigger={
          <Button variant="ghost" icon="check">
            Check
            {all > 0 ? (
              <Count value={errors || all} {...(errors > 0 ? { tone: 'bad' as const } : {})} label={errors > 0 ? 'problems' : 'remarks'} />
            ) : null}
          </Button>
        }
      />
      <span className="split">
        <Button variant="primary" icon="play" disabled={busy || blank} pulse={fresh && !busy} onClick={() => commands('run-all')}>
          {control.starting ? 'Starting' : 'Run'}
        </Button>
        <Menu
          label="Ways to run"
          align="end"
          trigger={<IconButton icon="down" variant="primary" label="Ways to run" tip={false} disabled={busy || blank} />}
          items={[
            { label: 'Run all', icon: 'play', shortcut: shortcutOf('run-all', mac), onSelect: () => commands('run-all') },
            {
              label: 'Run to here',
              icon: 'right',
              shortcut: shortcutOf('run-to-here', mac),
              note: selected.length === 1 ? '' : 'select one node',
              disabled: selected.length !== 1,
              onSelect: () => commands('run-to-here'),
            },
            {
              label: 'Run selected',
              note: selected.length > 0 ? '' : 'select nodes',
              disabled: selected.length === 0,
              onSelect: () => commands('run-selected'),
            },
            { kind: 'separator' },
            {
              label: 'Rerun with new data…',
              icon: 'reset',
              note: control.run === null ? 'after the first run' : '',
              disabled: control.run === null,
              onSelect: () => view.getState().set({ open: 'rerun' }),
            },
            { label: 'Show the plan', onSelect: () => view.getState().set({ open: 'plan' }) },
          ]}
        />
      </span>
      <span className={control.active ? 'split' : ''}>
        <Button icon="stop" disabled={!control.active || control.stopping} onClick={() => control.stop('keep')}>
          {control.stopping ? 'Stopping' : 'Stop'}
        </Button>
        {control.active ? (
          <Menu
            label="Ways to stop"
            align="end"
            trigger={<IconButton icon="down" variant="secondary" label="Ways to stop" tip={false} />}
            items={[
              { label: 'Stop and keep checkpoint', icon: 'stop', shortcut: shortcutOf('stop', mac), onSelect: () => control.stop('keep') },
              { label: 'Stop now', note: 'what was done since the last checkpoint is lost', onSelect: () => control.stop('now') },
            ]}
          />
        ) : null}
      </span>
      <span className="sep" />
      <ShareMenu onTemplate={onTemplate} />
      <IconButton
        label="Commands"
        // What is written on it is part of its name, so that speech control finds it (2.5.3).
        aria-label={mac ? 'Commands ⌘K' : 'Commands ^K'}
        shortcut={shortcutOf('palette', mac)}
        onClick={() => commands('palette')}
      >
        <kbd>{mac ? '⌘K' : '^K'}</kbd>
      </IconButton>
      <ThemeSwitch />
    </header>
  )
}

function Name({ onRename }: { onRename: (name: string) => void }) {
  const name = useEditor((s) => s.name)
  const [draft, setDraft] = useState<string | null>(null)
  const done = () => {
    const wanted = draft?.trim() ?? ''
    if (wanted !== '' && wanted !== name) onRename(wanted)
    setDraft(null)
  }
  return (
    <h1 className="name">
      <input
        aria-label="Name of the pipeline"
        value={draft ?? name}
        maxLength={200}
        size={Math.max(6, Math.min(32, (draft ?? name).length))}
        onChange={(event) => setDraft(event.target.value)}
        onBlur={done}
        onKeyDown={(event) => {
          if (event.key === 'Enter') event.currentTarget.blur()
          if (event.key === 'Escape') {
            setDraft(null)
            event.stopPropagation()
          }
        }}
      />
    </h1>
  )
}

function Saved({ state }: { state: SaveState }) {
  const words =
    state.status === 'saved'
      ? state.at
        ? `Saved ${when(state.at)}`
        : 'Saved'
      : state.status === 'conflict'
        ? 'Not saved'
        : state.status === 'failed'
          ? 'Not saved yet'
          : 'Saving…'
  return (
    <span
      className={state.status === 'failed' || state.status === 'conflict' ? 'saved warned' : 'saved'}
      title={state.status === 'failed' ? state.message : undefined}
    >
      {words}
    </span>
  )
}

/** What works right now, from the same source as the cards (UX-17). */
function Busy() {
  const { registry } = useStores()
  const run = useRun()
  const at = run ? busiest(run) : null
  const title = useEditor((s) => (at ? titleOf(s.document, registry, at.id) : ''))
  const type = useEditor((s) => (at ? (s.document.nodes[at.id]?.type ?? '') : ''))
  if (!run) return null
  const view = at ? viewNode(at.node, type) : null
  // A node that has not counted anything yet has no share; the run's would stand beside its name and then jump back (D-44).
  const share = view ? view.share : runShare(run)
  return (
    <span className="busy">
      <State state={view?.state ?? 'queued'} training={view?.training ?? false}>
        {view ? `${title} ${view.share === null ? '' : view.words}` : 'Waiting for a worker'}
      </State>
      {share !== null ? <Bar training={view?.training ?? false} label="Progress" value={share} /> : null}
      {view?.timeLeft ? <span className="muted">{view.timeLeft}</span> : null}
    </span>
  )
}
