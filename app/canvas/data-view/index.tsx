'use client'
/**
 * The rows of a dataset in large, in place of the canvas (D-31, UX-83, UX-84): each as text or as the exact tokens that the model gets, with
 * the numbers of the whole set beside it. Rows come from the shown run, page by page; tokens and numbers are answers of the workers.
 */
import { useEffect, useMemo, useRef, useState } from 'react'
import type { DatasetTokens } from '../../../nodes/_kit/tokens'
import { titleOf } from '../../../nodes/_kit/wires'
import { faultOf } from '../../fault'
import { useNodeRun } from '../../runs/store'
import { Button } from '../../ui/button'
import { Icon } from '../../ui/icon'
import { Empty, Notice } from '../../ui/notice'
import { Select } from '../../ui/select'
import { Segmented } from '../../ui/toggles'
import { count, plural } from '../../ui/words'
import { useActions } from '../actions-context'
import { useDerived, useEditor, useStores } from '../context'
import { portsOf } from '../graph-queries'
import { useRunLink } from '../run-link'
import { FLAGS, type RowFlag, type RowTokens, rowTokens, totalsOf } from './counts'
import { type Reader, readerOf } from './reader'
import { RowList } from './row-list'
import { RowAsText } from './row-text'
import { RowAsTokens } from './row-tokens'
import { TokenLegend } from './token-flow'
import { TokenSummary } from './token-summary'
import { useInspection } from './use-inspection'
import { useRows } from './use-rows'

export function DatasetView({ node, port }: { node: string; port: string }) {
  const { registry, view } = useStores()
  const link = useRunLink()
  const title = useEditor((s) => titleOf(s.document, registry, node))
  const output = useNodeRun(node)?.outputs?.[port] as { rows?: number; format?: string } | undefined
  const def = useDerived((s) => s.nodes[node]?.def ?? undefined)
  const shape = portsOf(def, 'out').find(([name]) => name === port)?.[1]
  const several = portsOf(def, 'out').filter(([, p]) => p.kind === 'dataset').length > 1
  const stale = useDerived((s) => s.stale[node] ?? null)
  const back = useRef<HTMLButtonElement>(null)
  useEffect(() => back.current?.focus(), [])
  const reader = useReader(node, port)
  const by = useEditor((s) => (reader?.trains ? titleOf(s.document, registry, reader.node) : null))
  return (
    <section className="large dv" aria-label={`Rows of ${title}`}>
      <div className="large-head">
        <button ref={back} type="button" className="btn ghost" onClick={() => view.getState().set({ rows: null })}>
          <Icon name="left" />
          Canvas <kbd>Esc</kbd>
        </button>
        <span className="sep" />
        <Icon name={def?.icon ?? 'table'} />
        <h2>
          {title}
          {several && shape ? `, ${shape.title}` : ''}
        </h2>
        <span className="muted">
          {[
            output?.rows !== undefined && plural(output.rows, 'row'),
            by !== null && `as ${by} reads them`,
            link.number !== null && `run ${link.number}`,
          ]
            .filter(Boolean)
            .join(' · ')}
        </span>
      </div>
      {stale ? <Notice tone="warning" title={`These are the rows of run ${link.number ?? ''}. ${stale}.`} /> : null}
      {link.run !== null && output?.rows !== undefined && output.rows > 0 ? (
        <Table key={`${link.run} ${node} ${port}`} run={link.run} node={node} port={port} format={output.format ?? ''} reader={reader} />
      ) : output?.rows === 0 ? (
        <Empty framed icon="table" title="There are no rows">
          {title} gave an empty set.
        </Empty>
      ) : (
        <Empty
          framed
          icon="table"
          title="There are no rows yet"
          action={
            <Button icon="right" disabled={link.active} onClick={() => link.start({ kind: 'to', node })}>
              Run to here to see them
            </Button>
          }
        >
          Rows appear as soon as {title} has run. Nothing is trained for that.
        </Empty>
      )}
    </section>
  )
}

/** Only what tokens depend on: the reader stays the same object while nothing of it changes, so that nothing is asked again. */
function useReader(node: string, port: string): Reader | null {
  const key = useDerived((s) => JSON.stringify(readerOf(s.nodes, s.order, { node, port })))
  return useMemo(() => JSON.parse(key) as Reader | null, [key])
}

function Table({ run, node, port, format, reader }: { run: string; node: string; port: string; format: string; reader: Reader | null }) {
  const rows = useRows({ run, node, port })
  const total = rows.total ?? 0
  const tokenised = reader !== null && ['messages', 'prompt_completion', 'text'].includes(format)
  const whole = useInspection<DatasetTokens>(
    'dataset-tokens',
    tokenised
      ? {
          model: reader.model,
          dataset: { run, node, port },
          train_on: reader.trainOn,
          max_length: reader.maxLength,
          batch: reader.batch,
          seed: reader.seed,
        }
      : null,
  )
  const limit = reader?.maxLength ?? null
  const counted = useMemo(() => (whole.data ? rowTokens(whole.data, limit) : null), [whole.data, limit])
  const totals = useMemo(() => (counted ? totalsOf(counted) : null), [counted])
  const [flag, setFlag] = useState<RowFlag | 'all'>('all')
  const [chosen, setChosen] = useState(0)
  const [mode, setMode] = useState<'tokens' | 'text'>(tokenised ? 'tokens' : 'text')
  const shown = useMemo(
    () =>
      flag === 'all' || !counted
        ? Array.from({ length: total }, (_, i) => i)
        : counted.flatMap((row, i) => (FLAGS[flag].of(row) ? [i] : [])),
    [flag, counted, total],
  )
  const { need } = rows
  const at = shown.includes(chosen) ? chosen : (shown[0] ?? 0)
  useEffect(() => need(at), [need, at])
  if (rows.error) {
    const { message, fix } = faultOf(rows.error)
    return (
      <Notice
        tone="error"
        title="The rows could not be read"
        actions={
          <Button size="sm" icon="reset" onClick={rows.again}>
            Read again
          </Button>
        }
      >
        {message} {fix}
      </Notice>
    )
  }
  if (rows.total === undefined) return <p className="late muted">Reading the rows</p>
  return (
    <div className="dv-cols">
      <section className="card dv-list" aria-label="Rows">
        <div className="dv-filter">
          {totals && Object.values(totals.flags).some((n) => n > 0) ? (
            <Select
              label="Which rows"
              value={flag}
              onValueChange={(next) => setFlag(next as RowFlag | 'all')}
              options={[
                { value: 'all', label: `All rows (${count(total)})` },
                ...(Object.keys(FLAGS) as RowFlag[])
                  .filter((name) => totals.flags[name] > 0)
                  .map((name) => ({ value: name, label: `${FLAGS[name].title} (${count(totals.flags[name])})` })),
              ]}
            />
          ) : (
            <>
              <b>Rows</b>
              <span className="muted ml-auto">{counted ? 'length in tokens' : ''}</span>
            </>
          )}
        </div>
        <RowList
          rowAt={rows.at}
          shown={shown}
          counted={counted}
          longest={totals?.longest ?? 0}
          current={at}
          onChoose={setChosen}
          onNeed={need}
        />
      </section>
      <section className="card dv-row" aria-label={`Row ${at + 1}`}>
        <header className="dv-rowhead">
          <b>Row {count(at + 1)}</b>
          <span className="muted ell">{counted?.[at] ? rowWords(counted[at], limit) : ''}</span>
          {tokenised ? (
            <Segmented
              label="Show as"
              value={mode}
              onValueChange={setMode}
              items={[
                { value: 'tokens', label: 'Tokens' },
                { value: 'text', label: 'Text' },
              ]}
            />
          ) : null}
        </header>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard */}
        <section className="dv-scroll" tabIndex={0} aria-label={`Row ${at + 1} in full`}>
          {mode === 'tokens' && tokenised ? (
            <RowAsTokens row={rows.at(at)} reader={reader} counts={counted?.[at] ?? null} totals={totals} />
          ) : (
            <RowAsText row={rows.at(at)} />
          )}
        </section>
        {mode === 'tokens' && tokenised ? (
          <footer className="dv-foot">
            <TokenLegend />
          </footer>
        ) : null}
      </section>
      <section className="card dv-side" aria-label="The whole set">
        {whole.data && counted && totals ? (
          <TokenSummary rows={counted} totals={totals} found={whole.data} limit={limit} trains={reader?.trains ?? false} />
        ) : whole.error ? (
          <Notice
            tone="error"
            title="The tokens could not be counted"
            actions={
              <Button size="sm" icon="reset" onClick={() => void whole.refetch()}>
                Count again
              </Button>
            }
          >
            {faultOf(whole.error).message} {faultOf(whole.error).fix}
          </Notice>
        ) : tokenised ? (
          <p className="late muted p-4">Counting tokens</p>
        ) : (
          <p className="help p-4">
            {reader === null
              ? 'Add a Load model node to see these rows as its tokens.'
              : `Rows of the kind ${format.replaceAll('_', ' ')} are not for training; they have no tokens.`}
          </p>
        )}
        {reader?.trains ? <TrainingSettings reader={reader} /> : null}
      </section>
    </div>
  )
}

const rowWords = (row: RowTokens, limit: number | null): string =>
  row.length < 0
    ? 'no tokens'
    : [
        plural(row.length, 'token'),
        `${count(row.trained)} trained`,
        row.long && limit !== null && `${count(row.length - limit)} above the limit`,
        row.repeated && 'repeats an earlier row',
      ]
        .filter(Boolean)
        .join(' · ')

const TRAIN_ON: Record<Reader['trainOn'], string> = {
  completion: 'the completion',
  assistant: 'every answer',
  last_turn: 'the last answer',
  all: 'everything',
}

function TrainingSettings({ reader }: { reader: Reader }) {
  const { registry } = useStores()
  const actions = useActions()
  const title = useEditor((s) => titleOf(s.document, registry, reader.node))
  const go = (param: string) => actions.show({ node: reader.node, param, message: `${title} settings` })
  return (
    <div className="dv-settings">
      <h3 className="h-sec">Set in {title}</h3>
      <p>
        Trains on {TRAIN_ON[reader.trainOn]}.{' '}
        <button type="button" className="link" onClick={() => go('train_on')}>
          Change<span className="vh"> what is trained</span>
        </button>
      </p>
      {reader.maxLength === null ? null : (
        <p>
          Rows up to {plural(reader.maxLength, 'token')}.{' '}
          <button type="button" className="link" onClick={() => go('max_length')}>
            Change<span className="vh"> the longest row</span>
          </button>
        </p>
      )}
    </div>
  )
}
