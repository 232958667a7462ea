/**
 * Stands before every page, file and route (SEC-4): foreign hosts and origins get nothing, pages get their headers and nonce, and a browser
 * that is not logged in gets one sentence. Routes and procedures check again for themselves (SEC-2).
 */
import { randomBytes } from 'node:crypto'
import { type NextRequest, NextResponse } from 'next/server'
import { env } from './server/env'
import { AppError } from './server/errors'
import { errorAnswer } from './server/web/answers'
import { authenticated, foreign, pageHeaders, siteOf } from './server/web/guard'

export function proxy(request: NextRequest): NextResponse | Response {
  const settings = env()
  const site = siteOf(settings)
  const refused = foreign(request.headers, site)
  if (refused) return errorAnswer(refused)
  const { pathname } = request.nextUrl
  if (pathname.startsWith('/api/')) return NextResponse.next()
  if (pathname.startsWith('/_next/') || /\.(svg|ico|png|woff2|webmanifest)$/.test(pathname))
    return NextResponse.next({ headers: { 'x-content-type-options': 'nosniff' } })
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return errorAnswer(new AppError('METHOD_NOT_ALLOWED', { message: 'Pages are only read.', got: request.method }))
  const nonce = randomBytes(16).toString('base64')
  const headers = pageHeaders(nonce, settings.development)
  if (!authenticated(request.headers, settings.home, site)) {
    return new Response(LOGIN, {
      status: 401,
      headers: { ...headers, 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
    })
  }
  // Next reads the nonce for its own scripts from this request header; the layout reads x-nonce.
  const forwarded = new Headers(request.headers)
  forwarded.set('content-security-policy', headers['content-security-policy'] ?? '')
  forwarded.set('x-nonce', nonce)
  const response = NextResponse.next({ request: { headers: forwarded } })
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value)
  return response
}

const LOGIN = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Thaw</title>
<body>
<h1>Thaw</h1>
<p>This browser is not logged in. Open the URL that <code>npm start</code> printed in its terminal; it carries the key.</p>
`
