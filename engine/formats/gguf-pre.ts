/** How byte-level tokenizers cut text before merging, by `tokenizer.ggml.pre` (F-26). A value that is not here is refused: a near miss gives wrong ids silently. */

export type PreTokenizer = {
  readonly normalizer: unknown
  readonly pre_tokenizer: unknown
  readonly ignore_merges: boolean
  readonly addsBosByDefault: boolean
}

const byteLevel = (useRegex: boolean) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: useRegex })
const split = (regex: string) => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }, byteLevel(false)],
})

const LLAMA3_REGEX =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const QWEN2_REGEX =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

export const PRE_TOKENIZERS: Readonly<Record<string, PreTokenizer>> = {
  'gpt-2': { normalizer: null, pre_tokenizer: byteLevel(true), ignore_merges: false, addsBosByDefault: false },
  smollm: {
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel(true)] },
    ignore_merges: false,
    addsBosByDefault: false,
  },
  'llama-bpe': { normalizer: null, pre_tokenizer: split(LLAMA3_REGEX), ignore_merges: true, addsBosByDefault: true },
  qwen2: { normalizer: { type: 'NFC' }, pre_tokenizer: split(QWEN2_REGEX), ignore_merges: false, addsBosByDefault: false },
}

type Json = Readonly<Record<string, unknown>>

/** What of a pre-tokenizer decides where text is cut: `trim_offsets` only moves offsets, and a sequence of one is that one. */
function cutting(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cutting)
  if (typeof value !== 'object' || value === null) return value
  const { trim_offsets: _, ...rest } = value as Json
  const list = rest.type === 'Sequence' ? (rest.pretokenizers as unknown[] | undefined) : undefined
  if (list?.length === 1) return cutting(list[0])
  return Object.fromEntries(
    Object.entries(rest)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, inner]) => [key, cutting(inner)]),
  )
}

/** `tokenizer.ggml.pre` of a byte-level tokenizer.json; null when it cuts text in a way that has no known name. */
export function preTokenizerName(tokenizer: Json): string | null {
  const same = (a: unknown, b: unknown) => JSON.stringify(cutting(a)) === JSON.stringify(cutting(b))
  const ignoresMerges = (tokenizer.model as Json | undefined)?.ignore_merges === true
  for (const [name, rules] of Object.entries(PRE_TOKENIZERS))
    if (
      same(tokenizer.pre_tokenizer ?? null, rules.pre_tokenizer) &&
      same(tokenizer.normalizer ?? null, rules.normalizer) &&
      ignoresMerges === rules.ignore_merges
    )
      return name
  return null
}
