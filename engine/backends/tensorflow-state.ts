/**
 * Reading and writing variables from outside, for any number of them with a handful of graph signatures.
 *
 * TensorFlow prepares an executor for every new set of fed and fetched nodes, and each costs as much as copying the whole graph (half a
 * second for eight training programs). So there is one reader and one writer per dtype: a fed index opens the gate of one variable, and
 * everything behind the other gates is dead for that run.
 */
import { type Attribute, type NodeRef, TF_TYPE } from '../graph/lowering'
import type { DType, Variable } from '../graph/types'

type Attributes = Readonly<Record<string, Attribute>>
interface Graph {
  readonly variables: ReadonlyMap<string, Variable>
  add(name: string, op: string, inputs: readonly NodeRef[], attributes: Attributes): NodeRef
}

export const handleNode = (name: string): string => `variable/${name}`
/** Fetching it fills every variable that begins as zeros. */
export const INITIALIZE = 'state/initialize'
/** Fed with the position of a variable in `variables`. */
export const INDEX = 'state/index'
/** Fetched for the value of the chosen variable; bf16 comes as float32. */
export const readNode = (dtype: DType): string => `state/read/${dtype}`
/** Fed with the value and fetched to write it. `bits`: bf16 as pairs of bytes. */
export const writeNodes = (kind: DType | 'bits') => ({ value: `state/write/${kind}/value`, done: `state/write/${kind}` })

const UINT8: Attribute = { type: 4 }
const type = (dtype: DType): Attribute => ({ type: TF_TYPE[dtype] })
const TO_F32 = { SrcT: type('bf16'), DstT: type('f32'), Truncate: { bool: false } }
const TO_BF16 = { SrcT: type('f32'), DstT: type('bf16'), Truncate: { bool: false } }

/** Values as the bytes of a tensor of that dtype, bf16 rounded to nearest even. */
export function tensorBytes(values: ArrayLike<number>, dtype: DType): Uint8Array {
  const typed = dtype === 'i32' ? Int32Array.from(values) : dtype === 'bool' ? Uint8Array.from(values) : Float32Array.from(values)
  if (dtype !== 'bf16') return new Uint8Array(typed.buffer)
  const bits = new Uint32Array(typed.buffer)
  const halves = Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16)
  return new Uint8Array(halves.buffer)
}

export function writeState(graph: Graph): void {
  const variables = [...graph.variables.values()]
  writeInitializer(graph, variables)
  graph.add(INDEX, 'Placeholder', [], { dtype: type('i32'), shape: { shape: [] } })
  const gates = variables.map((_, i) => gate(graph, i))
  for (const dtype of new Set(variables.map((variable) => variable.dtype))) {
    const own = variables.flatMap((variable, i) =>
      variable.dtype === dtype ? [{ handle: handleNode(variable.name), gate: gates[i] as NodeRef, i }] : [],
    )
    writeReader(graph, dtype, own)
    // The session must not take over the caller's memory, so the value is copied; a cast copies by itself.
    const value = (kind: DType | 'bits', fed: Attribute) => graph.add(writeNodes(kind).value, 'Placeholder', [], { dtype: fed })
    if (dtype !== 'bf16') {
      const copy = graph.add(`state/write/${dtype}/copy`, 'DeepCopy', [value(dtype, type(dtype))], { T: type(dtype) })
      writeWriter(graph, dtype, dtype, copy, own)
      continue
    }
    writeWriter(graph, dtype, dtype, graph.add('state/write/bf16/cast', 'Cast', [value('bf16', type('f32'))], TO_BF16), own)
    const bits = graph.add('state/write/bits/cast', 'Bitcast', [value('bits', UINT8)], { T: UINT8, type: type('bf16') })
    writeWriter(graph, 'bits', dtype, graph.add('state/write/bits/copy', 'DeepCopy', [bits], { T: type('bf16') }), own)
  }
}

type Gated = { readonly handle: NodeRef; readonly gate: NodeRef; readonly i: number }

/** A scalar that is alive only when the index is `i`. */
function gate(graph: Graph, i: number): NodeRef {
  const name = `state/gate/${i}`
  const number = scalar(graph, `${name}/number`, i)
  const chosen = graph.add(`${name}/chosen`, 'Equal', [INDEX, number], { T: type('i32') })
  graph.add(`${name}/switch`, 'Switch', [number, chosen], { T: type('i32') })
  return graph.add(name, 'Identity', [`${name}/switch:1`], { T: type('i32') })
}

function writeReader(graph: Graph, dtype: DType, variables: readonly Gated[]): void {
  const out = dtype === 'bf16' ? 'f32' : dtype
  const values = variables.map(({ handle, gate, i }) => {
    const value = graph.add(`state/read/${i}`, 'ReadVariableOp', [handle, `^${gate}`], { dtype: type(dtype) })
    return dtype === 'bf16' ? graph.add(`${value}/wide`, 'Cast', [value], TO_F32) : value
  })
  graph.add(readNode(dtype), 'Merge', values, { N: { int: values.length }, T: type(out) })
}

function writeWriter(graph: Graph, kind: DType | 'bits', dtype: DType, value: NodeRef, variables: readonly Gated[]): void {
  const { done } = writeNodes(kind)
  const ends = variables.map(({ handle, gate, i }) => {
    const assignment = graph.add(`${done}/${i}/assign`, 'AssignVariableOp', [handle, value, `^${gate}`], { dtype: type(dtype) })
    return graph.add(`${done}/${i}`, 'Identity', [gate, `^${assignment}`], { T: type('i32') })
  })
  graph.add(done, 'Merge', ends, { N: { int: ends.length }, T: type('i32') })
}

function writeInitializer(graph: Graph, variables: readonly Variable[]): void {
  const assignments = variables.flatMap(({ name, shape, dtype, initial }) => {
    if (initial !== 'zeros') return []
    const prefix = `${INITIALIZE}/${name}`
    const dimensions = graph.add(`${prefix}/shape`, 'Const', [], {
      dtype: type('i32'),
      value: { tensor: { dtype: 'i32', shape: [shape.length], bytes: tensorBytes(shape, 'i32') } },
    })
    const zero = graph.add(`${prefix}/zero`, 'Const', [], {
      dtype: type(dtype),
      value: { tensor: { dtype, shape: [], bytes: tensorBytes([0], dtype) } },
    })
    const zeros = graph.add(`${prefix}/zeros`, 'Fill', [dimensions, zero], { T: type(dtype), index_type: type('i32') })
    return [graph.add(`${prefix}/assign`, 'AssignVariableOp', [handleNode(name), zeros], { dtype: type(dtype) })]
  })
  const zero = scalar(graph, `${INITIALIZE}/done`, 0)
  graph.add(INITIALIZE, 'Identity', [zero, ...assignments.map((assignment) => `^${assignment}`)], { T: type('i32') })
}

const scalar = (graph: Graph, name: string, value: number): NodeRef =>
  graph.add(name, 'Const', [], { dtype: type('i32'), value: { tensor: { dtype: 'i32', shape: [], bytes: tensorBytes([value], 'i32') } } })
