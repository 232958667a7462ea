'use client'
/** What a blank pipeline shows (UX-5): the next action, and that a file may be dropped. */
import { useReactFlow } from '@xyflow/react'
import { Button } from '../ui/button'
import { useEditor, useStores, useView } from './context'

export function EmptyCanvas() {
  const { view } = useStores()
  const flow = useReactFlow()
  const blank = useEditor((s) => Object.keys(s.document.nodes).length === 0 && s.document.notes.length === 0)
  const adding = useView((s) => s.quickAdd !== null)
  if (!blank || adding) return null
  return (
    <div className="blank">
      <Button
        variant="primary"
        size="lg"
        icon="plus"
        onClick={(event) => {
          const frame = event.currentTarget.closest('[data-canvas]')?.getBoundingClientRect()
          const centre = { x: (frame?.left ?? 0) + (frame?.width ?? 0) / 2, y: (frame?.top ?? 0) + (frame?.height ?? 0) / 2 }
          view.getState().set({
            quickAdd: {
              at: { x: centre.x - (frame?.left ?? 0) - 136, y: centre.y - (frame?.top ?? 0) - 160 },
              place: flow.screenToFlowPosition({ x: centre.x - 112, y: centre.y - 80 }),
            },
          })
        }}
      >
        Add first node
      </Button>
      <p>or drop a .jsonl, .csv or .txt file here</p>
    </div>
  )
}
