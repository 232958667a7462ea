// biome-ignore-all lint/a11y/useSemanticElements: rows of a virtual table are laid out by hand, which takes the meaning from <table> elements; roles say it
'use client'
import { useQuery } from '@tanstack/react-query'
import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, type ReactNode, useMemo, useRef, useState } from 'react'
import type { Metrics } from '../../nodes/_kit/ports'
import { faultOf } from '../fault'
import { useTRPC, useTRPCClient } from '../trpc'
import { Button } from '../ui/button'
import { Search } from '../ui/field'
import { Icon } from '../ui/icon'
import { Empty, Notice } from '../ui/notice'
import { Segmented } from '../ui/toggles'
import { count, plural } from '../ui/words'
import { Interval } from './interval'
import { downloadHref } from './links'
import { areShortAnswers, type FieldOfRow, fieldColumns, findRows, findValues, type RowFilter, type ScoredRow } from './rows'
import { scoredRowsQuery } from './scored-query'
import { scoresOf } from './scores'

const ROW_H = 40

/** Rows of a validation: scores above, a virtual table, the chosen row in full beside it. */
export function RowsView({ run, node, metrics }: { run: string; node: string; metrics: Metrics }) {
  const trpc = useTRPC()
  const client = useTRPCClient()
  const { data, error, isPending, refetch } = useQuery(scoredRowsQuery(trpc, client, run, node))
  if (error) {
    const { message, fix } = faultOf(error)
    return (
      <Notice
        tone="error"
        title="The rows could not be read"
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
  if (isPending || !data) return <p className="late muted p-6">Reading the rows</p>
  return <RowsTable rows={data.rows} total={data.total} metrics={metrics} href={downloadHref(run, node, 'rows')} />
}

export function RowsTable({ rows, total, metrics, href }: { rows: readonly ScoredRow[]; total: number; metrics: Metrics; href: string }) {
  const [filter, setFilter] = useState<RowFilter>('all')
  const [search, setSearch] = useState('')
  const [chosen, setChosen] = useState<string | null>(null)
  const columns = useMemo(() => fieldColumns(rows), [rows])
  const short = useMemo(() => areShortAnswers(rows), [rows])
  const shown = useMemo(() => findRows(rows, filter, search), [rows, filter, search])
  const wrong = useMemo(() => rows.filter((row) => !row.correct).length, [rows])
  const gained = useMemo(() => findRows(rows, 'gained', '').length, [rows])
  const lost = useMemo(() => findRows(rows, 'lost', '').length, [rows])
  const at = shown.findIndex((row) => row.id === chosen)
  const current = shown[at] ?? shown[0]
  if (rows.length === 0) {
    return (
      <Empty icon="table" title="There are no rows">
        The validation had nothing to score.
      </Empty>
    )
  }
  return (
    <div className="rowsview">
      <Tiles metrics={metrics} />
      <div className="rv-main">
        <section className="card rv-table" aria-label="Scored rows">
          <div className="row flex-none flex-wrap border-line border-b px-3 py-2">
            <Segmented
              label="Which rows"
              value={filter}
              onValueChange={setFilter}
              items={[
                { value: 'all', label: `All ${count(rows.length)}` },
                { value: 'wrong', label: `Wrong ${count(wrong)}` },
                { value: 'right', label: `Right ${count(rows.length - wrong)}` },
                ...(gained > 0
                  ? [{ value: 'gained' as const, label: `Learned ${count(gained)}`, title: 'Wrong before training, right after' }]
                  : []),
                ...(lost > 0
                  ? [{ value: 'lost' as const, label: `Unlearned ${count(lost)}`, title: 'Right before training, wrong after' }]
                  : []),
              ]}
            />
            <Search className="ml-auto max-w-[220px]" value={search} onValueChange={setSearch} label="Find in rows" />
            <Button variant="ghost" asChild>
              <a href={href} download>
                <Icon name="download" />
                JSONL
              </a>
            </Button>
          </div>
          <Table rows={shown} columns={columns} short={short} current={current?.id ?? null} onChoose={setChosen} />
          {total > rows.length ? (
            <p className="help flex-none border-line border-t px-3 py-2">
              The first {count(rows.length)} of {plural(total, 'row')}, worst first. The download has them all.
            </p>
          ) : null}
        </section>
        {current ? (
          <RowDetail
            row={current}
            place={`${Math.max(0, at) + 1} of ${count(shown.length)}`}
            onNext={at + 1 < shown.length ? () => setChosen(shown[Math.max(0, at) + 1]?.id ?? null) : null}
            onPrevious={at > 0 ? () => setChosen(shown[at - 1]?.id ?? null) : null}
          />
        ) : null}
      </div>
    </div>
  )
}

function Tiles({ metrics }: { metrics: Metrics }) {
  const scores = scoresOf(metrics)
  const main = scores.find((score) => score.name === 'exact_match')
  const fields = scores.filter((score) => score.field !== null).slice(0, 8)
  if (!main) return null
  const of = (share: number | null, rows: number | null) =>
    share === null || rows === null ? '' : `${count(share * rows)} of ${count(rows)}`
  return (
    <div className="card tiles">
      <div>
        <div className="muted text-12">Exact match, whole answer</div>
        <div className="row items-baseline">
          <span className="huge num">{main.after?.toFixed(2)}</span>
          <span className="muted">{of(main.after, main.rows)}</span>
        </div>
        <div className="muted text-12">
          {main.interval ? `95 % interval ${main.interval[0].toFixed(2)}–${main.interval[1].toFixed(2)}` : ''}
          {main.before === null ? '' : `, before ${main.before.toFixed(2)}`}
        </div>
      </div>
      {fields.map((score) => (
        <div key={score.name}>
          <code className="ell block">{score.title}</code>
          <div className="row items-baseline gap-1">
            <span className="big">{score.after?.toFixed(2)}</span>
            <span className="muted ell text-12">{of(score.after, score.rows)}</span>
          </div>
          <Interval score={score} width={96} />
        </div>
      ))}
    </div>
  )
}

function Table({
  rows,
  columns,
  short,
  current,
  onChoose,
}: {
  rows: readonly ScoredRow[]
  columns: readonly string[]
  /** Answers are words: their columns are narrow. */
  short: boolean
  current: string | null
  onChoose: (id: string) => void
}) {
  const scroller = useRef<HTMLDivElement>(null)
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_H, overscan: 12 })
  const grid =
    columns.length > 0
      ? `52px minmax(160px, 1.3fr) repeat(${columns.length}, minmax(92px, 1fr)) 104px`
      : `52px minmax(160px, ${short ? 3 : 1.2}fr) repeat(3, minmax(${short ? 88 : 120}px, 1fr)) 104px`
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key]
    const at = rows.findIndex((row) => row.id === current)
    const next =
      event.key === 'Home'
        ? 0
        : event.key === 'End'
          ? rows.length - 1
          : step === undefined
            ? null
            : Math.min(rows.length - 1, Math.max(0, at + step))
    const row = next === null ? undefined : rows[next]
    if (!row || next === null) return
    event.preventDefault()
    onChoose(row.id)
    virtual.scrollToIndex(next)
  }
  return (
    <div
      className="vt"
      role="grid"
      aria-label="Rows, worst first"
      aria-rowcount={rows.length + 1}
      tabIndex={0}
      onKeyDown={onKey}
      ref={scroller}
      aria-activedescendant={current === null ? undefined : `row-${current}`}
    >
      <div className="vt-head" role="row" style={{ gridTemplateColumns: grid }} tabIndex={-1}>
        {['Row', 'Input', ...(columns.length > 0 ? [] : ['Expected', 'Before', 'After'])].map((title) => (
          <span key={title} role="columnheader" tabIndex={-1}>
            {title}
          </span>
        ))}
        {columns.map((name) => (
          <span key={name} role="columnheader" tabIndex={-1} className="mono ell">
            {name}
          </span>
        ))}
        <span role="columnheader" tabIndex={-1}>
          Result
        </span>
      </div>
      {rows.length === 0 ? <p className="muted p-4">No row is like that.</p> : null}
      <div style={{ height: virtual.getTotalSize() }} className="relative" role="rowgroup">
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index]
          if (!row) return null
          return (
            // biome-ignore lint/a11y/useKeyWithClickEvents: arrow keys on the grid choose rows; each row is not a tab stop
            <div
              key={row.id}
              id={`row-${row.id}`}
              role="row"
              tabIndex={-1}
              aria-rowindex={item.index + 2}
              aria-selected={row.id === current}
              className="vt-row"
              style={{ gridTemplateColumns: grid, transform: `translateY(${item.start}px)` }}
              onClick={() => onChoose(row.id)}
            >
              <span role="gridcell" tabIndex={-1} className="mono muted ell">
                {row.id}
              </span>
              <span role="gridcell" tabIndex={-1} className="ell muted">
                {row.input}
              </span>
              {columns.length > 0 ? (
                columns.map((name) => <FieldCell key={name} field={row.fields?.find((field) => field.name === name)} />)
              ) : (
                <>
                  <Cell>{row.expected}</Cell>
                  <Cell muted>{row.before}</Cell>
                  <Cell>{row.after}</Cell>
                </>
              )}
              <span role="gridcell" tabIndex={-1}>
                <Result row={row} />
              </span>
            </div>
          )
        })}
      </div>
    </div>
  )
}

const Cell = ({ children, muted = false }: { children: ReactNode; muted?: boolean }) => (
  <span role="gridcell" tabIndex={-1} className={muted ? 'ell muted' : 'ell'}>
    {children}
  </span>
)

/** The value after training; a wrong one is marked and says what was expected (D-14). */
function FieldCell({ field }: { field: FieldOfRow | undefined }) {
  if (!field) return <Cell muted>–</Cell>
  if (field.right) return <Cell muted={field.after === 'not stated'}>{field.after}</Cell>
  return (
    <span role="gridcell" tabIndex={-1} className="min-w-0">
      <span className="wrong ell" title={`expected: ${field.expected}`}>
        <Icon name="close" size={12} />
        <span className="ell">{field.after ?? 'no answer'}</span>
        <span className="vh">, expected {field.expected}</span>
      </span>
    </span>
  )
}

function Result({ row }: { row: ScoredRow }) {
  const words = row.broken
    ? 'not JSON'
    : row.fields
      ? `${row.fields.filter((field) => field.right).length} of ${row.fields.length}`
      : row.correct
        ? 'right'
        : 'wrong'
  return (
    <span className={`row gap-1 num ${row.correct ? 'text-ok' : 'text-bad'}`}>
      <Icon name={row.correct ? 'check' : 'close'} size={12} />
      {words}
    </span>
  )
}

/** One row in full: its text with the found values marked, and each field as expected, before and after. */
export function RowDetail({
  row,
  place,
  onNext,
  onPrevious,
}: {
  row: ScoredRow
  place: string
  onNext: (() => void) | null
  onPrevious: (() => void) | null
}) {
  // An answer that is no JSON object has no fields: it is shown as it was written, below.
  const answered = row.fields?.some((field) => field.before !== null) ?? false
  return (
    <section className="card rv-detail" aria-label={`Row ${row.id}`}>
      <header className="ph">
        <h2>Row {row.id}</h2>
        <Result row={row} />
        <span className="row ml-auto gap-1">
          <span className="muted num text-12">{place}</span>
          <Button size="sm" variant="ghost" icon="up" aria-label="Previous row" disabled={!onPrevious} onClick={() => onPrevious?.()} />
          <Button size="sm" variant="ghost" icon="down" aria-label="Next row" disabled={!onNext} onClick={() => onNext?.()} />
        </span>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard */}
      <div className="rv-scroll" tabIndex={0} role="region" aria-label={`Text and answers of row ${row.id}`}>
        <div className="clause">
          <Marked row={row} />
        </div>
        {row.fields ? (
          <>
            <p className="rv-legend">
              <mark>abc</mark> found <mark className="bad">abc</mark> wrong <mark className="gold">abc</mark> expected
            </p>
            <table className="tbl">
              <caption className="vh">Fields of row {row.id}</caption>
              <thead>
                <tr>
                  <th scope="col">Field</th>
                  <th scope="col">Expected</th>
                  {answered ? <th scope="col">Before</th> : null}
                  <th scope="col">After</th>
                </tr>
              </thead>
              <tbody>
                {row.fields.map((field) => (
                  <tr key={field.name}>
                    <th scope="row">
                      <code>{field.name}</code>
                    </th>
                    <td>{field.expected}</td>
                    {answered ? <td className="muted">{field.before ?? 'no answer'}</td> : null}
                    <td>
                      <span className={field.right ? 'row gap-1' : 'row gap-1 text-bad'}>
                        <Icon name={field.right ? 'check' : 'close'} size={12} label={field.right ? 'right' : 'wrong'} />
                        {field.after ?? 'no answer'}
                      </span>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
            {row.broken ? <Answer title="Answer after training, not a JSON object" text={row.after} /> : null}
            {!answered && row.before !== '' ? <Answer title="Answer before training, not a JSON object" text={row.before} muted /> : null}
          </>
        ) : (
          <>
            <Answer title="Expected" text={row.expected} />
            <Answer title="After training" text={row.after} tone={row.correct ? 'ok' : 'bad'} />
            <Answer title="Before training" text={row.before} muted />
          </>
        )}
      </div>
    </section>
  )
}

function Answer({ title, text, muted = false, tone }: { title: string; text: string; muted?: boolean; tone?: 'ok' | 'bad' }) {
  return (
    <div className="answer">
      <h3 className={tone === 'bad' ? 'text-bad' : tone === 'ok' ? 'text-ok' : undefined}>{title}</h3>
      <p className={muted ? 'muted' : undefined}>{text === '' ? 'nothing was written' : text}</p>
    </div>
  )
}

/** The input with right values underlined in teal, wrong ones in crimson, and expected ones that were missed dotted (D-14). */
function Marked({ row }: { row: ScoredRow }) {
  if (!row.fields) return row.input
  const marks = findValues(row.input, [
    ...row.fields.filter((field) => field.right).map((field) => ({ text: field.expected, field: `found ${field.name}` })),
    ...row.fields
      .filter((field) => !field.right)
      .flatMap((field) => [
        { text: field.expected, field: `expected ${field.name}` },
        ...(field.after === null ? [] : [{ text: field.after, field: `wrong ${field.name}` }]),
      ]),
  ])
  const parts: ReactNode[] = []
  let at = 0
  for (const { start, end, field } of marks) {
    const [kind = '', name = ''] = [field.slice(0, field.indexOf(' ')), field.slice(field.indexOf(' ') + 1)]
    parts.push(row.input.slice(at, start))
    parts.push(
      <mark key={start} className={kind === 'wrong' ? 'bad' : kind === 'expected' ? 'gold' : undefined}>
        {row.input.slice(start, end)}
        <code>{kind === 'found' ? name : `${kind} ${name}`}</code>
      </mark>,
    )
    at = end
  }
  parts.push(row.input.slice(at))
  return parts
}
