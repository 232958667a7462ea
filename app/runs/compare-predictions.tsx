'use client'
import { useMemo, useState } from 'react'
import { faultOf } from '../fault'
import { Search } from '../ui/field'
import { Icon } from '../ui/icon'
import { Notice } from '../ui/notice'
import { Select } from '../ui/select'
import { Segmented } from '../ui/toggles'
import { count } from '../ui/words'
import { findPredictions, type PredictionFilter, type PredictionRow } from './compare'
import type { Snapshot } from './live'
import { findValues, type ScoredRow } from './rows'
import { RunKey } from './run-key'

export type Scored = {
  /** Scoring nodes that kept their rows: id and title. */
  scorers: readonly (readonly [string, string])[]
  scorer: string | null
  rows: readonly PredictionRow[]
  reading: boolean
  fault: unknown
}
const PAGE = 50

/** Answers of all runs to the same rows (UX-92). */
export function ComparePredictions({
  snapshots,
  scored,
  onScorer,
}: {
  snapshots: readonly Snapshot[]
  scored: Scored
  onScorer: (node: string) => void
}) {
  const [which, setWhich] = useState<'all' | 'disagree' | 'pair'>('disagree')
  const [right, setRight] = useState(1)
  const [wrong, setWrong] = useState(0)
  const [search, setSearch] = useState('')
  const [most, setMost] = useState(PAGE)
  const { rows } = scored
  const filter = useMemo((): PredictionFilter => (which === 'pair' ? { right, wrong } : which), [which, right, wrong])
  const found = useMemo(() => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean)
    return findPredictions(rows, filter).filter((row) =>
      words.every((word) =>
        `${row.input} ${row.expected} ${row.answers.map((one) => one?.after ?? '').join(' ')}`.toLowerCase().includes(word),
      ),
    )
  }, [rows, filter, search])
  const disagreeing = useMemo(() => findPredictions(rows, 'disagree').length, [rows])
  const number = (i: number) => snapshots[i]?.run.number ?? '?'
  const options = snapshots.map(({ run }, i) => ({ value: String(i), label: `Run ${run.number}` }))
  return (
    <section className="card compare-wide" aria-labelledby="cmp-predictions">
      <div className="ph flex-wrap py-2">
        <h2 id="cmp-predictions">Predictions</h2>
        {snapshots.length > 1 ? (
          <Segmented
            label="Rows to show"
            value={which}
            onValueChange={(next) => {
              setWhich(next)
              setMost(PAGE)
            }}
            items={[
              { value: 'all', label: `All ${count(rows.length)}` },
              { value: 'disagree', label: `Runs disagree ${count(disagreeing)}` },
              {
                value: 'pair',
                label: `${number(right)} right, ${number(wrong)} wrong ${count(findPredictions(rows, { right, wrong }).length)}`,
              },
            ]}
          />
        ) : null}
        {which === 'pair' && snapshots.length > 1 ? (
          <span className="row gap-2 font-normal">
            <Select label="Right" className="h-7 w-24" value={String(right)} onValueChange={(i) => setRight(Number(i))} options={options} />
            right,
            <Select label="Wrong" className="h-7 w-24" value={String(wrong)} onValueChange={(i) => setWrong(Number(i))} options={options} />
            wrong
          </span>
        ) : null}
        <span className="row ml-auto gap-2 font-normal">
          {scored.scorers.length > 1 && scored.scorer ? (
            <Select
              label="Validation"
              className="h-7 w-44"
              value={scored.scorer}
              onValueChange={onScorer}
              options={scored.scorers.map(([value, label]) => ({ value, label }))}
            />
          ) : null}
          <Search value={search} onValueChange={setSearch} label="Search the rows" className="w-44" />
        </span>
      </div>
      {scored.fault ? (
        <Notice tone="error" title="The rows could not be read" className="m-4">
          {faultOf(scored.fault).message}
        </Notice>
      ) : scored.scorer === null ? (
        <p className="muted p-4">No run has scored rows.</p>
      ) : scored.reading ? (
        <p className="late muted p-4">Reading the rows</p>
      ) : found.length === 0 ? (
        <p className="muted p-4">
          {which === 'disagree' && search === '' ? 'The runs are right and wrong on the same rows.' : 'No row is like that.'}
        </p>
      ) : (
        <div className="overflow-x-auto">
          <table className="tbl compare-rows">
            <thead>
              <tr>
                <th scope="col">Row</th>
                <th scope="col">Input</th>
                <th scope="col">Expected</th>
                {snapshots.map(({ run }, i) => (
                  <th key={run.id} scope="col">
                    <RunKey index={i} number={run.number} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {found.slice(0, most).map((row) => (
                <Line key={`${row.id} ${row.input}`} row={row} runs={snapshots.map(({ run }) => run.id)} />
              ))}
            </tbody>
          </table>
          {found.length > most ? (
            <p className="p-3">
              <button type="button" className="link" onClick={() => setMost((now) => now + 200)}>
                Show more ({count(found.length - most)} left)
              </button>
            </p>
          ) : null}
        </div>
      )}
    </section>
  )
}

function Line({ row, runs }: { row: PredictionRow; runs: readonly string[] }) {
  const fields = row.answers.find((one) => one?.fields)?.fields ?? null
  // With fields only those are shown on which some run is wrong: the rest says nothing about the difference.
  const told = fields?.filter((field) => row.answers.some((one) => one?.wrong.includes(field.name))) ?? null
  const spots = fields
    ? findValues(
        row.input,
        (told?.length ? told : fields).map((field) => ({ text: field.expected, field: field.name })),
      )
    : []
  return (
    <tr>
      <td className="mono muted" title={row.id}>
        {row.id.length > 8 ? `${row.id.slice(0, 7)}…` : row.id}
      </td>
      <td className="compare-input">
        <Marked text={row.input} spots={spots} />
      </td>
      <td>
        {told && told.length > 0 ? (
          told.map((field) => (
            <span key={field.name} className="block">
              <span className="mono text-ink-2 text-12">{field.name}</span> {field.expected}
            </span>
          ))
        ) : fields ? (
          <span className="muted">{fields.length} fields</span>
        ) : (
          row.expected
        )}
      </td>
      {row.answers.map((answer, i) => (
        <td key={runs[i]}>
          {answer ? <Answer answer={answer} told={told?.map((field) => field.name) ?? null} /> : <span className="muted">not asked</span>}
        </td>
      ))}
    </tr>
  )
}

const Sign = ({ right }: { right: boolean }) => (
  <span className={right ? 'text-ok' : 'text-bad'}>
    <Icon name={right ? 'check' : 'close'} size={12} label={right ? 'right' : 'wrong'} />
  </span>
)

function Answer({ answer, told }: { answer: ScoredRow; told: readonly string[] | null }) {
  if (told && told.length > 0 && answer.fields && !answer.broken) {
    return (
      <>
        {told.map((name) => {
          const field = answer.fields?.find((one) => one.name === name)
          return (
            <span key={name} className="row items-start gap-1">
              <Sign right={field?.right ?? false} />
              <span className={field?.right ? '' : 'text-bad'}>{field?.after ?? 'not stated'}</span>
            </span>
          )
        })}
      </>
    )
  }
  return (
    <span className="row items-start gap-1">
      <Sign right={answer.correct} />
      <span className={answer.correct ? '' : 'text-bad'}>
        {answer.correct && told !== null ? 'all right' : answer.after || 'no answer'}
      </span>
    </span>
  )
}

/** The text with what was to be found in it marked (D-14). */
function Marked({ text, spots }: { text: string; spots: readonly { start: number; end: number; field: string }[] }) {
  const parts: React.ReactNode[] = []
  let at = 0
  for (const spot of spots) {
    parts.push(text.slice(at, spot.start), <mark key={spot.start}>{text.slice(spot.start, spot.end)}</mark>)
    at = spot.end
  }
  parts.push(text.slice(at))
  return <>{parts}</>
}
