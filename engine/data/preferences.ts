/**
 * Preference rows as token ids. A set holds every reply as a row of its own, so that batches, caches and scores see plain rows: of n pairs, row i
 * is the chosen reply and row n + i the rejected one; of n rated replies, row i is the reply and row n + i its prompt with a reply to another.
 */
import { EngineError } from '../errors'
import type { ChatMessage } from '../tokenizer/chat'
import { type EncodedRow, type EncodedSet, encodeRow, type RowEncoder } from './encode'

type Text = string | readonly ChatMessage[]
export type PairRow = { readonly prompt: Text; readonly chosen: Text; readonly rejected: Text }
export type RatedRow = { readonly prompt: Text; readonly completion: Text; readonly label: boolean }

export type PreferenceSet = EncodedSet & {
  /** Pairs, or rated replies: half of the rows. */
  readonly pairs: number
  /** Of each row, 1 on tokens of the reply. */
  readonly replies: readonly Uint8Array[]
  /** Of each rated reply, whether it is wanted; absent for pairs. */
  readonly wanted?: readonly boolean[]
}

type Options = {
  readonly maxLength: number
  /** Prompts of chosen replies count as labels too: what ORPO's cross-entropy runs over. */
  readonly promptLabels?: boolean
  yieldNow?(): Promise<void>
}

const encoded = (encoder: RowEncoder, prompt: Text, completion: Text): EncodedRow =>
  encodeRow({ ...encoder, trainOn: 'completion' }, { prompt, completion })

const everyToken = (row: EncodedRow): EncodedRow => ({ ...row, mask: new Uint8Array(row.ids.length).fill(1), labels: row.ids.length - 1 })

/** Pairs with a reply longer than `maxLength` are dropped and listed; none is cut, since a cut reply is another reply. */
export async function encodePairs(encoder: RowEncoder, rows: readonly PairRow[], options: Options): Promise<PreferenceSet> {
  return encodeBoth(rows.length, options, (i) => {
    const { prompt, chosen, rejected } = rows[i] as PairRow
    return [encoded(encoder, prompt, chosen), encoded(encoder, prompt, rejected)]
  })
}

/** Rated replies, each with the reply to the next row's prompt under its own: what KTO measures its distance with. */
export async function encodeRated(encoder: RowEncoder, rows: readonly RatedRow[], options: Options): Promise<PreferenceSet> {
  if (rows.length < 2)
    throw new EngineError('bad_argument', 'KTO compares with replies to other prompts, so it needs two rows', { got: String(rows.length) })
  const kept: boolean[] = []
  const set = await encodeBoth(rows.length, options, (i) => {
    const { prompt, completion } = rows[i] as RatedRow
    const other = rows[(i + 1) % rows.length] as RatedRow
    return [encoded(encoder, prompt, completion), encoded(encoder, prompt, other.completion)]
  })
  const dropped = new Set(set.dropped)
  rows.forEach(({ label }, i) => {
    if (!dropped.has(i)) kept.push(label)
  })
  return { ...set, wanted: kept }
}

async function encodeBoth(
  count: number,
  { maxLength, promptLabels = false, yieldNow }: Options,
  make: (i: number) => readonly [EncodedRow, EncodedRow],
): Promise<PreferenceSet> {
  const [first, second]: [EncodedRow[], EncodedRow[]] = [[], []]
  const source: number[] = []
  const dropped: number[] = []
  const replies: [Uint8Array[], Uint8Array[]] = [[], []]
  for (let i = 0; i < count; i++) {
    if (i % 64 === 63) await yieldNow?.()
    const [a, b] = make(i)
    if (Math.max(a.ids.length, b.ids.length) > maxLength) {
      dropped.push(i)
      continue
    }
    if (!a.labels || !b.labels)
      throw new EngineError('bad_argument', 'a reply has no token', { where: `row ${i + 1}`, fix: 'remove rows with empty replies' })
    replies[0].push(a.mask)
    replies[1].push(b.mask)
    first.push(promptLabels ? everyToken(a) : a)
    second.push(b)
    source.push(i)
  }
  const rows = [...first, ...second]
  return {
    rows,
    source: Int32Array.from([...source, ...source]),
    dropped,
    cut: [],
    tokens: rows.reduce((sum, row) => sum + row.ids.length, 0),
    labels: rows.reduce((sum, row) => sum + row.labels, 0),
    endTrained: rows.filter((row) => row.endTrained).length,
    straddling: rows.reduce((sum, row) => sum + row.straddling, 0),
    pairs: first.length,
    replies: [...replies[0], ...replies[1]],
  }
}
