/**
 * Runs programs in TensorFlow: all programs of one `compile` are one SavedModel and one session, so they share variables, and a run is one
 * native call. Only fed and fetched values cross between JavaScript and the session.
 *
 * Variables cannot be shared between two sessions: each session owns its devices, a device owns the resources, and the addon copies a
 * resource handle by value, which drops what it points to (tried on 2.21). So `extend` builds a new session and carries the values over.
 */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { EngineError } from '../errors'
import { TF_TYPE } from '../graph/lowering'
import { type Program, showType, sizeOf, type TensorType, type Variable } from '../graph/types'
import { type Addon, loadAddon } from './addon'
import type { Backend, Executable, FeedData, FetchData, Memory } from './backend'
import { savedModel } from './protobuf'
import { feedNode, fetchNode, GraphWriter } from './tensorflow-graph'
import { INDEX, INITIALIZE, readNode, writeNodes } from './tensorflow-state'

const UINT8 = 4

export interface TensorFlowOptions {
  /** Path of the compiled addon (scripts/engine-install.mjs knows it). */
  addon: string
}

export function openTensorFlow({ addon: file }: TensorFlowOptions): Backend {
  const addon = loadAddon(file)
  const gpu = addon.isUsingGpuDevice()
  const live = new Set<TensorFlowExecutable>()
  return {
    name: 'tensorflow',
    device: gpu ? 'GPU' : `${os.availableParallelism()} CPU cores`,
    bf16: gpu || multipliesBf16(),
    compile: async (programs) => {
      const executable = new TensorFlowExecutable(addon, programs, () => live.delete(executable))
      live.add(executable)
      return executable
    },
    memory: (): Memory => ({
      residentBytes: process.memoryUsage().rss,
      peakBytes: process.resourceUsage().maxRSS * 1024,
      variableBytes: [...live].reduce((sum, executable) => sum + executable.variableBytes, 0),
      liveTensors: addon.getNumOfTensors(),
    }),
    close: () => {
      for (const executable of [...live]) executable.close()
    },
  }
}

/** Whether this CPU has bf16 products. Without them oneDNN widens every operand, which is slower than fp32, or falls back to its reference loop. */
export function multipliesBf16(cpuinfo: () => string = () => fs.readFileSync('/proc/cpuinfo', 'utf8')): boolean {
  try {
    return /^(?:flags|Features)\s*:.*\b(?:avx512_bf16|amx_bf16|bf16)\b/m.test(cpuinfo())
  } catch {
    // Not Linux: nothing is known, and fp32 is never wrong.
    return false
  }
}

class TensorFlowExecutable implements Executable {
  readonly #addon: Addon
  readonly #onClose: () => void
  #programs: Map<string, Program>
  #variables: ReadonlyMap<string, Variable>
  #session: number | undefined

  constructor(addon: Addon, programs: readonly Program[], onClose: () => void) {
    this.#addon = addon
    this.#onClose = onClose
    this.#programs = new Map(programs.map((program) => [program.name, program]))
    this.#variables = this.#load()
  }

  get variables(): ReadonlyMap<string, TensorType> {
    return this.#variables
  }
  get variableBytes(): number {
    return [...this.#variables.values()].reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * (dtype === 'bf16' ? 2 : 4), 0)
  }

  #load(): ReadonlyMap<string, Variable> {
    const graph = GraphWriter.write([...this.#programs.values()])
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-graph-'))
    try {
      fs.writeFileSync(path.join(folder, 'saved_model.pb'), savedModel(graph.nodes))
      this.#session = native('compile', () => this.#addon.loadSavedModel(folder, 'serve'))
    } finally {
      fs.rmSync(folder, { recursive: true, force: true })
    }
    this.#call('initialize', [], [INITIALIZE])
    return graph.variables
  }

  /** One native call. `inputs`: node name, dtype, shape, data. */
  #call(
    what: string,
    inputs: readonly (readonly [string, number, readonly number[], Float32Array | Int32Array | Uint8Array])[],
    outputs: readonly string[],
  ) {
    const session = this.#session
    if (session === undefined) throw new EngineError('backend', 'this executable is closed', { where: what })
    const ids: number[] = []
    const fetched: { id: number }[] = []
    try {
      return native(what, () => {
        for (const [, dtype, shape, data] of inputs) ids.push(this.#addon.createTensor(shape, dtype, data))
        fetched.push(
          ...this.#addon.runSavedModel(session, ids, inputs.map(([name]) => `${name}:0`).join(), outputs.map((name) => `${name}:0`).join()),
        )
        return fetched.map(({ id }) => this.#addon.tensorDataSync(id))
      })
    } finally {
      for (const id of ids) this.#addon.deleteTensor(id)
      for (const { id } of fetched) this.#addon.deleteTensor(id)
    }
  }

  async run(name: string, feeds: Readonly<Record<string, FeedData>>, fetches?: readonly string[]): Promise<Record<string, FetchData>> {
    const program = this.#programs.get(name)
    if (!program)
      throw new EngineError('bad_argument', 'there is no such program', { where: name, expected: [...this.#programs.keys()].join(', ') })
    for (const feed of Object.keys(feeds))
      if (!program.feeds[feed])
        throw new EngineError('bad_argument', `the program ${name} takes no feed ${feed}`, {
          expected: Object.keys(program.feeds).join(', '),
        })
    const inputs = Object.entries(program.feeds).map(([feed, wanted]) => {
      const data = feeds[feed]
      if (!data) throw new EngineError('bad_argument', `the program ${name} needs the feed ${feed}`, { expected: showType(wanted) })
      return [feedNode(name, feed), ...nativeFeed(`${name}, feed ${feed}`, wanted, data)] as const
    })
    const wanted = fetches ?? Object.keys(program.fetches)
    for (const fetch of wanted)
      if (!program.fetches[fetch])
        throw new EngineError('bad_argument', `the program ${name} has no fetch ${fetch}`, {
          expected: Object.keys(program.fetches).join(', '),
        })
    const outputs = this.#call(
      name,
      inputs,
      wanted.map((fetch) => fetchNode(name, fetch)),
    )
    return Object.fromEntries(
      wanted.map((fetch, i) => {
        const data = outputs[i] as FetchData
        return [fetch, program.fetches[fetch]?.dtype === 'bf16' ? new Uint16Array(data.buffer) : data]
      }),
    )
  }

  /** The variable and the feed that opens its gate. */
  #variable(name: string) {
    const variable = this.#variables.get(name)
    if (!variable) throw new EngineError('bad_argument', 'there is no such variable', { where: name })
    const index = Int32Array.of([...this.#variables.keys()].indexOf(name))
    return { ...variable, gate: [INDEX, TF_TYPE.i32, [], index] as const }
  }

  async readVariable(name: string): Promise<Float32Array | Int32Array> {
    const { dtype, gate } = this.#variable(name)
    return this.#call(`read ${name}`, [gate], [readNode(dtype)])[0] as Float32Array | Int32Array
  }

  async writeVariable(name: string, data: FeedData): Promise<void> {
    const { shape, dtype, gate } = this.#variable(name)
    const isRounded = dtype === 'bf16' && data instanceof Float32Array
    const nodes = writeNodes(isRounded ? 'bf16' : dtype === 'bf16' ? 'bits' : dtype)
    const value = nativeFeed(`variable ${name}`, { shape, dtype: isRounded ? 'f32' : dtype }, data)
    this.#call(`write ${name}`, [gate, [nodes.value, ...value]], [nodes.done])
  }

  async extend(programs: readonly Program[]): Promise<void> {
    const before = { programs: this.#programs, session: this.#session, variables: this.#variables }
    const values = new Map<string, FeedData>()
    for (const name of this.#variables.keys()) {
      try {
        values.set(name, await this.readVariable(name))
      } catch {
        // Never written: it stays unset.
      }
    }
    this.#programs = new Map([...this.#programs, ...programs.map((program) => [program.name, program] as const)])
    try {
      this.#variables = this.#load()
    } catch (error) {
      this.#programs = before.programs
      this.#session = before.session
      throw error
    }
    if (before.session !== undefined) this.#addon.deleteSavedModel(before.session)
    for (const [name, value] of values) {
      await this.writeVariable(name, value)
      values.delete(name)
    }
  }

  close(): void {
    if (this.#session === undefined) return
    this.#addon.deleteSavedModel(this.#session)
    this.#session = undefined
    this.#onClose()
  }
}

/** dtype number, shape and data as the addon takes them. */
function nativeFeed(
  where: string,
  wanted: TensorType,
  data: FeedData,
): readonly [number, readonly number[], Float32Array | Int32Array | Uint8Array] {
  const { shape, dtype } = wanted
  const fits = {
    f32: data instanceof Float32Array,
    i32: data instanceof Int32Array,
    bool: data instanceof Uint8Array,
    bf16: data instanceof Uint16Array || data instanceof Float32Array,
  }[dtype]
  if (!fits || data.length !== sizeOf(shape))
    throw new EngineError('bad_argument', 'the data does not fit', {
      where,
      expected: `${showType(wanted)} (${sizeOf(shape)} elements)`,
      got: `${data.constructor.name} of ${data.length}`,
    })
  if (dtype !== 'bf16') return [TF_TYPE[dtype], shape, data as Float32Array | Int32Array | Uint8Array]
  const bits = data instanceof Uint16Array ? data : roundToBf16(data as Float32Array)
  return [UINT8, [...shape, 2], new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength)]
}

function roundToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  for (let i = 0; i < out.length; i++) {
    const b = bits[i] as number
    out[i] = (b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
  }
  return out
}

/** Errors of the native side with their cause named. */
function native<T>(what: string, call: () => T): T {
  try {
    return call()
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause)
    if (/OOM|ResourceExhausted|RESOURCE_EXHAUSTED|bad_alloc|failed to allocate/i.test(text))
      throw new EngineError('out_of_memory', 'not enough memory for this program', {
        where: what,
        got: text.split('\n')[0] ?? '',
        fix: 'use a smaller batch or shorter rows, or train fewer blocks',
        cause,
      })
    throw new EngineError('backend', `TensorFlow refused: ${text.split('\n')[0]}`, { where: what, cause })
  }
}
