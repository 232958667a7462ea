/** The routes, as functions of a request and of what they serve. */
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import { LOCAL_OWNER } from '../../drizzle/schema'
import { LIMITS } from '../../nodes/_kit/graph'
import type { Env } from '../env'
import { AppError } from '../errors'
import { appRouter } from '../trpc/router'
import type { Services } from '../trpc/services'
import { answer, errorAnswer } from './answers'
import { bundle, importBundle } from './bundle'
import { authenticated, DATA_HEADERS, foreign, loginCookie, overRate, type Site, siteOf } from './guard'
import { readRun, startRun } from './run-routes'
import { download, upload } from './transfer'

export type Web = { env: Env; site: Site; services(): Promise<Services> }

/** @param open composes the services; called at the first request that needs them, and again after a failure. */
export function openWeb(settings: Env, open: () => Promise<Services>): Web {
  let opened: Promise<Services> | undefined
  return {
    env: settings,
    site: siteOf(settings),
    services() {
      opened ??= open()
      // The database may be away just now; the next request tries again.
      opened.catch(() => {
        opened = undefined
      })
      return opened
    },
  }
}

/** A request is a batch of small questions; the largest thing in one is a document, twice at most. */
const BODY_LIMIT = LIMITS.bytes * 2 + 64 * 1024

/** The body within its limit, whatever the length header says. @throws AppError TOO_LARGE */
async function bodyOf(request: Request): Promise<Uint8Array<ArrayBuffer> | null> {
  if (request.method !== 'POST' || !request.body) return null
  const tooLarge = (got: number) =>
    new AppError('TOO_LARGE', { message: 'The request is too large.', expected: `at most ${BODY_LIMIT} bytes`, got: `${got} bytes` })
  const announced = Number(request.headers.get('content-length') ?? 0)
  if (announced > BODY_LIMIT) throw tooLarge(announced)
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of request.body as unknown as AsyncIterable<Uint8Array>) {
    size += part.byteLength
    if (size > BODY_LIMIT) throw tooLarge(size)
    parts.push(part)
  }
  const body = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    body.set(part, at)
    at += part.byteLength
  }
  return body
}

function isSubscription(request: Request): boolean {
  const path = new URL(request.url).pathname.split('/').at(-1) ?? ''
  const procedures = appRouter._def.procedures as unknown as Record<string, { _def: { type: string } } | undefined>
  return path.split(',').some((name) => Object.hasOwn(procedures, name) && procedures[name]?._def.type === 'subscription')
}

export async function trpcRoute(request: Request, at: Web): Promise<Response> {
  const refused = foreign(request.headers, at.site)
  if (refused) return errorAnswer(refused)
  if (overRate())
    return errorAnswer(
      new AppError('TOO_MANY_REQUESTS', { message: 'Too many requests in a short time.', fix: 'Wait a second and try again.' }),
    )
  if (request.method === 'POST' && request.headers.get('content-type')?.split(';')[0]?.trim() !== 'application/json') {
    return errorAnswer(
      new AppError('INVALID_INPUT', {
        message: 'Questions and commands are JSON.',
        where: 'content-type',
        expected: 'application/json',
        got: request.headers.get('content-type')?.slice(0, 100) ?? 'nothing',
      }),
    )
  }
  const owner = authenticated(request.headers, at.env.home, at.site) ? LOCAL_OWNER : null
  // A stream would say so only inside itself, with status 200; everything else gets its answer from the procedure.
  if (owner === null && isSubscription(request)) {
    return errorAnswer(
      new AppError('UNAUTHENTICATED', { message: 'This browser is not logged in.', fix: 'Open the URL that npm start printed.' }),
    )
  }
  try {
    const body = owner === null ? null : await bodyOf(request)
    const req =
      body === null ? request : new Request(request.url, { method: 'POST', headers: request.headers, body, signal: request.signal })
    // Whoever has no token learns that before the database is asked for anything.
    const services = owner === null ? (null as unknown as Services) : await at.services()
    const response = await fetchRequestHandler({
      endpoint: '/api/trpc',
      req,
      router: appRouter,
      createContext: () => ({ services, owner }),
      // Queries come as POST too: a document does not fit into an address.
      allowMethodOverride: true,
    })
    const headers = new Headers(response.headers)
    for (const [name, value] of Object.entries(DATA_HEADERS)) if (!(name === 'cache-control' && headers.has(name))) headers.set(name, value)
    return new Response(response.body, { status: response.status, headers })
  } catch (error) {
    return errorAnswer(error)
  }
}

export const uploadRoute = (request: Request, at: Web): Promise<Response> =>
  answer(request, at, async (owner) => upload(request, owner, await at.services()))

export async function downloadRoute(
  request: Request,
  context: { params: Promise<{ run: string; node: string; port: string }> },
  at: Web,
): Promise<Response> {
  const params = await context.params
  return answer(request, at, async (owner) => download(owner, params, await at.services()))
}

const bundleStores = async (at: Web) => {
  const { storage, files, system } = await at.services()
  return { storage, files, version: (await system()).version }
}

/** A pipeline with its data and results as one zip. */
export async function bundleRoute(request: Request, context: { params: Promise<{ pipeline: string }> }, at: Web): Promise<Response> {
  const { pipeline } = await context.params
  return answer(request, at, async (owner) => bundle(owner, pipeline, await bundleStores(at)))
}

export const importRoute = (request: Request, at: Web): Promise<Response> =>
  answer(request, at, async (owner) => importBundle(request, owner, await bundleStores(at)))

/** Starts a run for a script, or runs an earlier one again with other data. */
export const startRunRoute = (request: Request, at: Web): Promise<Response> =>
  answer(request, at, async (owner) => startRun(request, owner, await at.services()))

export async function readRunRoute(request: Request, context: { params: Promise<{ id: string }> }, at: Web): Promise<Response> {
  const { id } = await context.params
  return answer(request, at, async (owner) => readRun(owner, id, await at.services()))
}

/** The only public route: token in, cookie out, and the token leaves the address bar (SEC-20). */
export const loginRoute = (request: Request, at: Web): Promise<Response> =>
  answer(
    request,
    at,
    async () => {
      const cookie = loginCookie(new URL(request.url).searchParams.get('token') ?? '', at.env.home, at.site)
      if (cookie === null)
        throw new AppError('UNAUTHENTICATED', { message: 'This link is not valid any more.', fix: 'Open the URL that npm start printed.' })
      return new Response(null, { status: 303, headers: { ...DATA_HEADERS, location: '/', 'set-cookie': cookie } })
    },
    { public: true },
  )
