import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batchFeeds, chooseBuckets, epochOrder, planEvaluation, planTraining } from '../../../engine/data/batches'
import type { EncodedRow } from '../../../engine/data/encode'
import { Random } from '../../../engine/data/random'

const row = (length: number, labels: number): EncodedRow => ({
  ids: Int32Array.from({ length }, (_, i) => i + 100),
  mask: Uint8Array.from({ length }, (_, i) => (i >= length - labels ? 1 : 0)),
  labels,
  straddling: 0,
  endTrained: true,
})
const someRows = (count: number, seed: number) => {
  const random = Random.of(seed)
  return Array.from({ length: count }, () => {
    const length = 20 + random.below(200)
    return row(length, 1 + random.below(length - 1))
  })
}
const options = { batch: 8, accumulation: 2, epochs: 3, maxSteps: -1, seed: 42 }

describe('training plans', () => {
  it('each epoch holds every row once, in an order of its own that the seed repeats', () => {
    const rows = someRows(101, 1)
    const plan = planTraining(rows, options)
    expect(plan.totalSteps).toBe(3 * 7)
    expect(plan.epochs.map((e) => e.length)).toEqual([7, 7, 7])
    const orders = plan.epochs.map((e) => e.flat().flatMap((b) => b.rows))
    for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(rows.map((_, i) => i))
    expect(orders[0]).not.toEqual(orders[1])
    expect(planTraining(rows, options)).toEqual(plan)
    expect(planTraining(rows, { ...options, seed: 43 }).epochs[0]).not.toEqual(plan.epochs[0])
  })

  it('E-4: a longer training begins exactly like a shorter one', () => {
    const rows = someRows(60, 2)
    const short = planTraining(rows, { ...options, epochs: 1 })
    const long = planTraining(rows, { ...options, epochs: 5 })
    expect(long.epochs.slice(0, 1)).toEqual(short.epochs)
    expect(planTraining(rows, { ...options, maxSteps: 2 }).epochs[0]?.slice(0, 2)).toEqual(short.epochs[0]?.slice(0, 2))
  })

  it('every batch fits its shape, and few shapes are needed', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 16 }), fc.nat(1000), (count, batch, seed) => {
        const rows = someRows(count, seed)
        const plan = planTraining(rows, { ...options, batch, seed })
        for (const { rows: indices, shape, labelTokens } of plan.epochs.flat(2)) {
          if (indices.length > shape.batch || labelTokens > shape.labels || shape.length % 16) return false
          if (indices.some((i) => (rows[i] as EncodedRow).ids.length > shape.length)) return false
        }
        return plan.shapes.length <= 6
      }),
      { seed: 4, numRuns: 60 },
    )
  })

  it('evaluation sees every row once', () => {
    const rows = someRows(33, 5)
    expect(
      planEvaluation(rows, 8)
        .flatMap((b) => b.rows)
        .sort((a, b) => a - b),
    ).toEqual(rows.map((_, i) => i))
    expect(planEvaluation([], 8)).toEqual([])
  })

  it('rows of similar length meet, so that padding stays below a quarter', () => {
    const rows = someRows(400, 6)
    const plan = planTraining(rows, options)
    const real = rows.reduce((sum, r) => sum + r.ids.length, 0)
    const spent = (plan.epochs[0] ?? []).flat().reduce((sum, b) => sum + b.shape.batch * b.shape.length, 0)
    expect(spent / real).toBeLessThan(1.34)
  })
})

describe('buckets', () => {
  it('waste least: equal to trying all choices', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 160 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        (lengths, count) => {
          const cost = (buckets: number[]) => lengths.reduce((sum, l) => sum + (buckets.find((b) => b >= l) ?? Number.POSITIVE_INFINITY), 0)
          const sizes = [...new Set(lengths.map((l) => Math.ceil(l / 16) * 16))].sort((a, b) => a - b)
          let best = Number.POSITIVE_INFINITY
          for (let bits = 1; bits < 1 << sizes.length; bits++) {
            const choice = sizes.filter((_, i) => bits & (1 << i))
            if (choice.length <= count) best = Math.min(best, cost(choice))
          }
          const got = chooseBuckets(lengths, count)
          return got.length <= count && cost(got) === best
        },
      ),
      { seed: 8, numRuns: 200 },
    )
  })
})

describe('feeds', () => {
  it('F-44: padding weighs nothing, also when the pad id is a label', () => {
    const rows = [row(20, 3), row(30, 2)]
    const [batch] = planEvaluation(rows, 4)
    const feeds = batchFeeds(rows, batch as NonNullable<typeof batch>, 129)
    expect(feeds.weights.reduce((a, b) => a + b)).toBe(5)
    const labels = [...feeds.targets].filter((_, i) => feeds.weights[i])
    expect(labels).toEqual([128, 129, 117, 118, 119])
    const at = [...feeds.rows].filter((_, i) => feeds.weights[i])
    expect(at).toEqual([27, 28, 32 + 16, 32 + 17, 32 + 18])
    expect([...feeds.ids.subarray(30, 32)]).toEqual([129, 129])
  })
})

describe('random numbers', () => {
  it('go on from a saved state, differ by stream, and spread evenly', () => {
    const a = Random.of(42, 'x')
    a.uint32()
    const b = Random.from(a.state)
    expect([a.uniform(), a.below(10), a.uint32()]).toEqual([b.uniform(), b.below(10), b.uint32()])
    expect(Random.of(42, 'y').uint32()).not.toBe(Random.of(42, 'x').uint32())
    const counts = new Array(10).fill(0)
    const random = Random.of(1)
    for (let i = 0; i < 100_000; i++) counts[random.below(10)]++
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500)
  })

  it('shuffles without favour: every position is as likely', () => {
    const sums = new Array(5).fill(0)
    for (let seed = 0; seed < 20_000; seed++) sums[Random.of(seed, 's').shuffle([0, 1, 2, 3, 4]).indexOf(0)]++
    for (const sum of sums) expect(Math.abs(sum - 4000)).toBeLessThan(300)
    expect(epochOrder([5, 5, 5, 5], 2, 1, 0).flat().sort()).toEqual([0, 1, 2, 3])
  })
})
