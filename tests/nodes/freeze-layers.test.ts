import { describe, expect, test } from 'vitest'
import { BLOCK_PARTS, type FreezeChoice, resolveFreeze } from '../../nodes/_kit/freeze'
import { matchesPattern } from '../../nodes/_kit/patterns'
import { freezeLayers } from '../../nodes/freeze-layers'
import { handleOf, headerOf, memoryContext } from './kit'

const choice = (given: Partial<FreezeChoice>): FreezeChoice => ({
  mode: 'last',
  count: 4,
  blocks: [],
  patterns: [],
  parts: [...BLOCK_PARTS],
  train_embeddings: false,
  train_head: false,
  train_norms: false,
  ...given,
})
const smol = headerOf('smollm2')
const gpt2 = headerOf('gpt2')
const tiny = headerOf('tiny')

describe('SCI-24: patterns match whole names', () => {
  test.each([
    ['model.layers.1', 'model.layers.1.mlp.up_proj.weight', false],
    ['model.layers.1.*', 'model.layers.1.mlp.up_proj.weight', true],
    ['model.layers.1.*', 'model.layers.10.mlp.up_proj.weight', false],
    ['model.layers.1*', 'model.layers.10.mlp.up_proj.weight', true],
    ['*.mlp.*', 'model.layers.3.mlp.up_proj.weight', true],
    ['model.layers.{20..29}.*', 'model.layers.25.self_attn.q_proj.weight', true],
    ['model.layers.{20..29}.*', 'model.layers.2.self_attn.q_proj.weight', false],
    ['*.{q,v}_proj.weight', 'model.layers.0.self_attn.v_proj.weight', true],
    ['*.{q,v}_proj.weight', 'model.layers.0.self_attn.k_proj.weight', false],
    ['model.norm.weigh?', 'model.norm.weight', true],
    ['', 'x', false],
    ['*', '', true],
  ])('%s against %s: %s', (pattern, name, match) => {
    expect(matchesPattern(pattern, name)).toBe(match)
  })

  test('SCI-34: on a 12-block model `layers.1` alone is refused, with the pattern that was meant', () => {
    const { plan, problems } = resolveFreeze(choice({ mode: 'patterns', patterns: ['transformer.h.1'] }), gpt2)
    expect(plan).toBeNull()
    expect(problems[0]).toMatchObject({
      severity: 'error',
      code: 'pattern_matches_nothing',
      param: 'patterns',
      fix: { params: { patterns: ['transformer.h.1.*'] } },
    })
    const opened = resolveFreeze(choice({ mode: 'patterns', patterns: ['transformer.h.1.*'] }), gpt2).plan
    expect(opened?.blocks.map((s, i) => (s > 0 ? i : -1)).filter((i) => i >= 0)).toEqual([1])
  })

  test('a hostile pattern ends at once', () => {
    const started = performance.now()
    expect(matchesPattern(`${'*a'.repeat(90)}b`, 'a'.repeat(200))).toBe(false)
    expect(performance.now() - started).toBeLessThan(500)
  })
})

describe('E-2, SCI-25: counts, and what is refused', () => {
  test('SCI-130: the closed forms of GPT-2 and SmolLM2', () => {
    expect(resolveFreeze(choice({ count: 1 }), gpt2).plan?.parameters).toBe(7_087_872)
    expect(resolveFreeze(choice({ count: 10 }), smol).plan).toMatchObject({
      parameters: 35_400_960,
      summary: 'last 10 of 30 blocks',
      embeddings: 0,
      head: 0,
    })
    expect(handleOf(gpt2).parameters).toBe(124_439_808)
    expect(handleOf(smol).parameters).toBe(134_515_008)
  })

  test('last, first and exact blocks open exactly those', () => {
    const open = (c: Partial<FreezeChoice>) =>
      resolveFreeze(choice(c), smol)
        .plan?.blocks.map((s, i) => (s === 1 ? i : -1))
        .filter((i) => i >= 0)
    expect(open({ count: 3 })).toEqual([27, 28, 29])
    expect(open({ mode: 'first', count: 2 })).toEqual([0, 1])
    expect(open({ mode: 'blocks', blocks: [29, 4, 17] })).toEqual([4, 17, 29])
    expect(resolveFreeze(choice({ mode: 'blocks', blocks: [4, 5, 17] }), smol).plan?.summary).toBe('blocks 4–5, 17 of 30')
  })

  test('parts open only their kind, and the names keep the order of the model', () => {
    const plan = resolveFreeze(choice({ count: 1, parts: ['attention'] }), smol).plan
    expect(plan?.names).toEqual(['q', 'k', 'v', 'o'].map((p) => `model.layers.29.self_attn.${p}_proj.weight`))
    expect(plan?.blocks[29]).toBeGreaterThan(0)
    expect(plan?.blocks[29]).toBeLessThan(1)
  })

  test('SCI-26: a tied head and the embeddings are one switch', () => {
    const tied = resolveFreeze(choice({ train_head: true }), smol)
    expect(tied.plan).toMatchObject({ embeddings: 1, head: 1 })
    expect(tied.problems).toMatchObject([{ severity: 'warning', code: 'tied_head' }])
    const untied = resolveFreeze(choice({ train_head: true }), tiny)
    expect(untied.plan).toMatchObject({ embeddings: 0, head: 1 })
    expect(untied.problems).toEqual([])
  })

  test.each([
    ['nothing', { mode: 'blocks', blocks: [] }, 'nothing_trains'],
    ['no parts', { parts: [] }, 'no_parts'],
    ['everything', { mode: 'patterns', patterns: ['*'] }, 'nothing_frozen'],
    ['everything by switches', { count: 4, train_embeddings: true, train_head: true, train_norms: true }, 'nothing_frozen'],
    ['no pattern', { mode: 'patterns' }, 'no_patterns'],
    ['a block too many', { mode: 'blocks', blocks: [4] }, 'no_such_block'],
    ['more blocks than there are', { count: 5 }, 'too_many_blocks'],
  ] as [string, Partial<FreezeChoice>, string][])('%s is refused, with a fix of one click that works', (_, given, code) => {
    const { plan, problems } = resolveFreeze(choice(given), tiny)
    expect(plan).toBeNull()
    const problem = problems.find((p) => p.severity === 'error')
    expect(problem?.code).toBe(code)
    const mended = resolveFreeze(choice({ ...given, ...(problem?.fix?.params as Partial<FreezeChoice>) }), tiny)
    // "Leave those out" empties the list here; what is left is refused with its own fix.
    if (code === 'no_such_block') expect(mended.problems.find((p) => p.severity === 'error')?.code).toBe('nothing_trains')
    else expect(mended.plan).not.toBeNull()
  })
})

describe('the node', () => {
  const params = freezeLayers.params.parse({ count: 2 })
  test('infer says counts and memory from the header alone', () => {
    const facts = { ...tiny, trainable: null, trainedOn: [] }
    const inferred = freezeLayers.infer?.({ params, inputs: { model: { kind: 'model', facts } }, node: 'freeze' })
    expect(inferred?.outputs?.plan).toMatchObject({ kind: 'plan', facts: { summary: 'last 2 of 4 blocks' } })
    expect(inferred?.card?.map((row) => row.label)).toEqual(['Train', 'Trainable', 'Optimizer memory'])
  })

  test('run gives what infer promised, and leaves the weights alone', async () => {
    const { ctx } = memoryContext({ header: async () => tiny })
    const model = handleOf(tiny)
    const out = await freezeLayers.run({ params, inputs: { model }, ctx })
    expect(out.plan).toEqual(resolveFreeze(choice({ count: 2 }), tiny).plan)
    expect(out.model).toEqual({ ...model, trainable: out.plan })
  })

  test('a plan that is wired in replaces the settings; one of another model is refused', async () => {
    const { ctx } = memoryContext({ header: async () => tiny })
    const plan = resolveFreeze(choice({ mode: 'first', count: 1 }), tiny).plan
    if (!plan) throw new Error('no plan')
    const out = await freezeLayers.run({ params, inputs: { model: handleOf(tiny), plan }, ctx })
    expect(out.plan).toEqual(plan)
    const other = resolveFreeze(choice({}), gpt2).plan
    if (!other) throw new Error('no plan')
    await expect(freezeLayers.run({ params, inputs: { model: handleOf(tiny), plan: other }, ctx })).rejects.toMatchObject({
      code: 'plan_of_other_model',
    })
  })
})
