import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CellKey, cellKey, choiceOf, gridOf, openCells, openNames, patternsFor } from '../../../app/forms/layer-choice'
import type { ParameterFact } from '../../../nodes/_kit/facts'
import { BLOCK_PARTS, type FreezeChoice, resolveFreeze } from '../../../nodes/_kit/freeze'

/** Named as SmolLM2 names them; numbers are small, their sum does not matter here. */
const llama = (blocks: number) => {
  const parameters: ParameterFact[] = [{ name: 'model.embed_tokens.weight', shape: [64, 8], block: null, part: 'embedding' }]
  for (let b = 0; b < blocks; b++) {
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj'])
      parameters.push({ name: `model.layers.${b}.self_attn.${name}.weight`, shape: [8, 8], block: b, part: 'attention' })
    for (const name of ['gate_proj', 'up_proj', 'down_proj'])
      parameters.push({ name: `model.layers.${b}.mlp.${name}.weight`, shape: [8, 24], block: b, part: 'mlp' })
    for (const name of ['input_layernorm', 'post_attention_layernorm'])
      parameters.push({ name: `model.layers.${b}.${name}.weight`, shape: [8], block: b, part: 'norm' })
  }
  parameters.push({ name: 'model.norm.weight', shape: [8], block: null, part: 'norm' })
  return { name: 'Llama', blocks, tiedEmbeddings: true, parameters }
}
const gpt2 = (blocks: number) => {
  const parameters: ParameterFact[] = [{ name: 'transformer.wte.weight', shape: [64, 8], block: null, part: 'embedding' }]
  for (let b = 0; b < blocks; b++)
    for (const [name, part] of [
      ['attn.c_attn', 'attention'],
      ['attn.c_proj', 'attention'],
      ['mlp.c_fc', 'mlp'],
      ['mlp.c_proj', 'mlp'],
      ['ln_1', 'norm'],
      ['ln_2', 'norm'],
    ] as const)
      for (const kind of ['weight', 'bias']) parameters.push({ name: `transformer.h.${b}.${name}.${kind}`, shape: [8], block: b, part })
  return { name: 'GPT-2', blocks, tiedEmbeddings: true, parameters }
}
const choice: FreezeChoice = {
  mode: 'last',
  count: 4,
  blocks: [],
  patterns: [],
  parts: [...BLOCK_PARTS],
  train_embeddings: false,
  train_head: false,
  train_norms: false,
}
const anyCells = (blocks: number) =>
  fc.subarray(Array.from({ length: blocks }, (_, b) => BLOCK_PARTS.map((part) => cellKey(b, part))).flat())

describe('UX-42: the layer grid', () => {
  it('marks exactly what the node opens', () => {
    const model = llama(30)
    const cells = openCells(gridOf(model, openNames({ ...choice, count: 10, parts: ['attention', 'mlp'] }, model)))
    expect(cells.size).toBe(20)
    expect(cells.has('20.attention')).toBe(true)
    expect(cells.has('20.norm')).toBe(false)
    expect(cells.has('19.mlp')).toBe(false)
  })

  it('writes the settings a person would: last, first, exact blocks, else patterns', () => {
    const model = llama(30)
    const of = (keys: CellKey[]) => choiceOf(new Set(keys), model, choice)
    const rows = (from: number, to: number, parts = BLOCK_PARTS.slice()) =>
      Array.from({ length: to - from + 1 }, (_, i) => parts.map((part) => cellKey(from + i, part))).flat()
    expect(of(rows(20, 29))).toMatchObject({ mode: 'last', count: 10, parts: ['attention', 'mlp', 'norm'] })
    expect(of(rows(0, 4, ['mlp']))).toMatchObject({ mode: 'first', count: 5, parts: ['mlp'] })
    expect(of(rows(3, 4, ['attention']))).toMatchObject({ mode: 'blocks', blocks: [3, 4], parts: ['attention'] })
    expect(of([...rows(20, 29, ['attention']), ...rows(25, 29, ['mlp'])])).toMatchObject({
      mode: 'patterns',
      patterns: ['model.layers.{20..29}.self_attn.*', 'model.layers.{25..29}.mlp.*'],
    })
    expect(of([])).toMatchObject({ mode: 'blocks', blocks: [] })
  })

  it.each([llama(6), gpt2(5)])('any cells can be marked, and the settings open exactly those ($name)', async (model) => {
    await fc.assert(
      fc.property(anyCells(model.blocks), fc.boolean(), (keys, train_norms) => {
        const marked = new Set(train_norms ? [...keys, ...Array.from({ length: model.blocks }, (_, b) => cellKey(b, 'norm'))] : keys)
        const next = { ...choice, ...choiceOf(marked, model, { ...choice, train_norms }) }
        expect(openCells(gridOf(model, openNames(next, model)))).toEqual(marked)
        // What the node then refuses is only what leaves nothing open.
        if (marked.size > 0) expect(resolveFreeze(next, model).problems.filter((p) => p.severity === 'error')).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it('closing one norm takes the switch for all norms back', () => {
    const model = llama(4)
    const cells = new Set(Array.from({ length: 4 }, (_, b) => cellKey(b, 'norm')))
    cells.delete('2.norm')
    expect(choiceOf(cells, model, { ...choice, train_norms: true }).train_norms).toBe(false)
  })

  it('a choice the node refuses still draws what comes closest', () => {
    const model = llama(4)
    expect(openCells(gridOf(model, openNames({ ...choice, count: 99 }, model))).size).toBe(12)
    expect(
      openCells(gridOf(model, openNames({ ...choice, mode: 'patterns', patterns: ['nothing', 'model.layers.1.mlp.*'] }, model))),
    ).toEqual(new Set(['1.mlp']))
    expect(patternsFor(model, new Set())).toEqual([])
  })
})
