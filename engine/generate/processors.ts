/**
 * From logits to the next token: the processors of transformers' `generate`, in its order. Written on plain arrays: a vocabulary of 49,152
 * costs well under a millisecond, against tens for the model.
 */
import type { Random } from '../data/random'
import { EngineError } from '../errors'

export type SamplingOptions = {
  /** 1 leaves the distribution as it is; 0 means greedy. */
  temperature?: number
  /** 0: off. Ties with the k-th are kept. */
  topK?: number
  /** 1: off. */
  topP?: number
  /** 0: off. Keeps p ≥ minP · max p. */
  minP?: number
  /** 1: off. */
  typicalP?: number
  /** 1: off. Once for each distinct token of prompt and answer. */
  repetitionPenalty?: number
  /** 0: off. */
  noRepeatNgramSize?: number
}

/** Refuses settings that mean nothing, by name. */
export function checkSampling(options: SamplingOptions): void {
  const bad = (name: string, expected: string, got: unknown): never => {
    throw new EngineError('bad_argument', `${name} is out of range`, { where: name, expected, got: String(got) })
  }
  const { temperature = 1, topK = 0, topP = 1, minP = 0, typicalP = 1, repetitionPenalty = 1, noRepeatNgramSize = 0 } = options
  if (!(temperature >= 0)) bad('temperature', '0 or more', temperature)
  if (!Number.isInteger(topK) || topK < 0) bad('top_k', 'a whole number, 0 or more', topK)
  if (!(topP > 0 && topP <= 1)) bad('top_p', 'above 0, at most 1', topP)
  if (!(minP >= 0 && minP <= 1)) bad('min_p', '0…1', minP)
  if (!(typicalP > 0 && typicalP <= 1)) bad('typical_p', 'above 0, at most 1', typicalP)
  if (!(repetitionPenalty > 0)) bad('repetition_penalty', 'above 0', repetitionPenalty)
  if (!Number.isInteger(noRepeatNgramSize) || noRepeatNgramSize < 0)
    bad('no_repeat_ngram_size', 'a whole number, 0 or more', noRepeatNgramSize)
}

const argMax = (values: Float32Array): number => {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}

/** Softmax in float64 of the entries that are left; removed entries (−∞) get 0. */
function softmax(logits: Float32Array): Float64Array {
  let max = Number.NEGATIVE_INFINITY
  for (const x of logits) if (x > max) max = x
  const out = new Float64Array(logits.length)
  let sum = 0
  for (let i = 0; i < logits.length; i++) {
    const e = Math.exp((logits[i] as number) - max)
    out[i] = e
    sum += e
  }
  for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) / sum
  return out
}

/** Indices of the finite logits, ascending by value; ties in index order. */
function ascending(logits: Float32Array): number[] {
  const order: number[] = []
  for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > Number.NEGATIVE_INFINITY) order.push(i)
  return order.sort((a, b) => (logits[a] as number) - (logits[b] as number) || a - b)
}

/**
 * Applies the processors to a copy of `logits` [vocabulary]. `history` is the prompt and all tokens so far. Removed tokens are −∞.
 * Order: repetition penalty, n-grams, temperature, top-k, top-p, min-p, typical-p.
 */
export function processLogits(logits: Float32Array, history: readonly number[], options: SamplingOptions): Float32Array {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, typicalP = 1, repetitionPenalty = 1, noRepeatNgramSize = 0 } = options
  const out = logits.slice()
  const drop = Number.NEGATIVE_INFINITY
  if (repetitionPenalty !== 1) {
    for (const id of new Set(history)) {
      const x = out[id]
      if (x !== undefined) out[id] = x < 0 ? x * repetitionPenalty : x / repetitionPenalty
    }
  }
  if (noRepeatNgramSize > 0) {
    const n = noRepeatNgramSize
    const tail = history.slice(history.length - n + 1)
    for (let i = 0; i + n <= history.length; i++) {
      if (tail.every((id, j) => history[i + j] === id)) out[history[i + n - 1] as number] = drop
    }
  }
  if (temperature !== 1 && temperature > 0) for (let i = 0; i < out.length; i++) out[i] = (out[i] as number) / temperature
  if (topK > 0 && topK < out.length) {
    const threshold = out.slice().sort().at(-topK) as number
    for (let i = 0; i < out.length; i++) if ((out[i] as number) < threshold) out[i] = drop
  }
  if (topP < 1) {
    const order = ascending(out)
    const p = softmax(out)
    let cumulative = 0
    for (let i = 0; i < order.length - 1; i++) {
      cumulative += p[order[i] as number] as number
      // float32, as the reference compares: at the border itself the rounding decides.
      if (Math.fround(cumulative) <= Math.fround(1 - topP)) out[order[i] as number] = drop
      else break
    }
  }
  if (minP > 0) {
    const p = softmax(out)
    const floor = minP * p.reduce((a, b) => Math.max(a, b), 0)
    for (let i = 0; i < out.length; i++) if ((p[i] as number) < floor) out[i] = drop
  }
  if (typicalP < 1) {
    const p = softmax(out)
    const entropy = p.reduce((sum, q) => sum - (q > 0 ? q * Math.log(q) : 0), 0)
    const order = ascending(out).sort(
      (a, b) => Math.abs(-Math.log(p[a] as number) - entropy) - Math.abs(-Math.log(p[b] as number) - entropy) || a - b,
    )
    let cumulative = 0
    let kept = 0
    while (kept < order.length && cumulative < typicalP) cumulative += p[order[kept++] as number] as number
    for (const id of order.slice(Math.max(1, kept))) out[id] = drop
  }
  return out
}

/** Probabilities after the processors, as float64. */
export const probabilities = (logits: Float32Array, history: readonly number[], options: SamplingOptions): Float64Array =>
  softmax(processLogits(logits, history, options))

/** Next token: the most likely one at temperature 0, else drawn. `usable` is the tokenizer's size: padding rows of the embedding are never chosen (F-15). */
export function chooseToken(
  logits: Float32Array,
  history: readonly number[],
  options: SamplingOptions,
  random: Random,
  usable = logits.length,
): number {
  const known = usable < logits.length ? logits.subarray(0, usable) : logits
  if ((options.temperature ?? 1) === 0)
    return argMax(processLogits(known, history, { ...options, temperature: 1, topK: 0, topP: 1, minP: 0, typicalP: 1 }))
  const p = probabilities(known, history, options)
  let left = random.uniform()
  let last = 0
  for (let i = 0; i < p.length; i++) {
    const q = p[i] as number
    if (q === 0) continue
    last = i
    left -= q
    if (left < 0) return i
  }
  return last
}
