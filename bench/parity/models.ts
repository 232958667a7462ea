/** models/: logits, loss, log-probabilities and every parameter's gradient of each folder. */
import * as path from 'node:path'
import type { Backend, Executable } from '../../engine/backends/backend'
import { type ModelSource, openModelSource, resolveNames } from '../../engine/formats/source'
import { describeModel, type Model } from '../../engine/models/index'
import { accumulate, evaluate, logits, planWeights, readMoment, type WeightPlan, writeWeights } from '../../engine/programs/index'
import { type Context, exists, foldersIn, type Json, readJson, runCase, Tensors } from './cases'
import { largestDifference, relativeDistance } from './report'

/** A model of a fixture, which may have no tokenizer. */
export type Opened = { source: ModelSource; model: Model; read(name: string): Float32Array; close(): void }

export function openFixtureModel(location: string): Opened {
  const source = openModelSource(location)
  try {
    const model = describeModel(source.config)
    const names = resolveNames(source, model)
    return { source, model, read: (name) => source.readFloat32(names.get(name) as string), close: () => source.close() }
  } catch (error) {
    source.close()
    throw error
  }
}

/** Labels of a batch as the programs take them: the position before each label, the label, and weight 1. */
export function labelFeeds(
  labels: ArrayLike<number>,
  batch: number,
  length: number,
): { rows: Int32Array; targets: Int32Array; weights: Float32Array; count: number } {
  const rows: number[] = []
  const targets: number[] = []
  for (let b = 0; b < batch; b++) {
    for (let t = 1; t < length; t++) {
      const label = labels[b * length + t] as number
      if (label < 0) continue
      rows.push(b * length + t - 1)
      targets.push(label)
    }
  }
  return {
    rows: Int32Array.from(rows),
    targets: Int32Array.from(targets),
    weights: new Float32Array(rows.length).fill(1),
    count: rows.length,
  }
}

/** Compiles for all parameters trainable and writes the weights. */
export async function compileAll(
  backend: Backend,
  opened: Opened,
  make: (plan: WeightPlan) => Parameters<Backend['compile']>[0],
): Promise<{ plan: WeightPlan; executable: Executable }> {
  const plan = planWeights(opened.model, { trainable: opened.model.parameters.map(({ name }) => name), precision: 'fp32' })
  const executable = await backend.compile(make(plan))
  await writeWeights(executable, plan, opened.read)
  return { plan, executable }
}

/** Gradients: the tolerance of each tensor, except slices that are zero by algebra. */
export function compareGradients(
  context: Context,
  at: string,
  gradients: ReadonlyMap<string, Float32Array>,
  tensors: Tensors,
  prefix: string,
  expected: Json,
): void {
  const tolerance = expected.tolerance_abs
  const zero = new Set<string>(expected.grad_zero_by_algebra ?? [])
  const slices = (expected.grad_zero_by_algebra_slices ?? {}) as Record<string, Json>
  const names = tensors.names.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  context.report.same(at, 'gradient names', [...gradients.keys()].sort(), [...names].sort())
  const got: number[] = []
  const want: number[] = []
  let worst = { name: '', distance: 0 }
  let spoilt: (() => number) | null = null
  for (const name of names) {
    const a = gradients.get(name)
    if (!a) continue
    const b = tensors.floats(prefix + name)
    for (const x of a) got.push(x)
    for (const x of b) want.push(x)
    if (zero.has(name) || name in slices) continue
    const distance = relativeDistance(a, b)
    if (!(distance <= worst.distance)) worst = { name, distance }
    spoilt ??= () =>
      relativeDistance(
        a.map((x) => x * 1.01),
        b,
      )
  }
  context.report.near(at, 'gradients', got, want, tolerance.grad_abs)
  if (tolerance.grad_rel_l2_per_tensor !== undefined && spoilt)
    context.report.atMost(at, `gradient distance (${worst.name || 'all equal'})`, worst.distance, tolerance.grad_rel_l2_per_tensor, spoilt)
}

export async function models(context: Context, topic: string): Promise<void> {
  for (const name of foldersIn(topic)) {
    const folder = path.join(topic, name)
    await runCase(context, folder, async (at) => {
      if (!exists(folder, 'config.json')) return context.report.fail(at, 'unread', 'the case has no config.json')
      if (!exists(folder, 'expected.json')) return sameAsSibling(context, at, topic, folder)
      const expected = readJson(folder, 'expected.json')
      const tensors = new Tensors(folder, 'expected.safetensors')
      const opened = openFixtureModel(folder)
      try {
        await checkModel(context, at, opened, expected, tensors)
      } finally {
        opened.close()
        tensors.close()
      }
    })
  }
}

async function checkModel(context: Context, at: string, opened: Opened, expected: Json, tensors: Tensors): Promise<void> {
  const { report } = context
  const tolerance = expected.tolerance_abs
  const [batch, length] = tensors.shape('input_ids') as [number, number]
  const ids = Int32Array.from(tensors.numbers('input_ids'))
  const attention = tensors.numbers('attention_mask')
  const labels = labelFeeds(tensors.numbers('labels'), batch, length)
  const shape = { batch, length, labels: labels.count }
  const { plan, executable } = await compileAll(context.backend, opened, (p) => [
    logits(p, { batch, length }),
    evaluate(p, shape),
    accumulate(p, shape),
  ])
  try {
    if (expected.parameters !== undefined) {
      report.same(
        at,
        'parameters',
        opened.model.parameters.reduce((sum, spec) => sum + spec.shape.reduce((a, b) => a * b, 1), 0),
        expected.parameters,
      )
    }
    const vocab = opened.model.config.vocabSize
    const out = (await executable.run(logits(plan, { batch, length }).name, { ids })).logits as Float32Array
    const where = tensors.has('logits') ? tensors.floats('logits') : tensors.numbers('logits_f64')
    const got: number[] = []
    const want: number[] = []
    for (let row = 0; row < batch * length; row++) {
      if (!attention[row]) continue
      for (let v = 0; v < vocab; v++) {
        got.push(out[row * vocab + v] as number)
        want.push(where[row * vocab + v] as number)
      }
    }
    report.near(at, 'logits', got, want, tolerance.logits)

    const { count, ...feeds } = labels
    const { loss, logProbs } = await executable.run(evaluate(plan, shape).name, { ids, ...feeds })
    report.near(at, 'loss', [(loss?.[0] as number) / count], [expected.loss], tolerance.loss)
    if (expected.label_tokens !== undefined) report.same(at, 'label tokens', count, expected.label_tokens)
    const perToken = new Float64Array(batch * (length - 1))
    const perRow = new Float64Array(batch)
    labels.rows.forEach((row, i) => {
      const b = Math.floor(row / length)
      perToken[b * (length - 1) + (row % length)] = logProbs?.[i] as number
      perRow[b] = (perRow[b] as number) + (logProbs?.[i] as number)
    })
    if (tensors.has('per_token_logprob'))
      report.near(at, 'token log-probabilities', perToken, tensors.numbers('per_token_logprob'), tolerance.per_token_logprob)
    if (expected.row_logprob) report.near(at, 'row log-probabilities', perRow, expected.row_logprob, tolerance.row_logprob)

    await executable.run(accumulate(plan, shape).name, { ids, ...feeds, scale: Float32Array.of(1 / count) })
    const gradients = new Map<string, Float32Array>()
    let squares = 0
    for (const { name } of opened.model.parameters) {
      const gradient = await readMoment(executable, plan, name, 'gradient')
      gradients.set(name, gradient)
      for (const x of gradient) squares += x * x
    }
    compareGradients(context, at, gradients, tensors, 'grad/', expected)
    if (expected.grad_norm !== undefined) {
      // The norm of many small errors: relative, by the tolerance of a whole tensor.
      report.near(at, 'gradient norm', [Math.sqrt(squares) / expected.grad_norm], [1], tolerance.grad_rel_l2_per_tensor ?? 1e-5)
    }
  } finally {
    executable.close()
  }
}

/** A folder without expected values of its own holds the weights of a sibling under other names: the parameters must be the same bits. */
function sameAsSibling(context: Context, at: string, topic: string, folder: string): void {
  const opened = openFixtureModel(folder)
  try {
    for (const sibling of foldersIn(topic)) {
      const other = path.join(topic, sibling)
      if (!exists(other, 'expected.json') || readJson(other, 'config.json').model_type !== opened.source.config.model_type) continue
      const reference = openFixtureModel(other)
      try {
        const first = opened.model.parameters[0]?.name as string
        if (largestDifference(opened.read(first), reference.read(first)) !== 0) continue
        for (const { name } of opened.model.parameters)
          context.report.near(at, `${name} (as in ${sibling})`, opened.read(name), reference.read(name), 0)
        return
      } finally {
        reference.close()
      }
    }
    context.report.fail(at, 'unread', 'no expected.json, and no other case has these weights')
  } finally {
    opened.close()
  }
}
