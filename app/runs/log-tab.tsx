'use client'
import { useVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef, useState } from 'react'
import { Button } from '../ui/button'
import { Search } from '../ui/field'
import { Empty } from '../ui/notice'
import { Select } from '../ui/select'
import { Segmented } from '../ui/toggles'
import { plural } from '../ui/words'
import type { LogLine } from './events'
import type { RunState } from './reduce'
import type { NodeInfo } from './show'

type Line = LogLine & { node: string; title: string }
type Level = 'all' | 'warn' | 'error'

const timeOf = (at: number) => {
  const date = new Date(at)
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleTimeString('en-GB')
}

/** Lines of all nodes by time. Pure. */
export function mergedLog(run: RunState, nodes: readonly NodeInfo[]): Line[] {
  const lines = nodes.flatMap((node) => (run.nodes[node.id]?.log ?? []).map((line) => ({ ...line, node: node.id, title: node.title })))
  // Stable: lines of one node keep the order in which they were written.
  return lines.sort((a, b) => a.at - b.at)
}

/** Every word must occur, in the text or the node's title; case does not matter. Pure. */
export function findLines(lines: readonly Line[], { text, level, node }: { text: string; level: Level; node: string }): Line[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  return lines.filter((line) => {
    if (node !== '' && line.node !== node) return false
    if (level === 'error' && line.level !== 'error') return false
    if (level === 'warn' && line.level === 'info') return false
    const hay = `${line.title} ${line.text}`.toLowerCase()
    return words.every((word) => hay.includes(word))
  })
}

export function LogTab({ run, nodes }: { run: RunState; nodes: readonly NodeInfo[] }) {
  const [text, setText] = useState('')
  const [level, setLevel] = useState<Level>('all')
  const [node, setNode] = useState('')
  const [follow, setFollow] = useState(true)
  const all = useMemo(() => mergedLog(run, nodes), [run, nodes])
  const lines = useMemo(() => findLines(all, { text, level, node }), [all, text, level, node])
  const scroller = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 18,
    overscan: 20,
    measureElement: (element) => element.getBoundingClientRect().height,
  })

  useEffect(() => {
    if (follow && lines.length > 0) virtual.scrollToIndex(lines.length - 1, { align: 'end' })
  }, [follow, lines.length, virtual])

  const onScroll = () => {
    const element = scroller.current
    if (element) setFollow(element.scrollHeight - element.scrollTop - element.clientHeight < 24)
  }
  if (all.length === 0) {
    return (
      <Empty icon="log" title="No lines yet">
        What the nodes say while they work is kept here.
      </Empty>
    )
  }
  return (
    <div className="flex h-full flex-col">
      <div className="row flex-none border-line border-b px-4 py-2">
        <Search className="max-w-[260px]" value={text} onValueChange={setText} label="Find in the log" />
        <Segmented
          label="Level"
          value={level}
          onValueChange={setLevel}
          items={[
            { value: 'all', label: 'All' },
            { value: 'warn', label: 'Warnings' },
            { value: 'error', label: 'Errors' },
          ]}
        />
        <Select
          className="w-44"
          label="Node"
          value={node}
          onValueChange={setNode}
          options={[
            { value: '', label: 'All nodes' },
            ...nodes.filter((info) => run.nodes[info.id]?.log.length).map((info) => ({ value: info.id, label: info.title })),
          ]}
        />
        <span className="muted ml-auto text-12" aria-live="polite">
          {lines.length === all.length ? plural(all.length, 'line') : `${lines.length} of ${plural(all.length, 'line')}`}
        </span>
        {follow ? null : (
          <Button size="sm" icon="down" onClick={() => setFollow(true)}>
            Newest
          </Button>
        )}
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard */}
      <section ref={scroller} className="loglines" tabIndex={0} onScroll={onScroll} aria-label="Log lines">
        <div style={{ height: virtual.getTotalSize() }} className="relative">
          {virtual.getVirtualItems().map((item) => {
            const line = lines[item.index]
            return line ? (
              <div
                key={item.key}
                ref={virtual.measureElement}
                data-index={item.index}
                className={`logline ${line.level}`}
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <time>{timeOf(line.at)}</time>
                <span className="ell">{line.title}</span>
                <span>
                  {line.level === 'info' ? null : <b>{line.level === 'warn' ? 'warning ' : 'error '}</b>}
                  {line.text}
                </span>
              </div>
            ) : null
          })}
        </div>
        {lines.length === 0 ? <p className="muted py-2">No line has these words.</p> : null}
      </section>
    </div>
  )
}
