'use client'
import type { ReactNode } from 'react'
import { Icon } from '../ui/icon'
import { State } from '../ui/state'
import { Bar } from '../ui/tag'
import { useNow } from './now'
import { isLost, type RunState } from './reduce'
import { type NodeInfo, viewNode, whyOf } from './show'

/** Every node of a run with its state, in the order they run (UX-66). `onSelect` makes the rows buttons. */
export function NodeList({
  run,
  nodes,
  onSelect,
  tools,
}: {
  run: RunState
  nodes: readonly NodeInfo[]
  onSelect?: ((id: string) => void) | undefined
  /** What can be asked of one node, at the end of its row; only where rows are no buttons themselves. */
  tools?: ((node: NodeInfo) => ReactNode) | undefined
}) {
  const now = useNow(run.status === 'running')
  return (
    <ul className="nlist">
      {nodes.map((node) => {
        const state = run.nodes[node.id]
        const view = viewNode(state, node.type)
        const why = whyOf(run, nodes, node.id) ?? view.detail
        const lost = state !== undefined && isLost(state, now)
        const row = (
          <>
            <Icon name={node.icon} />
            <span className="nl-title ell">{node.title}</span>
            <span className="nl-state">
              {lost ? (
                <State state="lost" />
              ) : (
                <State state={view.state} training={view.training}>
                  {view.words}
                </State>
              )}
            </span>
            <span className="nl-more">
              {lost ? (
                <span className="ell">No sign of life from its worker; another takes over when the lease ends</span>
              ) : view.share !== null ? (
                <>
                  <Bar value={view.share} training={view.training} label={`${node.title}, ${view.words}`} />
                  <span className="ell">{why}</span>
                </>
              ) : (
                <span className="ell" title={why ?? undefined}>
                  {why}
                </span>
              )}
            </span>
            <span className="nl-time num">
              {view.timeLeft ?? ''}
              {tools && !onSelect ? tools(node) : null}
            </span>
          </>
        )
        return (
          <li key={node.id}>
            {onSelect ? (
              <button type="button" className="nrow" onClick={() => onSelect(node.id)}>
                {row}
              </button>
            ) : (
              <div className="nrow">{row}</div>
            )}
          </li>
        )
      })}
    </ul>
  )
}
