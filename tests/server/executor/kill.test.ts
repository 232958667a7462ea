import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { killGraph, lossOf, OWNER, type TestHome, testHome, within } from '../../kit/executor'
import { isAlive } from '../../kit/processes'
import { sumAfter } from '../../kit/stub-engine'
import { until } from '../../kit/wait'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

let home: TestHome
beforeEach(async () => {
  home = await testHome()
}, 120_000)
afterEach(async () => home[Symbol.asyncDispose]())

const stepOf = async (run: string) => (await home.nodes(run)).train?.checkpoint?.step ?? 0
const slow = { max_steps: 30, ms: 60 }
const atStep = (run: string, step: number) =>
  until(`a checkpoint at step ${step}`, async () => (await stepOf(run)) >= step, { everyMs: 20, timeoutMs: 120_000 })

/** Once each, in order, with no gap: what a reader of the run has seen. */
async function expectCleanStory(run: string) {
  const events = await home.events(run)
  expect(events.map((event) => event.seq)).toEqual(events.map((_, i) => i + 1))
}

test('T-1: kill -9 of the trainer in mid-step: the next attempt continues from the checkpoint, nothing finished runs again', async () => {
  await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, slow))
  await atStep(run, 10)
  process.kill(await home.trainerPid(run, 'train'), 'SIGKILL')
  const killed = Date.now()
  await until('the second attempt', async () => ((await home.attempts(run)).train?.length ?? 0) === 2, { everyMs: 20 })
  expect(Date.now() - killed).toBeLessThan(within(5_000))
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(lossOf(nodes.train)).toBe(sumAfter(30, 0.001))
  expect([home.count('model run'), home.count('freeze run'), home.count('data run'), home.count('train run')]).toEqual([1, 1, 1, 2])
  const resumed = Number(
    home
      .lines()
      .filter((line) => line.startsWith('train from'))
      .at(-1)
      ?.split(' ')
      .at(-1),
  )
  expect(resumed).toBeGreaterThanOrEqual(10)
  const attempts = (await home.attempts(run)).train ?? []
  expect(attempts.map((attempt) => attempt.outcome)).toEqual(['lost', 'done'])
  expect(attempts[0]?.error).toMatchObject({ code: 'TRAINER_LOST', got: 'signal SIGKILL' })
  await expectCleanStory(run)
})

test('T-1: a trainer that dies at every tenth step still arrives, since each death is after a new checkpoint', async () => {
  await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 30, ms: 5, crash_at: 13, crashes: 2 }))
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(home.count('crash')).toBe(2)
  expect(lossOf(nodes.train)).toBe(sumAfter(30, 0.001))
})

test('T-2, R-19, R-37: kill -9 of the worker: its trainer is dead within a second, the restarted worker goes on at once', async () => {
  const worker = await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, slow))
  await atStep(run, 10)
  const trainer = await home.trainerPid(run, 'train')
  worker.kill()
  const killed = Date.now()
  await until('the trainer to die', async () => !(await isAlive(trainer)), { everyMs: 10 })
  expect(Date.now() - killed).toBeLessThan(within(1_000))
  const restarted = Date.now()
  await home.startWorker()
  await until('the second attempt', async () => ((await home.attempts(run)).train?.length ?? 0) === 2, { everyMs: 20 })
  expect(Date.now() - restarted).toBeLessThan(within(6_000))
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(lossOf(nodes.train)).toBe(sumAfter(30, 0.001))
  expect([home.count('model run'), home.count('freeze run'), home.count('train run')]).toEqual([1, 1, 2])
  await expectCleanStory(run)
})

test('T-9, R-38: a zombie worker that wakes after the takeover writes nothing', async () => {
  const first = await home.startWorker(0)
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 60, ms: 100 }))
  await atStep(run, 5)
  const trainer = await home.trainerPid(run, 'train')
  first.kill('SIGSTOP')
  process.kill(trainer, 'SIGSTOP')
  await home.startWorker(1)
  await until('the takeover', async () => ((await home.attempts(run)).train?.length ?? 0) === 2, { timeoutMs: 120_000 })
  const before = (await home.attempts(run)).train?.[0]
  first.kill('SIGCONT')
  process.kill(trainer, 'SIGCONT')
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(lossOf(nodes.train)).toBe(sumAfter(60, 0.001))
  const attempts = (await home.attempts(run)).train ?? []
  expect(attempts.map((attempt) => attempt.outcome)).toEqual(['lost', 'done'])
  expect(attempts[0]?.toStep).toBe(before?.toStep)
  // Every point once: what the zombie had buffered was refused.
  const points = (await home.events(run)).flatMap((event) =>
    event.kind === 'metric' ? (event.data as { points: { step: number }[] }).points : [],
  )
  const after = points
    .map((point) => point.step)
    .lastIndexOf(
      1 +
        Number(
          home
            .lines()
            .filter((line) => line.startsWith('train from'))
            .at(-1)
            ?.split(' ')
            .at(-1),
        ),
    )
  expect(points.slice(after).map((point) => point.step)).toEqual(
    Array.from({ length: points.length - after }, (_, i) => (points[after]?.step ?? 0) + i),
  )
  await until('the zombie to let go of its trainer', async () => !(await isAlive(trainer)), {})
})

test('T-15: Stop is acknowledged within a second, keeps the checkpoint, and a new run goes on from it', async () => {
  await home.startWorker()
  const document = killGraph(home.journal, slow)
  const { run } = await home.submit(document)
  await atStep(run, 5)
  const asked = Date.now()
  await home.executor.stop(OWNER, run, 'keep')
  expect(Date.now() - asked).toBeLessThan(within(1_000))
  const { run: row, nodes } = await home.finished(run)
  expect(Date.now() - asked).toBeLessThan(within(3_000))
  expect(row.status).toBe('stopped')
  expect(nodes.train).toMatchObject({ status: 'stopped' })
  expect(nodes.train?.step).toBe(nodes.train?.checkpoint?.step)
  expect([nodes.check?.status, nodes.export?.status]).toEqual(['cancelled', 'cancelled'])
  const acknowledged = (await home.events(run)).find((event) => (event.data as { reason?: { code: string } }).reason?.code === 'stopping')
  expect(acknowledged).toBeDefined()
  expect((acknowledged?.at.getTime() ?? 0) - asked).toBeLessThan(within(1_000))

  const plan = await home.executor.plan(OWNER, { pipelineId: await home.pipeline(document), document, target: null, inputs: {} })
  const step = nodes.train?.step
  expect(plan.nodes.find((node) => node.node === 'train')).toMatchObject({ action: 'continue', reasons: [{ code: 'interrupted', step }] })
  const resumed = await home.executor.resume(OWNER, run)
  const again = await home.finished(resumed.run)
  expect(again.run).toMatchObject({ status: 'succeeded', parentRun: run })
  expect(home.lines()).toContain(`train from ${step}`)
  expect(lossOf(again.nodes.train)).toBe(sumAfter(30, 0.001))
})

test('T-15, R-47: Stop now ends at once and the last committed checkpoint counts', async () => {
  await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 200, ms: 60, deaf: true }))
  await atStep(run, 5)
  const asked = Date.now()
  await home.executor.stop(OWNER, run, 'now')
  const { run: row, nodes } = await home.finished(run)
  expect(Date.now() - asked).toBeLessThan(within(2_500))
  expect(row.status).toBe('stopped')
  expect(nodes.train?.checkpoint?.step).toBeGreaterThanOrEqual(5)
})

test('T-15, R-47: Pause frees the worker and Resume continues the same run, also after everything restarted', async () => {
  const worker = await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, slow))
  await atStep(run, 5)
  await home.executor.stop(OWNER, run, 'pause')
  await until('the run to pause', async () => (await home.nodes(run)).train?.status === 'paused')
  worker.kill()
  await worker.ended
  await home.startWorker()
  const resumed = await home.executor.resume(OWNER, run)
  expect(resumed.run).toBe(run)
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(lossOf(nodes.train)).toBe(sumAfter(30, 0.001))
})

test('R-22: SIGTERM makes a worker save, give the node run back and end; the next one goes on from there', async () => {
  const worker = await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, slow))
  await atStep(run, 5)
  worker.kill('SIGTERM')
  await worker.ended
  const row = (await home.nodes(run)).train
  expect(row?.status).toBe('queued')
  const step = row?.checkpoint?.step
  await home.startWorker()
  const { run: done, nodes } = await home.finished(run)
  expect(done.status).toBe('succeeded')
  expect(home.lines()).toContain(`train from ${step}`)
  expect(lossOf(nodes.train)).toBe(sumAfter(30, 0.001))
  expect((await home.attempts(run)).train?.map((attempt) => attempt.outcome)).toEqual(['released', 'done'])
})

test('T-11: a trainer blocked for longer than the heartbeat costs no lease', async () => {
  await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 6, block_ms: 14_000 }))
  const { run: row } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect((await home.attempts(run)).train?.length).toBe(1)
})

test('T-19, R-41: the queue emptied during a run is rebuilt from the tables', async () => {
  const { run } = await home.submit(killGraph(home.journal))
  await home.storage.pool.query("delete from pgboss.job where name in ('cpu', 'gpu')")
  // A starting worker reconciles before it takes work.
  await home.startWorker()
  expect((await home.finished(run)).run.status).toBe('succeeded')
})

test('T-5, R-35, R-39: the database with all its backends away for 4 s in mid-training costs no lease and no work', async () => {
  await home.startWorker()
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 60, ms: 150 }))
  await atStep(run, 5)
  await home.losePostgres(4_000)
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(lossOf(nodes.train)).toBe(sumAfter(60, 0.001))
  expect((await home.attempts(run)).train?.length).toBe(1)
  const points = (await home.events(run)).flatMap((event) =>
    event.kind === 'metric' ? (event.data as { points: { step: number }[] }).points : [],
  )
  expect(points.map((point) => point.step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
  await expectCleanStory(run)
})

test('T-2, R-37: on another host nobody can see the process, so the heartbeat decides: taken over within 20 s', async () => {
  const worker = await home.startWorker(0)
  const { run } = await home.submit(killGraph(home.journal, slow))
  await atStep(run, 5)
  await home.storage.pool.query("update workers set host = 'elsewhere' where ended_at is null")
  worker.kill()
  const killed = Date.now()
  await home.startWorker(1)
  await until('the takeover', async () => ((await home.attempts(run)).train?.length ?? 0) === 2, { timeoutMs: 120_000 })
  expect(Date.now() - killed).toBeLessThan(within(20_000))
  expect((await home.finished(run)).run.status).toBe('succeeded')
})

test('T-19, R-40: a lease that grows old is exchanged at a checkpoint; the training ends as if nothing had been', async () => {
  await home.startWorker(0, { rolloverMs: 1_000 })
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 60, ms: 150 }))
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('succeeded')
  expect(lossOf(nodes.train)).toBe(sumAfter(60, 0.001))
  const attempts = (await home.attempts(run)).train ?? []
  expect(attempts.length).toBeGreaterThan(1)
  expect(attempts.map((attempt) => attempt.outcome)).toEqual([...attempts.slice(1).map(() => 'released'), 'done'])
  // The trainer stayed warm.
  expect(new Set(attempts.map((attempt) => attempt.trainerPid)).size).toBe(1)
})

test('R-26: silence is shown, and beyond its limit ends the trainer; the attempt counts as lost', async () => {
  await home.startWorker(0, { silentMs: 2_000, deadMs: 60_000 })
  const shown = await home.submit(killGraph(home.journal, { max_steps: 6, block_ms: 9_000 }))
  expect((await home.finished(shown.run)).run.status).toBe('succeeded')
  const reasons = (await home.events(shown.run)).flatMap((event) => (event.data as { reason?: { code: string } }).reason?.code ?? [])
  expect(reasons).toEqual(['not-responding', 'responding'])
})

test('R-26: a trainer that never answers again is ended, and three of those fail the node', async () => {
  await home.startWorker(0, { silentMs: 1_000, deadMs: 3_000 })
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 6, block_ms: 600_000 }))
  const { run: row, nodes } = await home.finished(run)
  expect(row.status).toBe('failed')
  expect(nodes.train?.error).toMatchObject({ code: 'LOST_REPEATEDLY' })
  expect((await home.attempts(run)).train?.map((attempt) => attempt.error?.code)).toEqual([
    'TRAINER_SILENT',
    'TRAINER_SILENT',
    'TRAINER_SILENT',
  ])
})
