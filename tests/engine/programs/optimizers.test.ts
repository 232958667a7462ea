import { expect, test } from 'vitest'
import {
  adamFeeds,
  averagedPlan,
  evaluate,
  momentsOf,
  type OptimizerSpec,
  optimizerFeeds,
  planWeights,
  readMoment,
  readWeight,
  trainStep,
  writeWeights,
} from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS } from '../support/backend'
import { maxDifference } from '../support/fixtures'
import { allLabels, randomIds, randomModel, TINY_LLAMA } from '../support/tiny'

const adamw = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 }
const lion = { name: 'lion', beta1: 0.9, beta2: 0.99, maxGradNorm: 1 } as const
const sgd = { name: 'sgd', momentum: 0.9, nesterov: true, maxGradNorm: 0 } as const

test('an optimizer says what it keeps and what it is fed with', () => {
  expect(momentsOf(adamw)).toEqual(['first', 'second'])
  expect(momentsOf(lion)).toEqual(['first'])
  expect(momentsOf(sgd)).toEqual(['first'])
  expect(momentsOf({ ...sgd, momentum: 0 })).toEqual([])
  const rates = { learningRate: [0.1, 0.2], weightDecay: [0.5, 0], step: 3 }
  expect(optimizerFeeds({ ...rates, optimizer: adamw })).toEqual(adamFeeds({ ...rates, optimizer: adamw }))
  expect(optimizerFeeds({ ...rates, optimizer: lion })).toEqual({ stepSize: Float32Array.of(0.1, 0.2), decay: Float32Array.of(0.95, 1) })
  expect(optimizerFeeds({ ...rates, optimizer: sgd })).toEqual({ stepSize: Float32Array.of(0.1, 0.2), decay: Float32Array.of(0.5, 0) })
})

const own = 'model.layers.3.mlp.down_proj.weight'
const other = 'model.layers.3.input_layernorm.weight'
async function steps(
  backend: keyof typeof BACKENDS,
  optimizer: OptimizerSpec,
  learningRate: number[],
  weightDecay: number[],
  count: number,
) {
  const { model, read } = randomModel(TINY_LLAMA)
  const plan = planWeights(model, { trainable: [own, other], precision: 'fp32' })
  const ids = randomIds(36, 120)
  const labels = allLabels(ids, 12)
  const program = trainStep(plan, { batch: 3, length: 12, labels: labels.rows.length, optimizer })
  const executable = await (await BACKENDS[backend]()).compile([program])
  await writeWeights(executable, plan, read)
  const losses: number[] = []
  for (let step = 1; step <= count; step++) {
    const feeds = optimizerFeeds({ learningRate, weightDecay, step, optimizer })
    const out = await executable.run(program.name, { ids, ...labels, scale: Float32Array.of(1 / labels.rows.length), ...feeds })
    losses.push(out.loss?.[0] as number)
  }
  const moment = momentsOf(optimizer).length ? await readMoment(executable, plan, own, 'first') : null
  const result = {
    losses,
    matrix: await readWeight(executable, plan, own),
    vector: await readWeight(executable, plan, other),
    moment,
    read,
  }
  executable.close()
  return result
}

test.each(BACKEND_NAMES)(
  "Lion moves every element by the learning rate, after decay, which spares vectors and other groups' rates, on %s",
  async (backend) => {
    const grouped: OptimizerSpec = { ...lion, groups: [[other]] }
    const { matrix, vector, moment, read } = await steps(backend, grouped, [1e-3, 0], [0.5, 0.5], 1)
    expect(maxDifference(vector, read(other))).toBe(0)
    const decayed = read(own).map((x) => x * (1 - 0.5e-3))
    const distances = matrix.map((x, i) => Math.abs(x - (decayed[i] as number)))
    expect(Math.max(...distances)).toBeCloseTo(1e-3, 6)
    expect(Math.min(...distances)).toBeCloseTo(1e-3, 6)
    // Its moment is (1 − β₂) of the first gradient, whose sign the step had.
    expect(matrix.every((x, i) => Math.sign((decayed[i] as number) - x) === Math.sign(moment?.[i] as number))).toBe(true)
  },
)

test.each<[string, OptimizerSpec, number]>([
  ['Lion', lion, 3e-3],
  ['SGD with momentum', sgd, 0.05],
  ['plain SGD', { name: 'sgd', momentum: 0, maxGradNorm: 1 }, 0.5],
])('%s lowers the loss', async (_, optimizer, rate) => {
  const { losses } = await steps('tensorflow', optimizer, [rate], [0], 25)
  expect(losses.at(-1) as number).toBeLessThan((losses[0] as number) * 0.97)
})

test.each(BACKEND_NAMES)(
  'E-4: the average of the weights is what plain arithmetic over the steps gives, bit for bit, on %s',
  async (backend) => {
    const optimizer: OptimizerSpec = { ...adamw, averageDecay: 0.5 }
    expect(momentsOf(optimizer)).toEqual(['first', 'second', 'average'])
    const { model, read } = randomModel(TINY_LLAMA)
    const plan = planWeights(model, { trainable: [own, other], precision: 'fp32' })
    const ids = randomIds(36, 120)
    const labels = allLabels(ids, 12)
    const spec = { batch: 3, length: 12, labels: labels.rows.length }
    const step = trainStep(plan, { ...spec, optimizer })
    const look = evaluate(averagedPlan(plan), { ...spec, name: 'of-the-average' })
    const executable = await (await BACKENDS[backend]()).compile([step, look])
    await writeWeights(executable, plan, read)
    const f = Math.fround
    let want: Float32Array | undefined
    for (let t = 1; t <= 6; t++) {
      const feeds = optimizerFeeds({ learningRate: [0.02], weightDecay: [0], step: t, optimizer })
      await executable.run(step.name, { ids, ...labels, scale: Float32Array.of(1 / labels.rows.length), ...feeds })
      const weights = await readWeight(executable, plan, own)
      const share = f(t === 1 ? 1 : 1 - Math.min(0.5, (1 + t) / (10 + t)))
      const before: Float32Array = want ?? new Float32Array(weights.length)
      want = before.map((x, i) => f(x + f(f((weights[i] as number) - x) * share)))
      const got = await readMoment(executable, plan, own, 'average')
      expect(maxDifference(got, want)).toBe(0)
      expect(maxDifference(got, weights) > 0).toBe(t > 1)
      expect(maxDifference(await readWeight(executable, averagedPlan(plan), own), got)).toBe(0)
    }
    // A look at the average is a look at a model whose weights are the average.
    const names = [own, other]
    const kept = new Map<string, Float32Array>()
    for (const name of names) kept.set(name, (await readMoment(executable, plan, name, 'average')).slice())
    const { loss } = await executable.run(look.name, { ids, ...labels }, ['loss'])
    executable.close()
    const plain = evaluate(plan, spec)
    const again = await (await BACKENDS[backend]()).compile([plain])
    await writeWeights(again, plan, (name) => kept.get(name) ?? read(name))
    expect((await again.run(plain.name, { ids, ...labels }, ['loss'])).loss?.[0]).toBe(loss?.[0])
    again.close()
  },
)
