'use client'
import { Fragment } from 'react'
import { duration, figure, percent, short } from '../ui/words'
import { pairedDifference, pairsOf, type ScoreLine, seedGroups, spreadOf, verdictOf } from './compare'
import type { Scored } from './compare-predictions'
import type { Snapshot } from './live'
import { RunKey } from './run-key'

const value = (line: ScoreLine, n: number): string =>
  line.score.better === 'lower' ? figure(n) : line.values.some((score) => score?.interval) ? percent(n, 1) : n.toFixed(3)
const MINUS = '\u2212'
const signed = (line: ScoreLine, n: number): string => (n === 0 ? '0' : `${n > 0 ? '+' : MINUS}${value(line, Math.abs(n))}`)

/** Scores by run: the best bold, the difference to the baseline, and whether it is more than chance. */
export function CompareSummary({
  snapshots,
  lines,
  scored,
  foreign,
}: {
  snapshots: readonly Snapshot[]
  lines: readonly ScoreLine[]
  scored: Scored
  /** Scoring nodes whose rows differ: there is no verdict on them. */
  foreign: readonly string[]
}) {
  const groups = seedGroups(snapshots)
  const repeated = groups.filter((group) => group.length > 1)
  const nodes = [...new Set(lines.map((line) => line.node))]
  const spreadIn = (line: ScoreLine): number | null => {
    const all = repeated.flatMap((group) => spreadOf(group.flatMap((i) => line.values[i]?.after ?? []))?.sd ?? [])
    return all.length > 0 ? Math.max(...all) : null
  }
  return (
    <section className="card" aria-labelledby="cmp-summary">
      <div className="ph">
        <h2 id="cmp-summary">Summary</h2>
        <span className="muted font-normal">
          Best bold. Differences against run {snapshots[0]?.run.number}
          {scored.rows.length > 0 ? ', 95 % paired interval over rows' : ''}.
        </span>
      </div>
      {lines.length === 0 ? (
        <p className="muted p-4">None of these runs has scores yet. A Validate node gives them.</p>
      ) : (
        <div className="overflow-x-auto">
          <table className="tbl">
            <thead>
              <tr>
                <th scope="col">Score</th>
                {snapshots.map(({ run }, i) => (
                  <Fragment key={run.id}>
                    <th scope="col" className="r">
                      <span className="inline-flex">
                        <RunKey index={i} number={run.number} />
                      </span>
                    </th>
                    {i === 0 ? null : (
                      <th scope="col">
                        <span className="vh">Difference of run {run.number}</span>
                      </th>
                    )}
                  </Fragment>
                ))}
              </tr>
            </thead>
            {nodes.map((node) => (
              <tbody key={node}>
                {nodes.length > 1 ? (
                  <tr>
                    <th scope="colgroup" colSpan={snapshots.length * 2} className="muted font-normal">
                      {lines.find((line) => line.node === node)?.nodeTitle}
                    </th>
                  </tr>
                ) : null}
                {lines
                  .filter((line) => line.node === node)
                  .map((line) => (
                    <tr key={line.score.name}>
                      <th scope="row" className={line.score.field ? 'mono font-normal' : 'font-normal'}>
                        {line.score.title}
                      </th>
                      {snapshots.map(({ run }, i) => (
                        <Cells
                          key={run.id}
                          line={line}
                          index={i}
                          paired={
                            i > 0 && line.score.name === 'exact_match' && scored.scorer === node && !foreign.includes(node)
                              ? pairedOf(scored, i)
                              : null
                          }
                          spread={spreadIn(line)}
                          judged={!foreign.includes(node)}
                        />
                      ))}
                    </tr>
                  ))}
              </tbody>
            ))}
            <tbody>
              <tr>
                <th scope="row" className="font-normal">
                  Trainable
                </th>
                {snapshots.map((one, i) => (
                  <Fragment key={one.run.id}>
                    <td className="r">{trainableOf(one) ?? '–'}</td>
                    {i === 0 ? null : <td />}
                  </Fragment>
                ))}
              </tr>
              <tr>
                <th scope="row" className="font-normal">
                  Time
                </th>
                {snapshots.map(({ run }, i) => (
                  <Fragment key={run.id}>
                    <td className="r">
                      {run.startedAt && run.endedAt ? duration((run.endedAt.getTime() - run.startedAt.getTime()) / 1_000) : '–'}
                    </td>
                    {i === 0 ? null : <td />}
                  </Fragment>
                ))}
              </tr>
            </tbody>
          </table>
        </div>
      )}
      {repeated.length > 0 ? <Seeds snapshots={snapshots} lines={lines} groups={repeated} /> : null}
    </section>
  )
}

const pairedOf = (scored: Scored, i: number) => {
  const { base, other } = pairsOf(scored.rows, 0, i)
  return pairedDifference(base, other)
}

function Cells({
  line,
  index,
  paired,
  spread,
  judged,
}: {
  line: ScoreLine
  index: number
  paired: { low: number; high: number } | null
  spread: number | null
  judged: boolean
}) {
  const score = line.values[index]
  const base = line.values[0]?.after ?? null
  const mine = score?.after ?? null
  const text = mine === null ? '–' : value(line, mine)
  const shown = <td className="r">{line.best === index ? <b>{text}</b> : text}</td>
  if (index === 0) return shown
  const difference = mine === null || base === null ? null : mine - base
  const verdict = difference === null || !judged ? null : verdictOf(difference, line.score.better, paired, spread)
  return (
    <>
      {shown}
      <td className="whitespace-nowrap text-12">
        {difference === null ? null : (
          <>
            <span
              className="muted num"
              {...(paired && { title: `95 % interval ${signed(line, paired.low)} to ${signed(line, paired.high)}` })}
            >
              {signed(line, difference)}
            </span>{' '}
            <span className={verdict === 'better' ? 'text-ok' : verdict === 'worse' ? 'text-bad' : 'muted'}>
              {difference === 0 ? '' : (verdict ?? '')}
            </span>
          </>
        )}
      </td>
    </>
  )
}

/** Runs that differ only in seed, as mean and spread. */
function Seeds({ snapshots, lines, groups }: { snapshots: readonly Snapshot[]; lines: readonly ScoreLine[]; groups: readonly number[][] }) {
  const main = lines.find((line) => line.score.name === 'exact_match') ?? lines[0]
  if (!main) return null
  return (
    <ul className="help grid gap-1 p-4">
      {groups.map((group) => {
        const spread = spreadOf(group.flatMap((i) => main.values[i]?.after ?? []))
        const runs = group.map((i) => snapshots[i]?.run.number).join(', ')
        return (
          <li key={runs}>
            Runs {runs} differ only in seed
            {spread
              ? `: ${main.score.title} ${value(main, spread.mean)} ± ${value(main, spread.sd)} (${value(main, spread.low)} to ${value(main, spread.high)}). A difference below twice that spread is called “no difference seen”.`
              : '.'}
          </li>
        )
      })}
    </ul>
  )
}

function trainableOf({ nodes }: Snapshot): string | null {
  for (const node of nodes) {
    const model = node.outputs?.model as { trainable?: { params?: number; parameters?: number } | null } | undefined
    const n = node.type.startsWith('train') ? (model?.trainable?.parameters ?? model?.trainable?.params) : undefined
    if (typeof n === 'number') return short(n)
  }
  return null
}
