/**
 * Byte-level BPE: learns which pairs of symbols to join, most frequent first, and writes a tokenizer.json as Hugging Face tokenizers
 * reads it. Digits stand alone and text is cut before the GPT-2 pattern, as in SmolLM, so numbers are copied digit by digit.
 */

/** GPT-2's cut into words; each piece keeps the space before it. */
const PIECES = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu

/** GPT-2's printable stand-in for each byte. */
export function byteLetters(): string[] {
  const plain = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255)
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(plain(b) ? b : next++))
}

/** Pieces of a text with their counts, as letters that stand for bytes. Every digit is a piece of its own. */
export function countPieces(texts: Iterable<string>): Map<string, number> {
  const letters = byteLetters()
  const encoder = new TextEncoder()
  const counts = new Map<string, number>()
  for (const text of texts)
    for (const part of text.split(/(\p{N})/u))
      for (const [piece] of part.matchAll(PIECES)) {
        const key = Array.from(encoder.encode(piece), (b) => letters[b]).join('')
        counts.set(key, (counts.get(key) ?? 0) + 1)
      }
  return counts
}

export type Bpe = { vocab: Record<string, number>; merges: [string, string][] }

/**
 * @param counts pieces with how often they occur
 * @param size of the vocabulary: special tokens first, then the 256 bytes, then one entry a merge
 * Ties go to the pair that is smaller as text, so the result is the same on every machine.
 */
export function learnBpe(counts: ReadonlyMap<string, number>, size: number, special: readonly string[]): Bpe {
  const words = [...counts].map(([piece, count]) => ({ symbols: [...piece], count }))
  const vocab: Record<string, number> = {}
  for (const token of [...special, ...byteLetters()]) vocab[token] = Object.keys(vocab).length
  const merges: [string, string][] = []
  const key = (a: string, b: string) => `${a} ${b}`
  // Pair → how often, and in which words: only those are touched by a merge.
  const totals = new Map<string, number>()
  const where = new Map<string, Set<number>>()
  const add = (pair: string, word: number, times: number) => {
    totals.set(pair, (totals.get(pair) ?? 0) + times)
    if (times > 0) {
      const at = where.get(pair)
      if (at) at.add(word)
      else where.set(pair, new Set([word]))
    }
  }
  const pairsOf = (symbols: readonly string[]) => symbols.slice(1).map((b, i) => key(symbols[i] as string, b))
  for (const [w, { symbols, count }] of words.entries()) for (const pair of pairsOf(symbols)) add(pair, w, count)

  let entries = Object.keys(vocab).length
  while (entries < size) {
    let best = ''
    let most = 1
    for (const [pair, times] of totals) if (times > most || (times === most && best !== '' && pair < best)) [best, most] = [pair, times]
    // Pairs that occur once teach nothing.
    if (best === '') break
    const [a, b] = best.split(' ') as [string, string]
    for (const w of where.get(best) ?? []) {
      const word = words[w] as { symbols: string[]; count: number }
      for (const pair of pairsOf(word.symbols)) add(pair, w, -word.count)
      const joined: string[] = []
      for (let i = 0; i < word.symbols.length; i++) {
        if (word.symbols[i] === a && word.symbols[i + 1] === b) {
          joined.push(a + b)
          i++
        } else joined.push(word.symbols[i] as string)
      }
      word.symbols = joined
      for (const pair of pairsOf(joined)) add(pair, w, word.count)
    }
    totals.delete(best)
    where.delete(best)
    merges.push([a, b])
    if (!(a + b in vocab)) {
      vocab[a + b] = entries
      entries++
    }
  }
  return { vocab, merges }
}

/** The file that transformers, llama.cpp's converter and our own tokenizer read. */
export function tokenizerJson({ vocab, merges }: Bpe, special: readonly string[]): string {
  return `${JSON.stringify(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: {
        type: 'Sequence',
        pretokenizers: [
          { type: 'Digits', individual_digits: true },
          { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab,
        merges,
      },
    },
    null,
    1,
  )}\n`
}
