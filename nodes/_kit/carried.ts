/**
 * The pipeline inside another file (F-54, F-56, UX-97): in the header of safetensors weights, among the keys of a GGUF file, in a PNG or SVG
 * picture of the canvas, or in a pipeline file. Untrusted input: every length is checked against the file, and nothing beyond headers is read.
 */
import { LIMITS } from './graph'
import { type FoundPipeline, readPipelineFile } from './pipeline-file'

/** A file here or in a browser: bytes are asked for by position. */
export type ByteSource = { readonly name: string; readonly size: number; read(start: number, end: number): Promise<Uint8Array> }

export type Carried = FoundPipeline & {
  from: 'pipeline' | 'safetensors' | 'gguf' | 'png' | 'svg'
  /** Further `thaw.*` entries: seed, metrics, digests. */
  facts: Readonly<Record<string, string>>
}

/** The name under which pictures and weights carry it. */
export const GRAPH_KEY = 'thaw.graph'

const MAX_HEADER = 100 * 1024 * 1024
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

function parsed(json: string): unknown {
  if (json.length > 2 * LIMITS.bytes) return null
  try {
    return JSON.parse(json)
  } catch {
    return null
  }
}

function found(from: Carried['from'], graph: string | undefined, facts: Record<string, string> = {}): Carried | null {
  const pipeline = graph === undefined ? null : readPipelineFile(parsed(graph))
  const { [GRAPH_KEY]: _, ...others } = facts
  return pipeline && { ...pipeline, madeWith: pipeline.madeWith ?? facts['thaw.version'] ?? null, from, facts: others }
}

/** Null when the file carries no pipeline, whatever else it is. */
export async function readCarried(file: ByteSource): Promise<Carried | null> {
  const head = await file.read(0, Math.min(16, file.size))
  const starts = (...bytes: number[]) => bytes.every((byte, i) => head[i] === byte)
  if (starts(0x47, 0x47, 0x55, 0x46)) return fromGguf(file)
  if (starts(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return fromPng(file)
  if (head[8] === 0x7b && /\.safetensors$/i.test(file.name)) return fromSafetensors(file, head)
  if (/\.svg$/i.test(file.name) && file.size <= 4 * LIMITS.bytes) return fromSvg(text(await file.read(0, file.size)))
  if (/\.json$/i.test(file.name) && file.size <= 2 * LIMITS.bytes) return found('pipeline', text(await file.read(0, file.size)))
  return null
}

async function fromSafetensors(file: ByteSource, head: Uint8Array): Promise<Carried | null> {
  const length = new DataView(head.buffer, head.byteOffset).getBigUint64(0, true)
  if (length > BigInt(Math.min(MAX_HEADER, file.size - 8))) return null
  let header: unknown
  try {
    header = JSON.parse(text(await file.read(8, 8 + Number(length))))
  } catch {
    return null
  }
  const metadata = (header as { __metadata__?: Record<string, unknown> } | null)?.__metadata__ ?? {}
  const facts = Object.fromEntries(
    Object.entries(metadata).filter((entry): entry is [string, string] => entry[0].startsWith('thaw.') && typeof entry[1] === 'string'),
  )
  return found('safetensors', facts[GRAPH_KEY], facts)
}

/** Bytes of one value by its type in a GGUF file; text and lists have their own length. */
const GGUF_SIZE: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, -1, -2, 8, 8, 8]

/** Walks over the keys of a GGUF file and keeps those of ours; the vocabulary is stepped over, not decoded. */
async function fromGguf(file: ByteSource): Promise<Carried | null> {
  let window: Uint8Array = new Uint8Array(0)
  let start = 0
  let at = 4
  const need = async (count: number): Promise<number> => {
    if (at + count > file.size || at + count > MAX_HEADER * 5) throw new RangeError('the header ends too early')
    if (at < start || at + count > start + window.length) {
      start = at
      window = await file.read(at, Math.min(file.size, at + Math.max(count, 1 << 22)))
    }
    return at - start
  }
  const u32 = async () => {
    const i = await need(4)
    at += 4
    return new DataView(window.buffer, window.byteOffset).getUint32(i, true)
  }
  const count = async () => {
    const i = await need(8)
    at += 8
    const value = new DataView(window.buffer, window.byteOffset).getBigUint64(i, true)
    if (value > BigInt(file.size)) throw new RangeError('a length reaches past the end')
    return Number(value)
  }
  const string = async () => {
    const length = await count()
    const i = await need(length)
    at += length
    return text(window.subarray(i, i + length))
  }
  const skip = async (type: number, depth = 0): Promise<void> => {
    const size = GGUF_SIZE[type]
    if (size === undefined || depth > 4) throw new RangeError('an unknown type')
    if (size > 0) at += size
    else if (size === -1) {
      // Not in one expression: counting moves the place as well.
      const length = await count()
      at += length
    } else {
      const of = await u32()
      const length = await count()
      const fixed = GGUF_SIZE[of] ?? 0
      if (fixed > 0) at += fixed * length
      else for (let i = 0; i < length; i++) await skip(of, depth + 1)
    }
  }
  const facts: Record<string, string> = {}
  try {
    if ((await u32()) !== 3) return null
    await count()
    const keys = await count()
    for (let i = 0; i < keys; i++) {
      const key = await string()
      const type = await u32()
      if (key.startsWith('thaw.') && type === 8) facts[key] = await string()
      else await skip(type)
    }
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
  return found('gguf', facts[GRAPH_KEY], facts)
}

/** An uncompressed iTXt chunk with our key. */
async function fromPng(file: ByteSource): Promise<Carried | null> {
  for (let at = 8; at + 12 <= file.size; ) {
    const head = await file.read(at, at + 8)
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
    const type = text(head.subarray(4, 8))
    if (at + 12 + length > file.size || type === 'IEND') return null
    if (type === 'iTXt' && length <= 4 * LIMITS.bytes) {
      const body = await file.read(at + 8, at + 8 + length)
      const end = body.indexOf(0)
      // Key, 0, compressed?, method, language, 0, translated key, 0, text.
      if (end > 0 && text(body.subarray(0, end)) === GRAPH_KEY && body[end + 1] === 0) {
        const language = body.indexOf(0, end + 3)
        const translated = language < 0 ? -1 : body.indexOf(0, language + 1)
        if (translated > 0) return found('png', text(body.subarray(translated + 1)))
      }
    }
    at += 12 + length
  }
  return null
}

/** In SVG the pipeline stands base64-coded in a metadata element, so that no text of it can be markup. */
const SVG_MARK = /<metadata id="thaw\.graph">([A-Za-z0-9+/=\s]*)<\/metadata>/

function fromSvg(svg: string): Carried | null {
  const coded = SVG_MARK.exec(svg)?.[1]
  if (coded === undefined) return null
  try {
    return found('svg', text(Uint8Array.from(atob(coded.replace(/\s/g, '')), (char) => char.charCodeAt(0))))
  } catch {
    return null
  }
}

/** The element that `readCarried` finds in an SVG. */
export function svgMetadata(pipelineFile: string): string {
  let binary = ''
  for (const byte of new TextEncoder().encode(pipelineFile)) binary += String.fromCharCode(byte)
  return `<metadata id="thaw.graph">${btoa(binary)}</metadata>`
}

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
  return c >>> 0
})
const crc32 = (bytes: Uint8Array): number => {
  let c = 0xffffffff
  for (const byte of bytes) c = (CRC[(c ^ byte) & 255] as number) ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}

/** A PNG with the pipeline in it: an iTXt chunk before the end. Throws RangeError for what is no PNG. */
export function pngWithPipeline(png: Uint8Array, pipelineFile: string): Uint8Array<ArrayBuffer> {
  // IEND is the last chunk of every PNG: 12 bytes.
  const end = png.length - 12
  if (end < 8 || text(png.subarray(end + 4, end + 8)) !== 'IEND') throw new RangeError('not a whole PNG')
  const body = new TextEncoder().encode(`iTXt${GRAPH_KEY}\0\0\0\0\0${pipelineFile}`)
  const out = new Uint8Array(png.length + body.length + 8)
  out.set(png.subarray(0, end))
  const view = new DataView(out.buffer)
  view.setUint32(end, body.length - 4)
  out.set(body, end + 4)
  view.setUint32(end + 4 + body.length, crc32(body))
  out.set(png.subarray(end), end + 8 + body.length)
  return out
}
