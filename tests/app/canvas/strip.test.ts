import { describe, expect, it } from 'vitest'
import { byWords, matches, wordRank } from '../../../app/canvas/search'
import { coreWidth, stripOf, trains, warmth } from '../../../app/canvas/strip'
import { wirePath } from '../../../app/canvas/wire'
import { sliderRange } from '../../../app/forms/number-field'
import type { AnyNode } from '../../../nodes/_kit/define-node'
import type { Fact, ParameterFact } from '../../../nodes/_kit/facts'
import { emptyPipeline, type Pipeline } from '../../../nodes/_kit/graph'
import { inferGraph } from '../../../nodes/_kit/infer'
import { registry } from '../../../nodes/index'

const parameters: ParameterFact[] = [
  { name: 'model.embed_tokens.weight', shape: [64, 8], block: null, part: 'embedding' },
  ...Array.from(
    { length: 6 },
    (_, block): ParameterFact => ({ name: `model.layers.${block}.mlp.up_proj.weight`, shape: [8, 8], block, part: 'mlp' }),
  ),
]
const model: Fact = {
  kind: 'model',
  header: {
    name: 'Six',
    modelType: 'llama',
    dtype: 'F32',
    sizeBytes: 1,
    blocks: 6,
    hiddenSize: 8,
    intermediateSize: 8,
    attentionHeads: 1,
    keyValueHeads: 1,
    headDim: 8,
    vocabSize: 64,
    contextLength: 64,
    tiedEmbeddings: true,
    hasChatTemplate: true,
    license: null,
    parameters,
    downloaded: true,
  },
}
const data: Fact = {
  kind: 'data',
  header: {
    name: 'a.jsonl',
    container: 'jsonl',
    rows: 10,
    rowsExact: true,
    sizeBytes: 10,
    columns: ['prompt', 'completion'],
    detected: { format: 'prompt_completion', reason: '', alternatives: [] },
    chars: { mean: 9, max: 9 },
    sample: [],
  },
}
const pipeline = (freeze: boolean): Pipeline => ({
  ...emptyPipeline(),
  nodes: {
    model: { type: 'load-model', version: 1, params: { model: 'm' } },
    freeze: { type: 'freeze-layers', version: 1, params: { mode: 'last', count: 2, parts: ['mlp'] } },
    data: { type: 'load-data', version: 1, params: { file: 'a.jsonl' } },
    train: { type: 'train', version: 1, params: {} },
    validate: { type: 'validate', version: 1, params: {} },
    export: { type: 'export', version: 1, params: {} },
  },
  edges: [
    { from: { node: 'model', port: 'model' }, to: { node: 'freeze', port: 'model' } },
    { from: { node: freeze ? 'freeze' : 'model', port: 'model' }, to: { node: 'train', port: 'model' } },
    { from: { node: 'data', port: 'data' }, to: { node: 'train', port: 'data' } },
    { from: { node: 'train', port: 'model' }, to: { node: 'export', port: 'model' } },
    { from: { node: 'train', port: 'model' }, to: { node: 'validate', port: 'model' } },
  ],
})
const nodes = (freeze: boolean) => inferGraph(pipeline(freeze), registry, { 'model:m': model, 'data:a.jsonl': data }).nodes

describe('D-20: what a strip says', () => {
  it('at rest after Load model, open after Freeze layers, the same in Train and Export; nodes that only look at a model have none', () => {
    const inferred = nodes(true)
    const blocks = (id: string) => (inferred[id] ? stripOf(inferred[id])?.model.blocks : undefined)
    expect(blocks('model')).toEqual([0, 0, 0, 0, 0, 0])
    for (const id of ['freeze', 'train', 'export']) expect(blocks(id), id).toEqual([0, 0, 0, 0, 1, 1])
    expect(blocks('data')).toBeUndefined()
    expect(blocks('validate')).toBeUndefined()
    expect(inferred.model && stripOf(inferred.model)?.name).toBe('Six')
  })

  it('Train is all warm when nothing was frozen before it', () => {
    const { train } = nodes(false)
    expect(train && stripOf(train)?.model.blocks).toEqual([1, 1, 1, 1, 1, 1])
  })

  it('D-7: only what takes a model, needs data and gives a model trains', () => {
    expect(
      Object.values(registry)
        .filter((def) => trains(def as AnyNode))
        .map((def) => def.type),
    ).toEqual(['train', 'train-preference'])
  })
})

describe('D-25: the model wire', () => {
  it('has no core when nothing is thawed, and one as thick as the thawed share otherwise', () => {
    const inferred = nodes(true)
    expect(warmth(inferred.model?.outputs.model)).toBe(0)
    expect(coreWidth(0)).toBe(0)
    expect(warmth(inferred.freeze?.outputs.model)).toBeCloseTo(1 / 3)
    expect(coreWidth(10 / 30)).toBeCloseTo(2.67, 2)
    expect(coreWidth(warmth(nodes(false).train?.outputs.model))).toBe(5)
    expect(warmth(inferred.data?.outputs.data)).toBe(0)
  })
  it('leaves and arrives level', () => {
    expect(wirePath(0, 10, 100, 90)).toMatch(/^M0 10C[\d.]+ 10 [\d.-]+ 90 100 90$/)
  })
})

describe('UX-27: search by every word in name, summary and tags', () => {
  it('finds by title first, by tag and summary too, and by nothing that is missing one word', () => {
    const found = (query: string) =>
      Object.values(registry)
        .map((def) => ({ type: def.type, score: matches(def as AnyNode, query) }))
        .filter(({ score }) => score > 0)
        .sort((a, b) => b.score - a.score)
        .map(({ type }) => type)
    expect(found('train')[0]).toBe('train')
    expect(found('gguf')).toContain('load-model')
    expect(found('held-out')).toContain('split-data')
    expect(found('load zebra')).toEqual([])
    expect(found('')).toHaveLength(Object.keys(registry).length)
  })
  it('UX-27: keeps the given order among what matches, whatever was typed before', () => {
    const choices = ['Add Train Model model free', 'Add Train Model model taken', 'Add Export Model model free']
    const same = (text: string) => text
    expect(byWords(choices, 'add tr', same)).toEqual(choices.slice(0, 2))
    expect(byWords(choices, 'add train model', same)).toEqual(choices.slice(0, 2))
    // A word begins somewhere: "rain" is inside Train, but nobody starts typing it there.
    expect(byWords(choices, 'rain', same)).toEqual([])
    expect(byWords(choices, '', same)).toEqual(choices)
  })
  it('ranks commands by where the words stand', () => {
    expect(wordRank('Run to here', 'here run')).toBeGreaterThan(0)
    expect(wordRank('Run to here', 'zoom')).toBe(0)
    expect(wordRank('x', 'add freeze', ['Add Freeze layers'])).toBeGreaterThan(0)
  })
})

describe('sliders', () => {
  it('stand where both ends mean something; a wide log range is narrowed around the usual value', () => {
    expect(sliderRange({ kind: 'number', integer: false, min: 1e-7, max: 1, scale: 'log' }, 5e-4)).toEqual({ min: 1e-5, max: 0.1 })
    expect(sliderRange({ kind: 'number', integer: false, min: 0, max: 1, scale: 'linear' }, 0.1)).toEqual({ min: 0, max: 1 })
    expect(sliderRange({ kind: 'number', integer: true, min: 1, max: 1000, scale: 'linear' }, 4)).toBeNull()
    expect(sliderRange({ kind: 'number', integer: false, min: 0, scale: 'linear' }, 4)).toBeNull()
  })
})
