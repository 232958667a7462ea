'use client'
/** Asks a question that needs a tokenizer, and waits for the answer: a job of the workers, never work of the web process. */
import { useQuery } from '@tanstack/react-query'
import { useTRPCClient } from '../../trpc'

const ASK_EVERY_MS = 200

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })

/** @param request null: nothing is asked. The same question is not asked twice while the page is open: datasets and models never change. */
export function useInspection<Answer>(kind: string, request: Record<string, unknown> | null) {
  const client = useTRPCClient()
  return useQuery<Answer>({
    queryKey: ['inspection', kind, request],
    enabled: request !== null,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
    queryFn: async ({ signal }) => {
      const { id } = await client.inspect.submit.mutate({ kind, request: request ?? {} }, { signal })
      for (;;) {
        const answer = await client.inspect.result.query({ id }, { signal })
        if (answer.status === 'done') return answer.result as Answer
        if (answer.status === 'failed') throw Object.assign(new Error(answer.error.message), { data: { error: answer.error } })
        await pause(ASK_EVERY_MS, signal)
      }
    },
  })
}
