'use client'
import { useQuery } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { useTRPC } from '../trpc'
import { Icon } from '../ui/icon'
import { Switch } from '../ui/toggles'
import { count, plural } from '../ui/words'
import { type DataLine, dataLines, graphLines, type ParamLine, seedGroups } from './compare'
import { DataChanges } from './data-changes'
import type { Snapshot } from './live'
import { RunKey } from './run-key'

/** Settings, graph and data that differ (UX-91). */
export function CompareChanges({ snapshots, params }: { snapshots: readonly Snapshot[]; params: readonly ParamLine[] }) {
  const [only, setOnly] = useState(true)
  const graph = useMemo(() => graphLines(snapshots), [snapshots])
  const data = useMemo(() => dataLines(snapshots), [snapshots])
  const shown = only ? params.filter((line) => line.differs) : params
  const nodes = [...new Set(shown.map((line) => line.node))]
  const nothing = !params.some((line) => line.differs) && graph.length === 0 && !data.some((line) => line.differs)
  const heads = snapshots.map(({ run }, i) => (
    <th key={run.id} scope="col">
      <RunKey index={i} number={run.number} />
    </th>
  ))
  return (
    <section className="card" aria-labelledby="cmp-changes">
      <div className="ph">
        <h2 id="cmp-changes">What changed</h2>
        {/* biome-ignore lint/a11y/noLabelWithoutControl: the switch inside is the control */}
        <label className="row ml-auto gap-2 font-normal text-ink-2">
          Differences only
          <Switch checked={only} onCheckedChange={setOnly} />
        </label>
      </div>
      <div className="grid gap-4 overflow-auto p-4">
        {shown.length > 0 ? (
          <table className="tbl">
            <thead>
              <tr>
                <th scope="col">Setting</th>
                {heads}
              </tr>
            </thead>
            {nodes.map((node) => (
              <tbody key={node}>
                <tr>
                  <th scope="colgroup" colSpan={snapshots.length + 1} className="muted font-normal">
                    {shown.find((line) => line.node === node)?.nodeTitle}
                  </th>
                </tr>
                {shown
                  .filter((line) => line.node === node)
                  .map((line) => (
                    <tr key={line.param}>
                      <th scope="row" className="font-normal">
                        {line.title}
                      </th>
                      {line.values.map((value, i) => (
                        <td key={snapshots[i]?.run.id} className="compare-value" title={value}>
                          {value}
                        </td>
                      ))}
                    </tr>
                  ))}
              </tbody>
            ))}
          </table>
        ) : null}
        {graph.length > 0 ? (
          <table className="tbl">
            <caption className="h-sec pb-2 text-left">Nodes and wires that not every run has</caption>
            <thead>
              <tr>
                <th scope="col">Node or wire</th>
                {heads}
              </tr>
            </thead>
            <tbody>
              {graph.map((line) => (
                <tr key={line.what}>
                  <th scope="row" className="font-normal">
                    {line.what}
                  </th>
                  {line.inRuns.map((there, i) => (
                    <td key={snapshots[i]?.run.id}>
                      {there ? <Icon name="check" size={14} label="there" /> : <span className="muted">not there</span>}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        ) : null}
        {data.map((line) => (
          <DataOf key={`${line.node}.${line.port}`} line={line} snapshots={snapshots} />
        ))}
        <p className="help">
          {nothing
            ? 'Nothing differs: same nodes, settings and data.'
            : [
                graph.length === 0 && 'same nodes and wires',
                !data.some((line) => line.differs) && data.length > 0 && 'same data',
                seedGroups(snapshots).length === 1 && snapshots.length > 1 && 'only the seed differs',
              ]
                .filter(Boolean)
                .join(', ')
                .replace(/^./, (first) => first.toUpperCase())}
        </p>
      </div>
    </section>
  )
}

/** One place where data enters: rows of each run, and for the first two that differ what is new in it. */
function DataOf({ line, snapshots }: { line: DataLine; snapshots: readonly Snapshot[] }) {
  const trpc = useTRPC()
  const first = line.values.findIndex((value) => value !== null)
  const other = line.values.findIndex((value, i) => i > first && value !== null && value.artifact !== line.values[first]?.artifact)
  const place = (i: number) => ({ run: snapshots[i]?.run.id ?? '', node: line.node, port: line.port })
  const { data } = useQuery({
    ...trpc.artifacts.compare.queryOptions({ earlier: place(first), later: place(other) }),
    enabled: line.differs && first !== -1 && other !== -1,
    staleTime: Number.POSITIVE_INFINITY,
  })
  if (!line.differs) return null
  return (
    <div>
      <h3 className="h-sec">Data: {line.title}</h3>
      <p className="text-12 text-ink-2">
        {line.values.map((value, i) => `run ${snapshots[i]?.run.number}: ${value ? plural(value.rows, 'row') : 'none'}`).join(', ')}
      </p>
      {data ? <DataChanges changes={data} names={[`Run ${snapshots[first]?.run.number}`, `Run ${snapshots[other]?.run.number}`]} /> : null}
      {data && data.shared > 0 ? <p className="help">{count(data.shared)} rows are in both.</p> : null}
    </div>
  )
}
