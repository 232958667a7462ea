/**
 * The block formats of GGUF tensors → float32, bit for bit as gguf-py computes them (E-9). Each product and sum below fits float64
 * exactly, so the one rounding happens when a value is stored into the Float32Array, as in float32 arithmetic with exact products.
 */
import { EngineError } from '../errors'
import { halfTable, widen } from './dtypes'

type BlockFormat = {
  readonly id: number
  /** Values and bytes of one block. */
  readonly values: number
  readonly bytes: number
  /** Whole blocks in `b` from byte 0 → `out` from `at`. */
  readonly decode: (b: Uint8Array, out: Float32Array, at: number) => void
}

const half = (b: Uint8Array, i: number): number => halfTable()[(b[i] as number) | ((b[i + 1] as number) << 8)] as number

/** Calls `block` for each block: its first byte and the index of its first value. */
function eachBlock(b: Uint8Array, blockBytes: number, blockValues: number, at: number, block: (byte: number, value: number) => void): void {
  for (let byte = 0, value = at; byte < b.byteLength; byte += blockBytes, value += blockValues) block(byte, value)
}

/** 4-bit blocks of 32: low nibbles are values 0…15, high nibbles 16…31. */
function decodeNibbles(
  b: Uint8Array,
  out: Float32Array,
  at: number,
  bytes: number,
  header: number,
  offset: number,
  hasMinimum: boolean,
): void {
  eachBlock(b, bytes, 32, at, (p, v) => {
    const d = half(b, p)
    const m = hasMinimum ? half(b, p + 2) : 0
    for (let j = 0; j < 16; j++) {
      const q = b[p + header + j] as number
      // Without a minimum nothing may be added: 0 + -0 would lose the sign of a zero.
      out[v + j] = hasMinimum ? (q & 15) * d + m : ((q & 15) - offset) * d
      out[v + 16 + j] = hasMinimum ? (q >> 4) * d + m : ((q >> 4) - offset) * d
    }
  })
}

/** 5-bit blocks of 32: nibbles as above, fifth bits in a 32-bit word. */
function decodeFiveBits(b: Uint8Array, out: Float32Array, at: number, bytes: number, hasMinimum: boolean): void {
  const header = hasMinimum ? 4 : 2
  eachBlock(b, bytes, 32, at, (p, v) => {
    const d = half(b, p)
    const m = hasMinimum ? half(b, p + 2) : 0
    for (let j = 0; j < 32; j++) {
      const q = b[p + header + 4 + (j & 15)] as number
      const high = ((b[p + header + (j >> 3)] as number) >> (j & 7)) & 1
      const value = (j < 16 ? q & 15 : q >> 4) | (high << 4)
      out[v + j] = hasMinimum ? value * d + m : (value - 16) * d
    }
  })
}

/** Six-bit scale and minimum of group `j` (0…7), packed into 12 bytes from `p`. */
const groupScale = (b: Uint8Array, p: number, j: number): number =>
  j < 4 ? (b[p + j] as number) & 63 : ((b[p + j + 4] as number) & 15) | (((b[p + j - 4] as number) >> 6) << 4)
const groupMinimum = (b: Uint8Array, p: number, j: number): number =>
  j < 4 ? (b[p + j + 4] as number) & 63 : ((b[p + j + 4] as number) >> 4) | (((b[p + j] as number) >> 6) << 4)

/** The non-linear 4-bit code book of IQ4_NL and IQ4_XS. */
const CODE_BOOK = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)

export const BLOCK_FORMATS = {
  F32: { id: 0, values: 1, bytes: 4, decode: (b, out, at) => widen(b, 'F32', out, at) },
  F16: { id: 1, values: 1, bytes: 2, decode: (b, out, at) => widen(b, 'F16', out, at) },
  BF16: { id: 30, values: 1, bytes: 2, decode: (b, out, at) => widen(b, 'BF16', out, at) },
  Q8_0: {
    id: 8,
    values: 32,
    bytes: 34,
    decode: (b, out, at) =>
      eachBlock(b, 34, 32, at, (p, v) => {
        const d = half(b, p)
        for (let j = 0; j < 32; j++) out[v + j] = (((b[p + 2 + j] as number) << 24) >> 24) * d
      }),
  },
  Q4_0: { id: 2, values: 32, bytes: 18, decode: (b, out, at) => decodeNibbles(b, out, at, 18, 2, 8, false) },
  Q4_1: { id: 3, values: 32, bytes: 20, decode: (b, out, at) => decodeNibbles(b, out, at, 20, 4, 0, true) },
  Q5_0: { id: 6, values: 32, bytes: 22, decode: (b, out, at) => decodeFiveBits(b, out, at, 22, false) },
  Q5_1: { id: 7, values: 32, bytes: 24, decode: (b, out, at) => decodeFiveBits(b, out, at, 24, true) },
  Q2_K: {
    id: 10,
    values: 256,
    bytes: 84,
    decode: (b, out, at) =>
      eachBlock(b, 84, 256, at, (p, v) => {
        const d = half(b, p + 80)
        const m = half(b, p + 82)
        for (let j = 0; j < 256; j++) {
          const scale = b[p + (j >> 4)] as number
          const q = ((b[p + 16 + (j >> 7) * 32 + (j & 31)] as number) >> (((j >> 5) & 3) * 2)) & 3
          out[v + j] = d * (scale & 15) * q - m * (scale >> 4)
        }
      }),
  },
  Q3_K: {
    id: 11,
    values: 256,
    bytes: 110,
    decode: (b, out, at) =>
      eachBlock(b, 110, 256, at, (p, v) => {
        const d = half(b, p + 108)
        for (let j = 0; j < 256; j++) {
          const g = j >> 4
          const low = ((b[p + 96 + (g & 7)] as number) >> (g < 8 ? 0 : 4)) & 15
          const high = ((b[p + 104 + (g & 3)] as number) >> ((g >> 2) * 2)) & 3
          const q = ((b[p + 32 + (j >> 7) * 32 + (j & 31)] as number) >> (((j >> 5) & 3) * 2)) & 3
          const mask = ((b[p + (j & 31)] as number) >> (j >> 5)) & 1
          out[v + j] = d * ((low | (high << 4)) - 32) * (q - (mask ? 0 : 4))
        }
      }),
  },
  Q4_K: {
    id: 12,
    values: 256,
    bytes: 144,
    decode: (b, out, at) =>
      eachBlock(b, 144, 256, at, (p, v) => {
        const d = half(b, p)
        const m = half(b, p + 2)
        for (let g = 0; g < 8; g++) {
          const scale = d * groupScale(b, p + 4, g)
          const minimum = m * groupMinimum(b, p + 4, g)
          for (let j = 0; j < 32; j++) {
            const q = ((b[p + 16 + (g >> 1) * 32 + j] as number) >> (g & 1 ? 4 : 0)) & 15
            out[v + g * 32 + j] = scale * q - minimum
          }
        }
      }),
  },
  Q5_K: {
    id: 13,
    values: 256,
    bytes: 176,
    decode: (b, out, at) =>
      eachBlock(b, 176, 256, at, (p, v) => {
        const d = half(b, p)
        const m = half(b, p + 2)
        for (let g = 0; g < 8; g++) {
          const scale = d * groupScale(b, p + 4, g)
          const minimum = m * groupMinimum(b, p + 4, g)
          for (let j = 0; j < 32; j++) {
            const q = ((b[p + 48 + (g >> 1) * 32 + j] as number) >> (g & 1 ? 4 : 0)) & 15
            const high = ((b[p + 16 + j] as number) >> g) & 1
            out[v + g * 32 + j] = scale * (q | (high << 4)) - minimum
          }
        }
      }),
  },
  Q6_K: {
    id: 14,
    values: 256,
    bytes: 210,
    decode: (b, out, at) =>
      eachBlock(b, 210, 256, at, (p, v) => {
        const d = half(b, p + 208)
        for (let j = 0; j < 256; j++) {
          const low = ((b[p + (j >> 7) * 64 + (j & 63)] as number) >> ((j >> 6) & 1 ? 4 : 0)) & 15
          const high = ((b[p + 128 + (j >> 7) * 32 + (j & 31)] as number) >> (((j >> 5) & 3) * 2)) & 3
          const scale = ((b[p + 192 + (j >> 4)] as number) << 24) >> 24
          out[v + j] = d * scale * ((low | (high << 4)) - 32)
        }
      }),
  },
  IQ4_NL: {
    id: 20,
    values: 32,
    bytes: 18,
    decode: (b, out, at) =>
      eachBlock(b, 18, 32, at, (p, v) => {
        const d = half(b, p)
        for (let j = 0; j < 16; j++) {
          const q = b[p + 2 + j] as number
          out[v + j] = d * (CODE_BOOK[q & 15] as number)
          out[v + 16 + j] = d * (CODE_BOOK[q >> 4] as number)
        }
      }),
  },
  IQ4_XS: {
    id: 23,
    values: 256,
    bytes: 136,
    decode: (b, out, at) =>
      eachBlock(b, 136, 256, at, (p, v) => {
        const d = half(b, p)
        const highScales = (b[p + 2] as number) | ((b[p + 3] as number) << 8)
        for (let g = 0; g < 8; g++) {
          const low = ((b[p + 4 + (g >> 1)] as number) >> (g & 1 ? 4 : 0)) & 15
          const scale = d * ((low | (((highScales >> (2 * g)) & 3) << 4)) - 32)
          for (let j = 0; j < 16; j++) {
            const q = b[p + 8 + g * 16 + j] as number
            out[v + g * 32 + j] = scale * (CODE_BOOK[q & 15] as number)
            out[v + g * 32 + 16 + j] = scale * (CODE_BOOK[q >> 4] as number)
          }
        }
      }),
  },
} as const satisfies Record<string, BlockFormat>

export type GgufType = keyof typeof BLOCK_FORMATS

const BY_ID = new Map<number, GgufType>(Object.entries(BLOCK_FORMATS).map(([name, format]) => [format.id, name as GgufType]))
/** Name of a tensor type by its number in the file; undefined when Thaw does not read it. */
export const ggufTypeById = (id: number): GgufType | undefined => BY_ID.get(id)
export const blockFormat = (type: GgufType): BlockFormat => BLOCK_FORMATS[type]

/** Dequantises whole blocks. */
export function dequantize(type: GgufType, bytes: Uint8Array, out: Float32Array, at = 0): void {
  const format: BlockFormat = BLOCK_FORMATS[type]
  if (bytes.byteLength % format.bytes) {
    throw new EngineError('bad_file', `${type} data does not consist of whole blocks`, {
      expected: `a multiple of ${format.bytes} bytes`,
      got: String(bytes.byteLength),
    })
  }
  format.decode(bytes, out, at)
}
