'use client'
/**
 * All nodes as a list in reading order, with what feeds them and their state (UX-129): the whole path without the canvas. The keys of the
 * canvas act here too (connect, replace, insert, disable, delete, run to here …), on the row that has the focus; Enter opens its settings.
 */
import type { KeyboardEvent } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { own, titleOf } from '../../nodes/_kit/wires'
import { useNodeRun } from '../runs/store'
import { Icon } from '../ui/icon'
import { State } from '../ui/state'
import { useActions } from './actions-context'
import { cardState } from './card-state'
import { useDerived, useEditor, useStores, useView } from './context'
import { readingOrder } from './graph-queries'

export function Outline() {
  const order = useEditor(useShallow((s) => readingOrder(s.document)))
  return (
    <ul className="outline" aria-label="All nodes" data-outline onKeyDown={moveFocus}>
      {order.map((id) => (
        <OutlineRow key={id} id={id} />
      ))}
      {order.length === 0 ? <li className="pal-none">No nodes yet.</li> : null}
    </ul>
  )
}

/** Up, down, first, last: the focus moves from row to row. */
function moveFocus(event: KeyboardEvent<HTMLUListElement>) {
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('button')]
  const at = rows.indexOf(document.activeElement as HTMLElement)
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[event.key]
  if (next === undefined || event.altKey || event.ctrlKey || event.metaKey) return
  event.preventDefault()
  rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus()
}

function OutlineRow({ id }: { id: string }) {
  const { registry, editor, view } = useStores()
  const actions = useActions()
  const node = useEditor((s) => s.document.nodes[id])
  const title = useEditor((s) => titleOf(s.document, registry, id))
  const from = useEditor((s) =>
    [...new Set(s.document.edges.filter((edge) => edge.to.node === id).map((edge) => titleOf(s.document, registry, edge.from.node)))].join(
      ', ',
    ),
  )
  const selected = useEditor((s) => s.selection.nodes.includes(id))
  const stale = useDerived((s) => s.stale[id] ?? null)
  const focused = useView((s) => s.focused === id)
  const run = useNodeRun(id)
  if (!node) return null
  const def = own(registry, node.type)
  const state = cardState({ placeholder: !def, disabled: node.disabled === true, type: node.type, run, stale })
  return (
    <li>
      <button
        type="button"
        className={selected ? 'on' : ''}
        aria-current={selected || undefined}
        data-focused={focused || undefined}
        data-row={id}
        onFocus={() => view.getState().set({ focused: id })}
        onClick={() => {
          editor.getState().select({ nodes: [id], edges: [] })
          view.getState().set({ reveal: id, focused: id })
          actions.say(`${title} selected`)
        }}
      >
        <Icon name={def?.icon ?? 'question'} />
        <span className="n">{title}</span>
        <State state={state.name} training={state.view.training}>
          {state.words}
        </State>
        {from ? <span className="d ell">from {from}</span> : null}
      </button>
    </li>
  )
}
