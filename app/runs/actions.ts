'use client'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { type Fault, faultOf } from '../fault'
import { useTRPC } from '../trpc'

export type RunActions = {
  stop(how: 'keep' | 'now'): void
  resume(): void
  busy: boolean
  fault: Fault | null
}

/** What a person can ask of a run (UX-69, UX-73). Stopping is acknowledged at once; the state follows by events. */
export function useRunActions(id: string | null, onResumed?: (run: string) => void): RunActions {
  const trpc = useTRPC()
  const queries = useQueryClient()
  const stop = useMutation(trpc.runs.stop.mutationOptions())
  const resume = useMutation(trpc.runs.resume.mutationOptions())
  const error = stop.error ?? resume.error
  return {
    stop: (how) => {
      if (id !== null)
        stop.mutate({ id, how }, { onSuccess: () => queries.invalidateQueries({ queryKey: trpc.runs.get.queryKey({ id }) }) })
    },
    resume: () => {
      if (id === null) return
      resume.mutate(
        { id },
        {
          onSuccess: ({ run }) => {
            void queries.invalidateQueries({ queryKey: trpc.runs.list.queryKey() })
            onResumed?.(run)
          },
        },
      )
    },
    busy: stop.isPending || resume.isPending,
    fault: error ? faultOf(error) : null,
  }
}
