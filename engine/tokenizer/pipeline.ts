/**
 * The stages before the model: normalisers and pre-tokenizers of tokenizer.json, on text that keeps its original places.
 * Unknown stages are refused: skipping one would give wrong ids without a word.
 */
import { SplitPreTokenizer } from '@huggingface/tokenizers'
import { EngineError } from '../errors'
import type { Aligned } from './aligned'

export type Json = Readonly<Record<string, unknown>>
export type Normalizer = (text: Aligned) => Aligned
export type PreTokenizer = (pieces: Aligned[]) => Aligned[]

const unsupported = (kind: string, type: unknown): never => {
  throw new EngineError('unsupported', `this tokenizer uses a ${kind} that is not built yet`, {
    where: 'tokenizer.json',
    got: String(type),
  })
}
const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : [])

/**
 * The library turns Oniguruma and Rust patterns into JavaScript ones, but leaves `\s`, which means other characters here: it holds
 * U+FEFF and lacks U+0085. Both references use Unicode's White_Space.
 */
const withUnicodeSpaces = (pattern: RegExp): RegExp =>
  new RegExp(
    pattern.source.replace(/\\[\s\S]/g, (sequence) =>
      sequence === '\\s' ? '\\p{White_Space}' : sequence === '\\S' ? '\\P{White_Space}' : sequence,
    ),
    [...new Set(`${pattern.flags.replace('y', '')}gu`)].join(''),
  )

/** A pattern entry `{String}` or `{Regex}` as a global regular expression. */
function toPattern(pattern: unknown): RegExp {
  const { Regex, String: literal } = (pattern ?? {}) as { Regex?: string; String?: string }
  if (literal !== undefined) return new RegExp(literal.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'), 'gu')
  if (Regex === undefined) return unsupported('pattern', JSON.stringify(pattern))
  const compiled = new SplitPreTokenizer({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false } as never).pattern
  return compiled ? withUnicodeSpaces(compiled) : unsupported('pattern', Regex)
}

const isCjk = (code: number) =>
  (code >= 0x4e00 && code <= 0x9fff) ||
  (code >= 0x3400 && code <= 0x4dbf) ||
  (code >= 0x20000 && code <= 0x2a6df) ||
  (code >= 0x2a700 && code <= 0x2b73f) ||
  (code >= 0x2b740 && code <= 0x2b81f) ||
  (code >= 0x2b920 && code <= 0x2ceaf) ||
  (code >= 0xf900 && code <= 0xfaff) ||
  (code >= 0x2f800 && code <= 0x2fa1f)

function bertNormalizer(config: Json): Normalizer {
  const stripAccents = config.strip_accents ?? config.lowercase
  return (text) => {
    let out = text
    if (config.clean_text !== false) {
      out = out.map((c) =>
        c === '\0' || c === '\ufffd' || (/[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/u.test(c) && !/[\t\n\r]/.test(c))
          ? ''
          : /\p{White_Space}/u.test(c)
            ? ' '
            : c,
      )
    }
    if (config.handle_chinese_chars !== false) out = out.map((c) => (isCjk(c.codePointAt(0) as number) ? ` ${c} ` : c))
    if (stripAccents) out = out.normalize('NFD').map((c) => (/\p{Mn}/u.test(c) ? '' : c))
    if (config.lowercase !== false) out = out.map((c) => c.toLowerCase())
    return out
  }
}

export function makeNormalizer(config: Json | null | undefined): Normalizer {
  if (!config) return (text) => text
  switch (config.type) {
    case 'Sequence': {
      const all = list(config.normalizers).map(makeNormalizer)
      return (text) => all.reduce((t, normalize) => normalize(t), text)
    }
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD': {
      const form = config.type
      return (text) => text.normalize(form)
    }
    case 'Replace': {
      const pattern = toPattern(config.pattern)
      return (text) => text.replace(pattern, String(config.content ?? ''))
    }
    case 'Prepend':
      return (text) => text.prepend(String(config.prepend ?? ''))
    case 'Lowercase':
      return (text) => text.map((c) => c.toLowerCase())
    case 'StripAccents':
      return (text) => text.map((c) => (/\p{Mn}/u.test(c) ? '' : c))
    case 'Strip':
      return (text) => {
        const left = config.strip_left ? (text.text.match(/^\p{White_Space}*/u)?.[0].length ?? 0) : 0
        const right = config.strip_right ? text.text.length - (text.text.match(/\p{White_Space}*$/u)?.[0].length ?? 0) : text.text.length
        return text.slice(left, Math.max(left, right))
      }
    case 'BertNormalizer':
      return bertNormalizer(config)
    case 'ByteLevel':
      return byteLevel
    default:
      return unsupported('normaliser', config.type)
  }
}

type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous'

/** Cuts a piece at the matches of `pattern`; what becomes of the matches is `behavior`, as in the reference. */
function splitPiece(piece: Aligned, pattern: RegExp, behavior: Behavior, invert = false): Aligned[] {
  const spans: { from: number; to: number; match: boolean }[] = []
  let last = 0
  for (const match of piece.text.matchAll(pattern)) {
    if (!match[0]) continue
    if (match.index > last) spans.push({ from: last, to: match.index, match: invert })
    last = match.index + match[0].length
    spans.push({ from: match.index, to: last, match: !invert })
  }
  if (last < piece.text.length) spans.push({ from: last, to: piece.text.length, match: invert })

  let kept = spans
  if (behavior === 'Removed') kept = spans.filter((s) => !s.match)
  else if (behavior !== 'Isolated') {
    kept = []
    let before: { match: boolean } | undefined
    for (const span of behavior === 'MergedWithNext' ? [...spans].reverse() : spans) {
      const joined = kept.at(-1)
      const joins = behavior === 'Contiguous' ? before?.match === span.match : span.match && before !== undefined && !before.match
      if (joined && joins) {
        joined.from = Math.min(joined.from, span.from)
        joined.to = Math.max(joined.to, span.to)
      } else kept.push({ ...span })
      before = { match: span.match }
    }
    if (behavior === 'MergedWithNext') kept.reverse()
  }
  return kept.map(({ from, to }) => piece.slice(from, to))
}

const splitter =
  (pattern: RegExp, behavior: Behavior, invert = false): PreTokenizer =>
  (pieces) =>
    pieces.flatMap((piece) => splitPiece(piece, pattern, behavior, invert))

/** GPT-2's alphabet: each byte as a printable character. */
export const BYTE_TO_CHAR: readonly string[] = (() => {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255)
  let next = 256
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
})()
export const CHAR_TO_BYTE: ReadonlyMap<string, number> = new Map(BYTE_TO_CHAR.map((c, b) => [c, b]))

const encoder = new TextEncoder()
const byteLevel = (text: Aligned): Aligned => {
  // ASCII words map one to one, which is nearly all of them: the alignment stays as it is but for the letters.
  return text.map((c) => {
    let out = ''
    for (const byte of encoder.encode(c)) out += BYTE_TO_CHAR[byte]
    return out
  })
}

const GPT2_PATTERN =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu

function metaspace(config: Json): PreTokenizer {
  const replacement = String(config.replacement ?? '\u2581')
  const scheme = config.prepend_scheme ?? (config.add_prefix_space === false ? 'never' : 'always')
  const marker = new RegExp(replacement.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'gu')
  return (pieces) =>
    pieces.flatMap((piece) => {
      let out = piece.replace(/ /g, replacement)
      const prepends = scheme === 'always' || (scheme === 'first' && out.text.length > 0 && out.at(0).start === 0)
      if (prepends && !out.text.startsWith(replacement)) out = out.prepend(replacement)
      return config.split === false ? [out] : splitPiece(out, marker, 'MergedWithNext')
    })
}

export function makePreTokenizer(config: Json | null | undefined): PreTokenizer {
  if (!config) return (pieces) => pieces
  switch (config.type) {
    case 'Sequence': {
      const all = list(config.pretokenizers).map(makePreTokenizer)
      return (pieces) => all.reduce((p, cut) => cut(p), pieces)
    }
    case 'ByteLevel':
      return (pieces) => {
        const prefixed = config.add_prefix_space ? pieces.map((p) => (p.text.startsWith(' ') ? p : p.prepend(' '))) : pieces
        const cut = config.use_regex === false ? prefixed : prefixed.flatMap((p) => splitPiece(p, GPT2_PATTERN, 'Isolated'))
        return cut.map(byteLevel)
      }
    case 'Digits':
      return splitter(/\p{N}/gu, config.individual_digits ? 'Isolated' : 'Contiguous')
    case 'Split':
      return splitter(toPattern(config.pattern), String(config.behavior ?? 'Isolated') as Behavior, config.invert === true)
    case 'Metaspace':
      return metaspace(config)
    case 'Whitespace':
      return splitter(
        /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
        'Removed',
        true,
      )
    case 'WhitespaceSplit':
      return splitter(/\p{White_Space}/gu, 'Removed')
    case 'Punctuation':
      return splitter(PUNCTUATION, String(config.behavior ?? 'Isolated') as Behavior)
    case 'BertPreTokenizer': {
      const spaces = splitter(/\p{White_Space}/gu, 'Removed')
      const marks = splitter(PUNCTUATION, 'Isolated')
      return (pieces) => marks(spaces(pieces))
    }
    default:
      return unsupported('pre-tokenizer', config.type)
  }
}
