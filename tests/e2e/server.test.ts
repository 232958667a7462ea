/** What only the running product can show: the proxy before every page, the routes behind real HTTP, and processes that are killed. */
import { spawn } from 'node:child_process'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { descendants, isAlive } from '../kit/processes'
import { NODE, type Product, ROOT, startProduct } from '../kit/product'
import { tempFolder } from '../kit/temp'
import { until } from '../kit/wait'

let folder: Awaited<ReturnType<typeof tempFolder>>
let product: Product
beforeAll(async () => {
  folder = await tempFolder()
  product = await startProduct({ home: join(folder.path, 'home') })
}, 580_000)
afterAll(async () => {
  await product?.stop()
  await folder?.[Symbol.asyncDispose]()
})

/** A raw request, with any Host. */
function raw(
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<{ status: number; headers: Record<string, string | string[] | undefined>; body: string }> {
  const { hostname, port } = new URL(product.origin)
  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, path, method, headers, setHost: !('host' in headers) }, (answer) => {
      let body = ''
      answer.on('data', (chunk) => {
        body += chunk
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body }))
    })
    sent.on('error', reject)
    sent.end()
  })
}
const cookie = async () => (await fetch(product.url, { redirect: 'manual' })).headers.getSetCookie()[0]?.split(';')[0] ?? ''

/** Runs `npm start` to its end. */
function start(env: Record<string, string>): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(NODE, [join(ROOT, 'scripts/start.mjs')], {
      cwd: ROOT,
      env: { ...process.env, THAW_HOME: product.home, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk
      })
    }
    child.on('exit', (code) => resolve({ code, output }))
  })
}

describe('SEC-4, SEC-14: before every page, file and route', () => {
  test('a foreign Host or Origin gets nothing, with the cookie, from pages, static files, routes and streams', async () => {
    const logged = { cookie: await cookie() }
    const script = /\/_next\/static\/[^"]+\.js/.exec((await raw('/', logged)).body)?.[0] ?? '/_next/static/none.js'
    const stream = `/api/trpc/runs.events?input=${encodeURIComponent('{"json":{"cursors":{}}}')}`
    for (const path of [
      '/',
      '/pipelines/x',
      script,
      '/api/trpc/system.status',
      stream,
      '/api/upload',
      '/api/download/a/b/c',
      product.url.slice(product.origin.length),
    ]) {
      for (const headers of [{ host: 'evil.example' }, { origin: 'https://evil.example' }] as Record<string, string>[]) {
        const answer = await raw(path, { ...logged, ...headers })
        expect([path, answer.status]).toEqual([path, 403])
        expect(answer.headers['set-cookie']).toBeUndefined()
        expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    }
  })

  test('SEC-5: a preflight from a foreign origin is refused without any allow header', async () => {
    const answer = await raw(
      '/api/trpc/system.status',
      { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
      'OPTIONS',
    )
    expect(answer.status).toBe(403)
    expect(Object.keys(answer.headers).filter((name) => /allow/.test(name))).toEqual([])
  })

  test('SEC-2: a browser without login gets one sentence, whatever headers skip what; procedures answer 401', async () => {
    for (const headers of [
      {},
      { 'x-middleware-subrequest': 'proxy:proxy:proxy:proxy:proxy' },
      { rsc: '1', 'next-router-prefetch': '1' },
      { 'x-middleware-subrequest': 'src/proxy:src/proxy:src/proxy' },
    ] as Record<string, string>[]) {
      const page = await raw('/', headers)
      expect(page.status).toBe(401)
      expect(page.body).toContain('npm start')
      for (const path of ['/api/trpc/system.status', '/api/trpc/runs.events?input=%7B%7D']) {
        let answer = await raw(path, headers)
        // Next sends what looks like its own fetch to the same address with a mark of its own first.
        if (answer.status === 307) answer = await raw(String(answer.headers.location), headers)
        expect([path, answer.status]).toEqual([path, 401])
      }
    }
  })

  test('SEC-14: a page may run its own scripts only: a fresh nonce each time, on every script, nothing inline without it', async () => {
    const logged = { cookie: await cookie() }
    const [first, second] = [await raw('/', logged), await raw('/', logged)]
    const nonceOf = (answer: typeof first) => /'nonce-([^']+)'/.exec(String(answer.headers['content-security-policy']))?.[1]
    expect(nonceOf(first)).toBeTruthy()
    expect(nonceOf(first)).not.toBe(nonceOf(second))
    const scripts = [...first.body.matchAll(/<script\b[^>]*>/g)].map((match) => match[0])
    expect(scripts.length).toBeGreaterThan(2)
    for (const tag of scripts) expect(tag).toContain(`nonce="${nonceOf(first)}"`)
    expect(first.headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
    })
    expect(first.headers['x-powered-by']).toBeUndefined()
  })

  test('SEC-7: an upload of some megabytes streams through the real server and comes back as facts', async () => {
    const rows = Array.from({ length: 30_000 }, (_, i) =>
      JSON.stringify({ prompt: `question ${i} ${'x'.repeat(100)}`, completion: `answer ${i}` }),
    ).join('\n')
    const answer = await product.fetch('/api/upload?name=mine.jsonl', {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: rows,
    })
    expect(answer.status).toBe(200)
    const { file } = (await answer.json()) as { file: string }
    const facts = await product.fetch('/api/trpc/facts.resolve', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ json: { requests: [{ kind: 'data', file }] } }),
    })
    expect(
      ((await facts.json()) as never as { result: { data: { json: Record<string, unknown> } } }).result.data.json[`data:${file}`],
    ).toMatchObject({ kind: 'data', header: { name: 'mine.jsonl', detected: { format: expect.any(String) } } })
  })

  test('SEC-18: nothing of ours listens anywhere but on 127.0.0.1', async () => {
    const listening = (
      await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'utf8').catch(() => '')))
    ).flatMap((text) =>
      text
        .split('\n')
        .slice(1)
        .map((line) => line.trim().split(/\s+/))
        .filter((fields) => fields[3] === '0A')
        .map((fields) => ({ address: fields[1]?.split(':')[0], inode: fields[9] })),
    )
    const family = [product.pid, ...(await descendants(product.pid)).map((info) => info.pid)]
    const mine = new Set<string>()
    for (const pid of family) {
      for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
        const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
        const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
        if (inode) mine.add(inode)
      }
    }
    const ours = listening.filter((socket) => mine.has(socket.inode ?? ''))
    expect(ours.length).toBeGreaterThanOrEqual(2)
    expect(new Set(ours.map((socket) => socket.address))).toEqual(new Set(['0100007F']))
  })
})

describe('R-17, SEC-18: starting', () => {
  test('a second start prints the URL of the first and ends well', async () => {
    const { code, output } = await start({})
    expect(code).toBe(0)
    expect(output).toContain(product.url)
  })

  test('R-17, R-22: started while the last one ends, it waits and takes over; the address it prints answers', async () => {
    const home = join(folder.path, 'ending home')
    const first = await startProduct({ home, port: 47_310, env: { THAW_WORKERS: '0' } })
    const ended = first.stop()
    // Late enough that the ending has begun, early enough that it is not over.
    await until('the ending to begin', async () => !(await readFile(join(home, 'supervisor.json'), 'utf8').catch(() => '')), {
      everyMs: 5,
    })
    await using second = await startProduct({ home, port: 47_310, env: { THAW_WORKERS: '0' } })
    await ended
    expect(second.output()).not.toContain('already running')
    expect((await second.fetch('/')).status).toBe(200)
  })

  test('HOST=0.0.0.0 is refused with the reason, whatever else is set', async () => {
    const { code, output } = await start({
      HOST: '0.0.0.0',
      THAW_ORIGIN: 'https://thaw.example',
      THAW_HOME: join(folder.path, 'other home'),
    })
    expect(code).toBe(1)
    expect(output).toMatch(/HOST=0\.0\.0\.0/)
  })

  test('a taken port gives the next one, and the URL says which', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const { port } = blocker.address() as { port: number }
    try {
      await using other = await startProduct({ home: join(folder.path, 'second home'), port, env: { THAW_WORKERS: '0' } })
      expect(other.output()).toContain(`Port ${port} is taken`)
      expect(new URL(other.url).port).not.toBe(String(port))
      expect((await other.fetch('/')).status).toBe(200)
    } finally {
      blocker.close()
    }
  })
})

describe('T-3, T-4: kill -9', () => {
  test('T-3: of the web server: it is back at once, with the same login', async () => {
    expect((await product.fetch('/api/trpc/system.status')).status).toBe(200)
    const from = performance.now()
    await product.kill('web')
    await until('the page', async () => (await product.fetch('/').catch(() => null))?.status === 200, { timeoutMs: 20_000, everyMs: 50 })
    expect(performance.now() - from).toBeLessThan(10_000)
    expect((await product.fetch('/api/trpc/system.status')).status).toBe(200)
  })

  test('T-4, R-11: of the supervisor: web and workers are gone in a second, the next start adopts the database and knows the pipelines', async () => {
    const created = await product.fetch('/api/trpc/pipelines.create', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ json: { name: 'Survivor' } }),
    })
    expect(created.status).toBe(200)
    const [database] = (await descendants(product.pid)).filter((info) => /bin\/postgres/.test(info.command))
    if (!database) throw new Error('no database process')
    const children = (await descendants(product.pid)).filter((info) => !/postgres/.test(info.command))
    expect(children.length).toBeGreaterThanOrEqual(2)
    await product.crash()
    await until(
      'web and workers to end',
      async () => (await Promise.all(children.map((info) => isAlive(info.pid)))).every((alive) => !alive),
      { timeoutMs: 3_000, everyMs: 20 },
    )
    expect(await isAlive(database.pid)).toBe(true)
    product = await startProduct({ home: product.home })
    expect(await isAlive(database.pid)).toBe(true)
    expect(await (await product.fetch('/api/trpc/pipelines.list')).text()).toContain('Survivor')
    // Adopted, so no descendant of the new supervisor; the stop below must end it all the same.
    await product.stop()
    await until('the database to end', async () => !(await isAlive(database.pid)), { timeoutMs: 12_000 })
  })
})

describe('A-12: starting again', () => {
  test('A-12, UX-143: a later start builds and downloads nothing and is at its first page in no time; the time is printed', async () => {
    const from = performance.now()
    await using again = await startProduct({ home: product.home })
    const page = await again.fetch('/')
    const seconds = (performance.now() - from) / 1_000
    expect(page.status).toBe(200)
    expect(await page.text()).toContain('<html')
    expect(again.output()).not.toMatch(/[Bb]uilding|[Dd]ownloading|[Ii]nstalling/)
    console.log(`A later start: ${(again.startMs / 1_000).toFixed(1)} s to the printed address, ${seconds.toFixed(1)} s to the first page.`)
    // Ten times the promise, which holds on a machine that does nothing else.
    expect(seconds).toBeLessThan(30)
  })
})
