'use client'
import type { inferRouterOutputs } from '@trpc/server'
import type { AppRouter } from '../../server/trpc/router'
import { Icon } from '../ui/icon'
import { count, percent, plural } from '../ui/words'

export type DataChange = inferRouterOutputs<AppRouter>['artifacts']['compare']

/** What a person should look at before training on other data, worst first. Pure. */
export function remarksOn(
  data: DataChange,
  mapped: ReadonlySet<string> = new Set(),
): { tone: 'bad' | 'warn'; title: string; text: string }[] {
  const out: { tone: 'bad' | 'warn'; title: string; text: string }[] = []
  const gone = data.columns.filter((one) => one.earlier !== null && one.later === null)
  for (const one of gone) {
    if (one.suggestion !== null && mapped.has(one.suggestion)) continue
    out.push({
      tone: 'bad',
      title: `No column ${one.name}`,
      text: one.suggestion === null ? 'The earlier data had it.' : `The earlier data had it; ${one.suggestion} is most like it.`,
    })
  }
  if (data.rows.later === 0) out.push({ tone: 'bad', title: 'No rows', text: 'There is nothing to learn from.' })
  for (const one of data.columns) {
    if (one.earlier === null || one.later === null) continue
    if (one.later !== one.earlier && one.later !== 'empty')
      out.push({ tone: 'warn', title: `${one.name} holds other values`, text: `${one.earlier} before, ${one.later} now.` })
    if (one.earlierFilled - one.laterFilled > 0.1)
      out.push({
        tone: 'warn',
        title: `${one.name} is often empty`,
        text: `${percent(one.laterFilled)} of the rows have a value, before it were ${percent(one.earlierFilled)}.`,
      })
  }
  for (const { column, added, removed, shift } of data.labels) {
    const words = (list: readonly { value: string; rows: number }[]) =>
      `${list
        .slice(0, 5)
        .map(({ value, rows }) => `${value} (${count(rows)})`)
        .join(', ')}${list.length > 5 ? ` and ${list.length - 5} more` : ''}`
    if (added.length > 0) out.push({ tone: 'warn', title: `New in ${column}: ${words(added)}`, text: 'The earlier run never saw it.' })
    if (removed.length > 0)
      out.push({
        tone: 'warn',
        title: `Missing in ${column}: ${words(removed)}`,
        text: 'The earlier data had it; the number of rows is in brackets.',
      })
    if (added.length === 0 && removed.length === 0 && shift > 0.2)
      out.push({ tone: 'warn', title: `${column} is spread otherwise`, text: `${percent(shift)} of the rows moved to another value.` })
  }
  if (data.repeated > 0)
    out.push({
      tone: 'warn',
      title: `${plural(data.repeated, 'row')} repeated`,
      text: 'The same content occurs more than once in the new data.',
    })
  if (data.shared > 0)
    out.push({
      tone: 'warn',
      title: `${plural(data.shared, 'row')} known from before`,
      text: 'If the earlier run held them out, training on them makes its score look better than it is.',
    })
  if (data.lengths.longer > 0)
    out.push({
      tone: 'warn',
      title: `${plural(data.lengths.longer, 'row')} longer than any before`,
      text: `Up to ${count(data.lengths.later.longest)} characters; the longest was ${count(data.lengths.earlier.longest)}. Look at the length limit of the training.`,
    })
  return out
}

/** Columns, rows, labels and lengths of two sets of rows side by side. */
export function DataChanges({
  changes,
  names,
  mapped,
}: {
  changes: DataChange
  names: readonly [string, string]
  mapped?: ReadonlySet<string>
}) {
  const remarks = remarksOn(changes, mapped)
  return (
    <div className="grid gap-3">
      <table className="tbl">
        <thead>
          <tr>
            <th scope="col">
              <span className="vh">What</span>
            </th>
            <th scope="col">{names[0]}</th>
            <th scope="col">{names[1]}</th>
          </tr>
        </thead>
        <tbody>
          <tr>
            <th scope="row" className="font-normal">
              Rows
            </th>
            <td className="num">{count(changes.rows.earlier)}</td>
            <td className="num">{count(changes.rows.later)}</td>
          </tr>
          {changes.columns.map((one) => (
            <tr key={one.name}>
              <th scope="row" className="mono font-normal">
                {one.name}
              </th>
              <td>{one.earlier ?? <span className="muted">not there</span>}</td>
              <td>
                {one.later ?? <span className={one.suggestion && mapped?.has(one.suggestion) ? 'muted' : 'text-bad'}>not there</span>}
                {one.earlier === null ? <span className="muted"> (new)</span> : null}
              </td>
            </tr>
          ))}
          <tr>
            <th scope="row" className="font-normal">
              Characters, median
            </th>
            <td className="num">{count(changes.lengths.earlier.median)}</td>
            <td className="num">{count(changes.lengths.later.median)}</td>
          </tr>
          <tr>
            <th scope="row" className="font-normal">
              Characters, longest
            </th>
            <td className="num">{count(changes.lengths.earlier.longest)}</td>
            <td className="num">{count(changes.lengths.later.longest)}</td>
          </tr>
        </tbody>
      </table>
      {remarks.length > 0 ? (
        <ul className="grid gap-2">
          {remarks.map((remark) => (
            <li key={remark.title} className="row items-start gap-2">
              <span className={remark.tone === 'bad' ? 'text-bad' : 'text-warn'}>
                <Icon name={remark.tone === 'bad' ? 'error' : 'warn'} size={14} label={remark.tone === 'bad' ? 'Fault' : 'Look at this'} />
              </span>
              <span className="min-w-0">
                <b className="font-medium">{remark.title}</b>
                <span className="muted block text-12">{remark.text}</span>
              </span>
            </li>
          ))}
        </ul>
      ) : (
        <p className="row gap-1 text-ok">
          <Icon name="check" size={14} />
          Same columns, labels and lengths.
        </p>
      )}
    </div>
  )
}
