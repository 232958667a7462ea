'use client'
/** Asks the server what the nodes want to know about files and models, as soon as they want it (UX-21). */
import { useEffect, useState } from 'react'
import { factKey } from '../../nodes/_kit/infer'
import { useTRPCClient } from '../trpc'
import { useDerived, useStores } from './context'

/** A path that is being typed must not be looked up letter by letter. */
const SETTLE_MS = 120
const RETRY_MS = 3_000
const AT_ONCE = 200

export function useFacts(): { waiting: boolean; failed: boolean } {
  const { derived } = useStores()
  const client = useTRPCClient()
  const unanswered = useDerived((s) => s.unanswered)
  const key = unanswered.map(factKey).sort().join('\n')
  const [failed, setFailed] = useState(0)
  useEffect(() => {
    if (key === '') return
    const abort = new AbortController()
    const timer = setTimeout(
      async () => {
        try {
          const facts = await client.facts.resolve.query(
            { requests: [...derived.getState().unanswered].slice(0, AT_ONCE) },
            { signal: abort.signal },
          )
          derived.getState().answer(facts)
          setFailed(0)
        } catch {
          // The server is away; what it would have said is asked again, and the canvas says that it is not known.
          if (!abort.signal.aborted) setFailed((n) => n + 1)
        }
      },
      failed > 0 ? RETRY_MS : SETTLE_MS,
    )
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [key, failed, client, derived])
  return { waiting: key !== '', failed: failed > 0 }
}
