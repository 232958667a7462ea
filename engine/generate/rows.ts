/**
 * Rows on a session: read once, laid end to end, for the loss of their labels and as the beginning of an answer; answers are written with
 * a key/value cache, one token for every row and side a call, so that beats and cancels pass between tokens.
 */
import { chooseBuckets } from '../data/batches'
import type { EncodedRow } from '../data/encode'
import { Random } from '../data/random'
import { EngineError } from '../errors'
import { type Program, sizeOf } from '../graph/types'
import { read, type Sides, write } from '../programs/index'
import { breathe, type InferenceSession } from '../session'
import { type Grammar, type Guide, guided } from './grammar'
import { chooseToken, type SamplingOptions } from './processors'

/** What is read of one row. */
export type Item = {
  readonly ids: ArrayLike<number>
  /** Its first so many tokens are what is answered; null: no answer is wanted. */
  readonly prompt: number | null
  /** Tokens with 1 are predicted and count in the loss (EncodedRow.mask); absent: none. */
  readonly mask?: EncodedRow['mask']
}

type Shape = { batch: number; length: number; tokens: number; labels: number; cacheLength?: number }
export type Group = {
  /** Indices of items; at most `size` of them. */
  readonly rows: readonly number[]
  readonly size: number
  readonly shape: Shape
  readonly read: Program
  /** null where no answers are wanted. */
  readonly write: Program | null
}

const LENGTH_STEP = 16
const TOKEN_STEP = 64
const LABEL_STEP = 32
/** Each further shape costs half a second to begin with. */
const SHAPES = 3

/** Arithmetic of one reading call: about 15 s on two cores. Beats and cancels pass only between calls. */
const CALL_FLOPS = 3e12
const callTokens = ({ plans: [plan] }: Sides): number =>
  CALL_FLOPS / (2 * (plan as Sides['plans'][number]).model.parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0))

const roundUp = (n: number, step: number) => Math.ceil(n / step) * step
const labelsOf = ({ mask }: Item): number => {
  let labels = 0
  for (let t = 1; t < (mask?.length ?? 0); t++) labels += mask?.[t] ? 1 : 0
  return labels
}

/**
 * Items of similar length together, in groups of one size, so that no row is computed that nobody asked for: 50 rows at most 24 at once are
 * 17, 17 and 16. Groups of about one size share a shape.
 */
export function planRows(sides: Sides, items: readonly Item[], { batch, maxNewTokens }: { batch: number; maxNewTokens: number }): Group[] {
  const answered = items.flatMap(({ prompt }, i) => (prompt === null ? [] : [i]))
  const others = items.flatMap(({ prompt }, i) => (prompt === null ? [i] : []))
  return [answered, others].flatMap((rows, i) => planGroups(sides, items, rows, batch, i === 0 ? maxNewTokens : null))
}

function planGroups(sides: Sides, items: readonly Item[], own: readonly number[], batch: number, maxNewTokens: number | null): Group[] {
  if (!own.length) return []
  const { contextLength } = (sides.plans[0] as Sides['plans'][number]).model.config
  const lengthOf = (i: number) => items[i]?.ids.length as number
  const order = [...own].sort((a, b) => lengthOf(b) - lengthOf(a) || a - b)
  const most = Math.min(batch, Math.max(1, Math.floor(callTokens(sides) / lengthOf(order[0] as number))))
  const size = Math.ceil(order.length / Math.max(1, Math.ceil(order.length / most)))
  const chunks: number[][] = []
  for (let at = 0; at < order.length; at += size) chunks.push(order.slice(at, at + size))
  const shapes = chunks.map((chunk): Shape => {
    const most = (of: (i: number) => number) => Math.max(...chunk.map(of))
    const total = (of: (i: number) => number) => chunk.reduce((sum, i) => sum + of(i), 0)
    const length = Math.min(contextLength, roundUp(most(lengthOf), LENGTH_STEP))
    const labels = total((i) => labelsOf(items[i] as Item))
    const shape = { batch: size, length, tokens: roundUp(total(lengthOf), TOKEN_STEP), labels: labels && roundUp(labels, LABEL_STEP) }
    if (maxNewTokens === null) return shape
    const longest = chunk.reduce((a, b) => ((items[a]?.prompt ?? 0) >= (items[b]?.prompt ?? 0) ? a : b))
    const needed = (items[longest]?.prompt as number) + maxNewTokens
    if (needed > contextLength)
      throw new EngineError('bad_argument', 'prompt and answer together are longer than the model can read', {
        where: `row ${longest + 1}`,
        expected: `at most ${contextLength} tokens`,
        got: `${items[longest]?.prompt} + ${maxNewTokens}`,
        fix: 'shorten the prompt or max_new_tokens',
      })
    return { ...shape, cacheLength: Math.min(contextLength, roundUp(Math.max(length, needed), LENGTH_STEP)) }
  })
  const buckets = chooseBuckets(
    shapes.map(({ tokens }) => tokens),
    SHAPES,
  )
  const classOf = ({ tokens }: Shape) => buckets.find((bucket) => bucket >= tokens) as number
  const programs = new Map(
    buckets.map((bucket) => {
      const own = shapes.filter((shape) => classOf(shape) === bucket)
      const most = (key: keyof Shape) => Math.max(...own.map((shape) => shape[key] ?? 0))
      const cacheLength = maxNewTokens === null ? {} : { cacheLength: most('cacheLength') }
      const shape: Shape = { batch: size, length: most('length'), tokens: most('tokens'), labels: most('labels'), ...cacheLength }
      const writer = shape.cacheLength ? write(sides, { batch: size, cacheLength: shape.cacheLength }) : null
      return [bucket, { shape, read: read(sides, shape), write: writer }] as const
    }),
  )
  return chunks.map((rows, i) => ({
    rows,
    size,
    ...(programs.get(classOf(shapes[i] as Shape)) as { shape: Shape; read: Program; write: Program }),
  }))
}

export const programsOf = (groups: readonly Group[]): Program[] => [
  ...new Map(
    groups.flatMap((group) => [group.read, ...(group.write ? [group.write] : [])]).map((program) => [program.name, program]),
  ).values(),
]

export type Generated = {
  /** New tokens, without the stop token. */
  readonly ids: readonly number[]
  /** The token that ended it; null when it ran into maxNewTokens. */
  readonly stop: number | null
}

export type RowsOptions = SamplingOptions & {
  readonly maxNewTokens: number
  /** Rows computed together. */
  readonly batch: number
  readonly stopIds: readonly number[]
  /** Ids from here on are padding rows of the embedding and are never chosen (F-15). Default: the whole vocabulary. */
  readonly usableIds?: number
  readonly seed?: number
  readonly padId?: number
  /** What every answer must be (grammar.ts). */
  readonly grammar?: Grammar
  /** Whether an answer ends here besides its stop tokens, for example because a text has come; asked after every token. */
  ends?(ids: readonly number[]): boolean
  readonly signal?: AbortSignal
  /** `done` counts rows of all sides. */
  onProgress?(done: number, total: number): void
  /** Called for every new token of a row, stop tokens included. */
  onToken?(row: number, id: number, side: number): void
}

export type RowsResult = {
  /** By item; null where no answer was wanted. */
  readonly answers: readonly (Generated | null)[]
  /** ln p of each label, by item. */
  readonly logProbs: readonly Float32Array[]
}

/** Runs all groups; one result for each side. Deterministic: each row draws from a stream of its own, whatever batch it is in. */
export async function runRows(
  session: InferenceSession,
  items: readonly Item[],
  groups: readonly Group[],
  options: RowsOptions,
): Promise<RowsResult[]> {
  const { sides } = session
  const executable = await session.prepare(programsOf(groups))
  const { padId = 0 } = options
  const vocab = session.plan.model.config.vocabSize
  const usable = Math.min(options.usableIds ?? vocab, vocab)
  // The arg max of the graph is enough unless something changes the logits first.
  const plain = !options.grammar && options.temperature === 0 && (options.repetitionPenalty ?? 1) === 1 && !options.noRepeatNgramSize
  const stops = new Set(options.stopIds)
  const results = sides.plans.map(() => ({
    answers: new Array<Generated | null>(items.length).fill(null),
    logProbs: items.map((): Float32Array => new Float32Array(0)),
  }))
  const total = items.length * sides.plans.length
  const guides: Guide[] = []
  try {
    await runGroups()
  } finally {
    for (const guide of guides) guide.close()
  }
  return results

  async function runGroups(): Promise<void> {
    let finished = 0
    for (const group of groups) {
      const { rows, size, shape } = group
      if (options.signal?.aborted) throw new EngineError('cancelled', 'generation was cancelled')
      const { feeds, labels } = feedsOf(items, rows, shape, padId)
      /** One stream of tokens for each side and row. */
      const streams = group.write
        ? sides.plans.flatMap((_, side) =>
            rows.map((row, b) => ({
              side,
              row,
              place: side * size + b,
              prompt: items[row]?.prompt as number,
              ids: [] as number[],
              ended: undefined as number | null | undefined,
              random: Random.of(options.seed ?? 0, `answer ${row}`),
              guide: null as Guide | null,
            })),
          )
        : []
      const next = new Int32Array(sides.plans.length * size).fill(padId)
      const at = new Int32Array(sides.plans.length * size)

      /** Runs one program and chooses a token for every stream that goes on. */
      const advance = async (program: Program, fed: Record<string, Int32Array | Float32Array>, more: readonly string[]) => {
        let out = await executable.run(program.name, fed, [
          ...more,
          ...(plain && streams.length ? ['next'] : []),
          ...(plain || !streams.length ? [] : ['logits']),
        ])
        const first = out
        let chosen = out.next as Int32Array | undefined
        if (chosen && usable < vocab && streams.some(({ ended, place }) => ended === undefined && (chosen?.[place] as number) >= usable)) {
          // Running once more writes the same keys and values to the same slots.
          out = await executable.run(program.name, fed, ['logits'])
          chosen = undefined
        }
        const logits = out.logits as Float32Array | undefined
        for (const stream of streams) {
          if (stream.ended !== undefined) continue
          if (options.grammar && !stream.guide) {
            stream.guide = await options.grammar.guide()
            guides.push(stream.guide)
          }
          const { place, row, prompt, ids } = stream
          const history = () => [...Array.from({ length: prompt }, (_, t) => items[row]?.ids[t] as number), ...ids]
          const own = () => {
            const values = (logits as Float32Array).subarray(place * vocab, (place + 1) * vocab)
            return allowed ? guided(values, allowed) : values
          }
          const allowed = stream.guide && (await stream.guide.allowed())
          const id = chosen ? (chosen[place] as number) : chooseToken(own(), history(), options, stream.random, usable)
          stream.guide?.accept(id)
          options.onToken?.(row, id, stream.side)
          next[place] = id
          at[place] = prompt + ids.length
          if (stops.has(id)) stream.ended = id
          else {
            ids.push(id)
            if (options.ends?.(ids)) stream.ended = id
            else if (ids.length >= options.maxNewTokens) stream.ended = null
          }
        }
        return first
      }

      const { logProbs } = await advance(group.read, feeds, shape.labels ? ['logProbs'] : [])
      let offset = 0
      rows.forEach((row, b) => {
        const count = labels[b] as number
        for (const [side, result] of results.entries()) {
          const from = side * shape.labels + offset
          if (logProbs) result.logProbs[row] = (logProbs as Float32Array).slice(from, from + count)
        }
        offset += count
      })
      await breathe()
      let reported = -1
      while (group.write && streams.some(({ ended }) => ended === undefined)) {
        if (options.signal?.aborted) throw new EngineError('cancelled', 'generation was cancelled')
        await advance(group.write, { ids: next, at }, [])
        await breathe()
        const now = streams.filter(({ ended }) => ended !== undefined).length
        if (now > reported) options.onProgress?.(finished + now, total)
        reported = now
      }
      for (const { side, row, ids, ended } of streams)
        (results[side] as (typeof results)[number]).answers[row] = { ids, stop: ended ?? null }
      finished += rows.length * sides.plans.length
      options.onProgress?.(finished, total)
    }
  }
}

/** What the program `read` is fed for these rows, and how many labels each has. */
function feedsOf(
  items: readonly Item[],
  group: readonly number[],
  { batch, length, tokens, labels, cacheLength }: Shape,
  padId: number,
): { feeds: Record<string, Int32Array | Float32Array>; labels: number[] } {
  const [ids, positions, places] = [new Int32Array(tokens).fill(padId), new Int32Array(tokens), new Int32Array(tokens)]
  const [spread, last] = [new Int32Array(batch * length), new Int32Array(batch)]
  const [rows, targets, weights] = [new Int32Array(labels), new Int32Array(labels), new Float32Array(labels)]
  const counts: number[] = []
  let start = 0
  let label = 0
  group.forEach((index, b) => {
    const { ids: own, prompt, mask } = items[index] as Item
    const before = label
    for (let t = 0; t < own.length; t++) {
      ids[start + t] = own[t] as number
      positions[start + t] = t
      places[start + t] = b * length + t
      spread[b * length + t] = start + t
      if (t === 0 || !mask?.[t]) continue
      rows[label] = start + t - 1
      targets[label] = own[t] as number
      weights[label++] = 1
    }
    counts.push(label - before)
    if (prompt !== null) last[b] = start + prompt - 1
    start += own.length
  })
  return {
    feeds: { ids, positions, places, spread, ...(cacheLength && { last }), ...(labels && { rows, targets, weights }) },
    labels: counts,
  }
}
