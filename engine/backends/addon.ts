/** The compiled addon of @tensorflow/tfjs-node-gpu, loaded straight from the engine's cache folder, without the npm package around it. */
import { createRequire } from 'node:module'
import { EngineError } from '../errors'

/** The addon's functions that we use. All are synchronous. */
export interface Addon {
  /** Shares `data`'s memory with TensorFlow until the tensor is deleted. */
  createTensor(shape: readonly number[], dtype: number, data: Float32Array | Int32Array | Uint8Array): number
  deleteTensor(id: number): void
  tensorDataSync(id: number): Float32Array | Int32Array | Uint8Array
  loadSavedModel(folder: string, tags: string): number
  deleteSavedModel(id: number): void
  runSavedModel(
    model: number,
    inputs: readonly number[],
    inputNames: string,
    outputNames: string,
  ): { id: number; shape: number[]; dtype: number }[]
  getNumOfTensors(): number
  isUsingGpuDevice(): boolean
  readonly TF_Version: string
}

const loaded = new Map<string, Addon>()

/** Loads the library (a second or two the first time in a process). */
export function loadAddon(file: string): Addon {
  const known = loaded.get(file)
  if (known) return known
  // TensorFlow reads these when it is loaded. Set here, because every process that trains needs them, whoever started it; a value that
  // is already there wins.
  // biome-ignore lint/style/noProcessEnv: settings of a native library, which has no other way to take them
  const env = process.env
  // Informational lines about CPU features and the like.
  env.TF_CPP_MIN_LOG_LEVEL ??= '2'
  try {
    const addon = createRequire(import.meta.url)(file) as Addon
    loaded.set(file, addon)
    return addon
  } catch (cause) {
    throw new EngineError('backend', 'TensorFlow could not be loaded', {
      where: file,
      got: cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause),
      fix: 'delete the engine folder in the cache and start again',
      cause,
    })
  }
}
