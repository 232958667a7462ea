import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GgufFile } from '../../../engine/formats/gguf'
import { dequantize, type GgufType } from '../../../engine/formats/gguf-blocks'
import { SafetensorsFile } from '../../../engine/formats/safetensors'

const reference = path.join(import.meta.dirname, '../../reference/gguf')
const tiny = path.join(reference, 'tiny-llama/tiny.gguf')
const json = (p: string) => JSON.parse(fs.readFileSync(path.join(reference, p), 'utf8'))
const bits = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)

describe('E-9: dequantised blocks equal the reference bit for bit', () => {
  const expected = json('blocks/expected.json') as Record<string, { block_values: number; sha256_of_f32: string }>
  it.each(Object.keys(expected))('%s', (type) => {
    using blocks = SafetensorsFile.open(path.join(reference, 'blocks/blocks.safetensors'))
    const raw = blocks.readBytes(`raw/${type}`)
    const values = blocks.readFloat32(`values/${type}`)
    const out = new Float32Array(values.length)
    dequantize(type as GgufType, raw, out)
    expect(bits(out).equals(bits(values))).toBe(true)
    expect(createHash('sha256').update(bits(out)).digest('hex')).toBe(expected[type]?.sha256_of_f32)
  })
})

describe('F-24: a whole file', () => {
  const expected = json('tiny-llama/expected.json')
  it('reads every metadata key and tensor entry', () => {
    using file = GgufFile.open(tiny)
    for (const [key, { type, value }] of Object.entries(expected.metadata) as [
      string,
      { type: string; value: { values?: unknown[]; first?: unknown[]; length: number } },
    ][]) {
      if (key.startsWith('GGUF.')) continue
      const got = file.metadata.get(key)
      expect(got?.type, key).toBe(type)
      if (type !== 'ARRAY') expect(got?.value, key).toBe(value)
      else {
        const array = got?.value as { of: string; values: unknown[] }
        expect(array.values.length, key).toBe(value.length)
        expect(array.values.slice(0, (value.first ?? value.values ?? []).length), key).toEqual(value.first ?? value.values)
      }
    }
    expect(file.metadata.size).toBe(expected.metadata['GGUF.kv_count'].value)
    for (const t of expected.tensors) {
      const got = file.tensors.get(t.name)
      expect([got?.type, got?.dims, got?.shape, got?.sizeBytes]).toEqual([t.type, t.dims_in_file, t.row_major_shape, t.bytes])
      expect(file.dataStart + (got?.offset ?? 0)).toBe(t.data_offset)
    }
  })

  it('E-9: dequantises whole tensors exactly', () => {
    using file = GgufFile.open(tiny)
    using want = SafetensorsFile.open(path.join(reference, 'tiny-llama/expected.safetensors'))
    const names = [...want.tensors.keys()].filter((n) => n.startsWith('gguf_layout/'))
    expect(names.length).toBeGreaterThan(10)
    for (const name of names) expect(bits(file.readFloat32(name.slice(12))).equals(bits(want.readFloat32(name))), name).toBe(true)
  })
})

describe('SEC-9, E-20: hostile GGUF files are refused with the offset and the reason', () => {
  let dir: string
  beforeAll(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-gguf-'))
  })
  afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

  const u32 = (n: number) => {
    const b = Buffer.alloc(4)
    b.writeUInt32LE(n)
    return b
  }
  const u64 = (n: bigint | number) => {
    const b = Buffer.alloc(8)
    b.writeBigUInt64LE(BigInt(n))
    return b
  }
  const text = (s: string | Buffer) => Buffer.concat([u64(Buffer.from(s).byteLength), Buffer.from(s)])
  const head = (tensors: bigint | number, keys: bigint | number, version = 3, magic = 'GGUF') =>
    Buffer.concat([Buffer.from(magic), u32(version), u64(tensors), u64(keys)])
  const tensor = (name: string, dims: (number | bigint)[], type: number, offset: number | bigint) =>
    Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)])
  const padded = (header: Buffer, data: number) =>
    Buffer.concat([header, Buffer.alloc(Math.ceil(header.byteLength / 32) * 32 - header.byteLength + data)])

  const cases: [string, () => Buffer, RegExp][] = [
    ['empty', () => Buffer.alloc(0), /shorter than/],
    ['wrong magic', () => padded(head(0, 0, 3, 'GGML'), 0), /does not begin/],
    ['version 2', () => padded(head(0, 0, 2), 0), /only version 3/],
    ['2^63 tensors', () => padded(head(1n << 63n, 0), 64), /number of tensors is too large/],
    ['2^63 keys', () => padded(head(0, 1n << 63n), 64), /number of metadata keys is too large/],
    [
      'a string of 2^63 bytes',
      () => Buffer.concat([head(0, 1), u64(1n << 63n), Buffer.alloc(64)]),
      /length of a metadata key is too large/,
    ],
    [
      'an array of 2^60 strings',
      () => Buffer.concat([head(0, 1), text('k'), u32(9), u32(8), u64(1n << 60n), Buffer.alloc(64)]),
      /length of the value of "k" is too large/,
    ],
    [
      'arrays in arrays',
      () => Buffer.concat([head(0, 1), text('k'), ...Array.from({ length: 40 }, () => Buffer.concat([u32(9), u64(1)])), Buffer.alloc(64)]),
      /nested too deeply|unknown type|too large/,
    ],
    ['an unknown value type', () => Buffer.concat([head(0, 1), text('k'), u32(99), Buffer.alloc(64)]), /unknown type/],
    ['a boolean of 7', () => Buffer.concat([head(0, 1), text('k'), u32(7), Buffer.from([7]), Buffer.alloc(64)]), /not a boolean/],
    [
      'text that is not UTF-8',
      () => Buffer.concat([head(0, 1), text('k'), u32(8), text(Buffer.from([0xff, 0xfe])), Buffer.alloc(64)]),
      /not UTF-8/,
    ],
    [
      'a key twice',
      () => Buffer.concat([head(0, 2), text('k'), u32(0), Buffer.from([1]), text('k'), u32(0), Buffer.from([1]), Buffer.alloc(64)]),
      /occurs twice/,
    ],
    [
      'alignment 0',
      () => Buffer.concat([head(0, 1), text('general.alignment'), u32(4), u32(0), Buffer.alloc(64)]),
      /alignment is not usable/,
    ],
    [
      'nine dimensions',
      () => padded(Buffer.concat([head(1, 0), tensor('t', [1, 1, 1, 1, 1, 1, 1, 1, 1], 0, 0)]), 64),
      /impossible number of dimensions/,
    ],
    [
      'a dimension of 2^63',
      () => padded(Buffer.concat([head(1, 0), tensor('t', [1n << 63n], 0, 0)]), 64),
      /dimension of tensor "t" is too large/,
    ],
    ['a product beyond 2^53', () => padded(Buffer.concat([head(1, 0), tensor('t', [2 ** 40, 2 ** 40], 0, 0)]), 64), /not possible/],
    ['rows that are no whole blocks', () => padded(Buffer.concat([head(1, 0), tensor('t', [33], 8, 0)]), 64), /not possible for Q8_0/],
    ['an unknown tensor type', () => padded(Buffer.concat([head(1, 0), tensor('t', [32], 77, 0)]), 64), /does not read/],
    ['an unaligned offset', () => padded(Buffer.concat([head(1, 0), tensor('t', [8], 0, 4)]), 64), /not aligned/],
    ['data past the end', () => padded(Buffer.concat([head(1, 0), tensor('t', [1024], 0, 0)]), 64), /past the end/],
    ['an overlap', () => padded(Buffer.concat([head(2, 0), tensor('a', [16], 0, 0), tensor('b', [16], 0, 32)]), 96), /overlaps/],
    ['a hole', () => padded(Buffer.concat([head(2, 0), tensor('a', [8], 0, 0), tensor('b', [8], 0, 64)]), 96), /hole/],
    ['a tensor twice', () => padded(Buffer.concat([head(2, 0), tensor('a', [8], 0, 0), tensor('a', [8], 0, 32)]), 64), /occurs twice/],
    ['a long name', () => padded(Buffer.concat([head(1, 0), tensor('x'.repeat(65), [8], 0, 0)]), 64), /tensor name is too large/],
    ['trailing bytes', () => padded(Buffer.concat([head(1, 0), tensor('t', [8], 0, 0)]), 32 + 64), /belong to none/],
    ['cut in the header', () => fs.readFileSync(tiny).subarray(0, 3000), /ends inside its header|too large/],
    ['cut in the data', () => fs.readFileSync(tiny).subarray(0, 60_000), /past the end/],
  ]
  it.each(cases)('%s', (_, make, reason) => {
    const p = path.join(dir, 'case.gguf')
    fs.writeFileSync(p, make())
    expect(() => GgufFile.open(p)).toThrow(reason)
    expect(() => GgufFile.open(p)).toThrow(/byte \d+/)
  })

  it('fuzz: any mutation of a good header is read or refused, never crashes otherwise', () => {
    const bytes = fs.readFileSync(tiny)
    const p = path.join(dir, 'fuzz.gguf')
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9567), fc.nat(255)), { minLength: 1, maxLength: 4 }), (edits) => {
        const copy = Buffer.from(bytes)
        for (const [at, value] of edits) copy[at] = value
        fs.writeFileSync(p, copy)
        try {
          GgufFile.open(p).close()
        } catch (error) {
          expect(['bad_file', 'unsupported']).toContain((error as { code?: string }).code)
        }
      }),
      { seed: 11, numRuns: 400 },
    )
  })
})
