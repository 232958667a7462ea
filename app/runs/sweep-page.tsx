'use client'
import { useQuery } from '@tanstack/react-query'
import type { inferRouterOutputs } from '@trpc/server'
import Link from 'next/link'
import { useState } from 'react'
import type { AppRouter } from '../../server/trpc/router'
import { faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Notice } from '../ui/notice'
import { PageHeader } from '../ui/page-header'
import { State } from '../ui/state'
import { ThemeSwitch } from '../ui/theme'
import { Checkbox } from '../ui/toggles'
import { figure, plural } from '../ui/words'
import { MOST_RUNS } from './compare'
import { RUN_ENDED } from './events'
import { compareHref } from './links'
import { ParallelCoordinates } from './parallel-coordinates'
import { RUN_STATE } from './progress-tab'

type Sweep = inferRouterOutputs<AppRouter>['runs']['sweep']
const said = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
const SCORES = { exact_match: 'Exact match', eval_loss: 'Validation loss' } as const

/** The runs of a sweep: what was tried, how it went, and the best of them into Compare (UX-77). */
export function SweepPage({ id }: { id: string }) {
  const trpc = useTRPC()
  const { data, error } = useQuery({
    ...trpc.runs.sweep.queryOptions({ id }),
    refetchInterval: (query) => (query.state.data?.runs.some((run) => !RUN_ENDED.has(run.status)) ? 3_000 : false),
  })
  return (
    <div className="page">
      <PageHeader>
        <div className="min-w-0">
          <h1 className="ell font-semibold leading-[18px]">Sweep</h1>
          {data ? <p className="muted ell text-12">{data.pipelineName}</p> : null}
        </div>
        <span className="row ml-auto gap-1">
          <Button variant="ghost" asChild>
            <Link href="/runs">All runs</Link>
          </Button>
          <ThemeSwitch />
        </span>
      </PageHeader>
      <main className="compare">
        {error ? (
          <Notice tone="error" title="The sweep could not be read">
            {faultOf(error).message} {faultOf(error).fix}
          </Notice>
        ) : data ? (
          <Body sweep={data} />
        ) : (
          <p className="late muted">Reading the sweep</p>
        )}
      </main>
    </div>
  )
}

function Body({ sweep }: { sweep: Sweep }) {
  const { axes, runs } = sweep
  const name = runs.some((run) => run.headline?.name === 'exact_match') ? 'exact_match' : 'eval_loss'
  const scoreOf = (run: Sweep['runs'][number]) => (run.headline?.name === name ? run.headline.value : null)
  const better = (a: number, b: number) => (name === 'exact_match' ? b - a : a - b)
  const ranked = [...runs].sort((a, b) => {
    const [x, y] = [scoreOf(a), scoreOf(b)]
    return x === null ? (y === null ? 0 : 1) : y === null ? -1 : better(x, y)
  })
  const best = ranked.filter((run) => scoreOf(run) !== null)
  const ended = runs.filter((run) => RUN_ENDED.has(run.status)).length
  const [picked, setPicked] = useState<readonly string[] | null>(null)
  const chosen = picked ?? best.slice(0, 3).map((run) => run.id)
  return (
    <>
      <div className="row flex-wrap gap-2">
        <span className="num">
          {ended} of {plural(runs.length, 'run')} ended
        </span>
        {best[0] ? (
          <span className="muted">
            best: run {best[0].number}, {SCORES[name]} {figure(scoreOf(best[0]) ?? 0)}
          </span>
        ) : null}
        <span className="ml-auto">
          {chosen.length >= 2 && chosen.length <= MOST_RUNS ? (
            <Button icon="compare-models" asChild>
              <Link href={compareHref(chosen)}>Compare {plural(chosen.length, 'run')}</Link>
            </Button>
          ) : (
            <Button icon="compare-models" disabled title={`Tick two to ${MOST_RUNS} runs`}>
              Compare
            </Button>
          )}
        </span>
      </div>
      <section className="card pcard" aria-label="Values and scores">
        <ParallelCoordinates
          axes={[
            ...axes.map((axis, i) => ({ title: axis.param.replaceAll('_', ' '), values: runs.map((run) => run.values[i]) })),
            { title: SCORES[name], values: runs.map(scoreOf) },
          ]}
          lines={runs.map((run) => ({
            id: run.id,
            title: `Run ${run.number}`,
            strong: chosen.includes(run.id),
            done: scoreOf(run) !== null,
          }))}
        />
      </section>
      <section className="card overflow-x-auto" aria-label="Runs">
        <table className="tbl">
          <thead>
            <tr>
              <th scope="col">
                <span className="vh">Choose</span>
              </th>
              <th scope="col">Run</th>
              {axes.map((axis) => (
                <th key={`${axis.node}.${axis.param}`} scope="col">
                  {axis.param.replaceAll('_', ' ')}
                </th>
              ))}
              <th scope="col">State</th>
              <th scope="col" className="r">
                {SCORES[name]}
              </th>
            </tr>
          </thead>
          <tbody>
            {ranked.map((run) => {
              const score = scoreOf(run)
              return (
                <tr key={run.id}>
                  <td>
                    <Checkbox
                      checked={chosen.includes(run.id)}
                      onCheckedChange={(on) => setPicked(on ? [...chosen, run.id] : chosen.filter((one) => one !== run.id))}
                      label={`Choose run ${run.number}`}
                    />
                  </td>
                  <th scope="row">
                    <Link className="link font-semibold" href={`/runs/${run.id}`}>
                      {run.number}
                    </Link>
                  </th>
                  {run.values.map((value, i) => (
                    <td key={`${axes[i]?.node}.${axes[i]?.param}`} className="mono">
                      {said(value)}
                    </td>
                  ))}
                  <td>
                    <State state={RUN_STATE[run.status]} training={run.status === 'running'} />
                  </td>
                  <td className="r">
                    {score === null ? <span className="muted">–</span> : run.id === best[0]?.id ? <b>{figure(score)}</b> : figure(score)}
                  </td>
                </tr>
              )
            })}
          </tbody>
        </table>
      </section>
    </>
  )
}
