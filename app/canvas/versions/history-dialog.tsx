'use client'
/** What this pipeline was (UX-43, UX-44, UX-47): its versions, each compared with now, named, copied or restored; and the steps of this visit. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { type FormEvent, useEffect, useRef, useState } from 'react'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { type Fault, faultOf } from '../../fault'
import { useTRPC, useTRPCClient } from '../../trpc'
import { Button } from '../../ui/button'
import { Dialog } from '../../ui/dialog'
import { Input } from '../../ui/field'
import { Icon } from '../../ui/icon'
import { Empty, Notice } from '../../ui/notice'
import { Segmented } from '../../ui/toggles'
import { plural, when } from '../../ui/words'
import { useEditor, useStores, useView } from '../context'
import { DiffView } from './diff-view'

type Version = { id: string; number: number; name: string | null; reason: string; createdAt: Date }

const REASONS: Readonly<Record<string, string>> = {
  save: 'Named',
  auto: 'Saved by itself',
  run: 'Before a run',
  restore: 'Restored',
  import: 'As it came',
}
const nameOf = (version: Version): string =>
  version.reason === 'restore'
    ? `Restored ${version.name?.toLowerCase() ?? ''}`.trim()
    : (version.name ?? REASONS[version.reason] ?? version.reason)

export function HistoryDialog({
  flush,
  onCopy,
}: {
  /** Brings the server up to date, so that a version holds what is on screen. */
  flush: () => Promise<void>
  onCopy: (document: Pipeline, name: string) => Promise<void>
}) {
  const { view } = useStores()
  const open = useView((s) => s.open === 'history' || s.open === 'name-version')
  const name = useEditor((s) => s.name)
  return (
    <Dialog open={open} onOpenChange={(next) => !next && view.getState().set({ open: null })} title="History" description={name} size="xl">
      <Body flush={flush} onCopy={onCopy} />
    </Dialog>
  )
}

function Body({ flush, onCopy }: Parameters<typeof HistoryDialog>[0]) {
  const [part, setPart] = useState<'versions' | 'steps'>('versions')
  return (
    <div className="ver">
      <Segmented
        label="Show"
        value={part}
        onValueChange={setPart}
        items={[
          { value: 'versions', label: 'Versions' },
          { value: 'steps', label: 'Steps of this visit' },
        ]}
      />
      {part === 'versions' ? <Versions flush={flush} onCopy={onCopy} /> : <Steps />}
    </div>
  )
}

function Versions({ flush, onCopy }: Parameters<typeof HistoryDialog>[0]) {
  const { editor, view } = useStores()
  const trpc = useTRPC()
  const client = useTRPCClient()
  const queries = useQueryClient()
  const id = useEditor((s) => s.id)
  const pipeline = useEditor((s) => s.name)
  const now = useEditor((s) => s.document)
  const list = useQuery({ ...trpc.pipelines.versions.queryOptions({ id }), staleTime: 0 })
  const versions = list.data as Version[] | undefined
  const [chosen, setChosen] = useState<string | null>(null)
  const [draft, setDraft] = useState('')
  const [busy, setBusy] = useState(false)
  const [fault, setFault] = useState<Fault | null>(null)
  const field = useRef<HTMLInputElement>(null)
  const naming = useView((s) => s.open === 'name-version')
  useEffect(() => {
    if (naming) field.current?.focus()
  }, [naming])
  const current = versions?.find((version) => version.id === chosen) ?? versions?.[0]
  const detail = useQuery({
    ...trpc.pipelines.version.queryOptions({ id: current?.id ?? '' }),
    enabled: current !== undefined,
    // A version never changes.
    staleTime: Number.POSITIVE_INFINITY,
  })
  const doing = async (work: () => Promise<void>) => {
    setBusy(true)
    setFault(null)
    try {
      await work()
      await queries.invalidateQueries({ queryKey: trpc.pipelines.versions.queryKey({ id }) })
    } catch (error) {
      setFault(faultOf(error))
    }
    setBusy(false)
  }
  const keep = (event: FormEvent) => {
    event.preventDefault()
    const wanted = draft.trim()
    if (wanted === '') return
    void doing(async () => {
      await flush()
      const made = await client.pipelines.saveVersion.mutate({ id, name: wanted })
      setDraft('')
      setChosen(made.id)
      view.getState().say(`Kept as version ${made.number}, ${wanted}`)
    })
  }
  const restore = (version: Version) =>
    void doing(async () => {
      await flush()
      const row = await client.pipelines.restore.mutate({ version: version.id })
      // As an edit, so that undo leads back; the server has it already, under the revision it gave.
      editor.getState().setRevision(row.revision)
      editor.getState().apply({ kind: 'replace-document', document: row.document }, { label: `restore version ${version.number}` })
      view.getState().set({ open: null })
      view.getState().say(`Version ${version.number} restored`)
    })
  if (list.error) {
    return (
      <Notice
        tone="error"
        title="The versions could not be read"
        actions={
          <Button size="sm" icon="reset" onClick={() => void list.refetch()}>
            Read again
          </Button>
        }
      >
        {faultOf(list.error).message} {faultOf(list.error).fix}
      </Notice>
    )
  }
  return (
    <div className="ver-cols">
      <div className="ver-left">
        <form className="ver-name" onSubmit={keep}>
          <Input
            ref={field}
            aria-label="Name for a version of now"
            placeholder="Name for a version of now"
            maxLength={200}
            value={draft}
            onChange={(event) => setDraft(event.target.value)}
          />
          <Button type="submit" disabled={draft.trim() === '' || busy}>
            Keep
          </Button>
        </form>
        {versions && versions.length > 0 ? (
          <ol className="ver-list" aria-label="Versions, newest first">
            {versions.map((version) => (
              <li key={version.id}>
                <button type="button" aria-pressed={version.id === current?.id} onClick={() => setChosen(version.id)}>
                  <span className={version.name !== null && version.reason === 'save' ? 'dot named' : 'dot'} aria-hidden="true" />
                  <span className="n ell">{nameOf(version)}</span>
                  <span className="num">{version.number}</span>
                  <span className="muted">
                    {when(version.createdAt)}
                    {version.name !== null && version.reason === 'save' ? ' · named' : ''}
                  </span>
                </button>
              </li>
            ))}
          </ol>
        ) : versions ? (
          <Empty icon="history" title="No version yet">
            One is kept as you work, with every run, and whenever you name one.
          </Empty>
        ) : (
          <p className="late muted">Reading the versions</p>
        )}
      </div>
      <div className="ver-right">
        {fault ? (
          <Notice tone="error" title={fault.message}>
            {fault.fix}
          </Notice>
        ) : null}
        {current && detail.data && detail.data.id === current.id ? (
          <>
            <DiffView before={detail.data.document} after={now} titles={[`Version ${current.number}`, 'now']} />
            <div className="row">
              <Button
                icon="copy"
                disabled={busy}
                onClick={() => void doing(() => onCopy(detail.data.document, `${pipeline}, version ${current.number}`))}
              >
                Open as copy
              </Button>
              <Button variant="primary" icon="reset" disabled={busy} onClick={() => restore(current)}>
                Restore version {current.number}
              </Button>
              <span className="muted text-12">Makes a new version; undo leads back.</span>
            </div>
          </>
        ) : detail.error ? (
          <Notice tone="error" title="This version could not be read">
            {faultOf(detail.error).message}
          </Notice>
        ) : current ? (
          <p className="late muted">Reading the version</p>
        ) : null}
      </div>
    </div>
  )
}

/** The log of commands (UX-43): a press goes back, or forward again, to where the document was after that step. */
function Steps() {
  const { editor } = useStores()
  const past = useEditor((s) => s.history.past)
  const future = useEditor((s) => s.history.future)
  const go = (steps: number) => {
    for (let i = 0; i < Math.abs(steps); i++) {
      if (steps < 0) editor.getState().undo()
      else editor.getState().redo()
    }
  }
  if (past.length + future.length === 0)
    return (
      <Empty icon="undo" title="Nothing was changed in this visit">
        Every edit is a step here, 200 deep.
      </Empty>
    )
  const labels = ['as it was opened', ...past.map((entry) => entry.label), ...future.map((entry) => entry.label)]
  return (
    <>
      <p className="help">
        {plural(past.length, 'step')} done{future.length > 0 ? `, ${future.length} undone` : ''}. Press one to go there. Runs are never
        undone.
      </p>
      <ol className="ver-list steps" aria-label="Steps, oldest first">
        {labels.map((label, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a step is its place in the line
          <li key={i}>
            <button
              type="button"
              aria-current={i === past.length ? 'step' : undefined}
              className={i > past.length ? 'undone' : ''}
              onClick={() => go(i - past.length)}
            >
              <Icon name={i === past.length ? 'right' : i > past.length ? 'redo' : 'check'} size={12} />
              <span className="n ell">{label}</span>
              <span className="num">{i === past.length ? 'now' : ''}</span>
            </button>
          </li>
        ))}
      </ol>
    </>
  )
}
