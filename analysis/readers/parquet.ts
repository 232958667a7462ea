import { parquetMetadataAsync, parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { type Fault, fault, READ_LIMITS, type ReadOptions, type SourceRow } from '../table'

/** A file that is read in pieces, so that a header can be had without the rest. */
export type ByteSource = { byteLength: number; slice(start: number, end?: number): Promise<ArrayBuffer> | ArrayBuffer }

export const sourceOf = (bytes: Uint8Array): ByteSource => ({
  byteLength: bytes.byteLength,
  slice: (start, end) => bytes.slice(start, end).buffer as ArrayBuffer,
})

/** Checks the frame before anything is allocated: magic at both ends, and a footer that fits the file. */
export async function checkFrame(file: ByteSource): Promise<Fault | null> {
  if (file.byteLength < 12) return fault(null, 'bad_parquet', 'no PAR1 magic: too short to be a Parquet file')
  const head = new Uint8Array(await file.slice(0, 4))
  const tail = new Uint8Array(await file.slice(file.byteLength - 8, file.byteLength))
  const magic = (b: Uint8Array, at: number) => b[at] === 0x50 && b[at + 1] === 0x41 && b[at + 2] === 0x52 && b[at + 3] === 0x31
  if (!magic(head, 0)) return fault(null, 'bad_parquet', 'no PAR1 magic: not a Parquet file')
  if (!magic(tail, 4)) return fault(null, 'bad_parquet', 'no PAR1 at the end: the file is truncated')
  const footer = new DataView(tail.buffer, tail.byteOffset).getUint32(0, true)
  if (footer > file.byteLength - 12) return fault(null, 'bad_parquet', `footer length ${footer} is larger than the file`)
  return null
}

/** Rows of all row groups. Lists of structs come as lists of objects; 64-bit integers as numbers where they are exact. */
export async function readParquet(
  file: ByteSource,
  options: ReadOptions,
): Promise<{ columns: string[]; rows: SourceRow[]; total: number; errors: Fault[]; warnings: Fault[] }> {
  const fail = (f: Fault) => ({ columns: [], rows: [], total: 0, errors: [f], warnings: [] })
  const frame = await checkFrame(file)
  if (frame) return fail(frame)
  try {
    const metadata = await parquetMetadataAsync(file)
    const total = Number(metadata.num_rows)
    const unpacked = metadata.row_groups.reduce((sum, g) => sum + Number(g.total_byte_size), 0)
    if (unpacked > 4 * READ_LIMITS.bytes || total > READ_LIMITS.rows)
      return fail(
        fault(
          null,
          'too_large',
          `claims ${total.toLocaleString('en-US')} rows and ${unpacked.toLocaleString('en-US')} bytes unpacked, more than is read`,
        ),
      )
    const rowEnd = Math.min(total, options.maxRows ?? total)
    const objects = rowEnd === 0 ? [] : await parquetReadObjects({ file, metadata, compressors, rowEnd, geoparquet: false })
    const columns = metadata.schema[0] ? topLevel(metadata.schema) : []
    const rows = objects.map((value) => ({ line: null, value: plain(value) as Record<string, unknown> }))
    return { columns, rows, total, errors: [], warnings: [] }
  } catch (cause) {
    return fail(fault(null, 'bad_parquet', `damaged Parquet file: ${(cause as Error).message}`))
  }
}

/** Names directly under the root of a flattened schema tree. */
function topLevel(schema: readonly { name: string; num_children?: number }[]): string[] {
  const names: string[] = []
  let i = 1
  const skip = (): void => {
    const children = schema[i++]?.num_children ?? 0
    for (let c = 0; c < children; c++) skip()
  }
  while (i < schema.length) {
    names.push((schema[i] as { name: string }).name)
    skip()
  }
  return names
}

/** JSON values only: dates as ISO text, exact big integers as numbers, others as text, bytes as a list. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint')
    return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString()
  if (value instanceof Date) return value.toISOString()
  if (ArrayBuffer.isView(value)) return Array.from(value as Uint8Array, plain)
  if (Array.isArray(value)) return value.map(plain)
  if (value !== null && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
  return value === undefined ? null : value
}
