/**
 * Batched generation with a key/value cache. Rows are left-padded to one length; one native call makes one token for every row, so beats and
 * cancels pass between tokens.
 */
import { Random } from '../data/random'
import { EngineError } from '../errors'
import type { Program } from '../graph/types'
import { decode, prefill } from '../programs/index'
import { breathe, type InferenceSession } from '../session'
import { checkSampling, chooseToken, type SamplingOptions } from './processors'

export type GenerateOptions = SamplingOptions & {
  readonly maxNewTokens: number
  /** Rows computed together. */
  readonly batch: number
  readonly stopIds: readonly number[]
  /** Ids from here on are padding rows of the embedding and are never chosen (F-15). Default: the whole vocabulary. */
  readonly usableIds?: number
  readonly seed?: number
  readonly padId?: number
  readonly signal?: AbortSignal
  onProgress?(done: number, total: number): void
  /** Called for every new token of a row, stop tokens included. */
  onToken?(row: number, id: number): void
}

export type Generated = {
  /** New tokens, without the stop token. */
  readonly ids: readonly number[]
  /** The token that ended it; null when it ran into maxNewTokens. */
  readonly stop: number | null
}

/** Prompt lengths come in steps, so that jobs of about one size share their programs. */
const LENGTH_STEP = 16

type Group = { rows: number[]; size: number; length: number; slots: number; prefill: Program; decode: Program }

/** Groups prompts of similar length and makes the programs for them. */
export function planGenerate(
  session: InferenceSession,
  prompts: readonly (readonly number[])[],
  options: Pick<GenerateOptions, 'maxNewTokens' | 'batch'>,
): Group[] {
  const { contextLength } = session.plan.model.config
  const order = prompts.map((_, i) => i).sort((a, b) => (prompts[b]?.length as number) - (prompts[a]?.length as number) || a - b)
  const groups: Group[] = []
  // Groups of one size, so that none is computed with rows that nobody asked for: 50 rows at most 24 at once are 17, 17 and 16.
  const size = Math.ceil(order.length / Math.max(1, Math.ceil(order.length / options.batch)))
  for (let at = 0; at < order.length; at += size) {
    const rows = order.slice(at, at + size)
    const longest = prompts[rows[0] as number]?.length as number
    if (longest + options.maxNewTokens > contextLength) {
      throw new EngineError('bad_argument', 'prompt and answer together are longer than the model can read', {
        where: `row ${(rows[0] as number) + 1}`,
        expected: `at most ${contextLength} tokens`,
        got: `${longest} + ${options.maxNewTokens}`,
        fix: 'shorten the prompt or max_new_tokens',
      })
    }
    const length = Math.min(contextLength - options.maxNewTokens, Math.ceil(longest / LENGTH_STEP) * LENGTH_STEP)
    const slots = length + options.maxNewTokens
    const same = groups.find((group) => group.size === size && group.length === length)
    const spec = { batch: size, length, cacheLength: slots }
    groups.push({
      rows,
      size,
      length,
      slots,
      prefill: same?.prefill ?? prefill(session.plan, spec),
      decode: same?.decode ?? decode(session.plan, spec),
    })
  }
  return groups
}

/** Answers for all prompts, in their order. Deterministic: each row draws from a stream of its own, whatever batch it is in. */
export async function generate(
  session: InferenceSession,
  prompts: readonly (readonly number[])[],
  options: GenerateOptions,
): Promise<Generated[]> {
  checkSampling(options)
  if (!Number.isInteger(options.maxNewTokens) || options.maxNewTokens < 1)
    throw new EngineError('bad_argument', 'max_new_tokens is out of range', {
      where: 'max_new_tokens',
      expected: '1 or more',
      got: String(options.maxNewTokens),
    })
  const empty = prompts.findIndex((prompt) => prompt.length === 0)
  if (empty >= 0) throw new EngineError('bad_argument', 'a prompt is empty', { where: `row ${empty + 1}` })
  if (!prompts.length) return []

  const groups = planGenerate(session, prompts, options)
  const executable = await session.prepare([...new Set(groups.flatMap((group) => [group.prefill, group.decode]))])
  const vocab = session.plan.model.config.vocabSize
  const usable = Math.min(options.usableIds ?? vocab, vocab)
  const greedy = options.temperature === 0
  // The arg max of the graph is enough unless something changes the logits first.
  const plain = greedy && (options.repetitionPenalty ?? 1) === 1 && !options.noRepeatNgramSize
  const stops = new Set(options.stopIds)
  const results: Generated[] = new Array(prompts.length)
  let finished = 0

  for (const group of groups) {
    const { size, length, rows } = group
    const starts = new Int32Array(size).fill(length - 1)
    const ids = new Int32Array(size * length).fill(options.padId ?? 0)
    rows.forEach((row, b) => {
      const prompt = prompts[row] as readonly number[]
      starts[b] = length - prompt.length
      ids.set(prompt, b * length + length - prompt.length)
    })
    const answers = rows.map((): number[] => [])
    const ended = rows.map((): number | null | undefined => undefined)
    const randoms = rows.map((row) => Random.of(options.seed ?? 0, `answer ${row}`))
    const next = new Int32Array(size).fill(options.padId ?? 0)

    /** Runs one program and chooses a token for every row that goes on. */
    const advance = async (program: Program, feeds: Record<string, Int32Array>): Promise<void> => {
      let chosen: Int32Array | null = null
      let logits: Float32Array | null = null
      if (plain) {
        chosen = (await executable.run(program.name, feeds, ['next'])).next as Int32Array
        // Running once more writes the same keys and values to the same slots.
        if (usable < vocab && rows.some((_, b) => ended[b] === undefined && (chosen?.[b] as number) >= usable)) chosen = null
      }
      if (!chosen) logits = (await executable.run(program.name, feeds, ['logits'])).logits as Float32Array
      rows.forEach((row, b) => {
        if (ended[b] !== undefined) return
        const answer = answers[b] as number[]
        const id = logits
          ? chooseToken(
              logits.subarray(b * vocab, (b + 1) * vocab),
              [...(prompts[row] as readonly number[]), ...answer],
              options,
              randoms[b] as Random,
              usable,
            )
          : (chosen?.[b] as number)
        options.onToken?.(row, id)
        next[b] = id
        if (stops.has(id)) ended[b] = id
        else {
          answer.push(id)
          if (answer.length >= options.maxNewTokens) ended[b] = null
        }
      })
    }

    await advance(group.prefill, { ids, starts })
    let reported = 0
    for (let slot = length; ended.includes(undefined); slot++) {
      if (options.signal?.aborted) throw new EngineError('cancelled', 'generation was cancelled')
      await breathe()
      await advance(group.decode, { ids: next, starts, slot: Int32Array.of(slot) })
      const now = ended.filter((end) => end !== undefined).length
      if (now > reported) options.onProgress?.(finished + now, prompts.length)
      reported = now
    }
    rows.forEach((row, b) => {
      results[row] = { ids: answers[b] as number[], stop: ended[b] ?? null }
    })
    finished += rows.length
    options.onProgress?.(finished, prompts.length)
  }
  return results
}
