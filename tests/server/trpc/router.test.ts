import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { createTRPCClient, httpBatchStreamLink, httpSubscriptionLink, splitLink } from '@trpc/client'
import superjson from 'superjson'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyPipeline } from '../../../nodes/_kit/graph'
import { appendEvents } from '../../../server/storage/events'
import type { AppRouter } from '../../../server/trpc/router'
import { appRouter } from '../../../server/trpc/router'
import { downsample } from '../../../server/trpc/series'
import { trpcRoute } from '../../../server/web/routes'
import { TestEventSource } from '../../kit/event-source'
import { ROOT } from '../../kit/postgres'
import { madeRun } from '../../kit/rows'
import { until } from '../../kit/wait'
import { type TestWeb, testWeb } from '../../kit/web'

let web: TestWeb
let stop: () => Promise<void>
let origin: string
beforeAll(async () => {
  web = await testWeb()
  // The route behind a real HTTP server, so that the real client can be used, streams included.
  const server = createServer(async (incoming, outgoing) => {
    const abort = new AbortController()
    outgoing.on('close', () => abort.abort())
    const headers = new Headers({
      ...web.own,
      'content-type': incoming.headers['content-type'] ?? '',
      accept: incoming.headers.accept ?? '',
    })
    for (const name of ['last-event-id', 'trpc-accept']) if (incoming.headers[name]) headers.set(name, String(incoming.headers[name]))
    const request = new Request(new URL(incoming.url ?? '/', 'http://127.0.0.1:4321'), {
      method: incoming.method,
      headers,
      signal: abort.signal,
      ...(incoming.method === 'POST' ? { body: Readable.toWeb(incoming), duplex: 'half' } : {}),
    } as RequestInit)
    const response = await trpcRoute(request, web.web)
    outgoing.writeHead(response.status, Object.fromEntries(response.headers))
    if (!response.body) return outgoing.end()
    Readable.fromWeb(response.body as never)
      .on('error', () => outgoing.destroy())
      .pipe(outgoing)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  stop = () =>
    new Promise((resolve) => {
      server.closeAllConnections()
      server.close(() => resolve())
    })
})
afterAll(async () => {
  await stop()
  await web[Symbol.asyncDispose]()
})

const client = () => {
  const url = `${origin}/api/trpc`
  return createTRPCClient<AppRouter>({
    links: [
      splitLink({
        condition: (op) => op.type === 'subscription',
        true: httpSubscriptionLink({ url, transformer: superjson, EventSource: TestEventSource as never }),
        false: httpBatchStreamLink({ url, transformer: superjson, methodOverride: 'POST' }),
      }),
    ],
  })
}

test('ARCHITECTURE.md lists exactly the procedures that there are', async () => {
  const text = await readFile(join(ROOT, 'ARCHITECTURE.md'), 'utf8')
  const section = /### tRPC procedures[^\n]*\n([\s\S]*?)\nRoutes beside tRPC/.exec(text)?.[1] ?? ''
  const listed = [...section.matchAll(/`(\w+)\.(?:(\w+)|\{([^}]+)\})`/g)].flatMap(([, group, one, many]) =>
    (one ?? many ?? '').split(',').map((name) => `${group}.${name.trim()}`),
  )
  expect(listed.sort()).toEqual(Object.keys(appRouter._def.procedures).sort())
})

test('The browser opens a template, saves, gets a conflict with both documents, and sees dates as dates', async () => {
  const trpc = client()
  const [card] = await trpc.templates.list.query()
  if (!card) throw new Error('no template')
  const made = await trpc.pipelines.create.mutate({ template: card.id })
  expect(made).toMatchObject({ name: card.title, templateOf: card.id, revision: 1 })
  expect(made.createdAt).toBeInstanceOf(Date)
  const { document } = await trpc.pipelines.get.query({ id: made.id })
  expect(document).toEqual(card.document)
  expect(await trpc.pipelines.save.mutate({ id: made.id, revision: 1, document })).toMatchObject({ saved: true, revision: 2 })
  expect(await trpc.pipelines.save.mutate({ id: made.id, revision: 1, document: emptyPipeline() })).toMatchObject({
    saved: false,
    document,
  })
  const copy = await trpc.pipelines.duplicate.mutate({ id: made.id })
  expect(copy.name).toBe(`${card.title} copy`)
  await trpc.pipelines.rename.mutate({ id: copy.id, name: 'Another' })
  await trpc.pipelines.remove.mutate({ id: copy.id })
  expect((await trpc.pipelines.list.query()).map((row) => row.id)).toEqual([made.id])
})

test('R-94, R-97: a document of a newer schema is refused in words, an unknown node type is kept', async () => {
  const trpc = client()
  await expect(trpc.pipelines.create.mutate({ document: { ...emptyPipeline(), schemaVersion: 99 } as never })).rejects.toMatchObject({
    data: {
      httpStatus: 400,
      error: { code: 'INVALID_DOCUMENT', message: expect.stringMatching(/newer Thaw/), fix: expect.stringMatching(/update/) },
    },
  })
  const foreign = { ...emptyPipeline(), nodes: { x: { type: 'from-the-future', version: 7, params: { a: 1 } } } }
  const made = await trpc.pipelines.create.mutate({ document: foreign })
  expect((await trpc.pipelines.get.query({ id: made.id })).document).toEqual(foreign)
  const { problems } = await trpc.pipelines.check.query({ document: foreign })
  expect(problems[0]).toMatchObject({ code: 'unknown-type', node: 'x', severity: 'error' })
})

test('UX-21: checking a template answers the facts of its files and models', async () => {
  const trpc = client()
  const { document } = await trpc.templates.get.query({ id: 'contract-fields' })
  const { facts, problems } = await trpc.pipelines.check.query({ document })
  expect(problems.filter((problem) => problem.severity === 'error')).toEqual([])
  expect(facts['data:template:contract-fields/clauses.jsonl']).toMatchObject({
    kind: 'data',
    header: { container: 'jsonl', rowsExact: true, columns: expect.arrayContaining(['prompt', 'completion']) },
  })
  expect(facts['model:builtin:smollm2-135m-instruct']).toMatchObject({ kind: 'model', header: { blocks: 30, license: 'apache-2.0' } })
  const missing = await trpc.facts.resolve.query({ requests: [{ kind: 'data', file: '/nowhere/x.csv' }] })
  expect(missing['data:/nowhere/x.csv']).toMatchObject({ kind: 'error', code: 'NOT_FOUND' })
})

test('SEC-14: an error reaches the browser with code, place and fix, and without a stack', async () => {
  const trpc = client()
  const error = await trpc.runs.get.query({ id: '01900000-0000-7000-8000-00000000dead' }).catch((thrown) => thrown)
  expect(error.data).toMatchObject({ httpStatus: 404, error: { code: 'NOT_FOUND', failure: 'user' } })
  expect(JSON.stringify(error.data)).not.toMatch(/node_modules|\.ts:/)
  const invalid = await trpc.runs.get.query({ id: 'no id' }).catch((thrown) => thrown)
  expect(invalid.data).toMatchObject({ httpStatus: 400, error: { code: 'INVALID_INPUT', got: expect.stringMatching(/id/) } })
})

test('R-83, R-84, R-86: one stream carries several runs, and a stream opened again from the last cursor misses and repeats nothing', async () => {
  const { db } = web.services.storage
  const first = await madeRun(db)
  const second = await madeRun(db)
  const say = (run: string, text: string) =>
    appendEvents(db, run, [{ nodeId: 'data', kind: 'log', data: { lines: [{ at: 0, level: 'info', text }] } }])
  const seen: Record<string, number[]> = { [first.run]: [], [second.run]: [] }
  let cursor = ''
  const open = (lastEventId?: string) =>
    client().runs.events.subscribe(
      { cursors: { [first.run]: 0, [second.run]: 0 }, ...(lastEventId ? { lastEventId } : {}) },
      {
        onData({ id, data }) {
          cursor = id
          for (const event of data) seen[event.run]?.push(event.seq)
        },
      },
    )
  const early = open()
  for (let i = 0; i < 30; i++) await say(i % 3 === 0 ? first.run : second.run, `${i}`)
  await until('the first thirty', () => (seen[first.run]?.length ?? 0) + (seen[second.run]?.length ?? 0) === 30)
  early.unsubscribe()
  await until('the stream to end', () => web.services.hub.readers === 0)
  for (let i = 0; i < 10; i++) await say(first.run, 'while away')
  const late = open(cursor)
  for (let i = 0; i < 10; i++) await say(second.run, 'back')
  await until('the rest', () => seen[first.run]?.length === 20 && seen[second.run]?.length === 30)
  late.unsubscribe()
  expect(seen[first.run]).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
  expect(seen[second.run]).toEqual(Array.from({ length: 30 }, (_, i) => i + 1))
  await until('no reader is left', () => web.services.hub.readers === 0)
})

test('UX: pages of a dataset come from anywhere in it, whatever the length of its rows', async () => {
  const { artifacts, storage } = web.services
  const rows = Array.from({ length: 1_000 }, (_, i) => ({ id: `r${i}`, text: 'ä'.repeat(i % 7 === 0 ? 3_000 : 3) }))
  const { digest } = await artifacts.put(rows.map((row) => JSON.stringify(row)).join('\n'))
  const handle = {
    artifact: digest,
    rows: 1_000,
    format: 'text',
    columns: ['text'],
    name: 'x',
    split: 'all',
    source: digest,
    chars: { mean: 1, max: 1 },
  }
  const { run } = await madeRun(storage.db, { nodes: [{ status: 'done', outputs: { data: handle, note: { a: 1 } } }] })
  const trpc = client()
  for (const offset of [0, 255, 256, 700, 990]) {
    const page = await trpc.artifacts.rows.query({ run, node: 'data', port: 'data', offset, limit: 20 })
    expect(page.total).toBe(1_000)
    expect(page.rows).toEqual(rows.slice(offset, offset + 20))
  }
  expect((await trpc.artifacts.rows.query({ run, node: 'data', port: 'data', offset: 5_000 })).rows).toEqual([])
  await expect(trpc.artifacts.rows.query({ run, node: 'data', port: 'note' })).rejects.toMatchObject({
    data: { error: { code: 'NOT_FOUND' } },
  })
})

test('R-89: a curve of ten thousand points keeps its first, last, lowest and highest', () => {
  const points = Array.from({ length: 10_000 }, (_, step) => ({
    step,
    loss: step === 4_321 ? -5 : step === 1_234 ? 99 : Math.sin(step / 100),
  }))
  const few = downsample(points, 500)
  expect(few.length).toBeLessThanOrEqual(502)
  const steps = few.map((point) => point.step)
  expect(steps).toEqual([...steps].sort((a = 0, b = 0) => a - b))
  expect(steps).toEqual(expect.arrayContaining([0, 1_234, 4_321, 9_999]))
  expect(downsample(points.slice(0, 100), 500)).toEqual(points.slice(0, 100))
})
