import * as fs from 'node:fs'
import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { openHfFolder } from '../../../engine/formats/hf-folder'
import { sizeOf } from '../../../engine/graph/types'
import { canonicalName, describeModel, MODEL_TYPES } from '../../../engine/models/index'
import { REFERENCE, REFERENCE_MODELS, readJson } from '../support/fixtures'

const smollm = {
  model_type: 'llama',
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  tie_word_embeddings: true,
  rope_theta: 100000,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 8192,
} // prettier-ignore
const qwen3 = { ...smollm, model_type: 'qwen3', head_dim: 64 }
const gpt2 = { model_type: 'gpt2', vocab_size: 50257, n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024 }

test('an architecture is one file, named like the model_type it reads', () => {
  const folder = path.resolve(import.meta.dirname, '../../../engine/models')
  const shared = ['architecture', 'config', 'decoder', 'index', 'network']
  const files = fs.readdirSync(folder).map((name) => path.basename(name, '.ts'))
  expect(files.filter((name) => !shared.includes(name)).sort()).toEqual([...MODEL_TYPES].sort())
  const types = REFERENCE_MODELS.map((name) => readJson(path.join(REFERENCE, 'models', name, 'config.json')).model_type)
  expect([...new Set(types)].sort()).toEqual([...MODEL_TYPES].sort())
})

test.each(REFERENCE_MODELS)('the parameters of %s are those of its checkpoint: names and shapes', (name) => {
  const folder = path.join(REFERENCE, 'models', name)
  const source = openHfFolder(folder)
  const model = describeModel(readJson(path.join(folder, 'config.json')))
  const stored = [...source.tensors].flatMap(([key, { shape }]) => {
    const own = canonicalName(model, key)
    return own ? [[own, [...shape]] as const] : []
  })
  expect(Object.fromEntries(model.parameters.map((parameter) => [parameter.name, [...parameter.shape]]))).toEqual(
    Object.fromEntries(stored),
  )
  source.close()
})

test.each([
  ['SmolLM2-135M', smollm, 134_515_008],
  ['GPT-2 small', gpt2, 124_439_808],
])('%s has as many parameters as published', (_, config, count) => {
  expect(describeModel(config).parameters.reduce((sum, { shape }) => sum + sizeOf(shape), 0)).toBe(count)
})

test('parameters know their block and part', () => {
  const { parameters } = describeModel(smollm)
  const of = (name: string) => parameters.find((parameter) => parameter.name === name)
  expect(of('model.layers.10.self_attn.q_proj.weight')).toMatchObject({ block: 10, part: 'attention' })
  expect(of('model.layers.1.mlp.down_proj.weight')).toMatchObject({ block: 1, part: 'mlp' })
  expect(of('model.embed_tokens.weight')).toMatchObject({ block: null, part: 'embedding' })
  expect(of('model.norm.weight')).toMatchObject({ block: null, part: 'norm' })
  expect(of('lm_head.weight')).toBeUndefined()
  const untied = describeModel({ ...smollm, tie_word_embeddings: false })
  expect(untied.parameters.find((parameter) => parameter.name === 'lm_head.weight')).toMatchObject({ block: null, part: 'head' })
})

test('GPT-2: reorder_and_upcast_attn asks for what is computed anyway, float32 attention', () => {
  expect(describeModel({ ...gpt2, reorder_and_upcast_attn: true }).config).toEqual(describeModel(gpt2).config)
})

test('GPT-2 keys of the hub and of transformers mean the same, and masks are no parameters', () => {
  const model = describeModel(gpt2)
  expect(canonicalName(model, 'h.3.attn.c_attn.weight')).toBe('transformer.h.3.attn.c_attn.weight')
  expect(canonicalName(model, 'transformer.wte.weight')).toBe('transformer.wte.weight')
  expect(canonicalName(model, 'h.3.attn.bias')).toBeNull()
  expect(canonicalName(model, 'transformer.h.3.attn.masked_bias')).toBeNull()
  expect(canonicalName(model, 'h.3.attn.c_attn.bias')).toBe('transformer.h.3.attn.c_attn.bias')
})

test('both spellings of rotary settings give the same model', () => {
  const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 32 }
  const hub = describeModel({ ...smollm, rope_theta: 10000, rope_scaling: scaling })
  const five = describeModel({ ...smollm, rope_theta: undefined, rope_parameters: { ...scaling, rope_theta: 10000 } })
  expect(five.config).toEqual(hub.config)
  expect(describeModel({ ...smollm, rope_scaling: { type: 'linear', factor: 2 } }).config).toMatchObject({
    rope: { scaling: { type: 'linear', factor: 2 } },
  })
})

test('silence in config.json means what transformers assumes', () => {
  const { head_dim: _, num_key_value_heads: __, ...silent } = { ...qwen3, num_attention_heads: 32 }
  expect(describeModel(silent).config).toMatchObject({ headDim: 128, kvHeads: 32, windows: Array(30).fill(undefined) })
  const mistral = { ...smollm, model_type: 'mistral', num_attention_heads: 8, num_key_value_heads: 4 }
  expect(describeModel(mistral).config).toMatchObject({ window: 4096, headDim: 72 })
  expect(describeModel({ ...mistral, sliding_window: null }).config).toMatchObject({ window: undefined })
  // Qwen's window needs two settings, and only its upper layers have one.
  const windows = (settings: object) =>
    (describeModel({ ...qwen3, num_hidden_layers: 3, sliding_window: 16, ...settings }).config as { windows?: unknown }).windows
  expect(windows({})).toEqual([undefined, undefined, undefined])
  expect(windows({ use_sliding_window: true, max_window_layers: 1 })).toEqual([undefined, 16, 16])
  expect(windows({ use_sliding_window: true, layer_types: ['sliding_attention', 'full_attention', 'full_attention'] })).toEqual([
    16,
    undefined,
    undefined,
  ])
})

test('both spellings of Gemma 3 give the same model', () => {
  const gemma = { ...smollm, model_type: 'gemma3_text', num_hidden_layers: 4, sliding_window: 8, head_dim: 64, query_pre_attn_scalar: 64 }
  const hub = describeModel({
    ...gemma,
    rope_theta: 1e6,
    rope_local_base_freq: 1e4,
    rope_scaling: { rope_type: 'linear', factor: 8 },
    sliding_window_pattern: 2,
  })
  const five = describeModel({
    ...gemma,
    layer_types: ['sliding_attention', 'full_attention', 'sliding_attention', 'full_attention'],
    rope_parameters: {
      full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1e6 },
      sliding_attention: { rope_type: 'default', rope_theta: 1e4 },
    },
  })
  expect(five.config).toEqual(hub.config)
  expect(five.config).toMatchObject({
    windows: [8, undefined, 8, undefined],
    rope: { theta: 1e6, scaling: { type: 'linear', factor: 8 } },
    localRope: { theta: 1e4, scaling: { type: 'default' } },
    finalSoftcap: undefined,
  })
  // Gemma 2 caps unless the file says null.
  const gemma2 = { ...gemma, model_type: 'gemma2' }
  expect(describeModel(gemma2).config).toMatchObject({ attentionSoftcap: 50, finalSoftcap: 30, windows: [8, undefined, 8, undefined] })
  expect(describeModel({ ...gemma2, attn_logit_softcapping: null }).config).toMatchObject({ attentionSoftcap: undefined, finalSoftcap: 30 })
})

describe('what is not built is refused by name', () => {
  test.each([
    [{ ...smollm, model_type: 'mamba' }, /architecture "mamba".*llama/],
    [{}, /architecture null/],
    [{ ...smollm, hidden_act: 'gelu' }, /hidden_act.*expected silu; got "gelu"/],
    [{ ...smollm, rope_scaling: { rope_type: 'yarn', factor: 4 } }, /rope_scaling\.rope_type/],
    [{ ...smollm, rope_scaling: { rope_type: 'llama3', factor: 4 } }, /rope_scaling\.low_freq_factor/],
    [{ ...smollm, num_key_value_heads: 4 }, /num_key_value_heads/],
    [{ ...smollm, quantization_config: { bits: 4 } }, /quantization_config/],
    [{ ...qwen3, num_experts: 8 }, /num_experts.*dense/],
    [{ ...smollm, model_type: 'mixtral', num_local_experts: 8 }, /num_local_experts/],
    [{ model_type: 'gemma3', vision_config: { hidden_size: 8 } }, /vision_config.*text alone/],
    [{ ...qwen3, layer_types: ['full_attention'] }, /layer_types.*each of 30 layers/],
    [{ ...qwen3, num_hidden_layers: 1, layer_types: ['chunked_attention'] }, /layer_types.*chunked_attention/],
    [{ ...qwen3, sliding_window: 0 }, /sliding_window/],
    [{ ...smollm, model_type: 'gemma2', hidden_activation: 'gelu' }, /hidden_activation.*gelu_pytorch_tanh/],
    [{ ...smollm, model_type: 'gemma3_text', use_bidirectional_attention: true }, /use_bidirectional_attention.*causal/],
    [{ ...smollm, model_type: 'phi3', partial_rotary_factor: 0.75 }, /partial_rotary_factor/],
    [{ ...smollm, model_type: 'phi3', rope_parameters: { partial_rotary_factor: 0.5 } }, /partial_rotary_factor/],
    [{ ...smollm, model_type: 'phi3', rope_scaling: { type: 'longrope', short_factor: [1] } }, /rope_type.*longrope/],
    [{ ...smollm, hidden_size: undefined }, /hidden_size/],
    [{ ...gpt2, activation_function: 'mish' }, /activation_function/],
    [{ ...gpt2, activation_function: 'constructor' }, /activation_function/],
    [{ ...gpt2, add_cross_attention: true }, /add_cross_attention/],
  ])('%#', (config, message) => {
    expect(() => describeModel(config)).toThrowError(message)
  })
})
