/** The small loss curve on a card (UX-67, D-37): a warm line, ink rings for validation, room at the right for the steps to come. */
import { memo } from 'react'
import { type Series, thin } from '../runs/series'
import { figure } from '../ui/words'

const WIDTH = 196
const HEIGHT = 36
const PAD = 3

export const Sparkline = memo(function Sparkline({ series, total }: { series: Series; total: number }) {
  const line = thin(series.steps, series.columns.loss ?? [], 190)
  const rings = thin(series.steps, series.columns.eval_loss ?? [], 40)
  const values = [...line, ...rings].map((p) => p.value).filter((v) => v > 0)
  if (line.length < 2 || values.length < 2) return <div style={{ height: HEIGHT }} />
  const [low, high] = [Math.log(Math.min(...values)), Math.log(Math.max(...values))]
  const end = Math.max(total, line.at(-1)?.step ?? 1, 1)
  const x = (step: number) => (WIDTH * step) / end
  const y = (value: number) => PAD + (HEIGHT - 2 * PAD) * (1 - (Math.log(Math.max(value, 1e-12)) - low) / Math.max(high - low, 1e-6))
  const points = line.map((p) => `${x(p.step).toFixed(1)} ${y(p.value).toFixed(1)}`)
  const first = line[0]
  const last = line.at(-1)
  return (
    <svg
      className="spark"
      width={WIDTH}
      height={HEIGHT}
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Loss from ${figure(first?.value ?? 0)} to ${figure(last?.value ?? 0)} at step ${last?.step ?? 0}`}
    >
      <path
        className="area"
        d={`M${x(first?.step ?? 0).toFixed(1)} ${HEIGHT}L${points.join('L')}L${x(last?.step ?? 0).toFixed(1)} ${HEIGHT}Z`}
      />
      <path className="line" d={`M${points.join('L')}`} />
      {rings.map((p) => (
        <circle key={p.step} className="ring" cx={x(p.step)} cy={y(p.value)} r={2} />
      ))}
    </svg>
  )
})
