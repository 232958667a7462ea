'use client'
import { useMemo, useState } from 'react'
import { CURVE_DEFAULTS, CurveControls, CurvesTab } from '../runs/curves-tab'
import { LogTab } from '../runs/log-tab'
import { OutputsTab } from '../runs/outputs-tab'
import { ProgressTab } from '../runs/progress-tab'
import { RowsTable } from '../runs/rows-view'
import { Segmented } from '../ui/toggles'
import { SAMPLE_METRICS, SAMPLE_NODES, SAMPLE_ROWS, sampleRun } from './sample-run'

const nothing = { stop: () => {}, resume: () => {}, busy: false, fault: null }

export function RunSamples() {
  const [which, setWhich] = useState<'running' | 'done' | 'failed'>('running')
  const [settings, setSettings] = useState(CURVE_DEFAULTS)
  const run = useMemo(
    () => (which === 'running' ? sampleRun(38, null) : which === 'done' ? sampleRun(60, 'done') : sampleRun(41, 'failed')),
    [which],
  )
  return (
    <div className="grid gap-4">
      <Segmented
        label="State of the run"
        value={which}
        onValueChange={setWhich}
        items={(['running', 'done', 'failed'] as const).map((value) => ({ value, label: value }))}
      />
      <div className="card overflow-hidden">
        <ProgressTab run={run} nodes={SAMPLE_NODES} number={14} actions={nothing} onSelect={() => {}} />
      </div>
      <div className="card overflow-hidden">
        <div className="flex justify-end border-line border-b px-4 py-1">
          <CurveControls run={run} nodes={SAMPLE_NODES} settings={settings} onChange={setSettings} />
        </div>
        <div className="h-[190px]">
          <CurvesTab run={run} nodes={SAMPLE_NODES} settings={settings} />
        </div>
      </div>
      <div className="card h-[240px] overflow-hidden">
        <LogTab run={run} nodes={SAMPLE_NODES} />
      </div>
      <div className="card overflow-hidden">
        <OutputsTab run={run} nodes={SAMPLE_NODES} />
      </div>
      <div className="flex h-[640px] flex-col">
        <RowsTable rows={SAMPLE_ROWS} total={SAMPLE_ROWS.length} metrics={SAMPLE_METRICS} href="#rows" />
      </div>
    </div>
  )
}
