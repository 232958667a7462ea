import { afterAll, beforeAll, expect, test } from 'vitest'
import { killGraph, type TestHome, testHome } from '../../kit/executor'
import { sumAfter } from '../../kit/stub-engine'

let home: TestHome
beforeAll(async () => {
  home = await testHome()
  await home.startWorker()
}, 120_000)
afterAll(async () => home[Symbol.asyncDispose]())

test('a pipeline runs from submit to outputs through queue, worker and trainer', async () => {
  const { run } = await home.submit(killGraph(home.journal))
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(nodes.train?.outputs?.metrics).toEqual({ steps: 20, loss: sumAfter(20, 0.001) })
  expect(nodes.check?.outputs?.metrics).toEqual({ rows: 2, trained: 1 })
})
