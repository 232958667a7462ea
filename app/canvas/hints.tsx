'use client'
/**
 * Two hints after the first run of a template (UX-4); the one before it is "Press Run". Each is one line, shown once, and goes away by being
 * done: select a training node, open Rerun with new data. What was done is remembered in this browser.
 */
import { useEffect, useState } from 'react'
import { own } from '../../nodes/_kit/wires'
import { IconButton } from '../ui/button'
import { useEditor, useStores, useView } from './context'

const DONE = 'thaw:hints'
const HINTS = ['setting', 'rerun'] as const
type Hint = (typeof HINTS)[number]

function readDone(): Hint[] {
  try {
    const saved: unknown = JSON.parse(localStorage.getItem(DONE) ?? '[]')
    return Array.isArray(saved) ? HINTS.filter((hint) => saved.includes(hint)) : []
  } catch {
    return [] // A private window or damaged text: the hints are shown once more.
  }
}

/** @param ran a run of this pipeline has ended and none is on. */
export function Hints({ ran }: { ran: boolean }) {
  const { registry } = useStores()
  const [done, setDone] = useState(readDone)
  const training = useEditor((s) => s.selection.nodes.some((id) => own(registry, s.document.nodes[id]?.type ?? '')?.group === 'Training'))
  const title = useEditor((s) => {
    const id = Object.keys(s.document.nodes).find((node) => own(registry, s.document.nodes[node]?.type ?? '')?.group === 'Training')
    return id === undefined ? null : (s.document.layout.nodes[id]?.title ?? own(registry, s.document.nodes[id]?.type ?? '')?.title ?? null)
  })
  const rerun = useView((s) => s.open === 'rerun')
  const next = HINTS.find((hint) => !done.includes(hint))
  const met = ran && ((next === 'setting' && training) || (next === 'rerun' && rerun))
  const finish = (hint: Hint) =>
    setDone((old) => {
      const now = [...old, hint]
      try {
        localStorage.setItem(DONE, JSON.stringify(now))
      } catch {
        // Without storage a hint comes back at the next visit.
      }
      return now
    })
  // biome-ignore lint/correctness/useExhaustiveDependencies: `finish` is made anew each time and does the same
  useEffect(() => {
    if (met && next) finish(next)
  }, [met, next])
  if (!ran || !next || title === null) return null
  return (
    <p className="fresh hint-line">
      {next === 'setting'
        ? `Click ${title} to change a setting. Only what depends on it runs again.`
        : 'Now with your own data: Rerun with new data, in the menu beside Run.'}
      <IconButton icon="close" size="sm" label="Close this hint" tip={false} onClick={() => finish(next)} />
    </p>
  )
}
