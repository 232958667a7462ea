import { type Series, smooth, thin } from '../runs/series'

/**
 * The loss of a training in a few pixels (UX-67): warm line, ink rings for validation, room at the right for the steps to come.
 * Drawn on a log scale when all values are positive and span more than a factor of three. Nothing is drawn below two points.
 */
export function Sparkline({
  series,
  until,
  width = 198,
  height = 40,
  label,
}: {
  series: Series
  until?: number | undefined
  width?: number
  height?: number
  label: string
}) {
  const loss = thin(series.steps, smooth(series.columns.loss ?? [], 0.6), 190)
  if (loss.length < 2) return null
  const rings = thin(series.steps, series.columns.eval_loss ?? [], 24)
  const values = [...loss, ...rings].map((point) => point.value)
  const low = Math.min(...values)
  const high = Math.max(...values)
  const log = low > 0 && high / low > 3
  const f = log ? Math.log : (v: number) => v
  const span = f(high) - f(low) || 1
  const end = Math.max(until ?? 0, loss.at(-1)?.step ?? 1)
  const start = loss[0]?.step ?? 0
  const pad = 4
  const x = (step: number) => Number((((step - start) / Math.max(1, end - start)) * width).toFixed(1))
  const y = (value: number) => Number((pad + (1 - (f(value) - f(low)) / span) * (height - 2 * pad)).toFixed(1))
  const path = loss.map((point) => `${x(point.step)},${y(point.value)}`).join(' ')
  return (
    <svg className="spark" viewBox={`0 0 ${width} ${height}`} height={height} role="img" aria-label={label}>
      <line className="base" x1={0} x2={width} y1={height - 0.5} y2={height - 0.5} />
      <polygon className="area" points={`${x(start)},${height} ${path} ${x(loss.at(-1)?.step ?? start)},${height}`} />
      <polyline className="tr" points={path} />
      {rings.map((point) => (
        <circle key={point.step} className="va" cx={x(point.step)} cy={y(point.value)} r={2.4} />
      ))}
    </svg>
  )
}
