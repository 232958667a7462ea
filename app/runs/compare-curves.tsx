'use client'
import { useQueries } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { useTRPC } from '../trpc'
import { Curve, type CurveLine } from '../ui/curve'
import { Segmented, Slider, Switch } from '../ui/toggles'
import { figure } from '../ui/words'
import { RUN_LOOKS } from './compare'
import { type Point, RUN_ENDED } from './events'
import type { Snapshot } from './live'
import { RunKey } from './run-key'
import { addPoints, EMPTY_SERIES, latest, type Series, smooth } from './series'

type Axis = 'step' | 'time' | 'examples'
const POINTS = 2_000

/** The points of one run along another axis; time in seconds from its first step, examples in rows. Pure. */
export function along(series: Series, axis: Axis, rowsPerStep: number | null): Series {
  if (axis === 'step') return series
  const seconds = series.columns.seconds
  const rows = series.steps.flatMap((step, i) => {
    const at = axis === 'examples' ? (rowsPerStep === null ? null : step * rowsPerStep) : (seconds?.[i] ?? null)
    return at === null ? [] : [{ at: Math.round(at), i }]
  })
  return addPoints(
    EMPTY_SERIES,
    rows.map(({ at, i }) => ({
      step: at,
      ...Object.fromEntries(Object.entries(series.columns).flatMap(([name, values]) => (values[i] == null ? [] : [[name, values[i]]]))),
    })) as Parameters<typeof addPoints>[1],
  )
}

/** Several series on one axis: every x of any of them, null where a run has no point. Pure. */
export function merged(all: readonly Series[], name: string, weight: number): { steps: number[]; lines: (number | null)[][] } {
  const steps = [...new Set(all.flatMap((one) => one.steps))].sort((a, b) => a - b)
  const place = new Map(steps.map((step, i) => [step, i]))
  return {
    steps,
    lines: all.map((one) => {
      const line = new Array<number | null>(steps.length).fill(null)
      const values = smooth(one.columns[name] ?? [], weight)
      one.steps.forEach((step, i) => {
        const value = values[i]
        if (value !== null && value !== undefined) line[place.get(step) as number] = value
      })
      return line
    }),
  }
}

/** Losses of all runs with one cursor (UX-90). */
export function CompareCurves({ snapshots }: { snapshots: readonly Snapshot[] }) {
  const trpc = useTRPC()
  const [axis, setAxis] = useState<Axis>('step')
  const [log, setLog] = useState(true)
  const [smoothing, setSmoothing] = useState(0.6)
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set())
  const trainers = snapshots.map((one) => one.nodes.find((node) => node.type.startsWith('train')) ?? null)
  const queries = useQueries({
    queries: snapshots.map((one, i) => ({
      // A reused training has its points where it ran.
      ...trpc.runs.series.queryOptions({
        id: trainers[i]?.reusedFrom?.run ?? one.run.id,
        node: trainers[i]?.nodeId ?? '-',
        points: POINTS,
      }),
      enabled: trainers[i] !== null,
      refetchInterval: RUN_ENDED.has(one.run.status) ? (false as const) : 3_000,
    })),
  })
  const stamp = queries.map((query) => query.dataUpdatedAt).join(' ')
  // biome-ignore lint/correctness/useExhaustiveDependencies: `stamp` stands for what the queries hold
  const all = useMemo(
    () => queries.map((query, i) => along(addPoints(EMPTY_SERIES, pointsOf(query.data?.points)), axis, rowsPerStep(trainers[i]?.params))),
    [stamp, axis],
  )
  const known = all.some((one) => one.steps.length > 1)
  return (
    <section className="card compare-wide" aria-labelledby="cmp-curves">
      <div className="ph flex-wrap">
        <h2 id="cmp-curves">Loss</h2>
        <span className="row ml-auto flex-wrap gap-4 font-normal">
          <Segmented
            label="Along"
            value={axis}
            onValueChange={setAxis}
            items={[
              { value: 'step', label: 'Step' },
              { value: 'time', label: 'Time' },
              { value: 'examples', label: 'Examples' },
            ]}
          />
          {/* biome-ignore lint/a11y/noLabelWithoutControl: the switch inside is the control */}
          <label className="row gap-2 text-ink-2">
            <Switch checked={log} onCheckedChange={setLog} />
            Log
          </label>
          <span className="row gap-2">
            <span className="text-ink-2">Smooth</span>
            <span className="w-20">
              <Slider
                label="Smoothing"
                min={0}
                max={0.99}
                step={0.01}
                value={smoothing}
                onValueChange={setSmoothing}
                format={(v) => v.toFixed(2)}
              />
            </span>
          </span>
        </span>
      </div>
      {known ? (
        <div className="grid gap-2 p-4">
          <div className="row flex-wrap gap-3 text-12">
            {snapshots.map(({ run }, i) => (
              <button
                key={run.id}
                type="button"
                className={hidden.has(run.id) ? 'link row muted line-through' : 'link row'}
                aria-pressed={!hidden.has(run.id)}
                title={hidden.has(run.id) ? 'Show' : 'Hide; double-click shows it alone'}
                onClick={() => setHidden((now) => toggled(now, run.id))}
                onDoubleClick={() => setHidden(new Set(snapshots.map((one) => one.run.id).filter((id) => id !== run.id)))}
              >
                <RunKey index={i} number={run.number} />
              </button>
            ))}
            {axis === 'time' ? <span className="muted">seconds of training</span> : null}
            {axis === 'examples' ? <span className="muted">rows shown</span> : null}
          </div>
          <div className="compare-charts">
            {(['loss', 'eval_loss'] as const).map((name) =>
              all.some((one) => one.columns[name]) ? (
                <Chart
                  key={name}
                  name={name}
                  all={all}
                  snapshots={snapshots}
                  hidden={hidden}
                  log={log}
                  smoothing={name === 'loss' ? smoothing : 0}
                />
              ) : null,
            )}
          </div>
        </div>
      ) : (
        <p className="muted p-4">{queries.some((query) => query.isFetching) ? 'Reading the curves' : 'No training in these runs.'}</p>
      )}
    </section>
  )
}

function Chart({
  name,
  all,
  snapshots,
  hidden,
  log,
  smoothing,
}: {
  name: 'loss' | 'eval_loss'
  all: readonly Series[]
  snapshots: readonly Snapshot[]
  hidden: ReadonlySet<string>
  log: boolean
  smoothing: number
}) {
  const title = name === 'loss' ? 'Training loss' : 'Validation loss'
  const { steps, lines } = useMemo(() => {
    const smoothed = merged(all, name, smoothing)
    const raw = smoothing > 0 ? merged(all, name, 0) : null
    const drawn = snapshots.flatMap(({ run }, i): CurveLine[] => {
      if (hidden.has(run.id)) return []
      const look = RUN_LOOKS[i % RUN_LOOKS.length] ?? RUN_LOOKS[0]
      return [
        ...(raw ? [{ name: `raw ${run.number}`, values: raw.lines[i] ?? [], look: 'raw' as const, color: look.color }] : []),
        { name: `Run ${run.number}`, values: smoothed.lines[i] ?? [], look: 'line', color: look.color, dash: look.dash, mark: true },
      ]
    })
    return { steps: smoothed.steps, lines: drawn }
  }, [all, name, smoothing, snapshots, hidden])
  const label = `${title}: ${snapshots
    .map(({ run }, i) => {
      const last = latest(all[i] ?? EMPTY_SERIES, name)
      return last ? `run ${run.number} ${figure(last.value)}` : `run ${run.number} none`
    })
    .join(', ')}`
  return (
    <div>
      <h3 className="text-12 text-ink-2">{title}</h3>
      <div className="h-[220px]">
        <Curve steps={steps} lines={lines} log={log} sync="compare" label={label} format={figure} />
      </div>
    </div>
  )
}

const toggled = (set: ReadonlySet<string>, id: string): ReadonlySet<string> => {
  const next = new Set(set)
  if (!next.delete(id)) next.add(id)
  return next
}

const pointsOf = (points: readonly Record<string, unknown>[] | undefined) =>
  (points ?? []).flatMap((point) => (typeof point.step === 'number' ? [point as Point] : []))

/** Rows of one optimizer step; null where the node does not say. */
function rowsPerStep(params: Record<string, unknown> | undefined): number | null {
  const batch = params?.per_device_train_batch_size ?? params?.batch_size
  if (typeof batch !== 'number') return null
  const accumulated = params?.gradient_accumulation_steps
  return batch * (typeof accumulated === 'number' ? accumulated : 1)
}
