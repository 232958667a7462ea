'use client'
/** Starts, stops and follows the runs of this pipeline; the newest is the one the canvas shows. A run outlives the page (UX-70). */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import { neighbours, reach } from '../../nodes/_kit/wires'
import { type Fault, faultOf } from '../fault'
import { useLiveRun } from '../runs/live'
import { useRun } from '../runs/store'
import { useTRPC } from '../trpc'
import { useStores } from './context'
import type { RunLink, RunTarget } from './run-link'

export const targetOf = (target: RunTarget): string[] | null =>
  target.kind === 'all' ? null : target.kind === 'to' ? [target.node] : [...target.nodes]

export type RunControl = RunLink & {
  starting: boolean
  stopping: boolean
  /** What the server said to the last start, stop or resume; shown until the next. */
  fault: Fault | null
  clearFault(): void
  /** Shows another run of this pipeline. */
  show(run: string): void
  /** Starts although there are warnings. */
  startAnyway(target: RunTarget): void
}

export function useRunControl(pipelineId: string, onAsk: (target: RunTarget) => void): RunControl {
  const { editor, derived, view } = useStores()
  const trpc = useTRPC()
  const queries = useQueryClient()
  const list = useQuery(trpc.runs.list.queryOptions({ pipelineId, limit: 1 }))
  const newest = list.data?.[0]
  const [run, setRun] = useState<string | null>(null)
  const id = run ?? newest?.id ?? null
  const { data: snapshot } = useLiveRun(id)
  const live = useRun(id ?? undefined)
  const [fault, setFault] = useState<Fault | null>(null)
  /** Warnings that a person has seen and run past (UX-68). */
  const seen = useRef(new Set<string>())

  useEffect(() => {
    if (snapshot && snapshot.run.id === id) derived.getState().setRan({ document: snapshot.document, number: snapshot.run.number })
  }, [snapshot, id, derived])

  const submit = useMutation(trpc.runs.submit.mutationOptions())
  const stopping = useMutation(trpc.runs.stop.mutationOptions())
  const resuming = useMutation(trpc.runs.resume.mutationOptions())

  const follow = useCallback(
    (next: string) => {
      setRun(next)
      void queries.invalidateQueries({ queryKey: trpc.runs.list.queryKey() })
    },
    [queries, trpc],
  )
  const failed = useCallback((error: unknown) => setFault(faultOf(error)), [])

  const startAnyway = useCallback(
    (target: RunTarget) => {
      const { document } = editor.getState()
      for (const problem of derived.getState().problems) seen.current.add(`${problem.node} ${problem.message}`)
      setFault(null)
      view.getState().set({ open: null, checked: true })
      view.getState().say('Starting')
      submit.mutate(
        { pipelineId, document, target: targetOf(target), idempotencyKey: crypto.randomUUID() },
        { onSuccess: (made) => follow(made.run), onError: failed },
      )
    },
    [derived, editor, failed, follow, pipelineId, submit, view],
  )

  const start = useCallback(
    (target: RunTarget) => {
      const { document } = editor.getState()
      const { problems, nodes } = derived.getState()
      const wires = new Map(Object.values(nodes).map((node) => [node.node, node.wires as Record<string, { node: string; port: string }>]))
      const ends = targetOf(target)
      const inside = ends === null ? null : new Set(ends.flatMap((end) => [end, ...reach(neighbours(wires).up, end)]))
      const here = problems.filter((p) => p.node === null || (!document.nodes[p.node]?.disabled && (inside === null || inside.has(p.node))))
      if (here.some((p) => p.severity === 'error')) {
        view.getState().set({ open: 'check', checked: true })
        view.getState().say('Not started: there are problems')
        return
      }
      const fresh = here.filter((p) => p.code !== 'unused-output' && !seen.current.has(`${p.node} ${p.message}`))
      if (fresh.length > 0) onAsk(target)
      else startAnyway(target)
    },
    [derived, editor, onAsk, startAnyway, view],
  )

  const stop = useCallback(
    (how: 'keep' | 'now') => {
      if (id === null) return
      setFault(null)
      view.getState().say(how === 'keep' ? 'Stopping, the checkpoint is kept' : 'Stopping now')
      stopping.mutate({ id, how }, { onError: failed })
    },
    [id, failed, stopping, view],
  )
  const resume = useCallback(() => {
    if (id === null) return
    setFault(null)
    resuming.mutate({ id }, { onSuccess: (made) => follow(made.run), onError: failed })
  }, [id, failed, follow, resuming])

  const status = live?.status ?? newest?.status
  const active = status === 'queued' || status === 'running'
  const number = snapshot?.run.number ?? newest?.number ?? null
  return useMemo(
    () => ({
      run: id,
      number,
      active,
      start,
      startAnyway,
      stop,
      resume,
      starting: submit.isPending || resuming.isPending,
      stopping: stopping.isPending || (active && live?.wanted != null),
      fault,
      clearFault: () => setFault(null),
      show: follow,
    }),
    [
      id,
      number,
      active,
      start,
      startAnyway,
      stop,
      resume,
      submit.isPending,
      resuming.isPending,
      stopping.isPending,
      live?.wanted,
      fault,
      follow,
    ],
  )
}
