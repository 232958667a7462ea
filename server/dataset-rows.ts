/** Pages of a stored dataset (JSONL), without reading what comes before: byte offsets of every 256th line are remembered per digest. */
import { open } from 'node:fs/promises'
import { AppError } from './errors'
import type { ArtifactStore } from './storage/artifact-store'

const STRIDE = 256
const CHUNK = 1 << 18
/** A row longer than this is not shown whole; a page must stay a page. */
const ROW_LIMIT = 1 << 20
const REMEMBERED = 50

type Index = { lines: number; offsets: number[]; sizeBytes: number }
const indexes = new Map<string, Promise<Index>>()

async function indexOf(path: string): Promise<Index> {
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.allocUnsafe(CHUNK)
    const offsets = [0]
    let lines = 0
    let position = 0
    let endsWithNewline = true
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK, position)
      if (bytesRead === 0) break
      for (let at = buffer.indexOf(10); at !== -1 && at < bytesRead; at = buffer.indexOf(10, at + 1)) {
        lines += 1
        if (lines % STRIDE === 0) offsets.push(position + at + 1)
      }
      endsWithNewline = buffer[bytesRead - 1] === 10
      position += bytesRead
    }
    return { lines: endsWithNewline ? lines : lines + 1, offsets, sizeBytes: position }
  } finally {
    await file.close()
  }
}

/** @returns at most `limit` rows from row `offset` on, and how many there are. @throws AppError ARTIFACT_MISSING, ARTIFACT_CORRUPT */
export async function datasetRows(
  store: ArtifactStore,
  digest: string,
  page: { offset: number; limit: number },
): Promise<{ total: number; rows: Record<string, unknown>[] }> {
  const path = await store.verifiedPath(digest)
  let index = indexes.get(digest)
  if (!index) {
    index = indexOf(path)
    indexes.set(digest, index)
    index.catch(() => indexes.delete(digest))
    if (indexes.size > REMEMBERED) indexes.delete(indexes.keys().next().value as string)
  }
  const { lines, offsets } = await index
  const rows: Record<string, unknown>[] = []
  if (page.offset >= lines || page.limit <= 0) return { total: lines, rows }
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.allocUnsafe(CHUNK)
    let position = offsets[Math.floor(page.offset / STRIDE)] ?? 0
    let skip = page.offset % STRIDE
    let parts: Buffer[] = []
    let length = 0
    const take = (line: Buffer) => {
      if (skip > 0) skip -= 1
      else if (line.length > 0) rows.push(parseRow(line, digest, page.offset + rows.length))
    }
    while (rows.length < page.limit) {
      const { bytesRead } = await file.read(buffer, 0, CHUNK, position)
      if (bytesRead === 0) {
        if (length > 0) take(Buffer.concat(parts))
        break
      }
      let from = 0
      for (let at = buffer.indexOf(10); at !== -1 && at < bytesRead && rows.length < page.limit; at = buffer.indexOf(10, from)) {
        take(Buffer.concat([...parts, buffer.subarray(from, at)]))
        parts = []
        length = 0
        from = at + 1
      }
      if (rows.length < page.limit) {
        parts.push(Buffer.from(buffer.subarray(from, bytesRead)))
        length += bytesRead - from
        if (length > ROW_LIMIT)
          throw new AppError('TOO_LARGE', {
            message: 'A row is too long to show.',
            where: `row ${page.offset + rows.length + 1}`,
            expected: `at most ${ROW_LIMIT} bytes`,
            fix: 'Download the dataset instead.',
          })
      }
      position += bytesRead
    }
    return { total: lines, rows }
  } finally {
    await file.close()
  }
}

function parseRow(line: Buffer, digest: string, row: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new AppError('ARTIFACT_CORRUPT', { message: 'A stored row is not a JSON object.', where: `${digest}, row ${row + 1}` })
}
