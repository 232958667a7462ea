'use client'
/** The whole dataset in numbers, as the training will read it (UX-84). */
import { useId } from 'react'
import type { DatasetTokens } from '../../../nodes/_kit/tokens'
import { count, percent, plural } from '../../ui/words'
import { histogram, type RowTokens, type Totals } from './counts'

const BARS = 24

export function TokenSummary({
  rows,
  totals,
  found,
  limit,
  trains,
}: {
  rows: readonly RowTokens[]
  totals: Totals
  found: DatasetTokens
  limit: number | null
  /** What a training does is said only where there is one. */
  trains: boolean
}) {
  const { flags } = totals
  const share = (n: number, all: number) => (all === 0 ? '' : percent(n / all, n > 0 && n < all / 10 ? 1 : 0))
  return (
    <div className="dv-sum">
      <section aria-label="Length of the rows">
        <h3 className="h-sec row">
          Length of the rows <span className="muted ml-auto font-normal">median {count(totals.median)}</span>
        </h3>
        <Lengths rows={rows} limit={limit} />
      </section>
      <section aria-label="All rows">
        <h3 className="h-sec">
          {found.read < found.rows ? `First ${count(found.read)} of ${plural(found.rows, 'row')}` : `All ${plural(found.rows, 'row')}`}
        </h3>
        <dl className="dv-counts">
          <Line name="Tokens" value={totals.tokens} />
          <Line name="Trained tokens" value={totals.trained} note={share(totals.trained, totals.tokens)} />
          {limit === null ? null : (
            <Line
              name={found.tooLong === 'split' ? 'Rows cut into pieces' : trains ? 'Left out, too long' : 'Above the limit'}
              value={flags.long}
              note={share(flags.long, totals.rows)}
              bad={flags.long > 0}
            />
          )}
          <Line name="End token trained" value={totals.endTrained} note={`of ${count(totals.rows)}`} bad={flags['no-end'] > 0} />
          <Line name="Without a trained token" value={flags.untrained} bad={flags.untrained > 0} />
          <Line name="Repeated rows" value={flags.repeated} note={share(flags.repeated, totals.rows)} />
          {flags.unreadable > 0 ? <Line name="No tokens" value={flags.unreadable} bad /> : null}
          {found.padding ? (
            <Line name="Padding" value={found.padding.padded} note={share(found.padding.padded, found.padding.positions)} />
          ) : null}
        </dl>
      </section>
    </div>
  )
}

const Line = ({ name, value, note, bad = false }: { name: string; value: number; note?: string; bad?: boolean }) => (
  <div>
    <dt>{name}</dt>
    <dd className={bad ? 'bad-t' : ''}>{count(value)}</dd>
    <dd>{note}</dd>
  </div>
)

const W = 240
const H = 72

/** Also in the port's preview. The table behind it is the list of rows. */
export function Lengths({ rows, limit }: { rows: readonly RowTokens[]; limit: number | null }) {
  const title = useId()
  const bars = histogram(rows, BARS)
  const [first] = bars
  const last = bars.at(-1)
  if (!first || !last) return <p className="help">No row has tokens.</p>
  const most = Math.max(...bars.map((bar) => bar.rows))
  const step = W / bars.length
  const range = last.to - first.from + 1
  const at = limit === null ? null : ((limit + 1 - first.from) / range) * W
  const long = rows.filter((row) => row.long).length
  return (
    <div className="lengths">
      <svg viewBox={`0 0 ${W} ${H}`} role="img" aria-labelledby={title}>
        <title id={title}>
          {`${plural(rows.length, 'row')} of ${count(first.from)} to ${count(last.to)} tokens${limit === null ? '' : `; ${count(long)} above the limit of ${count(limit)}`}`}
        </title>
        {bars.map((bar, i) => {
          const height = bar.rows === 0 ? 0 : Math.max(1.5, (bar.rows / most) * (H - 6))
          return (
            <rect
              key={bar.from}
              className={limit !== null && bar.from > limit ? 'long' : ''}
              x={i * step + 0.5}
              y={H - height}
              width={Math.max(1, step - 1)}
              height={height}
              rx={1}
            />
          )
        })}
        {at !== null && at > 0 && at < W ? <line x1={at} x2={at} y1={0} y2={H} /> : null}
      </svg>
      <p className="row muted num text-11">
        <span>{count(first.from)}</span>
        <span className="ml-auto">{count(last.to)} tokens</span>
      </p>
    </div>
  )
}
