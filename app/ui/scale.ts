/** Where the grid lines of a chart lie: three to five round values (D-40). Pure. */

/** 1, 2 or 5 times a power of ten, the smallest such step that makes at most `most` intervals. */
export function linearTicks(min: number, max: number, most = 4): number[] {
  if (!(max > min) || !Number.isFinite(max - min)) return [min]
  const rough = (max - min) / most
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5, 10].find((m) => m * power >= rough * (1 - 1e-9)) ?? 10) * power
  const ticks: number[] = []
  for (let i = Math.ceil(min / step - 1e-9); i * step <= max + step * 1e-9; i++) ticks.push(Number((i * step).toPrecision(12)))
  return ticks
}

/** On a log axis: 1, 2, 5 per decade while these are at most `most`, else 1 and 3, else whole decades, else every n-th. */
export function logTicks(min: number, max: number, most = 5): number[] {
  if (!(min > 0) || !(max > min) || !Number.isFinite(max)) return min > 0 ? [min] : []
  const low = Math.floor(Math.log10(min))
  const high = Math.ceil(Math.log10(max))
  for (const per of [[1, 2, 5], [1, 3], [1]]) {
    const ticks: number[] = []
    for (let e = low; e <= high; e++) for (const m of per) ticks.push(Number(`${m}e${e}`))
    const inside = ticks.filter((t) => t >= min * (1 - 1e-9) && t <= max * (1 + 1e-9))
    if (inside.length <= most && inside.length >= (per.length === 1 ? 2 : 3)) return inside
    if (per.length === 1 && inside.length > most) return inside.filter((_, i) => i % Math.ceil(inside.length / most) === 0)
  }
  // Less than a decade or so between the ends, too little for three round values of a log scale: even steps give more lines to read by.
  return linearTicks(min, max, most - 1).filter((t) => t > 0)
}

/** Room above and below the values, so that no line runs along the edge. On a log axis in factors; a flat line gets room of its own. */
export function spread(min: number, max: number, log: boolean): [number, number] {
  if (!Number.isFinite(min) || !Number.isFinite(max)) return log ? [0.1, 1] : [0, 1]
  if (log) {
    const room = Math.max((max / min) ** 0.06, 1.05)
    return [min / room, max * room]
  }
  const room = (max - min) * 0.08 || Math.abs(max) * 0.1 || 1
  // A quantity that is never negative is not given a negative axis.
  return [min >= 0 ? Math.max(0, min - room) : min - room, max + room]
}
