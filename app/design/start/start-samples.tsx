'use client'
import { useState } from 'react'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { type StartPipeline, type StartTemplate, StartView } from '../../start/start-view'
import Thumbnail from '../../start/thumbnail'
import { Icon } from '../../ui/icon'
import { Segmented } from '../../ui/toggles'

const node = (type: string, params: Record<string, unknown> = {}) => ({ type, version: 1, params })
const edge = (from: string, to: string) => {
  const [a = '', b = ''] = from.split('.')
  const [c = '', d = ''] = to.split('.')
  return { from: { node: a, port: b }, to: { node: c, port: d } }
}
/** The shape of the shipped pipelines, so that the pictures can be judged without a server. */
export const SAMPLE_PIPELINE: Pipeline = {
  schemaVersion: 1,
  nodes: {
    model: node('load-model', { model: 'builtin:smollm2-135m-instruct' }),
    freeze: node('freeze-layers', { mode: 'last', count: 10 }),
    data: node('load-data', { file: 'template:contract-fields/contracts.jsonl' }),
    split: node('split-data'),
    train: node('train'),
    validate: node('validate'),
    export: node('export'),
  },
  edges: [
    edge('model.model', 'freeze.model'),
    edge('freeze.model', 'train.model'),
    edge('data.data', 'split.data'),
    edge('split.train', 'train.data'),
    edge('train.model', 'validate.model'),
    edge('split.test', 'validate.data'),
    edge('train.model', 'export.model'),
  ],
  inputs: [],
  notes: [],
  layout: {
    nodes: {
      model: { x: 0, y: 0 },
      freeze: { x: 260, y: 0 },
      data: { x: 0, y: 260 },
      split: { x: 260, y: 260 },
      train: { x: 520, y: 110 },
      export: { x: 780, y: 0 },
      validate: { x: 780, y: 260 },
    },
    groups: [],
  },
}

const TEMPLATES: StartTemplate[] = [
  [
    'first-look',
    'First look',
    'Trains the tiny model that comes with Thaw on a short text, in seconds.',
    0.8,
    '40 kB of speeches',
    '3 MB, included',
  ],
  [
    'contract-fields',
    'Contract fields',
    'Reads six fields out of contract clauses and checks them on clauses it never saw.',
    4,
    '300 clauses, 210 kB',
    'SmolLM2, 98 MB to download once',
  ],
].map(([id, title, sentence, minutes, dataNote, modelNote]) => ({
  id: id as string,
  title: title as string,
  sentence: sentence as string,
  minutes: minutes as number,
  dataNote: dataNote as string,
  modelNote: modelNote as string,
  picture: <Thumbnail document={SAMPLE_PIPELINE} facts={{}} label={`Pipeline of ${title}`} />,
}))
const RECENT: StartPipeline[] = [
  { id: '1', name: 'Contract fields', nodes: 8, when: '12:04', run: { number: 14, state: 'running', words: 'Running' } },
  {
    id: '2',
    name: 'Supplier letters, second try with the long name that somebody gave it',
    nodes: 7,
    when: '9 Oct',
    run: { number: 9, state: 'failed', words: 'Failed' },
  },
  { id: '3', name: 'Untitled', nodes: 0, when: '8 Oct', run: null },
  { id: '4', name: 'First look', nodes: 6, when: '7 Oct', run: { number: 2, state: 'done', words: 'Done' } },
]

export function StartSamples() {
  const [view, setView] = useState<'first' | 'later' | 'loading' | 'failed' | 'empty'>('first')
  const failed = {
    state: 'failed',
    message: 'Thaw does not answer.',
    fix: 'Look whether npm start still runs, then try again.',
    retry: () => {},
  } as const
  return (
    <>
      <div className="flex justify-center pt-2">
        <Segmented
          label="State of the page"
          value={view}
          onValueChange={setView}
          items={(['first', 'later', 'loading', 'failed', 'empty'] as const).map((value) => ({ value, label: value }))}
        />
      </div>
      <StartView
        templates={
          view === 'loading'
            ? { state: 'loading' }
            : view === 'failed'
              ? failed
              : { state: 'ready', value: view === 'empty' ? [] : TEMPLATES }
        }
        recent={view === 'failed' ? failed : { state: 'ready', value: view === 'later' ? RECENT : [] }}
        opening={null}
        problem={
          view === 'failed'
            ? {
                title: 'notes.pdf did not open',
                message: 'notes.pdf is not a kind of file that opens here.',
                fix: 'Open a pipeline (.thaw.json) or data.',
              }
            : null
        }
        dropping={false}
        onTemplate={() => {}}
        onBlank={() => {}}
        onOpenFile={() => {}}
        status={
          <span className="row">
            <Icon name="cpu" size={14} />
            TensorFlow on 2 CPU cores · 68 GB free
          </span>
        }
      />
    </>
  )
}
