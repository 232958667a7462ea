'use client'
/** A note on the canvas: text without ports (UX-36). **Bold**, *stress* and `code` are drawn. It never makes anything stale (UX-49). */
import type { NodeProps } from '@xyflow/react'
import { memo, useState } from 'react'
import { useEditor, useStores } from './context'
import { HelpText } from './node-notes'

export const NoteCard = memo(function NoteCard({ id, selected }: NodeProps) {
  const { editor } = useStores()
  const note = useEditor((s) => s.document.notes.find((n) => `note:${n.id}` === id))
  const [draft, setDraft] = useState<string | null>(null)
  if (!note) return null
  const done = () => {
    const { document, apply } = editor.getState()
    if (draft !== null && draft !== note.text)
      apply(
        {
          kind: 'set-notes',
          notes: document.notes.flatMap((n) => (n.id === note.id ? (draft.trim() === '' ? [] : [{ ...n, text: draft }]) : [n])),
        },
        { label: 'edit note' },
      )
    setDraft(null)
  }
  return (
    <aside className={selected ? 'notecard sel' : 'notecard'} onDoubleClick={() => setDraft(note.text)}>
      {draft === null ? (
        <HelpText text={note.text} />
      ) : (
        <textarea
          className="nodrag nopan nowheel"
          aria-label="Note"
          // biome-ignore lint/a11y/noAutofocus: the person just asked to edit it
          autoFocus
          value={draft}
          onChange={(event) => setDraft(event.target.value)}
          onBlur={done}
          onKeyDown={(event) => {
            if (event.key === 'Escape') done()
            event.stopPropagation()
          }}
        />
      )}
    </aside>
  )
})
