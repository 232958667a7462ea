'use client'
/** The list that opens where a wire was dropped, on double click, on `/` and on a wire's ＋ (UX-27, UX-28, UX-30): only nodes that fit,
 * those used most first; Enter adds, wires and selects. */
import { Command } from 'cmdk'
import { useEffect, useMemo, useRef, useState } from 'react'
import type { AnyNode } from '../../nodes/_kit/define-node'
import { titleOf } from '../../nodes/_kit/wires'
import { Icon } from '../ui/icon'
import { PortMark } from '../ui/port-mark'
import { useActions } from './actions-context'
import { useEditor, useStores, useView } from './context'
import { edgeKey } from './editor-state'
import { kindAt, portsOf } from './graph-queries'
import { matches } from './search'
import type { QuickAdd } from './stores'

const WIDTH = 296
const HEIGHT = 336
const USED = 'thaw:used-nodes'

function usedBefore(): Record<string, number> {
  try {
    const saved: unknown = JSON.parse(localStorage.getItem(USED) ?? '{}')
    return typeof saved === 'object' && saved !== null ? (saved as Record<string, number>) : {}
  } catch {
    return {} // A private window or damaged text: the order is then the palette's.
  }
}
function noteUse(type: string) {
  try {
    const used = usedBefore()
    localStorage.setItem(USED, JSON.stringify({ ...used, [type]: (used[type] ?? 0) + 1 }))
  } catch {
    // Ranking is a convenience; without storage it stays as it is.
  }
}

export function QuickAddList() {
  const open = useView((s) => s.quickAdd)
  return open ? <List key={`${open.at.x} ${open.at.y}`} open={open} /> : null
}

function List({ open }: { open: QuickAdd }) {
  const { registry, view } = useStores()
  const actions = useActions()
  const doc = useEditor((s) => s.document)
  const [query, setQuery] = useState('')
  const box = useRef<HTMLDivElement>(null)
  const edge = open.edge === undefined ? undefined : doc.edges.find((e) => edgeKey(e) === open.edge)
  const { link } = open
  const kind = link ? kindAt(doc, registry, link.end, link.side) : edge ? kindAt(doc, registry, edge.from, 'out') : undefined

  const replaced = open.replace === undefined ? undefined : doc.nodes[open.replace]
  const fitting = useMemo(() => {
    const all = Object.values(registry)
    if (replaced) {
      // Those that keep most wires first.
      const before = registry[replaced.type]
      const kinds = (def: AnyNode | undefined) => [
        ...portsOf(def, 'in').map(([, p]) => `in ${p.kind}`),
        ...portsOf(def, 'out').map(([, p]) => `out ${p.kind}`),
      ]
      const shared = (def: AnyNode) => kinds(def).filter((kind) => kinds(before).includes(kind)).length
      return all.filter((def) => def.type !== replaced.type).toSorted((a, b) => shared(b) - shared(a))
    }
    const used = usedBefore()
    const has = (def: (typeof all)[number], side: 'in' | 'out') => portsOf(def, side).some(([, port]) => port.kind === kind)
    const fits = link
      ? all.filter((def) => has(def, link.side === 'out' ? 'in' : 'out'))
      : edge
        ? all.filter((def) => has(def, 'in') && has(def, 'out'))
        : all
    return fits.toSorted((a, b) => (used[b.type] ?? 0) - (used[a.type] ?? 0))
  }, [registry, link, edge, kind, replaced])
  const shown = useMemo(
    () =>
      fitting
        .map((def) => ({ def, score: matches(def, query) }))
        .filter(({ score }) => score > 0)
        .toSorted((a, b) => (query === '' ? 0 : b.score - a.score))
        .map(({ def }) => def),
    [fitting, query],
  )

  const close = () => {
    view.getState().set({ quickAdd: null })
    actions.focusNode(view.getState().focused ?? undefined)
  }
  useEffect(() => {
    const outside = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) view.getState().set({ quickAdd: null })
    }
    document.addEventListener('pointerdown', outside, true)
    return () => document.removeEventListener('pointerdown', outside, true)
  }, [view])

  const choose = (type: string) => {
    noteUse(type)
    if (open.replace !== undefined) actions.replace(open.replace, type)
    else if (edge) actions.insert(type, edge)
    else actions.addAt(type, open.place, link)
  }

  const frame = typeof document === 'undefined' ? null : document.querySelector('[data-canvas]')
  const left = Math.max(8, Math.min(open.at.x, (frame?.clientWidth ?? 9999) - WIDTH - 8))
  const top = Math.max(8, Math.min(open.at.y, (frame?.clientHeight ?? 9999) - HEIGHT - 8))
  const heading = link
    ? link.side === 'out'
      ? `From ${titleOf(doc, registry, link.end.node)}: nodes that take ${kind === 'model' ? 'a model' : kind === 'metrics' ? 'metrics' : `a ${kind}`}`
      : `For ${titleOf(doc, registry, link.end.node)}: nodes that give ${kind === 'metrics' ? 'metrics' : `a ${kind}`}`
    : edge
      ? 'On this wire'
      : open.replace !== undefined
        ? `Replace ${titleOf(doc, registry, open.replace)} with`
        : 'Add a node'
  return (
    <div ref={box} className="pop qa" role="dialog" aria-label="Add a node" style={{ left, top, width: WIDTH }}>
      <div className="qa-head">
        {kind ? <PortMark kind={kind} size={10} /> : null}
        <span className="ell">{heading}</span>
      </div>
      <Command
        label="Add a node"
        shouldFilter={false}
        loop
        onKeyDown={(event) => {
          if (event.key === 'Escape') {
            event.stopPropagation()
            close()
          }
        }}
      >
        <div className="input qa-input">
          <Icon name="search" />
          <Command.Input autoFocus value={query} onValueChange={setQuery} placeholder="Type to filter" />
        </div>
        <Command.List className="qa-list">
          <Command.Empty className="pal-none">{fitting.length === 0 ? 'No node fits here.' : 'Nothing fits these words.'}</Command.Empty>
          {shown.map((def) => (
            <Command.Item key={def.type} value={def.type} className="it" onSelect={() => choose(def.type)}>
              <Icon name={def.icon} />
              <span className="grow">
                <span className="n">{def.title}</span>
                <span className="d ell">{def.summary}</span>
              </span>
              {portsOf(def, link?.side === 'in' ? 'in' : 'out')
                .filter(([, port], i, all) => all.findIndex(([, other]) => other.kind === port.kind) === i)
                .map(([name, port]) => (
                  <PortMark key={name} kind={port.kind} size={10} />
                ))}
            </Command.Item>
          ))}
        </Command.List>
      </Command>
      <div className="qa-foot">
        <span>
          <kbd>↑</kbd> <kbd>↓</kbd> choose
        </span>
        <span>
          <kbd>Esc</kbd> cancel
        </span>
        <span className="ml-auto">
          {shown.length} of {Object.keys(registry).length}
        </span>
      </div>
    </div>
  )
}
