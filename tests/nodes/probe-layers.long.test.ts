/** A planted layer on the bundled model: the task is a teacher with one perturbed half-block, which the probe must rank high among all halves. Minutes. */

import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GENERAL_TEXT, pieces } from '../../analysis/index'
import { seeded } from '../../analysis/random'
import { loadModel } from '../../engine/model'
import { saveDelta } from '../../engine/save'
import { probeLayers } from '../../nodes/probe-layers'
import { type EngineContext, engineContext } from '../kit/engine-context'
import { ROOT } from '../kit/product'

let kit: EngineContext
beforeAll(async () => {
  kit = await engineContext()
})
afterAll(() => kit.close())

const gaussian = (r: ReturnType<typeof seeded>) => Math.sqrt(-2 * Math.log(1 - r.next())) * Math.cos(2 * Math.PI * r.next())

test.each([
  [1, 'mlp'],
  [3, 'mlp'],
] as const)(
  'SCI-9: a teacher perturbed in block %i %s ranks among the first four of twelve halves',
  async (block, part) => {
    const model = await kit.tiny()
    const loaded = loadModel(join(ROOT, 'models/thaw-tiny'))
    const names = loaded.model.parameters.map((p) => p.name).filter((name) => name.startsWith(`model.layers.${block}.${part}.`))
    const texts = pieces(GENERAL_TEXT.slice(0, 24), 200).filter((t) => t.length > 120)
    const text = await kit.dataset(
      texts.slice(0, 24).map((t, i) => ({ id: `t${i}`, text: t })),
      'text',
    )
    const teacher = async (size: number) => {
      const file = join(kit.ctx.tmp, `teacher-${size}.safetensors`)
      const values = new Map(
        names.map((name) => {
          const r = seeded(`${name} 7`)
          const own = loaded.read(name)
          const scale = size * Math.sqrt(own.reduce((s, x) => s + x * x, 0) / own.length)
          return [name, Float32Array.from(own, (x) => x + scale * gaussian(r))] as const
        }),
      )
      await saveDelta(file, loaded, { names, read: async (name) => values.get(name) as Float32Array })
      return { ...model, delta: await kit.ctx.artifacts.putFile(file) }
    }
    const distance = async (of: typeof model) => {
      const { rows } = await kit.ctx.engine.divergence({ model: of, base: model, data: text, train_on: 'all', max_length: 128 })
      return rows.reduce((s, r) => s + r.divergence, 0) / rows.reduce((s, r) => s + r.tokens, 0)
    }
    // The size of the noise is found by bisection, so that every plant is equally large (pitfall d).
    let [low, high] = [0, 8]
    for (let i = 0; i < 9; i++) {
      const middle = (low + high) / 2
      if ((await distance(await teacher(middle))) < 0.25) low = middle
      else high = middle
    }
    const taught = await teacher(high)
    expect(await distance(taught)).toBeGreaterThan(0.15)
    const prompts = pieces(GENERAL_TEXT, 60).filter((t) => t.length > 40)
    const asked = await kit.dataset(
      prompts.slice(0, 384).map((prompt, i) => ({ id: `p${i}`, prompt, completion: '' })),
      'prompt_completion',
    )
    const { texts: answers } = await kit.ctx.engine.generate({
      model: taught,
      data: asked,
      options: { max_new_tokens: 96, temperature: 1, top_k: 0, top_p: 1, repetition_penalty: 1, seed: 1, batch_size: 32 },
    })
    // Long documents, cut into windows by the engine: a sample that ended in the middle would teach where texts end, and that is not planted.
    const documents = Array.from({ length: 48 }, (_, d) => ({
      id: `d${d}`,
      text: answers
        .slice(d * 8, d * 8 + 8)
        .join(' ')
        .replace(/\s+/g, ' '),
    }))
    const { report, metrics } = await probeLayers.run({
      params: probeLayers.params.parse({
        unit: 'block_half',
        max_units: 1,
        per_device_train_batch_size: 6,
        eval_samples: 12,
        baselines: ['rgn', 'contrast', 'spectrum'],
      }),
      inputs: {
        model,
        data: await kit.dataset(documents.slice(12), 'text'),
        validation: await kit.dataset(documents.slice(0, 12), 'text'),
      },
      ctx: kit.ctx,
    })
    const bars = (await kit.reportOf(report)).sections[0]?.bars ?? []
    const ranked = bars.toSorted((a, b) => b.value - a.value).map((b) => b.label)
    console.log(
      block,
      part,
      ranked.slice(0, 4),
      bars.map((bar) => bar.note),
      metrics,
    )
    expect(ranked.slice(0, 4)).toContain(`block ${block} ${part === 'mlp' ? 'MLP' : 'attention'}`)
  },
  900_000,
)
