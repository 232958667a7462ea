import type { Score } from './scores'

/** Grey bar for the interval, ink dot for the value, a tick where it was before training (D-38). Its numbers stand beside it. */
export function Interval({ score, width = 72 }: { score: Score; width?: number }) {
  if (!score.interval || score.after === null) return null
  const [low, high] = score.interval
  return (
    <span className="interval" style={{ width }} aria-hidden="true">
      <i style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />
      {score.before === null ? null : <s style={{ left: `${score.before * 100}%` }} />}
      <b style={{ left: `${score.after * 100}%` }} />
    </span>
  )
}
