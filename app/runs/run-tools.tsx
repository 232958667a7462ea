'use client'
import { useQuery } from '@tanstack/react-query'
import dynamic from 'next/dynamic'
import Link from 'next/link'
import { useState } from 'react'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { RUN_ENDED } from './events'
import { compareHref } from './links'
import type { Snapshot } from './live'

// Its forms are only needed by who opens it (UX-141).
const RerunDialog = dynamic(() => import('./rerun-dialog').then((m) => m.RerunDialog), { ssr: false })
const SweepDialog = dynamic(() => import('./sweep-dialog').then((m) => m.SweepDialog), { ssr: false })

/** What can be made of a run: again with other data, beside the one before it. */
export function RunTools({ snapshot, size = 'md' }: { snapshot: Snapshot; size?: 'sm' | 'md' }) {
  const { run } = snapshot
  const trpc = useTRPC()
  const [open, setOpen] = useState(false)
  const [sweeping, setSweeping] = useState(false)
  const { data } = useQuery({
    ...trpc.runs.list.queryOptions({ pipelineId: run.pipelineId, before: run.number, limit: 1 }),
    staleTime: 60_000,
  })
  const earlier = run.parentRun ?? data?.[0]?.id ?? null
  return (
    <>
      {earlier ? (
        <Button variant="ghost" size={size} icon="compare-models" asChild className="max-sm:hidden">
          <Link href={compareHref([earlier, run.id])}>{run.parentRun ? 'Compare with its origin' : 'Compare with the one before'}</Link>
        </Button>
      ) : null}
      {RUN_ENDED.has(run.status) ? (
        <Button variant="ghost" size={size} icon="reset" onClick={() => setOpen(true)}>
          Rerun with new data
        </Button>
      ) : null}
      <Button variant="ghost" size={size} icon="sliders" className="max-sm:hidden" onClick={() => setSweeping(true)}>
        Sweep
      </Button>
      {open ? <RerunDialog snapshot={snapshot} open onOpenChange={setOpen} /> : null}
      {sweeping ? <SweepDialog snapshot={snapshot} open onOpenChange={setSweeping} /> : null}
    </>
  )
}
