'use client'
/** Templates (UX-94): filters left, cards, a preview right with what one brings. */
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import dynamic from 'next/dynamic'
import { useRouter } from 'next/navigation'
import { useEffect, useMemo, useRef, useState } from 'react'
import { type Fault, faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Search } from '../ui/field'
import { Icon } from '../ui/icon'
import { Empty, Notice } from '../ui/notice'
import { PageHeader } from '../ui/page-header'
import { Tag } from '../ui/tag'
import { ThemeSwitch } from '../ui/theme'
import { Checkbox } from '../ui/toggles'
import { plural } from '../ui/words'
import { type Filter, filtered, isBundled, NO_FILTER, QUICK_MINUTES } from './filter'

const Thumbnail = dynamic(() => import('../start/thumbnail'), { ssr: false, loading: () => null })
const DownloadNote = dynamic(() => import('../start/thumbnail').then((m) => m.DownloadNote), { ssr: false, loading: () => null })

const FROM = { thaw: 'Thaw', you: 'You' } as const
const timeWords = (minutes: number | null) =>
  minutes === null ? 'not timed yet' : minutes < 1 ? 'under a minute' : `about ${Math.round(minutes)} min`

const toggled = (set: ReadonlySet<string>, value: string, on: boolean): ReadonlySet<string> => {
  const next = new Set(set)
  if (on) next.add(value)
  else next.delete(value)
  return next
}

export function Gallery() {
  const trpc = useTRPC()
  const router = useRouter()
  const queries = useQueryClient()
  const { data: cards, error, refetch } = useQuery(trpc.templates.list.queryOptions())
  const create = useMutation(trpc.pipelines.create.mutationOptions())
  const remove = useMutation(trpc.templates.remove.mutationOptions())
  const [filter, setFilter] = useState<Filter>(NO_FILTER)
  const [chosen, setChosen] = useState<string | null>(null)
  const [fault, setFault] = useState<Fault | null>(null)
  const search = useRef<HTMLInputElement>(null)
  const shown = useMemo(() => filtered(cards ?? [], filter), [cards, filter])
  const at = shown.find((card) => card.id === chosen) ?? shown[0]
  const set = (change: Partial<Filter>) => setFilter((before) => ({ ...before, ...change }))

  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.metaKey || event.ctrlKey || (event.target as HTMLElement).closest('input, textarea, select')) return
      event.preventDefault()
      search.current?.focus()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [])

  const use = async (id: string) => {
    try {
      const made = await create.mutateAsync({ template: id })
      router.push(`/pipelines/${made.id}?fresh`)
    } catch (cause) {
      setFault(faultOf(cause))
    }
  }
  const forget = async (id: string) => {
    try {
      await remove.mutateAsync({ id })
      await queries.invalidateQueries({ queryKey: trpc.templates.list.queryKey() })
    } catch (cause) {
      setFault(faultOf(cause))
    }
  }
  const tasks = [...new Set((cards ?? []).map((card) => card.task))]
  const count = (change: Partial<Filter>) => filtered(cards ?? [], { ...filter, ...change }).length
  return (
    <div className="page">
      <PageHeader>
        <h1 className="font-semibold">Templates</h1>
        <span className="row gap-2 ml-auto">
          <Search
            ref={search}
            label="Search by task, node or field"
            shortcut="/"
            value={filter.words}
            onValueChange={(words) => set({ words })}
            className="w-[300px]"
          />
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="gallery">
        <div className="gallery-filters">
          <fieldset>
            <legend>Task</legend>
            {tasks.map((task) => (
              <Checkbox
                key={task}
                checked={filter.tasks.has(task)}
                onCheckedChange={(on) => set({ tasks: toggled(filter.tasks, task, on) })}
              >
                {task} <span className="muted">{count({ tasks: new Set([task]) })}</span>
              </Checkbox>
            ))}
          </fieldset>
          <fieldset>
            <legend>Needs</legend>
            <Checkbox checked={filter.bundled} onCheckedChange={(bundled) => set({ bundled })}>
              Model included <span className="muted">{count({ bundled: true })}</span>
            </Checkbox>
            <Checkbox checked={filter.quick} onCheckedChange={(quick) => set({ quick })}>
              At most {QUICK_MINUTES} minutes <span className="muted">{count({ quick: true })}</span>
            </Checkbox>
          </fieldset>
          <fieldset>
            <legend>From</legend>
            {(['thaw', 'you'] as const).map((from) => (
              <Checkbox key={from} checked={filter.from.has(from)} onCheckedChange={(on) => set({ from: toggled(filter.from, from, on) })}>
                {FROM[from]} <span className="muted">{count({ from: new Set([from]) })}</span>
              </Checkbox>
            ))}
          </fieldset>
          <div className="text-12 border-t border-line pt-4">
            <b>Yours to add</b>
            <p className="muted mt-1">
              Open any pipeline and choose Share, Save as template. Secrets and paths are removed, and you see which.
            </p>
          </div>
        </div>
        <section aria-labelledby="shown">
          <h2 id="shown" className="text-16 font-semibold mb-4">
            {cards
              ? `${plural(shown.length, 'template')} that ${shown.length === 1 ? 'runs' : 'run'} on this computer`
              : 'Reading the templates'}
          </h2>
          {fault || error ? (
            <Notice
              tone="error"
              title={(fault ?? faultOf(error)).message}
              className="mb-4"
              actions={
                <Button
                  size="sm"
                  onClick={() => {
                    setFault(null)
                    void refetch()
                  }}
                >
                  Read again
                </Button>
              }
            >
              {(fault ?? faultOf(error)).fix}
            </Notice>
          ) : null}
          {cards && shown.length === 0 ? (
            <Empty framed icon="search" title="No template fits" action={<Button onClick={() => setFilter(NO_FILTER)}>Show all</Button>}>
              Fewer words or filters find more.
            </Empty>
          ) : null}
          <ul className="gallery-list">
            {shown.map((card) => (
              <li key={card.id}>
                <button
                  type="button"
                  className="card gcard"
                  aria-pressed={card.id === at?.id}
                  onClick={() => setChosen(card.id)}
                  onDoubleClick={() => void use(card.id)}
                >
                  <Thumbnail document={card.document} label={`Pipeline of ${card.title}, ${card.nodes} nodes`} />
                  <b>{card.title}</b>
                  <span className="text-ink-2">{card.sentence}</span>
                  <span className="gcard-meta">
                    <Tag>{card.task}</Tag>
                    <span>
                      <Icon name="clock" size={14} />
                      {timeWords(card.minutes)}
                    </span>
                    {card.from === 'you' ? <span>yours{card.version > 1 ? `, version ${card.version}` : ''}</span> : null}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
        {at ? (
          <aside className="gallery-preview" aria-label="Preview">
            <div>
              <h2 className="text-20 font-semibold">{at.title}</h2>
              <p className="text-ink-2 mt-1">{at.sentence}</p>
            </div>
            <Thumbnail document={at.document} label={`Pipeline of ${at.title}`} />
            <dl className="text-12 grid gap-1">
              {[
                ['Data', at.dataNote],
                ['Model', at.modelNote],
                ['Time on 2 cores', timeWords(at.minutes)],
                ['Download', isBundled(at) ? 'nothing' : 'the model, once'],
                ...(at.expected ? [[`Expected ${at.expected.metric}`, `at least ${at.expected.atLeast}`]] : []),
              ].map(([label, value]) => (
                <div key={label} className="row items-start gap-3">
                  <dt className="muted w-[110px] shrink-0">{label}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
            <DownloadNote document={at.document} />
            <div>
              <h3 className="font-semibold mb-1">You can bring</h3>
              {at.document.inputs.length === 0 ? (
                <p className="muted text-12">Nothing is asked for; every setting can be changed on the canvas.</p>
              ) : null}
              <ul className="gallery-inputs">
                {at.document.inputs.map((input) => (
                  <li key={input.id}>
                    <span>
                      {input.title}
                      {input.help ? <span className="block muted text-12">{input.help}</span> : null}
                    </span>
                    {input.expects?.columns ? <Tag>{input.expects.columns.join(', ')}</Tag> : null}
                  </li>
                ))}
              </ul>
            </div>
            <div className="row gap-2">
              <Button variant="primary" disabled={create.isPending} onClick={() => void use(at.id)} className="grow justify-center">
                {create.isPending ? 'Opening' : 'Use this template'}
              </Button>
              {at.from === 'you' ? (
                <Button icon="trash" onClick={() => void forget(at.id)} disabled={remove.isPending}>
                  Delete
                </Button>
              ) : null}
            </div>
          </aside>
        ) : null}
      </main>
    </div>
  )
}
