import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Pipeline } from '../../../nodes/_kit/graph'
import type { Plan } from '../../../nodes/_kit/plan'
import { listRuns } from '../../../server/storage/runs'
import { artifactOf, documentOf, killGraph, lossOf, OWNER, type TestHome, testHome } from '../../kit/executor'
import { sumAfter } from '../../kit/stub-engine'
import { until } from '../../kit/wait'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 })

let home: TestHome
beforeAll(async () => {
  home = await testHome()
  await home.startWorker()
}, 120_000)
afterAll(async () => home[Symbol.asyncDispose]())

const actions = (plan: Plan) => Object.fromEntries(plan.nodes.map((node) => [node.node, node.action]))
const codes = (plan: Plan, node: string) => plan.nodes.find((one) => one.node === node)?.reasons.map((reason) => reason.code)
const params = (document: Pipeline, node: string, more: Record<string, unknown>): Pipeline => {
  const old = document.nodes[node]
  if (!old) throw new Error(`no node ${node}`)
  return { ...document, nodes: { ...document.nodes, [node]: { ...old, params: { ...old.params, ...more } } } }
}
const planOf = async (document: Pipeline) =>
  home.executor.plan(OWNER, { pipelineId: await home.pipeline(document), document, target: null, inputs: {} })

test('a pipeline runs from submit to outputs through queue, worker and trainer; run again it reuses everything (T-16)', async () => {
  const document = killGraph(home.journal)
  expect(codes(await planOf(document), 'train')).toEqual(['never-run', 'upstream-runs'])
  const first = await home.submit(document)
  const { run, nodes } = await home.finished(first.run)
  expect(run.status).toBe('succeeded')
  expect(nodes.train?.outputs?.metrics).toEqual({ steps: 20, loss: sumAfter(20, 0.001) })
  expect(nodes.check?.outputs?.metrics).toEqual({ rows: 2, trained: 1 })
  expect(home.count('train run')).toBe(1)

  const again = await planOf(document)
  expect(new Set(Object.values(actions(again)))).toEqual(new Set(['reuse']))
  expect(codes(again, 'train')).toEqual(['same-recipe'])
  const second = await home.submit(document)
  expect((await home.finished(second.run)).run.status).toBe('succeeded')
  expect(home.count('train run')).toBe(1)

  // layout and notes never enter a hash.
  const moved: Pipeline = {
    ...document,
    layout: { ...document.layout, nodes: { train: { x: 9, y: 9, title: 'My training' } } },
    notes: [{ id: 'n', text: 'note', x: 0, y: 0 }],
  }
  expect(new Set(Object.values(actions(await planOf(moved))))).toEqual(new Set(['reuse']))
})

test('T-16: one changed param reruns that node and its descendants, and the plan says why', async () => {
  const document = params(killGraph(home.journal), 'freeze', { top: 2 })
  const plan = await planOf(document)
  expect(actions(plan)).toEqual({ model: 'reuse', data: 'reuse', freeze: 'run', train: 'run', check: 'run', export: 'run' })
  const reason = plan.nodes.find((node) => node.node === 'freeze')?.reasons[0]
  expect(reason).toMatchObject({ code: 'param-changed', param: 'top', old: 1, new: 2, text: 'top changed from 1 to 2.' })
  expect(plan.nodes.find((node) => node.node === 'export')?.reasons.find((one) => one.code === 'upstream-runs')?.node).toBe('freeze')
})

test('R-33: an upstream edit with equal output stops there', async () => {
  const file = join(home.home, '..', 'rows.txt')
  writeFileSync(file, 'x\ny\n')
  const document = documentOf({ data: ['stub-data', { journal: home.journal, file }], split: ['stub-split', { journal: home.journal }] }, [
    'data.data -> split.data',
  ])
  await home.finished((await home.submit(document)).run)
  const before = home.count('split run')
  // Another byte in the file that the node trims away: it runs, gives the same rows, and what is below is reused at the claim.
  writeFileSync(file, 'x\ny\n\n')
  const plan = await planOf(document)
  expect(codes(plan, 'data')).toEqual(['source-changed'])
  expect(actions(plan)).toEqual({ data: 'run', split: 'run' })
  const { nodes } = await home.finished((await home.submit(document)).run)
  expect(nodes.split?.status).toBe('reused')
  expect(home.count('split run')).toBe(before)
  // A file moved to another folder is the same file.
  const moved = join(home.home, '..', 'moved')
  rmSync(moved, { recursive: true, force: true })
  mkdirSync(moved)
  renameSync(file, join(moved, 'rows.txt'))
  expect(actions(await planOf(params(document, 'data', { file: join(moved, 'rows.txt') })))).toEqual({ data: 'reuse', split: 'reuse' })
  expect(codes(await planOf(document), 'data')).toEqual(['source-missing'])
})

test('R-75: a missing artifact is a cache miss with a reason, and is rebuilt', async () => {
  const document = documentOf({ data: ['stub-data', { journal: home.journal, rows: 'gone\nsoon' }] })
  const { nodes } = await home.finished((await home.submit(document)).run)
  const digest = artifactOf(nodes.data)
  await home.store.delete(digest)
  expect(codes(await planOf(document), 'data')).toEqual(['artifact-missing'])
  const { run } = await home.finished((await home.submit(document)).run)
  expect(run.status).toBe('succeeded')
  expect(await home.store.has(digest)).not.toBeNull()
  expect(actions(await planOf(document))).toEqual({ data: 'reuse' })
})

test('T-14: two branches, one fails: the other finishes, descendants are skipped with the cause; retry runs only the failed and below', async () => {
  const j = { journal: home.journal }
  const document = documentOf(
    {
      a: ['stub-data', { ...j, rows: 'a1' }],
      broken: ['stub-fail', { ...j, how: 'user' }],
      below: ['stub-split', j],
      deeper: ['stub-split', j],
      fine: ['stub-split', { ...j, seed: 7 }],
    },
    ['a.data -> broken.data', 'broken.data -> below.data', 'below.train -> deeper.data', 'a.data -> fine.data'],
  )
  const first = await home.submit(document)
  const { run, nodes } = await home.finished(first.run)
  expect(run.status).toBe('failed')
  expect(run.rootCause).toBe(nodes.broken?.id)
  expect(nodes.fine?.status).toBe('done')
  expect([nodes.below?.status, nodes.deeper?.status]).toEqual(['skipped', 'skipped'])
  expect([nodes.below?.skippedBy, nodes.deeper?.skippedBy]).toEqual([nodes.broken?.id, nodes.broken?.id])
  expect(nodes.broken?.error).toMatchObject({
    failure: 'user',
    message: 'Row 3 has no text.',
    where: 'line 3',
    expected: 'text',
    got: 'nothing',
    fix: 'Add it.',
  })

  const retried = await home.executor.resume(OWNER, first.run)
  const again = await home.finished(retried.run)
  expect(again.run.parentRun).toBe(first.run)
  expect([again.nodes.a?.status, again.nodes.fine?.status, again.nodes.broken?.status]).toEqual(['reused', 'reused', 'failed'])
  expect(home.count('fine run')).toBe(1)
  expect(home.count('broken run')).toBe(2)
})

test('an output that breaks its port is reported at the producer, and internal faults keep their stack', async () => {
  const graph = (how: string) =>
    documentOf({ a: ['stub-data', { journal: home.journal }], f: ['stub-fail', { journal: home.journal, how }] }, ['a.data -> f.data'])
  const bad = await home.finished((await home.submit(graph('output'))).run)
  expect(bad.nodes.f?.error).toMatchObject({ code: 'BAD_OUTPUT', failure: 'internal', where: 'f.data.artifact' })
  const internal = await home.finished((await home.submit(graph('internal'))).run)
  expect(internal.nodes.f?.error).toMatchObject({ code: 'INTERNAL', message: 'cannot read nothing' })
  expect(internal.nodes.f?.error?.details).toContain('TypeError')
})

test('R-49: a transient failure is tried again after 5 s', async () => {
  const document = documentOf(
    { a: ['stub-data', { journal: home.journal }], f: ['stub-fail', { journal: home.journal, how: 'transient' }] },
    ['a.data -> f.data'],
  )
  const { run } = await home.submit(document)
  const started = Date.now()
  await until('the second attempt', async () => ((await home.attempts(run)).f?.length ?? 0) >= 2, { everyMs: 50, timeoutMs: 120_000 })
  expect(Date.now() - started).toBeGreaterThan(4_500)
  await home.executor.stop(OWNER, run, 'now')
  expect((await home.finished(run)).run.status).not.toBe('succeeded')
})

test('R-49: a trainer that dies three times without a checkpoint fails the node with the exit in the message', async () => {
  const document = documentOf(
    { a: ['stub-data', { journal: home.journal, rows: 'exits' }], exits: ['stub-fail', { journal: home.journal, how: 'exit' }] },
    ['a.data -> exits.data'],
  )
  const { run } = await home.submit(document)
  const { nodes } = await home.finished(run)
  expect(nodes.exits?.error).toMatchObject({ code: 'LOST_REPEATEDLY', failure: 'internal' })
  expect(home.count('exits run')).toBe(3)
  expect((await home.attempts(run)).exits?.map((attempt) => attempt.outcome)).toEqual(['lost', 'lost', 'lost'])
})

test('volatile nodes always run and say so (R-61); what they give is found by content below', async () => {
  const j = { journal: home.journal }
  const document = documentOf({ now: ['stub-clock', { ...j, rows: 'same' }], part: ['stub-split', { ...j, seed: 9 }] }, [
    'now.data -> part.data',
  ])
  await home.finished((await home.submit(document)).run)
  const plan = await planOf(document)
  expect(codes(plan, 'now')).toEqual(['volatile'])
  const { nodes } = await home.finished((await home.submit(document)).run)
  expect([nodes.now?.status, nodes.part?.status]).toEqual(['done', 'reused'])
})

test('T-17: rolled back a submit leaves neither run nor job; the same idempotency key twice is one run', async () => {
  const document = documentOf({ a: ['stub-data', { journal: home.journal, rows: 'once' }] })
  const count = async () =>
    Number(
      (await home.storage.pool.query("select (select count(*) from runs) + (select count(*) from pgboss.job where state = 'created') as n"))
        .rows[0].n,
    )
  const pipelineId = await home.pipeline(document)
  const before = await count()
  await home.storage.pool.query(`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$`)
  await home.storage.pool.query('create trigger refuse before insert on run_events for each row execute function refuse()')
  await expect(home.submit(document, { pipelineId })).rejects.toThrow()
  await home.storage.pool.query('drop trigger refuse on run_events')
  expect(await count()).toBe(before)

  const [one, two] = await Promise.all([
    home.submit(document, { pipelineId, idempotencyKey: 'double-click' }),
    home.submit(document, { pipelineId, idempotencyKey: 'double-click' }),
  ])
  expect(one.run).toBe(two.run)
  expect([one.existing, two.existing].sort()).toEqual([false, true])
  await home.finished(one.run)
  expect((await listRuns(home.storage.db, OWNER, { pipelineId })).length).toBe(1)
})

test('what cannot run is refused at submit, all of it named', async () => {
  const document = documentOf({ t: ['stub-train', { max_stepz: 3 }], u: ['no-such-type'] })
  await expect(home.submit(document)).rejects.toMatchObject({ code: 'PLAN_BLOCKED', where: 't, u' })
})

test('R-80: events have no gaps and tell the whole story; R-82: steps come in batches', async () => {
  const document = killGraph(home.journal, { max_steps: 60, ms: 2, learning_rate: 0.5 })
  const { run } = await home.submit(document)
  await home.finished(run)
  const events = await home.events(run)
  expect(events.map((event) => event.seq)).toEqual(events.map((_, i) => i + 1))
  const points = events.flatMap((event) => (event.kind === 'metric' ? (event.data as { points: { step: number }[] }).points : []))
  expect(points.map((point) => point.step)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
  expect(events.filter((event) => event.kind === 'metric').length).toBeLessThan(20)
  expect(events.at(-1)).toMatchObject({ kind: 'run', data: { status: 'succeeded' } })
  expect(events.filter((event) => event.kind === 'checkpoint').map((event) => (event.data as { step: number }).step)).toEqual([
    5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60,
  ])
})

test('R-65: a longer training continues from the newest checkpoint and equals one straight through; R-66: under a linear schedule it does not', async () => {
  const constant = killGraph(home.journal, { max_steps: 12, learning_rate: 0.25 })
  await home.finished((await home.submit(constant)).run)
  const longer = params(constant, 'train', { max_steps: 22 })
  const plan = await planOf(longer)
  const node = plan.nodes.find((one) => one.node === 'train')
  expect(node).toMatchObject({ action: 'continue', from: { step: 10 } })
  expect(node?.reasons[0]).toMatchObject({ code: 'more-epochs', param: 'max_steps', old: 12, new: 22, step: 10 })
  const { nodes } = await home.finished((await home.submit(longer)).run)
  expect(home.lines().slice(-6)).toContain('train from 10')
  expect(lossOf(nodes.train)).toBe(sumAfter(22, 0.25))

  const linear = params(params(constant, 'train', { schedule: 'linear' }), 'train', { max_steps: 12 })
  await home.finished((await home.submit(linear)).run)
  const stretched = await planOf(params(linear, 'train', { max_steps: 22 }))
  expect(stretched.nodes.find((one) => one.node === 'train')?.action).toBe('run')
})

test('E-16: what the trainer computes with, and why, is known of its worker from the first run on', async () => {
  const { run } = await home.submit(killGraph(home.journal, { max_steps: 2 }))
  await home.finished(run)
  const devices = await until('the engine to be known', async () => {
    const { rows } = await home.storage.pool.query<{ devices: unknown[] }>('select devices from workers where ended_at is null')
    return rows[0]?.devices.length ? rows[0].devices : null
  })
  expect(devices).toEqual([{ name: 'cpu', device: 'stub', reason: 'a test' }])
})

test('R-63: two runs that need the same result at the same moment share one execution, and the second goes on at once', async () => {
  const slow = (rows: string) => documentOf({ data: ['stub-data', { journal: home.journal, rows, ms: 3_000 }] })
  const before = home.count('data run')
  const worker = await home.startWorker(7)
  const [first, second] = [await home.submit(slow('shared')), await home.submit(slow('shared'))]
  try {
    const [a, b] = await Promise.all([home.finished(first.run), home.finished(second.run)])
    expect([a.run.status, b.run.status]).toEqual(['succeeded', 'succeeded'])
    expect([a.nodes.data?.status, b.nodes.data?.status].sort()).toEqual(['done', 'reused'])
    expect(home.count('data run')).toBe(before + 1)
    const [done, reused] = a.nodes.data?.status === 'done' ? [a, b] : [b, a]
    expect(reused.nodes.data?.reusedFrom).toMatchObject({ number: done.run.number })
    // Woken by the one that finished, not by its own time a minute later.
    const gap = (reused.nodes.data?.endedAt?.getTime() ?? 0) - (done.nodes.data?.endedAt?.getTime() ?? 0)
    expect(gap).toBeLessThan(20_000)
    const waited = (await home.events(reused.run.id)).some(
      (event) => (event.data as { reason?: { code: string } }).reason?.code === 'shared',
    )
    expect(waited).toBe(true)
  } finally {
    worker.kill('SIGTERM')
    await worker.ended
  }
})
