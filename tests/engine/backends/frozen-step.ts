/**
 * Child process of tensorflow.test.ts: one training step with two frozen blocks, and one of an adapter, at sizes where oneDNN has a choice of kernels; or, asked for
 * `hazard`, the pattern that is known to end in a reference kernel, to show that it would be seen.
 */

import { openTensorFlow } from '../../../engine/backends/tensorflow'
import { Builder } from '../../../engine/graph/builder'
import { createAdapter } from '../../../engine/lora/adapter'
import { adamFeeds, planWeights, trainStep, writeWeights } from '../../../engine/programs/index'
import { allLabels, randomIds, randomModel, TINY_GPT2, TINY_LLAMA } from '../support/tiny'

const backend = openTensorFlow({ addon: process.argv[2] as string })
const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 }
if (process.argv[3] === 'hazard') {
  const g = new Builder()
  const [q, k, mask] = [g.feed('q', [2, 4, 64, 32], 'f32'), g.feed('k', [2, 4, 64, 32], 'f32'), g.feed('mask', [1, 1, 64, 64], 'f32')]
  const executable = await backend.compile([
    g.finish('p', { y: g.add(g.mul(g.batchMatmul(q, k, { transposeB: true }), g.fill(0.125, 'f32')), mask) }),
  ])
  await executable.run('p', { q: new Float32Array(16384), k: new Float32Array(16384), mask: new Float32Array(4096) })
  process.exit(0)
}
for (const config of [
  { ...TINY_LLAMA, hidden_size: 128, intermediate_size: 256 },
  { ...TINY_GPT2, n_embd: 128 },
]) {
  for (const precision of ['fp32', 'bf16'] as const) {
    const base = randomModel(config)
    // One adapter is enough to see what kernels its narrow products take.
    const adapted = config.model_type === 'llama' && precision === 'bf16' ? [createAdapter(base, { r: 16, use_dora: true })] : []
    const upper = base.model.parameters.filter(({ block }) => (block ?? 0) >= 2).map(({ name }) => name)
    for (const { model, read, trainable } of [{ ...base, trainable: upper }, ...adapted]) {
      const plan = planWeights(model, { trainable, precision })
      const [batch, length] = [2, 64]
      const ids = randomIds(batch * length, 120)
      const labels = allLabels(ids, length)
      const step = trainStep(plan, { batch, length, labels: labels.rows.length, optimizer })
      const executable = await backend.compile([step])
      await writeWeights(executable, plan, read)
      await executable.run(step.name, {
        ids,
        ...labels,
        scale: Float32Array.of(1),
        ...adamFeeds({ learningRate: [1e-3], weightDecay: [0], step: 1, optimizer }),
      })
      executable.close()
    }
  }
}
