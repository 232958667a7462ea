'use client'
/** Two versions beside each other (UX-47): a small canvas with what came, went and changed, and the settings as a table. */
import { useId, useMemo } from 'react'
import type { Pipeline } from '../../../nodes/_kit/graph'
import { own, titleOf } from '../../../nodes/_kit/wires'
import { useStores } from '../context'
import { placeOf } from '../graph-queries'
import { wirePath } from '../wire'
import { diffWords, type GraphDiff, graphDiff, type Mark } from './diff'

const NODE = { width: 224, height: 92 }
const SIGNS: Readonly<Record<Mark, string>> = { same: '', added: '+', removed: '−', changed: '≠' }

export function DiffView({ before, after, titles }: { before: Pipeline; after: Pipeline; titles: readonly [string, string] }) {
  const { registry } = useStores()
  const diff = useMemo(() => graphDiff(before, after, registry), [before, after, registry])
  return (
    <>
      <p className="ver-words">
        <b>
          {titles[0]} to {titles[1]}
        </b>{' '}
        <span className="muted">{diffWords(diff)}</span>
      </p>
      <MiniGraph before={before} after={after} diff={diff} />
      {diff.settings.length > 0 ? (
        <table className="tbl ver-table">
          <caption className="vh">Settings that differ</caption>
          <thead>
            <tr>
              <th scope="col">
                <span className="vh">Change</span>
              </th>
              <th scope="col">Setting</th>
              <th scope="col">{titles[0]}</th>
              <th scope="col">{titles[1]}</th>
            </tr>
          </thead>
          <tbody>
            {diff.settings.map((line) => (
              <tr key={`${line.node} ${line.setting}`}>
                <td className={`ver-${line.mark}`}>
                  <span aria-hidden="true">{SIGNS[line.mark]}</span>
                  <span className="vh">{line.mark}</span>
                </td>
                <th scope="row">
                  {line.title}
                  {line.setting === null ? '' : `, ${line.setting}`}
                </th>
                <td>{line.before}</td>
                <td>{line.after}</td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : null}
      <p className="help">Places, names and notes are left out: they change no result.</p>
    </>
  )
}

function MiniGraph({ before, after, diff }: { before: Pipeline; after: Pipeline; diff: GraphDiff }) {
  const { registry } = useStores()
  const label = useId()
  const boxes = Object.entries(diff.nodes).map(([id, mark]) => {
    const doc = own(after.nodes, id) ? after : before
    return { id, mark, title: titleOf(doc, registry, id), ...placeOf(doc, id) }
  })
  if (boxes.length === 0) return <p className="help framed">There is no node in either.</p>
  const [left, top] = [Math.min(...boxes.map((b) => b.x)) - 24, Math.min(...boxes.map((b) => b.y)) - 24]
  const [right, bottom] = [Math.max(...boxes.map((b) => b.x)) + NODE.width + 24, Math.max(...boxes.map((b) => b.y)) + NODE.height + 24]
  const at = new Map(boxes.map((box) => [box.id, box]))
  return (
    <svg className="ver-graph" viewBox={`${left} ${top} ${right - left} ${bottom - top}`} role="img" aria-labelledby={label}>
      <title id={label}>{`Nodes and wires: ${diffWords(diff)}`}</title>
      {diff.edges.map(({ edge, mark }) => {
        const [from, to] = [at.get(edge.from.node), at.get(edge.to.node)]
        if (!from || !to) return null
        return (
          <path
            key={`${edge.from.node}.${edge.from.port}>${edge.to.node}.${edge.to.port}`}
            className={`w ${mark}`}
            d={wirePath(from.x + NODE.width, from.y + NODE.height / 2, to.x, to.y + NODE.height / 2)}
          />
        )
      })}
      {boxes.map((box) => (
        <g key={box.id} className={box.mark} transform={`translate(${box.x} ${box.y})`}>
          <rect width={NODE.width} height={NODE.height} rx={14} />
          <text x={NODE.width / 2} y={NODE.height / 2 + 11}>
            {box.title.length > 15 ? `${box.title.slice(0, 14)}…` : box.title}
          </text>
          {box.mark === 'same' ? null : (
            <>
              <circle cx={NODE.width - 6} cy={6} r={22} />
              <text className="sign" x={NODE.width - 6} y={17}>
                {SIGNS[box.mark]}
              </text>
            </>
          )}
        </g>
      ))}
    </svg>
  )
}
