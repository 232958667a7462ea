/** The closed table of what can go wrong inside the engine. Callers branch on the code, people read the rest. */
export type EngineErrorCode =
  | 'bad_file'
  | 'unsupported'
  | 'bad_argument'
  | 'shape'
  | 'not_finite'
  | 'out_of_memory'
  | 'backend'
  | 'mismatch'
  | 'missing'
  | 'cancelled'

export type EngineErrorFacts = {
  /** File, tensor, parameter or setting. */
  where?: string
  expected?: string
  got?: string
  /** What to do next. */
  fix?: string
  cause?: unknown
}

/** The one error class of the engine: where, what was expected, what came, what to do. */
export class EngineError extends Error {
  readonly code: EngineErrorCode
  readonly where: string | undefined
  readonly expected: string | undefined
  readonly got: string | undefined
  readonly fix: string | undefined

  constructor(code: EngineErrorCode, message: string, facts: EngineErrorFacts = {}) {
    const details = [
      facts.where && `at ${facts.where}`,
      facts.expected && `expected ${facts.expected}`,
      facts.got && `got ${facts.got}`,
      facts.fix && `fix: ${facts.fix}`,
    ].filter(Boolean)
    super(details.length ? `${message} (${details.join('; ')})` : message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.name = 'EngineError'
    this.code = code
    this.where = facts.where
    this.expected = facts.expected
    this.got = facts.got
    this.fix = facts.fix
  }
}
