'use client'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useState } from 'react'
import { faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { IconButton } from '../ui/button'
import { Menu } from '../ui/menu'
import type { NodeRun } from './reduce'
import type { NodeInfo } from './show'

/** What can be asked of one node of a run that is over. */
export function NodeTools({ run, node, status }: { run: string; node: NodeInfo; status: NodeRun['status'] | undefined }) {
  const trpc = useTRPC()
  const router = useRouter()
  const queries = useQueryClient()
  // One key for the menu as long as it stands: pressed twice it is one run.
  const [key] = useState(() => crypto.randomUUID())
  const retry = useMutation(
    trpc.runs.retryFrom.mutationOptions({
      onSuccess: (made) => {
        void queries.invalidateQueries({ queryKey: trpc.runs.list.queryKey() })
        router.push(`/runs/${made.run}`)
      },
    }),
  )
  const forget = useMutation(trpc.runs.forget.mutationOptions())
  const error = retry.error ?? forget.error
  const known = status === 'done' || status === 'reused'
  return (
    <span className="row gap-1">
      <span role="status" className={error ? 'text-bad text-12' : 'muted text-12'}>
        {error ? faultOf(error).message : forget.data ? (forget.data.forgotten ? 'runs again next time' : 'was not kept') : ''}
      </span>
      <Menu
        align="end"
        label={`What to do with ${node.title}`}
        trigger={<IconButton icon="more" label={`What to do with ${node.title}`} size="sm" tip={false} />}
        items={[
          {
            label: 'Run again from here',
            icon: 'reset',
            note: 'A new run: what is above stays as it is, this node and all below run',
            disabled: retry.isPending,
            onSelect: () => retry.mutate({ run, node: node.id, idempotencyKey: key }),
          },
          {
            label: 'Forget this result',
            icon: 'close',
            note: known ? 'The next run does it anew, and says why' : 'It has none',
            disabled: !known || forget.isPending,
            onSelect: () => forget.mutate({ run, node: node.id }),
          },
        ]}
      />
    </span>
  )
}
