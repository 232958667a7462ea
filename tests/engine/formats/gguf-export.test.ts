import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GgufFile } from '../../../engine/formats/gguf'
import { dequantize } from '../../../engine/formats/gguf-blocks'
import { GGUF_ENCODINGS, type GgufEncoding, ggufFileName, saveGguf } from '../../../engine/formats/gguf-export'
import { permuteRows, unpermuteRows } from '../../../engine/formats/gguf-model'
import { quantize } from '../../../engine/formats/gguf-quantize'
import { SafetensorsFile } from '../../../engine/formats/safetensors'
import { loadModel } from '../../../engine/model'
import { GGUF_PAIRS, modelFolder } from '../support/model-folder'
import { loadTiny } from '../support/tiny-gguf'

const reference = path.join(import.meta.dirname, '../../reference')
let dir: string
beforeAll(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-gguf-export-'))
})
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

const TEXTS = [
  'The quick brown fox jumps over the lazy dog.',
  '  two leading spaces, a\ttab and\nlines',
  '1234567890 3.14',
  'Ce contrat est régi par le droit français; “prix”: 1.250,50 €',
  '한국어 日本語 🙂',
  '<|im_start|>user\nHello<|im_end|>',
]

describe('F-24: blocks', () => {
  it.each(['F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1'] as const)('%s are the bytes of the reference quantiser', (type) => {
    using blocks = SafetensorsFile.open(path.join(reference, 'gguf/blocks/blocks.safetensors'))
    expect(Buffer.from(quantize(blocks.readFloat32('source'), type)).equals(Buffer.from(blocks.readBytes(`raw/${type}`)))).toBe(true)
  })

  it('Q4_K and Q6_K come nearer to the values than formats of the same and fewer bits', () => {
    const values = Float32Array.from({ length: 256 * 64 }, (_, i) => Math.sin(i * 12.9898) * Math.cos(i * 0.37) * (1 + ((i >> 5) % 7)))
    const error = (type: 'Q4_0' | 'Q4_1' | 'Q4_K' | 'Q6_K' | 'Q8_0') => {
      const out = new Float32Array(values.length)
      dequantize(type, quantize(values, type), out)
      return Math.sqrt(out.reduce((sum, x, i) => sum + (x - (values[i] as number)) ** 2, 0) / values.length)
    }
    expect(error('Q4_K')).toBeLessThan(error('Q4_0'))
    expect(error('Q4_K')).toBeLessThan(error('Q4_1') * 1.05)
    expect(error('Q6_K')).toBeLessThan(error('Q4_K') / 3)
    expect(error('Q8_0')).toBeLessThan(error('Q6_K'))
    for (const type of ['Q4_K', 'Q6_K'] as const) {
      const zero = new Float32Array(256)
      dequantize(type, quantize(zero, type), zero.fill(1))
      expect(zero.every((x) => x === 0)).toBe(true)
    }
  })
})

describe('F-17: folder → GGUF F32 → model', () => {
  it.each(GGUF_PAIRS)('%s with the tokenizer %s: the same weights, settings and tokens', async (name, tokenizer) => {
    const model = loadModel(modelFolder(path.join(dir, name), name, tokenizer))
    const file = path.join(dir, `${name}.gguf`)
    await saveGguf(model, { path: file, encoding: 'F32', name, metadata: { 'thaw.graph': '{"nodes":{}}' } })
    const again = loadModel(file)
    try {
      expect(again.model.parameters.map(({ name: parameter }) => parameter)).toEqual(
        model.model.parameters.map(({ name: parameter }) => parameter),
      )
      for (const { name: parameter } of model.model.parameters) {
        const [want, got] = [model.read(parameter), again.read(parameter)]
        // Gemma's norms lie in the file as 1 + w, which costs the last bits.
        const worst = want.reduce((top, value, i) => Math.max(top, Math.abs(value - (got[i] as number))), 0)
        expect(worst, parameter).toBeLessThanOrEqual(name.startsWith('gemma') && parameter.includes('norm') ? 1e-7 : 0)
      }
      const settings = (one: typeof model) => ({ ...one.model.config, modelType: 0, window: 0, contextLength: 0 })
      expect(settings(again)).toMatchObject(settings(model))
      expect(new Set(again.stopIds)).toEqual(new Set(model.stopIds))
      expect(again.source.text('chat_template.jinja')).toBe(model.source.text('chat_template.jinja'))
      for (const text of TEXTS) expect(again.tokenizer.encode(text).ids, text).toEqual(model.tokenizer.encode(text).ids)
      for (const key of ['bosToken', 'eosToken', 'padToken', 'unkToken'] as const)
        if (key !== 'eosToken') expect(again.tokenizer[key]).toBe(model.tokenizer[key])
    } finally {
      again.close()
      model.close()
    }
  })

  it('a skipped permutation would be seen', () => {
    const rows = Float32Array.from({ length: 16 * 3 }, (_, i) => i)
    expect(unpermuteRows(permuteRows(rows, 2, 16), 2, 16)).toEqual(rows)
    expect(permuteRows(rows, 2, 16)).not.toEqual(rows)
  })
})

describe('F-24, F-25: a whole file', () => {
  it.each(Object.keys(GGUF_ENCODINGS) as GgufEncoding[])('%s opens again with values near the model’s', async (encoding) => {
    const model = loadTiny()
    const file = path.join(dir, `tiny-${encoding}.gguf`)
    await saveGguf(model, { path: file, encoding, name: 'Tiny', license: 'mit', base: { name: 'tiny', repo: 'someone/tiny' } })
    using raw = GgufFile.open(file)
    expect(raw.metadata.get('general.file_type')?.value).toBe(GGUF_ENCODINGS[encoding])
    expect(raw.metadata.get('general.base_model.0.repo_url')?.value).toBe('https://huggingface.co/someone/tiny')
    const again = loadModel(file)
    for (const { name, shape } of model.model.parameters) {
      const [want, got] = [model.read(name), again.read(name)]
      const norm = Math.sqrt(want.reduce((sum, x) => sum + x * x, 0))
      const distance = Math.sqrt(want.reduce((sum, x, i) => sum + (x - (got[i] as number)) ** 2, 0))
      const limit =
        encoding === 'F32' || shape.length === 1
          ? 0
          : encoding === 'F16'
            ? 5e-4
            : encoding === 'BF16'
              ? 4e-3
              : encoding === 'Q8_0'
                ? 0.01
                : 0.12
      expect(distance / norm, name).toBeLessThanOrEqual(limit)
    }
    again.close()
    model.close()
  })

  it('F-27: the file name can be taken apart', () => {
    expect(ggufFileName('SmolLM2-135M-Instruct-thaw', 134_515_008, 'Q4_K_M')).toBe('SmolLM2-135M-Instruct-thaw-v1.0-Q4_K_M.gguf')
    expect(ggufFileName('my model', 1_711_376_384, 'F16')).toBe('my-model-1.7B-v1.0-F16.gguf')
  })

  it('F-26: a tokenizer or a setting that the format has no name for is refused by name', async () => {
    const odd = modelFolder(path.join(dir, 'odd'), 'llama', 'bbpe-smollm', {}, (tokenizer) => {
      tokenizer.pre_tokenizer = { type: 'Sequence', pretokenizers: [{ type: 'Whitespace' }] }
    })
    const model = loadModel(odd)
    await expect(saveGguf(model, { path: path.join(dir, 'odd.gguf'), encoding: 'F32', name: 'odd' })).rejects.toThrow(/its pre-tokenizer/)
    model.close()
    const scaled = loadModel(modelFolder(path.join(dir, 'scaled'), 'gpt2', 'bbpe-gpt2', { scale_attn_by_inverse_layer_idx: true }))
    await expect(saveGguf(scaled, { path: path.join(dir, 's.gguf'), encoding: 'F32', name: 's' })).rejects.toThrow(/scale_attn_by_inverse/)
    scaled.close()
    expect(fs.existsSync(path.join(dir, 'odd.gguf'))).toBe(false)
  })
})
