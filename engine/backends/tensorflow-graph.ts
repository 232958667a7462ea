/** Turns programs into TensorFlow nodes. Pure: no TensorFlow is loaded here. */
import { EngineError } from '../errors'
import { type Attribute, type Lowering, type NodeRef, TF_TYPE } from '../graph/lowering'
import { type DType, type Program, type Shape, sameShape, showType, sizeOf, type TensorType, type Variable } from '../graph/types'
import type { NodeDef } from './protobuf'

type Attributes = Readonly<Record<string, Attribute>>
const UINT8: Attribute = { type: 4 }
const type = (dtype: DType): Attribute => ({ type: TF_TYPE[dtype] })

/** Values as the bytes of a tensor of that dtype, bf16 rounded to nearest even. */
export function tensorBytes(values: ArrayLike<number>, dtype: DType): Uint8Array {
  const typed = dtype === 'i32' ? Int32Array.from(values) : dtype === 'bool' ? Uint8Array.from(values) : Float32Array.from(values)
  if (dtype !== 'bf16') return new Uint8Array(typed.buffer)
  const bits = new Uint32Array(typed.buffer)
  const halves = Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16)
  return new Uint8Array(halves.buffer)
}

/** Node names of what can be fed and fetched; the backend asks for these. */
export const feedNode = (program: string, name: string) => `${program}/feed/${name}`
export const fetchNode = (program: string, name: string) => `${program}/fetch/${name}`
export const variableNodes = (name: string) => ({
  handle: `variable/${name}`,
  value: `variable/${name}/value`,
  set: `variable/${name}/set`,
  bits: `variable/${name}/bits`,
  setBits: `variable/${name}/set_bits`,
  read: `variable/${name}/read`,
})
export const INITIALIZE = 'initialize'

const bare = (ref: NodeRef) => (ref.includes(':') ? ref.slice(0, ref.indexOf(':')) : ref)
/** A comma separates names in the addon's calls and a colon marks an output. */
const checkName = (name: string) => {
  if (!/^[A-Za-z0-9_.][A-Za-z0-9_./-]*$/.test(name))
    throw new EngineError('bad_argument', 'a name cannot be used in a graph', { where: name, expected: 'letters, digits and _ . / -' })
}

export class GraphWriter {
  readonly nodes: NodeDef[] = []
  readonly variables = new Map<string, Variable>()

  /** All programs over one set of variables. */
  static write(programs: readonly Program[]): GraphWriter {
    const writer = new GraphWriter()
    const names = new Set<string>()
    for (const program of programs) {
      checkName(program.name)
      if (names.has(program.name)) throw new EngineError('bad_argument', 'two programs have one name', { where: program.name })
      names.add(program.name)
      for (const variable of Object.values(program.variables)) writer.#declare(variable)
    }
    for (const program of programs) new ProgramWriter(writer, program).emit()
    writer.#writeInitializer()
    return writer
  }

  #declare(variable: Variable): void {
    const known = this.variables.get(variable.name)
    if (known) {
      if (!sameShape(known.shape, variable.shape) || known.dtype !== variable.dtype || known.initial !== variable.initial)
        throw new EngineError('bad_argument', 'two programs disagree about a variable', {
          where: variable.name,
          expected: showType(known),
          got: showType(variable),
        })
      return
    }
    checkName(variable.name)
    this.variables.set(variable.name, variable)
    const { shape, dtype, name } = variable
    const nodes = variableNodes(name)
    this.add(nodes.handle, 'VarHandleOp', [], {
      dtype: type(dtype),
      shape: { shape },
      shared_name: { string: name },
      container: { string: '' },
    })
    const value = this.#readable(nodes.handle, dtype, `${nodes.read}/raw`)
    this.add(nodes.read, 'Identity', [value], { T: type(dtype === 'bf16' ? 'f32' : dtype) })
    // Feeding float32. The session must not take over the caller's memory, so the value is copied; a cast copies by itself.
    const fed: DType = dtype === 'bf16' ? 'f32' : dtype
    this.add(nodes.value, 'Placeholder', [], { dtype: type(fed), shape: { shape } })
    const copied =
      dtype === 'bf16'
        ? this.add(`${nodes.value}/cast`, 'Cast', [nodes.value], { SrcT: type('f32'), DstT: type('bf16'), Truncate: { bool: false } })
        : this.add(`${nodes.value}/copy`, 'DeepCopy', [nodes.value], { T: type(dtype) })
    this.#setter(nodes.set, nodes.handle, copied, dtype)
    if (dtype !== 'bf16') return
    this.add(nodes.bits, 'Placeholder', [], { dtype: UINT8, shape: { shape: [...shape, 2] } })
    const raw = this.add(`${nodes.bits}/cast`, 'Bitcast', [nodes.bits], { T: UINT8, type: type('bf16') })
    this.#setter(nodes.setBits, nodes.handle, this.add(`${nodes.bits}/copy`, 'DeepCopy', [raw], { T: type('bf16') }), dtype)
  }

  #readable(handle: NodeRef, dtype: DType, name: string): NodeRef {
    const value = this.add(name, 'ReadVariableOp', [handle], { dtype: type(dtype) })
    return dtype === 'bf16'
      ? this.add(`${name}/wide`, 'Cast', [value], { SrcT: type('bf16'), DstT: type('f32'), Truncate: { bool: false } })
      : value
  }

  /** Fetching `name` performs the assignment. */
  #setter(name: string, handle: NodeRef, value: NodeRef, dtype: DType): void {
    const assignment = this.add(`${name}/assign`, 'AssignVariableOp', [handle, value], { dtype: type(dtype) })
    this.#done(name, [assignment])
  }

  /** A scalar that can be fetched once all of `after` ran. */
  #done(name: string, after: readonly NodeRef[]): void {
    const zero = this.add(
      `${name}/zero`,
      'Const',
      after.map((ref) => `^${ref}`),
      { dtype: type('i32'), value: { tensor: { dtype: 'i32', shape: [], bytes: new Uint8Array(4) } } },
    )
    this.add(name, 'Identity', [zero], { T: type('i32') })
  }

  #writeInitializer(): void {
    const assignments: NodeRef[] = []
    for (const { name, shape, dtype, initial } of this.variables.values()) {
      if (initial !== 'zeros') continue
      const prefix = `${INITIALIZE}/${name}`
      const ints = this.add(`${prefix}/shape`, 'Const', [], {
        dtype: type('i32'),
        value: { tensor: { dtype: 'i32', shape: [shape.length], bytes: tensorBytes(shape, 'i32') } },
      })
      const zero = this.add(`${prefix}/zero`, 'Const', [], {
        dtype: type(dtype),
        value: { tensor: { dtype, shape: [], bytes: tensorBytes([0], dtype) } },
      })
      const zeros = this.add(`${prefix}/zeros`, 'Fill', [ints, zero], { T: type(dtype), index_type: type('i32') })
      assignments.push(this.add(`${prefix}/assign`, 'AssignVariableOp', [variableNodes(name).handle, zeros], { dtype: type(dtype) }))
    }
    this.#done(INITIALIZE, assignments)
  }

  add(name: string, op: string, inputs: readonly NodeRef[], attributes: Attributes): NodeRef {
    this.nodes.push({ name, op, inputs, attributes })
    return name
  }
}

/** One program: every node is named `<program>/<op>_<number>`. */
class ProgramWriter implements Lowering {
  readonly #to: GraphWriter
  readonly #program: Program
  readonly #constants = new Map<string, NodeRef>()
  /** Per variable: its last write, and what read it since. Order on one variable is kept by control edges. */
  readonly #lastWrite = new Map<string, NodeRef>()
  readonly #readsSince = new Map<string, NodeRef[]>()
  readonly #currentRead = new Map<string, NodeRef>()
  readonly #writes: NodeRef[] = []
  #number = 0

  constructor(to: GraphWriter, program: Program) {
    this.#to = to
    this.#program = program
  }

  emit(): void {
    const { name, ops, feeds, fetches } = this.#program
    const refs = new Map<number, NodeRef>()
    for (const [feed, { id, shape, dtype }] of Object.entries(feeds)) {
      checkName(feed)
      refs.set(id, this.#feed(feedNode(name, feed), { shape, dtype }))
    }
    for (const { primitive, inputs, outputs, attributes } of ops) {
      const inputRefs = inputs.map((input) => {
        const ref = refs.get(input.id)
        if (ref === undefined)
          throw new EngineError('backend', `the program ${name} uses a tensor before it is made`, { where: primitive.name })
        return ref
      })
      const outputRefs = primitive.lower(this, inputRefs, { attributes, inputTypes: inputs, outputTypes: outputs })
      for (const [i, output] of outputs.entries()) refs.set(output.id, outputRefs[i] as NodeRef)
    }
    for (const [fetch, tensor] of Object.entries(fetches)) this.#fetch(fetchNode(name, fetch), refs.get(tensor.id) as NodeRef, tensor)
  }

  /** The addon takes no bf16: such a feed arrives as pairs of bytes. */
  #feed(name: string, { shape, dtype }: TensorType): NodeRef {
    if (dtype !== 'bf16') return this.#to.add(name, 'Placeholder', [], { dtype: type(dtype), shape: { shape } })
    this.#to.add(name, 'Placeholder', [], { dtype: UINT8, shape: { shape: [...shape, 2] } })
    return this.#to.add(`${name}/bits`, 'Bitcast', [name], { T: UINT8, type: type('bf16') })
  }

  /** And gives none: such a fetch leaves as pairs in an int32, or singly as float32 when the last axis is odd. */
  #fetch(name: string, ref: NodeRef, { shape, dtype }: TensorType): void {
    const control = this.#writes.map((write) => `^${bare(write)}`)
    if (dtype !== 'bf16') {
      this.#to.add(name, 'Identity', [ref, ...control], { T: type(dtype) })
      return
    }
    if (sizeOf(shape) % 2)
      throw new EngineError('shape', 'a bf16 fetch needs an even number of elements', { where: name, got: showType({ shape, dtype }) })
    const pairs = this.node('Reshape', [ref, this.ints([sizeOf(shape) / 2, 2])], { T: type('bf16'), Tshape: type('i32') })
    this.#to.add(name, 'Bitcast', [pairs, ...control], { T: type('bf16'), type: type('i32') })
  }

  node(op: string, inputs: readonly NodeRef[], attributes: Attributes, options: { control?: readonly NodeRef[] } = {}): NodeRef {
    const control = (options.control ?? []).map((ref) => `^${bare(ref)}`)
    return this.#to.add(`${this.#program.name}/${op}_${this.#number++}`, op, [...inputs, ...new Set(control)], attributes)
  }

  ints = (values: readonly number[]): NodeRef => this.constant(values, [values.length], 'i32')
  int = (value: number): NodeRef => this.constant([value], [], 'i32')
  float = (value: number, dtype: DType): NodeRef => this.constant([value], [], dtype)

  constant(values: ArrayLike<number>, shape: Shape, dtype: DType): NodeRef {
    const bytes = tensorBytes(values, dtype)
    const key = bytes.length <= 4096 ? `${dtype}:${shape.join()}:${Buffer.from(bytes).toString('latin1')}` : undefined
    const known = key === undefined ? undefined : this.#constants.get(key)
    if (known) return known
    const ref = this.node('Const', [], { dtype: type(dtype), value: { tensor: { dtype, shape, bytes } } })
    if (key !== undefined) this.#constants.set(key, ref)
    return ref
  }

  handle = (variable: Variable): NodeRef => variableNodes(variable.name).handle

  read(variable: Variable): NodeRef {
    const { name } = variable
    const known = this.#currentRead.get(name)
    if (known) return known
    const after = this.#lastWrite.get(name)
    const ref = this.node('ReadVariableOp', [this.handle(variable)], { dtype: type(variable.dtype) }, { control: after ? [after] : [] })
    this.#currentRead.set(name, ref)
    this.#readsSince.set(name, [...(this.#readsSince.get(name) ?? []), ref])
    return ref
  }

  write(variable: Variable, op: string, inputs: readonly NodeRef[], attributes: Attributes): NodeRef {
    const { name } = variable
    const before = [this.#lastWrite.get(name), ...(this.#readsSince.get(name) ?? [])].filter((ref) => ref !== undefined)
    const ref = this.node(op, inputs, attributes, { control: before.filter((earlier) => !inputs.includes(earlier)) })
    this.#lastWrite.set(name, ref)
    this.#readsSince.delete(name)
    this.#currentRead.delete(name)
    this.#writes.push(ref)
    return ref
  }
}
