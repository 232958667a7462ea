/**
 * What the parity runner prints (E-1): a line for each metric of each case, and a verdict. Comparisons are written so that NaN, a missing value
 * and a wrong length fail. In a self-test every result is spoilt before it is compared, and the comparison must notice.
 */

export type Line = { status: 'ok' | 'FAIL' | 'skip'; path: string; metric: string; value: string | number; tolerance: string | number }

type Numbers = ArrayLike<number>

/** Largest |a − b|; NaN when lengths differ or anything is not a number. */
export function largestDifference(a: Numbers, b: Numbers): number {
  if (a.length !== b.length) return Number.NaN
  let largest = 0
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs((a[i] as number) - (b[i] as number))
    if (Number.isNaN(difference)) {
      // Equal infinities agree; everything else that is no number does not.
      if (Object.is(a[i], b[i]) && !Number.isNaN(a[i])) continue
      return Number.NaN
    }
    if (difference > largest) largest = difference
  }
  return largest
}

/** ‖a − b‖ / ‖b‖; NaN when lengths differ. */
export function relativeDistance(a: Numbers, b: Numbers): number {
  if (a.length !== b.length) return Number.NaN
  let difference = 0
  let norm = 0
  for (let i = 0; i < a.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2
    norm += (b[i] as number) ** 2
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm)
}

// A missing value is no JSON, and equals nothing that a reference holds.
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, v) => (ArrayBuffer.isView(v) && !(v instanceof DataView) ? Array.from(v as unknown as number[]) : v)) ??
  'nothing'

export class Report {
  readonly lines: Line[] = []
  readonly #selfTest: boolean
  readonly #print: (line: Line) => void

  constructor(options: { selfTest: boolean; print(line: Line): void }) {
    this.#selfTest = options.selfTest
    this.#print = options.print
  }

  #add(line: Line): void {
    this.lines.push(line)
    this.#print(line)
  }

  #verdict(
    path: string,
    metric: string,
    passes: boolean,
    value: string | number,
    tolerance: string | number,
    spoiltPasses: () => boolean,
  ): void {
    if (this.#selfTest) {
      const noticed = !spoiltPasses()
      this.#add({
        status: noticed && passes ? 'ok' : 'FAIL',
        path,
        metric,
        value: noticed ? (passes ? 'fault noticed' : value) : 'fault not noticed',
        tolerance,
      })
    } else this.#add({ status: passes ? 'ok' : 'FAIL', path, metric, value, tolerance })
  }

  /** Every element within `tolerance` of the reference. Nothing against nothing is no comparison, and leaves no line. */
  near(path: string, metric: string, got: Numbers, want: Numbers, tolerance: number): void {
    if (got.length === 0 && want.length === 0) return
    const difference = largestDifference(got, want)
    const spoilt = () => {
      const copy = Float64Array.from(got)
      if (!copy.length) return largestDifference([0], want) <= tolerance
      // The reference moved by twice the tolerance, or one step of a double where nothing may differ.
      copy[copy.length >> 1] =
        (want[copy.length >> 1] as number) + (2 * tolerance || Math.abs(want[copy.length >> 1] as number) * 2 ** -51 || 1e-300)
      const withNaN = Float64Array.from(got)
      withNaN[0] = Number.NaN
      return (
        largestDifference(copy, want) <= tolerance ||
        largestDifference(withNaN, want) <= tolerance ||
        largestDifference(copy.subarray(1), want) <= tolerance
      )
    }
    this.#verdict(path, metric, difference <= tolerance, difference, tolerance, spoilt)
  }

  /** A measure that must not exceed `tolerance`, such as a relative distance. `spoil` gives the measure of a spoilt result. */
  atMost(path: string, metric: string, value: number, tolerance: number, spoil: () => number): void {
    this.#verdict(path, metric, value <= tolerance, value, tolerance, () => spoil() <= tolerance)
  }

  /** Equal, exactly: ids, texts, offsets, names. */
  same(path: string, metric: string, got: unknown, want: unknown): void {
    const [a, b] = [canonical(got), canonical(want)]
    const spoilt = () => canonical(spoil(got)) === b
    const value = a === b ? (Array.isArray(got) ? `${got.length} equal` : 'equal') : `${firstDifference(a, b)}`
    this.#verdict(path, metric, a === b, value, 'exact', spoilt)
  }

  skip(path: string, reason: string): void {
    this.#add({ status: 'skip', path, metric: reason, value: '', tolerance: '' })
  }

  fail(path: string, metric: string, reason: string): void {
    this.#add({ status: 'FAIL', path, metric, value: reason, tolerance: '' })
  }
}

/** A value that differs from `value` in one place. */
function spoil(value: unknown): unknown {
  if (Array.isArray(value)) return value.length ? [spoil(value[0]), ...value.slice(1)] : [0]
  if (ArrayBuffer.isView(value)) return spoil(Array.from(value as unknown as number[]))
  if (typeof value === 'number') return value + 1
  if (typeof value === 'string') return `${value}!`
  if (typeof value === 'boolean') return !value
  if (value && typeof value === 'object') {
    const [first] = Object.keys(value)
    return first === undefined ? { added: true } : { ...value, [first]: spoil((value as Record<string, unknown>)[first]) }
  }
  return 'something'
}

function firstDifference(a: string, b: string): string {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return `got …${a.slice(Math.max(0, at - 20), at + 30)}… want …${b.slice(Math.max(0, at - 20), at + 30)}…`
}

export const showLine = ({ status, path, metric, value, tolerance }: Line): string =>
  status === 'skip'
    ? `skip ${path} ${metric}`
    : `${status} ${path} ${metric} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value} ${tolerance}`
