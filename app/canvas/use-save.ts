'use client'
import { useEffect, useRef, useState } from 'react'
import { faultOf } from '../fault'
import { useTRPCClient } from '../trpc'
import { useStores } from './context'
import { dropDraft, writeDraft } from './draft'
import { Saver, type SaveState, type Theirs } from './saver'

/** Autosave of the editor's document; `resolve` leaves a conflict. */
export function useSave(savedAt: Date | null): {
  state: SaveState
  flush: () => Promise<void>
  resolve: (how: 'mine' | 'theirs', theirs: Theirs) => void
} {
  const { editor } = useStores()
  const client = useTRPCClient()
  const [state, setState] = useState<SaveState>({ status: 'saved', at: savedAt })
  const saver = useRef<Saver | null>(null)
  // biome-ignore lint/correctness/useExhaustiveDependencies: `savedAt` is where the story starts, not a reason to start it again
  useEffect(() => {
    const { id } = editor.getState()
    const made = new Saver(
      {
        current: () => ({ document: editor.getState().document, revision: editor.getState().revision }),
        send: (document, revision) => client.pipelines.save.mutate({ id, document, revision }),
        onSaved: (revision) => editor.getState().setRevision(revision),
        onState: setState,
        keep: (document, revision) => writeDraft(id, { document, revision, at: Date.now() }),
        forget: () => dropDraft(id),
        messageOf: (error) => faultOf(error).message,
      },
      savedAt,
    )
    saver.current = made
    const stop = editor.subscribe((now, then) => {
      if (now.document !== then.document) made.changed()
    })
    // Going away with something unsaved: it lies in the browser already; this saves the 800 ms too.
    const leave = () => void made.flush()
    window.addEventListener('pagehide', leave)
    return () => {
      stop()
      made.stop()
      void made.flush()
      window.removeEventListener('pagehide', leave)
    }
  }, [editor, client])
  return {
    state,
    flush: async () => saver.current?.flush(),
    resolve(how, theirs) {
      if (how === 'theirs') editor.getState().load(theirs.document, theirs.revision)
      saver.current?.resolve(how, theirs)
    },
  }
}
