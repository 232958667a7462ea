'use client'
/** A note on the canvas: text without ports (UX-36). **Bold**, *stress* and `code` are drawn. It never makes anything stale (UX-49). */
import type { NodeProps } from '@xyflow/react'
import { memo, useEffect, useState } from 'react'
import { useEditor, useStores, useView } from './context'
import { HelpText } from './node-notes'

export const NoteCard = memo(function NoteCard({ id, selected }: NodeProps) {
  const { editor, view } = useStores()
  const writing = useView((s) => `note:${s.writing}` === id)
  const note = useEditor((s) => s.document.notes.find((n) => `note:${n.id}` === id))
  const [draft, setDraft] = useState<string | null>(null)
  // A note that was just added is written at once.
  useEffect(() => {
    if (!writing) return
    setDraft('')
    view.getState().set({ writing: null })
  }, [writing, view])
  if (!note) return null
  const done = () => {
    const { document, apply } = editor.getState()
    if (draft !== null && (draft !== note.text || draft === ''))
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
    // Not an <aside>: several of one name would be landmarks that nobody can tell apart.
    <div role="note" className={selected ? 'notecard sel' : 'notecard'} onDoubleClick={() => setDraft(note.text)}>
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
    </div>
  )
})
