'use client'
import { useQuery } from '@tanstack/react-query'
import type { inferRouterOutputs } from '@trpc/server'
import type { AppRouter } from '../../server/trpc/router'
import { faultOf } from '../fault'
import { useTRPC } from '../trpc'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { Popover } from '../ui/popover'
import { bytes, plural } from '../ui/words'
import { engineOf } from './engine-words'

type Status = inferRouterOutputs<AppRouter>['system']['status']

/** What this installation computes with, why, and how to get the faster way (E-16). */
export function SystemStatus() {
  const trpc = useTRPC()
  const { data, error } = useQuery({ ...trpc.system.status.queryOptions(), refetchInterval: 10_000 })
  if (error && !data) {
    const { message, fix } = faultOf(error)
    return (
      <span className="row text-bad">
        <Icon name="error" size={14} />
        {message} {fix}
      </span>
    )
  }
  if (!data) return <span className="late">Reading the state of this computer</span>
  return <StatusLine status={data} />
}

export function StatusLine({ status }: { status: Status }) {
  const alive = status.workers.filter((worker) => worker.alive)
  const engine = engineOf(alive.map((worker) => worker.devices))
  const degraded = status.children.filter((child) => child.state === 'degraded')
  return (
    <>
      <Popover
        label="This computer"
        side="top"
        className="w-[380px] p-4"
        trigger={
          <Button variant="ghost" size="sm" className="-ml-2 font-normal text-ink-3">
            <Icon name={engine.slow || degraded.length > 0 || alive.length === 0 ? 'warn' : 'cpu'} />
            {alive.length === 0 ? 'No worker is running' : engine.short}
          </Button>
        }
      >
        <h3 className="h-sec mb-2">This computer</h3>
        <dl>
          <Row name="Engine" value={engine.name} />
          {engine.device ? <Row name="Device" value={engine.device} /> : null}
          <Row name="Workers" value={alive.length === 0 ? 'none' : plural(alive.length, 'worker')} />
          <Row name="Running" value={plural(status.openRuns.length, 'run')} />
          {status.freeBytes === null ? null : <Row name="Free disk space" value={bytes(status.freeBytes)} />}
          <Row name="Thaw" value={status.version} />
        </dl>
        {engine.reason ? <p className="help mt-2">{engine.reason}</p> : null}
        {engine.faster ? <p className="mt-2 text-12">{engine.faster}</p> : null}
        {alive.length === 0 ? (
          <p className="mt-2 text-12">
            Runs wait until a worker is there. npm start brings one back by itself; look at its output if this lasts.
          </p>
        ) : null}
        {degraded.map((child) => (
          <div key={child.name} className="mt-2">
            <b className="text-12 text-warn">{child.name} keeps ending</b>
            <pre className="mt-1 max-h-28 overflow-auto rounded-control border border-line bg-sunken p-2 text-11">
              {child.lines.join('\n')}
            </pre>
          </div>
        ))}
      </Popover>
      {status.freeBytes === null ? null : <span>{bytes(status.freeBytes)} free</span>}
    </>
  )
}

const Row = ({ name, value }: { name: string; value: string }) => (
  <div className="kv">
    <dt>{name}</dt>
    <dd>{value}</dd>
  </div>
)
