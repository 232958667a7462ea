'use client'
/** Opens a pipeline and puts the editor around it. Loaded in the browser only: it measures, stores and listens. */
import { useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { useRouter } from 'next/navigation'
import { useState } from 'react'
import { registry } from '../../nodes'
import type { Registry } from '../../nodes/_kit/define-node'
import { faultOf } from '../fault'
import { useTRPC, useTRPCClient } from '../trpc'
import { Button } from '../ui/button'
import { Empty } from '../ui/notice'
import { EditorProvider } from './context'
import { dropDraft, readDraft } from './draft'
import { EditorShell } from './editor-shell'
import { sameJson } from './editor-state'
import { NARROW, NarrowPage } from './narrow-page'

export default function EditorPage({ id, fresh }: { id: string; fresh: boolean }) {
  const trpc = useTRPC()
  const client = useTRPCClient()
  const router = useRouter()
  // Asked for once: from then on the editor's own document is the newer one, and the save says when it is not.
  const { data, error, refetch } = useQuery({
    ...trpc.pipelines.get.queryOptions({ id }),
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  })
  const [draft] = useState(() => readDraft(id))
  // Decided once: an editor that is open stays open, however its window is changed.
  const [narrow, setNarrow] = useState(() => window.innerWidth < NARROW)
  if (error) {
    const fault = faultOf(error)
    return (
      <div className="opening">
        <Empty
          icon="error"
          title={fault.code === 'NOT_FOUND' ? 'There is no such pipeline' : fault.message}
          action={
            <span className="row">
              <Button onClick={() => void refetch()}>Try again</Button>
              <Button asChild>
                <Link href="/">Start page</Link>
              </Button>
            </span>
          }
        >
          {typeof fault.fix === 'string'
            ? fault.fix
            : fault.code === 'NOT_FOUND'
              ? 'It was removed, or it belongs to another installation.'
              : undefined}
        </Empty>
      </div>
    )
  }
  if (!data) return <div className="opening" aria-busy="true" />
  if (narrow) return <NarrowPage id={id} name={data.name} onEdit={() => setNarrow(false)} />
  const offered = draft && !sameJson(draft.document, data.document) ? draft : null
  if (draft && !offered) dropDraft(id)
  return (
    <EditorProvider
      key={id}
      registry={registry as Registry}
      pipeline={{ id, name: data.name, revision: data.revision, document: data.document }}
    >
      <EditorShell
        savedAt={data.updatedAt}
        draft={offered}
        fresh={fresh}
        onCopy={async (document, name) => {
          const made = await client.pipelines.create.mutate({ name: name.slice(0, 200), document })
          router.push(`/pipelines/${made.id}`)
        }}
      />
    </EditorProvider>
  )
}
