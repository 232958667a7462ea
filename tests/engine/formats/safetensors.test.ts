import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { floatToBfloat, floatToHalf, halfToFloat, narrow, widen } from '../../../engine/formats/dtypes'
import { floatTensor, SafetensorsFile, writeSafetensors } from '../../../engine/formats/safetensors'

let dir: string
beforeAll(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-st-'))
})
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

const file = (name: string, bytes: Uint8Array) => {
  const p = path.join(dir, name)
  fs.writeFileSync(p, bytes)
  return p
}
/** A file from a header (object or text) and data, with an optional false header length. */
const made = (name: string, header: unknown, data = new Uint8Array(0), length?: bigint) => {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(length ?? BigInt(text.byteLength))
  return file(name, Buffer.concat([size, text, data]))
}
const tensor = (begin: number, end: number, shape: number[], dtype = 'F32') => ({ dtype, shape, data_offsets: [begin, end] })

describe('SEC-9, E-20: hostile safetensors are refused with the offset and the reason', () => {
  const cases: [string, () => string, RegExp][] = [
    ['empty', () => file('a', new Uint8Array(0)), /shorter than its 8-byte/],
    ['header length 2^63', () => made('b', {}, undefined, 1n << 63n), /header is too long/],
    ['header length 2^64-1', () => made('b2', {}, undefined, (1n << 64n) - 1n), /header is too long/],
    ['header past the end', () => made('c', {}, undefined, 5000n), /past the end/],
    ['not JSON', () => made('d', '{"a":'), /not JSON/],
    ['not UTF-8', () => file('d2', Buffer.concat([Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]), Buffer.from([0xff, 0xfe])])), /not JSON in UTF-8/],
    ['deep JSON', () => made('d3', '['.repeat(2_000_000)), /not JSON|not an object/],
    ['a list', () => made('e', '[]'), /not an object/],
    ['truncated data', () => made('f', { a: tensor(0, 16, [4]) }, new Uint8Array(8)), /outside the file/],
    ['overlap', () => made('g', { a: tensor(0, 16, [4]), b: tensor(8, 24, [4]) }, new Uint8Array(24)), /overlaps/],
    ['hole', () => made('h', { a: tensor(0, 16, [4]), b: tensor(20, 36, [4]) }, new Uint8Array(36)), /hole of 4 bytes/],
    ['trailing bytes', () => made('i', { a: tensor(0, 16, [4]) }, new Uint8Array(20)), /belong to none/],
    ['unknown dtype', () => made('j', { a: tensor(0, 16, [4], 'F128') }, new Uint8Array(16)), /unknown dtype/],
    ['dtype from the prototype', () => made('j2', { a: tensor(0, 16, [4], 'constructor') }, new Uint8Array(16)), /unknown dtype/],
    ['wrong size', () => made('k', { a: tensor(0, 16, [5]) }, new Uint8Array(16)), /does not match its shape/],
    ['huge shape', () => made('l', { a: tensor(0, 16, [2 ** 40, 2 ** 40]) }, new Uint8Array(16)), /too large/],
    [
      'negative offset',
      () => made('m', { a: { dtype: 'F32', shape: [4], data_offsets: [-16, 0] } }, new Uint8Array(16)),
      /not a pair of counts/,
    ],
    ['fractional shape', () => made('n', { a: tensor(0, 6, [1.5]) }, new Uint8Array(6)), /not a list of counts/],
    ['metadata that is not text', () => made('o', { __metadata__: { a: 1 } }), /not a string/],
    ['a pickle renamed', () => file('p.safetensors', Buffer.from([0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46])), /pickle is never read/],
    ['a torch zip renamed', () => file('q.safetensors', Buffer.from('PK\x03\x04\0\0\0\0\0\0\0\0')), /pickle is never read/],
  ]
  it.each(cases)('%s', (_, make, reason) => {
    const p = make()
    expect(() => SafetensorsFile.open(p)).toThrow(reason)
    expect(() => SafetensorsFile.open(p)).toThrow(/byte \d+/)
  })

  it('fuzz: any mutation of a good file is read or refused, never crashes otherwise', async () => {
    const good = path.join(dir, 'good.safetensors')
    await writeSafetensors(good, [
      floatTensor('a', [2, 3], 'F32', () => new Float32Array(6).fill(1)),
      floatTensor('b', [4], 'BF16', () => new Float32Array(4).fill(2)),
    ])
    const bytes = fs.readFileSync(good)
    const p = path.join(dir, 'fuzz')
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(bytes.length),
        (edits, cut) => {
          const copy = Buffer.from(bytes)
          for (const [at, value] of edits) copy[at] = value
          fs.writeFileSync(p, cut % 3 ? copy : copy.subarray(0, cut))
          try {
            const f = SafetensorsFile.open(p)
            for (const name of f.tensors.keys()) f.readBytes(name)
            f.close()
          } catch (error) {
            expect((error as { code?: string }).code).toBe('bad_file')
          }
        },
      ),
      { seed: 7, numRuns: 1500 },
    )
  })
})

describe('F-11, F-12: reading and writing', () => {
  it('round-trips F32, F16 and BF16 with metadata, and sets format', async () => {
    const p = path.join(dir, 'rw.safetensors')
    const values = Float32Array.of(0, -0, 1, -1.5, 3.1416016, 1e-8, 65504, -(2 ** -24))
    await writeSafetensors(
      p,
      (['F32', 'F16', 'BF16'] as const).map((d) => floatTensor(d, [2, 4], d, () => values)),
      { 'thaw.seed': '1' },
    )
    using f = SafetensorsFile.open(p)
    expect(f.metadata.get('format')).toBe('pt')
    expect(f.metadata.get('thaw.seed')).toBe('1')
    expect(f.readFloat32('F32')).toEqual(values)
    expect([...f.readFloat32('F16')]).toEqual([0, -0, 1, -1.5, 3.140625, 0, 65504, -(2 ** -24)])
    expect(f.readFloat32('BF16')[4]).toBe(3.140625)
    expect(Object.is(f.readFloat32('BF16')[1], -0)).toBe(true)
    expect(f.tensors.get('F16')?.shape).toEqual([2, 4])
  })

  it('a header whose length begins like a pickle or a zip file is a header all the same', () => {
    for (const length of [0x180, 0x580, 0x4b50]) {
      const path = made(`length-${length}`, JSON.stringify({ a: tensor(0, 4, [1]) }).padEnd(length), new Uint8Array(4))
      const opened = SafetensorsFile.open(path)
      expect([...opened.readFloat32('a')]).toEqual([0])
      opened.close()
    }
  })

  it('keeps tensors whose names look like numbers or __proto__', async () => {
    const p = path.join(dir, 'names.safetensors')
    await writeSafetensors(
      p,
      ['b', '1', '__proto__'].map((n, i) => floatTensor(n, [1], 'F32', () => Float32Array.of(i))),
    )
    using f = SafetensorsFile.open(p)
    expect([...f.tensors.keys()].sort()).toEqual(['1', '__proto__', 'b'])
    expect(f.readFloat32('__proto__')[0]).toBe(2)
  })

  it('F-12: every half survives, and rounding is to nearest even', () => {
    for (let bits = 0; bits < 65536; bits++) {
      const value = halfToFloat(bits)
      if (Number.isNaN(value)) expect(Number.isNaN(halfToFloat(floatToHalf(value)))).toBe(true)
      else if (floatToHalf(value) !== bits) throw new Error(`half ${bits}`)
    }
    expect(floatToHalf(1 + 2 ** -11)).toBe(0x3c00)
    expect(floatToHalf(1 + 3 * 2 ** -11)).toBe(0x3c02)
    expect(floatToHalf(65519)).toBe(0x7bff)
    expect(floatToHalf(65520)).toBe(0x7c00)
    expect(floatToBfloat(1 + 2 ** -8)).toBe(0x3f80)
    expect(floatToBfloat(1 + 3 * 2 ** -8)).toBe(0x3f82)
    expect(floatToBfloat(3.4e38)).toBe(0x7f80)
  })

  it('F-12: bfloat16 rounding equals the nearest of its two neighbours', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true, noDefaultInfinity: true }), (value) => {
        const out = new Float32Array(1)
        widen(narrow(Float32Array.of(value), 'BF16'), 'BF16', out)
        const bits = new Uint32Array(Float32Array.of(value).buffer)[0] as number
        const near = (b: number) => new Float32Array(Uint32Array.of(b << 16).buffer)[0] as number
        const best = Math.min(
          ...[bits >>> 16, ((bits >>> 16) + 1) & 0xffff].map((b) => Math.abs(near(b) - value)).filter((d) => !Number.isNaN(d)),
        )
        return !Number.isFinite(out[0] as number) || Math.abs((out[0] as number) - value) === best
      }),
      { seed: 3, numRuns: 2000 },
    )
  })
})
