/** Token counts of a whole dataset, as a training with these settings would see it (UX-84). Inside the inspector's trainer: no weights are read. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { planTraining } from '../../engine/data/batches'
import { type EncodedRow, encodeRow, type Row, type RowEncoder } from '../../engine/data/encode'
import { loadModel } from '../../engine/model'
import type { DatasetTokens } from '../../nodes/_kit/tokens'
import { fromUnknown } from '../errors'
import type { DatasetTokensQuestion } from './inspections'

/** What an answer may cost: the rows of a page that stays quick, the memory of their tokens, and less time than an answer is waited for. */
const MOST_ROWS = 20_000
const MOST_TOKENS = 20_000_000
const MOST_MS = 40_000
/** Rows between two looks at the clock and the channel. */
const BREATH = 64
const FAULTS_SHOWN = 20

/** @param path the stored dataset, one JSON row a line. @throws AppError BAD_MODEL */
export async function datasetTokens(path: string, question: DatasetTokensQuestion): Promise<DatasetTokens> {
  const { train_on: trainOn, max_length: maxLength, batch, seed, rows } = question
  const model = loadModel(question.path)
  try {
    const encoder: RowEncoder = { tokenizer: model.tokenizer, template: model.template, trainOn }
    const counted = await encodeFile(path, encoder)
    const { encoded, faults } = counted
    const tooLong = (row: EncodedRow): boolean => maxLength !== null && row.ids.length > maxLength
    // Raw text is cut into pieces, anything else that is too long is left out (F-47).
    const splits = counted.raw
    const trains = encoded.filter((row): row is EncodedRow => row !== null && row.labels > 0 && !tooLong(row))
    return {
      rows,
      read: encoded.length,
      lengths: encoded.map((row) => row?.ids.length ?? -1),
      trained: encoded.map((row) => row?.labels ?? 0),
      endNotTrained: indexesOf(encoded, (row) => row !== null && !row.endTrained),
      duplicates: repeatsIn(encoded),
      faults: faults.slice(0, FAULTS_SHOWN),
      tooLong: splits ? 'split' : 'left-out',
      // Rows cut into pieces are batched as pieces, which only the training itself makes.
      padding:
        batch === null || trains.length === 0 || (splits && encoded.some((row) => row && tooLong(row)))
          ? null
          : paddingOf(trains, batch, seed),
    }
  } finally {
    model.close()
  }
}

async function encodeFile(path: string, encoder: RowEncoder) {
  const encoded: (EncodedRow | null)[] = []
  const faults: { row: number; message: string }[] = []
  const end = Date.now() + MOST_MS
  let tokens = 0
  let raw = false
  for await (const line of linesOf(path)) {
    if (line === '') continue
    try {
      const row = JSON.parse(line) as Row
      raw ||= 'text' in row
      const one = encodeRow(encoder, row)
      tokens += one.ids.length
      encoded.push(one)
    } catch (error) {
      faults.push({ row: encoded.length, message: fromUnknown(error).message })
      encoded.push(null)
    }
    if (encoded.length >= MOST_ROWS || tokens >= MOST_TOKENS) break
    if (encoded.length % BREATH === 0) {
      if (Date.now() > end) break
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  return { encoded, faults, raw }
}

/** Lines of a stored dataset. Not `readline`, which also ends lines at U+2028, and that may stand inside a row. */
async function* linesOf(path: string): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of createReadStream(path, 'utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

const indexesOf = (rows: readonly (EncodedRow | null)[], is: (row: EncodedRow | null) => boolean): number[] =>
  rows.flatMap((row, i) => (is(row) ? [i] : []))

/** Rows whose tokens are those of an earlier row. */
function repeatsIn(rows: readonly (EncodedRow | null)[]): number[] {
  const seen = new Set<string>()
  return indexesOf(rows, (row) => {
    if (row === null) return false
    const { buffer, byteOffset, byteLength } = row.ids
    const key = createHash('sha256')
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest('base64')
    const repeated = seen.has(key)
    seen.add(key)
    return repeated
  })
}

/** Positions that the first epoch computes, and how many of them stand for nothing. */
function paddingOf(rows: readonly EncodedRow[], batch: number, seed: number): { positions: number; padded: number } {
  const { epochs } = planTraining(rows, { batch, accumulation: 1, epochs: 1, maxSteps: -1, seed })
  const batches = epochs[0]?.flat() ?? []
  const positions = batches.reduce((sum, { shape }) => sum + shape.batch * shape.length, 0)
  const tokens = rows.reduce((sum, row) => sum + row.ids.length, 0)
  return { positions, padded: positions - tokens }
}
