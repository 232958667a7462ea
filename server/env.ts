/**
 * The only reader of `process.env`. Parsed once, all faults reported together; everything else takes the values from here.
 * `loadEnv` is pure over its argument, so tests and children pass their own.
 */
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import * as z from 'zod'
import { AppError, redactValue } from './errors'

const blankToUndefined = (value: unknown) => (typeof value === 'string' && value.trim() === '' ? undefined : value)
const optional = <T extends z.ZodType>(schema: T) => z.preprocess(blankToUndefined, schema.optional())
const folder = (fallback: () => string) =>
  z.preprocess(blankToUndefined, z.string().optional()).transform((path) => resolve(expandHome(path ?? fallback())))

const expandHome = (path: string) => (path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path)

const LOOPBACK = new Set(['127.0.0.1', 'localhost', '::1'])

const Settings = z.object({
  DATABASE_URL: optional(z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' })),
  DATABASE_DIRECT_URL: optional(z.url({ protocol: /^postgres(ql)?$/, error: 'must be a postgres:// URL' })),
  THAW_HOME: folder(() => join(homedir(), '.thaw')),
  THAW_CACHE: folder(() => join(homedir(), '.cache', 'thaw')),
  // SEC-18, SEC-32: local mode with another host does not exist, whatever else is set.
  HOST: optional(
    z.string().refine((host) => LOOPBACK.has(host), { error: 'must be 127.0.0.1: Thaw answers only this machine until team mode exists' }),
  ),
  PORT: optional(z.coerce.number().int().min(1).max(65_535)),
  S3_URL: optional(z.url()),
  HF_TOKEN: optional(z.string()),
  HF_ENDPOINT: optional(z.url({ protocol: /^https?$/ })),
  THAW_WORKERS: optional(z.coerce.number().int().min(0).max(64)),
  THAW_TENSORFLOW_DIR: optional(z.string()),
  THAW_SECRET_KEY: optional(z.string().min(16, 'must have at least 16 characters')),
  THAW_ORIGIN: optional(z.url({ protocol: /^https?$/ })),
  NODE_ENV: optional(z.string()),
})

export type Env = {
  /** Everything that lasts, besides a database elsewhere: artifacts, the embedded PostgreSQL, exports, tokens. */
  home: string
  /** Engine and models: can be downloaded again. */
  cache: string
  /** Unset: our own PostgreSQL. */
  databaseUrl: string | undefined
  /** For LISTEN, when `databaseUrl` leads through a pooler. */
  databaseDirectUrl: string | undefined
  host: '127.0.0.1'
  port: number
  s3Url: string | undefined
  hfToken: string | undefined
  hfEndpoint: string | undefined
  workers: number
  tensorflowDir: string | undefined
  secretKey: string | undefined
  /** Public origin, if it is not http://127.0.0.1:port. */
  origin: string | undefined
  /** `next dev`: the page's policy must let its compiler evaluate. */
  development: boolean
  /** The checkout: holds package.json, drizzle/, templates/, models/, dist/. */
  root: string
}

export const DEFAULT_PORT = 3000

/** Nearest folder above one of `starts` that is Thaw's own. Bundles, tests and Next run this file from different places. */
export function findRoot(starts: readonly (string | undefined)[]): string {
  for (const start of starts) {
    for (let at = start; at !== undefined; at = dirname(at) === at ? undefined : dirname(at)) {
      const manifest = join(at, 'package.json')
      if (
        existsSync(manifest) &&
        existsSync(join(at, 'drizzle', 'migrations')) &&
        JSON.parse(readFileSync(manifest, 'utf8')).name === 'thaw'
      )
        return at
    }
  }
  throw new AppError('INTERNAL', {
    message: "Thaw's own folder was not found.",
    where: starts.filter(Boolean).join(', '),
    expected: 'a folder with package.json and drizzle/migrations',
    fix: 'Start it with npm start or npx thaw inside the checkout.',
  })
}

/** @throws AppError SETTING_INVALID that lists every wrong setting at once. */
export function loadEnv(source: Record<string, string | undefined>): Env {
  const parsed = Settings.safeParse(source)
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`)
    throw new AppError('SETTING_INVALID', {
      message: `Thaw does not start with these settings: ${faults.join('; ')}.`,
      where: parsed.error.issues.map((issue) => issue.path.join('.')).join(', '),
      got: parsed.error.issues
        .map(
          (issue) =>
            `${issue.path.join('.')}=${issue.path[0] === 'HOST' || issue.path[0] === 'PORT' ? source[String(issue.path[0])] : '…'}`,
        )
        .join(', '),
      fix: 'Correct or unset them and start again.',
    })
  }
  const s = parsed.data
  for (const secret of [s.HF_TOKEN, s.THAW_SECRET_KEY]) if (secret) redactValue(secret)
  return {
    home: s.THAW_HOME,
    cache: s.THAW_CACHE,
    databaseUrl: s.DATABASE_URL,
    databaseDirectUrl: s.DATABASE_DIRECT_URL,
    host: '127.0.0.1',
    port: s.PORT ?? DEFAULT_PORT,
    s3Url: s.S3_URL,
    hfToken: s.HF_TOKEN,
    hfEndpoint: s.HF_ENDPOINT,
    workers: s.THAW_WORKERS ?? 1,
    tensorflowDir: s.THAW_TENSORFLOW_DIR,
    secretKey: s.THAW_SECRET_KEY,
    origin: s.THAW_ORIGIN,
    development: s.NODE_ENV === 'development',
    root: findRoot([import.meta.dirname, process.argv[1] && dirname(process.argv[1]), process.cwd()]),
  }
}

let loaded: Env | undefined

/** The settings of this process. */
export function env(): Env {
  loaded ??= loadEnv(process.env)
  return loaded
}

/** The environment a child process needs to find the same Thaw; children get nothing else of ours (SEC-12). */
export function childEnv(extra: Record<string, string | undefined> = {}): NodeJS.ProcessEnv {
  const own = process.env
  const out: Record<string, string> = {}
  for (const [key, value] of Object.entries({ ...own, ...extra })) if (value !== undefined) out[key] = value
  // Next declares NODE_ENV as always present; a child of ours may do without.
  return out as NodeJS.ProcessEnv
}
