/** From bytes to text, refusing what is not UTF-8 by place. A byte order mark is dropped. */
import { type Fault, fault } from '../table'

const MARKS: [number[], string][] = [
  [[0xff, 0xfe, 0x00, 0x00], 'UTF-32'],
  [[0x00, 0x00, 0xfe, 0xff], 'UTF-32'],
  [[0xff, 0xfe], 'UTF-16'],
  [[0xfe, 0xff], 'UTF-16'],
]

/** The bytes after a UTF-8 mark, or the fault that the file is in another encoding. */
export function withoutMark(bytes: Uint8Array): { bytes: Uint8Array; fault: Fault | null } {
  for (const [mark, name] of MARKS)
    if (mark.every((b, i) => bytes[i] === b))
      return { bytes, fault: fault(1, 'not_utf8', `${name} byte order mark: the file is ${name}; save it as UTF-8`) }
  const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return { bytes: marked ? bytes.subarray(3) : bytes, fault: null }
}

/** Offset of the first byte that breaks UTF-8 (overlong forms, surrogates and values past U+10FFFF included), or −1. */
export function firstBadByte(bytes: Uint8Array): number {
  let i = 0
  while (i < bytes.length) {
    const a = bytes[i] as number
    if (a < 0x80) {
      i++
      continue
    }
    const length = a >= 0xc2 && a <= 0xdf ? 2 : a >= 0xe0 && a <= 0xef ? 3 : a >= 0xf0 && a <= 0xf4 ? 4 : 0
    if (length === 0) return i
    for (let k = 1; k < length; k++) {
      const b = bytes[i + k]
      if (b === undefined) return i
      const low = k > 1 ? 0x80 : a === 0xe0 ? 0xa0 : a === 0xf0 ? 0x90 : 0x80
      const high = k > 1 ? 0xbf : a === 0xed ? 0x9f : a === 0xf4 ? 0x8f : 0xbf
      if (b < low || b > high) return i
    }
    i += length
  }
  return -1
}

/** Whole text of a file, or the fault with line, offset and a guess at what the file is. `base` is the offset of `bytes` in the file. */
export function decodeAll(bytes: Uint8Array, base = 0): { text: string; fault: Fault | null } {
  const bad = firstBadByte(bytes)
  if (bad < 0) return { text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes), fault: null }
  let line = 1
  for (let i = 0; i < bad; i++) if (bytes[i] === 10) line++
  return { text: '', fault: badByteFault(line, bytes[bad] as number, base + bad) }
}

export const badByteFault = (line: number, byte: number, offset: number): Fault =>
  fault(
    line,
    'not_utf8',
    `not UTF-8: byte 0x${byte.toString(16).padStart(2, '0')} at offset ${offset}${byte >= 0xa0 ? ' (looks like Latin-1 or Windows-1252)' : ''}`,
  )

/** Lines as byte ranges. Only LF and CR LF end a line: U+2028, U+2029 and U+0085 may stand inside a string. */
export function* byteLines(bytes: Uint8Array): Generator<{ line: number; bytes: Uint8Array; offset: number }> {
  let start = 0
  let line = 1
  while (start < bytes.length) {
    const end = bytes.indexOf(10, start)
    const stop = end < 0 ? bytes.length : end
    const cut = stop > start && bytes[stop - 1] === 13 ? stop - 1 : stop
    yield { line, bytes: bytes.subarray(start, cut), offset: start }
    if (end < 0) return
    start = end + 1
    line++
  }
}

/** True for empty lines and lines of white space. */
export const isBlank = (text: string): boolean => text.trim() === ''
