import { figure } from '../ui/words'

export type CoordinateAxis = { title: string; values: readonly unknown[] }
const WIDTH = 900
const HEIGHT = 260
const TOP = 40
const BOTTOM = 20
const SIDE = 70

const said = (value: unknown): string =>
  typeof value === 'number' ? figure(value) : typeof value === 'string' ? value : JSON.stringify(value)

/**
 * Where each value of an axis lies, 0 at the bottom and 1 at the top: numbers by size (by ratio where they span more than a factor of 30),
 * anything else in the order it was given. Null where there is no value. Pure.
 */
export function placesOf(values: readonly unknown[]): { places: (number | null)[]; ticks: { at: number; text: string }[] } {
  const known = values.filter((value) => value !== null && value !== undefined)
  if (known.length > 0 && known.every((value) => typeof value === 'number')) {
    const numbers = known as number[]
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)]
    const log = low > 0 && high / low > 30
    const scale = (value: number) =>
      high === low ? 0.5 : log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low)
    const few = [...new Set(numbers)].sort((a, b) => a - b)
    return {
      places: values.map((value) => (typeof value === 'number' ? scale(value) : null)),
      ticks: (few.length <= 6 ? few : [low, high]).map((value) => ({ at: scale(value), text: said(value) })),
    }
  }
  const names = [...new Set(known.map(said))]
  const place = (value: unknown) => (names.length < 2 ? 0.5 : names.indexOf(said(value)) / (names.length - 1))
  return {
    places: values.map((value) => (value === null || value === undefined ? null : place(value))),
    ticks: names.slice(0, 12).map((text, i) => ({ at: names.length < 2 ? 0.5 : i / (names.length - 1), text })),
  }
}

/** Every run as a line across the settings that were tried, ending at its score. The table beside it says the same in words. */
export function ParallelCoordinates({
  axes,
  lines,
}: {
  axes: readonly CoordinateAxis[]
  lines: readonly { id: string; title: string; strong: boolean; done: boolean }[]
}) {
  const placed = axes.map((axis) => placesOf(axis.values))
  const x = (i: number) => (axes.length < 2 ? WIDTH / 2 : SIDE + (i * (WIDTH - 2 * SIDE)) / (axes.length - 1))
  const y = (share: number) => HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
  const path = (line: number) => {
    const points = placed.flatMap(({ places }, i) => {
      const share = places[line]
      return share === null || share === undefined ? [] : [`${x(i).toFixed(1)} ${y(share).toFixed(1)}`]
    })
    return points.length > 1 ? `M${points.join('L')}` : ''
  }
  const drawn = lines.map((line, i) => ({ ...line, i })).sort((a, b) => Number(a.strong) - Number(b.strong))
  return (
    <svg
      className="parallel"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`${lines.length} runs across ${axes.map((axis) => axis.title).join(', ')}`}
    >
      {drawn.map(({ i, id, title, strong, done }) => (
        <path key={id} d={path(i)} className={strong ? 'strong' : done ? 'done' : 'open'}>
          <title>{title}</title>
        </path>
      ))}
      {axes.map((axis, i) => (
        <g key={axis.title}>
          <line x1={x(i)} x2={x(i)} y1={TOP} y2={HEIGHT - BOTTOM} className="axis" />
          <text x={x(i)} y={18} textAnchor="middle" className="title">
            {axis.title}
          </text>
          {placed[i]?.ticks.map((tick) => (
            <text
              key={tick.text}
              x={x(i) + (i === axes.length - 1 ? 8 : -8)}
              y={y(tick.at) + 4}
              textAnchor={i === axes.length - 1 ? 'start' : 'end'}
            >
              {tick.text}
            </text>
          ))}
        </g>
      ))}
    </svg>
  )
}
