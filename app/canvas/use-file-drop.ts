'use client'
/** A file dropped on the canvas (UX-5, UX-39): data becomes a Load data node, a pipeline opens beside this one. Nothing runs (UX-54). */
import { useCallback } from 'react'
import { LIMITS, Pipeline } from '../../nodes/_kit/graph'
import { type Fault, faultOf } from '../fault'
import { toast } from '../ui/toast'
import { upload } from '../upload'
import { useActions } from './actions-context'
import { useStores } from './context'
import type { Point } from './editor-state'

const DATA = /\.(jsonl|json|csv|tsv|txt|parquet)$/i

async function pipelineIn(file: File): Promise<Pipeline | null> {
  if (!/\.json$/i.test(file.name) || file.size > LIMITS.bytes) return null
  try {
    const parsed = Pipeline.safeParse(JSON.parse(await file.text()))
    return parsed.success ? parsed.data : null
  } catch {
    return null // Not a pipeline: it is then read as data, whose reader says what is wrong with it.
  }
}

export function useFileDrop(onOpen: (document: Pipeline, name: string) => Promise<void>): (file: File, at: Point) => Promise<void> {
  const { view } = useStores()
  const actions = useActions()
  return useCallback(
    async (file, at) => {
      const refuse = (reason: string) => actions.refuse({ at: null, kind: 'dataset', reason })
      const pipeline = await pipelineIn(file)
      if (pipeline) return onOpen(pipeline, file.name.replace(/(\.thaw)?\.json$/i, ''))
      if (!DATA.test(file.name))
        return refuse(`${file.name} is neither data (.jsonl, .json, .csv, .tsv, .txt, .parquet) nor a pipeline (.json).`)
      const done = toast(`Sending ${file.name}`, undefined, 600)
      try {
        const sent = await upload(file)
        actions.addAt('load-data', at, undefined, { file: sent.file })
        view.getState().say(`${sent.name} added as Load data`)
      } catch (error) {
        const fault = typeof (error as Fault | null)?.code === 'string' ? (error as Fault) : faultOf(error)
        refuse(typeof fault.fix === 'string' ? `${fault.message} ${fault.fix}` : fault.message)
      } finally {
        done()
      }
    },
    [actions, onOpen, view],
  )
}
