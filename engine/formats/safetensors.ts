/**
 * safetensors (F-11): 8-byte little-endian header length, JSON header, data. A file is untrusted input: every length and offset is
 * checked against the file's real size before anything of that length is allocated (SEC-9, E-20).
 */
import * as fs from 'node:fs'
import { EngineError } from '../errors'
import { type FloatDtype, narrow, widen } from './dtypes'

export const DTYPE_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
} as const
export type Dtype = keyof typeof DTYPE_BYTES
/** Order in which the reference writer lays tensors out: wide types first, so that everything is aligned. */
const LAYOUT_ORDER: readonly Dtype[] = ['U64', 'I64', 'F64', 'F32', 'U32', 'I32', 'BF16', 'F16', 'U16', 'I16', 'I8', 'U8', 'BOOL']

const MAX_HEADER_BYTES = 100 * 1024 * 1024
const MAX_READ_BYTES = 1 << 30

export type TensorEntry = {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** Absolute positions in the file. */
  readonly begin: number
  readonly end: number
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0

/** Number of elements of a shape; undefined when it does not fit 2^53. */
export function elementCount(shape: readonly number[]): number | undefined {
  let count = 1
  for (const size of shape) {
    count *= size
    if (!Number.isSafeInteger(count)) return undefined
  }
  return count
}

function refuse(path: string, offset: number, reason: string, facts: { expected?: string; got?: string } = {}): never {
  throw new EngineError('bad_file', `not a valid safetensors file: ${reason}`, {
    where: `${path}, byte ${offset}`,
    ...facts,
    fix: 'download or export the file again',
  })
}

/** Reads exactly `into.byteLength` bytes at `position`, or refuses. */
export function readExactly(fd: number, into: Uint8Array, position: number, path: string): void {
  let done = 0
  while (done < into.byteLength) {
    const count = fs.readSync(fd, into, done, Math.min(into.byteLength - done, MAX_READ_BYTES), position + done)
    if (count === 0) throw new EngineError('bad_file', 'the file ends too early', { where: `${path}, byte ${position + done}` })
    done += count
  }
}

/**
 * Says what a file really is when its first bytes are not safetensors. Pickle is refused by content, whatever the name (SEC-9). The length of
 * a header may look like the beginning of another format; then the header's brace follows.
 */
function recognise(first: Uint8Array): string | null {
  if (first[8] === 0x7b) return null
  if (first[0] === 0x50 && first[1] === 0x4b) return 'this is a zip archive, probably a PyTorch pickle file; pickle is never read'
  if (first[0] === 0x80 && (first[1] as number) <= 5) return 'this is a Python pickle file; pickle is never read'
  if (first[0] === 0x47 && first[1] === 0x47 && first[2] === 0x55 && first[3] === 0x46) return 'this is a GGUF file'
  return null
}

function parseEntries(path: string, header: Record<string, unknown>, dataStart: number, dataBytes: number): TensorEntry[] {
  const entries: TensorEntry[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const at = (reason: string, facts?: { expected?: string; got?: string }): never =>
      refuse(path, 8, `tensor "${name.slice(0, 200)}": ${reason}`, facts)
    if (!isObject(value)) return at('its entry is not an object')
    const { dtype, shape, data_offsets: offsets } = value
    if (typeof dtype !== 'string' || !Object.hasOwn(DTYPE_BYTES, dtype))
      return at('unknown dtype', { expected: Object.keys(DTYPE_BYTES).join(', '), got: String(dtype).slice(0, 40) })
    if (!Array.isArray(shape) || shape.length > 16 || !shape.every(isCount)) return at('its shape is not a list of counts')
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) return at('data_offsets is not a pair of counts')
    const [begin, end] = offsets as [number, number]
    const count = elementCount(shape as number[])
    const bytes = count === undefined ? undefined : count * DTYPE_BYTES[dtype as Dtype]
    if (bytes === undefined || !Number.isSafeInteger(bytes)) return at('its shape is too large')
    if (end < begin || end > dataBytes)
      return at('its data lies outside the file', { expected: `at most ${dataBytes}`, got: `${begin}…${end}` })
    if (end - begin !== bytes) return at('its size does not match its shape', { expected: `${bytes} bytes`, got: `${end - begin} bytes` })
    entries.push({ name, dtype: dtype as Dtype, shape: shape as number[], begin: dataStart + begin, end: dataStart + end })
  }
  // Empty tensors may share an offset with their neighbour; sorting by end as well keeps them before it.
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let position = dataStart
  for (const entry of entries) {
    if (entry.begin < position) refuse(path, entry.begin, `tensor "${entry.name.slice(0, 200)}" overlaps the one before it`)
    if (entry.begin > position)
      refuse(path, position, `there is a hole of ${entry.begin - position} bytes before tensor "${entry.name.slice(0, 200)}"`)
    position = entry.end
  }
  if (position !== dataStart + dataBytes)
    refuse(path, position, `${dataStart + dataBytes - position} bytes after the last tensor belong to none`)
  return entries
}

/** An open safetensors file. Reading is lazy and per tensor; close it when done. */
export class SafetensorsFile {
  readonly path: string
  readonly metadata: ReadonlyMap<string, string>
  readonly tensors: ReadonlyMap<string, TensorEntry>
  readonly sizeBytes: number
  #fd: number

  private constructor(path: string, fd: number, sizeBytes: number, metadata: Map<string, string>, tensors: Map<string, TensorEntry>) {
    this.path = path
    this.#fd = fd
    this.sizeBytes = sizeBytes
    this.metadata = metadata
    this.tensors = tensors
  }

  /** Opens and checks a file. Throws `bad_file` with the byte and the reason. */
  static open(path: string): SafetensorsFile {
    const fd = fs.openSync(path, 'r')
    try {
      const stat = fs.fstatSync(fd)
      if (!stat.isFile()) refuse(path, 0, 'it is not a regular file')
      if (stat.size < 8) refuse(path, 0, 'it is shorter than its 8-byte length field', { got: `${stat.size} bytes` })
      const first = new Uint8Array(Math.min(9, stat.size))
      readExactly(fd, first, 0, path)
      const known = recognise(first)
      if (known) refuse(path, 0, known)
      const length = new DataView(first.buffer).getBigUint64(0, true)
      if (length > BigInt(MAX_HEADER_BYTES))
        refuse(path, 0, 'the header is too long', { expected: `at most ${MAX_HEADER_BYTES} bytes`, got: `${length}` })
      const headerBytes = Number(length)
      if (headerBytes < 2 || 8 + headerBytes > stat.size)
        refuse(path, 0, 'the header reaches past the end of the file', {
          expected: `at most ${stat.size - 8} bytes`,
          got: `${headerBytes}`,
        })
      const raw = new Uint8Array(headerBytes)
      readExactly(fd, raw, 8, path)
      let header: unknown
      try {
        header = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw))
      } catch (cause) {
        throw new EngineError('bad_file', 'not a valid safetensors file: the header is not JSON in UTF-8', {
          where: `${path}, byte 8`,
          cause,
        })
      }
      if (!isObject(header)) return refuse(path, 8, 'the header is not an object')
      const metadata = new Map<string, string>()
      if (header.__metadata__ !== undefined) {
        if (!isObject(header.__metadata__)) refuse(path, 8, '__metadata__ is not an object')
        for (const [key, value] of Object.entries(header.__metadata__ as Record<string, unknown>)) {
          if (typeof value !== 'string') refuse(path, 8, `__metadata__.${key.slice(0, 100)} is not a string`)
          metadata.set(key, value as string)
        }
      }
      const dataStart = 8 + headerBytes
      const entries = parseEntries(path, header, dataStart, stat.size - dataStart)
      return new SafetensorsFile(path, fd, stat.size, metadata, new Map(entries.map((e) => [e.name, e])))
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  }

  #entry(name: string): TensorEntry {
    const entry = this.tensors.get(name)
    if (!entry) throw new EngineError('missing', `the file has no tensor "${name}"`, { where: this.path })
    return entry
  }

  /** Raw little-endian bytes of a tensor. */
  readBytes(name: string): Uint8Array {
    const entry = this.#entry(name)
    const bytes = new Uint8Array(entry.end - entry.begin)
    readExactly(this.#fd, bytes, entry.begin, this.path)
    return bytes
  }

  /** Values of an F32, F16 or BF16 tensor as float32, row-major. F32 is read straight into the result. */
  readFloat32(name: string): Float32Array {
    const entry = this.#entry(name)
    if (entry.dtype !== 'F32' && entry.dtype !== 'F16' && entry.dtype !== 'BF16') {
      throw new EngineError('unsupported', `tensor "${name}" is not of a float type that can be trained`, {
        where: this.path,
        expected: 'F32, F16 or BF16',
        got: entry.dtype,
      })
    }
    const bytes = entry.end - entry.begin
    if (entry.dtype === 'F32') {
      const out = new Float32Array(bytes / 4)
      readExactly(this.#fd, new Uint8Array(out.buffer), entry.begin, this.path)
      return out
    }
    const out = new Float32Array(bytes / 2)
    const chunk = new Uint8Array(Math.min(bytes, 8 << 20))
    for (let at = 0; at < bytes; at += chunk.byteLength) {
      const part = chunk.subarray(0, Math.min(chunk.byteLength, bytes - at))
      readExactly(this.#fd, part, entry.begin + at, this.path)
      widen(part, entry.dtype, out, at / 2)
    }
    return out
  }

  /** Values of any numeric tensor as plain numbers (I64 beyond 2^53 loses precision). For test references and small tables. */
  readNumbers(name: string): Float64Array {
    const { dtype } = this.#entry(name)
    if (dtype === 'F32' || dtype === 'F16' || dtype === 'BF16') return Float64Array.from(this.readFloat32(name))
    const { buffer } = this.readBytes(name)
    switch (dtype) {
      case 'F64':
        return new Float64Array(buffer as ArrayBuffer)
      case 'I64':
        return Float64Array.from(new BigInt64Array(buffer as ArrayBuffer), Number)
      case 'U64':
        return Float64Array.from(new BigUint64Array(buffer as ArrayBuffer), Number)
      case 'I32':
        return Float64Array.from(new Int32Array(buffer as ArrayBuffer))
      case 'U32':
        return Float64Array.from(new Uint32Array(buffer as ArrayBuffer))
      case 'I16':
        return Float64Array.from(new Int16Array(buffer as ArrayBuffer))
      case 'U16':
        return Float64Array.from(new Uint16Array(buffer as ArrayBuffer))
      case 'I8':
        return Float64Array.from(new Int8Array(buffer as ArrayBuffer))
      default:
        return Float64Array.from(new Uint8Array(buffer as ArrayBuffer))
    }
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd)
    this.#fd = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

export type TensorToWrite = {
  name: string
  dtype: Dtype
  shape: readonly number[]
  /** Called once, when it is this tensor's turn, so that two tensors are in memory at most; the bytes must not change afterwards. */
  bytes(): Uint8Array | Promise<Uint8Array>
}

/** A float32 tensor to be written as `dtype`. */
export const floatTensor = (
  name: string,
  shape: readonly number[],
  dtype: FloatDtype,
  values: () => Float32Array | Promise<Float32Array>,
): TensorToWrite => ({ name, dtype, shape, bytes: async () => narrow(await values(), dtype) })

/**
 * Writes a file under a temporary name, syncs it and renames it. Layout and header are those of the reference writer (wide types first,
 * then by name; header padded with spaces to 8 bytes), so reading a file of its making and writing it again gives the same bytes (F-17).
 * `metadata` gets `format: 'pt'` unless it says otherwise: transformers before 4.47.1 refuse a file without it.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const sorted = [...tensors].sort(
    (a, b) => LAYOUT_ORDER.indexOf(a.dtype) - LAYOUT_ORDER.indexOf(b.dtype) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  )
  const header: [string, unknown][] = [['__metadata__', { format: 'pt', ...metadata }]]
  const sizes: number[] = []
  let position = 0
  for (const tensor of sorted) {
    const count = elementCount(tensor.shape)
    if (count === undefined) throw new EngineError('shape', `tensor "${tensor.name}" is too large to write`, { got: `[${tensor.shape}]` })
    const size = count * DTYPE_BYTES[tensor.dtype]
    header.push([tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [position, position + size] }])
    sizes.push(size)
    position += size
  }
  const names = new Set(header.map(([name]) => name))
  if (names.size !== header.length) throw new EngineError('bad_argument', 'two tensors have the same name', { where: path })
  // Written by hand, not through one object: a tensor named "1" would move to the front of an object's keys.
  const json = `{${header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
  const text = Buffer.from(json)
  const padded = Buffer.alloc(Math.ceil(text.byteLength / 8) * 8, 0x20)
  text.copy(padded)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.byteLength))

  const partial = `${path}.partial`
  const file = await fs.promises.open(partial, 'w')
  // One tensor is on its way to the disk while the next is fetched: neither waits, and the event loop goes on.
  let written: Promise<void> = Promise.resolve()
  const append = async (bytes: Uint8Array) => {
    await written
    written = writeAll(file, bytes)
    // Its failure is seen where it is waited for.
    written.catch(() => {})
  }
  try {
    await append(length)
    await append(padded)
    for (const [i, tensor] of sorted.entries()) {
      const bytes = await tensor.bytes()
      if (bytes.byteLength !== sizes[i]) {
        throw new EngineError('shape', `tensor "${tensor.name}" has the wrong number of bytes`, {
          where: path,
          expected: String(sizes[i]),
          got: String(bytes.byteLength),
        })
      }
      await append(bytes)
    }
    await written
    await file.sync()
  } catch (error) {
    await written.catch(() => {})
    await file.close()
    fs.rmSync(partial, { force: true })
    throw error
  }
  await file.close()
  fs.renameSync(partial, path)
}

async function writeAll(file: fs.promises.FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; )
    done += (await file.write(bytes, done, Math.min(bytes.byteLength - done, MAX_READ_BYTES))).bytesWritten
}
