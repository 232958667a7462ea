/** Answers of routes beside tRPC: errors as JSON with our status, and the checks that every route makes for itself (SEC-2). */
import { LOCAL_OWNER } from '../../drizzle/schema'
import type { Env } from '../env'
import { AppError, CODES, fromUnknown } from '../errors'
import { authenticated, DATA_HEADERS, foreign, overRate, type Site } from './guard'

export function errorAnswer(thrown: unknown): Response {
  const error = fromUnknown(thrown)
  return Response.json({ error: error.toStored() }, { status: CODES[error.code].http, headers: DATA_HEADERS })
}

/** Runs a route's work with every refusal and every error answered. `public` routes check Host and Origin only. */
export async function answer(
  request: Request,
  at: { env: Env; site: Site },
  work: (owner: string) => Promise<Response>,
  options: { public?: true } = {},
): Promise<Response> {
  const refused = foreign(request.headers, at.site)
  if (refused) return errorAnswer(refused)
  if (overRate())
    return errorAnswer(
      new AppError('TOO_MANY_REQUESTS', { message: 'Too many requests in a short time.', fix: 'Wait a second and try again.' }),
    )
  if (!options.public && !authenticated(request.headers, at.env.home, at.site)) {
    return errorAnswer(
      new AppError('UNAUTHENTICATED', { message: 'This browser is not logged in.', fix: 'Open the URL that npm start printed.' }),
    )
  }
  try {
    return await work(LOCAL_OWNER)
  } catch (error) {
    return errorAnswer(error)
  }
}
