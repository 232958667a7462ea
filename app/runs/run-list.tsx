'use client'
import { useInfiniteQuery } from '@tanstack/react-query'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import type { inferRouterOutputs } from '@trpc/server'
import Link from 'next/link'
import { useEffect, useRef } from 'react'
import type { AppRouter } from '../../server/trpc/router'
import { faultOf } from '../fault'
import { useTRPC, useTRPCClient } from '../trpc'
import { Button } from '../ui/button'
import { Empty, Notice } from '../ui/notice'
import { State } from '../ui/state'
import { Tag } from '../ui/tag'
import { Checkbox } from '../ui/toggles'
import { duration, figure, when } from '../ui/words'
import { RUN_ENDED } from './events'
import { RUN_STATE } from './progress-tab'

type Row = inferRouterOutputs<AppRouter>['runs']['list'][number]
const PAGE = 200
const ROW_H = 44

/** Ten thousand runs as one list: pages are read as they come near, and only what is seen is drawn. */
export function RunList({
  search,
  tag,
  chosen,
  onChoose,
}: {
  search: string
  tag: string | null
  chosen: readonly string[]
  onChoose: (ids: readonly string[]) => void
}) {
  const trpc = useTRPC()
  const client = useTRPCClient()
  const filter = { ...(search.trim() !== '' && { search: search.trim() }), ...(tag !== null && { tag }) }
  const { data, error, isPending, refetch, fetchNextPage, hasNextPage, isFetchingNextPage } = useInfiniteQuery({
    queryKey: [...trpc.runs.list.queryKey(), 'pages', filter],
    initialPageParam: undefined as number | undefined,
    queryFn: ({ pageParam, signal }) =>
      client.runs.list.query({ ...filter, limit: PAGE, ...(pageParam !== undefined && { before: pageParam }) }, { signal }),
    getNextPageParam: (last) => (last.length < PAGE ? undefined : last.at(-1)?.number),
    refetchInterval: (query) => (query.state.data?.pages[0]?.some((run) => !RUN_ENDED.has(run.status)) ? 5_000 : false),
  })
  const rows = data?.pages.flat() ?? []
  const list = useRef<HTMLDivElement>(null)
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => ROW_H,
    overscan: 12,
    scrollMargin: list.current?.offsetTop ?? 0,
  })
  const items = virtual.getVirtualItems()
  // Rows that are not drawn leave their room, so that the bar tells how far one is.
  const above = (items[0]?.start ?? virtual.options.scrollMargin) - virtual.options.scrollMargin
  const below = virtual.getTotalSize() - ((items.at(-1)?.end ?? virtual.options.scrollMargin) - virtual.options.scrollMargin)
  const lastShown = items.at(-1)?.index ?? 0
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage && lastShown >= rows.length - 40) void fetchNextPage()
  }, [hasNextPage, isFetchingNextPage, lastShown, rows.length, fetchNextPage])

  if (error) {
    return (
      <Notice
        tone="error"
        title="The runs could not be read"
        actions={
          <Button size="sm" icon="reset" onClick={() => void refetch()}>
            Read again
          </Button>
        }
      >
        {faultOf(error).message} {faultOf(error).fix}
      </Notice>
    )
  }
  if (isPending) return <p className="late muted p-4">Reading the runs</p>
  if (rows.length === 0)
    return search.trim() !== '' || tag !== null ? (
      <Empty icon="search" title="No run is like that">
        Every word must occur in the name, note, tags, pipeline, number or state.
      </Empty>
    ) : (
      <Empty
        icon="history"
        title="No runs yet"
        action={
          <Button asChild>
            <Link href="/">Start from a template</Link>
          </Button>
        }
      >
        Each run is kept here with its settings, data and result.
      </Empty>
    )
  const toggle = (id: string, on: boolean) => onChoose(on ? [...chosen, id] : chosen.filter((one) => one !== id))
  return (
    <div className="card overflow-x-auto" ref={list}>
      <table className="tbl run-list" aria-rowcount={hasNextPage ? -1 : rows.length + 1}>
        <caption className="vh">Runs, newest first</caption>
        <thead>
          <tr>
            {['', 'Run', 'Pipeline', 'State', 'Result', 'Time', 'Started'].map((title) => (
              <th key={title} scope="col">
                {title === '' ? <span className="vh">Choose</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {above > 0 ? <tr style={{ height: above }} /> : null}
          {items.map((item) => {
            const run = rows[item.index]
            return run ? (
              <tr key={run.id} aria-rowindex={item.index + 2} style={{ height: ROW_H }}>
                <td>
                  <Checkbox
                    checked={chosen.includes(run.id)}
                    onCheckedChange={(on) => toggle(run.id, on)}
                    label={`Choose run ${run.number}`}
                  />
                </td>
                <th scope="row">
                  <Link className="link font-semibold" href={`/runs/${run.id}`}>
                    {run.number}
                    {run.name ? <span className="font-normal"> {run.name}</span> : null}
                  </Link>{' '}
                  {run.tags.map((one) => (
                    <Tag key={one}>{one}</Tag>
                  ))}
                </th>
                <td>
                  <Link className="link" href={`/pipelines/${run.pipelineId}`}>
                    {run.pipelineName}
                  </Link>
                </td>
                <td>
                  <State state={RUN_STATE[run.status]} training={run.status === 'running'} />
                </td>
                <td className="num">
                  <Headline run={run} />
                </td>
                <td className="num">
                  {run.startedAt && run.endedAt ? duration((run.endedAt.getTime() - run.startedAt.getTime()) / 1_000) : '–'}
                </td>
                <td className="num">{when(run.createdAt)}</td>
              </tr>
            ) : null
          })}
          {below > 0 ? <tr style={{ height: below }} /> : null}
        </tbody>
      </table>
    </div>
  )
}

function Headline({ run: { headline } }: { run: Row }) {
  if (!headline) return <span className="muted">–</span>
  return headline.name === 'exact_match' ? (
    <>
      <span className="muted">Exact match </span>
      <b>{headline.value.toFixed(2)}</b>
    </>
  ) : (
    <>
      <span className="muted">Loss </span>
      <b>{figure(headline.value)}</b>
    </>
  )
}
