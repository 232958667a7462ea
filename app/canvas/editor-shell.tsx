'use client'
/** The editor's frame (UX-8 … UX-15): top bar, nodes left, canvas, settings right, run panel below. Sizes belong to the viewer, so they are
 * kept in this browser and never in the document. */
import { useQueryClient } from '@tanstack/react-query'
import { ReactFlowProvider } from '@xyflow/react'
import dynamic from 'next/dynamic'
import { type ComponentProps, useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { Group, Panel, type PanelSize, Separator, usePanelRef } from 'react-resizable-panels'
import { type Fault, faultOf } from '../fault'
import { RunAnnouncer } from '../runs/announcer'
import { RunPanel } from '../runs/run-panel'
import { useTabTitle } from '../runs/tab-title'
import { useRunView } from '../runs/use-run-view'
import { MissingDialog } from '../share/missing-dialog'
import { TemplateDialog } from '../share/template-dialog'
import { useTRPC, useTRPCClient } from '../trpc'
import { Button, IconButton } from '../ui/button'
import { Notice } from '../ui/notice'
import { when } from '../ui/words'
import { ActionsProvider } from './actions-context'
import { Canvas } from './canvas'
import { CommandMenu } from './command-menu'
import { ConnectDialog } from './connect-dialog'
import { useEditor, useStores, useView } from './context'
import { type Draft, dropDraft } from './draft'
import { Hints } from './hints'
import { Inspector } from './inspector'
import { KeySheet } from './key-sheet'
import { LargeLayers } from './large-layers'
import { Outline } from './outline'
import { Palette } from './palette'
import { readSizes, writeSizes } from './panel-sizes'
import { PlanSheet } from './plan-sheet'
import { RunLinkContext, type RunTarget } from './run-link'
import type { Theirs } from './saver'
import { TopBar } from './top-bar'
import { useFacts } from './use-facts'
import { type Fold, useCommands, useKeys } from './use-keys'
import { usePlan } from './use-plan'
import { useRunControl } from './use-run'
import { useSave } from './use-save'

// Not part of the first load: most visits look at no rows, at no old version and at no form.
const RerunDialog = dynamic(() => import('../runs/rerun-dialog').then((m) => m.RerunDialog), { ssr: false })
const FormView = dynamic(() => import('./form-view').then((m) => m.FormView), { ssr: false })
const HistoryDialog = dynamic(() => import('./versions/history-dialog').then((m) => m.HistoryDialog), { ssr: false })
const DatasetView = dynamic(() => import('./data-view').then((m) => m.DatasetView), { ssr: false })

const LEFT = { open: 220, folded: 48, min: 180, max: 360 }
const RIGHT = { open: 320, folded: 0, min: 280, max: 520 }
const BOTTOM = { open: 220, folded: 33, min: 120, max: '60%' }

export function EditorShell({
  savedAt,
  draft,
  fresh,
  onCopy,
}: {
  savedAt: Date | null
  /** Edits of an earlier visit that the server never got (UX-45). */
  draft: Draft | null
  fresh: boolean
  /** Makes a document a pipeline of its own and goes there. */
  onCopy: (document: Draft['document'], name: string) => Promise<void>
}) {
  return (
    <ReactFlowProvider>
      <ActionsProvider>
        <Frame savedAt={savedAt} draft={draft} fresh={fresh} onCopy={onCopy} />
      </ActionsProvider>
    </ReactFlowProvider>
  )
}

function Frame({ savedAt, draft, fresh, onCopy }: Parameters<typeof EditorShell>[0]) {
  const { editor, view: show } = useStores()
  const client = useTRPCClient()
  const trpc = useTRPC()
  const queries = useQueryClient()
  const id = useEditor((s) => s.id)
  const name = useEditor((s) => s.name)
  const [asked, setAsked] = useState<RunTarget | null>(null)
  const ask = useCallback(
    (target: RunTarget) => {
      setAsked(target)
      show.getState().set({ open: 'plan', checked: true })
    },
    [show],
  )
  const control = useRunControl(id, ask)
  const save = useSave(savedAt)
  const facts = useFacts()
  const { data: plan } = usePlan(id, null, !control.active)
  const [offered, setOffered] = useState(draft)
  const [templating, setTemplating] = useState(false)
  const [renameFault, setRenameFault] = useState<Fault | null>(null)

  const panels = useFolds()
  const commands = useCommands({ fold: panels.fold, link: control })
  useKeys(commands)
  const { view } = useRunView(control.run)
  const rerun = useView((s) => s.open === 'rerun')
  useTabTitle(view?.run, name)
  const select = useCallback(
    (node: string) => {
      editor.getState().select({ nodes: [node], edges: [] })
      show.getState().set({ tab: 'run', reveal: node, focused: node })
    },
    [editor, show],
  )

  // A run that starts is worth seeing: the run panel opens once.
  const wasActive = useRef(control.active)
  useEffect(() => {
    if (control.active && !wasActive.current) panels.openBottom()
    // What ended can be reused from now on.
    if (!control.active && wasActive.current) void queries.invalidateQueries({ queryKey: trpc.runs.plan.queryKey() })
    wasActive.current = control.active
  }, [control.active, panels, queries, trpc])

  const rename = async (next: string) => {
    const before = editor.getState().name
    editor.getState().setName(next)
    try {
      await client.pipelines.rename.mutate({ id, name: next })
      setRenameFault(null)
    } catch (error) {
      editor.getState().setName(before)
      setRenameFault(faultOf(error))
    }
  }
  const fault = control.fault ?? renameFault
  return (
    <RunLinkContext value={control}>
      <div className="editor">
        <TopBar
          save={save.state}
          control={control}
          plan={plan}
          fresh={fresh && control.run === null}
          commands={commands}
          onRename={(next) => void rename(next)}
          onTemplate={() => setTemplating(true)}
        />
        <section className="bars" aria-label="Messages">
          {fault ? (
            <Notice
              tone="error"
              title={fault.message}
              actions={
                <Button
                  size="sm"
                  onClick={() => {
                    control.clearFault()
                    setRenameFault(null)
                  }}
                >
                  Close
                </Button>
              }
            >
              {typeof fault.fix === 'string' ? fault.fix : undefined}
            </Notice>
          ) : null}
          {save.state.status === 'conflict' ? (
            <Conflict
              theirs={save.state.theirs}
              onResolve={save.resolve}
              onCopy={async () => {
                await onCopy(editor.getState().document, `${name}, my copy`)
                dropDraft(id)
              }}
            />
          ) : null}
          {save.state.status === 'failed' ? (
            <Notice
              tone="warning"
              title="Not saved yet: Thaw does not answer."
            >{`${save.state.message} Your edits are kept in this browser and saved as soon as it answers.`}</Notice>
          ) : null}
          {facts.failed && save.state.status !== 'failed' ? (
            <Notice tone="warning" title="Files and models could not be looked into. It is tried again." />
          ) : null}
          {offered ? (
            <Notice
              title={`Edits from ${when(new Date(offered.at))} were not saved.`}
              actions={
                <>
                  <Button
                    size="sm"
                    variant="primary"
                    onClick={() => {
                      editor.getState().apply({ kind: 'replace-document', document: offered.document }, { label: 'restore unsaved edits' })
                      setOffered(null)
                    }}
                  >
                    Restore them
                  </Button>
                  <Button
                    size="sm"
                    onClick={() => {
                      dropDraft(id)
                      setOffered(null)
                    }}
                  >
                    Discard
                  </Button>
                </>
              }
            />
          ) : null}
          {fresh && control.run === null && !control.active ? <FreshLine seconds={plan?.summary.seconds ?? null} /> : null}
          <Hints ran={fresh && control.run !== null && !control.active && view?.run.status === 'succeeded'} />
        </section>
        {/* Names of the separators, which stand between the landmarks and cannot carry text themselves. */}
        <div hidden>
          <span id="handle-left">Width of the node list</span>
          <span id="handle-bottom">Height of the run panel</span>
          <span id="handle-right">Width of the settings</span>
        </div>
        <Group orientation="horizontal" className="min-h-0 flex-1" onLayoutChanged={panels.keep}>
          <Panel
            id="left"
            panelRef={panels.left}
            defaultSize={panels.sizes.left}
            minSize={LEFT.min}
            maxSize={LEFT.max}
            collapsible
            collapsedSize={LEFT.folded}
            groupResizeBehavior="preserve-pixel-size"
            onResize={(size) => panels.resized('left', size)}
          >
            <LeftPanel
              folded={panels.folded.left}
              onFold={panels.fold.left}
              onKeys={() => show.getState().set({ open: 'keys' })}
              onAdd={() => commands('add-node')}
            />
          </Panel>
          <Separator className="handle" aria-labelledby="handle-left" />
          <Panel id="middle" minSize={360}>
            <Group orientation="vertical" onLayoutChanged={panels.keep}>
              <Panel id="canvas" minSize={160}>
                <main className="main" aria-label="Canvas" data-region="canvas">
                  <Stage name={name} plan={plan?.summary.text ?? null} />
                </main>
              </Panel>
              <Separator className="handle flat" aria-labelledby="handle-bottom" />
              <Panel
                id="bottom"
                panelRef={panels.bottom}
                defaultSize={panels.sizes.bottom}
                minSize={BOTTOM.min}
                maxSize={BOTTOM.max}
                collapsible
                collapsedSize={BOTTOM.folded}
                groupResizeBehavior="preserve-pixel-size"
                onResize={(size) => panels.resized('bottom', size)}
              >
                <section className="bottom-p" aria-label="Run" data-region="run">
                  <RunPanel
                    pipelineId={id}
                    runId={control.run}
                    folded={panels.folded.bottom}
                    onFold={panels.fold.bottom}
                    onSelect={select}
                    onShow={control.show}
                  />
                  {view ? <RunAnnouncer run={view.run} nodes={view.nodes} /> : null}
                </section>
              </Panel>
            </Group>
          </Panel>
          <Separator className="handle" aria-labelledby="handle-right" />
          <Panel
            id="right"
            panelRef={panels.right}
            defaultSize={panels.sizes.right}
            minSize={RIGHT.min}
            maxSize={RIGHT.max}
            collapsible
            collapsedSize={RIGHT.folded}
            groupResizeBehavior="preserve-pixel-size"
            onResize={(size) => panels.resized('right', size)}
          >
            <aside className="right-p" aria-label="Settings" data-region="settings" data-inspector hidden={panels.folded.right}>
              <Inspector />
            </aside>
          </Panel>
        </Group>
      </div>
      <PlanSheet pipelineId={id} control={control} asked={asked} />
      <CommandMenu commands={commands} />
      <ConnectDialog />
      <MissingDialog />
      <TemplateDialog open={templating} onOpenChange={setTemplating} />
      <KeySheet />
      {rerun && view ? (
        <RerunDialog snapshot={view.snapshot} open onOpenChange={(next) => show.getState().set({ open: next ? 'rerun' : null })} />
      ) : null}
      <LazyHistory flush={save.flush} onCopy={onCopy} />
      <Said />
    </RunLinkContext>
  )
}

/** Loaded when it is first asked for, then kept, so that it can close. */
function LazyHistory(props: ComponentProps<typeof HistoryDialog>) {
  const open = useView((s) => s.open === 'history' || s.open === 'name-version')
  const wanted = useRef(false)
  wanted.current ||= open
  return wanted.current ? <HistoryDialog {...props} /> : null
}

/** The canvas, or the large view that takes its place (D-31). */
function Stage({ name, plan }: { name: string; plan: string | null }) {
  const form = useView((s) => s.form)
  const large = useView((s) => s.large)
  const rows = useView((s) => s.rows)
  const hasRows = useEditor((s) => rows !== null && s.document.nodes[rows.node] !== undefined)
  const exists = useEditor((s) => large !== null && s.document.nodes[large] !== undefined)
  return (
    <>
      <Canvas label={`Canvas of ${name}`} />
      {form ? <FormView plan={plan} /> : null}
      {large !== null && exists ? <LargeLayers node={large} /> : null}
      {rows !== null && hasRows ? <DatasetView key={`${rows.node}.${rows.port}`} node={rows.node} port={rows.port} /> : null}
    </>
  )
}

function LeftPanel({ folded, onFold, onKeys, onAdd }: { folded: boolean; onFold: () => void; onKeys: () => void; onAdd: () => void }) {
  const [tab, setTab] = useState<'nodes' | 'outline'>('nodes')
  return (
    <nav className={folded ? 'left-p folded' : 'left-p'} aria-label="Nodes" data-region="nodes">
      {folded ? (
        <>
          <IconButton icon="panel-left" label="Show the nodes" shortcut="[" tipSide="right" onClick={onFold} />
          <IconButton icon="plus" label="Add a node" shortcut="/" tipSide="right" onClick={onAdd} />
          <IconButton icon="keyboard" label="Keyboard" shortcut="?" tipSide="right" className="mt-auto" onClick={onKeys} />
        </>
      ) : (
        <>
          <div className="left-tabs">
            <div role="tablist" aria-label="Nodes or outline" className="contents">
              {(['nodes', 'outline'] as const).map((value) => (
                <button key={value} type="button" role="tab" aria-selected={tab === value} onClick={() => setTab(value)}>
                  {value === 'nodes' ? 'Nodes' : 'Outline'}
                </button>
              ))}
            </div>
            <IconButton icon="keyboard" label="Keyboard" shortcut="?" className="ml-auto" size="sm" onClick={onKeys} />
            <IconButton icon="panel-left" label="Fold" shortcut="[" size="sm" onClick={onFold} />
          </div>
          {tab === 'nodes' ? <Palette /> : <Outline />}
        </>
      )}
    </nav>
  )
}

/** UX-3: one line, no tour. */
function FreshLine({ seconds }: { seconds: number | null }) {
  const minutes =
    seconds === null || seconds <= 0
      ? null
      : seconds < 50
        ? 'Under a minute'
        : `About ${Math.max(1, Math.round(seconds / 60))} ${Math.round(seconds / 60) <= 1 ? 'minute' : 'minutes'}`
  return <p className="fresh">Press Run.{minutes ? ` ${minutes} on this computer.` : ''}</p>
}

function Conflict({
  theirs,
  onResolve,
  onCopy,
}: {
  theirs: Theirs
  onResolve: (how: 'mine' | 'theirs', theirs: Theirs) => void
  onCopy: () => Promise<void>
}) {
  return (
    <Notice
      tone="warning"
      title={`Saved elsewhere at ${when(theirs.updatedAt)}.`}
      actions={
        <>
          <Button size="sm" onClick={() => onResolve('theirs', theirs)}>
            Show what was saved
          </Button>
          <Button size="sm" onClick={() => onResolve('mine', theirs)}>
            Overwrite it
          </Button>
          <Button size="sm" onClick={() => void onCopy()}>
            Keep mine as a copy
          </Button>
        </>
      }
    >
      This pipeline was changed in another tab or by somebody else. Nothing here is lost until you choose.
    </Notice>
  )
}

/** Live region (UX-132): moves, refusals, starts and ends, never each point. */
function Said() {
  const said = useView((s) => s.said)
  return (
    <div className="vh" role="status" aria-live="polite">
      {said}
    </div>
  )
}

type Side = 'left' | 'right' | 'bottom'
const FOLDED: Record<Side, number> = { left: LEFT.folded, right: RIGHT.folded, bottom: BOTTOM.folded }

function useFolds() {
  const [sizes] = useState(readSizes)
  const left = usePanelRef()
  const right = usePanelRef()
  const bottom = usePanelRef()
  const now = useRef<Partial<Record<Side, number>>>({})
  /** Sizes are kept once a person chose them: what a narrow window makes of them is not a choice. */
  const chosen = useRef(false)
  const [folded, setFolded] = useState({
    left: sizes.left <= LEFT.folded,
    right: sizes.right <= RIGHT.folded,
    bottom: sizes.bottom <= BOTTOM.folded,
  })
  const resized = useCallback((side: Side, { inPixels }: PanelSize) => {
    now.current[side] = inPixels
    const isFolded = inPixels <= FOLDED[side] + 1
    setFolded((old) => (old[side] === isFolded ? old : { ...old, [side]: isFolded }))
    // Above the zoom controls, which lie above the run panel (UX-17).
    document.documentElement.style.setProperty(`--toast-${side}`, `${Math.round(inPixels) + (side === 'bottom' ? 46 : 0)}px`)
  }, [])
  const fold = useMemo<Fold>(() => {
    const flip = (panel: typeof left, open: number) => {
      const { current } = panel
      if (!current) return
      chosen.current = true
      if (current.isCollapsed()) {
        current.expand()
        if (current.isCollapsed() || current.getSize().inPixels < open / 2) current.resize(open)
      } else current.collapse()
    }
    return { left: () => flip(left, LEFT.open), right: () => flip(right, RIGHT.open), bottom: () => flip(bottom, BOTTOM.open) }
  }, [left, right, bottom])
  const openBottom = useCallback(() => {
    if (bottom.current?.isCollapsed()) fold.bottom()
  }, [bottom, fold])
  const keep = useCallback((_: unknown, { isUserInteraction }: { isUserInteraction: boolean }) => {
    chosen.current ||= isUserInteraction
    // The new sizes arrive after this call.
    if (chosen.current) setTimeout(() => writeSizes(now.current), 50)
  }, [])
  return useMemo(
    () => ({ sizes, left, right, bottom, folded, resized, fold, openBottom, keep }),
    [sizes, left, right, bottom, folded, resized, fold, openBottom, keep],
  )
}
