'use client'
/** What the node is for, from its own help text, and the notes that lie on the canvas. */
import { Fragment, type ReactNode } from 'react'
import { own } from '../../nodes/_kit/wires'
import { Button } from '../ui/button'
import { useActions } from './actions-context'
import { useEditor, useStores } from './context'
import { placeOf } from './graph-queries'

/** The few marks that help texts and notes use: paragraphs, **bold**, *stress* and `code`. */
export function HelpText({ text }: { text: string }) {
  return text.split(/\n{2,}/).map((paragraph) => <p key={paragraph}>{inline(paragraph.trim())}</p>)
}

function inline(text: string): ReactNode {
  return text.split(/(\*\*[^*]+\*\*|\*[^*\s][^*]*\*|`[^`]+`)/).map((part, i) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a fixed text
    if (part.startsWith('**')) return <b key={i}>{part.slice(2, -2)}</b>
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a fixed text
    if (part.startsWith('`')) return <code key={i}>{part.slice(1, -1)}</code>
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a fixed text
    if (/^\*.+\*$/.test(part)) return <em key={i}>{part.slice(1, -1)}</em>
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a fixed text
    return <Fragment key={i}>{part}</Fragment>
  })
}

export function NodeNotes({ id }: { id: string }) {
  const { registry, editor } = useStores()
  const type = useEditor((s) => s.document.nodes[id]?.type ?? '')
  const def = own(registry, type)
  const actions = useActions()
  return (
    <div className="form prose">
      {def ? (
        <section aria-label="About this node">
          <h3 className="h-sec">About {def.title}</h3>
          <HelpText text={def.help} />
        </section>
      ) : null}
      <section aria-label="Notes">
        <h3 className="h-sec">Notes on the canvas</h3>
        <Button
          icon="note"
          size="sm"
          onClick={() => {
            const place = placeOf(editor.getState().document, id)
            actions.addNote({ x: place.x, y: place.y - 128 })
          }}
        >
          Add a note above this node
        </Button>
      </section>
    </div>
  )
}
