'use client'
import dynamic from 'next/dynamic'
import { useEffect, useState } from 'react'
import { faultOf } from '../fault'
import { IconButton } from '../ui/button'
import { ErrorBoundary } from '../ui/error-boundary'
import { Empty, Notice } from '../ui/notice'
import { TabPanel, Tabs } from '../ui/tabs'
import { useRunActions } from './actions'
import { CURVE_DEFAULTS, CurveControls, type CurveSettings, CurvesTab, curveNodes } from './curves-tab'
import { RunTable } from './history-tab'
import { ProgressTab } from './progress-tab'
import { runWords } from './show'
import { useRunView } from './use-run-view'

// Behind their tabs until somebody looks (UX-141).
const LogTab = dynamic(() => import('./log-tab').then((m) => m.LogTab), { ssr: false })
const OutputsTab = dynamic(() => import('./outputs-tab').then((m) => m.OutputsTab), { ssr: false })

export const RUN_TABS = ['progress', 'curves', 'log', 'outputs', 'history'] as const
export type RunTab = (typeof RUN_TABS)[number]
const TITLES: Record<RunTab, string> = { progress: 'Progress', curves: 'Curves', log: 'Log', outputs: 'Outputs', history: 'History' }

/** Folds and choices belong to the viewer, never to the graph (UX-15). */
function useKept<T>(key: string, initial: T, read: (stored: unknown) => T): [T, (next: T) => void] {
  const [value, setValue] = useState(initial)
  // biome-ignore lint/correctness/useExhaustiveDependencies: read once, after the first paint, which the server has drawn without it
  useEffect(() => {
    try {
      const stored = localStorage.getItem(key)
      if (stored !== null) setValue(read(JSON.parse(stored)))
    } catch {
      // What was stored is not ours or storage is off: the default stands.
    }
  }, [key])
  return [
    value,
    (next) => {
      setValue(next)
      try {
        localStorage.setItem(key, JSON.stringify(next))
      } catch {
        // Then it lasts as long as the page.
      }
    },
  ]
}

export type RunPanelProps = {
  pipelineId: string
  /** The run that is shown; it must be followed by `useLiveRun` somewhere on the page. */
  runId: string | null
  folded: boolean
  onFold: () => void
  /** A node was chosen in the panel. */
  onSelect?: ((node: string) => void) | undefined
  /** Another run of this pipeline was chosen in History, or a resumed one began. */
  onShow?: ((run: string) => void) | undefined
}

/** The panel below the canvas (UX-13). It fills what it is given; folded, only its bar is left. */
export function RunPanel({ pipelineId, runId, folded, onFold, onSelect, onShow }: RunPanelProps) {
  const [tab, setTab] = useKept<RunTab>('thaw.run-tab', 'progress', (stored) =>
    (RUN_TABS as readonly unknown[]).includes(stored) ? (stored as RunTab) : 'progress',
  )
  const [settings, setSettings] = useKept<CurveSettings>('thaw.curves', CURVE_DEFAULTS, (stored) => ({
    ...CURVE_DEFAULTS,
    ...(stored as Partial<CurveSettings>),
    node: null,
  }))
  const { view, error } = useRunView(runId)
  const actions = useRunActions(runId, onShow)
  const problem = error ? faultOf(error) : null
  const none = runId === null
  const problems = view ? Object.values(view.run.nodes).filter((node) => node.status === 'failed').length : 0
  const empty = problem ? (
    <Notice tone="error" title="The run could not be read" className="m-4">
      {problem.message} {problem.fix}
    </Notice>
  ) : none ? (
    <Empty icon="play" title="Nothing has run yet">
      Press Run. Progress, curves, log and outputs appear here.
    </Empty>
  ) : (
    <p className="late muted p-4">Reading the run</p>
  )
  const panel = (which: RunTab) => {
    if (which === 'history') return <RunTable pipelineId={pipelineId} shown={runId} onShow={onShow} />
    if (!view) return empty
    const { run, nodes, snapshot } = view
    switch (which) {
      case 'progress':
        return <ProgressTab run={run} nodes={nodes} number={snapshot.run.number} actions={actions} onSelect={onSelect} />
      case 'curves':
        return <CurvesTab run={run} nodes={nodes} settings={settings} />
      case 'log':
        return <LogTab run={run} nodes={nodes} />
      case 'outputs':
        return <OutputsTab run={run} nodes={nodes} onSelect={onSelect} />
    }
  }
  return (
    <Tabs
      slim
      label="Run panel"
      className="run-panel"
      items={RUN_TABS.map((value) => ({ value, label: TITLES[value], ...(value === 'progress' && problems > 0 && { count: problems }) }))}
      value={tab}
      onValueChange={setTab}
      onPress={folded ? onFold : undefined}
      right={
        <div className="row ml-auto gap-3 text-12">
          {!folded && tab === 'curves' && view && curveNodes(view.run, view.nodes).length > 0 ? (
            <CurveControls {...view} settings={settings} onChange={setSettings} />
          ) : null}
          {folded || tab !== 'curves' ? (
            <span className="muted ell">{view ? `run ${view.snapshot.run.number} · ${runWords(view.run, view.nodes)}` : ''}</span>
          ) : null}
          <IconButton
            icon={folded ? 'up' : 'down'}
            label={folded ? 'Open the run panel' : 'Fold the run panel'}
            size="sm"
            tip={false}
            aria-expanded={!folded}
            onClick={onFold}
          />
        </div>
      }
    >
      {/* Folded, the panels stay as empty boxes: the tabs name them. */}
      {RUN_TABS.map((value) => (
        <TabPanel key={value} value={value} className={folded ? 'hidden' : 'min-h-0 flex-1 overflow-auto'}>
          {folded ? null : <ErrorBoundary what={TITLES[value]}>{panel(value)}</ErrorBoundary>}
        </TabPanel>
      ))}
    </Tabs>
  )
}
