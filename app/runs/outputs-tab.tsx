'use client'
import { Fragment, type ReactNode, useState } from 'react'
import type { Metrics } from '../../nodes/_kit/ports'
import { Button } from '../ui/button'
import { Icon } from '../ui/icon'
import { LayerStrip } from '../ui/layer-strip'
import { Empty } from '../ui/notice'
import { PortMark } from '../ui/port-mark'
import { State } from '../ui/state'
import { bytes, count, delta, figure, middle, plural, short } from '../ui/words'
import { Interval } from './interval'
import { downloadHref } from './links'
import type { NodeRun, RunState } from './reduce'
import { ReportSheet } from './report-sheet'
import { RowsSheet } from './rows-sheet'
import { gainOf, metricsIn, type Score, scoresOf } from './scores'
import { type NodeInfo, viewNode } from './show'

type Scored = { info: NodeInfo; metrics: Metrics; hasRows: boolean }

/** Validations of a run in the order they ran: nodes whose metrics have scores of answers or losses. */
export function scoredNodes(run: RunState, nodes: readonly NodeInfo[]): Scored[] {
  return nodes.flatMap((info) => {
    const outputs = run.nodes[info.id]?.outputs ?? null
    const metrics = metricsIn(outputs)
    // A train node has metrics too; its losses belong to the curves.
    // Knowledge costs, rates and gains are no scores of answers; their reports show them.
    const scores = metrics !== null && ('exact_match' in metrics || 'perplexity' in metrics)
    return metrics && scores && !info.type.startsWith('train') && scoresOf(metrics).length > 0
      ? [{ info, metrics, hasRows: outputs !== null && 'rows' in outputs }]
      : []
  })
}

export function OutputsTab({
  run,
  nodes,
  onSelect,
}: {
  run: RunState
  nodes: readonly NodeInfo[]
  onSelect?: ((id: string) => void) | undefined
}) {
  const [rows, setRows] = useState<string | null>(null)
  const [report, setReport] = useState<{ info: NodeInfo; port: string } | null>(null)
  const scored = scoredNodes(run, nodes)
  const files = nodes.flatMap((info) => filesOf(run.nodes[info.id]).map((file) => ({ ...file, info })))
  const rest = nodes.filter((info) => linesOf(run, info).length > 0)
  if (scored.length === 0 && files.length === 0 && rest.length === 0) {
    return (
      <Empty icon="export" title="No outputs yet">
        Scores, rows and files appear here as nodes finish.
      </Empty>
    )
  }
  return (
    <div className="outputs">
      {scored.length > 0 ? <ScoreCard scored={scored} onRows={setRows} /> : null}
      {files.length > 0 ? (
        <section className="card" aria-labelledby="out-files">
          <h2 className="ph" id="out-files">
            Files
          </h2>
          {files.map(({ info, port, name, size, parts }) => (
            <div key={`${info.id}.${port}`} className="outrow">
              <PortMark kind="file" />
              <span className="min-w-0 flex-1">
                <b className="ell block" title={name}>
                  {middle(name, 40)}
                </b>
                <span className="muted text-12">
                  {info.title} · {plural(parts.length, 'file')}, {bytes(size)}
                </span>
              </span>
              <Button size="sm" asChild>
                <a href={downloadHref(run.id, info.id, port)} download>
                  <Icon name="download" />
                  Download
                </a>
              </Button>
              <ul className="parts">
                {parts.map((part) => (
                  <li key={part.path} className="row text-12">
                    <span className="mono ell">{part.path}</span>
                    <span className="muted num ml-auto">{bytes(part.size)}</span>
                  </li>
                ))}
              </ul>
            </div>
          ))}
        </section>
      ) : null}
      {rest.length > 0 ? (
        <section className="card" aria-labelledby="out-rest">
          <h2 className="ph" id="out-rest">
            Data and models
          </h2>
          {rest.map((info) => (
            <OutputRow key={info.id} run={run} info={info} onSelect={onSelect} onReport={(port) => setReport({ info, port })} />
          ))}
        </section>
      ) : null}
      {rows !== null ? (
        <RowsSheet run={run.id} number={null} scored={scored} node={rows} onNode={setRows} onClose={() => setRows(null)} />
      ) : null}
      {report !== null ? (
        <ReportSheet
          place={{ run: run.id, node: report.info.id, port: report.port, title: report.info.title }}
          onClose={() => setReport(null)}
        />
      ) : null}
    </div>
  )
}

/**
 * Scores of all validations side by side, before and after training (SCI-4): the held-out rows and the wordings that never occur in training
 * stand beside each other, so that nobody takes a memorised layout for understanding.
 */
export function ScoreCard({ scored, onRows }: { scored: readonly Scored[]; onRows: (node: string) => void }) {
  const [all, setAll] = useState(false)
  const columns = scored.map((entry) => ({ ...entry, scores: scoresOf(entry.metrics), gain: gainOf(entry.metrics) }))
  const names = [...new Map(columns.flatMap((column) => column.scores.map((score) => [score.name, score] as const))).values()]
  const shown = all
    ? names
    : names
        .filter((score) => score.name === 'exact_match' || score.field !== null || score.name === 'eval_loss' || score.name === 'token_f1')
        .slice(0, 10)
  return (
    <section className="card" aria-labelledby="out-scores">
      <div className="ph">
        <h2 id="out-scores">Scores</h2>
        <span className="muted text-12">before and after training</span>
        {names.length > shown.length || all ? (
          <Button size="sm" variant="ghost" className="ml-auto" onClick={() => setAll(!all)} aria-expanded={all}>
            {all ? 'Fewer' : `All ${names.length}`}
          </Button>
        ) : null}
      </div>
      <div className="overflow-x-auto">
        <table className="tbl scores">
          <thead>
            <tr>
              <th scope="col" rowSpan={2}>
                <span className="vh">Score</span>
              </th>
              {columns.map(({ info, metrics, hasRows }) => (
                <th key={info.id} scope="colgroup" colSpan={4}>
                  <span className="row">
                    <span className="text-ink">{info.title}</span>
                    {metrics.rows === undefined ? null : <span>{plural(metrics.rows, 'row')}</span>}
                    {hasRows ? (
                      <Button size="sm" variant="ghost" icon="table" onClick={() => onRows(info.id)}>
                        Rows<span className="vh"> of {info.title}</span>
                      </Button>
                    ) : null}
                  </span>
                </th>
              ))}
            </tr>
            <tr className="heads">
              {columns.map(({ info }) => (
                <Fragment key={info.id}>
                  <th scope="col" className="r val">
                    after
                  </th>
                  <th scope="col" className="int">
                    95 % interval
                  </th>
                  <th scope="col" className="r was">
                    before
                  </th>
                  <th scope="col" className="r chg">
                    change
                  </th>
                </Fragment>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((score) => (
              <tr key={score.name} className={score.name === 'exact_match' ? 'main' : undefined}>
                <th scope="row">{score.field === null ? score.title : <code className="pl-3">{score.title}</code>}</th>
                {columns.map(({ info, scores, gain }) => (
                  <ScoreCells
                    key={info.id}
                    score={scores.find((other) => other.name === score.name)}
                    gain={score.name === 'exact_match' ? gain : null}
                  />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

const shown = (score: Score, value: number | null) =>
  value === null ? '–' : score.better === 'lower' || value > 1 ? figure(value) : value.toFixed(2)

function ScoreCells({ score, gain }: { score: Score | undefined; gain: ReturnType<typeof gainOf> }) {
  if (!score) {
    return (
      <td colSpan={4} className="muted r">
        –
      </td>
    )
  }
  const change = score.after !== null && score.before !== null ? score.after - score.before : null
  const better = change !== null && (score.better === 'higher' ? change > 0 : change < 0)
  return (
    <>
      <td className="r val">
        <b>{shown(score, score.after)}</b>
      </td>
      <td className="int">
        {score.interval ? (
          <span className="row" title={`95 % interval ${score.interval[0].toFixed(2)} to ${score.interval[1].toFixed(2)}`}>
            <Interval score={score} width={56} />
            <span className="muted num">
              {score.interval[0].toFixed(2)}–{score.interval[1].toFixed(2)}
            </span>
          </span>
        ) : null}
      </td>
      <td className="r muted was">{shown(score, score.before)}</td>
      <td className="r chg">
        {gain ? (
          gain.seen ? (
            <span
              className={gain.mean > 0 ? 'text-ok' : 'text-bad'}
              title={`95 % interval over the same rows: ${delta(gain.low)} to ${delta(gain.high)}`}
            >
              {delta(gain.mean)}
            </span>
          ) : (
            <span className="muted">no difference seen</span>
          )
        ) : change === null ? null : (
          <span className={better ? 'text-ok' : change === 0 ? 'muted' : 'text-bad'}>{delta(change)}</span>
        )}
      </td>
    </>
  )
}

type FileOut = { port: string; name: string; size: number; parts: readonly { path: string; size: number }[] }

function filesOf(node: NodeRun | undefined): FileOut[] {
  return Object.entries(node?.outputs ?? {}).flatMap(([port, value]) => {
    if (value === null || typeof value !== 'object' || !('manifest' in value) || !('files' in value)) return []
    const { name, bytes: size, files } = value as unknown as { name: string; bytes: number; files: { path: string; size: number }[] }
    return [{ port, name, size, parts: files }]
  })
}

type Line = { key: string; mark: ReactNode; text: ReactNode; href?: string; report?: true }

/** What a node gave, a line each: rows of a dataset, blocks of a model, the last losses of a training. */
function linesOf(run: RunState, info: NodeInfo): Line[] {
  const outputs = Object.entries(run.nodes[info.id]?.outputs ?? {})
  return outputs.flatMap(([port, value]): Line[] => {
    if (value === null || typeof value !== 'object') return []
    if ('base' in value) return [{ key: port, mark: <PortMark kind="model" size={9} />, text: <ModelLine model={value as ModelOut} /> }]
    if ('rows' in value && 'artifact' in value) {
      const { rows, name } = value as unknown as { rows: number; name: string }
      const text = `${outputs.length > 1 ? `${port}: ` : ''}${count(rows)} rows of ${name}`
      return rows === 0 ? [] : [{ key: port, mark: <PortMark kind="dataset" size={9} />, text, href: downloadHref(run.id, info.id, port) }]
    }
    if ('mediaType' in value) {
      const { title, mediaType, verdict } = value as unknown as { title: string; mediaType: string; verdict?: { text: string } }
      // A JSON report with a verdict is one that can be drawn.
      const drawn = mediaType === 'application/json' && verdict !== undefined
      return [
        {
          key: port,
          mark: <PortMark kind="report" size={9} />,
          text: verdict?.text ?? title,
          href: downloadHref(run.id, info.id, port),
          ...(drawn && { report: true }),
        },
      ]
    }
    if (port === 'metrics' && info.type.startsWith('train')) {
      const { train_loss: loss, eval_loss: validation } = value as { train_loss?: number; eval_loss?: number | null }
      const text = [
        typeof loss === 'number' && `training loss ${figure(loss)}`,
        typeof validation === 'number' && `validation loss ${figure(validation)}`,
      ].filter(Boolean)
      return text.length === 0 ? [] : [{ key: port, mark: <PortMark kind="metrics" size={9} />, text: text.join(', ') }]
    }
    return []
  })
}

type ModelOut = { base: { name: string }; parameters: number; trainable: { blocks: number[]; parameters: number } | null }

function ModelLine({ model: { base, parameters, trainable } }: { model: ModelOut }) {
  return (
    <>
      {base.name}, {short(parameters)} parameters{trainable ? `, ${short(trainable.parameters)} trainable` : ''}
      {trainable ? (
        <span className="ml-3 inline-block w-40 align-middle">
          <LayerStrip model={{ blocks: trainable.blocks }} />
        </span>
      ) : null}
    </>
  )
}

function OutputRow({
  run,
  info,
  onSelect,
  onReport,
}: {
  run: RunState
  info: NodeInfo
  onSelect?: ((id: string) => void) | undefined
  onReport: (port: string) => void
}) {
  const node = run.nodes[info.id]
  return (
    <div className="outrow">
      <Icon name={info.icon} className="text-ink-2" />
      <span className="out-title">
        {onSelect ? (
          <button type="button" className="link ell max-w-full" onClick={() => onSelect(info.id)}>
            {info.title}
          </button>
        ) : (
          info.title
        )}
      </span>
      <span className="out-lines">
        {linesOf(run, info).map(({ key, mark, text, href, report }) => (
          <span key={key} className="row">
            {mark}
            <span className="ell">{text}</span>
            {report ? (
              <button type="button" className="link whitespace-nowrap" onClick={() => onReport(key)}>
                Open report<span className="vh"> of {info.title}</span>
              </button>
            ) : null}
            {href ? (
              <a className="link text-ink-3" href={href} download>
                Download<span className="vh"> {key}</span>
              </a>
            ) : null}
          </span>
        ))}
      </span>
      {node?.status === 'reused' ? <State state="reused">{viewNode(node, info.type).words}</State> : null}
    </div>
  )
}
