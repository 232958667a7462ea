/** MinHash signatures and their bands (SCI-78): which of very many texts are worth comparing. */
import { seeded } from '../random'

const PRIME = 0x7fffffff

export type MinHashOptions = { permutations: number; bands: number }
export const MINHASH: MinHashOptions = { permutations: 128, bands: 32 }

/** x mod p for whole x < 2^53: ten times faster than the remainder operator, which is exact for all doubles and slow. */
function modulo(x: number): number {
  const r = x - Math.floor(x / PRIME) * PRIME
  return r < 0 ? r + PRIME : r >= PRIME ? r - PRIME : r
}

/** (a·x + b) mod p for a, b, x < 2^31, in doubles without loss: the factor is split at 16 bits. */
const mix = (a: number, x: number, b: number): number => modulo(modulo(a * (x >>> 16)) * 65536 + a * (x & 0xffff) + b)

/** The smallest hash of each permutation h_i(x) = (a_i·x + b_i) mod p over a set of shingles. Equal sets give equal signatures. */
export function signer(options: Pick<MinHashOptions, 'permutations'> = MINHASH, seed = 42): (shingles: Uint32Array) => Uint32Array {
  const random = seeded(seed)
  const a = Float64Array.from({ length: options.permutations }, () => 1 + random.below(PRIME - 1))
  const b = Float64Array.from({ length: options.permutations }, () => random.below(PRIME))
  return (shingles) => {
    const signature = new Uint32Array(options.permutations).fill(0xffffffff)
    for (const shingle of shingles) {
      const x = shingle >>> 1
      for (let i = 0; i < a.length; i++) {
        const h = mix(a[i] as number, x, b[i] as number)
        if (h < (signature[i] as number)) signature[i] = h
      }
    }
    return signature
  }
}

/** One key for each band of a signature: texts that share one are candidates. P = 1 − (1 − J^r)^b with r rows in each of b bands. */
export function bandKeys(signature: Uint32Array, bands: number): number[] {
  const rows = signature.length / bands
  return Array.from({ length: bands }, (_, band) => {
    let h = 0x811c9dc5 ^ band
    for (let i = band * rows; i < (band + 1) * rows; i++) {
      h = Math.imul(h ^ (signature[i] as number), 0x01000193)
      h = Math.imul(h ^ (h >>> 15), 0x85ebca6b)
    }
    // 53 bits, so that bands of millions of rows do not meet by chance.
    return (h >>> 0) * 2097152 + ((signature[band * rows] as number) & 0x1fffff)
  })
}
