/** The building blocks of every procedure. There is one door, `authed`; what is public says so by name (SEC-2). */
import { initTRPC, TRPCError } from '@trpc/server'
import superjson from 'superjson'
import { prettifyError, ZodError } from 'zod'
import { AppError, CODES, fromUnknown, isErrorCode } from '../errors'
import type { Services } from './services'

export type Context = {
  services: Services
  /** Who asks; null when the request carries no valid token. */
  owner: string | null
}

const t = initTRPC.context<Context>().create({
  transformer: superjson,
  // the client's side of both numbers comes from here.
  sse: { ping: { enabled: true, intervalMs: 5_000 }, client: { reconnectAfterInactivityMs: 15_000 } },
  errorFormatter({ shape, error }) {
    const app = appErrorOf(error)
    return {
      ...shape,
      message: app.message,
      data: { code: shape.data.code, httpStatus: httpOf(app), path: shape.data.path, error: app },
    }
  },
})

const httpOf = (error: { code: string }): number => (isErrorCode(error.code) ? CODES[error.code].http : 500)

/** What the browser learns of an error: never a stack. */
function appErrorOf(error: TRPCError) {
  if (error.cause instanceof ZodError) {
    return new AppError('INVALID_INPUT', {
      message: 'The request is not what this procedure takes.',
      got: prettifyError(error.cause).slice(0, 2_000),
    }).toStored()
  }
  if (error.cause instanceof AppError) return error.cause.toStored()
  if (error.code === 'NOT_FOUND') return new AppError('NOT_FOUND', { message: 'There is no such procedure.' }).toStored()
  if (error.code === 'UNSUPPORTED_MEDIA_TYPE' || error.code === 'PARSE_ERROR' || error.code === 'BAD_REQUEST')
    return new AppError('INVALID_INPUT', { message: error.message }).toStored()
  if (error.code === 'METHOD_NOT_SUPPORTED') return new AppError('METHOD_NOT_ALLOWED', { message: error.message }).toStored()
  return fromUnknown(error.cause ?? error).toStored()
}

/** tRPC's word for each of our HTTP numbers; it decides the status line. */
const TRPC_CODE: Record<number, TRPCError['code']> = {
  400: 'BAD_REQUEST',
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_SUPPORTED',
  409: 'CONFLICT',
  413: 'PAYLOAD_TOO_LARGE',
  429: 'TOO_MANY_REQUESTS',
  499: 'CLIENT_CLOSED_REQUEST',
  502: 'BAD_GATEWAY',
  503: 'SERVICE_UNAVAILABLE',
}

const asTrpc = (error: AppError) =>
  new TRPCError({ code: TRPC_CODE[CODES[error.code].http] ?? 'INTERNAL_SERVER_ERROR', message: error.message, cause: error })

/** Our errors become tRPC's with the same meaning; anything unknown is kept as cause. */
const mapErrors = t.middleware(async ({ next }) => {
  const result = await next()
  if (!result.ok && !(result.error.cause instanceof ZodError) && result.error.cause) {
    const app = fromUnknown(result.error.cause)
    return { ...result, error: asTrpc(app) }
  }
  return result
})

export const router = t.router

/** Needs the install's token (SEC-2, SEC-20). */
export const authed = t.procedure.use(mapErrors).use(({ ctx, next }) => {
  if (ctx.owner === null) {
    throw asTrpc(
      new AppError('UNAUTHENTICATED', { message: 'This browser is not logged in.', fix: 'Open the URL that npm start printed.' }),
    )
  }
  return next({ ctx: { ...ctx, owner: ctx.owner } })
})
