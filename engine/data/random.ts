/** Seeded random numbers whose state can be saved: xoshiro128** over four 32-bit words, seeded by splitmix32. */

export type RandomState = readonly [number, number, number, number]

/** A well-mixed 32-bit value of a text: gives streams of one seed that do not resemble each other. */
function hashText(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  return h >>> 0
}

export class Random {
  #s: [number, number, number, number]

  private constructor(state: RandomState) {
    this.#s = [...state]
  }

  /** `stream` names the purpose ("order of epoch 3"), so that one seed serves many independent uses. */
  static of(seed: number, stream = ''): Random {
    let x = (Math.trunc(seed) ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b9) ^ hashText(stream)) >>> 0
    const next = () => {
      x = (x + 0x9e3779b9) >>> 0
      let z = x
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad)
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97)
      return (z ^ (z >>> 15)) >>> 0
    }
    return new Random([next(), next(), next(), next() | 1])
  }

  static from(state: RandomState): Random {
    return new Random(state)
  }

  get state(): RandomState {
    return [...this.#s]
  }

  /** Uniform in 0 … 2^32 − 1. */
  uint32(): number {
    const s = this.#s
    const product = Math.imul(s[1], 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const t = s[1] << 9
    s[2] ^= s[0]
    s[3] ^= s[1]
    s[1] ^= s[2]
    s[0] ^= s[3]
    s[2] ^= t
    s[3] = (s[3] << 11) | (s[3] >>> 21)
    return result
  }

  /** Uniform in [0, 1) with 53 bits. */
  uniform(): number {
    return ((this.uint32() >>> 5) * 2 ** 26 + (this.uint32() >>> 6)) / 2 ** 53
  }

  /** Uniform in 0 … n − 1, without bias. */
  below(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n)
    let value = this.uint32()
    while (value >= limit) value = this.uint32()
    return value % n
  }

  /** Shuffles in place (Fisher and Yates) and returns the list. */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      const held = list[i] as T
      list[i] = list[j] as T
      list[j] = held
    }
    return list
  }
}
