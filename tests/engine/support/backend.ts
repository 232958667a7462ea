/** The backends under test. TensorFlow comes from the cache folder where `npm test` installed it. */
import type { Backend } from '../../../engine/backends/backend'
import { openTensorFlow } from '../../../engine/backends/tensorflow'
import { openTfjs } from '../../../engine/backends/tfjs'
import { ensureEngine } from '../../../scripts/engine-install.mjs'

let tensorflow: Promise<Backend> | undefined

/** One per process, as in the trainer. */
export function tensorFlow(): Promise<Backend> {
  tensorflow ??= (async () => {
    const installed = await ensureEngine({ onProgress: () => {} })
    if (!installed.ok) throw new Error(`TensorFlow is not installed: ${installed.reason.message}`)
    return openTensorFlow({ addon: installed.engine.addon })
  })()
  return tensorflow
}

export const BACKENDS: Readonly<Record<'tensorflow' | 'wasm' | 'cpu', () => Promise<Backend>>> = {
  tensorflow: tensorFlow,
  wasm: () => openTfjs('wasm'),
  cpu: () => openTfjs('cpu'),
}
export const BACKEND_NAMES = ['tensorflow', 'wasm', 'cpu'] as const
