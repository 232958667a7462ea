// biome-ignore-all lint/a11y/useSemanticElements: a named group of controls inside a labelled field; a fieldset would bring a second legend
'use client'
/** A data file: a sample that ships with a template, one sent through the browser, or a path. Below it, what was found in the file. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useRef, useState } from 'react'
import type { Pipeline } from '../../nodes/_kit/graph'
import { type Fault, faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Icon } from '../ui/icon'
import { Select } from '../ui/select'
import { Segmented } from '../ui/toggles'
import { bytes, count, middle } from '../ui/words'
import { upload } from '../upload'
import { useForm } from './form-context'
import { SourceField } from './model-picker'
import type { WidgetProps } from './param-form'

type Kind = 'template' | 'upload' | 'path'
const kindOf = (file: string): Kind =>
  file.startsWith('upload:') ? 'upload' : file === '' || file.startsWith('template:') ? 'template' : 'path'

/** Every sample file that a shipped pipeline names. */
function samplesIn(templates: readonly { title: string; document: Pipeline }[]): { value: string; label: string; note: string }[] {
  const found = new Map<string, { value: string; label: string; note: string }>()
  for (const { title, document } of templates)
    for (const node of Object.values(document.nodes))
      for (const value of Object.values(node.params))
        if (typeof value === 'string' && value.startsWith('template:') && !found.has(value))
          found.set(value, { value, label: value.slice(value.indexOf('/') + 1), note: title })
  return [...found.values()]
}

export function FilePicker({ field, value, ids, onChange }: WidgetProps) {
  const file = typeof value === 'string' ? value : ''
  const [kind, setKind] = useState<Kind>(kindOf(file))
  return (
    <div
      className="picker"
      id={ids.id}
      role="group"
      aria-label={field.title}
      {...(ids.describedBy && { 'aria-describedby': ids.describedBy })}
    >
      <Segmented
        fill
        label="Where the file comes from"
        value={kind}
        onValueChange={setKind}
        items={[
          { value: 'template', label: 'Sample' },
          { value: 'upload', label: 'Upload' },
          { value: 'path', label: 'Path' },
        ]}
      />
      {kind === 'template' ? <Samples file={file} onChange={onChange} /> : null}
      {kind === 'upload' ? <Uploads file={file} accept={field.accept} onChange={onChange} /> : null}
      {kind === 'path' ? (
        <SourceField
          key={file}
          label="Path of the file on this computer"
          placeholder="/data/rows.jsonl"
          value={kindOf(file) === 'path' ? file : ''}
          onTake={onChange}
        />
      ) : null}
      <Found />
    </div>
  )
}

function Samples({ file, onChange }: { file: string; onChange: (value: string) => void }) {
  const trpc = useTRPC()
  const { data } = useQuery({ ...trpc.templates.list.queryOptions(), staleTime: 60_000 })
  const samples = samplesIn(data ?? [])
  const options =
    file.startsWith('template:') && !samples.some((s) => s.value === file)
      ? [...samples, { value: file, label: file.slice(file.indexOf('/') + 1) }]
      : samples
  return (
    <Select
      label="Sample"
      value={file.startsWith('template:') ? file : undefined}
      placeholder="Choose a sample"
      options={options}
      onValueChange={onChange}
    />
  )
}

function Uploads({ file, accept, onChange }: { file: string; accept: readonly string[] | undefined; onChange: (value: string) => void }) {
  const trpc = useTRPC()
  const queries = useQueryClient()
  const input = useRef<HTMLInputElement>(null)
  const [over, setOver] = useState(false)
  const { data } = useQuery(trpc.artifacts.uploads.queryOptions())
  const send = useMutation({
    mutationFn: upload,
    onSuccess: (sent) => {
      onChange(sent.file)
      void queries.invalidateQueries({ queryKey: trpc.artifacts.uploads.queryKey() })
    },
  })
  const take = (files: FileList | null) => {
    const [first] = files ?? []
    if (first) send.mutate(first)
  }
  const earlier = (data ?? []).map((upload) => ({
    value: `upload:${upload.digest}/${upload.name}`,
    label: middle(upload.name, 30),
    note: bytes(upload.sizeBytes),
  }))
  const known = earlier.some((option) => option.value === file)
  const name = file.startsWith('upload:') ? file.slice(file.indexOf('/') + 1) : ''
  return (
    <>
      <button
        type="button"
        className={over ? 'drop over' : 'drop'}
        disabled={send.isPending}
        onClick={() => input.current?.click()}
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault()
          setOver(false)
          take(event.dataTransfer.files)
        }}
      >
        <Icon name="share" />
        {send.isPending ? 'Sending…' : 'Choose a file or drop it here'}
      </button>
      <input
        ref={input}
        type="file"
        className="vh"
        tabIndex={-1}
        aria-label="File to send"
        accept={accept?.join(',')}
        onChange={(event) => take(event.target.files)}
      />
      {send.isError ? (
        <p className="err">
          <Icon name="error" size={14} />
          <span>{saidBy(send.error)}</span>
        </p>
      ) : null}
      {earlier.length > 0 || name !== '' ? (
        <Select
          label="Files sent before"
          value={file.startsWith('upload:') ? file : undefined}
          placeholder="Files sent before"
          options={known || name === '' ? earlier : [{ value: file, label: middle(name, 30) }, ...earlier]}
          onValueChange={onChange}
        />
      ) : null}
    </>
  )
}

/** `upload` rejects with a fault of the server or with one of its own making. */
const saidBy = (error: unknown): string => {
  const { message, fix } = typeof (error as Fault | null)?.code === 'string' ? (error as Fault) : faultOf(error)
  return typeof fix === 'string' ? `${message} ${fix}` : message
}

const FORMAT: Record<string, string> = {
  alpaca: 'instructions (Alpaca)',
  sharegpt: 'conversations (ShareGPT)',
  messages: 'messages',
  prompt_completion: 'prompt and completion',
  preference: 'preference pairs',
  unpaired_preference: 'rated answers',
  text: 'text',
  table: 'a table',
}

/** What the server found in the file: format and why, rows, columns. */
function Found() {
  const { inferred } = useForm()
  const fact = inferred?.fact
  if (inferred?.request && fact === undefined) return <p className="help">Looking into the file…</p>
  if (fact?.kind !== 'data') return null
  const { header } = fact
  return (
    <dl className="facts">
      <div>
        <dt>Found</dt>
        <dd title={header.detected?.reason}>
          {header.detected ? (FORMAT[header.detected.format] ?? header.detected.format) : 'no known format'}
        </dd>
      </div>
      <div>
        <dt>Rows</dt>
        <dd>
          {header.rowsExact ? '' : 'about '}
          {count(header.rows)} · {bytes(header.sizeBytes)}
        </dd>
      </div>
      <div>
        <dt>Columns</dt>
        <dd className="cols">
          {header.columns.slice(0, 8).map((column) => (
            <code key={column}>{column}</code>
          ))}
          {header.columns.length > 8 ? <span className="muted">and {header.columns.length - 8} more</span> : null}
        </dd>
      </div>
    </dl>
  )
}
