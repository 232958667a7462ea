'use client'
/**
 * Draws a report: verdict first, then what to do, then the evidence. Every picture has its numbers beside it or in its label, so that nothing
 * is said by colour or place alone (D-9). Static SVG: a report is read, not followed.
 */
import { useId } from 'react'
import type { Report, Section } from '../../nodes/_kit/report'
import { linearTicks, logTicks, spread } from './scale'
import { figure, tick } from './words'

type Tone = 'good' | 'look' | 'bad' | 'quiet'
const TONE_WORD: Record<Report['verdict']['tone'], string> = { good: 'Good', look: 'Worth a look', bad: 'Needs fixing' }

export function ReportView({ report }: { report: Report }) {
  const { verdict, facts, sections } = report
  return (
    <article className="report">
      <header className={`report-verdict ${verdict.tone}`}>
        <span className="report-tone">{TONE_WORD[verdict.tone]}</span>
        <p>{verdict.text}</p>
        {verdict.action ? (
          <p className="report-action">
            <b>Next:</b> {verdict.action}
          </p>
        ) : null}
      </header>
      {sections.map((section) => (
        <SectionView key={section.title} section={section} />
      ))}
      <dl className="report-facts">
        {facts.map((fact) => (
          <div key={fact.label}>
            <dt>{fact.label}</dt>
            <dd className="num">{fact.value}</dd>
          </div>
        ))}
      </dl>
    </article>
  )
}

function SectionView({ section }: { section: Section }) {
  const id = useId()
  return (
    <section className="report-section" aria-labelledby={id}>
      <h3 id={id}>{section.title}</h3>
      {section.text ? <p className="report-text">{section.text}</p> : null}
      {section.bars && section.bars.length > 0 ? <Bars bars={section.bars} /> : null}
      {section.curves ? <Curves curves={section.curves} title={section.title} /> : null}
      {section.scatter ? <Scatter scatter={section.scatter} title={section.title} /> : null}
      {section.grid ? <Grid grid={section.grid} title={section.title} /> : null}
      {section.table ? <Table table={section.table} /> : null}
      {section.passages && section.passages.length > 0 ? <Passages passages={section.passages} /> : null}
    </section>
  )
}

/** Bars from zero; below it to the left. The whisker is the interval. */
function Bars({ bars }: { bars: NonNullable<Section['bars']> }) {
  const ends = bars.flatMap((bar) => [bar.value, bar.low ?? bar.value, bar.high ?? bar.value, 0]).filter(Number.isFinite)
  const [low, high] = [Math.min(...ends), Math.max(...ends)]
  const span = high - low || 1
  const at = (value: number) => ((Math.min(high, Math.max(low, value)) - low) / span) * 100
  return (
    <ul className="report-bars">
      {bars.map((bar) => (
        <li key={bar.label}>
          <span className="ell" title={bar.label}>
            {bar.label}
          </span>
          <span className="report-track" aria-hidden="true">
            <i
              className={bar.tone}
              style={{ left: `${at(Math.min(0, bar.value))}%`, width: `${Math.max(0.4, Math.abs(at(bar.value) - at(0)))}%` }}
            />
            {bar.low !== undefined && bar.high !== undefined ? (
              <s style={{ left: `${at(bar.low)}%`, width: `${at(bar.high) - at(bar.low)}%` }} />
            ) : null}
            {low < 0 ? <u style={{ left: `${at(0)}%` }} /> : null}
          </span>
          <span className="num muted">{bar.note}</span>
        </li>
      ))}
    </ul>
  )
}

const WIDTH = 640
const HEIGHT = 240
const PLOT = { left: 52, right: 12, top: 12, bottom: 40 }

type Axis = { title: string; log?: boolean | undefined }
type Frame = { x(value: number): number; y(value: number): number; xTicks: number[]; yTicks: number[] }

/** Values to places in the drawing; exported for its test. */
export function frameOf(x: Axis, y: Axis, xs: readonly number[], ys: readonly number[]): Frame {
  const axis = (spec: Axis, values: readonly number[], from: number, to: number) => {
    const usable = values.filter((v) => Number.isFinite(v) && (!spec.log || v > 0))
    const [low, high] = spread(Math.min(...usable), Math.max(...usable), spec.log ?? false)
    const place = (v: number) => (spec.log ? Math.log(Math.max(v, low)) : v)
    return {
      at: (v: number) => from + ((place(v) - place(low)) / (place(high) - place(low))) * (to - from),
      ticks: (spec.log ? logTicks(low, high, 6) : linearTicks(low, high, 5)).filter((t) => t >= low && t <= high),
    }
  }
  const across = axis(x, xs, PLOT.left, WIDTH - PLOT.right)
  const up = axis(y, ys, HEIGHT - PLOT.bottom, PLOT.top)
  return { x: across.at, y: up.at, xTicks: across.ticks, yTicks: up.ticks }
}

function Axes({ frame, x, y }: { frame: Frame; x: Axis; y: Axis }) {
  return (
    <>
      {frame.yTicks.map((t) => (
        <g key={`y${t}`}>
          <line className="report-line" x1={PLOT.left} x2={WIDTH - PLOT.right} y1={frame.y(t)} y2={frame.y(t)} />
          <text x={PLOT.left - 6} y={frame.y(t) + 3.5} textAnchor="end">
            {tick(t)}
          </text>
        </g>
      ))}
      {frame.xTicks.map((t) => (
        <text key={`x${t}`} x={frame.x(t)} y={HEIGHT - PLOT.bottom + 15} textAnchor="middle">
          {tick(t)}
        </text>
      ))}
      <text x={(PLOT.left + WIDTH - PLOT.right) / 2} y={HEIGHT - 6} textAnchor="middle">
        {x.title}
      </text>
      <text
        x={12}
        y={(PLOT.top + HEIGHT - PLOT.bottom) / 2}
        textAnchor="middle"
        transform={`rotate(-90 12 ${(PLOT.top + HEIGHT - PLOT.bottom) / 2})`}
      >
        {y.title}
      </text>
    </>
  )
}

/** Series of a report, told apart by colour and dash (D-13). */
const SERIES = ['run-1', 'run-2', 'run-3', 'run-4', 'run-5', 'run-6']
const DASHES = [undefined, '6 3', '2 3', '8 3 2 3', '4 4', '1 3']

function Curves({ curves, title }: { curves: NonNullable<Section['curves']>; title: string }) {
  const points = curves.lines.flatMap((line) => line.points)
  if (points.length === 0) return null
  const frame = frameOf(
    curves.x,
    curves.y,
    [...points.map(([x]) => x), ...(curves.marks?.map((m) => m.x) ?? [])],
    points.map(([, y]) => y),
  )
  const label = `${title}. ${curves.lines.map((line) => `${line.name}: ${figure(line.points[0]?.[1] ?? 0)} to ${figure(line.points.at(-1)?.[1] ?? 0)}`).join('; ')}`
  return (
    <figure className="report-chart">
      <figcaption>
        {curves.lines.map((line, i) => (
          <span key={line.name} className="chart-key">
            <svg width="20" height="8" aria-hidden="true">
              {line.look === 'dots' ? (
                <circle cx="10" cy="4" r="3" fill={`var(--${SERIES[i % 6]})`} />
              ) : (
                <line
                  x1="0"
                  x2="20"
                  y1="4"
                  y2="4"
                  stroke={`var(--${SERIES[i % 6]})`}
                  strokeWidth="2"
                  strokeDasharray={dashOf(line.look, i)}
                />
              )}
            </svg>
            {line.name}
          </span>
        ))}
      </figcaption>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={label}>
        <Axes frame={frame} x={curves.x} y={curves.y} />
        {curves.marks?.map((mark) => (
          <g key={mark.label} className={`report-mark ${mark.tone}`}>
            <line x1={frame.x(mark.x)} x2={frame.x(mark.x)} y1={PLOT.top} y2={HEIGHT - PLOT.bottom} />
            <text
              x={frame.x(mark.x) + (frame.x(mark.x) > WIDTH - 140 ? -4 : 4)}
              y={PLOT.top + 9}
              textAnchor={frame.x(mark.x) > WIDTH - 140 ? 'end' : 'start'}
            >
              {mark.label}
            </text>
          </g>
        ))}
        {curves.lines.map((line, i) =>
          line.look === 'dots' ? (
            <g key={line.name} fill={`var(--${SERIES[i % 6]})`}>
              {line.points.map(([x, y]) => (
                <circle key={`${x}/${y}`} cx={frame.x(x)} cy={frame.y(y)} r="3" />
              ))}
            </g>
          ) : (
            <polyline
              key={line.name}
              className={line.look === 'faint' ? 'report-curve faint' : 'report-curve'}
              stroke={`var(--${SERIES[i % 6]})`}
              strokeDasharray={dashOf(line.look, i)}
              points={line.points.map(([x, y]) => `${frame.x(x).toFixed(1)},${frame.y(y).toFixed(1)}`).join(' ')}
            />
          ),
        )}
      </svg>
    </figure>
  )
}
const dashOf = (look: string, i: number): string | undefined => (look === 'dashed' ? '6 3' : look === 'faint' ? undefined : DASHES[i % 6])

function Scatter({ scatter, title }: { scatter: NonNullable<Section['scatter']>; title: string }) {
  const { points } = scatter
  if (points.length === 0) return null
  const frame = frameOf(
    scatter.x,
    scatter.y,
    points.map((p) => p.x),
    points.flatMap((p) => [p.y, p.low ?? p.y, p.high ?? p.y]),
  )
  const frontier = points.filter((p) => p.frontier).sort((a, b) => a.x - b.x)
  return (
    <figure className="report-chart">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`${title}. ${points.map((p) => `${p.label}: ${figure(p.x)}, ${figure(p.y)}`).join('; ')}`}
      >
        <Axes frame={frame} x={scatter.x} y={scatter.y} />
        {frontier.length > 1 ? (
          <polyline
            className="report-curve frontier"
            points={frontier.map((p) => `${frame.x(p.x).toFixed(1)},${frame.y(p.y).toFixed(1)}`).join(' ')}
          />
        ) : null}
        {points.map((p) => {
          const end = frame.x(p.x) > WIDTH - 120
          return (
            <g key={p.label} className={`report-dot ${p.tone}`}>
              {p.low !== undefined && p.high !== undefined ? (
                <line x1={frame.x(p.x)} x2={frame.x(p.x)} y1={frame.y(p.low)} y2={frame.y(p.high)} />
              ) : null}
              <circle cx={frame.x(p.x)} cy={frame.y(p.y)} r={p.frontier ? 5 : 4} />
              <text x={frame.x(p.x) + (end ? -8 : 8)} y={frame.y(p.y) + 3.5} textAnchor={end ? 'end' : 'start'}>
                {p.label}
              </text>
            </g>
          )
        })}
      </svg>
    </figure>
  )
}

/** Shade by share of the largest value; negative values stay empty, their number says it. */
function Grid({ grid, title }: { grid: NonNullable<Section['grid']>; title: string }) {
  const largest = Math.max(0, ...grid.values.flat().filter((v): v is number => v !== null))
  const marked = new Set(grid.marked.map(([row, column]) => `${row}/${column}`))
  return (
    <table className="report-grid" aria-label={`${title}, ${grid.unit}`}>
      <thead>
        <tr>
          <td />
          {grid.columns.map((column) => (
            <th key={column} scope="col">
              {column}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {grid.rows.map((row, r) => (
          <tr key={row}>
            <th scope="row">{row}</th>
            {grid.columns.map((column, c) => {
              const value = grid.values[r]?.[c] ?? null
              const share = value !== null && largest > 0 ? Math.max(0, value / largest) : 0
              return (
                <td
                  key={column}
                  className={marked.has(`${r}/${c}`) ? 'marked' : undefined}
                  style={{ background: `color-mix(in srgb, var(--thaw-fill) ${Math.round(share * 60)}%, var(--sunken))` }}
                >
                  {value === null ? '' : figure(value)}
                  {marked.has(`${r}/${c}`) ? <span className="vh"> chosen</span> : null}
                </td>
              )
            })}
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Table({ table }: { table: NonNullable<Section['table']> }) {
  return (
    <div className="report-table">
      <table>
        <thead>
          <tr>
            {table.columns.map((column) => (
              <th key={column} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {table.rows.map((row, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows of a report never move
            <tr key={i}>
              {row.map((cell, c) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: nor do its cells
                <td key={c} className={typeof cell === 'number' ? 'num r' : undefined}>
                  {typeof cell === 'number' ? (Number.isInteger(cell) ? cell.toLocaleString('en-US') : figure(cell)) : (cell ?? '')}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const TONE_TITLE: Record<Tone, string> = { good: 'fine', look: 'look at this', bad: 'wrong', quiet: 'aside' }

function Passages({ passages }: { passages: NonNullable<Section['passages']> }) {
  return (
    <ul className="report-passages">
      {passages.map((passage, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: passages of a report never move
        <li key={i}>
          <span className="muted text-12">{passage.note}</span>
          <p>
            {passage.parts.map((part, p) =>
              part.tone ? (
                // biome-ignore lint/suspicious/noArrayIndexKey: nor do their parts
                <mark key={p} className={part.tone} title={TONE_TITLE[part.tone]}>
                  {part.text}
                </mark>
              ) : (
                part.text
              ),
            )}
          </p>
        </li>
      ))}
    </ul>
  )
}
