import * as path from 'node:path'
import { describe, expect, test } from 'vitest'
import { decode, planWeights, prefill, writeWeights } from '../../../engine/programs/index'
import { BACKEND_NAMES, BACKENDS } from '../support/backend'
import { openModel, REFERENCE, readJson } from '../support/fixtures'

describe.each(BACKEND_NAMES.flatMap((backend) => ['llama', 'gpt2'].map((name) => ({ backend, name }))))(
  '$name on $backend',
  ({ backend, name }) => {
    test('E-13: greedy answers with a key/value cache equal the reference, in one left-padded batch', async () => {
      const { new_tokens: count, runs } = readJson(path.join(REFERENCE, 'generation/expected.json'))[name] as {
        new_tokens: number
        runs: { prompt_ids: number[]; greedy: number[] }[]
      }
      const { model, read } = openModel(path.join(REFERENCE, 'models', name))
      const plan = planWeights(model, { trainable: [], precision: 'fp32' })
      const batch = runs.length
      const length = Math.max(...runs.map((run) => run.prompt_ids.length)) + 2
      const shape = { batch, length, cacheLength: length + count }
      const [first, more] = [prefill(plan, shape), decode(plan, shape)]
      const executable = await (await BACKENDS[backend]()).compile([first, more])
      await writeWeights(executable, plan, read)

      const starts = Int32Array.from(runs, (run) => length - run.prompt_ids.length)
      // Twice: what an earlier batch left in the caches must not matter.
      for (let round = 0; round < 2; round++) {
        const ids = Int32Array.from(runs.flatMap((run, row) => [...Array<number>(starts[row] as number).fill(0), ...run.prompt_ids]))
        let { next } = await executable.run(first.name, { ids, starts }, ['next'])
        const answers = runs.map(() => [] as number[])
        for (let i = 0; i < count; i++) {
          for (const [row, answer] of answers.entries()) answer.push((next as Int32Array)[row] as number)
          ;({ next } = await executable.run(more.name, { ids: next as Int32Array, starts, slot: Int32Array.of(length + i) }, ['next']))
        }
        expect(answers).toEqual(runs.map((run) => run.greedy))
      }
      executable.close()
    })
  },
)
