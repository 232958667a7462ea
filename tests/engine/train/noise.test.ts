import { expect, it } from 'vitest'
import { evaluate, planWeights, writeWeights } from '../../../engine/programs/index'
import { embeddingNoise } from '../../../engine/train/noise'
import { tensorFlow } from '../support/backend'
import { allLabels, randomModel, TINY_LLAMA } from '../support/tiny'

it('E-1: noise on the embeddings is what the same noise in the table would be; it is uniform, and the same for the same step', async () => {
  const [length, hidden] = [24, TINY_LLAMA.hidden_size]
  const noise = embeddingNoise({ batch: 1, length }, hidden, 5, 7, 'step 3, batch 0')
  expect(embeddingNoise({ batch: 1, length }, hidden, 5, 7, 'step 3, batch 0')).toEqual(noise)
  expect(embeddingNoise({ batch: 1, length }, hidden, 5, 7, 'step 4, batch 0')).not.toEqual(noise)
  const bound = 5 / Math.sqrt(length * hidden)
  expect(Math.max(...noise.map(Math.abs))).toBeLessThanOrEqual(Math.fround(bound))
  // Mean 0 and variance bound²/3, within four standard errors.
  const mean = noise.reduce((a, b) => a + b, 0) / noise.length
  const variance = noise.reduce((a, b) => a + b * b, 0) / noise.length
  expect(Math.abs(mean)).toBeLessThan((4 * bound) / Math.sqrt(3 * noise.length))
  expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan(4 * Math.sqrt(0.8 / noise.length))

  // Distinct tokens, an untied head: adding the noise to their rows of the table is the same.
  const { model, read } = randomModel({ ...TINY_LLAMA, tie_word_embeddings: false })
  const plan = planWeights(model, { trainable: [], precision: 'fp32' })
  const ids = Int32Array.from({ length }, (_, i) => (i * 7) % 120)
  const labels = allLabels(ids, length)
  const shape = { batch: 1, length, labels: labels.rows.length }
  const noisy = evaluate(plan, { ...shape, noise: true })
  const plain = evaluate(plan, shape)
  expect(noisy.name).not.toBe(plain.name)
  const executable = await (await tensorFlow()).compile([noisy, plain])
  await writeWeights(executable, plan, read)
  const { loss } = await executable.run(noisy.name, { ids, ...labels, noise }, ['loss'])
  const table = read('model.embed_tokens.weight').slice()
  for (const [t, id] of ids.entries())
    for (let i = 0; i < hidden; i++) table[id * hidden + i] = (table[id * hidden + i] as number) + (noise[t * hidden + i] as number)
  await writeWeights(executable, plan, (name) => (name === 'model.embed_tokens.weight' ? table : read(name)))
  const { loss: changed } = await executable.run(plain.name, { ids, ...labels }, ['loss'])
  expect(loss?.[0]).toBeCloseTo(changed?.[0] as number, 3)
  await writeWeights(executable, plan, read)
  const { loss: without } = await executable.run(plain.name, { ids, ...labels }, ['loss'])
  expect(Math.abs((loss?.[0] as number) - (without?.[0] as number))).toBeGreaterThan(0.05)
  executable.close()
})
