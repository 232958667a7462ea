/** GGUF version 3 writer (F-24): key/value metadata, tensor table, data aligned to 32 bytes with zeros between. */
import * as fs from 'node:fs'
import { EngineError } from '../errors'
import { type GgufArray, type GgufEntry, type GgufScalar, type GgufValueType, VALUE_TYPES } from './gguf'
import { blockFormat, type GgufType } from './gguf-blocks'

export const GGUF_ALIGNMENT = 32
const MAX_NAME_BYTES = 64

export type GgufTensorToWrite = {
  readonly name: string
  readonly type: GgufType
  /** Row-major, [out, in]; the file lists it the other way round. */
  readonly shape: readonly number[]
  /** Whole blocks. Called once, when it is this tensor's turn, so that only one tensor is in memory. */
  bytes(): Uint8Array | Promise<Uint8Array>
}

export const ggufText = (value: string): GgufEntry => ({ type: 'STRING', value })
export const ggufCount = (value: number): GgufEntry => ({ type: 'UINT32', value })
export const ggufFloat = (value: number): GgufEntry => ({ type: 'FLOAT32', value })
export const ggufFlag = (value: boolean): GgufEntry => ({ type: 'BOOL', value })
export const ggufList = (of: GgufValueType, values: readonly GgufScalar[]): GgufEntry => ({ type: 'ARRAY', value: { of, values } })

class Bytes {
  #parts: Buffer[] = []
  length = 0
  push(part: Buffer): void {
    this.#parts.push(part)
    this.length += part.byteLength
  }
  u32(value: number): void {
    const b = Buffer.alloc(4)
    b.writeUInt32LE(value)
    this.push(b)
  }
  u64(value: number | bigint): void {
    const b = Buffer.alloc(8)
    b.writeBigUInt64LE(BigInt(value))
    this.push(b)
  }
  text(value: string): void {
    const b = Buffer.from(value)
    this.u64(b.byteLength)
    this.push(b)
  }
  value(type: GgufValueType, value: GgufEntry['value']): void {
    if (type === 'ARRAY') {
      const array = value as GgufArray
      this.u32(VALUE_TYPES.indexOf(array.of))
      this.u64(array.values.length)
      for (const element of array.values) this.value(array.of, element)
      return
    }
    if (type === 'STRING') {
      this.text(value as string)
      return
    }
    const b = Buffer.alloc(8)
    let size = 4
    if (type === 'BOOL') size = b.writeUInt8(value ? 1 : 0)
    else if (type === 'UINT8') size = b.writeUInt8(value as number)
    else if (type === 'INT8') size = b.writeInt8(value as number)
    else if (type === 'UINT16') size = b.writeUInt16LE(value as number)
    else if (type === 'INT16') size = b.writeInt16LE(value as number)
    else if (type === 'UINT32') size = b.writeUInt32LE(value as number)
    else if (type === 'INT32') size = b.writeInt32LE(value as number)
    else if (type === 'FLOAT32') size = b.writeFloatLE(value as number)
    else if (type === 'FLOAT64') size = b.writeDoubleLE(value as number)
    else if (type === 'UINT64') size = b.writeBigUInt64LE(BigInt(value as number | bigint))
    else size = b.writeBigInt64LE(BigInt(value as number | bigint))
    this.push(b.subarray(0, size))
  }
  joined(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

const aligned = (n: number) => Math.ceil(n / GGUF_ALIGNMENT) * GGUF_ALIGNMENT

/** Bytes of a tensor in the file. Throws `shape` for rows that are no whole blocks. */
export function ggufTensorBytes({ name, type, shape }: Pick<GgufTensorToWrite, 'name' | 'type' | 'shape'>): number {
  const { values, bytes } = blockFormat(type)
  const columns = shape.at(-1) ?? 0
  if (columns % values)
    throw new EngineError('shape', `the rows of "${name}" are no whole blocks of ${type}`, {
      expected: `a multiple of ${values}`,
      got: String(columns),
    })
  return (shape.reduce((a, b) => a * b, 1) / values) * bytes
}

/** Writes the file under a temporary name, syncs it and renames it, so that a file of that name is always whole. */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufTensorToWrite[],
): Promise<void> {
  const header = new Bytes()
  header.push(Buffer.from('GGUF'))
  header.u32(3)
  header.u64(tensors.length)
  header.u64(metadata.size)
  for (const [key, { type, value }] of metadata) {
    header.text(key)
    header.u32(VALUE_TYPES.indexOf(type))
    header.value(type, value)
  }
  const names = new Set<string>()
  const sizes: number[] = []
  let offset = 0
  for (const tensor of tensors) {
    const { name, type, shape } = tensor
    if (names.has(name) || Buffer.byteLength(name) > MAX_NAME_BYTES)
      throw new EngineError('bad_argument', names.has(name) ? 'two tensors have the same name' : 'the name of a tensor is too long', {
        where: name,
        expected: `at most ${MAX_NAME_BYTES} bytes`,
      })
    names.add(name)
    header.text(name)
    header.u32(shape.length)
    for (const size of [...shape].reverse()) header.u64(size)
    header.u32(blockFormat(type).id)
    header.u64(offset)
    const size = ggufTensorBytes(tensor)
    sizes.push(size)
    offset += aligned(size)
  }
  header.push(Buffer.alloc(aligned(header.length) - header.length))

  const partial = `${path}.partial`
  const fd = fs.openSync(partial, 'w')
  const write = (bytes: Uint8Array) => {
    for (let done = 0; done < bytes.byteLength; ) done += fs.writeSync(fd, bytes, done, Math.min(bytes.byteLength - done, 1 << 30))
  }
  try {
    write(header.joined())
    for (const [i, tensor] of tensors.entries()) {
      const bytes = await tensor.bytes()
      const size = sizes[i] as number
      if (bytes.byteLength !== size)
        throw new EngineError('shape', `tensor "${tensor.name}" has the wrong number of bytes`, {
          where: path,
          expected: String(size),
          got: String(bytes.byteLength),
        })
      write(bytes)
      write(Buffer.alloc(aligned(size) - size))
    }
    fs.fsyncSync(fd)
  } catch (error) {
    fs.closeSync(fd)
    fs.rmSync(partial, { force: true })
    throw error
  }
  fs.closeSync(fd)
  fs.renameSync(partial, path)
}
