/** Stops a training that cannot recover (E-18), before hours are spent on it. */
import { EngineError } from '../errors'

/** Steps in a row with a loss beyond the limit before giving up. */
const PATIENCE = 5

export class Watchdog {
  readonly #limit: number
  #above: number
  #largestNorm: number

  /** A model that knows nothing has loss ln(vocabulary); half as much again is only reached by going astray. */
  constructor(vocabSize: number, state: { above?: number; largestNorm?: number } = {}) {
    this.#limit = 1.5 * Math.log(vocabSize) + 1
    this.#above = state.above ?? 0
    this.#largestNorm = state.largestNorm ?? 0
  }

  get state(): { above: number; largestNorm: number } {
    return { above: this.#above, largestNorm: this.#largestNorm }
  }

  /** Throws `not_finite` for a loss or gradient that is no number, and for a loss that stays far above that of guessing. */
  check(step: number, loss: number, gradNorm: number, learningRate: number): void {
    const where = `step ${step}`
    const got = `loss ${loss}, gradient norm ${gradNorm}, learning rate ${learningRate}, largest gradient norm before ${this.#largestNorm}`
    const fix = 'lower the learning rate, or raise warmup_steps'
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
      throw new EngineError('not_finite', 'the loss is no longer a number', { where, got, fix })
    this.#largestNorm = Math.max(this.#largestNorm, gradNorm)
    this.#above = loss > this.#limit ? this.#above + 1 : 0
    if (this.#above >= PATIENCE)
      throw new EngineError(
        'not_finite',
        `the loss stayed above ${this.#limit.toFixed(1)} for ${PATIENCE} steps: the training has gone astray`,
        { where, got, fix },
      )
  }
}
