import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { accumulate, evaluate, logits, planWeights, readMoment, writeWeights } from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS } from '../support/backend'
import {
  labelFeeds,
  maxDifference,
  openModel,
  openTensors,
  REFERENCE,
  REFERENCE_MODELS,
  readInts,
  readJson,
  relativeDifference,
  shapeOf,
} from '../support/fixtures'

describe.each(BACKEND_NAMES.flatMap((backend) => REFERENCE_MODELS.map((name) => ({ backend, name }))))(
  '$name on $backend',
  ({ backend, name }) => {
    const folder = path.join(REFERENCE, 'models', name)

    test('E-1: logits, loss, log-probabilities and every gradient equal the reference in fp32', async () => {
      const { model, read } = openModel(folder)
      const expected = openTensors(path.join(folder, 'expected.safetensors'))
      const { loss, tolerance_abs: tolerance, grad_zero_by_algebra_slices: zeros } = readJson(path.join(folder, 'expected.json'))
      const [batch, length] = shapeOf(expected, 'input_ids') as [number, number]
      const ids = readInts(expected, 'input_ids')
      const visible = readInts(expected, 'attention_mask')
      // Room for three labels more than there are: padding must not count.
      const own = labelFeeds(readInts(expected, 'labels'), length)
      const room = own.count + 3
      const { rows, targets, weights } = labelFeeds(readInts(expected, 'labels'), length, room)
      const shape = { batch, length, labels: room }

      const plan = planWeights(model, { trainable: model.parameters.map((parameter) => parameter.name), precision: 'fp32' })
      const [backward, scored, all] = [accumulate(plan, shape), evaluate(plan, shape), logits(plan, { batch, length })]
      const executable = await (await BACKENDS[backend]()).compile([backward, scored, all])
      await writeWeights(executable, plan, read)

      const { logits: values } = await executable.run(all.name, { ids })
      const vocab = model.config.vocabSize
      expect(
        maxDifference(values as Float32Array, expected.readFloat32('logits'), (i) => visible[Math.floor(i / vocab)] === 1),
      ).toBeLessThan(tolerance.logits)

      const result = await executable.run(scored.name, { ids, rows, targets, weights })
      expect(Math.abs((result.loss?.[0] as number) / own.count - loss)).toBeLessThan(tolerance.loss)
      const perToken = expected.readFloat32('per_token_logprob')
      const stride = length - 1
      const wanted = Array.from(rows, (row, i) =>
        i < own.count ? perToken[Math.floor(row / length) * stride + (row % length)] : 0,
      ) as number[]
      expect(maxDifference(result.logProbs as Float32Array, wanted)).toBeLessThan(tolerance.per_token_logprob)

      await executable.run(backward.name, { ids, rows, targets, weights, scale: Float32Array.of(1 / own.count) })
      for (const parameter of model.parameters) {
        const gradient = await readMoment(executable, plan, parameter.name, 'gradient')
        const reference = expected.readFloat32(`grad/${parameter.name}`)
        const [from, to] = zeros[parameter.name]?.slice ?? [0, 0]
        expect(maxDifference(gradient, reference), parameter.name).toBeLessThan(tolerance.grad_abs)
        expect(
          relativeDifference(gradient, reference, (i) => i < from || i >= to),
          parameter.name,
        ).toBeLessThan(tolerance.grad_rel_l2_per_tensor)
      }
      executable.close()
    })
  },
)
