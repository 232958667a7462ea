'use client'
/** Why a wire was refused, at the place where it was dropped, with the repair where one exists (UX-26). */
import { useEffect, useState } from 'react'
import { PortMark } from '../ui/port-mark'
import { useActions } from './actions-context'
import { useStores, useView } from './context'

/** Three seconds to read a reason; longer where there is a button to reach. */
const SHOWN_MS = { reason: 3_000, fix: 8_000 }

/** As wide as the style sheet lets it become. */
const BUBBLE = 320

export function RefusalBubble() {
  const { view } = useStores()
  const actions = useActions()
  const refusal = useView((s) => s.refusal)
  const [held, setHeld] = useState(false)
  useEffect(() => {
    if (!refusal || held) return
    const timer = setTimeout(() => view.getState().set({ refusal: null }), refusal.fix ? SHOWN_MS.fix : SHOWN_MS.reason)
    return () => clearTimeout(timer)
  }, [refusal, held, view])
  if (!refusal) return null
  const { fix } = refusal
  const width = document.querySelector('[data-canvas]')?.clientWidth ?? 1000
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: hovering only keeps it open
    <div
      className="pop bubble"
      style={{ left: Math.max(8, Math.min(refusal.at.x + 14, width - BUBBLE - 8)), top: Math.max(8, refusal.at.y + 14) }}
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
      onFocus={() => setHeld(true)}
      onBlur={() => setHeld(false)}
    >
      <p>
        {refusal.kind ? <PortMark kind={refusal.kind} size={10} /> : null}
        {refusal.reason}
      </p>
      {fix ? (
        <button type="button" className="btn sm" onClick={() => actions.fix(fix)}>
          {fix.label}
        </button>
      ) : null}
    </div>
  )
}
