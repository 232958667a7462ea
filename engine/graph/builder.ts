/**
 * Writes a program op by op, checking types as it goes, and differentiates it in reverse. One builder makes one program.
 *
 * Reverse mode only visits ops that lie between the loss and a wanted tensor (E-3): below the lowest trainable parameter no gradient
 * op is ever written, and frozen parameters get none.
 */
import { EngineError } from '../errors'
import * as p from './primitives/table'
import {
  bytesOf,
  type Cost,
  type DType,
  type Op,
  type Primitive,
  type Program,
  type Shape,
  sameShape,
  showType,
  type Tensor,
  type Variable,
} from './types'

type Vjp = (gradients: readonly (Tensor | null)[], needs: readonly boolean[]) => readonly (Tensor | null)[]
type TapeEntry = { inputs: readonly Tensor[]; outputs: readonly Tensor[]; vjp: Vjp }

export class Builder {
  readonly ops: Op[] = []
  readonly #tape: TapeEntry[] = []
  readonly #feeds: Record<string, Tensor> = {}
  readonly #keptFeeds = new Set<string>()
  readonly #variables: Record<string, Variable> = {}
  readonly #producer = new Map<number, Op>()
  /** Casts that can be differentiated, and those made inside a composite, which cannot. */
  readonly #casts = { recorded: new Map<string, Tensor>(), hidden: new Map<string, Tensor>() }
  readonly #reads = new Map<string, Tensor>()
  readonly #fills = new Map<string, Tensor>()
  #recording = true
  #next = 0

  /** Adds an op and returns its outputs. */
  apply<A>(primitive: Primitive<A>, inputs: readonly Tensor[], attributes: A): readonly Tensor[] {
    const outputs = primitive.infer(inputs, attributes).map(({ shape, dtype }): Tensor => ({ id: this.#next++, shape, dtype }))
    const op: Op = { primitive, inputs, outputs, attributes }
    this.ops.push(op)
    for (const output of outputs) this.#producer.set(output.id, op)
    const { vjp } = primitive
    if (vjp && this.#recording)
      this.#tape.push({ inputs, outputs, vjp: (gradients, needs) => vjp({ g: this, inputs, outputs, gradients, needs, attributes }) })
    return outputs
  }

  #one<A>(primitive: Primitive<A>, inputs: readonly Tensor[], attributes: A): Tensor {
    const [output] = this.apply(primitive, inputs, attributes)
    if (!output) throw new EngineError('shape', `${primitive.name} has no output`)
    return output
  }

  /**
   * A layer with a backward pass of its own: the ops of `forward` are not differentiated, `vjp` is used instead. It gets the gradient
   * by the output and which inputs need one; it may use any tensor that `forward` made.
   */
  composite(
    inputs: readonly Tensor[],
    forward: () => Tensor,
    vjp: (gradient: Tensor, needs: readonly boolean[]) => readonly (Tensor | null)[],
  ): Tensor {
    const output = this.withoutGradient(forward)
    if (this.#recording)
      this.#tape.push({ inputs, outputs: [output], vjp: ([gradient], needs) => (gradient ? vjp(gradient, needs) : inputs.map(() => null)) })
    return output
  }

  /** Runs `body`; nothing it adds can be differentiated. */
  withoutGradient<T>(body: () => T): T {
    const before = this.#recording
    this.#recording = false
    try {
      return body()
    } finally {
      this.#recording = before
    }
  }

  /** Gradient of the scalar `loss` by each of `wrt`; null where it does not depend on it. */
  gradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | null)[] {
    if (loss.shape.length > 0) throw new EngineError('shape', 'gradients: the loss must be a scalar', { got: showType(loss) })
    const needed = new Set(wrt.map((tensor) => tensor.id))
    for (const { inputs, outputs } of this.#tape)
      if (inputs.some((input) => needed.has(input.id))) for (const output of outputs) needed.add(output.id)

    const gradients = new Map<number, Tensor>([[loss.id, this.fill(1, loss.dtype)]])
    this.withoutGradient(() => {
      for (const { inputs, outputs, vjp } of [...this.#tape].reverse()) {
        const given = outputs.map((output) => gradients.get(output.id) ?? null)
        const needs = inputs.map((input) => needed.has(input.id))
        if (given.every((gradient) => gradient === null) || !needs.includes(true)) continue
        const results = vjp(given, needs)
        for (const [i, input] of inputs.entries()) {
          const result = results[i]
          if (!needs[i] || !result) continue
          if (!sameShape(result.shape, input.shape) || result.dtype !== input.dtype)
            throw new EngineError('shape', 'a gradient does not have the type of its input', {
              expected: showType(input),
              got: showType(result),
            })
          gradients.set(input.id, this.#accumulate(gradients.get(input.id), result))
        }
        // What lies above is finished; forgetting it here keeps nothing alive, the graph's own edges decide that.
        for (const output of outputs) if (!wrt.some((tensor) => tensor.id === output.id)) gradients.delete(output.id)
      }
    })
    return wrt.map((tensor) => gradients.get(tensor.id) ?? null)
  }

  /** Rows scattered into zeros join an existing gradient by being scattered into it: one dense pass less over a whole embedding. */
  #accumulate(sum: Tensor | undefined, part: Tensor): Tensor {
    if (!sum) return part
    for (const [scattered, other] of [
      [part, sum],
      [sum, part],
    ] as const) {
      const op = this.#producer.get(scattered.id)
      if (op?.primitive.name === p.segmentSum.name) return this.scatterAdd(other, op.inputs[0] as Tensor, op.inputs[1] as Tensor)
    }
    return this.add(sum, part)
  }

  /** The finished program: ops and feeds that neither a fetch nor an effect needs are left out. */
  finish(name: string, fetches: Readonly<Record<string, Tensor>>): Program {
    const live = new Set(Object.values(fetches).map((tensor) => tensor.id))
    const kept: Op[] = []
    for (const op of [...this.ops].reverse()) {
      if (op.primitive.effect !== 'write' && !op.outputs.some((output) => live.has(output.id))) continue
      for (const input of op.inputs) live.add(input.id)
      kept.push(op)
    }
    kept.reverse()
    let cost: Cost = { flops: 0, bytes: 0 }
    for (const op of kept) {
      const own = op.primitive.cost?.(op.inputs, op.outputs, op.attributes) ?? { flops: 0, bytes: 0 }
      const bytes = own.bytes || [...op.inputs, ...op.outputs].reduce((sum, tensor) => sum + bytesOf(tensor), 0)
      cost = { flops: cost.flops + own.flops, bytes: cost.bytes + bytes }
    }
    const feeds = Object.fromEntries(Object.entries(this.#feeds).filter(([key, tensor]) => live.has(tensor.id) || this.#keptFeeds.has(key)))
    return { name, ops: kept, feeds, fetches, variables: this.#variables, cost }
  }

  // Inputs, constants, state

  /** An input of the program, given by name at every run. `always`: also where nothing comes to need it, so that the caller need not know. */
  feed(name: string, shape: Shape, dtype: DType, { always = false } = {}): Tensor {
    if (always) this.#keptFeeds.add(name)
    const known = this.#feeds[name]
    if (known) {
      if (!sameShape(known.shape, shape) || known.dtype !== dtype)
        throw new EngineError('shape', `feed ${name} is declared twice`, { expected: showType(known), got: showType({ shape, dtype }) })
      return known
    }
    const tensor: Tensor = { id: this.#next++, shape, dtype }
    this.#feeds[name] = tensor
    return tensor
  }

  variable(name: string, shape: Shape, dtype: DType, initial: Variable['initial'] = 'unset'): Variable {
    const known = this.#variables[name]
    if (known) {
      if (!sameShape(known.shape, shape) || known.dtype !== dtype)
        throw new EngineError('shape', `variable ${name} is declared twice`, { expected: showType(known), got: showType({ shape, dtype }) })
      return known
    }
    const variable: Variable = { name, shape, dtype, initial }
    this.#variables[name] = variable
    return variable
  }

  /** Value of a variable after the writes added so far. */
  read(variable: Variable): Tensor {
    const known = this.#reads.get(variable.name)
    if (known) return known
    const tensor = this.#one(p.read, [], { variable })
    this.#reads.set(variable.name, tensor)
    return tensor
  }
  assign(variable: Variable, value: Tensor): void {
    this.apply(p.assign, [value], { variable })
    this.#reads.delete(variable.name)
  }
  assignAdd(variable: Variable, value: Tensor): void {
    this.apply(p.assignAdd, [value], { variable })
    this.#reads.delete(variable.name)
  }
  adam(state: p.AdamState, gradient: Tensor, stepSize: Tensor, epsilon: Tensor): void {
    this.apply(p.adam, [gradient, stepSize, epsilon], state)
    for (const { name } of [state.variable, state.first, state.second]) this.#reads.delete(name)
  }
  updateRows(variable: Variable, rows: Tensor, values: Tensor): Tensor {
    const value = this.#one(p.updateRows, [rows, values], { variable })
    this.#reads.delete(variable.name)
    return value
  }

  constant(values: ArrayLike<number>, shape: Shape, dtype: DType): Tensor {
    return this.#one(p.constant, [], { values, shape, dtype })
  }
  /** A scalar; equal ones are one tensor. It broadcasts. */
  fill(value: number, dtype: DType): Tensor {
    const key = `${dtype}:${value}`
    const known = this.#fills.get(key)
    if (known) return known
    const tensor = this.#one(p.constant, [], { values: [value], shape: [], dtype })
    this.#fills.set(key, tensor)
    return tensor
  }
  zeros(shape: Shape, dtype: DType): Tensor {
    return this.#one(p.fillShape, [], { value: 0, shape, dtype })
  }

  // Element by element

  neg = (x: Tensor) => this.#one(p.neg, [x], {})
  exp = (x: Tensor) => this.#one(p.exp, [x], {})
  log = (x: Tensor) => this.#one(p.log, [x], {})
  sqrt = (x: Tensor) => this.#one(p.sqrt, [x], {})
  rsqrt = (x: Tensor) => this.#one(p.rsqrt, [x], {})
  square = (x: Tensor) => this.#one(p.square, [x], {})
  tanh = (x: Tensor) => this.#one(p.tanh, [x], {})
  erf = (x: Tensor) => this.#one(p.erf, [x], {})
  sigmoid = (x: Tensor) => this.#one(p.sigmoid, [x], {})
  add = (a: Tensor, b: Tensor) => this.#one(p.add, [a, b], {})
  sub = (a: Tensor, b: Tensor) => this.#one(p.sub, [a, b], {})
  mul = (a: Tensor, b: Tensor) => this.#one(p.mul, [a, b], {})
  div = (a: Tensor, b: Tensor) => this.#one(p.div, [a, b], {})
  minimum = (a: Tensor, b: Tensor) => this.#one(p.minimum, [a, b], {})
  maximum = (a: Tensor, b: Tensor) => this.#one(p.maximum, [a, b], {})
  less = (a: Tensor, b: Tensor) => this.#one(p.less, [a, b], {})
  lessEqual = (a: Tensor, b: Tensor) => this.#one(p.lessEqual, [a, b], {})
  equal = (a: Tensor, b: Tensor) => this.#one(p.equal, [a, b], {})
  and = (a: Tensor, b: Tensor) => this.#one(p.and, [a, b], {})
  select = (condition: Tensor, a: Tensor, b: Tensor) => this.#one(p.select, [condition, a, b], {})

  /** Casting the same tensor twice gives the same result, and bf16 → f32 → bf16 gives the first one back. */
  cast(x: Tensor, dtype: DType): Tensor {
    if (x.dtype === dtype) return x
    const source = this.#producer.get(x.id)
    if (dtype === 'bf16' && source?.primitive.name === p.cast.name && source.inputs[0]?.dtype === 'bf16') return source.inputs[0]
    const key = `${x.id}:${dtype}`
    const known = this.#casts.recorded.get(key) ?? (this.#recording ? undefined : this.#casts.hidden.get(key))
    if (known) return known
    const tensor = this.#one(p.cast, [x], { dtype })
    this.#casts[this.#recording ? 'recorded' : 'hidden'].set(key, tensor)
    return tensor
  }

  // Layout

  reshape(x: Tensor, shape: Shape): Tensor {
    return sameShape(x.shape, shape) ? x : this.#one(p.reshape, [x], { shape })
  }
  transpose = (x: Tensor, permutation: readonly number[]) => this.#one(p.transpose, [x], { permutation })
  slice = (x: Tensor, begin: Shape, size: Shape) => this.#one(p.slice, [x], { begin, size })
  pad = (x: Tensor, paddings: readonly (readonly [number, number])[]) => this.#one(p.pad, [x], { paddings })
  concat = (parts: readonly Tensor[], axis: number) => (parts.length === 1 ? (parts[0] as Tensor) : this.#one(p.concat, parts, { axis }))
  /** One part per size; a literal list of sizes gives a tuple of as many. */
  split<const Sizes extends readonly number[]>(x: Tensor, axis: number, sizes: Sizes): { readonly [I in keyof Sizes]: Tensor } {
    return (sizes.length === 1 ? [x] : this.apply(p.split, [x], { axis, sizes })) as unknown as { readonly [I in keyof Sizes]: Tensor }
  }
  /** `x`, computed no earlier than `trigger`: see the primitive. Of a widened bf16 tensor the narrow one is kept and widened again. */
  after(x: Tensor, trigger: Tensor): Tensor {
    const source = this.#producer.get(x.id)
    const narrow = source?.primitive.name === p.cast.name && source.inputs[0]?.dtype === 'bf16' ? source.inputs[0] : null
    return narrow ? this.cast(this.#one(p.after, [narrow, trigger], {}), x.dtype) : this.#one(p.after, [x, trigger], {})
  }
  broadcast(x: Tensor, shape: Shape): Tensor {
    return sameShape(x.shape, shape) ? x : this.#one(p.broadcast, [x], { shape })
  }

  // Folding

  sum = (x: Tensor, axes: readonly number[], keep = false) => (axes.length === 0 ? x : this.#one(p.sum, [x], { axes, keep }))
  mean = (x: Tensor, axes: readonly number[], keep = false) => this.#one(p.mean, [x], { axes, keep })
  max = (x: Tensor, axes: readonly number[], keep = false) => this.#one(p.max, [x], { axes, keep })
  argMax = (x: Tensor) => this.#one(p.argMax, [x], {})
  halfSquaredNorm = (x: Tensor) => this.#one(p.halfSquaredNorm, [x], {})
  /** Sums a gradient over the axes along which its tensor was broadcast from `shape`. */
  unbroadcast(x: Tensor, shape: Shape): Tensor {
    if (sameShape(x.shape, shape)) return x
    const offset = x.shape.length - shape.length
    if (offset < 0) return this.broadcast(x, shape)
    const axes = x.shape.flatMap((size, i) => (i < offset || (shape[i - offset] === 1 && size !== 1) ? [i] : []))
    return this.broadcast(
      this.reshape(
        this.sum(x, axes),
        x.shape.slice(offset).map((size, i) => (axes.includes(i + offset) ? 1 : size)),
      ),
      shape,
    )
  }

  // Products and networks

  matmul = (a: Tensor, b: Tensor, { transposeA = false, transposeB = false }: Partial<p.Transposes> = {}) =>
    this.#one(p.matmul, [a, b], { transposeA, transposeB })
  batchMatmul = (a: Tensor, b: Tensor, { transposeA = false, transposeB = false }: Partial<p.Transposes> = {}) =>
    this.#one(p.batchMatmul, [a, b], { transposeA, transposeB })
  gather = (table: Tensor, indices: Tensor) => this.#one(p.gather, [table, indices], {})
  segmentSum = (rows: Tensor, indices: Tensor, count: number) => this.#one(p.segmentSum, [rows, indices], { count })
  scatterAdd = (base: Tensor, rows: Tensor, indices: Tensor) => this.#one(p.scatterAdd, [base, rows, indices], {})
  softmax = (x: Tensor) => this.#one(p.softmax, [x], {})
  /** Cross-entropy of each row in nats; see the primitive. */
  crossEntropy = (logits: Tensor, labels: Tensor) => this.#one(p.crossEntropy, [logits, labels], {})
}
