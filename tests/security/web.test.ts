import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emptyPipeline } from '../../nodes/_kit/graph'
import { loadEnv } from '../../server/env'
import { appRouter } from '../../server/trpc/router'
import { pageHeaders } from '../../server/web/guard'
import { ROOT } from '../kit/postgres'
import { type TestWeb, testWeb } from '../kit/web'

let web: TestWeb
beforeAll(async () => {
  web = await testWeb()
})
afterAll(() => web[Symbol.asyncDispose]())

const procedures = Object.keys(appRouter._def.procedures)
const json = { 'content-type': 'application/json' }

test('SEC-2: every procedure answers 401 without credentials, whatever internal headers of Next are sent along', async () => {
  expect(procedures.length).toBeGreaterThan(25)
  const tricks: Record<string, string>[] = [
    {},
    { 'x-middleware-subrequest': 'proxy:proxy:proxy' },
    { rsc: '1', 'next-router-prefetch': '1' },
    { 'next-action': 'x' },
    { authorization: 'Bearer wrong' },
    { cookie: 'thaw-4321=wrong' },
  ]
  for (const procedure of procedures) {
    for (const headers of tricks) {
      const got = await web.send(`/api/trpc/${procedure}`, {
        method: 'POST',
        headers: { ...json, ...headers },
        body: '{"json":{}}',
        loggedIn: false,
      })
      expect([procedure, got.status]).toEqual([procedure, 401])
    }
    const read = await web.send(`/api/trpc/${procedure}?input=${encodeURIComponent('{"json":{}}')}`, { loggedIn: false })
    // A mutation asked for by GET is refused for that first.
    expect([401, 405]).toContain(read.status)
  }
})

test('SEC-2: the route files are those we know, and each but the login answers 401 without credentials', async () => {
  const routes = (await readdir(join(ROOT, 'app/api'), { recursive: true })).filter((name) => name.endsWith('route.ts')).sort()
  expect(routes).toEqual([
    'bundle/[pipeline]/route.ts',
    'download/[run]/[node]/[port]/route.ts',
    'import/route.ts',
    'login/route.ts',
    'runs/[id]/route.ts',
    'runs/route.ts',
    'trpc/[trpc]/route.ts',
    'upload/route.ts',
  ])
  expect(
    (
      await web.send('/api/upload?name=a', {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: 'x',
        loggedIn: false,
      })
    ).status,
  ).toBe(401)
  expect((await web.send('/api/download/a/b/c', { loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/bundle/a', { loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/import', { method: 'POST', loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/runs', { method: 'POST', loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/runs/a', { loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/login?token=wrong', { loggedIn: false })).status).toBe(401)
  expect((await web.send('/api/login', { loggedIn: false })).status).toBe(401)
})

test('SEC-2: the check is in the procedure itself: a caller without owner gets nothing past any route', async () => {
  const caller = appRouter.createCaller({ services: web.services, owner: null }) as unknown as Record<
    string,
    Record<string, (input?: unknown) => Promise<unknown>>
  >
  for (const procedure of procedures) {
    const [group = '', name = ''] = procedure.split('.')
    const call = async () => caller[group]?.[name]?.({})
    await expect(call(), procedure).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  }
})

test('SEC-2: no procedure of the router is built on anything but the one door', async () => {
  const source = await readFile(join(ROOT, 'server/trpc/router.ts'), 'utf8')
  expect(source).not.toMatch(/publicProcedure|t\.procedure/)
  expect(await readFile(join(ROOT, 'server/trpc/init.ts'), 'utf8')).not.toMatch(/export const (?!router|authed|.*=> ?)\w*[pP]rocedure/)
})

describe('SEC-4: DNS rebinding and other pages of the same browser', () => {
  const foreign: [string, Record<string, string | null>][] = [
    ['a foreign Host', { host: 'evil.example' }],
    ['a foreign Host with our port', { host: 'evil.example:4321' }],
    ['another port of this machine', { host: '127.0.0.1:9999' }],
    ['no Host', { host: null }],
    ['a foreign Origin', { origin: 'https://evil.example' }],
    ['another port as Origin', { origin: 'http://127.0.0.1:9999' }],
    ['a sandboxed page', { origin: 'null' }],
    ['https where we speak http', { origin: 'https://127.0.0.1:4321' }],
    ['a look-alike', { origin: 'http://127.0.0.1:4321.evil.example' }],
  ]
  test.each(foreign)('%s is refused on every route, with the cookie', async (_name, headers) => {
    const document = emptyPipeline()
    const sent = [
      web.send('/api/trpc/pipelines.create', {
        method: 'POST',
        headers: { ...json, ...headers },
        body: JSON.stringify({ json: { document } }),
      }),
      web.send('/api/trpc/system.status', { headers }),
      web.send(`/api/trpc/runs.events?input=${encodeURIComponent('{"json":{"cursors":{}}}')}`, {
        headers: { ...headers, accept: 'text/event-stream' },
      }),
      web.send('/api/upload?name=a', { method: 'POST', headers: { 'content-type': 'application/octet-stream', ...headers }, body: 'x' }),
      web.send('/api/download/a/b/c', { headers }),
      web.send(`/api/login?token=${web.token}`, { headers }),
    ]
    for (const response of await Promise.all(sent)) {
      expect(response.status).toBe(403)
      expect(response.headers.get('set-cookie')).toBeNull()
    }
    expect((await web.query('pipelines.list')).body.result?.data.json).toEqual([])
  })

  test('what is not JSON by POST changes nothing: text, forms, no type, GET', async () => {
    const body = JSON.stringify({ json: { name: 'forged' } })
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', null]) {
      const response = await web.send('/api/trpc/pipelines.create', {
        method: 'POST',
        headers: { 'content-type': type },
        body: type === null ? new Blob([body]).stream() : body,
      })
      expect(response.status).toBe(400)
    }
    const byGet = await web.send(`/api/trpc/pipelines.create?input=${encodeURIComponent(body)}`)
    expect(byGet.status).toBe(405)
    expect((await web.query('pipelines.list')).body.result?.data.json).toEqual([])
  })

  test('localhost, the loopback of IPv6 and the configured origin are ours', async () => {
    for (const host of ['localhost:4321', '[::1]:4321', '127.0.0.1:4321']) {
      expect((await web.send('/api/trpc/system.status', { headers: { host, origin: `http://${host}` } })).status).toBe(200)
    }
  })
})

test('SEC-5: no answer carries a CORS header, not even to a preflight', async () => {
  const answers = [
    await web.send('/api/trpc/system.status'),
    await web.send('/api/trpc/system.status', {
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    }),
    await web.send('/api/trpc/system.status', { headers: { origin: 'https://evil.example' } }),
  ]
  for (const response of answers) {
    for (const name of response.headers.keys()) expect(name).not.toMatch(/^access-control/)
  }
})

test('SEC-20: the printed URL logs in with a cookie that scripts cannot read and other sites do not send, and the token leaves the address', async () => {
  const response = await web.send(`/api/login?token=${web.token}`, { loggedIn: false })
  expect(response.status).toBe(303)
  expect(response.headers.get('location')).toBe('/')
  const cookie = response.headers.get('set-cookie') ?? ''
  expect(cookie).toMatch(/^thaw-4321=[\w-]{43}; HttpOnly; SameSite=Strict; Path=\//)
  expect(cookie).not.toContain(web.token)
  expect(response.headers.get('referrer-policy')).toBe('no-referrer')
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect((await web.send('/api/trpc/system.status', { loggedIn: false, headers: { authorization: `Bearer ${web.token}` } })).status).toBe(
    200,
  )
  // The token itself is no cookie.
  expect((await web.send('/api/trpc/system.status', { loggedIn: false, headers: { cookie: `thaw-4321=${web.token}` } })).status).toBe(401)
})

test('SEC-14: data is never a page: fixed types, nosniff, a policy that allows nothing', async () => {
  for (const response of [
    await web.send('/api/trpc/system.status'),
    await web.send('/api/download/a/b/c'),
    await web.send('/api/trpc/nope', { loggedIn: false }),
  ]) {
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('content-security-policy')).toMatch(/default-src 'none'.*sandbox/)
  }
  const policy = pageHeaders('N', false)['content-security-policy'] ?? ''
  expect(policy).toContain("script-src 'self' 'nonce-N' 'strict-dynamic'")
  expect(policy).toContain("frame-ancestors 'none'")
  expect(policy).not.toMatch(/script-src[^;]*unsafe|(?<!attr )'unsafe-inline'|https?:|\*/)
})

describe('SEC-15: what would exhaust us is answered or refused in less than a second', () => {
  const quick = async (work: () => Promise<Response>) => {
    const from = performance.now()
    const response = await work()
    return {
      status: response.status,
      ms: performance.now() - from,
      error: ((await response.json()) as { error: { json?: { data: { error: { code: string } } }; code?: string } }).error,
    }
  }
  const save = (document: string) =>
    quick(() =>
      web.send('/api/trpc/pipelines.create', { method: 'POST', headers: json, body: `{"json":{"name":"x","document":${document}}}` }),
    )

  test('100,000 nodes', async () => {
    const nodes = Object.fromEntries(Array.from({ length: 60_000 }, (_, i) => [`n${i}`, { type: 'train', version: 1, params: {} }]))
    const got = await save(JSON.stringify({ ...emptyPipeline(), nodes }))
    expect(got.status).toBe(400)
    expect(got.error.json?.data.error.code).toBe('INVALID_DOCUMENT')
    expect(got.ms).toBeLessThan(2_000)
  })
  test('nesting a thousand deep', async () => {
    const got = await save(`{"schemaVersion":1,"nodes":${'{"a":'.repeat(1_000)}1${'}'.repeat(1_000)}}`)
    expect(got.status).toBe(400)
    expect(got.ms).toBeLessThan(1_000)
  })
  test('a body larger than any document, announced or not', async () => {
    const announced = await quick(() =>
      web.send('/api/trpc/pipelines.create', { method: 'POST', headers: { ...json, 'content-length': '99999999999' }, body: '{}' }),
    )
    expect(announced.status).toBe(413)
    let sent = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1
        controller.enqueue(new Uint8Array(1 << 20))
      },
    })
    const got = await quick(() => web.send('/api/trpc/pipelines.create', { method: 'POST', headers: json, body: endless }))
    expect(got.status).toBe(413)
    expect(sent).toBeLessThan(15)
  })
  test('a loop of requests', async () => {
    const statuses = await Promise.all(Array.from({ length: 1_500 }, () => web.send('/api/login').then((response) => response.status)))
    expect(statuses).toContain(429)
    expect(statuses.filter((status) => status === 401).length).toBeGreaterThan(100)
    // The bucket fills again.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect((await web.send('/api/trpc/system.status')).status).toBe(200)
  })
})

test('SEC-18, SEC-32: a host other than this machine is refused with the reason, whatever else is set', () => {
  for (const HOST of ['0.0.0.0', '::', '192.168.1.5', 'example.org']) {
    expect(() => loadEnv({ HOST, THAW_ORIGIN: 'https://thaw.example', THAW_SECRET_KEY: 'x'.repeat(32) })).toThrowError(
      expect.objectContaining({ code: 'SETTING_INVALID', where: 'HOST', message: expect.stringMatching(/team mode/) }),
    )
  }
  expect(loadEnv({ HOST: 'localhost' }).host).toBe('127.0.0.1')
})

test('A-7: wrong settings are reported all at once, without the values of secrets', () => {
  try {
    loadEnv({ PORT: '99999', DATABASE_URL: 'mysql://user:geheim@x/y', THAW_SECRET_KEY: 'short-secret' })
    expect.unreachable()
  } catch (error) {
    expect(error).toMatchObject({ code: 'SETTING_INVALID', where: 'DATABASE_URL, PORT, THAW_SECRET_KEY' })
    expect(JSON.stringify(error) + String(error)).not.toMatch(/geheim|short-secret/)
  }
})
