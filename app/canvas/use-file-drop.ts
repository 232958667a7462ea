'use client'
/** A file dropped on the canvas (UX-5, UX-39): data becomes a Load data node, a pipeline opens beside this one. Nothing runs (UX-54). */
import { useRouter } from 'next/navigation'
import { useCallback } from 'react'
import { type Fault, faultOf } from '../fault'
import { openedAddress, openPipeline } from '../share/open'
import { useTRPCClient } from '../trpc'
import { toast } from '../ui/toast'
import { upload } from '../upload'
import { useActions } from './actions-context'
import { useStores } from './context'
import type { Point } from './editor-state'

const DATA = /\.(jsonl|json|csv|tsv|txt|parquet)$/i

export function useFileDrop(): (file: File, at: Point) => Promise<void> {
  const client = useTRPCClient()
  const router = useRouter()
  const { view } = useStores()
  const actions = useActions()
  return useCallback(
    async (file, at) => {
      const refuse = (reason: string) => actions.refuse({ at: null, kind: 'dataset', reason })
      const faultIn = (error: unknown) => {
        const fault = typeof (error as Fault | null)?.code === 'string' ? (error as Fault) : faultOf(error)
        refuse(typeof fault.fix === 'string' ? `${fault.message} ${fault.fix}` : fault.message)
      }
      try {
        const opening = await openPipeline(file)
        if (opening?.kind === 'made') return router.push(openedAddress(opening.id, file.name))
        if (opening) {
          const { id } = await client.pipelines.create.mutate({ name: opening.name, document: opening.document })
          return router.push(openedAddress(id, file.name))
        }
      } catch (error) {
        return faultIn(error)
      }
      if (!DATA.test(file.name))
        return refuse(`${file.name} is neither data (.jsonl, .json, .csv, .tsv, .txt, .parquet) nor anything that carries a pipeline.`)
      const done = toast(`Sending ${file.name}`, undefined, 600)
      try {
        const sent = await upload(file)
        actions.addAt('load-data', at, undefined, { file: sent.file })
        view.getState().say(`${sent.name} added as Load data`)
      } catch (error) {
        faultIn(error)
      } finally {
        done()
      }
    },
    [actions, client, router, view],
  )
}
