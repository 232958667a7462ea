/** What executes programs. Two implementations: `tensorflow` (one native call per run) and `tfjs` (wasm or cpu, op by op). */
import type { Program, TensorType } from '../graph/types'

/**
 * Data by dtype: f32 → Float32Array, i32 → Int32Array, bool → Uint8Array (0 or 1), bf16 → Uint16Array (raw bits) or Float32Array
 * (rounded on the way in). Row-major. A fed array is only read during the call and never kept.
 */
export type FeedData = Float32Array | Int32Array | Uint8Array | Uint16Array
/** f32 comes back as Float32Array, i32 as Int32Array, bool as Uint8Array, bf16 as Uint16Array (raw bits). Fresh memory, the caller's to keep. */
export type FetchData = Float32Array | Int32Array | Uint8Array | Uint16Array

export interface Memory {
  /** Resident memory of the process now, in bytes. */
  residentBytes: number
  /** Its highest value so far, in bytes. */
  peakBytes: number
  /** Bytes in variables of all live executables. */
  variableBytes: number
  /** Tensors held between calls beside variables; constant from one step to the next, or something leaks. */
  liveTensors: number
}

export type BackendName = 'tensorflow' | 'wasm' | 'cpu'

export interface Backend {
  readonly name: BackendName
  /** For people: "2 CPU cores, bf16" or the GPU's name. */
  readonly device: string
  /** Whether bf16 programs gain anything here; elsewhere they are computed in fp32. */
  readonly bf16: boolean
  /** Prepares programs that share their variables by name. Variables declared `zeros` are zero afterwards, the others unset. */
  compile(programs: readonly Program[]): Promise<Executable>
  memory(): Memory
  /** Frees everything, executables included. */
  close(): void
}

export interface Executable {
  /**
   * Runs a program once. `feeds` must hold exactly the program's feeds with their exact sizes; `fetches` defaults to all.
   * All effects of the program happen whichever fetches are asked for.
   * Throws EngineError: `bad_argument` (wrong feed: name, both shapes), `out_of_memory`, `backend`.
   */
  run(program: string, feeds: Readonly<Record<string, FeedData>>, fetches?: readonly string[]): Promise<Record<string, FetchData>>
  /** Name and type of every variable. */
  readonly variables: ReadonlyMap<string, TensorType>
  readVariable(name: string): Promise<Float32Array | Int32Array>
  /** Copies `data` in; a bf16 variable takes float32 (rounded to nearest even) or raw bits. */
  writeVariable(name: string, data: FeedData): Promise<void>
  /** Adds programs later; variables keep their values. On TensorFlow this rebuilds the session, so ask for all you know of in `compile`. */
  extend(programs: readonly Program[]): Promise<void>
  /** Frees variables and programs. */
  close(): void
}
