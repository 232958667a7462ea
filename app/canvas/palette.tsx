'use client'
/** Nodes to take (UX-10): search, groups in the order of a graph, one line each with the kinds of its ports. A click adds at the view's
 * centre and wires to the selected node when exactly one pair of ports fits; dragging puts it where it is dropped. */
import { useReactFlow } from '@xyflow/react'
import { useMemo, useState } from 'react'
import { type AnyNode, NODE_GROUPS } from '../../nodes/_kit/define-node'
import { Search } from '../ui/field'
import { Icon } from '../ui/icon'
import { PortMark } from '../ui/port-mark'
import { useActions } from './actions-context'
import { useStores } from './context'
import { portsOf } from './graph-queries'
import { matches } from './search'

export const PALETTE_MIME = 'application/x-thaw-node'

export const kindsOf = (def: AnyNode) => [...new Set([...portsOf(def, 'in'), ...portsOf(def, 'out')].map(([, port]) => port.kind))]

export function usePalettePlace(): () => { x: number; y: number } {
  const flow = useReactFlow()
  return () => {
    const frame = document.querySelector('[data-canvas]')?.getBoundingClientRect()
    return flow.screenToFlowPosition({
      x: (frame?.left ?? 0) + (frame?.width ?? 0) / 2 - 112,
      y: (frame?.top ?? 0) + (frame?.height ?? 0) / 2 - 80,
    })
  }
}

export function Palette() {
  const { registry } = useStores()
  const actions = useActions()
  const centre = usePalettePlace()
  const [query, setQuery] = useState('')
  const groups = useMemo(() => {
    const found = Object.values(registry).filter((def) => matches(def, query) > 0)
    return NODE_GROUPS.map((group) => ({ group, defs: found.filter((def) => def.group === group) })).filter(({ defs }) => defs.length > 0)
  }, [registry, query])
  const first = groups[0]?.defs[0]
  return (
    <>
      <div className="pal-search">
        <Search
          label="Find a node"
          shortcut="/"
          value={query}
          onValueChange={setQuery}
          data-palette-search
          onKeyDown={(event) => {
            if (event.key === 'Enter' && first && query !== '') {
              actions.addBeside(first.type, centre())
              setQuery('')
            }
          }}
        />
      </div>
      <div className="pal-list">
        {groups.map(({ group, defs }) => (
          <section key={group} aria-label={group}>
            <h2 className="pal-h">{group}</h2>
            {defs.map((def) => (
              <button
                key={def.type}
                type="button"
                className="pal"
                draggable
                title={def.summary}
                onClick={() => actions.addBeside(def.type, centre())}
                onDragStart={(event) => {
                  event.dataTransfer.setData(PALETTE_MIME, def.type)
                  event.dataTransfer.effectAllowed = 'copy'
                }}
              >
                <Icon name={def.icon} />
                <span className="n">{def.title}</span>
                <span className="dots">
                  {kindsOf(def).map((kind) => (
                    <PortMark key={kind} kind={kind} size={8} />
                  ))}
                </span>
                <span className="d">{def.summary}</span>
              </button>
            ))}
          </section>
        ))}
        {groups.length === 0 ? <p className="pal-none">No node has “{query}” in its name, summary or tags.</p> : null}
      </div>
    </>
  )
}
