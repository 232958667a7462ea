/** The web process without Next: its routes on a real database and a THAW_HOME of its own. What Next adds is tested on the running product. */
import { join } from 'node:path'
import { type Env, loadEnv } from '../../server/env'
import { type ComposedServices, composeServices } from '../../server/main'
import { ensureToken } from '../../server/web/guard'
import {
  bundleRoute,
  downloadRoute,
  importRoute,
  loginRoute,
  openWeb,
  readRunRoute,
  startRunRoute,
  trpcRoute,
  uploadRoute,
  type Web,
} from '../../server/web/routes'
import { type TestDatabase, testDatabase } from './postgres'
import { tempFolder } from './temp'

export interface TestWeb extends AsyncDisposable {
  readonly env: Env
  readonly web: Web
  readonly origin: string
  readonly token: string
  readonly database: TestDatabase
  readonly services: ComposedServices
  /** Headers of a logged-in browser on our own page. */
  readonly own: Record<string, string>
  /** Sends a request to the route that Next would choose. `host` and the like may be overridden with null to leave them out. */
  send(
    path: string,
    init?: { method?: string; headers?: Record<string, string | null>; body?: BodyInit; loggedIn?: boolean },
  ): Promise<Response>
  /** Calls a procedure as the browser does. */
  query(
    procedure: string,
    input?: unknown,
  ): Promise<{
    status: number
    body: { result?: { data: { json: never } }; error?: { json: { data: { error: { code: string; message: string } } } } }
  }>
}

export async function testWeb(): Promise<TestWeb> {
  const folder = await tempFolder()
  const database = await testDatabase()
  const env = loadEnv({
    THAW_HOME: join(folder.path, 'home'),
    THAW_CACHE: join(folder.path, 'cache'),
    DATABASE_URL: database.url,
    PORT: '4321',
  })
  const token = ensureToken(env.home)
  const services = await composeServices(env, { applicationName: 'thaw test web', maxConnections: 4 })
  const web = openWeb(env, async () => services)
  const origin = 'http://127.0.0.1:4321'
  const login = await loginRoute(new Request(`${origin}/api/login?token=${token}`, { headers: { host: '127.0.0.1:4321' } }), web)
  const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? ''
  const own = { host: '127.0.0.1:4321', origin, cookie }

  const send: TestWeb['send'] = (path, { method = 'GET', headers = {}, body, loggedIn = true } = {}) => {
    const sent = new Headers()
    const defaults: Record<string, string> = loggedIn ? own : { host: own.host }
    for (const [name, value] of Object.entries({ ...defaults, ...headers })) if (value !== null) sent.set(name, value)
    const request = new Request(new URL(path, origin), {
      method,
      headers: sent,
      ...(body === undefined ? {} : { body, duplex: 'half' }),
    } as RequestInit)
    const { pathname } = new URL(request.url)
    if (pathname.startsWith('/api/trpc/')) return trpcRoute(request, web)
    if (pathname === '/api/upload') return uploadRoute(request, web)
    if (pathname === '/api/import') return importRoute(request, web)
    if (pathname.startsWith('/api/bundle/'))
      return bundleRoute(request, { params: Promise.resolve({ pipeline: pathname.split('/').at(-1) ?? '' }) }, web)
    if (pathname === '/api/runs') return startRunRoute(request, web)
    if (pathname.startsWith('/api/runs/'))
      return readRunRoute(request, { params: Promise.resolve({ id: pathname.split('/').at(-1) ?? '' }) }, web)
    if (pathname === '/api/login') return loginRoute(request, web)
    const [, , , run = '', node = '', port = ''] = pathname.split('/').map(decodeURIComponent)
    if (pathname.startsWith('/api/download/')) return downloadRoute(request, { params: Promise.resolve({ run, node, port }) }, web)
    throw new Error(`No route for ${pathname}.`)
  }

  return {
    env,
    web,
    origin,
    token,
    database,
    services,
    own,
    send,
    async query(procedure, input) {
      const response = await send(`/api/trpc/${procedure}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ json: input ?? null }),
      })
      return { status: response.status, body: (await response.json()) as never }
    },
    async [Symbol.asyncDispose]() {
      await services.close()
      await database[Symbol.asyncDispose]()
      await folder[Symbol.asyncDispose]()
    },
  }
}
