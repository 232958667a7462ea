/** The error a node throws for what people can mend: a file, a setting, a wire. Our own mistakes stay plain errors. */
import type { NodeProblem } from './facts'

export type NodeErrorFacts = {
  /** Param it belongs to, so that the form can show it at the field. */
  param?: string
  /** File, row or column. */
  where?: string
  expected?: string
  got?: string
  /** What to do next, one sentence. */
  fix?: string
  cause?: unknown
}

/** Where, what was expected, what came, what to do. `code` is stable and in snake case; people read the rest. */
export class NodeError extends Error {
  readonly code: string
  readonly param: string | undefined
  readonly where: string | undefined
  readonly expected: string | undefined
  readonly got: string | undefined
  readonly fix: string | undefined

  constructor(code: string, message: string, facts: NodeErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.name = 'NodeError'
    this.code = code
    this.param = facts.param
    this.where = facts.where
    this.expected = facts.expected
    this.got = facts.got
    this.fix = facts.fix
  }
}

/** Turns the first fault that `infer` would show into the error that `run` throws, so both say the same. */
export function throwProblem(problems: readonly NodeProblem[]): void {
  const fault = problems.find((p) => p.severity === 'error')
  if (!fault) return
  const facts: NodeErrorFacts = {}
  if (fault.param !== undefined) facts.param = fault.param
  if (fault.expected !== undefined) facts.expected = fault.expected
  if (fault.got !== undefined) facts.got = fault.got
  if (fault.fix) facts.fix = fault.fix.label
  throw new NodeError(fault.code, fault.message, facts)
}
