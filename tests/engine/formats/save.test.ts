import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SafetensorsFile } from '../../../engine/formats/safetensors'
import { readModelHeader } from '../../../engine/inspect'
import { loadModel } from '../../../engine/model'
import { saveDelta, saveModel } from '../../../engine/save'
import { loadTiny, TINY_GGUF } from '../support/tiny-gguf'

let dir: string
beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-save-'))
})
afterEach(() => fs.rmSync(dir, { recursive: true, force: true }))

const bits = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)

describe('F-10, F-17: from a GGUF to a Hugging Face folder', () => {
  it('every parameter, the tokenizer, the template and the stop tokens survive; writing again gives the same bytes', async () => {
    const model = loadTiny()
    const names = await saveModel(path.join(dir, 'one'), model, { card: '# tiny' })
    expect(names).toEqual([
      'README.md',
      'chat_template.jinja',
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    const again = loadModel(path.join(dir, 'one'))
    for (const { name } of model.model.parameters) expect(bits(again.read(name)).equals(bits(model.read(name))), name).toBe(true)
    expect(again.stopIds).toEqual(model.stopIds)
    expect(again.template?.source).toBe(model.template?.source)
    const text = 'On 12 May there were 3 ships.  "Yes", he said.'
    expect(again.tokenizer.encode(text)).toEqual(model.tokenizer.encode(text))
    await saveModel(path.join(dir, 'two'), again, { card: '# tiny' })
    for (const name of names)
      expect(fs.readFileSync(path.join(dir, 'two', name)).equals(fs.readFileSync(path.join(dir, 'one', name))), name).toBe(true)
    model.close()
    again.close()
  })

  it('F-12: a 16-bit folder says so in its config, and metadata comes along', async () => {
    const model = loadTiny()
    await saveModel(path.join(dir, 'half'), model, { dtype: 'BF16', metadata: { 'thaw.seed': '3' } })
    expect(readModelHeader(path.join(dir, 'half'))).toMatchObject({ dtype: 'BF16', modelType: 'llama' })
    expect(JSON.parse(fs.readFileSync(path.join(dir, 'half/config.json'), 'utf8')).torch_dtype).toBe('bfloat16')
    using file = SafetensorsFile.open(path.join(dir, 'half/model.safetensors'))
    expect([...file.metadata]).toEqual([
      ['format', 'pt'],
      ['thaw.seed', '3'],
    ])
    model.close()
  })

  it('F-8: a folder that is there is never overwritten, and a failed write leaves none', async () => {
    const model = loadTiny()
    fs.mkdirSync(path.join(dir, 'x'))
    await expect(saveModel(path.join(dir, 'x'), model)).rejects.toThrow(/exists already/)
    const broken = { ...model, read: () => new Float32Array(1) }
    await expect(saveModel(path.join(dir, 'y'), broken)).rejects.toThrow(/wrong number of bytes/)
    expect(fs.readdirSync(dir)).toEqual(['x'])
    model.close()
  })
})

describe('changed weights alone', () => {
  it('holds exactly the parameters that differ from the base, and gives them back over it', async () => {
    const model = loadTiny()
    const [first, second, third] = model.model.parameters.map(({ name }) => name) as [string, string, string]
    const value = (name: string) => (name === second ? model.readBase(name) : model.readBase(name).map((x) => x + 1))
    const file = path.join(dir, 'delta.safetensors')
    expect(await saveDelta(file, model, { names: [first, second], read: async (name) => value(name) })).toEqual([first])
    const changed = loadModel(TINY_GGUF, { delta: file })
    expect(changed.changed).toEqual([first])
    expect(bits(changed.read(first)).equals(bits(value(first)))).toBe(true)
    expect(bits(changed.readBase(first)).equals(bits(model.read(first)))).toBe(true)
    // A second training keeps what the first one changed, unless it changes it back.
    const next = path.join(dir, 'next.safetensors')
    expect((await saveDelta(next, changed, { names: [third], read: async (name) => value(name) })).sort()).toEqual([first, third].sort())
    expect(await saveDelta(next, changed, { names: [first], read: async (name) => model.readBase(name) })).toEqual([])
    changed.close()
    model.close()
  })

  it('of another model is refused by name and shape', async () => {
    const model = loadTiny()
    const file = path.join(dir, 'other.safetensors')
    const [first] = model.model.parameters
    await saveDelta(
      file,
      {
        ...model,
        model: { ...model.model, parameters: [{ ...first, name: 'model.other.weight' } as NonNullable<typeof first>] },
        readBase: () => Float32Array.of(1),
      },
      { names: ['model.other.weight'], read: async () => new Float32Array(387 * 64) },
    )
    expect(() => loadModel(TINY_GGUF, { delta: file })).toThrow(/another model.*model.other.weight/)
    model.close()
  })
})

describe('E-20, F-16: what does not fit is refused with its name', () => {
  const folderWith = async (change: (folder: string) => void) => {
    const model = loadTiny()
    const folder = path.join(dir, 'm')
    await saveModel(folder, model)
    model.close()
    change(folder)
    return folder
  }
  const config = (folder: string, change: Record<string, unknown>) => {
    const file = path.join(folder, 'config.json')
    fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, 'utf8')), ...change }))
  }
  it.each([
    ['a block too many in the config', (f: string) => config(f, { num_hidden_layers: 3 }), /9 of the model's 30 tensors are missing/],
    ['a block too few', (f: string) => config(f, { num_hidden_layers: 1 }), /9 tensors belong to no part/],
    ['another width', (f: string) => config(f, { intermediate_size: 128 }), /does not have the shape/],
    ['an architecture that is not built', (f: string) => config(f, { model_type: 'mamba' }), /"mamba" is not built/],
    [
      'pickle weights only',
      (f: string) => fs.renameSync(path.join(f, 'model.safetensors'), path.join(f, 'pytorch_model.bin')),
      /pickle file: Thaw never reads those/,
    ],
    ['no tokenizer', (f: string) => fs.rmSync(path.join(f, 'tokenizer.json')), /no tokenizer.json/],
    ['a config that is not JSON', (f: string) => fs.writeFileSync(path.join(f, 'config.json'), '{"a":'), /config.json is not JSON/],
    [
      'a shard index that leaves the folder',
      (f: string) => {
        fs.rmSync(path.join(f, 'model.safetensors'))
        fs.writeFileSync(path.join(f, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: '../../etc/passwd' } }))
      },
      /not a plain name/,
    ],
  ])('%s', async (_, change, reason) => {
    const folder = await folderWith(change)
    expect(() => loadModel(folder)).toThrow(reason)
  })

  it('weights that are not numbers are refused when they are read, with the element', async () => {
    const folder = await folderWith(() => {})
    const file = path.join(folder, 'model.safetensors')
    const bytes = fs.readFileSync(file)
    bytes.writeFloatLE(Number.NaN, bytes.length - 4)
    fs.writeFileSync(file, bytes)
    const model = loadModel(folder)
    expect(() => {
      for (const { name } of model.model.parameters) model.read(name)
    }).toThrow(/are not finite.*element \d+.*NaN/)
    model.close()
  })
})
