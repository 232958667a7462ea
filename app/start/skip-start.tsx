'use client'
import { useState, useSyncExternalStore } from 'react'
import { Checkbox } from '../ui/toggles'

const KEY = 'thaw.skip-start'
const nothing = () => () => {}
const stored = () => {
  try {
    return localStorage.getItem(KEY) === '1'
  } catch {
    // Storage may be switched off; the page is then shown.
    return false
  }
}

/**
 * Whether this visit goes straight to the newest pipeline (UX-1): only when Thaw is being opened, never when somebody comes back to this page
 * from within, which would lock them out of it.
 */
export function readSkipStart(): boolean {
  const cameFromWithin = document.referrer.startsWith(location.origin) || history.length > 1
  return stored() && !cameFromWithin && !location.search.includes('start')
}

/** "Don't show at start", kept in this browser. */
export function SkipStart() {
  const initial = useSyncExternalStore(nothing, stored, () => false)
  const [choice, setChoice] = useState<boolean | null>(null)
  return (
    <span className="ml-auto">
      <Checkbox
        checked={choice ?? initial}
        onCheckedChange={(checked) => {
          setChoice(checked)
          try {
            localStorage.setItem(KEY, checked ? '1' : '0')
          } catch {
            // Then the choice lasts as long as the page.
          }
        }}
      >
        Don’t show at start
      </Checkbox>
    </span>
  )
}
