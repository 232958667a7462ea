'use client'
import { useEffect, useRef, useState } from 'react'
import type { RunState } from './reduce'
import type { NodeInfo } from './show'
import { announcement } from './tab-title'

/** A live region for the run that is shown (UX-132). */
export function RunAnnouncer({ run, nodes }: { run: RunState | null; nodes: readonly NodeInfo[] }) {
  const before = useRef<RunState | null>(null)
  const [text, setText] = useState('')
  useEffect(() => {
    if (run) {
      const said = announcement(before.current, run, (id) => nodes.find((node) => node.id === id)?.title ?? id)
      if (said !== null) setText(said)
    }
    before.current = run
  }, [run, nodes])
  return (
    <div className="vh" role="status" aria-live="polite">
      {text}
    </div>
  )
}
