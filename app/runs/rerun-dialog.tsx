'use client'
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useMemo, useRef, useState } from 'react'
import { registry } from '../../nodes'
import { applyInputs } from '../../nodes/_kit/migrate'
import { defOf, titleOf } from '../../nodes/_kit/wires'
import { faultOf } from '../fault'
import { type FormContext, FormProvider } from '../forms/form-context'
import { ParamForm } from '../forms/param-form'
import { fieldsOf } from '../forms/schema'
import { useTRPC } from '../trpc'
import { Button, IconButton } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { Field, Input } from '../ui/field'
import { Empty, Notice } from '../ui/notice'
import { Select } from '../ui/select'
import { Segmented } from '../ui/toggles'
import { DataChanges } from './data-changes'
import { compareHref } from './links'
import type { Snapshot } from './live'

const KEPT = '\u0001'

/** Rerun with new data (UX-78, R-100): choose the data, see what differs, map columns, start; the comparison opens. */
export function RerunDialog({
  snapshot,
  open,
  onOpenChange,
}: {
  snapshot: Snapshot
  open: boolean
  onOpenChange: (open: boolean) => void
}) {
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Rerun with new data"
      description={`${snapshot.run.pipelineName}, from run ${snapshot.run.number}`}
      size="xl"
      footer={null}
    >
      {open ? <Rerun snapshot={snapshot} onClose={() => onOpenChange(false)} /> : null}
    </Dialog>
  )
}

function Rerun({ snapshot, onClose }: { snapshot: Snapshot; onClose: () => void }) {
  const { run, document } = snapshot
  const trpc = useTRPC()
  const router = useRouter()
  const queries = useQueryClient()
  const [inputs, setInputs] = useState<Record<string, unknown>>({})
  const [startFrom, setStartFrom] = useState<'base' | 'last'>('base')
  const [name, setName] = useState('')
  const [note, setNote] = useState('')
  // One key for this dialog: a double click makes one run (R-29).
  const key = useRef(crypto.randomUUID())
  const changed = Object.keys(inputs).length > 0
  const { data, error, isFetching } = useQuery({
    ...trpc.runs.rerunPlan.queryOptions({ run: run.id, inputs, startFrom }),
    enabled: changed || startFrom === 'last',
    placeholderData: keepPreviousData,
    retry: false,
  })
  const start = useMutation(
    trpc.runs.rerun.mutationOptions({
      onSuccess: (made) => {
        void queries.invalidateQueries({ queryKey: trpc.runs.list.queryKey() })
        router.push(compareHref([run.id, made.run]))
        onClose()
      },
    }),
  )
  const trained = snapshot.nodes.some((node) => node.type.startsWith('train') && (node.status === 'done' || node.status === 'reused'))
  const blocked = data?.plan.nodes.filter((node) => node.action === 'blocked') ?? []
  // What only waits for another blocked node says nothing new.
  const roots = blocked.filter((node) => node.reasons.some((reason) => reason.code !== 'upstream-blocked'))
  const mapped = new Set(
    Object.entries(inputs).flatMap(([id, value]) => (id.includes('.') && typeof value === 'string' && value !== '' ? [value] : [])),
  )
  if (document.inputs.length === 0) {
    return (
      <Empty icon="sliders" title="Nothing is exposed">
        In the editor, open the menu of the node that reads the data, choose “Exposed settings” and tick its file. Reruns then ask for it.
      </Empty>
    )
  }
  const fault = error ?? start.error
  return (
    <div className="rerun">
      <div className="rerun-form form">
        <h3 className="h-sec">Inputs</h3>
        {document.inputs.map((input) => (
          <InputOf
            key={input.id}
            snapshot={snapshot}
            input={input}
            inputs={inputs}
            onChange={(value) => setInputs((now) => ({ ...now, [input.id]: value }))}
          />
        ))}
        <h3 className="h-sec">Start from</h3>
        <Segmented
          fill
          label="Start from"
          value={startFrom}
          onValueChange={setStartFrom}
          items={[
            { value: 'base', label: 'Base model' },
            { value: 'last', label: `Model of run ${run.number}`, disabled: !trained },
          ]}
        />
        <p className="help">
          {startFrom === 'base'
            ? `As run ${run.number} did. Comparable with it.`
            : `Training goes on from the weights that run ${run.number} ended with; the lineage of the model says so.`}
        </p>
        <Field label="Name" aside="optional">
          {(ids) => <Input {...ids} value={name} maxLength={200} onChange={(event) => setName(event.target.value)} />}
        </Field>
        <Field label="Note" aside="optional">
          {(ids) => <Input {...ids} value={note} maxLength={2_000} onChange={(event) => setNote(event.target.value)} />}
        </Field>
      </div>
      <div className="rerun-data">
        <h3 className="h-sec">What is in the new data</h3>
        {fault ? (
          <Notice tone="error" title={start.error ? 'Not started' : 'This data cannot be used'}>
            {faultOf(fault).message} {faultOf(fault).fix}
          </Notice>
        ) : !changed && startFrom === 'base' ? (
          <p className="muted">
            Choose another file at the left: its columns, labels, lengths and repeats are compared before anything runs.
          </p>
        ) : data ? (
          <>
            {data.data.map((one) => (
              <section key={one.input} aria-label={one.title} className="grid gap-3">
                <DataChanges changes={one} names={[one.names.earlier, one.names.later]} mapped={mapped} />
                {one.whole ? null : <p className="help">Only the first part of the files was compared: they are large.</p>}
                <Mapping
                  comparison={one}
                  inputs={inputs}
                  onChange={(param, value) =>
                    setInputs((now) => {
                      const { [`${one.input}.${param}`]: _, ...rest } = now
                      return value === KEPT ? rest : { ...rest, [`${one.input}.${param}`]: value }
                    })
                  }
                />
              </section>
            ))}
            {roots.map((node) => (
              <Notice key={node.node} tone="error" title={`${node.title} cannot run`}>
                {node.reasons.map((reason) => reason.text).join(' ')}
              </Notice>
            ))}
          </>
        ) : (
          <p className="late muted">Comparing</p>
        )}
      </div>
      <div className="rerun-foot">
        <Command snapshot={snapshot} inputs={inputs} />
        <span className="muted num text-12">{isFetching ? 'Planning' : (data?.plan.summary.text ?? '')}</span>
        <Button
          variant="primary"
          icon="play"
          disabled={(!changed && startFrom === 'base') || !data || isFetching || error !== null || blocked.length > 0 || start.isPending}
          onClick={() => start.mutate({ run: run.id, inputs, startFrom, name: name || null, note, idempotencyKey: key.current })}
        >
          {start.isPending ? 'Starting' : 'Start'}
        </Button>
      </div>
    </div>
  )
}

type ExposedInput = Snapshot['document']['inputs'][number]

/** One exposed setting with its own widget, holding the value for this rerun only. */
function InputOf({
  snapshot,
  input,
  inputs,
  onChange,
}: {
  snapshot: Snapshot
  input: ExposedInput
  inputs: Readonly<Record<string, unknown>>
  onChange: (value: unknown) => void
}) {
  const { document, run } = snapshot
  const now = useMemo(() => applyInputs(document, { ...run.inputs, ...inputs }).document, [document, run.inputs, inputs])
  const params = now.nodes[input.node]?.params ?? {}
  const def = defOf(document, registry, input.node)
  const fields = def
    ? fieldsOf(def.params)
        .filter((field) => field.name === input.param)
        .map((field) => ({ ...field, title: input.title, description: input.help ?? field.description, advanced: false }))
    : []
  const form: FormContext = {
    node: input.node,
    params,
    inferred: undefined,
    problems: [],
    change: ({ set }) => {
      if (input.param in set) onChange(set[input.param])
    },
    done: () => undefined,
    fix: () => undefined,
  }
  return (
    <section aria-label={input.title}>
      <p className="muted text-12">{titleOf(document, registry, input.node)}</p>
      <FormProvider value={form}>
        <ParamForm fields={fields} />
      </FormProvider>
    </section>
  )
}

type Comparison = {
  input: string
  mapping: { param: string; title: string; value: string; options: string[] }[]
  columns: { name: string; earlier: string | null; later: string | null; suggestion: string | null }[]
}

/** Names for columns that are called otherwise in the new file. */
function Mapping({
  comparison: { input, mapping, columns },
  inputs,
  onChange,
}: {
  comparison: Comparison
  inputs: Readonly<Record<string, unknown>>
  onChange: (param: string, value: string) => void
}) {
  const gone = columns.filter((one) => one.earlier !== null && one.later === null)
  const set = mapping.some(({ param }) => `${input}.${param}` in inputs)
  if (mapping.length === 0 || (gone.length === 0 && !set)) return null
  return (
    <div className="grid gap-2">
      <h4 className="h-sec">Columns with other names</h4>
      <p className="help">
        {gone.map((one) => `${one.name}${one.suggestion ? ` is probably ${one.suggestion}` : ''}`).join(', ')}. Name what the columns are
        called in the new file.
      </p>
      <div className="grid grid-cols-3 gap-2">
        {mapping.map(({ param, title, options, value }) => (
          <Field key={param} label={title}>
            {(ids) => (
              <Select
                {...ids}
                value={`${input}.${param}` in inputs ? String(inputs[`${input}.${param}`]) : value === '' ? KEPT : value}
                onValueChange={(next) => onChange(param, next)}
                options={[{ value: KEPT, label: 'as it was' }, ...options.map((name) => ({ value: name, label: name }))]}
              />
            )}
          </Field>
        ))}
      </div>
    </div>
  )
}

const quoted = (text: string) => (/^[\w./:=@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`)

/** The same on the command line, to copy. */
function Command({ snapshot, inputs }: { snapshot: Snapshot; inputs: Readonly<Record<string, unknown>> }) {
  const [copied, setCopied] = useState(false)
  const text = [
    'thaw',
    'rerun',
    String(snapshot.run.number),
    ...Object.entries(inputs).flatMap(([id, value]) => [
      '--input',
      quoted(`${id}=${typeof value === 'string' ? value : JSON.stringify(value)}`),
    ]),
  ].join(' ')
  return (
    <span className="row min-w-0 flex-1 gap-1">
      <code className="ell text-12" title={text}>
        {text}
      </code>
      <IconButton
        icon={copied ? 'check' : 'copy'}
        size="sm"
        label={copied ? 'Copied' : 'Copy the command'}
        onClick={() => void navigator.clipboard.writeText(text).then(() => setCopied(true))}
      />
    </span>
  )
}
