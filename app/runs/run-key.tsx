import { RUN_LOOKS } from './compare'

/** The line by which a run is known in every part of the page (D-13). */
export function RunKey({ index, number }: { index: number; number: number }) {
  const look = RUN_LOOKS[index % RUN_LOOKS.length] ?? RUN_LOOKS[0]
  return (
    <span className="row gap-1.5">
      <svg width="22" height="10" aria-hidden="true">
        <line x1="1" x2="21" y1="5" y2="5" stroke={`var(--${look.color})`} strokeWidth="2.25" strokeDasharray={look.dash.join(' ')} />
      </svg>
      Run {number}
    </span>
  )
}
