/**
 * Batches of static shape. Programs know their sizes in advance, so lengths and label counts come in few buckets; which rows meet in a
 * batch is settled here, reproducibly from a seed, before anything is compiled.
 */
import { EngineError } from '../errors'
import type { EncodedRow } from './encode'
import { Random } from './random'

/** Shapes of one batch: rows, positions a row, and label positions, padding included. */
export type BatchShape = { readonly batch: number; readonly length: number; readonly labels: number }

/** Row indices of one micro-batch; at most `shape.batch` of them. */
export type PlannedBatch = { readonly rows: readonly number[]; readonly shape: BatchShape; readonly labelTokens: number }

const roundUp = (n: number, step: number): number => Math.ceil(n / step) * step
/** Lengths are multiples of this: kernels like them, and near lengths share a program. */
const LENGTH_STEP = 16
const LABEL_STEP = 32
/** Rows that are sorted by length together, in batches: enough for even lengths, little enough to stay shuffled. */
const SORT_WINDOW = 32

/**
 * At most `count` lengths that together waste the fewest padded positions, by dynamic programming over the distinct rounded lengths.
 * `lengths` are one number for each batch (its longest row).
 */
export function chooseBuckets(lengths: readonly number[], count: number): number[] {
  const weight = new Map<number, number>()
  for (const length of lengths) {
    const size = roundUp(length, LENGTH_STEP)
    weight.set(size, (weight.get(size) ?? 0) + 1)
  }
  const sizes = [...weight.keys()].sort((a, b) => a - b)
  // cost[k][j]: least padded positions of sizes 0…j−1 in k buckets, the last of which is sizes[j−1].
  let previous = sizes.map((_, j) => costOf(sizes, weight, 0, j))
  let choices = [sizes.map(() => -1)]
  for (let k = 1; k < Math.min(count, sizes.length); k++) {
    const best: number[] = []
    const from: number[] = []
    for (let j = 0; j < sizes.length; j++) {
      best[j] = previous[j] as number
      from[j] = -2
      for (let i = 0; i < j; i++) {
        const cost = (previous[i] as number) + costOf(sizes, weight, i + 1, j)
        if (cost < (best[j] as number)) {
          best[j] = cost
          from[j] = i
        }
      }
    }
    previous = best
    choices = [...choices, from]
  }
  const out: number[] = []
  let j = sizes.length - 1
  for (let k = choices.length - 1; k >= 0 && j >= 0; k--) {
    const from = choices[k]?.[j] as number
    if (from === -2) continue
    out.push(sizes[j] as number)
    j = from
  }
  return out.sort((a, b) => a - b)
}

/** Positions spent when sizes[from…to] all become sizes[to]. */
function costOf(sizes: readonly number[], weight: ReadonlyMap<number, number>, from: number, to: number): number {
  let batches = 0
  for (let i = from; i <= to; i++) batches += weight.get(sizes[i] as number) as number
  return batches * (sizes[to] as number)
}

/** Order of the rows in one epoch: shuffled by seed and epoch, then brought near others of similar length. */
export function epochOrder(lengths: readonly number[], batch: number, seed: number, epoch: number): number[][] {
  const random = Random.of(seed, `order of epoch ${epoch}`)
  const order = random.shuffle(lengths.map((_, i) => i))
  const batches: number[][] = []
  for (let at = 0; at < order.length; at += batch * SORT_WINDOW) {
    const window = order.slice(at, at + batch * SORT_WINDOW).sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b)
    for (let i = 0; i < window.length; i += batch) batches.push(window.slice(i, i + batch))
  }
  return random.shuffle(batches)
}

export type TrainPlan = {
  /** By epoch, by step, its micro-batches. */
  readonly epochs: readonly (readonly (readonly PlannedBatch[])[])[]
  readonly stepsPerEpoch: number
  readonly totalSteps: number
  readonly shapes: readonly BatchShape[]
}

/**
 * All micro-batches of a training, for as many epochs as it lasts. Epoch e is the same whatever the number of epochs, so a training that is
 * made longer continues exactly.
 */
export function planTraining(
  rows: readonly EncodedRow[],
  options: { batch: number; accumulation: number; epochs: number; maxSteps: number; seed: number; buckets?: number },
): TrainPlan {
  if (!rows.length) throw new EngineError('bad_argument', 'there are no rows to train on')
  const { batch, accumulation } = options
  const lengths = rows.map((row) => row.ids.length)
  const stepsPerEpoch = Math.ceil(Math.ceil(rows.length / batch) / accumulation)
  const totalSteps = options.maxSteps > 0 ? options.maxSteps : Math.max(1, Math.ceil(options.epochs * stepsPerEpoch))
  const epochCount = Math.ceil(totalSteps / stepsPerEpoch)

  // Buckets depend on the data alone, not on the number of epochs: else a longer training would pad otherwise and not repeat exactly.
  const samples = [0, 1].flatMap((epoch) => epochOrder(lengths, batch, options.seed, epoch))
  const longest = samples.map((indices) => Math.max(...indices.map((i) => lengths[i] as number)))
  const buckets = chooseBuckets(longest, options.buckets ?? 3)
  const rooms = labelRooms(rows, samples, buckets, batch)

  const epochs = Array.from({ length: epochCount }, (_, epoch) => {
    const planned = epochOrder(lengths, batch, options.seed, epoch).map((indices) => planBatch(rows, indices, buckets, rooms, batch))
    const steps: PlannedBatch[][] = []
    for (let i = 0; i < planned.length; i += accumulation) steps.push(planned.slice(i, i + accumulation))
    return steps
  })
  const used = epochs.flat().slice(0, totalSteps).flat()
  const shapes = new Map(used.map(({ shape }) => [`${shape.length}/${shape.labels}`, shape]))
  return { epochs, stepsPerEpoch, totalSteps, shapes: [...shapes.values()] }
}

/**
 * Rooms for labels of each bucket, ascending: the most that `samples` need, and the most that any `batch` rows of the bucket could hold.
 * A batch takes the smallest that fits it, so that a rare heavy batch does not make all of them heavier.
 */
function labelRooms(
  rows: readonly EncodedRow[],
  samples: readonly (readonly number[])[],
  buckets: readonly number[],
  batch: number,
): Map<number, number[]> {
  const lengthOf = (indices: readonly number[]) => Math.max(...indices.map((i) => rows[i]?.ids.length as number))
  const labelsOf = (indices: readonly number[]) => indices.reduce((sum, i) => sum + (rows[i]?.labels as number), 0)
  const rooms = new Map<number, number[]>()
  buckets.forEach((bucket, b) => {
    const before = buckets[b - 1] ?? 0
    const seen = samples.filter((indices) => lengthOf(indices) <= bucket && lengthOf(indices) > before).map(labelsOf)
    const worst = rows
      .filter((row) => row.ids.length <= bucket)
      .map((row) => row.labels)
      .sort((x, y) => y - x)
      .slice(0, batch)
      .reduce((x, y) => x + y, 0)
    const limit = batch * bucket
    rooms.set(
      bucket,
      [...new Set([Math.max(1, ...seen), Math.max(1, worst)].map((n) => Math.min(limit, roundUp(n, LABEL_STEP))))].sort((x, y) => x - y),
    )
  })
  return rooms
}

function planBatch(
  rows: readonly EncodedRow[],
  indices: readonly number[],
  buckets: readonly number[],
  rooms: ReadonlyMap<number, readonly number[]>,
  batch: number,
): PlannedBatch {
  const length = Math.max(...indices.map((i) => rows[i]?.ids.length as number))
  const bucket = buckets.find((size) => size >= length)
  if (bucket === undefined)
    throw new EngineError('shape', 'a row is longer than every bucket', { expected: `at most ${buckets.at(-1)}`, got: String(length) })
  const labelTokens = indices.reduce((sum, i) => sum + (rows[i]?.labels as number), 0)
  const labels = rooms.get(bucket)?.find((room) => room >= labelTokens)
  if (labels === undefined) throw new EngineError('shape', 'a batch has more labels than any room', { got: String(labelTokens) })
  return { rows: indices, shape: { batch, length: bucket, labels }, labelTokens }
}

/** Batches for evaluation: every row once, neighbours of similar length together, each bucket with its own label room. */
export function planEvaluation(rows: readonly EncodedRow[], batch: number, buckets = 3): PlannedBatch[] {
  if (!rows.length) return []
  const order = rows.map((_, i) => i).sort((a, b) => (rows[b] as EncodedRow).ids.length - (rows[a] as EncodedRow).ids.length || a - b)
  const groups: number[][] = []
  for (let i = 0; i < order.length; i += batch) groups.push(order.slice(i, i + batch))
  const sizes = chooseBuckets(
    groups.map((group) => rows[group[0] as number]?.ids.length as number),
    buckets,
  )
  const rooms = labelRooms(rows, groups, sizes, batch)
  return groups.map((group) => planBatch(rows, group, sizes, rooms, batch))
}

export type BatchFeeds = {
  /** [batch · length], right-padded with `pad`. */
  readonly ids: Int32Array
  /** Flattened position that predicts each label, the label, and 1 (0 for unused room): [labels] each. */
  readonly rows: Int32Array
  readonly targets: Int32Array
  readonly weights: Float32Array
}

/** What a program is fed for a batch. Padding is masked by position, never by token id (F-44); it sits right of every row and weighs nothing. */
export function batchFeeds(rows: readonly EncodedRow[], batch: PlannedBatch, pad = 0): BatchFeeds {
  const { shape } = batch
  const ids = new Int32Array(shape.batch * shape.length).fill(pad)
  const at = new Int32Array(shape.labels)
  const targets = new Int32Array(shape.labels)
  const weights = new Float32Array(shape.labels)
  let next = 0
  batch.rows.forEach((index, b) => {
    const row = rows[index] as EncodedRow
    const start = b * shape.length
    ids.set(row.ids, start)
    for (let t = 1; t < row.ids.length; t++) {
      if (!row.mask[t]) continue
      at[next] = start + t - 1
      targets[next] = row.ids[t] as number
      weights[next] = 1
      next++
    }
  })
  return { ids, rows: at, targets, weights }
}
