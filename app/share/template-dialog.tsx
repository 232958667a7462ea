'use client'
/** Save as template… (UX-96): what others fill in, what was removed, and the picture, before anything is written. */
import { useMutation, useQueryClient } from '@tanstack/react-query'
import dynamic from 'next/dynamic'
import Link from 'next/link'
import { useState } from 'react'
import type { Registry } from '../../nodes/_kit/define-node'
import type { ExposedInput, Pipeline } from '../../nodes/_kit/graph'
import { writePipelineFile } from '../../nodes/_kit/pipeline-file'
import { portable } from '../../nodes/_kit/portable'
import { own, titleOf } from '../../nodes/_kit/wires'
import { useEditor, useStores } from '../canvas/context'
import { type Fault, faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Dialog } from '../ui/dialog'
import { Field, Input } from '../ui/field'
import { Icon } from '../ui/icon'
import { Notice } from '../ui/notice'
import { Select } from '../ui/select'
import { Count } from '../ui/tag'
import { toast } from '../ui/toast'
import { Checkbox } from '../ui/toggles'
import { plural } from '../ui/words'
import { fileNameOf, saveFile } from './save-file'

const Thumbnail = dynamic(() => import('../start/thumbnail'), { ssr: false, loading: () => null })

export const TASKS = ['Extraction', 'Classification', 'Writing', 'Analysis', 'Layers', 'Data quality'] as const
export type Task = (typeof TASKS)[number]

/** Settings that people change most, offered besides files and models. */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  'load-data': ['file'],
  'load-model': ['model'],
  'freeze-layers': ['count'],
  train: ['learning_rate', 'num_train_epochs'],
  export: ['name'],
}

type Choice = { key: string; on: boolean; input: ExposedInput; of: string; sample: string }

function choicesOf(document: Pipeline, registry: Registry): Choice[] {
  const words = (value: unknown) =>
    value === undefined ? 'default' : typeof value === 'string' ? (value.split('/').at(-1) ?? value) : JSON.stringify(value)
  const known = document.inputs.map(
    (input): Choice => ({
      key: `${input.node}.${input.param}`,
      on: true,
      input,
      of: titleOf(document, registry, input.node),
      sample: words(document.nodes[input.node]?.params[input.param]),
    }),
  )
  const more = Object.entries(document.nodes).flatMap(([node, { type, params }]) =>
    (USUAL[type] ?? []).flatMap((param): Choice[] => {
      const field = own(registry, type)?.params.shape[param] as { meta?: () => { title?: string } | undefined } | undefined
      const key = `${node}.${param}`
      if (!field || known.some((choice) => choice.key === key)) return []
      const title = field.meta?.()?.title ?? param
      const id = `${node}-${param}`.replace(/[^A-Za-z0-9_-]/g, '-').slice(0, 64)
      return [{ key, on: false, input: { id, title, node, param }, of: titleOf(document, registry, node), sample: words(params[param]) }]
    }),
  )
  return [...known, ...more]
}

export function TemplateDialog({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  // Made anew each time it opens, from the document as it is then.
  return open ? <Body onClose={() => onOpenChange(false)} /> : null
}

function Body({ onClose }: { onClose: () => void }) {
  const { registry } = useStores()
  const trpc = useTRPC()
  const queries = useQueryClient()
  const document = useEditor((s) => s.document)
  const pipelineName = useEditor((s) => s.name)
  const [title, setTitle] = useState(pipelineName)
  const [sentence, setSentence] = useState('')
  const [task, setTask] = useState<Task>('Extraction')
  const [choices, setChoices] = useState(() => choicesOf(document, registry))
  const [fault, setFault] = useState<Fault | null>(null)
  const save = useMutation(trpc.templates.save.mutationOptions())
  const { document: clean, removed } = portable(document, registry)
  const change = (key: string, to: Partial<Choice>) =>
    setChoices((all) => all.map((choice) => (choice.key === key ? { ...choice, ...to } : choice)))
  const template = (): Pipeline => ({ ...clean, inputs: choices.filter(({ on }) => on).map(({ input }) => input) })
  const submit = async () => {
    try {
      const { version } = await save.mutateAsync({ title, sentence, task, minutes: null, expected: null, document: template() })
      await queries.invalidateQueries({ queryKey: trpc.templates.list.queryKey() })
      toast(version > 1 ? `${title} saved as version ${version}` : `${title} is among the templates`)
      onClose()
    } catch (error) {
      setFault(faultOf(error))
    }
  }
  return (
    <Dialog
      open
      onOpenChange={(next) => !next && onClose()}
      title="Save as template"
      description={pipelineName}
      size="xl"
      footer={
        <>
          <span className="muted text-12 mr-auto">Saved on this computer. The pipeline itself stays as it is.</span>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            icon="download"
            onClick={() => saveFile(`${fileNameOf(title)}.thaw.json`, writePipelineFile(template(), title, ''), 'application/json')}
          >
            Save as file
          </Button>
          <Button variant="primary" disabled={title.trim() === '' || save.isPending} onClick={() => void submit()}>
            {save.isPending ? 'Saving' : 'Save template'}
          </Button>
        </>
      }
    >
      <div className="tpl">
        <div className="tpl-main">
          {fault ? (
            <Notice tone="error" title={fault.message} className="mb-4">
              {fault.fix}
            </Notice>
          ) : null}
          <div className="tpl-names">
            <Field label="Name">
              {(ids) => <Input {...ids} value={title} maxLength={100} onChange={(event) => setTitle(event.target.value)} />}
            </Field>
            <Field label="Task">
              {(ids) => (
                <Select
                  {...ids}
                  value={task}
                  onValueChange={(next) => setTask(next as Task)}
                  options={TASKS.map((value) => ({ value, label: value }))}
                />
              )}
            </Field>
          </div>
          <Field label="What it does" aside={`${sentence.length} of 140 characters`}>
            {(ids) => <Input {...ids} value={sentence} maxLength={140} onChange={(event) => setSentence(event.target.value)} />}
          </Field>
          <h3 className="tpl-h">
            What others fill in <Count value={choices.filter(({ on }) => on).length} label="inputs" />
            <span className="muted text-12 font-normal">Everything else is fixed, but can be changed on the canvas.</span>
          </h3>
          <ul className="tpl-inputs">
            {choices.map(({ key, on, input, of, sample }) => (
              <li key={key}>
                <Checkbox label={`${input.title} of ${of}`} checked={on} onCheckedChange={(next) => change(key, { on: next })} />
                <Input
                  aria-label={`Label of ${input.param} of ${of}`}
                  value={input.title}
                  disabled={!on}
                  maxLength={100}
                  onChange={(event) => change(key, { input: { ...input, title: event.target.value } })}
                />
                <span className="ell text-12 text-ink-2">
                  {of}, <span className="mono">{input.param}</span>
                </span>
                <span className="ell text-12 muted">{sample}</span>
              </li>
            ))}
          </ul>
        </div>
        <div className="tpl-side">
          <section>
            <h3>Picture</h3>
            <div className="tpl-pic">
              <Thumbnail document={clean} label={`Picture of ${title}`} />
            </div>
          </section>
          <section>
            <h3>
              Removed <Count value={removed.length} label="things" />
              <span className="muted text-12 font-normal ml-auto">before anything is written</span>
            </h3>
            {removed.length === 0 ? <p className="muted text-12">Nothing: no secrets, no local paths.</p> : null}
            <ul>
              {removed.map(({ node, param, kind }) => (
                <li key={`${node}.${param}`} className="row gap-2 text-12">
                  <Icon name={kind === 'secret' ? 'error' : 'folder'} size={14} />
                  <span className="ell">
                    <span className="mono">{param}</span> <span className="muted">{titleOf(document, registry, node)}</span>
                  </span>
                  <span className="muted ml-auto">{kind === 'secret' ? 'secret' : 'local path'}</span>
                </li>
              ))}
            </ul>
          </section>
          <section>
            <h3>Kept</h3>
            <p className="row text-12">
              <span className="muted">Graph</span>
              <span className="ml-auto">
                {plural(Object.keys(clean.nodes).length, 'node')}, {plural(clean.edges.length, 'wire')}
              </span>
            </p>
            <p className="row text-12">
              <span className="muted">Notes</span>
              <span className="ml-auto">{clean.notes.length}</span>
            </p>
          </section>
          <p className="text-12">
            <Link href="/templates">All templates</Link>
          </p>
        </div>
      </div>
    </Dialog>
  )
}
