/** Turns programs into TensorFlow nodes. Pure: no TensorFlow is loaded here. */
import { EngineError } from '../errors'
import { type Attribute, type Lowering, type NodeRef, TF_TYPE } from '../graph/lowering'
import { type DType, type Program, type Shape, sameShape, showType, sizeOf, type TensorType, type Variable } from '../graph/types'
import type { NodeDef } from './protobuf'
import { handleNode, tensorBytes, writeState } from './tensorflow-state'

type Attributes = Readonly<Record<string, Attribute>>
const UINT8: Attribute = { type: 4 }
const type = (dtype: DType): Attribute => ({ type: TF_TYPE[dtype] })

/** Node names of what can be fed and fetched; the backend asks for these. */
export const feedNode = (program: string, name: string) => `${program}/feed/${name}`
export const fetchNode = (program: string, name: string) => `${program}/fetch/${name}`
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
    writeState(writer)
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
    const attributes = { dtype: type(dtype), shape: { shape }, shared_name: { string: name }, container: { string: '' } }
    this.add(handleNode(name), 'VarHandleOp', [], attributes)
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

  handle = (variable: Variable): NodeRef => handleNode(variable.name)

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
