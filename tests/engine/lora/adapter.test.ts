import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SafetensorsFile, writeSafetensors } from '../../../engine/formats/safetensors'
import { sizeOf } from '../../../engine/graph/types'
import { createAdapter, withValues } from '../../../engine/lora/adapter'
import { type AdapterConfig, parseAdapterConfig } from '../../../engine/lora/config'
import { loadAdapter, saveAdapter } from '../../../engine/lora/files'
import { mergeAdapter } from '../../../engine/lora/merge'
import { loadModel } from '../../../engine/model'
import { logits, lowestTrainableBlock, planWeights, writeWeights } from '../../../engine/programs/index'
import { saveModel } from '../../../engine/save'
import type { WeightSource } from '../../../engine/session'
import { train } from '../../../engine/train/train'
import { BACKEND_NAMES, BACKENDS, tensorFlow } from '../support/backend'
import { maxDifference } from '../support/fixtures'
import { randomIds, randomModel, TINY_GPT2, TINY_LLAMA } from '../support/tiny'
import { ARGUMENTS, encoded, loadTiny, textRows } from '../support/tiny-gguf'

let dir: string
beforeAll(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-lora-'))
})
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }))

const bits = (values: Float32Array) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)
const UNTIED = { ...TINY_LLAMA, tie_word_embeddings: false }

async function logitsOf(
  source: WeightSource,
  backend: keyof typeof BACKENDS = 'tensorflow',
  precision: 'fp32' | 'bf16' = 'fp32',
  trainable: readonly string[] = [],
) {
  const plan = planWeights(source.model, { trainable, precision })
  const program = logits(plan, { batch: 2, length: 9 })
  const executable = await (await BACKENDS[backend]()).compile([program])
  await writeWeights(executable, plan, (name) => source.read(name))
  const out = (await executable.run(program.name, { ids: randomIds(18, 120) })).logits as Float32Array
  executable.close()
  return out
}

/** Changes of some size, and magnitudes that differ from the lengths they began as. */
const random = (settings: Partial<AdapterConfig>, config: Record<string, unknown> = TINY_LLAMA) =>
  createAdapter(randomModel(config), { r: 3, lora_alpha: 2, init_lora_weights: false, ...settings }, { seed: 5 })

describe.each([
  ['llama', TINY_LLAMA],
  ['gpt2', TINY_GPT2],
])('%s', (_, config) => {
  test.each(BACKEND_NAMES)('E-8: a new adapter computes what the base computes, to the last bit, on %s', async (backend) => {
    const base = randomModel(config)
    const adapted = createAdapter(base, { r: 4 })
    const [a, b] = [await logitsOf(base, backend), await logitsOf(adapted, backend)]
    expect(bits(b).equals(bits(a))).toBe(true)
    // Its A's are not zero: B alone makes the change nothing.
    expect(adapted.trainable.some((name) => name.includes('lora_A') && adapted.read(name).every((x) => x !== 0))).toBe(true)
  })

  test.each<[string, Partial<AdapterConfig>]>([
    ['LoRA', {}],
    ['rsLoRA', { use_rslora: true }],
    ['DoRA', { use_dora: true }],
    ['a head of its own', { target_modules: config === TINY_GPT2 ? ['c_attn', 'lm_head'] : ['q_proj', 'lm_head'] }],
    ['a rank and alpha of its own in block 2', { rank_pattern: { '[^.]*\\.[^.]*\\.2\\..*': 5 }, alpha_pattern: { '.*\\.2\\..*': 9 } }],
  ])('E-8: merged equals unmerged within 1e-5: %s', async (__, settings) => {
    const adapted = random(settings, config)
    const [a, b, base] = [await logitsOf(adapted), await logitsOf(mergeAdapter(adapted)), await logitsOf(adapted.base)]
    expect(maxDifference(a, b)).toBeLessThan(1e-5)
    expect(maxDifference(a, base)).toBeGreaterThan(0.05)
  })
})

test('E-7: in bf16 the change is computed in bf16 too, and stays close', async () => {
  const adapted = random({ use_dora: true })
  expect(maxDifference(await logitsOf(adapted), await logitsOf(adapted, 'tensorflow', 'bf16'))).toBeLessThan(0.05)
})

test('DoRA measures a base weight that trains as well anew, not by what it once was', async () => {
  const name = 'model.layers.1.mlp.up_proj.weight'
  const adapted = random({ use_dora: true, target_modules: ['up_proj'] })
  const twice = { ...adapted, read: (asked: string) => (asked === name ? adapted.read(asked).map((x) => 2 * x) : adapted.read(asked)) }
  const moved = createAdapter({ model: adapted.base.model, read: twice.read }, { ...adapted.config }, { seed: 5 })
  const magnitudes = { ...moved, read: (asked: string) => (asked.includes('magnitude') ? adapted.read(asked) : moved.read(asked)) }
  expect(maxDifference(await logitsOf(twice, 'tensorflow', 'fp32', [name]), await logitsOf(magnitudes))).toBeLessThan(1e-5)
  expect(maxDifference(await logitsOf(twice), await logitsOf(magnitudes))).toBeGreaterThan(1e-3)
})

describe('which layers get a change', () => {
  const changed = (settings: Partial<AdapterConfig>, config: Record<string, unknown> = TINY_LLAMA) => [
    ...random(settings, config).model.adapters.keys(),
  ]
  test('all-linear is every matrix but the head', () => {
    expect(changed({})).toEqual(
      randomModel(UNTIED)
        .model.parameters.filter(({ name, shape }) => shape.length === 2 && !/embed|lm_head/.test(name))
        .map(({ name }) => name),
    )
    expect(changed({}, UNTIED)).not.toContain('lm_head.weight')
  })
  test('names, paths, patterns, exclusions and blocks choose', () => {
    const q = (blocks: number[]) => blocks.map((block) => `model.layers.${block}.self_attn.q_proj.weight`)
    expect(changed({ target_modules: ['q_proj'] })).toEqual(q([0, 1, 2, 3]))
    expect(changed({ target_modules: ['layers.1.self_attn.q_proj'] })).toEqual(q([1]))
    expect(changed({ target_modules: 'model\\.layers\\.[13]\\..*q_proj' })).toEqual(q([1, 3]))
    expect(changed({ target_modules: ['q_proj'], exclude_modules: ['layers.0.self_attn.q_proj'] })).toEqual(q([1, 2, 3]))
    expect(changed({ target_modules: ['q_proj'], layers_to_transform: [2, 3] })).toEqual(q([2, 3]))
    expect(changed({ target_modules: ['q_proj'], layers_to_transform: [2], layers_pattern: ['layers'] })).toEqual(q([2]))
  })
  test.each<[string, Partial<AdapterConfig>, RegExp]>([
    ['a name that no layer has', { target_modules: ['q_proj', 'query'] }, /no linear layer.*"query".*q_proj, k_proj/],
    ['nothing', { target_modules: ['q_proj'], exclude_modules: ['q_proj'] }, /changes nothing/],
    ['an embedding', { target_modules: ['embed_tokens'] }, /embedding cannot.*modules_to_save/],
    ['a pattern that repeats a group', { target_modules: '(a+)+b' }, /repeats a group/],
    ['no regular expression', { target_modules: '[' }, /not a regular expression/],
    ['an unknown module to save', { modules_to_save: ['score'] }, /no module.*"score"/],
    ['dropout', { lora_dropout: 0.1 }, /lora_dropout/],
  ])('refused: %s', (_, settings, message) => {
    expect(() => random(settings)).toThrowError(message)
  })
})

test("a new adapter begins as PEFT's does: A uniform within 1/√inputs or normal with σ 1/r, B zero, magnitudes the lengths", () => {
  const base = randomModel(TINY_LLAMA)
  const values = (settings: Partial<AdapterConfig>, part: string, seed = 1) => {
    const adapted = createAdapter(base, { r: 8, target_modules: ['up_proj'], ...settings }, { seed })
    return Float32Array.from(adapted.trainable.filter((name) => name.includes(part)).flatMap((name) => [...adapted.read(name)]))
  }
  const spread = (list: Float32Array) => Math.sqrt(list.reduce((sum, x) => sum + x * x, 0) / list.length)
  const bound = 1 / Math.sqrt(32)
  const a = values({}, 'lora_A')
  expect(a.length).toBe(4 * 8 * 32)
  expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound)
  expect(spread(a)).toBeCloseTo(bound / Math.sqrt(3), 2)
  expect(values({}, 'lora_B').every((x) => x === 0)).toBe(true)
  expect(spread(values({ init_lora_weights: 'gaussian' }, 'lora_A'))).toBeCloseTo(1 / 8, 2)
  const b = values({ init_lora_weights: false }, 'lora_B')
  expect(spread(b)).toBeCloseTo(1 / Math.sqrt(8) / Math.sqrt(3), 1)
  expect(values({}, 'lora_A', 1)).toEqual(a)
  expect(values({}, 'lora_A', 2)).not.toEqual(a)
  const m = values({ use_dora: true }, 'magnitude')
  const w = base.read('model.layers.0.mlp.up_proj.weight')
  expect(m[3]).toBeCloseTo(Math.hypot(...w.slice(96, 128)), 6)
})

describe('a tied model', () => {
  test('F-23: a head of its own unties it, and the exported folder says so', async () => {
    const tied = path.join(dir, 'tied')
    const tiny = loadTiny()
    await saveModel(tied, tiny)
    tiny.close()
    const file = path.join(tied, 'config.json')
    fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, 'utf8')), tie_word_embeddings: true }))
    const base = loadModel(tied)
    expect(base.model.config.tiedEmbeddings).toBe(true)
    const adapted = createAdapter(base, { r: 2, target_modules: ['q_proj'], modules_to_save: ['lm_head'], init_lora_weights: false })
    expect(adapted.trainable).toContain('lm_head.weight')
    expect(bits(adapted.read('lm_head.weight')).equals(bits(base.read('model.embed_tokens.weight')))).toBe(true)
    const head = adapted.read('lm_head.weight').map((x) => x * 1.5)
    const trained = await withValues(adapted, { names: ['lm_head.weight'], read: async () => head })
    const merged = mergeAdapter(trained)
    const folder = path.join(dir, 'untied')
    await saveModel(folder, merged)
    const again = loadModel(folder)
    expect(again.model.config.tiedEmbeddings).toBe(false)
    expect(maxDifference(again.read('lm_head.weight'), head)).toBe(0)
    expect(maxDifference(again.read('model.embed_tokens.weight'), base.read('model.embed_tokens.weight'))).toBe(0)
    again.close()
    base.close()
  })
  test('stays tied where neither head nor embedding changes', () => {
    expect(random({}).model.config.tiedEmbeddings).toBe(true)
    expect(random({ target_modules: ['q_proj', 'lm_head'] }).model.config.tiedEmbeddings).toBe(false)
  })
})

describe('F-18, F-19: adapter folders', () => {
  const base = randomModel(UNTIED)
  const write = async (name: string, settings: Partial<AdapterConfig> = {}) => {
    const folder = path.join(dir, name)
    const adapted = createAdapter(base, { r: 3, target_modules: ['q_proj', 'v_proj'], init_lora_weights: false, ...settings })
    await saveAdapter(folder, adapted, { metadata: { 'thaw.seed': '1' } })
    return { folder, adapted }
  }
  const config = (folder: string) => JSON.parse(fs.readFileSync(path.join(folder, 'adapter_config.json'), 'utf8'))

  test('what is written reads back to the same bits and settings', async () => {
    const { folder, adapted } = await write('round', {
      use_dora: true,
      use_rslora: true,
      modules_to_save: ['lm_head'],
      rank_pattern: { q_proj: 2 },
    })
    const again = loadAdapter(base, folder)
    expect(again.trainable).toEqual(adapted.trainable)
    expect(again.config).toEqual(adapted.config)
    for (const name of adapted.trainable) expect(bits(again.read(name)).equals(bits(adapted.read(name))), name).toBe(true)
    expect(fs.readdirSync(folder).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors'])
    const file = SafetensorsFile.open(path.join(folder, 'adapter_model.safetensors'))
    expect(file.tensors.get('base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight')?.shape).toEqual([2, 32])
    expect(file.tensors.has('base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector')).toBe(true)
    expect(file.tensors.has('base_model.model.lm_head.weight')).toBe(true)
    file.close()
  })

  test('target layers are written so that PEFT finds exactly these', async () => {
    expect(config((await write('names')).folder).target_modules).toEqual(['q_proj', 'v_proj'])
    expect(config((await write('block', { layers_to_transform: [3], target_modules: ['q_proj'] })).folder)).toMatchObject({
      target_modules: ['model.layers.3.self_attn.q_proj'],
      layers_to_transform: null,
    })
    expect(config((await write('all', { target_modules: 'all-linear' })).folder).target_modules).toHaveLength(7)
    const gpt2 = createAdapter(randomModel(TINY_GPT2), { r: 2 })
    await saveAdapter(path.join(dir, 'gpt2'), gpt2)
    expect(config(path.join(dir, 'gpt2')).fan_in_fan_out).toBe(true)
  })

  test('the copy of the head that PEFT writes along with a change beside it is taken for what it is', async () => {
    const { folder, adapted } = await write('head', { target_modules: ['q_proj', 'lm_head'] })
    const head = base.read('lm_head.weight')
    await tensor(folder, 'base_model.model.lm_head.base_layer.weight', [120, 32], bits(head))
    expect(loadAdapter(base, folder).trainable).toEqual(adapted.trainable)
  })

  test.each<[string, (folder: string) => void | Promise<void>, RegExp]>([
    ['another rank than the file', (folder) => patch(folder, { r: 4 }), /shape that its configuration.*q_proj.lora_A.*\[4,32\].*\[3,32\]/],
    ['magnitudes that are not there', (folder) => patch(folder, { use_dora: true }), /missing.*magnitude/],
    ['a module that is not there', (folder) => patch(folder, { modules_to_save: ['lm_head'] }), /missing.*lm_head/],
    ['another kind of adapter', (folder) => patch(folder, { peft_type: 'IA3' }), /peft_type.*"IA3"/],
    ['PiSSA', (folder) => patch(folder, { init_lora_weights: 'pissa' }), /init_lora_weights.*pissa/],
    ['a field that is not built', (folder) => patch(folder, { layer_replication: [[0, 2]] }), /layer_replication/],
    ['no rank', (folder) => patch(folder, { r: undefined }), /adapter_config.json, r\b/],
    ['no weights', (folder) => fs.rmSync(path.join(folder, 'adapter_model.safetensors')), /no adapter_model\.safetensors/],
    ['no configuration', (folder) => fs.rmSync(path.join(folder, 'adapter_config.json')), /no adapter_config\.json/],
    ['names of another tool', (folder) => tensor(folder, 'lora.weight'), /name that PEFT gives.*lora\.weight/],
    ['a layer of another model', (folder) => tensor(folder, 'base_model.model.h.0.lora_A.weight'), /another model.*h\.0/],
    ['another head', (folder) => tensor(folder, 'base_model.model.lm_head.base_layer.weight'), /beside other weights.*lm_head/],
    ['a changed embedding', (folder) => tensor(folder, 'base_model.model.model.embed_tokens.lora_embedding_A'), /embedding cannot/],
    ['a tensor too many', (folder) => tensor(folder, 'base_model.model.model.norm.weight'), /does not speak of.*model\.norm/],
  ])('refused: %s', async (name, spoil, message) => {
    const { folder } = await write(`spoilt-${name.replaceAll(' ', '-')}`)
    await spoil(folder)
    expect(() => loadAdapter(base, folder)).toThrowError(message)
  })

  const patch = (folder: string, change: object) =>
    fs.writeFileSync(path.join(folder, 'adapter_config.json'), JSON.stringify({ ...config(folder), ...change }))
  /** The file with one tensor more. */
  async function tensor(folder: string, name: string, shape = [1], bytes: Uint8Array = new Uint8Array(4)) {
    const file = path.join(folder, 'adapter_model.safetensors')
    const open = SafetensorsFile.open(file)
    const all = [...open.tensors].map(([key, { shape }]) => ({ key, shape, bytes: open.readBytes(key) }))
    open.close()
    await writeSafetensors(
      file,
      [...all, { key: name, shape, bytes }].map(({ key, shape, bytes }) => ({
        name: key,
        dtype: 'F32' as const,
        shape,
        bytes: () => bytes,
      })),
    )
  }

  test('what changes nothing in the arithmetic is read over', () => {
    expect(
      parseAdapterConfig({ peft_type: 'LORA', r: 1, lora_alpha: 1, megatron_core: 'm', loftq_config: {}, task_type: 'CAUSAL_LM' }).r,
    ).toBe(1)
  })
})

describe('training an adapter', () => {
  test('E-2, E-3: only the adapter moves, frozen blocks below are run once, and the loss falls', async () => {
    const base = loadTiny()
    const top = base.model.config.blocks - 1
    const adapted = createAdapter(base, { r: 4, layers_to_transform: [top], use_dora: true })
    expect(lowestTrainableBlock(planWeights(adapted.model, { trainable: adapted.trainable, precision: 'bf16' }))).toBe(top)
    const data = await encoded(base, textRows(24))
    const losses: number[] = []
    let trained: typeof adapted | null = null
    const scratch = path.join(dir, 'scratch')
    const events = train({
      backend: await tensorFlow(),
      weights: adapted,
      data,
      trainable: adapted.trainable,
      args: { ...ARGUMENTS, num_train_epochs: 4, warmup_steps: 0, learning_rate: 1e-2, bf16: true },
      scratch,
    })
    for await (const event of events) {
      if (event.type === 'step') losses.push(event.loss)
      if (event.type === 'done') trained = await withValues(adapted, event.weights)
    }
    expect(losses.at(-1) as number).toBeLessThan((losses[0] as number) - 0.3)
    expect(trained).not.toBeNull()
    const result = trained as unknown as typeof adapted
    for (const name of result.trainable) expect(maxDifference(result.read(name), adapted.read(name)), name).toBeGreaterThan(0)
    const merged = mergeAdapter(result)
    const moved = merged.model.parameters
      .filter(({ name }) => !bits(merged.read(name)).equals(bits(base.read(name))))
      .map(({ name }) => name)
    expect(moved.sort()).toEqual([...adapted.model.adapters.keys()].sort())
    expect(moved.every((name) => name.includes(`.${top}.`))).toBe(true)
    expect(result.trainable.reduce((sum, name) => sum + result.read(name).length, 0)).toBe(
      adapted.model.parameters.filter(({ name }) => adapted.trainable.includes(name)).reduce((sum, { shape }) => sum + sizeOf(shape), 0),
    )
    base.close()
  })
})
