/** The words of a plan (R-54: "code + values, worded in one place"). Reasons are data; what people read is made here and nowhere else. */
import { show } from './problems'

export const PLAN_ACTIONS = ['reuse', 'run', 'continue', 'blocked'] as const
export type PlanAction = (typeof PLAN_ACTIONS)[number]

/** `node` is the node at the root of the reason, so that the interface can walk to it (R-55). */
export type ReasonData =
  // reuse
  | { code: 'same-recipe'; node: string; run: number; madeOn?: string }
  | { code: 'pinned'; node: string; run: number }
  | { code: 'same-content'; node: string; run: number }
  // run
  | { code: 'never-run'; node: string }
  | { code: 'param-changed'; node: string; param: string; old: unknown; new: unknown }
  | { code: 'input-changed'; node: string; port: string }
  | { code: 'code-changed'; node: string }
  | { code: 'source-changed'; node: string; source: string }
  | { code: 'upstream-runs'; node: string }
  | { code: 'artifact-missing'; node: string; run: number }
  | { code: 'artifact-corrupt'; node: string; run: number }
  | { code: 'volatile'; node: string }
  | { code: 'invalidated'; node: string; run: number }
  | { code: 'forced'; node: string }
  // continue
  | { code: 'more-epochs'; node: string; param: string; old: unknown; new: unknown; step: number }
  | { code: 'interrupted'; node: string; step: number }
  // blocked
  | { code: 'invalid-param'; node: string; param?: string; message: string }
  | { code: 'missing-input'; node: string; message: string }
  | { code: 'unknown-type'; node: string; message: string }
  | { code: 'source-missing'; node: string; source?: string; message?: string }
  | { code: 'cycle'; node: string; nodes: readonly string[]; message: string }
  | { code: 'upstream-blocked'; node: string }
  | { code: 'no-space'; node: string; needed: number; free: number }
  | { code: 'no-worker'; node: string; resource: string }
  | { code: 'little-memory'; node: string; needed: number; there: number }
export type ReasonCode = ReasonData['code']
export type Reason = ReasonData & { text: string }

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'] as const
export function bytesText(bytes: number): string {
  let value = Math.max(0, bytes)
  let unit = 0
  while (value >= 1_000 && unit < UNITS.length - 1) {
    value /= 1_000
    unit++
  }
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`
}

export function secondsText(seconds: number): string {
  if (seconds < 1) return 'under 1 s'
  if (seconds < 90) return `${Math.round(seconds)} s`
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`
  if (seconds < 48 * 3_600) return `${Math.round(seconds / 3_600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

/** One sentence for one reason. `title` names a node for people. */
export function reasonText(reason: ReasonData, title: (node: string) => string): string {
  switch (reason.code) {
    case 'same-recipe':
      return `Same as in run ${reason.run}.${reason.madeOn ? ` Made on ${reason.madeOn}.` : ''}`
    case 'pinned':
      return `Pinned to the output of run ${reason.run}.`
    case 'same-content':
      return `Its inputs came out the same as in run ${reason.run}.`
    case 'never-run':
      return 'Has no result yet.'
    case 'param-changed':
      return `${reason.param} changed from ${show(reason.old)} to ${show(reason.new)}.`
    case 'input-changed':
      return `What ${title(reason.node)} gives at ${reason.port} changed.`
    case 'code-changed':
      return "This node's code changed."
    case 'source-changed':
      return `The content of ${reason.source} changed.`
    case 'upstream-runs':
      return `${title(reason.node)} runs first; may still be reused.`
    case 'artifact-missing':
      return `The output of run ${reason.run} is no longer stored.`
    case 'artifact-corrupt':
      return `The stored output of run ${reason.run} is damaged.`
    case 'volatile':
      return 'Always runs.'
    case 'invalidated':
      return `The result of run ${reason.run} was discarded.`
    case 'forced':
      return 'Asked to run again.'
    case 'more-epochs':
      return `${reason.param} grew from ${show(reason.old)} to ${show(reason.new)}; continues from step ${reason.step}.`
    case 'interrupted':
      return `Was interrupted; continues from step ${reason.step}.`
    case 'invalid-param':
    case 'missing-input':
    case 'unknown-type':
    case 'cycle':
      return reason.message
    case 'source-missing':
      return reason.message ?? `${reason.source} was not found.`
    case 'upstream-blocked':
      return `${title(reason.node)} cannot run.`
    case 'no-space':
      return `Needs ${bytesText(reason.needed * 1.2)} of disk space; ${bytesText(reason.free)} is free.`
    case 'little-memory':
      return `Needs about ${bytesText(reason.needed)} of memory; this machine has ${bytesText(reason.there)}. A smaller batch, shorter rows or fewer open layers need less.`
    case 'no-worker':
      return `No worker that serves "${reason.resource}" is alive.`
  }
}

/** "4 nodes run, 2 reused · about 2 min · needs 1.2 GB · writes 180 MB" (UX-55). */
export function planSummary(totals: {
  run: number
  continue: number
  reuse: number
  blocked: number
  seconds: number
  memoryBytes: number
  diskBytes: number
  /** Memory of the machine; null when unknown. */
  memoryThere?: number | null
}): string {
  const nodes = (count: number) => `${count} ${count === 1 ? 'node' : 'nodes'}`
  const counts: string[] = []
  if (totals.run > 0) counts.push(`${nodes(totals.run)} run`)
  if (totals.continue > 0) counts.push(`${counts.length > 0 ? totals.continue : nodes(totals.continue)} continued`)
  if (totals.reuse > 0) counts.push(`${counts.length > 0 ? totals.reuse : nodes(totals.reuse)} reused`)
  if (totals.blocked > 0) counts.push(`${counts.length > 0 ? totals.blocked : nodes(totals.blocked)} blocked`)
  const parts = [counts.join(', ') || 'nothing to do']
  if (totals.seconds > 0) parts.push(`about ${secondsText(totals.seconds)}`)
  const there = totals.memoryThere ?? Number.POSITIVE_INFINITY
  if (totals.memoryBytes > 0)
    parts.push(`needs ${bytesText(totals.memoryBytes)}${totals.memoryBytes > there ? ` of ${bytesText(there)} there` : ''}`)
  if (totals.diskBytes > 0) parts.push(`writes ${bytesText(totals.diskBytes)}`)
  return parts.join(' · ')
}
