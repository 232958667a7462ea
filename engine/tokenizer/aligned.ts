/**
 * Text that remembers where each of its UTF-16 units came from. The reference tokenizer keeps such a map through normalisation; the
 * JavaScript library does not, and token offsets and loss masks need it. The alignment rules below are the reference's: a replaced
 * character keeps the place of what it replaced, an inserted one takes the place of the character before it, and a composed one keeps
 * the place of its first part only.
 */
export class Aligned {
  readonly text: string
  /** Original start and end of each unit, by unit; null while the text is still a plain piece of the original. */
  readonly #starts: Int32Array | null
  readonly #ends: Int32Array | null
  /** Original position of the first unit, while plain. */
  readonly #base: number

  private constructor(text: string, base: number, starts: Int32Array | null, ends: Int32Array | null) {
    this.text = text
    this.#base = base
    this.#starts = starts
    this.#ends = ends
  }

  static plain(text: string, base: number): Aligned {
    return new Aligned(text, base, null, null)
  }

  /** Builds a text from pieces, each with the original range all its units stand for. */
  static fromPieces(pieces: readonly { text: string; start: number; end: number }[]): Aligned {
    const text = pieces.map((p) => p.text).join('')
    const starts = new Int32Array(text.length)
    const ends = new Int32Array(text.length)
    let at = 0
    for (const piece of pieces) {
      starts.fill(piece.start, at, at + piece.text.length)
      ends.fill(piece.end, at, at + piece.text.length)
      at += piece.text.length
    }
    return new Aligned(text, 0, starts, ends)
  }

  /** Original range of one code point beginning at unit `i`. While plain, both halves of a surrogate pair stand for the whole pair. */
  at(i: number): { start: number; end: number } {
    if (this.#starts && this.#ends) return { start: this.#starts[i] as number, end: this.#ends[i] as number }
    const code = this.text.charCodeAt(i)
    const low = code >= 0xdc00 && code < 0xe000 && i > 0 && isHigh(this.text.charCodeAt(i - 1))
    const high = isHigh(code) && i + 1 < this.text.length && isLow(this.text.charCodeAt(i + 1))
    return { start: this.#base + i - (low ? 1 : 0), end: this.#base + i + (high ? 2 : 1) }
  }

  /** Original range of units `from` to `to`; empty pieces have no place of their own. */
  range(from: number, to: number): [number, number] {
    if (to <= from) return [0, 0]
    return [this.at(from).start, this.at(to - 1).end]
  }

  slice(from: number, to: number): Aligned {
    if (!this.#starts || !this.#ends) return new Aligned(this.text.slice(from, to), this.#base + from, null, null)
    return new Aligned(this.text.slice(from, to), 0, this.#starts.subarray(from, to), this.#ends.subarray(from, to))
  }

  /** Code points with their original ranges. */
  *points(): Generator<{ text: string; start: number; end: number }> {
    for (let i = 0; i < this.text.length; ) {
      const text = String.fromCodePoint(this.text.codePointAt(i) as number)
      yield { text, ...this.at(i) }
      i += text.length
    }
  }

  /** Replaces every code point by the text `change` gives; '' removes it. */
  map(change: (point: string) => string): Aligned {
    const pieces: { text: string; start: number; end: number }[] = []
    let changed = false
    for (const point of this.points()) {
      const text = change(point.text)
      changed ||= text !== point.text
      if (text) pieces.push({ text, start: point.start, end: point.end })
    }
    return changed ? Aligned.fromPieces(pieces) : this
  }

  /** Puts `text` in front. It stands for the first character that is there; an empty text stays empty. */
  prepend(text: string): Aligned {
    if (!this.text || !text) return this
    return Aligned.fromPieces([{ text, ...this.at(0) }, ...this.points()])
  }

  /** Replaces every match. The replacement stands for the last character that it replaces. */
  replace(pattern: RegExp, content: string): Aligned {
    const pieces: { text: string; start: number; end: number }[] = []
    let last = 0
    for (const match of this.text.matchAll(pattern)) {
      if (!match[0]) continue
      pieces.push(...this.slice(last, match.index).points())
      last = match.index + match[0].length
      if (content) pieces.push({ text: content, ...this.at(last - 1) })
    }
    if (!last) return this
    pieces.push(...this.slice(last, this.text.length).points())
    return Aligned.fromPieces(pieces)
  }

  /** A Unicode normalisation form. */
  normalize(form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): Aligned {
    if (this.text.normalize(form) === this.text) return this
    const pieces: { text: string; start: number; end: number }[] = []
    const decomposed = form === 'NFC' || form === 'NFD' ? 'NFD' : 'NFKD'
    const segment = (from: number, to: number) => {
      if (to > from) pieces.push(...normalizeSegment(this.slice(from, to), form))
    }
    let from = 0
    let at = 0
    // A starter and what joins it normalise independently of their neighbours.
    for (const point of this.text) {
      if (!JOINS_BEFORE.test(point.normalize(decomposed))) {
        segment(from, at)
        from = at
      }
      at += point.length
    }
    segment(from, at)
    return Aligned.fromPieces(pieces)
  }
}

/** Decompositions that may unite with what stands before: marks and conjoining jamo (a half-width voice mark decomposes to a mark). */
const JOINS_BEFORE = /^[\p{M}\u1160-\u11ff]/u

const isHigh = (code: number) => code >= 0xd800 && code < 0xdc00
const isLow = (code: number) => code >= 0xdc00 && code < 0xe000

/**
 * One segment: decompose each character, put the parts in canonical order, compose again. Order and composition come from the platform.
 * The reference counts, for each output, how many characters were added (1) or swallowed (below 0), and walks the original by these
 * counts; so after a reordering a mark has the place where it now stands, not where it came from.
 */
function normalizeSegment(segment: Aligned, form: 'NFC' | 'NFD' | 'NFKC' | 'NFKD'): { text: string; start: number; end: number }[] {
  const decomposed = form === 'NFC' || form === 'NFD' ? 'NFD' : 'NFKD'
  const originals = [...segment.points()]
  const parts = originals.flatMap((point) => [...point.text.normalize(decomposed)].map((text, i) => ({ text, added: i ? 1 : 0 })))
  const take = (text: string): number => {
    const at = parts.findIndex((part) => part.text === text)
    return at < 0 ? 0 : (parts.splice(at, 1)[0]?.added ?? 0)
  }
  const out: { text: string; start: number; end: number }[] = []
  let next = 0
  for (const text of segment.text.normalize(form)) {
    const taken = [...text.normalize(decomposed)].map(take)
    const change = taken.reduce((sum, added) => sum + added, 0) - (taken.length - 1)
    const source = originals[Math.max(0, Math.min(originals.length - 1, change > 0 ? next - 1 : next))] as { start: number; end: number }
    if (change <= 0) next += 1 - change
    out.push({ text, start: source.start, end: source.end })
  }
  return out
}
