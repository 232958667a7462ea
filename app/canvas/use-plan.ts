'use client'
/** What pressing Run would do, asked of the server whenever the graph has been still for a moment (UX-55). */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import type { Pipeline } from '../../nodes/_kit/graph'
import { useTRPC } from '../trpc'
import { useEditor } from './context'

const STILL_MS = 400

export function usePlan(pipelineId: string, target: string[] | null, enabled = true) {
  const trpc = useTRPC()
  const document = useEditor((s) => s.document)
  const [still, setStill] = useState<Pipeline>(document)
  useEffect(() => {
    if (document.nodes === still.nodes && document.edges === still.edges && document.inputs === still.inputs) return
    const timer = setTimeout(() => setStill(document), STILL_MS)
    return () => clearTimeout(timer)
  }, [document, still])
  const blank = Object.keys(still.nodes).length === 0
  return useQuery({
    ...trpc.runs.plan.queryOptions({ pipelineId, document: still, target, inputs: {} }),
    enabled: enabled && !blank,
    placeholderData: keepPreviousData,
    staleTime: 10_000,
    // Each edit is a question of its own; old answers need not be kept long.
    gcTime: 30_000,
  })
}
