'use client'
import { useQueries, useQuery } from '@tanstack/react-query'
import Link from 'next/link'
import { useRouter } from 'next/navigation'
import { useMemo, useState } from 'react'
import { registry } from '../../nodes'
import { faultOf } from '../fault'
import { useTRPC, useTRPCClient } from '../trpc'
import { Button, IconButton } from '../ui/button'
import { Icon } from '../ui/icon'
import { LayerStrip } from '../ui/layer-strip'
import { Empty, Notice } from '../ui/notice'
import { PageHeader } from '../ui/page-header'
import { Select } from '../ui/select'
import { ThemeSwitch } from '../ui/theme'
import { duration, plural } from '../ui/words'
import { asCsv, asMarkdown, MOST_RUNS, otherRows, paramLines, predictionRows, scoreLines } from './compare'
import { CompareChanges } from './compare-changes'
import { CompareCurves } from './compare-curves'
import { ComparePredictions, type Scored } from './compare-predictions'
import { CompareSummary } from './compare-summary'
import { RUN_ENDED } from './events'
import { blocksOf } from './history-tab'
import { compareHref } from './links'
import type { Snapshot } from './live'
import { RunKey } from './run-key'
import { scoredRowsQuery } from './scored-query'

/** Two to six runs side by side (UX-89 … UX-93). The first is the baseline; the address is a permanent link. */
export function ComparePage({ asked }: { asked: readonly string[] }) {
  const trpc = useTRPC()
  const router = useRouter()
  const queries = useQueries({
    queries: asked.map((id) => ({
      ...trpc.runs.get.queryOptions({ id }),
      refetchInterval: ({ state }: { state: { data?: Snapshot | undefined } }) =>
        state.data && !RUN_ENDED.has(state.data.run.status) ? 3_000 : (false as const),
    })),
  })
  const failed = queries.find((query) => query.error)
  const snapshots = queries.flatMap((query) => (query.data ? [query.data] : []))
  const show = (ids: readonly string[]) => router.replace(compareHref(ids))
  const names = [...new Set(snapshots.map(({ run }) => run.pipelineName))]
  return (
    <div className="page">
      <PageHeader>
        <div className="min-w-0">
          <h1 className="ell font-semibold leading-[18px]">Compare</h1>
          {snapshots.length > 0 ? (
            <p className="muted ell text-12">
              {names.join(', ')} · {plural(snapshots.length, 'run')}
            </p>
          ) : null}
        </div>
        <span className="row ml-auto gap-1">
          {snapshots.length === asked.length && snapshots.length > 0 ? <Exports snapshots={snapshots} /> : null}
          <Button variant="ghost" asChild className="max-sm:hidden">
            <Link href="/runs">All runs</Link>
          </Button>
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="compare">
        {asked.length === 0 ? (
          <Empty
            icon="compare-models"
            title="No runs chosen"
            action={
              <Button asChild>
                <Link href="/runs">Choose runs</Link>
              </Button>
            }
          >
            Tick two to six runs in the list, then press Compare.
          </Empty>
        ) : failed ? (
          <Notice tone="error" title="A run could not be read">
            {faultOf(failed.error).message} {faultOf(failed.error).fix}
          </Notice>
        ) : snapshots.length < asked.length ? (
          <p className="late muted">Reading the runs</p>
        ) : (
          <Body snapshots={snapshots} show={show} />
        )}
      </main>
    </div>
  )
}

function Body({ snapshots, show }: { snapshots: readonly Snapshot[]; show: (ids: readonly string[]) => void }) {
  const trpc = useTRPC()
  const client = useTRPCClient()
  const lines = useMemo(() => scoreLines(snapshots), [snapshots])
  const params = useMemo(() => paramLines(snapshots, registry), [snapshots])
  const foreign = useMemo(() => otherRows(snapshots), [snapshots])
  const scorers = useMemo(
    () =>
      [...new Map(lines.map((line) => [line.node, line.nodeTitle]))].filter(([node]) =>
        snapshots.some((one) => one.nodes.find((n) => n.nodeId === node)?.outputs?.rows !== undefined),
      ),
    [lines, snapshots],
  )
  const [chosen, setChosen] = useState<string | null>(null)
  const scorer = scorers.find(([node]) => node === chosen)?.[0] ?? scorers[0]?.[0] ?? null
  const able = snapshots.map((one) => scorer !== null && one.nodes.find((n) => n.nodeId === scorer)?.outputs?.rows !== undefined)
  const rows = useQueries({
    queries: snapshots.map((one, i) => ({ ...scoredRowsQuery(trpc, client, one.run.id, scorer ?? ''), enabled: able[i] === true })),
  })
  const reading = rows.some((query, i) => able[i] && query.isPending)
  const fault = rows.find((query) => query.error)?.error
  const stamp = rows.map((query) => query.dataUpdatedAt).join(' ')
  // biome-ignore lint/correctness/useExhaustiveDependencies: `stamp` stands for what the queries hold; their array is new with every paint
  const predictions = useMemo(() => predictionRows(rows.map((query) => query.data?.rows ?? [])), [stamp])
  const scored: Scored = { scorers, scorer, rows: predictions, reading, fault }
  return (
    <>
      <Chips snapshots={snapshots} show={show} />
      {snapshots.length < 2 ? (
        <Notice title="One run alone">Add another one: its scores, curves, settings and answers then stand beside this one.</Notice>
      ) : null}
      {foreign.map(({ node, title, runs }) => (
        <Notice key={node} tone="warning" title={`${title}: not the same rows`}>
          {runs.length === 1 ? `Run ${runs[0]} was` : `Runs ${runs.join(', ')} were`} scored on other rows than run{' '}
          {snapshots[0]?.run.number}. Their scores cannot be compared; the answers below show the rows that both have.
        </Notice>
      ))}
      <div className="compare-grid">
        <CompareSummary snapshots={snapshots} lines={lines} scored={scored} foreign={foreign.map((one) => one.node)} />
        <CompareChanges snapshots={snapshots} params={params} />
        <CompareCurves snapshots={snapshots} />
        <ComparePredictions snapshots={snapshots} scored={scored} onScorer={setChosen} />
      </div>
    </>
  )
}

function Chips({ snapshots, show }: { snapshots: readonly Snapshot[]; show: (ids: readonly string[]) => void }) {
  const trpc = useTRPC()
  const ids = snapshots.map(({ run }) => run.id)
  const pipelineId = snapshots[0]?.run.pipelineId
  const { data } = useQuery({
    ...trpc.runs.list.queryOptions({ ...(pipelineId && { pipelineId }), limit: 50 }),
    enabled: snapshots.length < MOST_RUNS,
  })
  const others = (data ?? []).filter((run) => !ids.includes(run.id))
  return (
    <div className="compare-chips">
      {snapshots.map((snapshot, i) => {
        const { run } = snapshot
        const blocks = blocksOf(snapshot)
        const seconds = run.startedAt && run.endedAt ? (run.endedAt.getTime() - run.startedAt.getTime()) / 1_000 : null
        return (
          <div key={run.id} className="card compare-chip">
            <span className="min-w-0">
              <Link className="link font-semibold" href={`/runs/${run.id}`}>
                <RunKey index={i} number={run.number} />
              </Link>
              <span className="muted block text-12">
                version {run.versionNumber}
                {seconds === null ? '' : `, ${duration(seconds)}`}
              </span>
            </span>
            {blocks ? (
              <span className="w-28">
                <LayerStrip model={{ blocks }} />
              </span>
            ) : null}
            {i === 0 ? (
              <span className="tag">baseline</span>
            ) : (
              <Button size="sm" variant="ghost" onClick={() => show([run.id, ...ids.filter((id) => id !== run.id)])}>
                Make baseline
              </Button>
            )}
            <IconButton
              icon="close"
              size="sm"
              label={`Take run ${run.number} out`}
              onClick={() => show(ids.filter((id) => id !== run.id))}
            />
          </div>
        )
      })}
      {snapshots.length < MOST_RUNS && others.length > 0 ? (
        <Select
          label="Add a run"
          className="w-40"
          value={undefined}
          placeholder="Add a run"
          onValueChange={(id) => show([...ids, id])}
          options={others.map((run) => ({ value: run.id, label: `Run ${run.number}`, note: run.status }))}
        />
      ) : null}
    </div>
  )
}

function Exports({ snapshots }: { snapshots: readonly Snapshot[] }) {
  const [copied, setCopied] = useState<string | null>(null)
  const copy = async (what: string, text: string) => {
    await navigator.clipboard.writeText(text)
    setCopied(what)
  }
  const file = () => {
    const text = asCsv(snapshots, scoreLines(snapshots), paramLines(snapshots, registry))
    const url = URL.createObjectURL(new Blob([text], { type: 'text/csv' }))
    const link = document.createElement('a')
    link.href = url
    link.download = `runs-${snapshots.map(({ run }) => run.number).join('-')}.csv`
    link.click()
    URL.revokeObjectURL(url)
  }
  return (
    <span className="row gap-1 max-md:hidden">
      <span role="status" className="muted text-12">
        {copied === null ? '' : `${copied} copied`}
      </span>
      <Button variant="ghost" icon="share" onClick={() => void copy('Link', location.href)}>
        Copy link
      </Button>
      <Button
        variant="ghost"
        icon="copy"
        onClick={() => void copy('Table', asMarkdown(snapshots, scoreLines(snapshots), paramLines(snapshots, registry)))}
      >
        Markdown
      </Button>
      <Button variant="ghost" onClick={file}>
        <Icon name="download" />
        CSV
      </Button>
    </span>
  )
}
