/** Weights on a backend for looking, not for training: evaluation, generation, logits. Programs are added as jobs need them. */
import type { Backend, Executable } from './backends/backend'
import type { Program } from './graph/types'
import type { Model } from './models/index'
import { type Precision, planWeights, type WeightPlan, writeWeights } from './programs/index'

/** Where weights come from: a loaded model, or anything that knows its parameters. */
export interface WeightSource {
  readonly model: Model
  read(name: string): Float32Array
}

/** Lets timers, messages and signals through between two native calls, which block the event loop. */
export const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export class InferenceSession {
  readonly plan: WeightPlan
  readonly backend: Backend
  readonly #weights: WeightSource
  #executable: Executable | null = null
  readonly #programs = new Map<string, Program>()

  constructor(backend: Backend, weights: WeightSource, precision: Precision = 'fp32') {
    this.backend = backend
    this.plan = planWeights(weights.model, { trainable: [], precision })
    this.#weights = weights
  }

  /**
   * An executable that holds these programs and all weights. Compiling anew costs a reload of the weights, so ask for all programs of a job
   * at once; programs that are there already cost nothing.
   */
  async prepare(programs: readonly Program[]): Promise<Executable> {
    const missing = programs.filter(({ name }) => !this.#programs.has(name))
    if (this.#executable && missing.length === 0) return this.#executable
    // Not `extend`, which would carry key/value caches over: those of finished jobs are of no use.
    const kept = [...this.#programs.values()].filter(({ name }) => !name.startsWith('prefill') && !name.startsWith('decode'))
    this.#executable?.close()
    this.#executable = null
    const all = [...kept, ...missing.filter(({ name }) => !kept.some((program) => program.name === name))]
    const executable = await this.backend.compile(all)
    try {
      await writeWeights(executable, this.plan, async (name) => {
        await breathe()
        return this.#weights.read(name)
      })
    } catch (error) {
      executable.close()
      throw error
    }
    this.#programs.clear()
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
