'use client'
import { useQueries, useQuery } from '@tanstack/react-query'
import type { inferRouterOutputs } from '@trpc/server'
import Link from 'next/link'
import type { AppRouter } from '../../server/trpc/router'
import { faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { LayerStrip } from '../ui/layer-strip'
import { Empty, Notice } from '../ui/notice'
import { State } from '../ui/state'
import { delta, duration, figure, when } from '../ui/words'
import { RUN_ENDED } from './events'
import type { Snapshot } from './live'
import { RUN_STATE } from './progress-tab'
import { metricsIn } from './scores'

type Row = inferRouterOutputs<AppRouter>['runs']['list'][number]
type Headline = { name: string; value: number; better: 'higher' | 'lower' }

/** The number a run is known by: exact match of its first validation, else the lowest loss it reports. Pure. */
export function headlineOf({ plan, nodes }: Snapshot): Headline | null {
  const order = new Map(plan.nodes.map((node, i) => [node.node, i]))
  const all = nodes
    .slice()
    .sort((a, b) => (order.get(a.nodeId) ?? 1e9) - (order.get(b.nodeId) ?? 1e9))
    .flatMap((node) => {
      const metrics = metricsIn(node.outputs)
      return metrics ? [metrics] : []
    })
  const exact = all.find((metrics) => metrics.exact_match !== undefined)?.exact_match
  if (exact !== undefined) return { name: 'Exact match', value: exact, better: 'higher' }
  const loss = all.find((metrics) => metrics.eval_loss !== undefined)?.eval_loss
  return loss === undefined ? null : { name: 'Validation loss', value: loss, better: 'lower' }
}

/** Which blocks the run trained, from its model output. */
export function blocksOf({ nodes }: Snapshot): readonly number[] | null {
  for (const node of nodes) {
    const model = node.outputs?.model as { trainable?: { blocks?: number[] } | null; blocks?: number } | undefined
    if (model && node.type.startsWith('train'))
      return model.trainable?.blocks ?? (model.blocks ? new Array<number>(model.blocks).fill(1) : null)
  }
  return null
}

/** Runs of a pipeline, newest first (UX-79). `pipelineId` absent: of all pipelines, with their names. */
export function RunTable({
  pipelineId,
  shown,
  onShow,
}: {
  pipelineId?: string
  shown?: string | null
  onShow?: ((run: string) => void) | undefined
}) {
  const trpc = useTRPC()
  const { data, error, isPending, refetch } = useQuery({
    ...trpc.runs.list.queryOptions({ ...(pipelineId && { pipelineId }), limit: 50 }),
    refetchInterval: (query) => (query.state.data?.some((run) => !RUN_ENDED.has(run.status)) ? 3_000 : false),
  })
  // What an ended run gave never changes: each is asked for once.
  const ended = (data ?? []).filter((run) => RUN_ENDED.has(run.status)).slice(0, 25)
  const details = useQueries({
    queries: ended.map((run) => ({
      ...trpc.runs.get.queryOptions({ id: run.id }),
      // One that was read while it ran lacks what came after.
      staleTime: ({ state }: { state: { data?: Snapshot | undefined } }) =>
        state.data && RUN_ENDED.has(state.data.run.status) ? Number.POSITIVE_INFINITY : 0,
    })),
  })
  const known = new Map(details.flatMap((query) => (query.data ? [[query.data.run.id, query.data] as const] : [])))
  if (error) {
    const { message, fix } = faultOf(error)
    return (
      <Notice
        tone="error"
        title="The runs could not be read"
        className="m-4"
        actions={
          <Button size="sm" icon="reset" onClick={() => void refetch()}>
            Read again
          </Button>
        }
      >
        {message} {fix}
      </Notice>
    )
  }
  if (isPending) return <p className="late muted p-4">Reading the runs</p>
  if (data.length === 0) {
    return (
      <Empty
        icon="history"
        title="No runs yet"
        action={
          pipelineId ? undefined : (
            <Button asChild>
              <Link href="/">Start from a template</Link>
            </Button>
          )
        }
      >
        Each run is kept here with its settings, data and result.
      </Empty>
    )
  }
  const headlines = data.map((run) => {
    const snapshot = known.get(run.id)
    return snapshot ? headlineOf(snapshot) : null
  })
  return (
    <table className="tbl runs">
      <thead>
        <tr>
          <th scope="col">Run</th>
          {pipelineId ? null : <th scope="col">Pipeline</th>}
          <th scope="col">May change</th>
          <th scope="col">State</th>
          <th scope="col" className="r">
            Result
          </th>
          <th scope="col" className="r">
            Difference
          </th>
          <th scope="col" className="r">
            Time
          </th>
          <th scope="col" className="r">
            Started
          </th>
          <th scope="col">
            <span className="vh">Open</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {data.map((run, i) => {
          const snapshot = known.get(run.id)
          const headline = headlines[i] ?? null
          // Against the run before it of the same pipeline that has such a number.
          const earlier = data.findIndex(
            (other, j) => j > i && other.pipelineId === run.pipelineId && headlines[j]?.name === headline?.name && headlines[j] !== null,
          )
          const base = earlier === -1 ? null : (headlines[earlier] ?? null)
          const blocks = snapshot ? blocksOf(snapshot) : null
          return (
            <tr key={run.id} aria-current={run.id === shown || undefined}>
              <th scope="row" className="num">
                {onShow ? (
                  <button type="button" className="link font-semibold" onClick={() => onShow(run.id)}>
                    {run.number}
                    <span className="vh">, show this run</span>
                  </button>
                ) : (
                  <Link className="link font-semibold" href={`/runs/${run.id}`}>
                    {run.number}
                  </Link>
                )}
              </th>
              {pipelineId ? null : (
                <td>
                  <Link className="link" href={`/pipelines/${run.pipelineId}`}>
                    {run.pipelineName}
                  </Link>
                </td>
              )}
              <td className="w-32">{blocks ? <LayerStrip model={{ blocks }} /> : null}</td>
              <td>
                <State state={RUN_STATE[run.status]} training={run.status === 'running'} />
              </td>
              <td className="r">
                {headline ? (
                  <>
                    <span className="muted">{headline.name} </span>
                    <b>{headline.better === 'lower' ? figure(headline.value) : headline.value.toFixed(2)}</b>
                  </>
                ) : (
                  <span className="muted">–</span>
                )}
              </td>
              <td className="r">{headline && base ? <Change headline={headline} base={base} /> : null}</td>
              <td className="r">{took(run)}</td>
              <td className="r">{when(run.createdAt)}</td>
              <td className="r">
                <Link className="link" href={`/runs/${run.id}`}>
                  Page<span className="vh"> of run {run.number}</span>
                </Link>
              </td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

function Change({ headline, base }: { headline: Headline; base: Headline }) {
  const change = headline.value - base.value
  const better = headline.better === 'higher' ? change > 0 : change < 0
  // Whether it is more than chance is what Compare measures (UX-91); here it is only said which way it went.
  return <span className={change === 0 ? 'muted' : better ? 'text-ok' : 'text-bad'}>{delta(change)}</span>
}

const took = ({ startedAt, endedAt }: Row) => (startedAt && endedAt ? duration((endedAt.getTime() - startedAt.getTime()) / 1000) : '–')
