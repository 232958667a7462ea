import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { planSides, planWeights, read as readRows, write, writeWeights } from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS } from '../support/backend'
import { openModel, REFERENCE, readJson } from '../support/fixtures'

describe.each(BACKEND_NAMES.flatMap((backend) => ['llama', 'gpt2'].map((name) => ({ backend, name }))))(
  '$name on $backend',
  ({ backend, name }) => {
    test('E-13: greedy answers with a key/value cache equal the reference, in one batch laid end to end', async () => {
      const { new_tokens: count, runs } = readJson(path.join(REFERENCE, 'generation/expected.json'))[name] as {
        new_tokens: number
        runs: { prompt_ids: number[]; greedy: number[] }[]
      }
      const { model, read } = openModel(path.join(REFERENCE, 'models', name))
      const plan = planWeights(model, { trainable: [], precision: 'fp32' })
      const batch = runs.length
      const lengths = runs.map((run) => run.prompt_ids.length)
      const [length, used] = [Math.max(...lengths) + 2, lengths.reduce((a, b) => a + b, 0)]
      const shape = { batch, length, tokens: used + 3, cacheLength: length + count }
      const sides = planSides(plan)
      const [first, more] = [readRows(sides, shape), write(sides, shape)]
      const executable = await (await BACKENDS[backend]()).compile([first, more])
      await writeWeights(executable, plan, read)

      const starts = lengths.map((_, row) => lengths.slice(0, row).reduce((a, b) => a + b, 0))
      const room = <T>(values: readonly T[], size: number, empty: T) => [...values, ...Array<T>(size - values.length).fill(empty)]
      const each = (of: (row: number, t: number) => number) =>
        Int32Array.from(
          room(
            lengths.flatMap((own, row) => Array.from({ length: own }, (_, t) => of(row, t))),
            shape.tokens,
            0,
          ),
        )
      const feeds = {
        ids: each((row, t) => runs[row]?.prompt_ids[t] as number),
        positions: each((_, t) => t),
        places: each((row, t) => row * length + t),
        spread: Int32Array.from(
          lengths.flatMap((own, row) =>
            room(
              Array.from({ length: own }, (_, t) => (starts[row] as number) + t),
              length,
              0,
            ),
          ),
        ),
        last: Int32Array.from(lengths, (own, row) => (starts[row] as number) + own - 1),
      }
      // Twice: what an earlier batch left in the caches must not matter.
      for (let round = 0; round < 2; round++) {
        let { next } = await executable.run(first.name, feeds, ['next'])
        const answers = runs.map(() => [] as number[])
        for (let i = 0; i < count; i++) {
          for (const [row, answer] of answers.entries()) answer.push((next as Int32Array)[row] as number)
          ;({ next } = await executable.run(more.name, { ids: next as Int32Array, at: Int32Array.from(lengths, (own) => own + i) }, [
            'next',
          ]))
        }
        expect(answers).toEqual(runs.map((run) => run.greedy))
      }
      executable.close()
    })
  },
)
