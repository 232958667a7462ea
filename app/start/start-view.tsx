'use client'
import Link from 'next/link'
import type { ReactNode } from 'react'
import { Button } from '../ui/button'
import { Icon, Mark } from '../ui/icon'
import { LayerStrip } from '../ui/layer-strip'
import { Empty, Notice } from '../ui/notice'
import { State, type StateName } from '../ui/state'
import { ThemeSwitch } from '../ui/theme'
import { plural } from '../ui/words'

export type StartTemplate = {
  id: string
  title: string
  sentence: string
  minutes: number | null
  dataNote: string
  modelNote: string
  /** What is still to be downloaded, if anything. */
  download?: ReactNode
  picture: ReactNode
}
export type StartPipeline = {
  id: string
  name: string
  nodes: number
  when: string
  run: { number: number; state: StateName; words: string } | null
}
/** What was read, what is being read, what went wrong: each list says it for itself. */
export type Loaded<T> =
  | { state: 'loading' }
  | { state: 'ready'; value: T }
  | { state: 'failed'; message: string; fix?: string | undefined; retry: () => void }

const HERO = { blocks: Array.from({ length: 30 }, (_, i) => (i >= 20 ? 1 : 0)) }

/** The start page (UX-1…UX-7), without knowledge of where its lists come from. */
export function StartView({
  templates,
  recent,
  opening,
  problem,
  status,
  dropping,
  onTemplate,
  onBlank,
  onOpenFile,
}: {
  templates: Loaded<readonly StartTemplate[]>
  recent: Loaded<readonly StartPipeline[]>
  /** Id of what is being opened: a template, `blank`, or a file name. */
  opening: string | null
  problem: { title: string; message: string; fix?: string | undefined } | null
  status: ReactNode
  dropping: boolean
  onTemplate: (id: string) => void
  onBlank: () => void
  onOpenFile: () => void
}) {
  const known = recent.state === 'ready' ? recent.value : []
  return (
    <div className="start">
      <header className="start-top">
        <Mark size={26} />
        <b className="text-16 tracking-tight">Thaw</b>
        <nav className="row ml-auto gap-1" aria-label="Thaw">
          <Button variant="ghost" asChild>
            <Link href="/templates">Templates</Link>
          </Button>
          <Button variant="ghost" asChild>
            <Link href="/runs">Runs</Link>
          </Button>
          <ThemeSwitch />
        </nav>
      </header>
      <main className="start-main">
        {/* Whether this is a first visit decides the page's shape: nothing is shown before that is known, so that nothing jumps. */}
        {recent.state === 'loading' ? (
          <h1 className="late muted">Reading your pipelines</h1>
        ) : known.length === 0 ? (
          <Hero />
        ) : (
          <h1 className="start-title">Fine-tune a model on your documents</h1>
        )}
        {problem ? (
          <Notice tone="error" title={problem.title} className="mb-6">
            {problem.message} {problem.fix}
          </Notice>
        ) : null}
        {recent.state === 'failed' ? <Failed what="Your pipelines" {...recent} /> : null}
        {known.length > 0 ? (
          <section aria-labelledby="recent" className="mb-9">
            <h2 id="recent" className="start-h">
              Your pipelines
            </h2>
            <ul className="recents">
              {known.map((pipeline) => (
                <li key={pipeline.id}>
                  <Link className="card recent" href={`/pipelines/${pipeline.id}`}>
                    <b className="ell">{pipeline.name}</b>
                    <span className="muted text-12">{pipeline.when}</span>
                    <span className="text-12">
                      {pipeline.run ? (
                        <span className="row gap-2">
                          <State state={pipeline.run.state}>{pipeline.run.words}</State>
                          <span className="muted">run {pipeline.run.number}</span>
                        </span>
                      ) : (
                        <State state="notrun" />
                      )}
                    </span>
                    <span className="muted text-12">{plural(pipeline.nodes, 'node')}</span>
                  </Link>
                </li>
              ))}
            </ul>
          </section>
        ) : null}
        <div
          className="starts"
          hidden={recent.state === 'loading'}
          data-few={templates.state === 'ready' && templates.value.length <= 2 ? true : undefined}
        >
          <section aria-labelledby="templates">
            <div className="start-h">
              <h2 id="templates">Start from a template</h2>
              <p className="muted">Model and sample data included.</p>
            </div>
            {templates.state === 'failed' ? <Failed what="The templates" {...templates} /> : null}
            {templates.state === 'loading' ? <p className="muted late">Reading the templates</p> : null}
            {templates.state === 'ready' && templates.value.length === 0 ? (
              <Empty
                framed
                icon="template"
                title="No templates are installed"
                action={
                  <Button icon="plus" onClick={onBlank}>
                    Blank pipeline
                  </Button>
                }
              >
                The folder templates/ of this installation is empty.
              </Empty>
            ) : null}
            {templates.state === 'ready' && templates.value.length > 0 ? (
              <ul className="templates">
                {templates.value.map((template) => (
                  <li key={template.id}>
                    <TemplateCard
                      template={template}
                      busy={opening === template.id}
                      disabled={opening !== null}
                      onOpen={() => onTemplate(template.id)}
                    />
                  </li>
                ))}
              </ul>
            ) : null}
          </section>
          <section className="alts" aria-label="Start without a template">
            <button type="button" className="card alt" onClick={onBlank} disabled={opening !== null}>
              <span className="sq">
                <Icon name="plus" />
              </span>
              <span>
                <b>Blank pipeline</b>
                <span className="muted">Build it node by node</span>
              </span>
              <kbd className="ml-auto">N</kbd>
            </button>
            <button type="button" className="card alt" onClick={onOpenFile} disabled={opening !== null}>
              <span className="sq">
                <Icon name="folder" />
              </span>
              <span>
                <b>Open file</b>
                <span className="muted">A pipeline, what carries one, or data</span>
              </span>
              <kbd className="ml-auto">O</kbd>
            </button>
            <div className="drop" data-over={dropping || undefined}>
              <Icon name="download" />
              <span>{dropping ? 'Drop it to open it' : 'or drop a pipeline or a data file anywhere'}</span>
            </div>
          </section>
        </div>
      </main>
      <footer className="start-foot">{status}</footer>
    </div>
  )
}

function Hero() {
  return (
    <section className="hero">
      <div>
        <h1>Fine-tune a model on your documents</h1>
        <p>Choose which layers may change. Watch them learn. Keep what the model already knew.</p>
      </div>
      <figure>
        <LayerStrip model={HERO} className="huge" label="A model of 30 blocks: 20 frozen, 10 trainable" />
        <figcaption>
          <span>
            <b className="text-ice-text">20 blocks frozen</b>
            <br />
            stay exactly as they were
          </span>
          <span>
            <b className="text-thaw-text">10 blocks trainable</b>
            <br />
            learn your documents
          </span>
        </figcaption>
      </figure>
    </section>
  )
}

/** Times come from the template's own measurement until this computer has one (UX-2). */
const minutesWords = (minutes: number | null) =>
  minutes === null ? 'not timed yet' : minutes < 1 ? 'under a minute on 2 cores' : `about ${Math.round(minutes)} min on 2 cores`

function TemplateCard({
  template,
  busy,
  disabled,
  onOpen,
}: {
  template: StartTemplate
  busy: boolean
  disabled: boolean
  onOpen: () => void
}) {
  return (
    <button type="button" className="card tcard" onClick={onOpen} disabled={disabled} aria-busy={busy}>
      <span className="tpic">{template.picture}</span>
      <span className="tbody">
        <b>{template.title}</b>
        <span className="tsay">{template.sentence}</span>
        <span className="tmeta">
          <span>
            <Icon name="clock" size={14} />
            {busy ? 'Opening' : minutesWords(template.minutes)}
          </span>
          <span>
            <Icon name="table" size={14} />
            {template.dataNote}
          </span>
          <span>
            <Icon name="load-model" size={14} />
            {template.modelNote}
          </span>
          {template.download}
        </span>
      </span>
    </button>
  )
}

function Failed({ what, message, fix, retry }: { what: string; message: string; fix?: string | undefined; retry: () => void }) {
  return (
    <Notice
      tone="error"
      title={`${what} could not be read`}
      className="mb-6"
      actions={
        <Button size="sm" icon="reset" onClick={retry}>
          Read again
        </Button>
      }
    >
      {message} {fix}
    </Notice>
  )
}
