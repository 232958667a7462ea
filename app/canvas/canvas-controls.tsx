'use client'
/** Zoom, fit, bottom left (UX-11). */
import { useReactFlow, useStore } from '@xyflow/react'
import { IconButton } from '../ui/button'
import { percent } from '../ui/words'
import { useActions } from './actions-context'
import { sizeIn } from './sizes'

const MOTION = { duration: 200 }
export const FIT = { padding: 0.06, maxZoom: 1, ...MOTION }

export function CanvasControls() {
  const flow = useReactFlow()
  const actions = useActions()
  const tidy = () => {
    actions.tidy(sizeIn(flow))
    // A frame later, when the cards are where they belong.
    requestAnimationFrame(() => void flow.fitView(FIT))
  }
  const zoom = useStore((s) => Math.round(s.transform[2] * 100) / 100)
  return (
    <div className="ctrl" role="toolbar" aria-label="Canvas">
      <IconButton icon="minus" label="Zoom out" shortcut="−" tipSide="top" onClick={() => void flow.zoomOut(MOTION)} />
      <button type="button" className="z" aria-label={`Zoom ${percent(zoom)}, back to 100 %`} onClick={() => void flow.zoomTo(1, MOTION)}>
        {percent(zoom)}
      </button>
      <IconButton icon="plus" label="Zoom in" shortcut="+" tipSide="top" onClick={() => void flow.zoomIn(MOTION)} />
      <IconButton icon="tidy" label="Tidy up" shortcut="⇧L" tipSide="top" onClick={tidy} />
      <IconButton icon="fit" label="Fit everything" shortcut="1" tipSide="top" onClick={() => void flow.fitView(FIT)} />
    </div>
  )
}
