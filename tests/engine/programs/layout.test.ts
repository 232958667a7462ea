import { expect, test } from 'vitest'
import { logits, planWeights, readWeight, writeWeights } from '../../../engine/programs/index'
import { BACKENDS } from '../support/backend'
import { randomIds, randomModel, TINY_LLAMA } from '../support/tiny'

test('matrices kept inputs first give the same logits, and are read back as they were', async () => {
  const { model, read } = randomModel({ ...TINY_LLAMA, hidden_size: 48, head_dim: 12 })
  const ids = randomIds(2 * 9, 120)
  const run = async (inputsFirst: boolean) => {
    const plan = planWeights(model, { trainable: [], precision: 'fp32', inputsFirst })
    const program = logits(plan, { batch: 2, length: 9 })
    const executable = await (await BACKENDS.tensorflow()).compile([program])
    await writeWeights(executable, plan, read)
    const values = (await executable.run(program.name, { ids })).logits as Float32Array
    for (const { name } of model.parameters) expect(await readWeight(executable, plan, name), name).toEqual(read(name))
    executable.close()
    return { plan, values }
  }
  const [asTheyAre, turned] = [await run(false), await run(true)]
  expect(asTheyAre.plan.stored.some(({ transposed }) => transposed)).toBe(false)
  expect(turned.plan.of.get('model.layers.0.self_attn.k_proj.weight')).toMatchObject({ transposed: true, shape: [48, 96] })
  expect(Math.max(...turned.values.map((value, i) => Math.abs(value - (asTheyAre.values[i] as number))))).toBeLessThan(1e-5)
})
