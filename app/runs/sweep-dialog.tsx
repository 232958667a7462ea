'use client'
import { keepPreviousData, useMutation, useQuery } from '@tanstack/react-query'
import { useRouter } from 'next/navigation'
import { useRef, useState } from 'react'
import { registry } from '../../nodes'
import { parseValues, SWEEP_LIMITS, type SweepAxis, sweepSize } from '../../nodes/_kit/sweep'
import { defOf, titleOf } from '../../nodes/_kit/wires'
import { faultOf } from '../fault'
import { fieldsOf } from '../forms/schema'
import { useTRPC } from '../trpc'
import { Button, IconButton } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { Field, Input } from '../ui/field'
import { Notice } from '../ui/notice'
import { Select } from '../ui/select'
import { about, plural } from '../ui/words'
import type { Snapshot } from './live'

type Line = { id: number; at: string; text: string }

/** Params that a list of values makes sense for, training first. */
function choices({ document }: Snapshot): { value: string; label: string; note: string }[] {
  const nodes = Object.keys(document.nodes).sort(
    (a, b) => Number(document.nodes[b]?.type.startsWith('train')) - Number(document.nodes[a]?.type.startsWith('train')),
  )
  return nodes.flatMap((id) => {
    const def = defOf(document, registry, id)
    return (def ? fieldsOf(def.params) : [])
      .filter(
        (field) => ['number', 'choice', 'flag', 'text'].includes(field.shape.kind) && field.widget !== 'file' && field.widget !== 'model',
      )
      .map((field) => ({ value: `${id}\n${field.name}`, label: field.title, note: titleOf(document, registry, id) }))
  })
}

/** Lists or ranges for any settings; the plan says how many runs and how long before anything starts (UX-77). */
export function SweepDialog({
  snapshot,
  open,
  onOpenChange,
}: {
  snapshot: Snapshot
  open: boolean
  onOpenChange: (open: boolean) => void
}) {
  const trpc = useTRPC()
  const router = useRouter()
  const options = choices(snapshot)
  const first = options.find((option) => option.value.endsWith('\nlearning_rate')) ?? options[0]
  const counter = useRef(1)
  const [lines, setLines] = useState<readonly Line[]>([{ id: 0, at: first?.value ?? '', text: '' }])
  const key = useRef(crypto.randomUUID())
  const parsed = lines.map((line) => ({ ...line, values: line.text.trim() === '' ? null : parseValues(line.text) }))
  const axes: SweepAxis[] = parsed.flatMap(({ at, values }) => {
    const [node = '', param = ''] = at.split('\n')
    return values ? [{ node, param, values }] : []
  })
  const ready = axes.length === lines.length
  const size = sweepSize(axes)
  const { data, error, isFetching } = useQuery({
    ...trpc.runs.sweepPlan.queryOptions({ run: snapshot.run.id, axes }),
    enabled: open && ready && size <= SWEEP_LIMITS.runs,
    placeholderData: keepPreviousData,
    retry: false,
  })
  const start = useMutation(trpc.runs.startSweep.mutationOptions({ onSuccess: (made) => router.push(`/runs/sweeps/${made.sweep}`) }))
  const change = (id: number, next: Partial<Line>) => setLines(lines.map((line) => (line.id === id ? { ...line, ...next } : line)))
  const fault = start.error ?? (ready ? error : null)
  return (
    <Dialog
      open={open}
      onOpenChange={onOpenChange}
      title="Sweep"
      description={`${snapshot.run.pipelineName}, from run ${snapshot.run.number}`}
      size="lg"
      footer={
        <>
          <span className="muted num mr-auto text-12">
            {!ready
              ? ''
              : size > SWEEP_LIMITS.runs
                ? `${plural(size, 'run')}: at most ${SWEEP_LIMITS.runs}`
                : isFetching
                  ? 'Planning'
                  : data
                    ? `${plural(data.runs, 'run')}, ${about(data.seconds)} in all`
                    : ''}
          </span>
          <Button
            variant="primary"
            icon="play"
            disabled={!ready || !data || error !== null || size > SWEEP_LIMITS.runs || start.isPending}
            onClick={() => start.mutate({ run: snapshot.run.id, axes, idempotencyKey: key.current })}
          >
            {start.isPending ? 'Queueing' : 'Start the sweep'}
          </Button>
        </>
      }
    >
      <div className="form">
        <p className="help">
          Every combination is one run. Values with commas between them, or a range: <code>1e-4..1e-2 x5 log</code>. Several seeds are a
          setting like any other, and tell how much of a difference is chance.
        </p>
        {parsed.map((line) => (
          <div key={line.id} className="row items-end gap-2">
            <Field label="Setting" className="w-64">
              {(ids) => <Select {...ids} value={line.at} onValueChange={(at) => change(line.id, { at })} options={options} />}
            </Field>
            <Field
              label="Values"
              className="flex-1"
              error={line.text.trim() !== '' && line.values === null ? 'A list with commas, or low..high x3.' : undefined}
            >
              {(ids) => (
                <Input
                  {...ids}
                  mono
                  placeholder="1e-4, 2e-4, 5e-4"
                  value={line.text}
                  onChange={(event) => change(line.id, { text: event.target.value })}
                />
              )}
            </Field>
            <IconButton
              icon="close"
              label="Take this setting out"
              disabled={lines.length === 1}
              onClick={() => setLines(lines.filter((other) => other.id !== line.id))}
            />
          </div>
        ))}
        <div>
          <Button
            size="sm"
            icon="plus"
            disabled={lines.length >= SWEEP_LIMITS.axes}
            onClick={() => {
              const id = counter.current++
              const seed = options.find((option) => option.value.endsWith('\nseed') && !lines.some((line) => line.at === option.value))
              setLines([...lines, { id, at: seed?.value ?? first?.value ?? '', text: '' }])
            }}
          >
            Another setting
          </Button>
        </div>
        {fault ? (
          <Notice tone="error" title="This cannot run">
            {faultOf(fault).message} {faultOf(fault).fix}
          </Notice>
        ) : null}
      </div>
    </Dialog>
  )
}
