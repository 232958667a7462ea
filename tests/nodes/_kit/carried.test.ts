import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { deflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { saveGguf } from '../../../engine/formats/gguf-export'
import { saveModel } from '../../../engine/save'
import { type ByteSource, pngWithPipeline, readCarried, svgMetadata } from '../../../nodes/_kit/carried'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'
import { readPipelineFile, writePipelineFile } from '../../../nodes/_kit/pipeline-file'
import { portable } from '../../../nodes/_kit/portable'
import { loadTiny } from '../../engine/support/tiny-gguf'

const document: Pipeline = {
  ...emptyPipeline(),
  nodes: { data: { type: 'load-data', version: 1, params: { file: 'rows.jsonl', note: 'Größe “<b>” & 🙂' } } },
  layout: { nodes: { data: { x: 1, y: 2 } }, groups: [] },
}
const file = writePipelineFile(document, 'My pipeline', '1.2.3')
const source = (name: string, bytes: Uint8Array): ByteSource => ({
  name,
  size: bytes.length,
  read: async (start, end) => bytes.slice(start, end),
})

/** The smallest PNG: one grey pixel. */
function tinyPng(): Uint8Array {
  const crc = (bytes: Uint8Array) => {
    let c = 0xffffffff
    for (const byte of bytes) {
      c ^= byte
      for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    }
    return (c ^ 0xffffffff) >>> 0
  }
  const chunk = (type: string, body: Uint8Array) => {
    const out = Buffer.alloc(12 + body.length)
    out.writeUInt32BE(body.length, 0)
    out.write(type, 4)
    out.set(body, 8)
    out.writeUInt32BE(crc(out.subarray(4, 8 + body.length)), 8 + body.length)
    return out
  }
  const head = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 0])
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(Buffer.from([0, 128]))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

let dir: string
beforeAll(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-carried-'))
})
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

describe('F-56, UX-97: a pipeline is found in whatever carries it', () => {
  it('a pipeline file with its name and hash, and a bare document', async () => {
    expect(await readCarried(source('a.thaw.json', Buffer.from(file)))).toMatchObject({
      document,
      name: 'My pipeline',
      madeWith: '1.2.3',
      changed: false,
    })
    expect(await readCarried(source('a.json', Buffer.from(JSON.stringify(document))))).toMatchObject({ document, name: null })
    expect(readPipelineFile(JSON.parse(file.replace('rows.jsonl', 'other.jsonl')))).toMatchObject({ changed: true })
    expect(await readCarried(source('rows.json', Buffer.from('[{"text":"a"}]')))).toBeNull()
  })

  it('a PNG and an SVG picture', async () => {
    const png = pngWithPipeline(tinyPng(), file)
    expect(await readCarried(source('a.png', png))).toMatchObject({ document, from: 'png', changed: false })
    expect(await readCarried(source('plain.png', tinyPng()))).toBeNull()
    const svg = `<svg xmlns="http://www.w3.org/2000/svg">${svgMetadata(file)}<rect/></svg>`
    expect(await readCarried(source('a.svg', Buffer.from(svg)))).toMatchObject({ document, from: 'svg', changed: false })
    expect(() => pngWithPipeline(Buffer.from('no picture at all'), file)).toThrow(RangeError)
  })

  it('F-54: safetensors and GGUF weights, with what else they say of themselves', async () => {
    const model = loadTiny()
    const metadata = { 'thaw.graph': JSON.stringify(document), 'thaw.version': '9.9.9', 'thaw.seed': '7' }
    const gguf = path.join(dir, 'a.gguf')
    await saveGguf(model, { path: gguf, encoding: 'Q4_0', name: 'a', metadata })
    await saveModel(path.join(dir, 'folder'), model, { metadata })
    model.close()
    for (const [name, from] of [
      [gguf, 'gguf'],
      [path.join(dir, 'folder/model.safetensors'), 'safetensors'],
    ] as const)
      expect(await readCarried(source(name, fs.readFileSync(name)))).toMatchObject({
        document,
        from,
        madeWith: '9.9.9',
        facts: { 'thaw.seed': '7' },
      })
  })

  it('SEC-9: cut and spoilt files carry nothing, and are refused quickly', async () => {
    const bytes = fs.readFileSync(path.join(dir, 'a.gguf'))
    for (const cut of [10, 30, 100, 5_000]) expect(await readCarried(source('a.gguf', bytes.subarray(0, cut)))).toBeNull()
    const huge = Buffer.from(bytes)
    huge.writeBigUInt64LE(1n << 62n, 24)
    expect(await readCarried(source('a.gguf', huge))).toBeNull()
    const weights = Buffer.concat([Buffer.from([255, 255, 255, 255, 255, 255, 255, 127]), Buffer.from('{"a":1}')])
    expect(await readCarried(source('a.safetensors', weights))).toBeNull()
  })
})

describe('F-55, UX-96: what leaves this computer', () => {
  it('paths become names, secrets and tokens go, and each is listed', () => {
    const own: Pipeline = {
      ...document,
      nodes: {
        data: { type: 'load-data', version: 1, params: { file: '/home/ada/may.jsonl', columns: ['~/x.csv'], max_tokens: 5 } },
        push: { type: 'push', version: 1, params: { hf_token: 'hf_abcdefghijklmnopqrstuvwxyz', text: 'see https://ada:pw@example.org/x' } },
        kept: { type: 'load-data', version: 1, params: { file: 'template:first-look/log.jsonl' } },
      },
      notes: [{ id: 'n', text: 'Data in /home/ada/contracts/may.jsonl, mail 1/2', x: 0, y: 0 }],
    }
    const { document: clean, removed } = portable(own)
    expect(JSON.stringify(clean)).not.toMatch(/ada|hf_abc|pw@/)
    expect(clean.nodes.data?.params).toEqual({ file: 'may.jsonl', columns: ['x.csv'], max_tokens: 5 })
    expect(clean.nodes.kept).toEqual(own.nodes.kept)
    expect(clean.notes[0]?.text).toBe('Data in may.jsonl, mail 1/2')
    expect(removed).toEqual([
      { node: 'data', param: 'file', kind: 'path' },
      { node: 'data', param: 'columns', kind: 'path' },
      { node: 'push', param: 'hf_token', kind: 'secret' },
      { node: 'push', param: 'text', kind: 'secret' },
    ])
  })
})
