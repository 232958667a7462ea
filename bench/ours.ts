/** Our side of a benchmark row: one training step of a shape with random weights, repeated. */
import type { Backend, Executable, FeedData } from '../engine/backends/backend'
import { Random } from '../engine/data/random'
import { Builder } from '../engine/graph/builder'
import type { Tensor } from '../engine/graph/types'
import { adamFeeds, planWeights, prefix, trainStep, writeWeights } from '../engine/programs/index'
import { type Job, modelOf, trainableOf } from './jobs'

const OPTIMIZER = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 }

export type Opened = {
  readonly parameters: number
  /** Useful work of a step, floating-point operations. */
  readonly flops: number
  step(): Promise<{ seconds: number; loss: number }>
  close(): void
}

/** Weights of about the spread of a fresh model; their values do not matter for speed, as long as they are no denormals. */
function randomWeights(seed: number) {
  return (name: string, shape: readonly number[]): Float32Array => {
    const size = shape.reduce((a, b) => a * b, 1)
    if (shape.length === 1) return new Float32Array(size).fill(name.endsWith('bias') ? 0 : 1)
    const random = Random.of(seed, name)
    const out = new Float32Array(size)
    for (let i = 0; i < size; i++) out[i] = (random.uint32() / 2 ** 32 - 0.5) * 0.07
    return out
  }
}

export async function openOurs(backend: Backend, job: Job): Promise<Opened> {
  const model = modelOf(job.shape)
  const plan = planWeights(model, { trainable: trainableOf(model, job.firstTrained), precision: job.bf16 ? 'bf16' : 'fp32' })
  const labels = job.batch * job.labelsPerRow
  const from = job.cached ? { fromBlock: job.firstTrained } : {}
  const program = trainStep(plan, { batch: job.batch, length: job.length, labels, optimizer: OPTIMIZER, ...from })
  const below = job.cached ? prefix(plan, { batch: job.batch, length: job.length, block: job.firstTrained }) : null
  const executable: Executable = await backend.compile(below ? [program, below] : [program])
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape]))
  const make = randomWeights(1)
  await writeWeights(executable, plan, (name) => make(name, shapes.get(name) as readonly number[]))

  const random = Random.of(2)
  const ids = Int32Array.from({ length: job.batch * job.length }, () => random.below(model.config.vocabSize))
  const rows = new Int32Array(labels)
  const targets = new Int32Array(labels)
  for (let b = 0, i = 0; b < job.batch; b++) {
    for (let t = job.length - job.labelsPerRow; t < job.length; t++, i++) {
      rows[i] = b * job.length + t - 1
      targets[i] = ids[b * job.length + t] as number
    }
  }
  const weights = new Float32Array(labels).fill(1)
  const input: Record<string, FeedData> = below ? { hidden: (await executable.run(below.name, { ids })).hidden as FeedData } : { ids }
  let steps = 0
  return {
    parameters: model.parameters.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    flops: program.cost.flops,
    async step() {
      const started = performance.now()
      const { loss } = await executable.run(program.name, {
        ...input,
        rows,
        targets,
        weights,
        scale: Float32Array.of(1 / labels),
        ...adamFeeds({ learningRate: [1e-5], weightDecay: [0], step: ++steps, optimizer: OPTIMIZER }),
      })
      return { seconds: (performance.now() - started) / 1000, loss: (loss?.[0] as number) / labels }
    },
    close: () => executable.close(),
  }
}

/** Products in one call: the call itself, a fifth of a millisecond, then does not count. */
const PRODUCTS = 4

/**
 * Gives a function that answers GFLOP/s of n × n products, best of several calls: what the kernels can do here. To be asked several times, in
 * turn with others: on a machine with other work the best of one second says more about that work than about the kernels.
 */
export async function openMatmul(backend: Backend, n: number, bf16: boolean): Promise<() => Promise<number>> {
  const g = new Builder()
  const dtype = bf16 ? 'bf16' : 'f32'
  const a = g.read(g.variable('a', [n, n], dtype))
  const b = g.read(g.variable('b', [n, n], dtype))
  // One element of each product reaches the sum that is fetched: a product that nothing reads is not computed, and equal ones are computed once.
  let sum: Tensor | null = null
  for (let i = 0; i < PRODUCTS; i++) {
    const one: Tensor = g.slice(g.matmul(sum ? g.after(a, sum) : a, b), [i, i], [1, 1])
    sum = sum ? g.add(sum, one) : one
  }
  const program = g.finish('matmul', { sum: g.cast(sum as Tensor, 'f32') })
  const executable = await backend.compile([program])
  const random = Random.of(3)
  const values = Float32Array.from({ length: n * n }, () => random.uniform() - 0.5)
  await executable.writeVariable('a', values)
  await executable.writeVariable('b', values)
  await executable.run(program.name, {})
  return async () => {
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < 3; i++) {
      const started = performance.now()
      await executable.run(program.name, {})
      best = Math.min(best, performance.now() - started)
    }
    return (PRODUCTS * 2 * n ** 3) / best / 1e6
  }
}
