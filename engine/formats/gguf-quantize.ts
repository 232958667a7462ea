/**
 * float32 → the block formats of GGUF. Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 give the bytes of the reference quantiser; in the K formats the
 * scales of a block are a choice, made here by weighted least squares over a few candidates.
 */
import { EngineError } from '../errors'
import { floatToHalf, halfTable, narrow } from './dtypes'
import { blockFormat, type GgufType } from './gguf-blocks'

/** Types that are written. */
export const WRITTEN_TYPES = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K', 'Q6_K'] as const satisfies GgufType[]
export type WrittenType = (typeof WRITTEN_TYPES)[number]

const f = Math.fround
const clamp = (value: number, low: number, high: number): number => Math.max(low, Math.min(value, high))
/** Round half away from zero, as C's roundf. */
const round = (x: number): number => (x < 0 ? -Math.floor(-x + 0.5) : Math.floor(x + 0.5))

function putHalf(out: Uint8Array, at: number, value: number): number {
  const bits = floatToHalf(value)
  out[at] = bits & 255
  out[at + 1] = bits >> 8
  return halfTable()[bits] as number
}

function q8(x: Float32Array, from: number, out: Uint8Array, at: number): void {
  let top = 0
  for (let i = 0; i < 32; i++) top = Math.max(top, Math.abs(x[from + i] as number))
  const d = f(top / 127)
  const inverse = d === 0 ? 0 : f(1 / d)
  putHalf(out, at, d)
  for (let i = 0; i < 32; i++) out[at + 2 + i] = round(f((x[from + i] as number) * inverse)) & 255
}

/** Symmetric formats: the value of largest size takes the lowest step. `half` is 8 or 16. */
function symmetric(x: Float32Array, from: number, half: number, steps: Uint8Array): number {
  let top = 0
  for (let i = 0; i < 32; i++) if (Math.abs(x[from + i] as number) > Math.abs(top)) top = x[from + i] as number
  const d = f(top / -half)
  const inverse = d === 0 ? 0 : f(1 / d)
  for (let i = 0; i < 32; i++) steps[i] = clamp(Math.trunc(f(f((x[from + i] as number) * inverse) + half + 0.5)), 0, 2 * half - 1)
  return d
}

/** Formats with a minimum: [scale, minimum]. `top` is 15 or 31. */
function affine(x: Float32Array, from: number, top: number, steps: Uint8Array): [number, number] {
  let low = x[from] as number
  let high = low
  for (let i = 1; i < 32; i++) {
    low = Math.min(low, x[from + i] as number)
    high = Math.max(high, x[from + i] as number)
  }
  const d = f(f(high - low) / top)
  const inverse = d === 0 ? 0 : f(1 / d)
  for (let i = 0; i < 32; i++) steps[i] = clamp(Math.trunc(f(f(f((x[from + i] as number) - low) * inverse) + 0.5)), 0, top)
  return [d, low]
}

function putNibbles(out: Uint8Array, at: number, steps: Uint8Array): void {
  for (let j = 0; j < 16; j++) out[at + j] = ((steps[j] as number) & 15) | (((steps[16 + j] as number) & 15) << 4)
}

function putFifthBits(out: Uint8Array, at: number, steps: Uint8Array): void {
  for (let byte = 0; byte < 4; byte++) {
    let bits = 0
    for (let j = 0; j < 8; j++) bits |= ((steps[8 * byte + j] as number) >> 4) << j
    out[at + byte] = bits
  }
}

const CANDIDATES = 12

/**
 * Scale and minimum (≥ 0, subtracted) of 32 values for steps 0…15: divisors around the plain one are tried, each refined by weighted least
 * squares over its own steps, and the one of least weighted error is kept.
 */
function fitAffine(x: Float32Array, from: number, weights: Float32Array): { scale: number; minimum: number } {
  let low = 0
  let high = x[from] as number
  let sumW = 0
  let sumX = 0
  for (let i = 0; i < 32; i++) {
    const value = x[from + i] as number
    low = Math.min(low, value)
    high = Math.max(high, value)
    sumW += weights[i] as number
    sumX += (weights[i] as number) * value
  }
  if (high === low) return { scale: 0, minimum: -low }
  let best = { scale: (high - low) / 15, minimum: -low }
  let least = Number.POSITIVE_INFINITY
  for (let step = 0; step <= CANDIDATES; step++) {
    const inverse = (14 + (2 * step) / CANDIDATES) / (high - low)
    let [sumL, sumLL, sumLX] = [0, 0, 0]
    for (let i = 0; i < 32; i++) {
      const value = x[from + i] as number
      const w = weights[i] as number
      const l = clamp(Math.round(inverse * (value - low)), 0, 15)
      sumL += w * l
      sumLL += w * l * l
      sumLX += w * l * value
    }
    const determinant = sumW * sumLL - sumL * sumL
    if (determinant <= 0) continue
    let scale = (sumW * sumLX - sumX * sumL) / determinant
    let offset = (sumLL * sumX - sumL * sumLX) / determinant
    if (offset > 0) {
      offset = 0
      scale = sumLX / sumLL
    }
    if (!(scale > 0)) continue
    let error = 0
    for (let i = 0; i < 32; i++) {
      const value = x[from + i] as number
      const l = clamp(Math.round(inverse * (value - low)), 0, 15)
      error += (weights[i] as number) * (scale * l + offset - value) ** 2
    }
    if (error < least) {
      least = error
      best = { scale, minimum: -offset }
    }
  }
  return best
}

const weights = new Float32Array(32)
const groupScales = new Float32Array(8)
const groupMinima = new Float32Array(8)
const sixteen = new Float32Array(16)
const wide = new Uint8Array(256)

/** 256 values as eight groups with six-bit scales and minima. */
function q4k(x: Float32Array, from: number, out: Uint8Array, at: number): void {
  for (let g = 0; g < 8; g++) {
    let squares = 0
    for (let i = 0; i < 32; i++) squares += (x[from + 32 * g + i] as number) ** 2
    const size = Math.sqrt(squares / 32)
    for (let i = 0; i < 32; i++) weights[i] = size + Math.abs(x[from + 32 * g + i] as number)
    const { scale, minimum } = fitAffine(x, from + 32 * g, weights)
    groupScales[g] = scale
    groupMinima[g] = minimum
  }
  const d = putHalf(out, at, groupScales.reduce((a, b) => Math.max(a, b)) / 63)
  const m = putHalf(out, at + 2, groupMinima.reduce((a, b) => Math.max(a, b)) / 63)
  for (let i = 0; i < 12; i++) out[at + 4 + i] = 0
  for (let g = 0; g < 8; g++) {
    const scale = d > 0 ? clamp(Math.round((groupScales[g] as number) / d), 0, 63) : 0
    const minimum = m > 0 ? clamp(Math.round((groupMinima[g] as number) / m), 0, 63) : 0
    const set = (i: number, bits: number) => {
      out[at + 4 + i] = (out[at + 4 + i] as number) | bits
    }
    if (g < 4) {
      set(g, scale)
      set(g + 4, minimum)
    } else {
      set(g + 4, (scale & 15) | ((minimum & 15) << 4))
      set(g - 4, (scale >> 4) << 6)
      set(g, (minimum >> 4) << 6)
    }
    for (let i = 0; i < 32; i++) {
      const l = scale > 0 && d > 0 ? Math.round(((x[from + 32 * g + i] as number) + m * minimum) / (d * scale)) : 0
      wide[32 * g + i] = clamp(l, 0, 15)
    }
  }
  for (let pair = 0; pair < 4; pair++)
    for (let i = 0; i < 32; i++)
      out[at + 16 + 32 * pair + i] = (wide[64 * pair + i] as number) | ((wide[64 * pair + 32 + i] as number) << 4)
}

/** Scale of 16 values for steps −32…31, by least squares weighted with x². */
function fitSymmetric(x: Float32Array, from: number): number {
  let top = 0
  for (let i = 0; i < 16; i++) if (Math.abs(x[from + i] as number) > Math.abs(top)) top = x[from + i] as number
  if (top === 0) return 0
  let best = 0
  let gain = -1
  for (let step = -CANDIDATES / 2; step <= CANDIDATES / 2; step++) {
    const inverse = -(32 + 0.15 * step) / top
    let [sumLX, sumLL] = [0, 0]
    for (let i = 0; i < 16; i++) {
      const value = x[from + i] as number
      const l = clamp(Math.round(inverse * value), -32, 31)
      const w = value * value
      sumLX += w * value * l
      sumLL += w * l * l
    }
    // The weighted error is Σwx² − sumLX² / sumLL.
    if (sumLL > 0 && (sumLX * sumLX) / sumLL > gain) {
      gain = (sumLX * sumLX) / sumLL
      best = sumLX / sumLL
    }
  }
  return best
}

/** 256 values as sixteen groups with eight-bit scales. */
function q6k(x: Float32Array, from: number, out: Uint8Array, at: number): void {
  let top = 0
  for (let g = 0; g < 16; g++) {
    const scale = fitSymmetric(x, from + 16 * g)
    sixteen[g] = scale
    if (Math.abs(scale) > Math.abs(top)) top = scale
  }
  for (let i = 0; i < 210; i++) out[at + i] = 0
  const d = putHalf(out, at + 208, top / -128)
  if (d === 0) return
  for (let g = 0; g < 16; g++) {
    const scale = clamp(Math.round((sixteen[g] as number) / d), -128, 127)
    out[at + 192 + g] = scale & 255
    for (let i = 0; i < 16; i++)
      wide[16 * g + i] = scale === 0 ? 32 : clamp(Math.round((x[from + 16 * g + i] as number) / (d * scale)), -32, 31) + 32
  }
  for (let j = 0; j < 256; j++) {
    const q = wide[j] as number
    const low = at + (j >> 7) * 64 + (j & 63)
    out[low] = (out[low] as number) | ((q & 15) << ((j >> 6) & 1 ? 4 : 0))
    const high = at + 128 + (j >> 7) * 32 + (j & 31)
    out[high] = (out[high] as number) | ((q >> 4) << (((j >> 5) & 3) * 2))
  }
}

/** Whole blocks of `values`, row by row. Throws `bad_argument` for a count that is no multiple of the block. */
export function quantize(values: Float32Array, type: WrittenType): Uint8Array {
  if (type === 'F32' || type === 'F16' || type === 'BF16') return narrow(values, type)
  const format = blockFormat(type)
  if (values.length % format.values)
    throw new EngineError('bad_argument', `the values are no whole blocks of ${type}`, {
      expected: `a multiple of ${format.values}`,
      got: String(values.length),
    })
  const out = new Uint8Array((values.length / format.values) * format.bytes)
  const steps = new Uint8Array(32)
  for (let from = 0, at = 0; from < values.length; from += format.values, at += format.bytes) {
    if (type === 'Q8_0') q8(values, from, out, at)
    else if (type === 'Q4_K') q4k(values, from, out, at)
    else if (type === 'Q6_K') q6k(values, from, out, at)
    else if (type === 'Q4_0' || type === 'Q5_0') {
      putHalf(out, at, symmetric(values, from, type === 'Q4_0' ? 8 : 16, steps))
      if (type === 'Q5_0') putFifthBits(out, at + 2, steps)
      putNibbles(out, at + (type === 'Q4_0' ? 2 : 6), steps)
    } else {
      const [d, low] = affine(values, from, type === 'Q4_1' ? 15 : 31, steps)
      putHalf(out, at, d)
      putHalf(out, at + 2, low)
      if (type === 'Q5_1') putFifthBits(out, at + 4, steps)
      putNibbles(out, at + (type === 'Q4_1' ? 4 : 8), steps)
    }
  }
  return out
}
