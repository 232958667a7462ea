'use client'
/** What the editor may ask of the run it shows. States and numbers come from the run store (`app/runs/store.ts`). */
import { createContext, useContext } from 'react'

export type RunTarget =
  | { readonly kind: 'all' }
  | { readonly kind: 'to'; readonly node: string }
  | { readonly kind: 'only'; readonly nodes: readonly string[] }

export type RunLink = {
  /** The shown run; null before the first. */
  readonly run: string | null
  /** Number people know the shown run by; null before the first. */
  readonly number: number | null
  /** It still works, or is about to. */
  readonly active: boolean
  start(target: RunTarget): void
  stop(how: 'keep' | 'now'): void
  resume(): void
}

const idle: RunLink = { run: null, number: null, active: false, start: () => undefined, stop: () => undefined, resume: () => undefined }
export const RunLinkContext = createContext<RunLink>(idle)
export const useRunLink = (): RunLink => useContext(RunLinkContext)
