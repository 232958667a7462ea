/** Weights on a backend for looking, not for training: evaluation, generation, logits. Programs are added as jobs need them. */
import type { Backend, Executable } from './backends/backend'
import type { Program } from './graph/types'
import type { Model } from './models/index'
import { ownOf, type Precision, planSides, planWeights, type Sides, type WeightPlan, writeWeights } from './programs/index'

/** Where weights come from: a loaded model, or anything that knows its parameters. */
export interface WeightSource {
  readonly model: Model
  read(name: string): Float32Array
}

/** Lets timers, messages and signals through between two native calls, which block the event loop. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Other values of the same model, of which only those named `changed` differ. */
export interface OtherValues {
  readonly changed: readonly string[]
  read(name: string): Float32Array
}

export class InferenceSession {
  readonly plan: WeightPlan
  /** The model, and beside it what `beside` says. */
  readonly sides: Sides
  readonly backend: Backend
  readonly #values: readonly Pick<WeightSource, 'read'>[]
  #executable: Executable | null = null
  readonly #programs = new Map<string, Program>()

  constructor(backend: Backend, weights: WeightSource, precision: Precision = 'fp32', beside?: OtherValues) {
    this.backend = backend
    this.plan = planWeights(weights.model, {
      trainable: [],
      precision,
      // The fallback has a fast path for matrices as they are.
      inputsFirst: backend.name === 'tensorflow' && precision === 'fp32',
    })
    this.sides = planSides(this.plan, beside && new Set(beside.changed))
    this.#values = [weights, ...(beside ? [beside] : [])]
  }

  /**
   * An executable that holds these programs and all weights. Programs that are all there already cost nothing; others replace
   * what is there and cost a reload of the weights, so ask for all programs of a job at once.
   */
  async prepare(programs: readonly Program[]): Promise<Executable> {
    const missing = programs.filter(({ name }) => !this.#programs.has(name))
    if (this.#executable && missing.length === 0) return this.#executable
    // Anew, not by `extend`: shapes follow the data, so programs of an earlier job are seldom asked for again, and each makes the session
    // slower to plan.
    this.#executable?.close()
    this.#executable = null
    this.#programs.clear()
    const all = [...new Map(programs.map((program) => [program.name, program])).values()]
    const executable = await this.backend.compile(all)
    try {
      for (const [side, values] of this.#values.entries())
        await writeWeights(executable, ownOf(this.sides, side), async (name) => {
          await breathe()
          return values.read(name)
        })
    } catch (error) {
      executable.close()
      throw error
    }
    for (const program of all) this.#programs.set(program.name, program)
    this.#executable = executable
    return executable
  }

  close(): void {
    this.#executable?.close()
    this.#executable = null
    this.#programs.clear()
  }
}
