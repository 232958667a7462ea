'use client'
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { useTRPC } from '../trpc'
import type { Snapshot } from './live'
import type { RunState } from './reduce'
import type { NodeInfo } from './show'
import { useRun } from './store'

export type RunView = { run: RunState; nodes: readonly NodeInfo[]; snapshot: Snapshot }

/** Nodes of a run in the order they run in, named as the pipeline named them when it started (UX-70), never as the editor does now. */
export function nodesOf({ document, plan, nodes }: Snapshot): NodeInfo[] {
  const order = new Map(
    plan.nodes.map((node, i) => [
      node.node,
      { i, title: node.title, planned: node.action === 'reuse' ? (node.reasons[0]?.text ?? null) : null },
    ]),
  )
  const needs = (id: string) => [...new Set(document.edges.filter((edge) => edge.to.node === id).map((edge) => edge.from.node))]
  return nodes
    .map(({ nodeId, type }) => ({
      id: nodeId,
      type,
      // One icon per node type, named like it (D-35).
      icon: type,
      title: document.layout.nodes[nodeId]?.title ?? order.get(nodeId)?.title ?? nodeId,
      needs: needs(nodeId),
      planned: order.get(nodeId)?.planned ?? null,
    }))
    .sort((a, b) => (order.get(a.id)?.i ?? 1e9) - (order.get(b.id)?.i ?? 1e9))
}

/** The run as the store knows it with what its snapshot names; null while there is none or it is being read. */
export function useRunView(id: string | null): { view: RunView | null; error: unknown } {
  const trpc = useTRPC()
  const { data: snapshot, error } = useQuery({ ...trpc.runs.get.queryOptions({ id: id ?? '' }), enabled: id !== null, staleTime: 5_000 })
  const run = useRun(id ?? undefined)
  const view = useMemo(
    () => (snapshot && run && snapshot.run.id === run.id ? { run, snapshot, nodes: nodesOf(snapshot) } : null),
    [snapshot, run],
  )
  return { view, error }
}
