/** How far one model has moved from another on the same text: losses of both, and the divergence of their whole distributions (SCI-61…64). */
import { batchFeeds, planEvaluation } from '../data/batches'
import type { EncodedSet } from '../data/encode'
import { EngineError } from '../errors'
import { logits } from '../programs/index'
import { breathe, type InferenceSession } from '../session'

/** Logits of one call, in bytes, of each model: two of them are held at once. */
const CALL_BYTES = 64e6
const MOST_TOKENS_KEPT = 200

export type RowDivergence = {
  /** Trained tokens. */
  readonly tokens: number
  /** Sums over them, in nats: −ln p of the actual token under each model, and KL(base‖tuned) of the whole distribution. */
  readonly base: number
  readonly tuned: number
  readonly divergence: number
  /** Tokens at which both models think the same token likeliest. */
  readonly agreed: number
}
/** A place where the tuned model lost most: index of the row, position of the token, and both losses. */
export type LostToken = { readonly row: number; readonly position: number; readonly base: number; readonly tuned: number }

/**
 * Reads every row with both models. Rows left out by the length policy have 0 tokens; rows that were split are added up.
 * @throws EngineError `cancelled`
 */
export async function divergence(
  base: InferenceSession,
  tuned: InferenceSession,
  set: EncodedSet,
  sourceRows: number,
  options: { padId?: number; signal?: AbortSignal; onProgress?(done: number, total: number): void } = {},
): Promise<{ rows: RowDivergence[]; lost: (LostToken & { encoded: number })[] }> {
  const vocab = base.plan.model.config.vocabSize
  if (tuned.plan.model.config.vocabSize !== vocab)
    throw new EngineError('mismatch', 'the two models have different vocabularies, so their predictions cannot be compared', {
      expected: String(vocab),
      got: String(tuned.plan.model.config.vocabSize),
    })
  const longest = Math.max(1, ...set.rows.map(({ labels }) => labels))
  const batches = planEvaluation(set.rows, Math.max(1, Math.min(16, Math.floor(CALL_BYTES / 4 / vocab / longest))))
  const programs = new Map(batches.map(({ shape }) => [`${shape.length}/${shape.labels}`, logits(base.plan, shape)]))
  const rows = Array.from({ length: sourceRows }, () => ({ tokens: 0, base: 0, tuned: 0, divergence: 0, agreed: 0 }))
  let lost: (LostToken & { encoded: number })[] = []
  if (!batches.length) return { rows, lost }
  const [one, two] = [await base.prepare([...programs.values()]), await tuned.prepare([...programs.values()])]
  let done = 0
  for (const batch of batches) {
    if (options.signal?.aborted) throw new EngineError('cancelled', 'the comparison was cancelled')
    const { ids, rows: at, targets } = batchFeeds(set.rows, batch, options.padId)
    const name = (programs.get(`${batch.shape.length}/${batch.shape.labels}`) as { name: string }).name
    const a = (await one.run(name, { ids, rows: at }, ['logits'])).logits as Float32Array
    const b = (await two.run(name, { ids, rows: at }, ['logits'])).logits as Float32Array
    let i = 0
    for (const index of batch.rows) {
      const encoded = set.rows[index] as EncodedSet['rows'][number]
      const source = set.source[index] as number
      const row = rows[source] as (typeof rows)[number]
      for (let t = 1; t < encoded.ids.length; t++) {
        if (!encoded.mask[t]) continue
        const token = compareAt(a.subarray(i * vocab, (i + 1) * vocab), b.subarray(i * vocab, (i + 1) * vocab), targets[i] as number)
        row.tokens++
        row.base += token.base
        row.tuned += token.tuned
        row.divergence += token.divergence
        row.agreed += Number(token.agreed)
        lost.push({ row: source, encoded: index, position: t, base: token.base, tuned: token.tuned })
        i++
      }
    }
    lost = lost.sort((x, y) => y.tuned - y.base - (x.tuned - x.base)).slice(0, MOST_TOKENS_KEPT)
    done += batch.rows.length
    options.onProgress?.(done, set.rows.length)
    await breathe()
  }
  return { rows, lost: lost.filter((token) => token.tuned > token.base) }
}

/** One position: losses of the token, Σ p_a (ln p_a − ln p_b), and whether both prefer the same token. Equal logits give exactly 0. */
export function compareAt(
  a: Float32Array,
  b: Float32Array,
  target: number,
): { base: number; tuned: number; divergence: number; agreed: boolean } {
  const top = (values: Float32Array): number => {
    let best = 0
    for (let v = 1; v < values.length; v++) if ((values[v] as number) > (values[best] as number)) best = v
    return best
  }
  const [topA, topB] = [top(a), top(b)]
  const [maxA, maxB] = [a[topA] as number, b[topB] as number]
  let sumA = 0
  let sumB = 0
  let mixed = 0
  for (let v = 0; v < a.length; v++) {
    const weight = Math.exp((a[v] as number) - maxA)
    sumA += weight
    sumB += Math.exp((b[v] as number) - maxB)
    mixed += weight * ((a[v] as number) - (b[v] as number))
  }
  const [logA, logB] = [maxA + Math.log(sumA), maxB + Math.log(sumB)]
  return {
    base: logA - (a[target] as number),
    tuned: logB - (b[target] as number),
    divergence: Math.max(0, mixed / sumA - logA + logB),
    agreed: topA === topB,
  }
}
