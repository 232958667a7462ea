/**
 * One error class, one closed table of codes, one conversion. An error says where, what was expected, what came and what to do;
 * the table says, once per code, what it means for the person (`failure`, R-49) and for HTTP.
 */
import type { StoredError } from '../drizzle/schema'

/** An error as it is stored, sent in events and answered to the browser. */
export type ErrorInfo = StoredError
export type FailureClass = StoredError['failure']

type CodeInfo = {
  /**
   * Decides what happens next: `user` and `internal` are never retried by themselves, `resource` neither but a fix is offered,
   * `transient` is retried after 5, 30 and 120 s, `lost` at once from the checkpoint.
   */
  failure: FailureClass
  http: number
}

export const CODES = {
  // What the user gave us.
  INVALID_INPUT: { failure: 'user', http: 400 },
  INVALID_DOCUMENT: { failure: 'user', http: 400 },
  INVALID_PARAM: { failure: 'user', http: 400 },
  UNKNOWN_NODE_TYPE: { failure: 'user', http: 400 },
  PLAN_BLOCKED: { failure: 'user', http: 409 },
  NOT_FOUND: { failure: 'user', http: 404 },
  CONFLICT: { failure: 'user', http: 409 },
  TOO_LARGE: { failure: 'user', http: 413 },
  TOO_MANY_REQUESTS: { failure: 'user', http: 429 },
  UNSUPPORTED: { failure: 'user', http: 400 },
  BAD_DATA: { failure: 'user', http: 400 },
  BAD_MODEL: { failure: 'user', http: 400 },
  BAD_CHECKPOINT: { failure: 'user', http: 400 },
  SECRET_MISSING: { failure: 'user', http: 400 },
  NAN_LOSS: { failure: 'user', http: 400 },
  PATH_REFUSED: { failure: 'user', http: 400 },
  SETTING_INVALID: { failure: 'user', http: 500 },
  // Who may ask.
  UNAUTHENTICATED: { failure: 'user', http: 401 },
  FORBIDDEN: { failure: 'user', http: 403 },
  METHOD_NOT_ALLOWED: { failure: 'user', http: 405 },
  // What the machine lacks.
  OUT_OF_MEMORY: { failure: 'resource', http: 507 },
  NO_SPACE: { failure: 'resource', http: 507 },
  NO_ENGINE: { failure: 'resource', http: 503 },
  POSTGRES_UNAVAILABLE: { failure: 'resource', http: 503 },
  // What may be better in a moment.
  NETWORK: { failure: 'transient', http: 502 },
  DATABASE_AWAY: { failure: 'transient', http: 503 },
  SHUTTING_DOWN: { failure: 'transient', http: 503 },
  // What died.
  TRAINER_LOST: { failure: 'lost', http: 500 },
  TRAINER_SILENT: { failure: 'lost', http: 500 },
  LEASE_LOST: { failure: 'lost', http: 500 },
  LOST_REPEATEDLY: { failure: 'internal', http: 500 },
  // What stored bytes turned out to be.
  ARTIFACT_MISSING: { failure: 'internal', http: 500 },
  ARTIFACT_CORRUPT: { failure: 'internal', http: 500 },
  // Our mistakes.
  /** A node's own refusal of what it was given; `reason` says which. */
  NODE_REFUSED: { failure: 'user', http: 400 },
  BAD_OUTPUT: { failure: 'internal', http: 500 },
  SCHEMA_UNKNOWN: { failure: 'internal', http: 500 },
  ABORTED: { failure: 'internal', http: 499 },
  INTERNAL: { failure: 'internal', http: 500 },
} as const satisfies Record<string, CodeInfo>
export type ErrorCode = keyof typeof CODES

export const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(CODES, code)

export type ErrorFields = {
  /** What happened, one sentence. */
  message: string
  /** Finer code of the library that threw it. */
  reason?: string | undefined
  /** Param of the node it belongs to. */
  param?: string | undefined
  /** Part, file, param or line at fault. */
  where?: string | undefined
  expected?: string | undefined
  got?: string | undefined
  /** What to do next, one sentence in the imperative. */
  fix?: string | undefined
  /** Long material for the failure card: last log lines, exit signals. */
  details?: string | undefined
  cause?: unknown
}

export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly reason: string | undefined
  readonly param: string | undefined
  readonly where: string | undefined
  readonly expected: string | undefined
  readonly got: string | undefined
  readonly fix: string | undefined
  readonly details: string | undefined

  constructor(code: ErrorCode, fields: ErrorFields) {
    super(fields.message, fields.cause === undefined ? undefined : { cause: fields.cause })
    this.code = code
    this.reason = fields.reason
    this.param = fields.param
    this.where = fields.where
    this.expected = fields.expected
    this.got = fields.got
    this.fix = fields.fix
    this.details = fields.details
  }

  get failure(): FailureClass {
    return CODES[this.code].failure
  }

  /** For rows, events and messages between processes. */
  toStored(): StoredError {
    const { code, message, failure, reason, param, where, expected, got, fix, details } = this
    const stored: StoredError = { code, message: redact(message), failure }
    for (const [key, value] of Object.entries({ reason, param, where, expected, got, fix, details })) {
      if (value !== undefined) stored[key as 'where'] = redact(value)
    }
    return stored
  }

  static fromStored(stored: StoredError): AppError {
    return new AppError(isErrorCode(stored.code) ? stored.code : 'INTERNAL', stored)
  }
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** System error codes that say enough by themselves. */
const SYSTEM: Record<string, ErrorCode> = {
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  ENOMEM: 'OUT_OF_MEMORY',
  ECONNRESET: 'NETWORK',
  ETIMEDOUT: 'NETWORK',
  ENOTFOUND: 'NETWORK',
  EAI_AGAIN: 'NETWORK',
  // PostgreSQL: connection exceptions and shutdowns.
  ECONNREFUSED: 'DATABASE_AWAY',
  '08000': 'DATABASE_AWAY',
  '08003': 'DATABASE_AWAY',
  '08006': 'DATABASE_AWAY',
  '57P01': 'DATABASE_AWAY',
  '57P02': 'DATABASE_AWAY',
  '57P03': 'DATABASE_AWAY',
}

/** Codes of engine/errors.ts. Named here by word, because the server's shared code does not import the engine. */
const ENGINE: Record<string, ErrorCode> = {
  bad_file: 'BAD_MODEL',
  missing: 'BAD_MODEL',
  unsupported: 'UNSUPPORTED',
  bad_argument: 'INVALID_PARAM',
  not_finite: 'NAN_LOSS',
  out_of_memory: 'OUT_OF_MEMORY',
  cancelled: 'ABORTED',
}

function codeOf(fields: Record<string, unknown>): ErrorCode {
  if (isErrorCode(fields.code)) return fields.code
  if (fields.name === 'AbortError') return 'ABORTED'
  if (fields.name === 'NodeError') return 'NODE_REFUSED'
  if (fields.name === 'EngineError') return ENGINE[String(fields.code)] ?? 'INTERNAL'
  return SYSTEM[String(fields.code)] ?? 'INTERNAL'
}

/**
 * Turns anything thrown into an AppError and keeps it as `cause`. Errors of our libraries (engine, analysis, nodes), which know nothing of
 * this class, are recognised by name and carry `code` (kept as `reason`), `where`, `expected`, `got`, `fix`.
 */
export function fromUnknown(thrown: unknown, context?: { where?: string }): AppError {
  if (thrown instanceof AppError) return thrown
  if (typeof thrown !== 'object' || thrown === null)
    return new AppError('INTERNAL', { message: String(thrown), cause: thrown, where: context?.where })
  const fields = thrown as Record<string, unknown>
  return new AppError(codeOf(fields), {
    message: text(fields.message) || `Something failed without saying why (${fields.constructor?.name ?? 'object'}).`,
    reason: text(fields.code),
    param: text(fields.param),
    where: text(fields.where) ?? context?.where,
    expected: text(fields.expected),
    got: text(fields.got),
    fix: text(fields.fix),
    details: text(fields.details),
    cause: thrown,
  })
}

/** For our own mistakes: states that cannot happen (style.md habit 17). */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AppError('INTERNAL', { message: `Assertion failed: ${message}` })
}

const known = new Set<string>()

/** Registers a secret's value with the redactor, also as base64 and URL-encoded (SEC-29). Values under 8 characters would blank out words. */
export function redactValue(secret: string): void {
  if (secret.length < 8) return
  known.add(secret)
  known.add(Buffer.from(secret).toString('base64'))
  known.add(encodeURIComponent(secret))
}

const SHAPES: readonly [RegExp, string][] = [
  [/\b(hf_|sk-|ghp_|gho_|xox[bp]-|AKIA)[A-Za-z0-9_-]{12,}/g, '$1[hidden]'],
  [/([a-z][a-z0-9+.-]*:\/\/[^\s:/@]+:)[^\s@]+@/gi, '$1[hidden]@'],
  [/([?&](?:token|key|secret|password|signature)=)[^&\s"']+/gi, '$1[hidden]'],
  [/\b(Bearer\s+)[A-Za-z0-9._~+/-]{12,}=*/g, '$1[hidden]'],
]

/** Takes secrets out of text that will be stored, sent or printed: known values, token shapes, `user:password@` in URLs (SEC-29). */
export function redact(input: string): string {
  let out = input
  for (const value of known) out = out.replaceAll(value, '[hidden]')
  for (const [pattern, replacement] of SHAPES) out = out.replace(pattern, replacement)
  return out
}
