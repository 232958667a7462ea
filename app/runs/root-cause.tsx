'use client'
import { useState } from 'react'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { plural } from '../ui/words'
import type { RunActions } from './actions'
import { NODE_ENDED } from './events'
import type { RunState } from './reduce'
import { resumeStep, resumeWords } from './run-buttons'
import type { NodeInfo } from './show'

/** The failed node that ended first: the others may only be its consequence (R-51). */
export function rootCause(run: RunState): string | null {
  const failed = Object.entries(run.nodes).filter(([, node]) => node.status === 'failed')
  failed.sort(([, a], [, b]) => (a.endedAt ?? '').localeCompare(b.endedAt ?? ''))
  return failed[0]?.[0] ?? null
}

/** One card names the failing node, the error, the last good checkpoint, what was held back, and what helps (UX-74, UX-85, UX-87). */
export function RootCause({
  run,
  nodes,
  number,
  actions,
  onSelect,
}: {
  run: RunState
  nodes: readonly NodeInfo[]
  number: number
  actions: RunActions | null
  onSelect?: ((id: string) => void) | undefined
}) {
  const [open, setOpen] = useState(false)
  const [copied, setCopied] = useState(false)
  const id = rootCause(run)
  const node = id === null ? undefined : run.nodes[id]
  const error = node?.error
  if (id === null || !node || !error) return null
  const title = (which: string) => nodes.find((info) => info.id === which)?.title ?? which
  const skipped = Object.entries(run.nodes).filter(([, other]) => other.status === 'skipped')
  const fine = Object.values(run.nodes).filter((other) => other.status === 'done' || other.status === 'reused').length
  const also = Object.entries(run.nodes).filter(([which, other]) => which !== id && other.status === 'failed')
  const checkpoint = node.checkpoints.at(-1)
  const last = node.series.steps.at(-1)
  const facts: [string, string][] = [
    ...(error.where ? [['Where', error.where] as [string, string]] : []),
    ...(error.expected ? [['Expected', error.expected] as [string, string]] : []),
    ...(error.got ? [['Got', error.got] as [string, string]] : []),
    ...(checkpoint ? [['Last good checkpoint', `step ${checkpoint.step}`] as [string, string]] : []),
    ...(checkpoint && last !== undefined && last > checkpoint.step
      ? [['Lost', plural(last - checkpoint.step, 'step')] as [string, string]]
      : []),
    ...(node.attempt > 1 ? [['Attempts', String(node.attempt)] as [string, string]] : []),
    ...(skipped.length > 0 ? [['Held back', skipped.map(([which]) => title(which)).join(', ')] as [string, string]] : []),
    ...(also.length > 0 ? [['Failed too', also.map(([which]) => title(which)).join(', ')] as [string, string]] : []),
  ]
  const report = () =>
    [
      `Thaw run ${number}, node ${id} (${nodes.find((info) => info.id === id)?.type})`,
      `${error.code}${error.reason ? ` / ${error.reason}` : ''}: ${error.message}`,
      ...facts.map(([name, value]) => `${name}: ${value}`),
      error.details ?? '',
      ...node.log.slice(-20).map((line) => `${new Date(line.at).toISOString()} ${line.level} ${line.text}`),
    ].join('\n')
  return (
    <article className="root" aria-label={`What failed: ${title(id)}`}>
      <header className="root-h">
        <Icon name="error" />
        <div className="min-w-0 flex-1">
          <h2>
            {title(id)} failed{last === undefined ? '' : ` at step ${last}`}
          </h2>
          <p>{error.message}</p>
        </div>
        <code className="muted">{error.code}</code>
      </header>
      <div className="root-b">
        <dl>
          {facts.map(([name, value]) => (
            <div className="kv" key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
          {fine > 0 ? (
            <div className="kv">
              <dt>Not touched</dt>
              <dd className="row gap-1 text-ok">
                <Icon name="check" size={12} />
                {plural(fine, 'finished node')}
              </dd>
            </div>
          ) : null}
        </dl>
        {error.fix ? <p className="mt-2 text-ink-2">{error.fix}</p> : null}
        {actions?.fault ? (
          <p className="err mt-2" role="alert">
            <Icon name="error" />
            <span>
              {actions.fault.message} {actions.fault.fix}
            </span>
          </p>
        ) : null}
        <div className="mt-3 flex flex-wrap items-center gap-2">
          {NODE_ENDED.has(node.status) && run.status === 'failed' && actions ? (
            <Button variant="primary" icon="reset" disabled={actions.busy} onClick={() => actions.resume()}>
              {actions.busy ? 'Resuming' : resumeStep(run) === null ? 'Run again from here' : resumeWords(run)}
            </Button>
          ) : null}
          {onSelect ? (
            <Button icon="sliders" onClick={() => onSelect(id)}>
              Open settings
            </Button>
          ) : null}
          <Button variant="ghost" aria-expanded={open} onClick={() => setOpen(!open)} icon={open ? 'down' : 'right'}>
            Details
          </Button>
          <Button
            variant="ghost"
            icon="copy"
            onClick={() => {
              void navigator.clipboard.writeText(report()).then(
                () => setCopied(true),
                () => setOpen(true),
              )
            }}
          >
            {copied ? 'Copied' : 'Copy for bug report'}
          </Button>
        </div>
        {open ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
          <pre className="logt mt-3" tabIndex={0}>
            {report()}
          </pre>
        ) : null}
      </div>
    </article>
  )
}
