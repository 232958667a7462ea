import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { preference } from '../../../bench/parity/preference'
import { type Line, Report } from '../../../bench/parity/report'
import {
  accumulatePreference,
  adamFeeds,
  applyGradients,
  evaluate,
  evaluatePreference,
  mismatchKl,
  type PreferenceSpec,
  planWeights,
  preferenceStep,
  readMoment,
  readWeight,
  writeWeights,
} from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS, tensorFlow } from '../support/backend'
import { maxDifference, REFERENCE } from '../support/fixtures'
import { randomIds, randomModel, TINY_LLAMA } from '../support/tiny'

test.each(BACKEND_NAMES)('E-1: losses, rewards and gradients of all preference losses equal the references on %s', async (backend) => {
  const lines: Line[] = []
  const report = new Report({ selfTest: false, print: (line) => lines.push(line) })
  await preference({ root: REFERENCE, report, backend: await BACKENDS[backend](), modelFolders: [] }, path.join(REFERENCE, 'preference'))
  expect(lines.filter(({ status }) => status !== 'ok')).toEqual([])
  expect(lines.length).toBeGreaterThan(100)
})

test("KTO's divergence is never below zero, and nothing without replies", () => {
  expect(mismatchKl([-1, -2], [-3, -1])).toBe(0.5)
  expect(mismatchKl([-3], [-1])).toBe(0)
  expect(mismatchKl([], [])).toBe(0)
})

describe('training on pairs', () => {
  const optimizer = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, maxGradNorm: 1 }
  const [pairs, length] = [2, 8]
  const batch = 2 * pairs
  const { model, read } = randomModel(TINY_LLAMA)
  const trainable = model.parameters.filter(({ block }) => block === 3).map(({ name }) => name)
  const plan = planWeights(model, { trainable, precision: 'fp32' })
  const ids = randomIds(batch * length, 120)
  // Three tokens of prompt; the last row's reply is two tokens shorter.
  const rows = Int32Array.from(ids.keys()).filter((i) => i % length >= 2 && i % length < (i >= 3 * length ? 5 : 7))
  const owners = rows.map((row) => Math.floor(row / length))
  const weights = new Float32Array(rows.length).fill(1)
  const labels = { rows, owners, targets: rows.map((row) => ids[row + 1] as number), weights }
  const shape = { batch, length, labels: rows.length }
  const loss = { type: 'sigmoid', beta: 0.5 } as const
  const feeds = { ids, ...labels, rowWeights: Float32Array.of(1, 1), scale: Float32Array.of(1 / pairs) }

  const open = async (programs: Parameters<Awaited<ReturnType<typeof tensorFlow>>['compile']>[0]) => {
    const executable = await (await tensorFlow()).compile(programs)
    await writeWeights(executable, plan, read)
    return executable
  }
  async function references() {
    const scored = evaluate(plan, shape)
    const executable = await open([scored])
    const { rows: at, targets, weights: each } = labels
    const { logProbs } = await executable.run(scored.name, { ids, rows: at, targets, weights: each })
    executable.close()
    const sums = new Float32Array(batch)
    for (const [i, owner] of owners.entries()) sums[owner] = (sums[owner] as number) + (logProbs?.[i] as number)
    return sums
  }

  test('DPO begins at ln 2 with the model as its own reference, and parts the pairs', async () => {
    const step = preferenceStep(plan, { ...shape, loss, optimizer })
    const executable = await open([step])
    const reference = await references()
    const losses: number[] = []
    for (let i = 1; i <= 20; i++) {
      const rates = adamFeeds({ learningRate: [3e-3], weightDecay: [0], step: i, optimizer })
      const out = await executable.run(step.name, { ...feeds, references: reference, ...rates })
      losses.push(out.loss?.[0] as number)
      if (i === 20)
        expect(Math.min(...(out.chosenRewards as Float32Array).map((x, p) => x - (out.rejectedRewards?.[p] as number)))).toBeGreaterThan(1)
    }
    executable.close()
    expect(losses[0]).toBeCloseTo(Math.LN2, 5)
    expect(losses.at(-1) as number).toBeLessThan(0.3)
  })

  test('E-5: pairs one by one, added up, are the pairs together', async () => {
    const reference = await references()
    const whole = accumulatePreference(plan, { ...shape, loss })
    const executable = await open([whole])
    await executable.run(whole.name, { ...feeds, references: reference })
    const half = rows.filter((row) => [0, pairs].includes(Math.floor(row / length))).length
    const alone = { batch: 2, length, labels: Math.max(half, rows.length - half) }
    const one = accumulatePreference(plan, { ...alone, loss })
    const apply = applyGradients(plan, { optimizer })
    const parts = await open([one, apply])
    for (let p = 0; p < pairs; p++) {
      const own = [...rows.keys()].filter((i) => [p, p + pairs].includes(owners[i] as number))
      const room = <T extends Int32Array | Float32Array>(to: T, values: number[]): T => {
        to.set(values)
        return to
      }
      const at = (row: number) => (row >= pairs * length ? length : 0) + (row % length)
      await parts.run(one.name, {
        ids: Int32Array.from([...ids.slice(p * length, (p + 1) * length), ...ids.slice((p + pairs) * length, (p + pairs + 1) * length)]),
        rows: room(
          new Int32Array(alone.labels),
          own.map((i) => at(rows[i] as number)),
        ),
        targets: room(
          new Int32Array(alone.labels),
          own.map((i) => labels.targets[i] as number),
        ),
        owners: room(
          new Int32Array(alone.labels),
          own.map((i) => ((owners[i] as number) >= pairs ? 1 : 0)),
        ),
        weights: room(
          new Float32Array(alone.labels),
          own.map(() => 1),
        ),
        rowWeights: Float32Array.of(1),
        scale: Float32Array.of(1 / pairs),
        references: Float32Array.of(reference[p] as number, reference[p + pairs] as number),
      })
    }
    for (const name of trainable) {
      const [a, b] = [await readMoment(executable, plan, name, 'gradient'), await readMoment(parts, plan, name, 'gradient')]
      expect(maxDifference(a, b), name).toBeLessThan(2e-6)
      expect(Math.max(...a.map(Math.abs)), name).toBeGreaterThan(1e-5)
    }
    await parts.run(apply.name, adamFeeds({ learningRate: [1e-3], weightDecay: [0], step: 1, optimizer }))
    expect(maxDifference(await readWeight(parts, plan, trainable[0] as string), read(trainable[0] as string))).toBeGreaterThan(5e-4)
    executable.close()
    parts.close()
  })

  test('a pair of weight 0 counts nothing, and ORPO needs no reference', async () => {
    const orpo: PreferenceSpec = { ...shape, loss: { type: 'orpo', beta: 0.1 }, nllWeight: 1 }
    const look = evaluatePreference(plan, orpo)
    expect(Object.keys(look.feeds)).not.toContain('references')
    const executable = await open([look])
    const nll = { nllWeights: weights.map((_, i) => ((owners[i] as number) < pairs ? 1 : 0)), nllScale: Float32Array.of(0.1) }
    const both = await executable.run(look.name, { ...feeds, ...nll })
    const first = await executable.run(look.name, { ...feeds, ...nll, rowWeights: Float32Array.of(1, 0) })
    executable.close()
    const second = (both.losses?.[1] as number) / pairs
    expect((both.loss?.[0] as number) - (first.loss?.[0] as number)).toBeCloseTo(second, 5)
    expect(() => evaluatePreference(plan, { ...shape, batch: 3, loss })).toThrowError(/even number of rows.*3/)
  })
})
