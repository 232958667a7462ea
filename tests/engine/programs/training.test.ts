import * as path from 'node:path'
import { expect, test } from 'vitest'
import {
  accumulate,
  adamFeeds,
  applyGradients,
  logits,
  planWeights,
  readWeight,
  stateName,
  trainStep,
  writeWeights,
} from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS, tensorFlow } from '../support/backend'
import { labelFeeds, maxDifference, openModel, openTensors, REFERENCE, readInts, readJson, shapeOf } from '../support/fixtures'

const root = path.join(REFERENCE, 'training')

/** Token ids and labels of one step: [micro-batches, rows, length] each. */
function stepData() {
  const data = openTensors(path.join(root, 'data.safetensors'))
  const [, accumulation, batch, length] = shapeOf(data, 'input_ids') as [number, number, number, number]
  const [ids, labels, visible] = [readInts(data, 'input_ids'), readInts(data, 'labels'), readInts(data, 'attention_mask')]
  const size = batch * length
  const micro = (values: Int32Array, step: number, part: number) =>
    values.slice((step * accumulation + part) * size, (step * accumulation + part + 1) * size)
  return {
    accumulation,
    batch,
    length,
    ids: (step: number, part: number) => micro(ids, step, part),
    labels: (step: number, part: number) => micro(labels, step, part),
    visible: (step: number, part: number) => micro(visible, step, part),
  }
}

test.each(BACKEND_NAMES)(
  'E-1, E-2, E-3, E-5: twelve accumulated steps with a frozen bottom follow the reference on %s',
  async (backend) => {
    const expected = readJson(path.join(root, 'frozen-bottom/expected.json'))
    const tensors = openTensors(path.join(root, 'frozen-bottom/expected.safetensors'))
    const { model, read } = openModel(path.join(root, expected.base))
    const { hyperparameters: h, log, tolerance_abs: tolerance, trainable } = expected
    const data = stepData()
    const shape = { batch: data.batch, length: data.length, labels: data.batch * (data.length - 1) }
    const optimizer = { beta1: h.betas[0], beta2: h.betas[1], epsilon: h.eps, maxGradNorm: h.max_grad_norm }
    const plan = planWeights(model, { trainable, precision: 'fp32' })
    const [add, apply, all] = [
      accumulate(plan, shape),
      applyGradients(plan, { optimizer }),
      logits(plan, { batch: data.batch, length: data.length }),
    ]
    const executable = await (await BACKENDS[backend]()).compile([add, apply, all])
    await writeWeights(executable, plan, read)

    for (let step = 0; step < h.steps; step++) {
      const parts = Array.from({ length: data.accumulation }, (_, part) => ({
        ids: data.ids(step, part),
        ...labelFeeds(data.labels(step, part), data.length, shape.labels),
      }))
      const tokens = parts.reduce((sum, part) => sum + part.count, 0)
      let loss = 0
      for (const { ids, rows, targets, weights } of parts)
        loss += (await executable.run(add.name, { ids, rows, targets, weights, scale: Float32Array.of(1 / tokens) })).loss?.[0] as number
      const { gradNorm } = await executable.run(
        apply.name,
        adamFeeds({ learningRate: [log.lr[step]], weightDecay: [h.weight_decay], step: step + 1, optimizer }),
      )
      expect(Math.abs(loss / tokens - log.loss[step]), `loss of step ${step}`).toBeLessThan(tolerance.loss)
      expect(Math.abs((gradNorm?.[0] as number) / log.grad_norm[step] - 1), `gradient norm of step ${step}`).toBeLessThan(
        tolerance.grad_norm_rel,
      )
    }

    for (const { name } of model.parameters) {
      const value = await readWeight(executable, plan, name)
      if (trainable.includes(name))
        expect(maxDifference(value, tensors.readFloat32(`final/${name}`)), name).toBeLessThan(tolerance.final_weight)
      else expect(Buffer.from(value.buffer).equals(Buffer.from(read(name).buffer)), `${name} is bit-identical`).toBe(true)
    }
    const { logits: values } = await executable.run(all.name, { ids: data.ids(0, 0) })
    const visible = data.visible(0, 0)
    const isVisible = (i: number) => visible[Math.floor(i / model.config.vocabSize)] === 1
    expect(maxDifference(values as Float32Array, tensors.readFloat32('final_logits'), isVisible)).toBeLessThan(tolerance.final_logits)
    // Frozen weights have neither moments nor gradient sums.
    const frozen = plan.stored.filter((weight) => !weight.trainable)
    for (const weight of frozen)
      for (const moment of ['first', 'second', 'gradient'] as const) expect(executable.variables.has(stateName(weight, moment))).toBe(false)
    executable.close()
  },
)

test('E-5: the fused step over both micro-batches at once equals accumulation', async () => {
  const expected = readJson(path.join(root, 'frozen-bottom/expected.json'))
  const { model, read } = openModel(path.join(root, expected.base))
  const { hyperparameters: h, log, tolerance_abs: tolerance, trainable } = expected
  const data = stepData()
  const batch = data.batch * data.accumulation
  const optimizer = { beta1: h.betas[0], beta2: h.betas[1], epsilon: h.eps, maxGradNorm: h.max_grad_norm }
  const plan = planWeights(model, { trainable, precision: 'fp32' })
  const labels = batch * (data.length - 1)
  const step = trainStep(plan, { batch, length: data.length, labels, optimizer })
  const executable = await (await tensorFlow()).compile([step])
  await writeWeights(executable, plan, read)
  for (let i = 0; i < h.steps; i++) {
    const joined = (part: (index: number) => Int32Array) => Int32Array.from([...part(0), ...part(1)])
    const { count, rows, targets, weights } = labelFeeds(
      joined((part) => data.labels(i, part)),
      data.length,
      labels,
    )
    const { loss, gradNorm } = await executable.run(step.name, {
      ids: joined((part) => data.ids(i, part)),
      rows,
      targets,
      weights,
      scale: Float32Array.of(1 / count),
      ...adamFeeds({ learningRate: [log.lr[i]], weightDecay: [h.weight_decay], step: i + 1, optimizer }),
    })
    expect(Math.abs((loss?.[0] as number) / count - log.loss[i])).toBeLessThan(tolerance.loss)
    expect(Math.abs((gradNorm?.[0] as number) / log.grad_norm[i] - 1)).toBeLessThan(tolerance.grad_norm_rel)
  }
  executable.close()
})
