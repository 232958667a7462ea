/** Seeded random numbers, the same on every machine: sfc32 (PractRand-clean, period ≥ 2^64), seeded through splitmix32. */
export type Random = {
  /** Uniform in [0, 1) with 32 bits. */
  next(): number
  /** Uniform integer in [0, n); n up to 2^32. */
  below(n: number): number
  shuffle<T>(list: T[]): T[]
  pick<T>(list: readonly T[]): T
}

export function seeded(seed: number | string): Random {
  let state = typeof seed === 'number' ? seed >>> 0 : hash32(seed)
  const split = () => {
    state = (state + 0x9e3779b9) >>> 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) >>> 0
  }
  let [a, b, c, d] = [split(), split(), split(), split()] as [number, number, number, number]
  const bits = () => {
    const t = (((a + b) >>> 0) + d) >>> 0
    d = (d + 1) >>> 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) >>> 0
    c = ((c << 21) | (c >>> 11)) >>> 0
    c = (c + t) >>> 0
    return t
  }
  for (let i = 0; i < 12; i++) bits()
  const random: Random = {
    next: () => bits() / 4294967296,
    // Rejection, so that no value is likelier than another.
    below(n) {
      const limit = 4294967296 - (4294967296 % n)
      let x = bits()
      while (x >= limit) x = bits()
      return x % n
    },
    shuffle(list) {
      for (let i = list.length - 1; i > 0; i--) {
        const j = random.below(i + 1)
        const held = list[i] as (typeof list)[number]
        list[i] = list[j] as (typeof list)[number]
        list[j] = held
      }
      return list
    },
    pick: (list) => list[random.below(list.length)] as (typeof list)[number],
  }
  return random
}

/** FNV-1a over UTF-16 code units: only to turn a word into a seed. */
function hash32(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}
