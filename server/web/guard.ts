/**
 * Who may speak to this server at all, decided before anything is routed (SEC-4): the Host must be ours (DNS rebinding), the Origin, where a
 * browser sends one, must be ours (other pages in the same browser). Called by the proxy for every request, and again by every route (SEC-2).
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Env } from '../env'
import { AppError, redactValue } from '../errors'

export type Site = { hosts: ReadonlySet<string>; origins: ReadonlySet<string>; port: number; secure: boolean }

/** What this server is called by browsers. */
export function siteOf(env: Pick<Env, 'port' | 'origin'>): Site {
  const own = ['127.0.0.1', 'localhost', '[::1]'].map((host) => `${host}:${env.port}`)
  const origins = own.map((host) => `http://${host}`)
  const hosts = [...own]
  // Browsers leave the default port out.
  if (env.port === 80) hosts.push('127.0.0.1', 'localhost', '[::1]')
  if (env.port === 80) origins.push('http://127.0.0.1', 'http://localhost', 'http://[::1]')
  if (env.origin !== undefined) {
    const { host, origin } = new URL(env.origin)
    hosts.push(host)
    origins.push(origin)
  }
  return {
    hosts: new Set(hosts),
    origins: new Set(origins),
    port: env.port,
    secure: env.origin?.startsWith('https:') ?? false,
  }
}

/** null, or why this request is not for us. */
export function foreign(headers: Headers, site: Site): AppError | null {
  const host = headers.get('host')?.toLowerCase() ?? ''
  if (!site.hosts.has(host)) {
    return new AppError('FORBIDDEN', {
      message: 'This address is not served here.',
      expected: [...site.hosts][0],
      got: host.slice(0, 200),
      fix: 'Open the URL that npm start printed.',
    })
  }
  const origin = headers.get('origin')
  if (origin !== null && !site.origins.has(origin.toLowerCase())) {
    return new AppError('FORBIDDEN', { message: 'Requests from other sites are refused.', got: origin.slice(0, 200) })
  }
  return null
}

// — the token (SEC-20) —

const tokenPath = (home: string) => join(home, 'token')

/** The install's token, made at first start: 256 bits in a 0600 file. Several processes may ask at once; one of them makes it. */
export function ensureToken(home: string): string {
  mkdirSync(home, { recursive: true, mode: 0o700 })
  const path = tokenPath(home)
  const mine = `${path}.${process.pid}`
  try {
    return readToken(home)
  } catch {
    writeFileSync(mine, randomBytes(32).toString('base64url'), { mode: 0o600 })
    try {
      linkSync(mine, path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      rmSync(mine, { force: true })
    }
    return readToken(home)
  }
}

const cache = new Map<string, { stamp: string; token: string }>()

function readToken(home: string): string {
  const path = tokenPath(home)
  const { mtimeMs, ino } = statSync(path)
  const stamp = `${ino}:${mtimeMs}`
  const known = cache.get(home)
  if (known?.stamp === stamp) return known.token
  const token = readFileSync(path, 'utf8').trim()
  if (token.length < 32)
    throw new AppError('INTERNAL', { message: 'The token file is damaged.', where: path, fix: 'Delete it and start Thaw again.' })
  redactValue(token)
  cache.set(home, { stamp, token })
  return token
}

/** The cookie is derived, so that what the URL carried is worth nothing once it is in a history; a new token ends all logins. */
const sessionOf = (token: string) => createHmac('sha256', token).update('thaw session').digest('base64url')

/** Browsers share cookies between ports of one host; two Thaws side by side must not log each other out. */
export const cookieName = (site: Site) => `thaw-${site.port}`

const same = (a: string, b: string) => timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest())

function cookie(headers: Headers, name: string): string | null {
  for (const part of headers.get('cookie')?.split(';') ?? []) {
    const at = part.indexOf('=')
    if (at !== -1 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim()
  }
  return null
}

/** Whether the request carries the install's token, as cookie or as bearer token. Constant time in what is secret. */
export function authenticated(headers: Headers, home: string, site: Site): boolean {
  let token: string
  try {
    token = readToken(home)
  } catch {
    return false
  }
  const bearer = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '')?.[1]
  if (bearer !== undefined && same(bearer, token)) return true
  const session = cookie(headers, cookieName(site))
  return session !== null && same(session, sessionOf(token))
}

/** Exchanges the token of the printed URL for the cookie; null when it is wrong. */
export function loginCookie(given: string, home: string, site: Site): string | null {
  if (!same(given, readToken(home))) return null
  const year = 365 * 24 * 3_600
  return `${cookieName(site)}=${sessionOf(readToken(home))}; HttpOnly; SameSite=Strict; Path=/; Max-Age=${year}${site.secure ? '; Secure' : ''}`
}

// — request rate (SEC-15) —

const RATE = { perSecond: 100, burst: 1_000 }
const bucket = { tokens: RATE.burst, at: Date.now() }

/** A bucket for the one user of local mode: a page in a loop slows itself down, not the machine. */
export function overRate(now = Date.now()): boolean {
  bucket.tokens = Math.min(RATE.burst, bucket.tokens + ((now - bucket.at) / 1_000) * RATE.perSecond)
  bucket.at = now
  if (bucket.tokens < 1) return true
  bucket.tokens -= 1
  return false
}

// — headers —

/** For what is data, not a page: nothing in it is ever shown or run (SEC-14). */
export const DATA_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

/** For pages: scripts and style sheets of this origin with this response's nonce; nothing inline, nothing foreign (SEC-14). */
export function pageHeaders(nonce: string, development: boolean): Record<string, string> {
  const policy = [
    "default-src 'none'",
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${development ? " 'unsafe-eval'" : ''}`,
    `style-src 'self' 'nonce-${nonce}'`,
    // Positions on the canvas are style attributes in the served HTML. Attributes cannot carry a nonce and cannot run anything.
    "style-src-attr 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self'",
    `connect-src 'self'${development ? ' ws:' : ''}`,
    "worker-src 'self' blob:",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "object-src 'none'",
  ].join('; ')
  return {
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'x-frame-options': 'DENY',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), microphone=(), geolocation=()',
  }
}
