'use client'
import { useMutation, useQuery } from '@tanstack/react-query'
import dynamic from 'next/dynamic'
import { useRouter } from 'next/navigation'
import { useCallback, useEffect, useRef, useState } from 'react'
import { type Fault, faultOf } from '../fault'
import { useTRPC } from '../trpc'
import type { StateName } from '../ui/state'
import { when } from '../ui/words'
import { OPENABLE, openFile } from './open-file'
import { readSkipStart, SkipStart } from './skip-start'
import { type Loaded, type StartPipeline, type StartTemplate, StartView } from './start-view'
import { SystemStatus } from './system-status'

const Thumbnail = dynamic(() => import('./thumbnail'), { ssr: false, loading: () => null })
const DownloadNote = dynamic(() => import('./thumbnail').then((m) => m.DownloadNote), { ssr: false, loading: () => null })

const RUN_STATES: Record<string, { state: StateName; words: string }> = {
  queued: { state: 'queued', words: 'Queued' },
  running: { state: 'running', words: 'Running' },
  paused: { state: 'paused', words: 'Paused' },
  succeeded: { state: 'done', words: 'Done' },
  failed: { state: 'failed', words: 'Failed' },
  stopped: { state: 'stopped', words: 'Stopped' },
}
const SHOWN = 6

function loaded<T, U>(query: { data: T | undefined; error: unknown; refetch: () => unknown }, map: (value: T) => U): Loaded<U> {
  if (query.data !== undefined) return { state: 'ready', value: map(query.data) }
  if (query.error) {
    const { message, fix } = faultOf(query.error)
    return { state: 'failed', message, fix, retry: () => void query.refetch() }
  }
  return { state: 'loading' }
}

export function StartPage() {
  const trpc = useTRPC()
  const router = useRouter()
  const templates = useQuery({ ...trpc.templates.list.queryOptions(), staleTime: 60_000 })
  const pipelines = useQuery({
    ...trpc.pipelines.list.queryOptions(),
    refetchInterval: (query) => (query.state.data?.some((row) => row.lastRun && !row.lastRun.endedAt) ? 5_000 : false),
  })
  const create = useMutation(trpc.pipelines.create.mutationOptions())
  const [opening, setOpening] = useState<string | null>(null)
  const [problem, setProblem] = useState<(Fault & { title: string }) | null>(null)
  const [dropping, setDropping] = useState(false)
  const input = useRef<HTMLInputElement>(null)

  const open = useCallback(
    async (what: string, make: () => Promise<Parameters<typeof create.mutateAsync>[0] | { id: string }>, fresh = false, file = false) => {
      setOpening(what)
      setProblem(null)
      try {
        const wanted = await make()
        const { id } = 'id' in wanted ? wanted : await create.mutateAsync(wanted)
        // The editor highlights Run on a fresh template copy (UX-3), and says what a file from elsewhere lacks (UX-88).
        router.push(`/pipelines/${id}${fresh ? '?fresh' : file ? `?opened=${encodeURIComponent(what.slice(0, 200))}` : ''}`)
      } catch (error) {
        setOpening(null)
        const fault = typeof (error as Fault | null)?.code === 'string' && !(error instanceof Error) ? (error as Fault) : faultOf(error)
        setProblem({ ...fault, title: what === 'blank' ? 'No pipeline was made' : `${what} did not open` })
      }
    },
    [create.mutateAsync, router],
  )
  const onFile = useCallback((file: File) => void open(file.name, () => openFile(file), false, true), [open])
  const onBlank = useCallback(() => void open('blank', async () => ({})), [open])
  const onOpenFile = useCallback(() => input.current?.click(), [])

  useDrop(onFile, setDropping)
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement
      if (event.metaKey || event.ctrlKey || event.altKey || target.closest('input, textarea, select, [role=menu], [role=dialog]')) return
      if (event.key === 'n' || event.key === 'N') onBlank()
      else if (event.key === 'o' || event.key === 'O') onOpenFile()
      else return
      event.preventDefault()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [onBlank, onOpenFile])

  const newest = pipelines.data?.[0]?.id
  useEffect(() => {
    if (newest && readSkipStart()) router.replace(`/pipelines/${newest}`)
  }, [newest, router])

  return (
    <>
      <StartView
        templates={loaded(templates, (list) =>
          list.map(
            (card): StartTemplate => ({
              ...card,
              download: <DownloadNote document={card.document} />,
              picture: <Thumbnail document={card.document} label={`Pipeline of ${card.title}, ${card.nodes} nodes`} />,
            }),
          ),
        )}
        recent={loaded(pipelines, (list) =>
          list.slice(0, SHOWN).map(
            ({ id, name, nodes, updatedAt, lastRun }): StartPipeline => ({
              id,
              name,
              nodes,
              when: when(updatedAt),
              run: lastRun
                ? { number: lastRun.number, ...(RUN_STATES[lastRun.status] ?? { state: 'notrun', words: lastRun.status }) }
                : null,
            }),
          ),
        )}
        opening={opening}
        problem={problem}
        dropping={dropping}
        onTemplate={(id) => void open(templates.data?.find((card) => card.id === id)?.title ?? id, async () => ({ template: id }), true)}
        onBlank={onBlank}
        onOpenFile={onOpenFile}
        status={
          <>
            <SystemStatus />
            <SkipStart />
          </>
        }
      />
      <input
        ref={input}
        type="file"
        accept={OPENABLE}
        className="hidden"
        aria-label="File to open"
        tabIndex={-1}
        onChange={(event) => {
          const file = event.target.files?.[0]
          event.target.value = ''
          if (file) onFile(file)
        }}
      />
    </>
  )
}

/** A file dropped anywhere on the page. */
function useDrop(onFile: (file: File) => void, setOver: (over: boolean) => void) {
  useEffect(() => {
    let depth = 0
    const hasFile = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const enter = (event: DragEvent) => {
      if (!hasFile(event)) return
      depth += 1
      setOver(true)
    }
    const leave = (event: DragEvent) => {
      if (!hasFile(event)) return
      depth = Math.max(0, depth - 1)
      if (depth === 0) setOver(false)
    }
    const over = (event: DragEvent) => {
      if (hasFile(event)) event.preventDefault()
    }
    const drop = (event: DragEvent) => {
      if (!hasFile(event)) return
      event.preventDefault()
      depth = 0
      setOver(false)
      const file = event.dataTransfer?.files[0]
      if (file) onFile(file)
    }
    const listeners = { dragenter: enter, dragleave: leave, dragover: over, drop } as const
    for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener as EventListener)
    return () => {
      for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener as EventListener)
    }
  }, [onFile, setOver])
}
