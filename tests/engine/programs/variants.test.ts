import { describe, expect, test } from 'vitest'
import type { Executable } from '../../../engine/backends/backend'
import {
  accumulate,
  adamFeeds,
  evaluate,
  logits,
  lowestTrainableBlock,
  planWeights,
  prefix,
  readMoment,
  readWeight,
  trainStep,
  writeWeights,
} from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS, tensorFlow } from '../support/backend'
import { maxDifference } from '../support/fixtures'
import { allLabels, randomIds, randomModel, TINY_GPT2, TINY_LLAMA } from '../support/tiny'

const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 }
const rates = (step: number, learningRate = 3e-3) => adamFeeds({ learningRate: [learningRate], weightDecay: [0.1], step, optimizer })
const batch = 3
const length = 12
const upper = (model: ReturnType<typeof randomModel>['model'], from: number) =>
  model.parameters.filter(({ block }) => block !== null && block >= from).map(({ name }) => name)
const number = (data: { [i: number]: number } | undefined) => data?.[0] as number

describe.each([
  ['llama', TINY_LLAMA],
  ['gpt2', TINY_GPT2],
])('%s', (_, config) => {
  test.each(BACKEND_NAMES)('training from the cached output of the frozen blocks equals training from tokens on %s', async (backend) => {
    const { model, read } = randomModel(config)
    const plan = planWeights(model, { trainable: upper(model, 2), precision: 'fp32' })
    expect(lowestTrainableBlock(plan)).toBe(2)
    const ids = randomIds(batch * length, 120)
    const labels = allLabels(ids, length)
    const shape = { batch, length, labels: labels.rows.length }
    const open = async (programs: Parameters<Awaited<ReturnType<typeof tensorFlow>>['compile']>[0]) => {
      const executable = await (await BACKENDS[backend]()).compile(programs)
      await writeWeights(executable, plan, read)
      return executable
    }
    const whole = trainStep(plan, { ...shape, optimizer })
    const above = trainStep(plan, { ...shape, optimizer, fromBlock: 2 })
    const below = prefix(plan, { batch, length, block: 2 })
    const scored = evaluate(plan, { ...shape, fromBlock: 2 })
    const [one, two] = [await open([whole]), await open([above, below, scored])]
    const { hidden } = await two.run(below.name, { ids })
    for (let step = 1; step <= 3; step++) {
      const scale = Float32Array.of(1 / labels.rows.length)
      const a = await one.run(whole.name, { ids, ...labels, scale, ...rates(step) })
      const before = await two.run(scored.name, { hidden: hidden as Float32Array, ...labels })
      const b = await two.run(above.name, { hidden: hidden as Float32Array, ...labels, scale, ...rates(step) })
      expect(Math.abs(number(a.loss) - number(b.loss))).toBeLessThan(1e-3)
      expect(Math.abs(number(before.loss) - number(b.loss))).toBeLessThan(1e-3)
      expect(Math.abs(number(a.gradNorm) - number(b.gradNorm))).toBeLessThan(1e-5)
    }
    for (const name of plan.trainable) {
      // The key third of GPT-2's c_attn.bias has a gradient that is zero by algebra: Adam turns its rounding noise into drift.
      const isNoise = (i: number) => name.endsWith('c_attn.bias') && i >= 32 && i < 64
      expect(
        maxDifference(await readWeight(one, plan, name), await readWeight(two, plan, name), (i) => !isNoise(i)),
        name,
      ).toBeLessThan(2e-5)
    }
    one.close()
    two.close()
  })

  test('E-6: packed rows with segments and restarted positions give the loss and gradients of the rows alone', async () => {
    const { model, read } = randomModel(config)
    const trainable = model.parameters.map(({ name }) => name)
    const plan = planWeights(model, { trainable, precision: 'fp32' })
    const documents = [5, 4, 3].map((size, i) => randomIds(size, 120, 10 + i))
    const room = 7
    // Alone: one right-padded row each.
    const alone = { batch: 3, length: 5, labels: 9 }
    const aloneIds = new Int32Array(15)
    for (const [i, document] of documents.entries()) aloneIds.set(document, i * 5)
    const pairs = (start: (document: number) => number) =>
      documents.flatMap((document, d) =>
        Array.from({ length: document.length - 1 }, (_, t) => ({ row: start(d) + t, target: document[t + 1] as number })),
      )
    const labelsOf = (list: { row: number; target: number }[]) => ({
      rows: Int32Array.from(list, ({ row }) => row),
      targets: Int32Array.from(list, ({ target }) => target),
      weights: new Float32Array(list.length).fill(1),
    })
    // Packed: 5 | 4 + 3 with one padding position in the first row… of length 7.
    const packed = { batch: 2, length: room, labels: 9, attention: 'segments' } as const
    const starts = [0, room, room + 4]
    const packedIds = new Int32Array(2 * room)
    const segments = new Int32Array(2 * room)
    const positions = new Int32Array(2 * room)
    for (const [i, document] of documents.entries())
      for (const [t, id] of document.entries()) {
        const at = (starts[i] as number) + t
        packedIds[at] = id
        segments[at] = i + 1
        positions[at] = t
      }
    const [first, second] = [accumulate(plan, alone), accumulate(plan, packed)]
    const gradients = async (program: typeof first, feeds: Record<string, Int32Array | Float32Array>) => {
      const executable: Executable = await (await tensorFlow()).compile([program])
      await writeWeights(executable, plan, read)
      const { loss } = await executable.run(program.name, { ...feeds, scale: Float32Array.of(1 / 9) })
      const values = new Map<string, Float32Array>()
      for (const name of trainable) values.set(name, await readMoment(executable, plan, name, 'gradient'))
      executable.close()
      return { loss: number(loss), values }
    }
    const a = await gradients(first, { ids: aloneIds, ...labelsOf(pairs((d) => d * 5)) })
    const b = await gradients(second, { ids: packedIds, segments, positions, ...labelsOf(pairs((d) => starts[d] as number)) })
    expect(Math.abs(a.loss - b.loss)).toBeLessThan(2e-5)
    for (const name of trainable)
      expect(maxDifference(a.values.get(name) as Float32Array, b.values.get(name) as Float32Array), name).toBeLessThan(2e-6)
  })

  test('E-7: bf16 training stays within 1 % of fp32 after 50 steps, and E-2: frozen weights do not move', async () => {
    const { model, read } = randomModel(config)
    const ids = randomIds(batch * length, 120)
    const labels = allLabels(ids, length)
    const losses: Record<string, number> = {}
    for (const precision of ['fp32', 'bf16'] as const) {
      const plan = planWeights(model, { trainable: upper(model, 2), precision })
      const step = trainStep(plan, { batch, length, labels: labels.rows.length, optimizer })
      const executable = await (await tensorFlow()).compile([step])
      await writeWeights(executable, plan, read)
      const frozen = model.parameters.filter(({ name }) => !plan.trainable.has(name)).map(({ name }) => name)
      const before = new Map<string, Float32Array>()
      for (const name of frozen) before.set(name, await readWeight(executable, plan, name))
      let last = 0
      for (let i = 1; i <= 50; i++)
        last = number(
          (await executable.run(step.name, { ids, ...labels, scale: Float32Array.of(1 / labels.rows.length), ...rates(i, 1e-3) })).loss,
        )
      losses[precision] = last / labels.rows.length
      for (const [name, value] of before)
        expect(Buffer.from((await readWeight(executable, plan, name)).buffer).equals(Buffer.from(value.buffer)), name).toBe(true)
      for (const weight of plan.stored) {
        const bf16 = precision === 'bf16' && !weight.trainable && weight.parameters[0]?.spec.role !== 'vector'
        expect(executable.variables.get(weight.name)?.dtype, weight.name).toBe(bf16 ? 'bf16' : 'f32')
      }
      executable.close()
    }
    // It did learn, so the comparison means something.
    expect(losses.fp32).toBeLessThan(4)
    expect(Math.abs((losses.bf16 as number) / (losses.fp32 as number) - 1)).toBeLessThan(0.01)
  })
})

test('a parameter group has its own learning rate and decay', async () => {
  const { model, read } = randomModel(TINY_LLAMA)
  const own = 'model.layers.3.mlp.down_proj.weight'
  const other = 'model.layers.2.mlp.down_proj.weight'
  const plan = planWeights(model, { trainable: [own, other], precision: 'fp32' })
  const grouped = { ...optimizer, groups: [[own]] }
  const ids = randomIds(batch * length, 120)
  const labels = allLabels(ids, length)
  const step = trainStep(plan, { batch, length, labels: labels.rows.length, optimizer: grouped })
  const executable = await (await tensorFlow()).compile([step])
  await writeWeights(executable, plan, read)
  const feeds = { ids, ...labels, scale: Float32Array.of(1 / labels.rows.length) }
  await executable.run(step.name, { ...feeds, ...adamFeeds({ learningRate: [0, 1e-3], weightDecay: [0.1, 0], step: 1, optimizer }) })
  expect(maxDifference(await readWeight(executable, plan, other), read(other))).toBe(0)
  // Adam's first step is the learning rate in every element that has a gradient.
  expect(maxDifference(await readWeight(executable, plan, own), read(own))).toBeCloseTo(1e-3, 5)
  executable.close()
})

test('a step without the pass of the decay equals one with a decay of 0, bit for bit', async () => {
  const { model, read } = randomModel(TINY_LLAMA)
  const own = 'model.layers.3.mlp.down_proj.weight'
  const plan = planWeights(model, { trainable: [own], precision: 'bf16' })
  const ids = randomIds(batch * length, 120)
  const labels = allLabels(ids, length)
  const after = async (decays: boolean) => {
    const step = trainStep(plan, { batch, length, labels: labels.rows.length, optimizer: { ...optimizer, decays } })
    const executable = await (await tensorFlow()).compile([step])
    await writeWeights(executable, plan, read)
    const scale = Float32Array.of(1 / labels.rows.length)
    for (let i = 1; i <= 3; i++)
      await executable.run(step.name, {
        ids,
        ...labels,
        scale,
        ...adamFeeds({ learningRate: [1e-3], weightDecay: [0], step: i, optimizer }),
      })
    const weights = await readWeight(executable, plan, own)
    executable.close()
    return { weights, multiplications: step.ops.filter(({ primitive }) => primitive.name === 'assign').length }
  }
  const [without, having] = [await after(false), await after(true)]
  expect([without.multiplications, having.multiplications]).toEqual([0, 1])
  expect(maxDifference(without.weights, having.weights)).toBe(0)
})

test('chosen rows of the logits are those of the whole', async () => {
  const { model, read } = randomModel(TINY_GPT2)
  const plan = planWeights(model, { trainable: [], precision: 'fp32' })
  const [all, some] = [logits(plan, { batch, length }), logits(plan, { batch, length, labels: 4 })]
  const executable = await (await tensorFlow()).compile([all, some])
  await writeWeights(executable, plan, read)
  const ids = randomIds(batch * length, 120)
  const rows = Int32Array.of(0, 7, 13, 35)
  const whole = (await executable.run(all.name, { ids })).logits as Float32Array
  const chosen = (await executable.run(some.name, { ids, rows })).logits as Float32Array
  const wanted = Float32Array.from([...rows].flatMap((row) => [...whole.slice(row * 120, (row + 1) * 120)]))
  expect(maxDifference(chosen, wanted)).toBeLessThan(2e-6)
  executable.close()
})

test('nothing trainable, unknown names, and training below the cached blocks are refused', () => {
  const { model } = randomModel(TINY_LLAMA)
  expect(() => planWeights(model, { trainable: ['model.layers.9.mlp.up_proj.weight'], precision: 'fp32' })).toThrowError(
    /no such parameter.*layers\.9/,
  )
  const none = planWeights(model, { trainable: [], precision: 'fp32' })
  expect(() => trainStep(none, { batch, length, labels: 4, optimizer })).toThrowError(/nothing is trainable/)
  const low = planWeights(model, { trainable: upper(model, 1), precision: 'fp32' })
  expect(() => trainStep(low, { batch, length, labels: 4, optimizer, fromBlock: 2 })).toThrowError(/no part in the loss.*layers\.1/)
  expect(() => trainStep(low, { batch, length: 65, labels: 4, optimizer })).toThrowError(/longer than the model can read.*at most 64.*65/)
})
