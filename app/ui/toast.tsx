'use client'
import { create } from 'zustand'

type Entry = { id: number; text: string; action?: { label: string; onPress: () => void } }
const SHOWN_AT_ONCE = 3

/*
 * Our own and not sonner: that package inserts a <style> element without a nonce, which the strict CSP (SEC-14) refuses, and it costs
 * 9.5 kB on the start page for what these lines do.
 */
const useToasts = create<{ entries: readonly Entry[] }>(() => ({ entries: [] }))
const timers = new Map<number, ReturnType<typeof setTimeout>>()
let last = 0

function dismiss(id: number) {
  clearTimeout(timers.get(id))
  timers.delete(id)
  useToasts.setState(({ entries }) => ({ entries: entries.filter((entry) => entry.id !== id) }))
}

function arm(id: number, seconds: number) {
  clearTimeout(timers.get(id))
  timers.set(
    id,
    setTimeout(() => dismiss(id), seconds * 1000),
  )
}

/**
 * Says what was done, with Undo where there is one (D-50). Errors never live here alone (UX-86): show them at their place first.
 * Returns a function that takes the toast away again.
 */
export function toast(text: string, action?: { label: string; onPress: () => void }, seconds = 6): () => void {
  last += 1
  const id = last
  useToasts.setState(({ entries }) => ({ entries: [...entries, { id, text, ...(action && { action }) }].slice(-SHOWN_AT_ONCE) }))
  arm(id, seconds)
  return () => dismiss(id)
}

/**
 * Bottom left, above the run panel, so that it covers neither that nor Run nor Stop (UX-17): the editor sets `--toast-left` and
 * `--toast-bottom` on <html> to what its panels take. A toast waits while the pointer or the focus is in it.
 */
export function Toaster() {
  const entries = useToasts((state) => state.entries)
  return (
    <div className="toasts" role="status" aria-live="polite">
      {entries.map((entry) => (
        // biome-ignore lint/a11y/noStaticElementInteractions: hovering only keeps it open; the button inside is the control
        <div
          key={entry.id}
          className="toast"
          onPointerEnter={() => clearTimeout(timers.get(entry.id))}
          onPointerLeave={() => arm(entry.id, 3)}
          onFocus={() => clearTimeout(timers.get(entry.id))}
          onBlur={() => arm(entry.id, 3)}
        >
          <span>{entry.text}</span>
          {entry.action ? (
            <button
              type="button"
              onClick={() => {
                entry.action?.onPress()
                dismiss(entry.id)
              }}
            >
              {entry.action.label}
            </button>
          ) : null}
        </div>
      ))}
    </div>
  )
}
