/**
 * Conversions between the number formats of model files and float32. All of them are exact, or round to nearest even (F-12).
 * Little endian is assumed throughout: every platform that TensorFlow or Node supports here is.
 */

export const FLOAT_DTYPES = ['F32', 'F16', 'BF16'] as const
export type FloatDtype = (typeof FLOAT_DTYPES)[number]

const scratchFloat = new Float32Array(1)
const scratchBits = new Uint32Array(scratchFloat.buffer)

/** Value of an IEEE half by its bits. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

let table: Float32Array | undefined
/** float32 of every half (65,536 values, 256 KB): a look-up is several times faster than the arithmetic. */
export function halfTable(): Float32Array {
  if (!table) {
    table = new Float32Array(65536)
    for (let i = 0; i < 65536; i++) table[i] = halfToFloat(i)
  }
  return table
}

/** Bits of the bfloat16 nearest to `value`, ties to even; NaN stays a quiet NaN. */
export function floatToBfloat(value: number): number {
  scratchFloat[0] = value
  const bits = scratchBits[0] as number
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}

/** Bits of the half nearest to `value`, ties to even; overflow gives infinity. */
export function floatToHalf(value: number): number {
  scratchFloat[0] = value
  const bits = scratchBits[0] as number
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x477ff000) return sign | 0x7c00
  if (magnitude < 0x38800000) {
    // Below the smallest normal half: units of 2^-24. The product is exact in float64, so one rounding happens.
    const units = Math.abs(scratchFloat[0] as number) * 2 ** 24
    const floor = Math.floor(units)
    const rest = units - floor
    return sign | (rest > 0.5 || (rest === 0.5 && floor & 1) ? floor + 1 : floor)
  }
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

/** Little-endian float data of `dtype` → float32, written to `out` from `at`. `bytes` holds whole elements. */
export function widen(bytes: Uint8Array, dtype: FloatDtype, out: Float32Array, at = 0): void {
  if (dtype === 'F32') {
    new Uint8Array(out.buffer, out.byteOffset + at * 4, bytes.byteLength).set(bytes)
    return
  }
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : bytes.slice()
  const halves = new Uint16Array(aligned.buffer, aligned.byteOffset, bytes.byteLength >> 1)
  if (dtype === 'F16') {
    // A NaN's payload passes through a float64 in the table look-up on some engines; half NaNs carry none that matter.
    const lookup = halfTable()
    for (let i = 0; i < halves.length; i++) out[at + i] = lookup[halves[i] as number] as number
    return
  }
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length)
  for (let i = 0; i < halves.length; i++) bits[at + i] = (halves[i] as number) << 16
}

/** float32 → little-endian bytes of `dtype`. For F32 the result is a view of `values`, not a copy. */
export function narrow(values: Float32Array, dtype: FloatDtype): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  const out = new Uint16Array(values.length)
  if (dtype === 'BF16') {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
    for (let i = 0; i < out.length; i++) {
      const b = bits[i] as number
      out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
    }
  } else {
    for (let i = 0; i < out.length; i++) out[i] = floatToHalf(values[i] as number)
  }
  return new Uint8Array(out.buffer)
}

/** float32 after a round trip through `dtype`: what a reader of the written file gets. */
export function roundTo(values: Float32Array, dtype: FloatDtype): Float32Array {
  if (dtype === 'F32') return values
  const out = new Float32Array(values.length)
  widen(narrow(values, dtype), dtype, out)
  return out
}
