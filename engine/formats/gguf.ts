/**
 * GGUF version 3 reader (F-24): key/value metadata, tensor table, aligned data. Untrusted input: every count and length is checked
 * against the bytes that are really there before anything is allocated, and refused with its offset (SEC-9, E-20).
 */
import * as fs from 'node:fs'
import { EngineError } from '../errors'
import { blockFormat, dequantize, type GgufType, ggufTypeById } from './gguf-blocks'
import { elementCount, readExactly } from './safetensors'

/** Metadata value types by their number in the file, with the least number of bytes one takes. */
export const VALUE_TYPES = [
  'UINT8',
  'INT8',
  'UINT16',
  'INT16',
  'UINT32',
  'INT32',
  'FLOAT32',
  'BOOL',
  'STRING',
  'ARRAY',
  'UINT64',
  'INT64',
  'FLOAT64',
] as const
const VALUE_BYTES: Record<GgufValueType, number> = {
  UINT8: 1,
  INT8: 1,
  UINT16: 2,
  INT16: 2,
  UINT32: 4,
  INT32: 4,
  FLOAT32: 4,
  BOOL: 1,
  STRING: 8,
  ARRAY: 12,
  UINT64: 8,
  INT64: 8,
  FLOAT64: 8,
}
export type GgufValueType = (typeof VALUE_TYPES)[number]

export type GgufScalar = number | bigint | boolean | string
export type GgufValue = GgufScalar | GgufArray
export type GgufArray = { readonly of: GgufValueType; readonly values: readonly GgufValue[] }
export type GgufEntry = { readonly type: GgufValueType; readonly value: GgufValue }

export type GgufTensor = {
  readonly name: string
  readonly type: GgufType
  /** As the file lists it: fastest-varying first. */
  readonly dims: readonly number[]
  /** Row-major, the usual [out, in]. */
  readonly shape: readonly number[]
  /** Relative to the start of the data. */
  readonly offset: number
  readonly sizeBytes: number
}

const MAX_TENSORS = 1 << 20
const MAX_KEYS = 1 << 16
const MAX_NAME_BYTES = 64
const MAX_KEY_BYTES = 65_535
const MAX_DIMS = 4
const MAX_ARRAY_DEPTH = 4
/** Vocabulary and merges of the largest known models take about 20 MB. */
const MAX_HEADER_BYTES = 512 * 1024 * 1024

/** Reads forward through the header in pieces, so that a false length never allocates more than is there. */
class HeaderReader {
  readonly #fd: number
  readonly #path: string
  readonly #size: number
  #window = new Uint8Array(0)
  #view = new DataView(this.#window.buffer)
  #start = 0
  position = 0

  constructor(fd: number, path: string, size: number) {
    this.#fd = fd
    this.#path = path
    this.#size = size
  }

  refuse(reason: string, facts: { expected?: string; got?: string; fix?: string; at?: number } = {}): never {
    const { at, ...rest } = facts
    throw new EngineError('bad_file', `not a valid GGUF file: ${reason}`, { where: `${this.#path}, byte ${at ?? this.position}`, ...rest })
  }

  get remaining(): number {
    return this.#size - this.position
  }

  /** Makes `count` bytes available at `position` and returns their index in the window. */
  #need(count: number): number {
    if (count > this.remaining) this.refuse('it ends inside its header', { expected: `${count} more bytes`, got: `${this.remaining}` })
    if (this.position + count > MAX_HEADER_BYTES) this.refuse('its header is too long', { expected: `at most ${MAX_HEADER_BYTES} bytes` })
    const index = this.position - this.#start
    if (index + count <= this.#window.byteLength) return index
    this.#window = new Uint8Array(Math.min(Math.max(count, 1 << 20), this.remaining))
    this.#view = new DataView(this.#window.buffer)
    this.#start = this.position
    readExactly(this.#fd, this.#window, this.position, this.#path)
    return 0
  }

  u32(): number {
    const at = this.#need(4)
    this.position += 4
    return this.#view.getUint32(at, true)
  }

  /** A count or offset that must be a safe integer at most `max`. */
  count(what: string, max: number): number {
    const at = this.#need(8)
    const value = this.#view.getBigUint64(at, true)
    if (value > BigInt(max)) this.refuse(`${what} is too large`, { expected: `at most ${max}`, got: String(value) })
    this.position += 8
    return Number(value)
  }

  string(what: string, maxBytes: number): string {
    const length = this.count(`the length of ${what}`, Math.min(maxBytes, this.remaining - 8))
    const at = this.#need(length)
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(this.#window.subarray(at, at + length))
      this.position += length
      return text
    } catch {
      return this.refuse(`${what} is not UTF-8`)
    }
  }

  valueType(what: string): GgufValueType {
    const at = this.position
    const id = this.u32()
    return VALUE_TYPES[id] ?? this.refuse(`${what} has an unknown type`, { at, expected: '0…12', got: String(id) })
  }

  scalar(type: Exclude<GgufValueType, 'ARRAY'>, what: string): GgufScalar {
    if (type === 'STRING') return this.string(what, MAX_HEADER_BYTES)
    const at = this.#need(VALUE_BYTES[type])
    const view = this.#view
    let value: GgufScalar
    if (type === 'UINT8') value = view.getUint8(at)
    else if (type === 'INT8') value = view.getInt8(at)
    else if (type === 'UINT16') value = view.getUint16(at, true)
    else if (type === 'INT16') value = view.getInt16(at, true)
    else if (type === 'UINT32') value = view.getUint32(at, true)
    else if (type === 'INT32') value = view.getInt32(at, true)
    else if (type === 'FLOAT32') value = view.getFloat32(at, true)
    else if (type === 'FLOAT64') value = view.getFloat64(at, true)
    else if (type === 'BOOL') {
      const byte = view.getUint8(at)
      if (byte > 1) this.refuse(`${what} is not a boolean`, { expected: '0 or 1', got: String(byte) })
      value = byte === 1
    } else {
      const big = type === 'UINT64' ? view.getBigUint64(at, true) : view.getBigInt64(at, true)
      const small = Number(big)
      value = Number.isSafeInteger(small) ? small : big
    }
    this.position += VALUE_BYTES[type]
    return value
  }

  value(type: GgufValueType, what: string, depth = 0): GgufValue {
    if (type !== 'ARRAY') return this.scalar(type, what)
    if (depth >= MAX_ARRAY_DEPTH) this.refuse(`${what} is nested too deeply`)
    const of = this.valueType(`an element of ${what}`)
    const length = this.count(`the length of ${what}`, Math.floor(this.remaining / VALUE_BYTES[of]))
    const values: GgufValue[] = []
    for (let i = 0; i < length; i++) values.push(this.value(of, what, depth + 1))
    return { of, values }
  }
}

/** An open GGUF file. Reading is lazy and per tensor; close it when done. */
export class GgufFile {
  readonly path: string
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufEntry>
  readonly tensors: ReadonlyMap<string, GgufTensor>
  readonly alignment: number
  /** Position of the first tensor's data. */
  readonly dataStart: number
  readonly sizeBytes: number
  #fd: number

  private constructor(parts: {
    path: string
    version: number
    metadata: Map<string, GgufEntry>
    tensors: Map<string, GgufTensor>
    alignment: number
    dataStart: number
    sizeBytes: number
    fd: number
  }) {
    this.path = parts.path
    this.version = parts.version
    this.metadata = parts.metadata
    this.tensors = parts.tensors
    this.alignment = parts.alignment
    this.dataStart = parts.dataStart
    this.sizeBytes = parts.sizeBytes
    this.#fd = parts.fd
  }

  /** Opens and checks a file; `bad_file` names the byte and the reason, `unsupported` a tensor type that is not read. */
  static open(path: string): GgufFile {
    const fd = fs.openSync(path, 'r')
    try {
      const stat = fs.fstatSync(fd)
      const reader = new HeaderReader(fd, path, stat.isFile() ? stat.size : 0)
      return new GgufFile({ path, fd, sizeBytes: stat.size, ...parseHeader(reader, path) })
    } catch (error) {
      fs.closeSync(fd)
      throw error
    }
  }

  #tensor(name: string): GgufTensor {
    const tensor = this.tensors.get(name)
    if (!tensor) throw new EngineError('missing', `the file has no tensor "${name}"`, { where: this.path })
    return tensor
  }

  /** Block bytes of a tensor as stored. */
  readBytes(name: string): Uint8Array {
    const tensor = this.#tensor(name)
    const bytes = new Uint8Array(tensor.sizeBytes)
    readExactly(this.#fd, bytes, this.dataStart + tensor.offset, this.path)
    return bytes
  }

  /** Dequantised values, row-major, in the file's own row order (q and k of llama are permuted: see gguf-model.ts). */
  readFloat32(name: string): Float32Array {
    const tensor = this.#tensor(name)
    const { bytes: blockBytes, values: blockValues } = blockFormat(tensor.type)
    const out = new Float32Array(elementCount(tensor.shape) as number)
    const chunk = new Uint8Array(Math.min(tensor.sizeBytes, Math.floor((8 << 20) / blockBytes) * blockBytes))
    for (let at = 0; at < tensor.sizeBytes; at += chunk.byteLength) {
      const part = chunk.subarray(0, Math.min(chunk.byteLength, tensor.sizeBytes - at))
      readExactly(this.#fd, part, this.dataStart + tensor.offset + at, this.path)
      dequantize(tensor.type, part, out, (at / blockBytes) * blockValues)
    }
    return out
  }

  close(): void {
    if (this.#fd >= 0) fs.closeSync(this.#fd)
    this.#fd = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

function parseHeader(reader: HeaderReader, path: string) {
  if (reader.remaining < 24) reader.refuse('it is shorter than its fixed header')
  const magic = reader.u32()
  if (magic !== 0x46554747) reader.refuse('it does not begin with "GGUF"', { at: 0, got: `0x${magic.toString(16).padStart(8, '0')}` })
  const version = reader.u32()
  if (version !== 3) reader.refuse('only version 3, little endian, is read', { at: 4, expected: '3', got: String(version) })
  const tensorCount = reader.count('the number of tensors', Math.min(MAX_TENSORS, Math.floor(reader.remaining / 24)))
  const keyCount = reader.count('the number of metadata keys', Math.min(MAX_KEYS, Math.floor(reader.remaining / 12)))

  const metadata = new Map<string, GgufEntry>()
  for (let i = 0; i < keyCount; i++) {
    const key = reader.string('a metadata key', MAX_KEY_BYTES)
    if (metadata.has(key)) reader.refuse(`the metadata key "${key.slice(0, 100)}" occurs twice`)
    const type = reader.valueType(`the value of "${key.slice(0, 100)}"`)
    metadata.set(key, { type, value: reader.value(type, `the value of "${key.slice(0, 100)}"`) })
  }
  const alignment = metadata.get('general.alignment')?.value ?? 32
  if (typeof alignment !== 'number' || alignment < 8 || alignment % 8 || alignment > 1 << 20)
    reader.refuse('general.alignment is not usable', { expected: 'a multiple of 8', got: String(alignment) })

  const list: GgufTensor[] = []
  const names = new Set<string>()
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.string('a tensor name', MAX_NAME_BYTES)
    if (names.has(name)) reader.refuse(`the tensor "${name}" occurs twice`)
    names.add(name)
    const dimCount = reader.u32()
    if (dimCount < 1 || dimCount > MAX_DIMS)
      reader.refuse(`tensor "${name}" has an impossible number of dimensions`, {
        at: reader.position - 4,
        expected: `1…${MAX_DIMS}`,
        got: String(dimCount),
      })
    const dims: number[] = []
    for (let d = 0; d < dimCount; d++) dims.push(reader.count(`a dimension of tensor "${name}"`, Number.MAX_SAFE_INTEGER))
    const typeId = reader.u32()
    const type = ggufTypeById(typeId)
    if (!type) {
      throw new EngineError('unsupported', `tensor "${name}" has a type that Thaw does not read`, {
        where: `${path}, byte ${reader.position - 4}`,
        got: `ggml type ${typeId}`,
        fix: 'use a file of type F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1 or a K quantisation',
      })
    }
    const { values, bytes } = blockFormat(type)
    const count = elementCount(dims)
    if (count === undefined || (dims[0] as number) % values) {
      reader.refuse(`the shape of tensor "${name}" is not possible for ${type}`, {
        expected: `rows of a multiple of ${values}`,
        got: `[${dims}]`,
      })
    }
    const sizeBytes = ((count as number) / values) * bytes
    const offset = reader.count(`the offset of tensor "${name}"`, Number.MAX_SAFE_INTEGER)
    if (offset % alignment)
      reader.refuse(`the offset of tensor "${name}" is not aligned`, {
        at: reader.position - 8,
        expected: `a multiple of ${alignment}`,
        got: String(offset),
      })
    list.push({ name, type, dims, shape: [...dims].reverse(), offset, sizeBytes })
  }

  const align = (n: number) => Math.ceil(n / alignment) * alignment
  const dataStart = align(reader.position)
  const dataBytes = reader.position + reader.remaining - dataStart
  let position = 0
  for (const tensor of [...list].sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes)) {
    const at = dataStart + tensor.offset
    if (tensor.offset < position) reader.refuse(`tensor "${tensor.name}" overlaps the one before it`, { at })
    if (tensor.offset > align(position)) reader.refuse(`there is a hole before tensor "${tensor.name}"`, { at: dataStart + position })
    if (tensor.offset + tensor.sizeBytes > dataBytes)
      reader.refuse(`the data of tensor "${tensor.name}" reaches past the end of the file`, {
        at,
        expected: `${tensor.sizeBytes} bytes`,
        got: `${Math.max(0, dataBytes - tensor.offset)}`,
        fix: 'download the file again',
      })
    position = tensor.offset + tensor.sizeBytes
  }
  if (dataBytes > align(position))
    reader.refuse(`${dataBytes - position} bytes after the last tensor belong to none`, { at: dataStart + position })
  return { version, metadata, tensors: new Map(list.map((t) => [t.name, t])), alignment, dataStart }
}
