import type { ReactElement, ReactNode } from 'react'

const ring = <circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" strokeWidth="1.5" />
const line = (d: string) => <path d={d} fill="none" stroke="currentColor" strokeWidth="1.75" strokeLinecap="round" strokeLinejoin="round" />

/** Every state a node can show (UX-66): icon and word; the border is the card's affair. */
export const STATES = {
  notrun: { word: 'Not run', mark: ring },
  waiting: {
    word: 'Waiting',
    mark: (
      <circle
        cx="8"
        cy="8"
        r="5.25"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.75"
        strokeLinecap="round"
        strokeDasharray=".01 4.12"
      />
    ),
  },
  queued: {
    word: 'Queued',
    mark: (
      <>
        {ring}
        <path d="M8 8V3.4A4.6 4.6 0 0 1 12.6 8z" fill="currentColor" />
      </>
    ),
  },
  running: {
    word: 'Running',
    mark: (
      <>
        {ring}
        <path d="M8 3.2a4.8 4.8 0 0 1 0 9.6z" fill="currentColor" />
      </>
    ),
  },
  paused: { word: 'Paused', mark: line('M5.5 3.75v8.5M10.5 3.75v8.5') },
  done: { word: 'Done', mark: line('M3 8.4l3.2 3.2L13 4.6') },
  reused: { word: 'Reused', mark: line('M3.2 8a4.8 4.8 0 1 0 1.5-3.5M4.4 1.9v2.8h2.8') },
  pinned: {
    word: 'Pinned',
    mark: (
      <>
        {ring}
        <circle cx="8" cy="8" r="2" fill="currentColor" />
      </>
    ),
  },
  stale: { word: 'Stale', mark: line('M8 3 13.75 13H2.25z') },
  failed: { word: 'Failed', mark: line('M4 4l8 8M12 4l-8 8') },
  blocked: {
    word: 'Blocked',
    mark: (
      <>
        {ring}
        {line('M4.5 11.5l7-7')}
      </>
    ),
  },
  stopped: { word: 'Stopped', mark: <rect x="4" y="4" width="8" height="8" rx="1" fill="currentColor" /> },
  lost: { word: 'Lost', mark: line('M5.6 5.9c.1-1.5 1.1-2.3 2.5-2.3s2.4.9 2.4 2.1c0 1.8-2.4 1.9-2.4 3.8M8.1 12.4h.01') },
  cancelled: {
    word: 'Cancelled',
    mark: <rect x="3.75" y="3.75" width="8.5" height="8.5" rx="1.25" fill="none" stroke="currentColor" strokeWidth="1.5" />,
  },
  skipped: { word: 'Skipped', mark: line('M4 8h8') },
  disabled: {
    word: 'Disabled',
    mark: <circle cx="8" cy="8" r="5.25" fill="none" stroke="currentColor" strokeWidth="1.5" strokeDasharray="2 2.1" />,
  },
} as const satisfies Record<string, { word: string; mark: ReactElement }>
export type StateName = keyof typeof STATES

export function StateMark({ state, className }: { state: StateName; className?: string }) {
  return (
    <svg className={className ? `ic ${className}` : 'ic'} viewBox="0 0 16 16" aria-hidden="true">
      {STATES[state].mark}
    </svg>
  )
}

/**
 * Icon and words of a state. The words default to the state's own; give others where they say more ("63 %", "2 min 04 s", "run 14").
 * `training` makes a running state warm: only work that changes weights may be (D-7).
 */
export function State({ state, training = false, children }: { state: StateName; training?: boolean; children?: ReactNode }) {
  const word = STATES[state].word
  return (
    <span className={`state s-${state}${training && state === 'running' ? ' is-training' : ''}`}>
      <StateMark state={state} />
      {children === undefined ? (
        word
      ) : (
        <span>
          <span className="vh">{word}: </span>
          {children}
        </span>
      )}
    </span>
  )
}
