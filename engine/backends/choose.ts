/** Which backend runs here: TensorFlow on a GPU, TensorFlow on the CPU, WebAssembly, plain JavaScript, in this order. */
import { EngineError } from '../errors'
import type { Backend, BackendName } from './backend'

export interface ChooseOptions {
  /** The compiled addon, or null with the reason why there is none. */
  readonly addon: string | null
  readonly reason?: string
  /** Use this one or fail. */
  readonly only?: BackendName
}

export interface Choice {
  readonly backend: Backend
  /** One line for people: what runs, and why not something faster. */
  readonly reason: string
}

export async function openBackend({ addon, reason, only }: ChooseOptions): Promise<Choice> {
  const obstacles: string[] = []
  const attempts: readonly (readonly [BackendName, () => Promise<Backend>])[] = [
    [
      'tensorflow',
      async () => {
        if (addon === null) throw new EngineError('backend', reason ?? 'TensorFlow is not installed')
        const { openTensorFlow } = await import('./tensorflow')
        return openTensorFlow({ addon })
      },
    ],
    ['wasm', async () => (await import('./tfjs')).openTfjs('wasm')],
    ['cpu', async () => (await import('./tfjs')).openTfjs('cpu')],
  ]
  for (const [name, open] of attempts) {
    if (only && name !== only) continue
    try {
      const backend = await open()
      const what = {
        tensorflow: 'TensorFlow',
        wasm: 'tfjs on WebAssembly, several times slower than TensorFlow',
        cpu: 'tfjs in plain JavaScript, only fit for tiny models',
      }[name]
      return { backend, reason: [`${what} (${backend.device})`, ...obstacles].join('; ') }
    } catch (error) {
      obstacles.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new EngineError('backend', 'no backend runs here', { got: obstacles.join('; ') })
}
