'use client'
import { useMemo } from 'react'
import { Button } from '../ui/button'
import { Curve, type CurveLine } from '../ui/curve'
import { Icon } from '../ui/icon'
import { Empty } from '../ui/notice'
import { Select } from '../ui/select'
import { Slider, Switch } from '../ui/toggles'
import { count, figure } from '../ui/words'
import type { NodeRun, RunState } from './reduce'
import { latest, lowest, type Series, smooth } from './series'
import type { NodeInfo } from './show'

/** Settings of the curves, kept by whoever shows them so that the tab bar can hold the controls. */
export type CurveSettings = { log: boolean; smoothing: number; table: boolean; node: string | null }
export const CURVE_DEFAULTS: CurveSettings = { log: true, smoothing: 0.6, table: false, node: null }

const hasCurves = (node: NodeRun | undefined) => (node?.series.steps.length ?? 0) > 0
export const curveNodes = (run: RunState, nodes: readonly NodeInfo[]) =>
  nodes.filter((node) => node.type.startsWith('train') || hasCurves(run.nodes[node.id]))

/** The one to show: what was chosen, else what trains now, else what has curves. */
export function curveNode(run: RunState, nodes: readonly NodeInfo[], chosen: string | null): NodeInfo | null {
  const able = curveNodes(run, nodes)
  return (
    able.find((n) => n.id === chosen) ??
    able.find((n) => run.nodes[n.id]?.status === 'running') ??
    able.find((n) => hasCurves(run.nodes[n.id])) ??
    able[0] ??
    null
  )
}

export function CurveControls({
  run,
  nodes,
  settings,
  onChange,
}: {
  run: RunState
  nodes: readonly NodeInfo[]
  settings: CurveSettings
  onChange: (next: CurveSettings) => void
}) {
  const able = curveNodes(run, nodes)
  const shown = curveNode(run, nodes, settings.node)
  return (
    <div className="row gap-4 text-12">
      {able.length > 1 && shown ? (
        <Select
          label="Node whose curves are shown"
          className="h-6 w-40 text-12"
          value={shown.id}
          onValueChange={(node) => onChange({ ...settings, node })}
          options={able.map((node) => ({ value: node.id, label: node.title }))}
        />
      ) : null}
      <span className="chart-key max-lg:hidden">
        <svg width="16" height="8" aria-hidden="true">
          <line x1="0" x2="16" y1="4" y2="4" stroke="var(--thaw)" strokeWidth="2" />
        </svg>
        Training
      </span>
      <span className="chart-key max-lg:hidden">
        <svg width="10" height="10" aria-hidden="true">
          <circle cx="5" cy="5" r="3.25" fill="var(--surface)" stroke="var(--ink)" strokeWidth="1.5" />
        </svg>
        Validation
      </span>
      <span className="row gap-2 max-md:hidden">
        <span className="text-ink-2">Smoothing</span>
        <span className="w-20">
          <Slider
            label="Smoothing"
            min={0}
            max={0.99}
            step={0.01}
            value={settings.smoothing}
            onValueChange={(smoothing) => onChange({ ...settings, smoothing })}
            format={(v) => v.toFixed(2)}
          />
        </span>
      </span>
      {/* biome-ignore lint/a11y/noLabelWithoutControl: the switch inside is the control */}
      <label className="row gap-2 text-ink-2">
        <Switch checked={settings.log} onCheckedChange={(log) => onChange({ ...settings, log })} />
        Log scale
      </label>
      <Button
        size="sm"
        variant="ghost"
        icon="table"
        aria-pressed={settings.table}
        onClick={() => onChange({ ...settings, table: !settings.table })}
      >
        Table
      </Button>
    </div>
  )
}

export function CurvesTab({ run, nodes, settings }: { run: RunState; nodes: readonly NodeInfo[]; settings: CurveSettings }) {
  const shown = curveNode(run, nodes, settings.node)
  const state = shown ? run.nodes[shown.id] : undefined
  if (!shown || !state || !hasCurves(state)) {
    return (
      <Empty icon="train" title={shown ? `${shown.title} has not taken a step yet` : 'Nothing in this run trains'}>
        {shown ? 'Its loss is drawn here from the first step on.' : 'A run with a Train node draws its loss here.'}
      </Empty>
    )
  }
  return settings.table ? (
    <StepTable series={state.series} title={shown.title} />
  ) : (
    <Curves state={state} title={shown.title} settings={settings} />
  )
}

function Curves({ state, title, settings }: { state: NodeRun; title: string; settings: CurveSettings }) {
  const { series } = state
  const live = state.status === 'running'
  const until = live && state.progress?.unit === 'steps' ? state.progress.total : undefined
  const rate = latest(series, 'learning_rate')
  const norm = latest(series, 'grad_norm')
  return (
    <div className="curves">
      <LossCurve series={series} title={title} live={live} until={until} log={settings.log} smoothing={settings.smoothing} />
      {series.columns.learning_rate ? (
        <SmallCurve
          title="Learning rate"
          value={rate ? figure(rate.value) : ''}
          series={series}
          name="learning_rate"
          until={until}
          label={`Learning rate, ${rate ? `${figure(rate.value)} at step ${rate.step}` : 'not known'}`}
        />
      ) : null}
      {series.columns.grad_norm ? (
        <SmallCurve
          title="Gradient norm"
          value={norm ? figure(norm.value) : ''}
          series={series}
          name="grad_norm"
          until={until}
          label={`Gradient norm, ${norm ? `${figure(norm.value)} at step ${norm.step}` : 'not known'}`}
        />
      ) : null}
      {PREFERENCE_CURVES.filter(({ name }) => series.columns[name]).map(({ name, title }) => {
        const last = latest(series, name)
        return (
          <SmallCurve
            key={name}
            title={title}
            value={last ? figure(last.value) : ''}
            series={series}
            name={name}
            until={until}
            label={`${title}, ${last ? `${figure(last.value)} at step ${last.step}` : 'not known'}`}
          />
        )
      })}
    </div>
  )
}

/** "Train: training loss 0.014 at step 38, lowest 0.013 at step 36; validation loss …" */
export function lossLabel(series: Series, title: string): string {
  const say = (name: string, words: string) => {
    const last = latest(series, name)
    const best = lowest(series, name)
    if (!last || !best) return null
    return `${words} ${figure(last.value)} at step ${last.step}${best.step === last.step ? ', its lowest' : `, lowest ${figure(best.value)} at step ${best.step}`}`
  }
  return `${title}: ${[say('loss', 'training loss'), say('eval_loss', 'validation loss')].filter(Boolean).join('; ') || 'no loss yet'}`
}

export function LossCurve({
  series,
  title,
  live,
  until,
  log,
  smoothing,
}: {
  series: Series
  title: string
  live: boolean
  until: number | undefined
  log: boolean
  smoothing: number
}) {
  const raw = series.columns.loss
  const lines = useMemo((): CurveLine[] => {
    const values = raw ?? []
    const validation = series.columns.eval_loss
    return [
      ...(smoothing > 0 ? [{ name: 'raw', values, look: 'raw' as const, color: 'thaw-fill' }] : []),
      { name: 'loss', values: smooth(values, smoothing), look: 'line', color: 'thaw', mark: true },
      ...(validation ? [{ name: 'validation', values: validation, look: 'rings' as const, color: 'ink' }] : []),
    ]
  }, [raw, series.columns.eval_loss, smoothing])
  return (
    <Curve
      steps={series.steps}
      lines={lines}
      until={until}
      live={live}
      log={log}
      sync="run"
      label={lossLabel(series, title)}
      format={figure}
    />
  )
}

function SmallCurve({
  title,
  value,
  series,
  name,
  until,
  label,
}: {
  title: string
  value: string
  series: Series
  name: string
  until: number | undefined
  label: string
}) {
  const values = series.columns[name]
  const lines = useMemo(
    (): CurveLine[] => [{ name: title.toLowerCase(), values: values ?? [], look: 'line', color: 'ink-2', mark: true }],
    [title, values],
  )
  return (
    <div className="small-curve">
      <div className="row text-12">
        <span className="text-ink-2">{title}</span>
        <span className="num ml-auto">{value}</span>
      </div>
      <Curve steps={series.steps} lines={lines} until={until} sync="run" label={label} format={figure} />
    </div>
  )
}

/** Of a training on preferences: by how much chosen answers lead, how often, and whether they themselves become likelier. */
const PREFERENCE_CURVES = [
  { name: 'rewards/margins', title: 'Margin' },
  { name: 'rewards/accuracies', title: 'Chosen preferred' },
  { name: 'logps/chosen', title: 'Log-probability of chosen' },
] as const

const TITLES: Record<string, string> = {
  loss: 'Loss',
  eval_loss: 'Validation loss',
  learning_rate: 'Learning rate',
  grad_norm: 'Gradient norm',
  epoch: 'Epoch',
  tokens_per_second: 'Tokens/s',
  num_tokens: 'Tokens',
  seconds: 'Seconds',
}
const FIRST = ['loss', 'eval_loss', 'learning_rate', 'grad_norm', 'epoch', 'tokens_per_second']
/** More rows than these are thinned: a table is for reading. */
const ROWS = 500

/** The same numbers as text (UX-133): newest first. */
function StepTable({ series, title }: { series: Series; title: string }) {
  const names = Object.keys(series.columns).sort((a, b) => (FIRST.indexOf(a) + 1 || 99) - (FIRST.indexOf(b) + 1 || 99))
  const every = Math.ceil(series.steps.length / ROWS)
  const rows = series.steps
    .map((step, i) => ({ step, i }))
    .filter(({ i }) => i % every === 0 || i === series.steps.length - 1 || series.columns.eval_loss?.[i] != null)
  return (
    <div className="h-full overflow-auto">
      <table className="tbl">
        <caption className="vh">Steps of {title}, newest first</caption>
        <thead className="sticky top-0 bg-surface">
          <tr>
            <th scope="col" className="r">
              Step
            </th>
            {names.map((name) => (
              <th key={name} scope="col" className="r">
                {TITLES[name] ?? name.replaceAll('_', ' ')}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.reverse().map(({ step, i }) => (
            <tr key={step}>
              <th scope="row" className="r">
                {count(step)}
              </th>
              {names.map((name) => {
                const value = series.columns[name]?.[i]
                return (
                  <td key={name} className="r">
                    {value === null || value === undefined ? '' : figure(value)}
                  </td>
                )
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {every > 1 ? (
        <p className="help row px-3 py-2">
          <Icon name="info" size={14} />
          Every {every}th step is shown, and every validation.
        </p>
      ) : null}
    </div>
  )
}
