'use client'
import { useEffect } from 'react'
import { percent } from '../ui/words'
import { type RunState, runShare } from './reduce'

const MARKS: Partial<Record<RunState['status'], string>> = { succeeded: '✓', failed: '✕', stopped: '■', paused: '‖' }

/** "61 % · Contract fields" while it runs, with a mark once it ended (UX-80). Pure. */
export function titleOf(run: RunState | null | undefined, name: string): string {
  if (!run) return name
  const share = run.status === 'running' ? runShare(run) : null
  if (share !== null) return `${percent(share)} · ${name}`
  const mark = MARKS[run.status]
  return mark ? `${mark} ${name}` : name
}

/** The ring that a tab's icon becomes while a run is on; drawn as a picture, so it has to bring its colours along. */
export function faviconOf(share: number | null, failed: boolean): string {
  const at = Math.max(0.02, Math.min(1, share ?? 1)) * 37.7
  const color = failed ? '#be1e4b' : '#f07c45'
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="none" stroke="#c5cdd6" stroke-width="3"/><circle cx="8" cy="8" r="6" fill="none" stroke="${color}" stroke-width="3" stroke-dasharray="${at.toFixed(1)} 40" transform="rotate(-90 8 8)"/></svg>`
  return `data:image/svg+xml,${encodeURIComponent(svg)}`
}

/** Puts the run's progress into the tab's title and icon for as long as this is mounted. */
export function useTabTitle(run: RunState | null | undefined, name: string) {
  const title = titleOf(run, name)
  useEffect(() => {
    const before = document.title
    document.title = `${title} · Thaw`
    return () => {
      document.title = before
    }
  }, [title])
  // Steps of 2 %: a new icon is a new request to the browser's icon store.
  const share = run?.status === 'running' ? Math.round((runShare(run) ?? 0) * 50) / 50 : null
  const failed = run?.status === 'failed'
  useEffect(() => {
    if (share === null && !failed) return
    const link = document.querySelector<HTMLLinkElement>('link[rel~="icon"]')
    if (!link) return
    const before = link.href
    link.href = faviconOf(share, failed)
    return () => {
      link.href = before
    }
  }, [share, failed])
}

/** Says what a person must not miss without looking (UX-132): start, each node's end, quarters, failure; never each point. */
export function announcement(before: RunState | null, run: RunState, title: (node: string) => string): string | null {
  if (before === null || before.id !== run.id) return null
  if (before.status !== run.status) {
    if (run.status === 'running' && before.status === 'queued') return 'The run has started'
    if (run.status === 'succeeded') return 'The run is done'
    if (run.status === 'failed') return 'The run failed'
    if (run.status === 'stopped') return 'The run has stopped'
  }
  for (const [id, node] of Object.entries(run.nodes)) {
    const was = before.nodes[id]
    if (!was) continue
    if (was.status !== node.status) {
      if (node.status === 'done') return `${title(id)} is done`
      if (node.status === 'failed') return `${title(id)} failed: ${node.error?.message ?? ''}`
    }
    const quarter = (n: typeof node) =>
      n.status === 'running' && n.progress && n.progress.total > 0 ? Math.floor((4 * n.progress.done) / n.progress.total) : null
    const now = quarter(node)
    const then = quarter(was)
    if (now !== null && then !== null && now > then && now < 4) return `${title(id)} ${now * 25} %`
  }
  return null
}
