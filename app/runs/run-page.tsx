'use client'
import Link from 'next/link'
import { useState } from 'react'
import { faultOf } from '../fault'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { LayerStrip, StripCounts } from '../ui/layer-strip'
import { Notice } from '../ui/notice'
import { PageHeader } from '../ui/page-header'
import { State } from '../ui/state'
import { ThemeSwitch } from '../ui/theme'
import { duration, plural, when } from '../ui/words'
import { RunAnnouncer } from './announcer'
import { curveNode, LossCurve } from './curves-tab'
import { RUN_ENDED } from './events'
import { useLiveRun } from './live'
import { LogTab } from './log-tab'
import { NodeList } from './node-list'
import { NodeTools } from './node-tools'
import { OutputsTab } from './outputs-tab'
import { RUN_STATE, Training } from './progress-tab'
import { RootCause } from './root-cause'
import { RunLabels } from './run-labels'
import { RunTools } from './run-tools'
import { doneOf, runWords } from './show'
import { useTabTitle } from './tab-title'
import { type RunView, useRunView } from './use-run-view'

/** One run on a page of its own, read-only, also at 390 px (UX-8, UX-70): it shows the settings it ran with, never the editor's. */
export function RunPage({ id }: { id: string }) {
  const { error, refetch } = useLiveRun(id)
  const { view } = useRunView(id)
  useTabTitle(view?.run, view?.snapshot.run.pipelineName ?? 'Run')
  return (
    <div className="page">
      <PageHeader>
        <div className="min-w-0">
          <h1 className="ell font-semibold leading-[18px]">{view ? view.snapshot.run.pipelineName : 'Run'}</h1>
          {view ? (
            <p className="muted ell text-12">
              Run {view.snapshot.run.number}
              {view.snapshot.run.name ? ` · ${view.snapshot.run.name}` : ''} · read only
            </p>
          ) : null}
        </div>
        <span className="row ml-auto gap-1">
          {view ? <RunTools snapshot={view.snapshot} /> : null}
          {view ? (
            <Button variant="ghost" asChild className="max-sm:hidden">
              <Link href={`/pipelines/${view.snapshot.run.pipelineId}`}>Open pipeline</Link>
            </Button>
          ) : null}
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="run-page">
        {view ? (
          <Body view={view} />
        ) : error ? (
          <Notice
            tone="error"
            title="This run could not be read"
            actions={
              <Button size="sm" icon="reset" onClick={() => void refetch()}>
                Read again
              </Button>
            }
          >
            {faultOf(error).message} {faultOf(error).fix}
          </Notice>
        ) : (
          <p className="late muted">Reading the run</p>
        )}
      </main>
    </div>
  )
}

function Body({ view: { run, nodes, snapshot } }: { view: RunView }) {
  const [log, setLog] = useState(false)
  const training = nodes.find((node) => node.type.startsWith('train') && run.nodes[node.id]?.status === 'running')
  const curve = curveNode(run, nodes, null)
  const series = curve ? run.nodes[curve.id]?.series : undefined
  const state = curve ? run.nodes[curve.id] : undefined
  const { ended, all } = doneOf(run)
  const took = run.startedAt && run.endedAt ? (Date.parse(run.endedAt) - Date.parse(run.startedAt)) / 1000 : null
  const strip = modelOf(run)
  return (
    <>
      <RunAnnouncer run={run} nodes={nodes} />
      {run.status === 'failed' ? (
        <RootCause run={run} nodes={nodes} number={snapshot.run.number} actions={null} />
      ) : (
        <section className="card pcard" aria-label="State">
          <div className="row">
            <State state={RUN_STATE[run.status]} training={training !== undefined}>
              {runWords(run, nodes)}
            </State>
            <span className="muted num ml-auto text-12">
              {ended} of {plural(all, 'node')} ended
            </span>
          </div>
          {training ? (
            <div className="mt-2">
              <Training run={run} node={training} large />
            </div>
          ) : null}
        </section>
      )}
      {strip ? (
        <section className="card pcard" aria-label="What may change">
          <h2 className="h-sec row mb-2">
            What may change <span className="muted ml-auto font-normal">{strip.name}</span>
          </h2>
          <LayerStrip size="lg" model={strip.model} live={training !== undefined} />
          <div className="mt-1">
            <StripCounts model={strip.model} />
          </div>
        </section>
      ) : null}
      {curve && series && series.steps.length > 1 ? (
        <section className="card pcard" aria-label="Loss">
          <h2 className="h-sec row">
            Loss by step
            <span className="row muted ml-auto gap-3 font-normal">
              <span className="chart-key">
                <svg width="16" height="8" aria-hidden="true">
                  <line x1="0" x2="16" y1="4" y2="4" stroke="var(--thaw)" strokeWidth="2" />
                </svg>
                Training
              </span>
              <span className="chart-key">
                <svg width="10" height="10" aria-hidden="true">
                  <circle cx="5" cy="5" r="3.25" fill="var(--surface)" stroke="var(--ink)" strokeWidth="1.5" />
                </svg>
                Validation
              </span>
            </span>
          </h2>
          <div className="h-[200px]">
            <LossCurve
              series={series}
              title={curve.title}
              live={state?.status === 'running'}
              until={state?.status === 'running' && state.progress?.unit === 'steps' ? state.progress.total : undefined}
              log
              smoothing={0.6}
            />
          </div>
        </section>
      ) : null}
      <section className="card" aria-label="Nodes">
        <h2 className="ph">
          Nodes
          <span className="muted ml-auto font-normal">
            {ended} of {all} ended
          </span>
        </h2>
        <NodeList
          run={run}
          nodes={nodes}
          tools={
            RUN_ENDED.has(run.status) ? (node) => <NodeTools run={run.id} node={node} status={run.nodes[node.id]?.status} /> : undefined
          }
        />
      </section>
      <OutputsTab run={run} nodes={nodes} />
      <RunLabels key={snapshot.run.id} run={snapshot.run} />
      <section className="card pcard" aria-label="This run">
        <dl>
          <div className="kv">
            <dt>Started</dt>
            <dd className="num">{when(snapshot.run.createdAt)}</dd>
          </div>
          {took === null ? null : (
            <div className="kv">
              <dt>Took</dt>
              <dd className="num">{duration(took)}</dd>
            </div>
          )}
          <div className="kv">
            <dt>Version of the pipeline</dt>
            <dd className="num">{snapshot.run.versionNumber}</dd>
          </div>
          <div className="kv">
            <dt>Plan</dt>
            <dd>{snapshot.plan.summary.text}</dd>
          </div>
        </dl>
        <p className="help mt-2">Closing this page stops nothing. To change the pipeline, open it on a wider screen.</p>
        <Button className="mt-3" size="sm" aria-expanded={log} onClick={() => setLog(!log)}>
          <Icon name={log ? 'down' : 'right'} size={12} />
          Log
        </Button>
      </section>
      {log ? (
        <section className="card h-[360px] overflow-hidden" aria-label="Log">
          <LogTab run={run} nodes={nodes} />
        </section>
      ) : null}
    </>
  )
}

/** The model that this run trains or trained, as far as its outputs say. */
function modelOf(run: RunView['run']): { name: string; model: { blocks: readonly number[]; embeddings: number; head: number } } | null {
  for (const node of Object.values(run.nodes)) {
    const model = node.outputs?.model as
      | { base?: { name?: string }; trainable?: { blocks: number[]; embeddings: number; head: number } | null }
      | undefined
    if (model?.trainable) return { name: model.base?.name ?? '', model: model.trainable }
  }
  return null
}
