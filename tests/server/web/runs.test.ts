import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { and, eq } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { nodeRuns, runs } from '../../../drizzle/schema'
import { getRun, listNodeRuns } from '../../../server/storage/runs'
import { OWNER } from '../../kit/rows'
import { type TestWeb, testWeb } from '../../kit/web'

let web: TestWeb
let pipeline: string
let folder: string
beforeAll(async () => {
  web = await testWeb()
  folder = join(web.env.home, '..', 'data')
  mkdirSync(folder)
  const rows = (n: number, prompt: string) =>
    Array.from({ length: n }, (_, i) => JSON.stringify({ [prompt]: `question ${i}`, completion: i % 2 ? 'yes' : 'no' })).join('\n')
  writeFileSync(join(folder, 'old.jsonl'), rows(20, 'prompt'))
  writeFileSync(join(folder, 'new.jsonl'), `${rows(30, 'prompt')}\n{"prompt":"q","completion":"perhaps"}`)
  writeFileSync(join(folder, 'other.jsonl'), rows(10, 'body').replaceAll('completion', 'wanted'))
  writeFileSync(join(folder, 'broken.jsonl'), '{"prompt": "a", ')
  const document = {
    schemaVersion: 1,
    nodes: {
      data: { type: 'load-data', version: 1, params: { file: join(folder, 'old.jsonl') } },
      split: { type: 'split-data', version: 1, params: {} },
    },
    edges: [{ from: { node: 'data', port: 'data' }, to: { node: 'split', port: 'data' } }],
    inputs: [{ id: 'pairs', title: 'Pairs', node: 'data', param: 'file' }],
    notes: [],
    layout: { nodes: { data: { x: 0, y: 0 }, split: { x: 300, y: 0 } }, groups: [] },
  }
  const made = await web.query('pipelines.create', { name: 'Pairs', document })
  pipeline = (made.body.result?.data.json as unknown as { id: string } | undefined)?.id ?? ''
})
afterAll(() => web[Symbol.asyncDispose]())

const post = async (body: unknown, headers: Record<string, string | null> = {}, loggedIn = true) => {
  const response = await web.send('/api/runs', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    loggedIn,
  })
  // biome-ignore lint/suspicious/noExplicitAny: an answer as a script sees it
  return { status: response.status, body: (await response.json()) as any }
}

test('R-100: one HTTP call runs an earlier run again with other data, compares it, and names the comparison', async () => {
  const first = await post({ pipeline, name: 'first' })
  expect(first).toMatchObject({ status: 201, body: { number: 1 } })
  const { db } = web.services.storage
  const again = await post(
    { run: first.body.run, inputs: { pairs: join(folder, 'new.jsonl') }, idempotencyKey: 'once-and-only' },
    { authorization: `Bearer ${web.token}`, origin: null, cookie: null },
  )
  expect(again).toMatchObject({
    status: 201,
    body: {
      number: 2,
      compare: `/runs/compare?ids=${first.body.run},${again.body.run}`,
      data: [
        {
          input: 'pairs',
          rows: { earlier: 20, later: 31 },
          shared: 20,
          labels: [{ column: 'completion', added: [{ value: 'perhaps', rows: 1 }] }],
        },
      ],
    },
  })
  // Stored on the run, not in the pipeline.
  expect(await getRun(db, OWNER, again.body.run)).toMatchObject({ parentRun: first.body.run, inputs: { pairs: join(folder, 'new.jsonl') } })
  const draft = await web.query('pipelines.get', { id: pipeline })
  expect(JSON.stringify(draft.body)).not.toContain('new.jsonl')
  expect(await post({ run: first.body.run, inputs: { pairs: join(folder, 'new.jsonl') }, idempotencyKey: 'once-and-only' })).toMatchObject({
    status: 200,
    body: { run: again.body.run },
  })
  const read = await web.send(`/api/runs/${again.body.run}`)
  expect(await read.json()).toMatchObject({
    number: 2,
    status: 'queued',
    nodes: { data: { status: 'queued' }, split: { status: 'waiting' } },
  })
})

test('R-100: missing columns block; naming them in the new file lets it run', async () => {
  const first = await post({ pipeline })
  const inputs = { pairs: join(folder, 'other.jsonl') }
  const plan = await web.query('runs.rerunPlan', { run: first.body.run, inputs })
  const seen = plan.body.result?.data.json as unknown as {
    data: { columns: unknown; mapping: { param: string; options: string[] }[] }[]
    plan: { summary: { blocked: number } }
  }
  expect(seen.plan.summary.blocked).toBe(2)
  expect(seen.data[0]?.columns).toContainEqual(expect.objectContaining({ name: 'prompt', later: null }))
  expect(seen.data[0]?.mapping).toContainEqual(expect.objectContaining({ param: 'prompt_column', options: ['body', 'wanted'] }))
  expect(await post({ run: first.body.run, inputs })).toMatchObject({ status: 409, body: { error: { code: 'PLAN_BLOCKED' } } })
  // One of the two names is enough where the other is as it was.
  writeFileSync(join(folder, 'half.jsonl'), '{"body":"a","completion":"b"}\n{"body":"c","completion":"d"}\n{"body":"e","completion":"f"}')
  const half = { pairs: join(folder, 'half.jsonl') }
  expect((await post({ run: first.body.run, inputs: half })).body.error.code).toBe('PLAN_BLOCKED')
  expect((await post({ run: first.body.run, inputs: { ...half, 'pairs.prompt_column': 'body' } })).status).toBe(201)
  const mapped = await post({
    run: first.body.run,
    inputs: { ...inputs, 'pairs.prompt_column': 'body', 'pairs.completion_column': 'wanted' },
  })
  expect(mapped.status).toBe(201)
  const nodes = await listNodeRuns(web.services.storage.db, OWNER, mapped.body.run)
  expect(nodes.find((node) => node.nodeId === 'data')?.params).toMatchObject({ prompt_column: 'body', completion_column: 'wanted' })
})

test('R-100: nasty reruns are refused in words: no such input, a broken file, no file, nothing trained, somebody else', async () => {
  const first = await post({ pipeline })
  const { run } = first.body
  const code = async (body: unknown) => (await post(body)).body.error?.code
  expect(await code({ run, inputs: { rows: 'x' } })).toBe('INVALID_INPUT')
  expect(await code({ run, inputs: { pairs: join(folder, 'broken.jsonl') } })).toBe('INVALID_INPUT')
  expect(await code({ run, inputs: { pairs: join(folder, 'none.jsonl') } })).toBe('NOT_FOUND')
  expect(await code({ run, inputs: { pairs: '/etc/passwd' } })).toBe('PATH_REFUSED')
  expect(await code({ run, startFrom: 'last' })).toBe('CONFLICT')
  expect(await code({ run, pipeline })).toBe('INVALID_INPUT')
  expect(await code({})).toBe('INVALID_INPUT')
  expect(await code({ run: '01900000-0000-7000-8000-00000000dead' })).toBe('NOT_FOUND')
  expect((await post({ pipeline }, {}, false)).status).toBe(401)
  expect((await post({ pipeline }, { origin: 'https://elsewhere.example' })).status).toBe(403)
  expect((await post({ pipeline }, { 'content-type': 'text/plain' })).status).toBe(400)
})

test('UX-77: a sweep queues one ordinary run for each combination; the same request again adds none; what cannot run is named before any begins', async () => {
  const first = await post({ pipeline })
  const { run } = first.body
  const axes = [
    { node: 'split', param: 'seed', values: [1, 2, 3] },
    { node: 'data', param: 'max_rows', values: [10, 15] },
  ]
  const json = async (procedure: string, input: unknown) => {
    const { body } = await web.query(procedure, input)
    // biome-ignore lint/suspicious/noExplicitAny: an answer as a script sees it
    return { data: body.result?.data.json as any, code: body.error?.json.data.error.code, message: body.error?.json.data.error.message }
  }
  expect((await json('runs.sweepPlan', { run, axes })).data).toMatchObject({ runs: 6 })
  const made = (await json('runs.startSweep', { run, axes, idempotencyKey: 'one sweep' })).data
  expect(made.runs).toHaveLength(6)
  expect((await json('runs.startSweep', { run, axes, idempotencyKey: 'one sweep' })).data).toEqual(made)
  const sweep = (await json('runs.sweep', { id: made.sweep })).data
  expect(sweep.runs.map((one: { id: string }) => one.id)).toEqual(made.runs)
  expect(sweep.runs.map((one: { values: unknown[] }) => one.values)).toEqual([
    [1, 10],
    [1, 15],
    [2, 10],
    [2, 15],
    [3, 10],
    [3, 15],
  ])
  expect(sweep.runs[3]).toMatchObject({ status: 'queued', name: 'seed 2, max_rows 15', sweepId: made.sweep })
  const nodes = await listNodeRuns(web.services.storage.db, OWNER, made.runs[3])
  expect(Object.fromEntries(nodes.map((node) => [node.nodeId, node.params]))).toMatchObject({ split: { seed: 2 }, data: { max_rows: 15 } })

  const refused = await json('runs.startSweep', {
    run,
    axes: [{ node: 'data', param: 'max_rows', values: [5, -1] }],
    idempotencyKey: 'a bad one',
  })
  expect(refused.code).toBe('PLAN_BLOCKED')
  expect(refused.message).toContain('max_rows -1')
  expect((await json('runs.list', { limit: 1 })).data[0].id).toBe(made.runs[5])
  expect((await json('runs.sweepPlan', { run, axes: [{ node: 'gone', param: 'x', values: [1] }] })).code).toBe('INVALID_INPUT')
  expect((await json('runs.sweepPlan', { run, axes: [axes[0], axes[0]] })).code).toBe('INVALID_INPUT')
})

test('R-52: run again from a node: what is above is taken as it was, the node and what is below run, and the earlier run stays as it is', async () => {
  const first = await post({ pipeline })
  const { run } = first.body
  const { db } = web.services.storage
  const again = () => web.query('runs.retryFrom', { run, node: 'split', idempotencyKey: 'again-from-split' })
  expect((await again()).body.error?.json.data.error.code).toBe('CONFLICT')
  // As workers would leave it.
  const stored = await web.services.artifacts.put('{"id":"1"}\n')
  const data = {
    artifact: stored.digest,
    rows: 1,
    format: 'prompt_completion',
    columns: ['prompt', 'completion'],
    name: 'rows',
    split: 'all',
    source: stored.digest,
    chars: { mean: 1, max: 1 },
  }
  for (const [node, outputs] of [
    ['data', { data }],
    ['split', { train: data, validation: data, test: data }],
  ] as const)
    await db
      .update(nodeRuns)
      .set({ status: 'done', outputs, endedAt: new Date() })
      .where(and(eq(nodeRuns.runId, run), eq(nodeRuns.nodeId, node)))
  await db.update(runs).set({ status: 'succeeded', endedAt: new Date() }).where(eq(runs.id, run))
  const before = await listNodeRuns(db, OWNER, run)

  const made = (await again()).body.result?.data.json as unknown as { run: string }
  expect(await getRun(db, OWNER, made.run)).toMatchObject({ parentRun: run })
  const nodes = Object.fromEntries((await listNodeRuns(db, OWNER, made.run)).map((node) => [node.nodeId, node]))
  expect(nodes.data).toMatchObject({ status: 'reused', outputs: { data }, reusedFrom: { run } })
  expect(nodes.split).toMatchObject({ status: 'queued', outputs: null })
  expect((await again()).body.result?.data.json).toMatchObject({ run: made.run, existing: true })
  expect(await listNodeRuns(db, OWNER, run)).toEqual(before)
})
