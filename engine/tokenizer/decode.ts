/**
 * Tokens → text. Written here because the library's decoders differ from the reference on byte-order marks, on incomplete UTF-8 and on
 * leading spaces of SentencePiece tokens (fixtures NOTES 18).
 */
import { EngineError } from '../errors'
import { CHAR_TO_BYTE, type Json } from './pipeline'

type Decoder = (tokens: string[]) => string[]

const encoder = new TextEncoder()
const utf8 = (bytes: Uint8Array) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)

const byteLevel: Decoder = (tokens) => {
  const bytes: number[] = []
  for (const token of tokens) {
    const mapped = Array.from(token, (c) => CHAR_TO_BYTE.get(c))
    if (mapped.includes(undefined)) bytes.push(...encoder.encode(token))
    else bytes.push(...(mapped as number[]))
  }
  return [utf8(Uint8Array.from(bytes))]
}

/** Runs of `<0xNN>` become their UTF-8 text, or one U+FFFD for each byte when they are none. */
const byteFallback: Decoder = (tokens) => {
  const out: string[] = []
  let bytes: number[] = []
  const flush = () => {
    if (!bytes.length) return
    try {
      out.push(new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(Uint8Array.from(bytes)))
    } catch {
      out.push(...bytes.map(() => '\ufffd'))
    }
    bytes = []
  }
  for (const token of tokens) {
    const byte = token.match(/^<0x([0-9A-Fa-f]{2})>$/)?.[1]
    if (byte) bytes.push(Number.parseInt(byte, 16))
    else {
      flush()
      out.push(token)
    }
  }
  flush()
  return out
}

const cleanUp = (text: string) =>
  text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re")

export function makeDecoder(config: Json | null | undefined): Decoder {
  if (!config) return (tokens) => [tokens.join(' ')]
  switch (config.type) {
    case 'Sequence': {
      const all = ((config.decoders ?? []) as Json[]).map(makeDecoder)
      return (tokens) => all.reduce((t, decode) => decode(t), tokens)
    }
    case 'ByteLevel':
      return byteLevel
    case 'ByteFallback':
      return byteFallback
    case 'Fuse':
      return (tokens) => [tokens.join('')]
    case 'Replace': {
      const { String: from, Regex: regex } = (config.pattern ?? {}) as { String?: string; Regex?: string }
      const to = String(config.content ?? '')
      if (from === undefined && regex === undefined)
        throw new EngineError('bad_file', 'a Replace decoder has no pattern', { where: 'tokenizer.json, decoder' })
      const pattern = from ?? new RegExp(regex as string, 'gu')
      return (tokens) => tokens.map((token) => token.replaceAll(pattern, () => to))
    }
    case 'Strip': {
      const content = String(config.content ?? ' ')
      const start = Number(config.start ?? 0)
      const stop = Number(config.stop ?? 0)
      return (tokens) =>
        tokens.map((token) => {
          const points = [...token]
          let from = 0
          while (from < start && points[from] === content) from++
          let to = points.length
          while (points.length - to < stop && to > from && points[to - 1] === content) to--
          return points.slice(from, to).join('')
        })
    }
    case 'Metaspace': {
      const marker = String(config.replacement ?? '\u2581')
      const dropsFirst = config.prepend_scheme !== 'never' && config.add_prefix_space !== false
      return (tokens) => tokens.map((token, i) => token.replaceAll(marker, i === 0 && dropsFirst ? '' : ' '))
    }
    case 'WordPiece': {
      const prefix = String(config.prefix ?? '##')
      return (tokens) =>
        tokens.map((token, i) => {
          const joined = i === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`
          return config.cleanup === false ? joined : cleanUp(joined)
        })
    }
    case 'BPEDecoder': {
      const suffix = String(config.suffix ?? '</w>')
      return (tokens) => tokens.map((token, i) => token.replaceAll(suffix, i === tokens.length - 1 ? '' : ' '))
    }
    default:
      throw new EngineError('unsupported', 'this tokenizer uses a decoder that is not built yet', {
        where: 'tokenizer.json, decoder',
        got: String(config.type),
      })
  }
}
