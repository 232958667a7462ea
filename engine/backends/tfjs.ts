/** Interprets programs op by op on tfjs-core: the fallback where TensorFlow cannot be had. Same results, slower, float32 only. */
import { createRequire } from 'node:module'
import * as path from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { EngineError } from '../errors'
import { type Op, type Program, sameShape, showType, sizeOf, type TensorType, type Variable } from '../graph/types'
import type { Backend, Executable, FeedData, FetchData, Memory } from './backend'
import { kernelOf, TFJS_TYPE } from './tfjs-kernels'

/** Starts the wasm or the plain JavaScript backend of tfjs. Throws EngineError `backend` where it does not run. */
export async function openTfjs(name: 'wasm' | 'cpu'): Promise<Backend> {
  try {
    if (name === 'wasm') {
      const wasm = await import('@tensorflow/tfjs-backend-wasm')
      const folder = path.dirname(createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm'))
      wasm.setWasmPaths(`${folder}${path.sep}`)
    } else await import('@tensorflow/tfjs-backend-cpu')
    if (!(await tf.setBackend(name))) throw new Error(`tfjs did not start its ${name} backend`)
    await tf.ready()
  } catch (cause) {
    throw new EngineError('backend', `the ${name} backend does not run here`, {
      cause,
      got: cause instanceof Error ? cause.message : String(cause),
    })
  }
  const live = new Set<TfjsExecutable>()
  return {
    name,
    device: name === 'wasm' ? 'CPU (WebAssembly)' : 'CPU (JavaScript)',
    bf16: false,
    compile: async (programs) => {
      await tf.setBackend(name)
      const executable = new TfjsExecutable(name, programs, () => live.delete(executable))
      live.add(executable)
      return executable
    },
    memory: (): Memory => {
      const variables = [...live].reduce((sum, executable) => sum + executable.variableCount, 0)
      return {
        residentBytes: process.memoryUsage().rss,
        peakBytes: process.resourceUsage().maxRSS * 1024,
        variableBytes: [...live].reduce((sum, executable) => sum + executable.variableBytes, 0),
        liveTensors: tf.memory().numTensors - variables,
      }
    },
    close: () => {
      for (const executable of [...live]) executable.close()
    },
  }
}

/** A program with, for each op, which tensors are used there for the last time. */
type Prepared = { program: Program; steps: readonly { op: Op; dropped: readonly number[] }[] }

class TfjsExecutable implements Executable {
  readonly #backend: string
  readonly #onClose: () => void
  readonly #programs = new Map<string, Prepared>()
  readonly #variables = new Map<string, Variable>()
  readonly #values = new Map<string, tf.Tensor>()

  constructor(backend: string, programs: readonly Program[], onClose: () => void) {
    this.#backend = backend
    this.#onClose = onClose
    this.#add(programs)
  }

  get variables(): ReadonlyMap<string, TensorType> {
    return this.#variables
  }
  get variableCount(): number {
    return this.#values.size
  }
  get variableBytes(): number {
    return [...this.#values.values()].reduce((sum, value) => sum + value.size * 4, 0)
  }

  #add(programs: readonly Program[]): void {
    for (const program of programs) {
      for (const { primitive } of program.ops)
        if (!kernelOf(primitive.name))
          throw new EngineError('unsupported', 'the fallback engine lacks an operation', { where: primitive.name })
      for (const variable of Object.values(program.variables)) {
        const known = this.#variables.get(variable.name)
        if (known && (!sameShape(known.shape, variable.shape) || known.dtype !== variable.dtype))
          throw new EngineError('bad_argument', 'two programs disagree about a variable', {
            where: variable.name,
            expected: showType(known),
            got: showType(variable),
          })
        if (known) continue
        this.#variables.set(variable.name, variable)
        if (variable.initial === 'zeros') this.#set(variable, tf.zeros([...variable.shape], TFJS_TYPE[variable.dtype]))
      }
      this.#programs.set(program.name, prepare(program))
    }
  }

  #get(variable: Variable): tf.Tensor {
    const value = this.#values.get(variable.name)
    if (!value) throw new EngineError('backend', 'a variable is read before it was written', { where: variable.name })
    return value
  }
  #set(variable: Variable, value: tf.Tensor): void {
    this.#values.get(variable.name)?.dispose()
    this.#values.set(variable.name, tf.keep(value))
  }

  async run(name: string, feeds: Readonly<Record<string, FeedData>>, fetches?: readonly string[]): Promise<Record<string, FetchData>> {
    const prepared = this.#programs.get(name)
    if (!prepared)
      throw new EngineError('bad_argument', 'there is no such program', { where: name, expected: [...this.#programs.keys()].join(', ') })
    const { program, steps } = prepared
    await tf.setBackend(this.#backend)
    const values = new Map<number, tf.Tensor>()
    const state = {
      get: (variable: Variable) => this.#get(variable),
      set: (variable: Variable, value: tf.Tensor) => this.#set(variable, value),
    }
    try {
      for (const feed of Object.keys(feeds))
        if (!program.feeds[feed])
          throw new EngineError('bad_argument', `the program ${name} takes no feed ${feed}`, {
            expected: Object.keys(program.feeds).join(', '),
          })
      for (const [feed, type] of Object.entries(program.feeds)) {
        const data = feeds[feed]
        if (!data) throw new EngineError('bad_argument', `the program ${name} needs the feed ${feed}`, { expected: showType(type) })
        values.set(type.id, toTensor(`${name}, feed ${feed}`, type, data))
      }
      for (const { op, dropped } of steps) {
        const inputs = op.inputs.map((input) => values.get(input.id) as tf.Tensor)
        const outputs: tf.Tensor[] = []
        tf.tidy(() => {
          for (const output of kernelOf(op.primitive.name)?.(inputs, op.attributes, state) ?? []) outputs.push(tf.keep(output))
        })
        for (const [i, output] of op.outputs.entries()) values.set(output.id, outputs[i] as tf.Tensor)
        for (const id of dropped) {
          values.get(id)?.dispose()
          values.delete(id)
        }
      }
      const wanted = fetches ?? Object.keys(program.fetches)
      return Object.fromEntries(
        wanted.map((fetch) => {
          const tensor = program.fetches[fetch]
          const value = tensor && values.get(tensor.id)
          if (!tensor || !value)
            throw new EngineError('bad_argument', `the program ${name} has no fetch ${fetch}`, {
              expected: Object.keys(program.fetches).join(', '),
            })
          const data = value.dataSync().slice() as Float32Array | Int32Array | Uint8Array
          return [fetch, tensor.dtype === 'bf16' ? toBits(data as Float32Array) : data]
        }),
      )
    } finally {
      for (const value of values.values()) value.dispose()
    }
  }

  #declared(name: string): Variable {
    const variable = this.#variables.get(name)
    if (!variable) throw new EngineError('bad_argument', 'there is no such variable', { where: name })
    return variable
  }
  async readVariable(name: string): Promise<Float32Array | Int32Array> {
    return this.#get(this.#declared(name)).dataSync().slice() as Float32Array | Int32Array
  }
  async writeVariable(name: string, data: FeedData): Promise<void> {
    await tf.setBackend(this.#backend)
    const variable = this.#declared(name)
    this.#set(variable, toTensor(`variable ${name}`, variable, data))
  }
  async extend(programs: readonly Program[]): Promise<void> {
    await tf.setBackend(this.#backend)
    this.#add(programs)
  }
  close(): void {
    for (const value of this.#values.values()) value.dispose()
    this.#values.clear()
    this.#programs.clear()
    this.#onClose()
  }
}

/** Finds the last use of every tensor, so that memory is freed as the program goes. */
function prepare(program: Program): Prepared {
  const kept = new Set(Object.values(program.fetches).map((tensor) => tensor.id))
  const seen = new Set<number>()
  const steps: { op: Op; dropped: number[] }[] = []
  for (const op of [...program.ops].reverse()) {
    const dropped: number[] = []
    for (const { id } of [...op.inputs, ...op.outputs]) {
      if (seen.has(id) || kept.has(id)) continue
      seen.add(id)
      dropped.push(id)
    }
    steps.push({ op, dropped })
  }
  return { program, steps: steps.reverse() }
}

function toTensor(where: string, { shape, dtype }: TensorType, data: FeedData): tf.Tensor {
  const fits = {
    f32: data instanceof Float32Array,
    i32: data instanceof Int32Array,
    bool: data instanceof Uint8Array,
    bf16: data instanceof Uint16Array || data instanceof Float32Array,
  }[dtype]
  if (!fits || data.length !== sizeOf(shape))
    throw new EngineError('bad_argument', 'the data does not fit', {
      where,
      expected: `${showType({ shape, dtype })} (${sizeOf(shape)} elements)`,
      got: `${data.constructor.name} of ${data.length}`,
    })
  // tfjs keeps the array it is given; the caller may reuse his.
  const own = data instanceof Uint16Array ? fromBits(data) : data.slice()
  return tf.tensor(own as Float32Array, [...shape], TFJS_TYPE[dtype])
}

function fromBits(bits: Uint16Array): Float32Array {
  const words = Uint32Array.from(bits, (half) => half << 16)
  return new Float32Array(words.buffer)
}
function toBits(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length)
  return Uint16Array.from(words, (b) => ((b & 0x7fffffff) > 0x7f800000 ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16))
}
