'use client'
/**
 * A live line chart on uPlot (ux.md 3.2): 100,000 points are appended in a few milliseconds. What uPlot lacks is added here: a name and a
 * summary for screen readers, colours from the tokens that follow the theme (D-41), a read-out under the pointer, round grid values.
 */
import 'uplot/dist/uPlot.min.css'
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import { linearTicks, logTicks, spread } from './scale'
import { useTheme } from './theme'
import { tick } from './words'

export type CurveLine = {
  name: string
  values: readonly (number | null)[]
  /** `line`: 1.75 px. `raw`: thin and faint, behind. `rings`: points alone, for values that exist at some steps only. */
  look: 'line' | 'raw' | 'rings'
  /** Token without the dashes. */
  color: string
  dash?: readonly number[]
  /** The last point gets a dot (D-37). */
  mark?: boolean
}

export type CurveProps = {
  steps: readonly number[]
  lines: readonly CurveLine[]
  /** Right end of the x axis; the room after the last point is the run still to come. */
  until?: number | undefined
  /** Draws the dotted "now". */
  live?: boolean
  log?: boolean
  /** Charts of one name share their cursor. */
  sync?: string
  /** What a screen reader hears. */
  label: string
  format: (value: number) => string
  axisWidth?: number
  className?: string
}

const FONT = '11px "Inter Variable", Inter, system-ui, sans-serif'
const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
const positive = (values: readonly (number | null)[]) => values.map((value) => (value !== null && value > 0 ? value : null))

function dataOf({ steps, lines, log }: CurveProps): uPlot.AlignedData {
  return [steps as number[], ...lines.map((line) => (log ? positive(line.values) : (line.values as (number | null)[])))]
}

function valueRange(props: CurveProps): [number, number] {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  // The faint raw line may leave the frame where it is only noise around a smoothed one.
  const shown = props.lines.filter((line) => line.look !== 'raw')
  for (const line of shown.length ? shown : props.lines) {
    for (const value of line.values) {
      if (value === null || (props.log && value <= 0)) continue
      if (value < min) min = value
      if (value > max) max = value
    }
  }
  return spread(min, max, props.log ?? false)
}

/** Rings of validation, the dot on the last value, the dotted line at now: drawn after uPlot's own lines. */
function drawMarks(u: uPlot, props: CurveProps) {
  const { ctx } = u
  const ratio = devicePixelRatio
  const last = props.steps.at(-1)
  const { top, height, left, width } = u.bbox
  ctx.save()
  if (props.live && last !== undefined) {
    const x = u.valToPos(last, 'x', true)
    ctx.strokeStyle = token('ink-3')
    ctx.lineWidth = 1.5 * ratio
    ctx.setLineDash([1.5 * ratio, 3 * ratio])
    ctx.beginPath()
    ctx.moveTo(x, top)
    ctx.lineTo(x, top + height)
    ctx.stroke()
    ctx.setLineDash([])
  }
  // Marks lie over the edge of the plot, not half behind it.
  ctx.beginPath()
  ctx.rect(left - 6 * ratio, top - 6 * ratio, width + 12 * ratio, height + 12 * ratio)
  ctx.clip()
  for (const line of props.lines) {
    const dot = (i: number, radius: number, fill: string, stroke: string, lineWidth: number) => {
      const value = line.values[i]
      const step = props.steps[i]
      if (value === null || value === undefined || step === undefined || (props.log && value <= 0)) return
      ctx.beginPath()
      ctx.arc(u.valToPos(step, 'x', true), u.valToPos(value, 'y', true), radius * ratio, 0, 2 * Math.PI)
      ctx.fillStyle = fill
      ctx.fill()
      if (lineWidth > 0) {
        ctx.strokeStyle = stroke
        ctx.lineWidth = lineWidth * ratio
        ctx.stroke()
      }
    }
    if (line.look === 'rings') {
      const surface = token('surface')
      const color = token(line.color)
      for (let i = 0; i < line.values.length; i++) dot(i, 3.25, surface, color, 1.5)
    } else if (line.mark) {
      let i = line.values.length - 1
      while (i >= 0 && line.values[i] === null) i--
      dot(i, 4, token(line.color), token('surface'), 1.5)
    }
  }
  ctx.restore()
}

function makeOptions(get: () => CurveProps, width: number, height: number, readout: HTMLElement): uPlot.Options {
  const first = get()
  return {
    width,
    height,
    padding: [8, 10, 0, 0],
    legend: { show: false },
    cursor: {
      points: { size: 7, width: 1.5, stroke: (_, i) => token(get().lines[i - 1]?.color ?? 'ink'), fill: () => token('surface') },
      x: true,
      y: false,
      drag: { setScale: false, x: false, y: false },
      ...(first.sync && { sync: { key: first.sync } }),
    },
    scales: {
      x: {
        time: false,
        range: (_, min, max) => {
          const { until } = get()
          const low = Math.min(min ?? 0, 0)
          const high = Math.max(until ?? 0, max ?? 1, low + 1)
          return [low, high]
        },
      },
      y: { distr: first.log ? 3 : 1, range: () => valueRange(get()) },
    },
    axes: [
      {
        stroke: () => token('ink-3'),
        font: FONT,
        size: 24,
        gap: 5,
        grid: { show: false },
        ticks: { show: false },
        splits: (_u, _i, min, max) => linearTicks(min, max, Math.max(2, Math.floor(width / 70))).filter(Number.isInteger),
        values: (_u, ticks) => ticks.map((step) => step.toLocaleString('en-US')),
      },
      {
        stroke: () => token('ink-3'),
        font: FONT,
        size: first.axisWidth ?? 44,
        gap: 6,
        grid: { stroke: () => token('line'), width: 1 },
        ticks: { show: false },
        splits: (_u, _i, min, max) => (get().log ? logTicks(min, max, height < 110 ? 4 : 5) : linearTicks(min, max, height < 110 ? 3 : 4)),
        filter: (_u, ticks) => ticks,
        values: (_u, ticks) => ticks.map(tick),
      },
    ],
    series: [
      {},
      ...first.lines.map(
        (line, i): uPlot.Series => ({
          label: line.name,
          stroke: () => token(get().lines[i]?.color ?? 'ink'),
          width: line.look === 'raw' ? 1 : 1.75,
          alpha: line.look === 'raw' ? 0.5 : 1,
          ...(line.dash && { dash: [...line.dash] }),
          ...(line.look === 'rings' && { paths: () => null }),
          points: { show: false },
          spanGaps: true,
        }),
      ),
    ],
    hooks: {
      draw: [(u) => drawMarks(u, get())],
      setCursor: [(u) => writeReadout(u, get(), readout)],
    },
  }
}

/** The values under the pointer, as text in the corner: nothing covers the curve. */
function writeReadout(u: uPlot, props: CurveProps, readout: HTMLElement) {
  const i = u.cursor.idx
  const step = i === null || i === undefined ? undefined : props.steps[i]
  if (step === undefined || (u.cursor.left ?? -1) < 0) {
    readout.replaceChildren()
    return
  }
  const parts = [`step ${step.toLocaleString('en-US')}`]
  for (const line of props.lines) {
    const value = line.values[i as number]
    if (value !== null && value !== undefined) parts.push(`${line.name} ${props.format(value)}`)
  }
  readout.textContent = parts.join('   ')
}

export function Curve(props: CurveProps) {
  const host = useRef<HTMLDivElement>(null)
  const readout = useRef<HTMLSpanElement>(null)
  const plot = useRef<uPlot | null>(null)
  const latest = useRef(props)
  latest.current = props
  const theme = useTheme()
  // A changed shape (other lines, other scale) needs a new chart; new points do not.
  const shape = JSON.stringify([props.log, props.sync, props.axisWidth, props.lines.map((line) => [line.name, line.look, line.dash])])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for the props that the chart is built from
  useEffect(() => {
    const element = host.current
    const text = readout.current
    if (!element || !text) return
    const size = () => ({ width: Math.max(80, element.clientWidth), height: Math.max(60, element.clientHeight) })
    const { width, height } = size()
    const u = new uPlot(
      makeOptions(() => latest.current, width, height, text),
      dataOf(latest.current),
      element,
    )
    plot.current = u
    const observer = new ResizeObserver(() => u.setSize(size()))
    observer.observe(element)
    return () => {
      observer.disconnect()
      plot.current = null
      u.destroy()
    }
  }, [shape])

  useEffect(() => {
    plot.current?.setData(dataOf(props))
  })

  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours are read anew while drawing
  useEffect(() => {
    plot.current?.redraw(false, true)
  }, [theme])

  return (
    <div className={props.className ? `curve ${props.className}` : 'curve'}>
      <div ref={host} className="curve-plot" role="img" aria-label={props.label} />
      <span ref={readout} className="curve-readout" aria-hidden="true" />
    </div>
  )
}
