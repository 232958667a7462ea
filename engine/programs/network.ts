/** The `Network` that programs hand to an architecture, and the ways in which attention finds its context. */
import { EngineError } from '../errors'
import type { Builder } from '../graph/builder'
import { attend, causalMask, groupQueries, segmentMask, splitHeads } from '../graph/layers/attention'
import { rotate } from '../graph/layers/rope'
import { sizeOf, type Tensor } from '../graph/types'
import type { RopeTable } from '../models/architecture'
import type { AttentionCall, Network } from '../models/network'
import { addLowRank } from './adapters'
import type { BatchSpec } from './spec'
import { declareWeight, type WeightPlan } from './weights'

/**
 * Up to so many rows a float32 product by a transposed matrix goes through TensorFlow's batched product: the plain one calls oneDNN's
 * `gemm_api`, which gives 62 GFLOP/s for 24 rows of the head where the batched one's `brg_matmul` gives 108. Beyond, both are equally fast.
 */
const FEW_ROWS = 256

export interface NetworkParts {
  readonly g: Builder
  readonly plan: WeightPlan
  readonly ids: Tensor
  readonly positions: Tensor
  readonly attention: Network['attention']
  /** Rows that the last block goes on with, i32 [n]; all without it. */
  readonly chosen?: Tensor | undefined
}

export function makeNetwork({ g, plan, ids, positions, attention, chosen }: NetworkParts): Network {
  const stored = (name: string) => {
    const weight = plan.of.get(name)
    if (!weight) throw new EngineError('bad_argument', 'the architecture asks for a parameter that it does not list', { where: name })
    return weight
  }
  const value = (name: string) => g.read(declareWeight(g, stored(name)))
  const compute = plan.precision === 'bf16' ? 'bf16' : 'f32'

  const product = (x: Tensor, name: string, outputAxis: 0 | 1) => {
    const [a, b] = [g.cast(x, compute), g.cast(value(name), compute)]
    const transposeB = outputAxis === 0 && !stored(name).transposed
    const [rows] = a.shape as [number]
    if (compute === 'bf16' || !transposeB || rows > FEW_ROWS) return g.matmul(a, b, { transposeB })
    const batched = g.batchMatmul(g.reshape(a, [1, ...a.shape]), g.reshape(b, [1, ...b.shape]), { transposeB })
    return g.reshape(batched, batched.shape.slice(1))
  }

  const trains = (name: string) => plan.trainable.has(name)
  /** One parameter, cut out of the variable that it may share with others. */
  const matrix = (name: string): { value: Tensor; outputAxis: 0 | 1 } => {
    const { parameters } = stored(name)
    const own = parameters.find(({ spec }) => spec.name === name) ?? parameters[0]
    const { shape = [], outputAxis = 0 } = own?.spec ?? {}
    const whole = value(name)
    const [, width = 1] = shape
    const at = (own?.offset ?? 0) / width
    if (stored(name).transposed) {
      const turned = [...shape].reverse()
      return { value: parameters.length === 1 ? whole : g.slice(whole, [0, at], turned), outputAxis: 1 }
    }
    return { value: parameters.length === 1 ? whole : g.slice(whole, [at, 0], shape), outputAxis }
  }

  const linear = (x: Tensor, names: readonly string[], biases?: readonly (string | null)[]): readonly Tensor[] => {
    const [first] = names as readonly [string]
    const weight = stored(first)
    const together =
      names.length > 1 && weight.parameters.length === names.length && weight.parameters.every(({ spec }, i) => spec.name === names[i])
    const outputs = together
      ? g.split(
          product(x, first, 0),
          1,
          weight.parameters.map(({ spec }) => spec.shape[0] as number),
        )
      : names.map((name) => product(x, name, stored(name).parameters[0]?.spec.outputAxis ?? 0))
    const { adapters } = plan.model
    const changed = adapters
      ? addLowRank({ g, adapters, x, names, outputs: outputs.map((output) => g.cast(output, 'f32')), linear, matrix, trains })
      : outputs
    return changed.map((output, i) => {
      const bias = biases?.[i]
      return bias ? g.add(g.cast(output, 'f32'), value(bias)) : g.cast(output, 'f32')
    })
  }

  return {
    g,
    ids,
    positions,
    rows: sizeOf(ids.shape),
    vector: value,
    lookup: (name, indices) => g.cast(g.gather(value(name), indices), 'f32'),
    // One tensor for each name, which is what the mapped tuple type says.
    linear: linear as Network['linear'],
    narrow: (block, x) => (chosen && block === plan.model.config.blocks - 1 ? g.gather(x, chosen) : x),
    attention,
  }
}

/** Last op of every program that predicts: the head over chosen rows, float32 [n, vocab]. */
export function headLogits(plan: WeightPlan, network: Network, x: Tensor): Tensor {
  const { architecture, config } = plan.model
  const [products] = network.linear(architecture.norm(network, config, x), [architecture.head(config)])
  return architecture.logits?.(network, config, products) ?? products
}

/** cos and sin for q (which carry its scale) and for k, each [batch or 1, length, 1, headDim / 2]. */
type Angles = (scale: number, kind?: string) => { cos: Tensor; sin: Tensor } | null

/** q and k turned by position, q scaled, all in the dtype that products run in. */
export function prepare(g: Builder, plan: WeightPlan, call: AttentionCall, batch: number, length: number, angles: Angles) {
  const compute = plan.precision === 'bf16' ? 'bf16' : 'f32'
  const turn = (x: Tensor, heads: number, scale: number) => {
    const turned = call.rotary ? angles(scale, call.ropeKind) : null
    if (!turned) return scale === 1 ? x : g.mul(x, g.fill(scale, 'f32'))
    const { cos, sin } = turned
    return g.reshape(rotate(g, g.reshape(x, [batch, length, heads, call.headDim]), cos, sin), x.shape)
  }
  return {
    q: g.cast(turn(call.q, call.heads, call.scale), compute),
    k: g.cast(turn(call.k, call.kvHeads, 1), compute),
    v: g.cast(call.v, compute),
  }
}

/** For positions i32 [batch, length] or [1, length] below `count`; gives null without rotary embedding. */
export function anglesAt(g: Builder, plan: WeightPlan, positions: Tensor, count: number): Angles {
  const { architecture, config } = plan.model
  const tables = new Map<string | undefined, RopeTable | null>()
  const width = config.headDim / 2
  const [batch, length] = positions.shape as [number, number]
  const made = new Map<string, ReturnType<Angles>>()
  return (scale, kind) => {
    const key = `${scale} ${kind}`
    const known = made.get(key)
    if (known) return known
    const table = tables.get(kind) ?? architecture.rope(config, count, kind)
    tables.set(kind, table)
    if (!table) return null
    const at = (values: Float32Array) => {
      const scaled = g.constant(
        values.map((value) => value * scale),
        [count, width],
        'f32',
      )
      return g.reshape(g.gather(scaled, positions), [batch, length, 1, width])
    }
    const angles = { cos: at(table.cos), sin: at(table.sin) }
    made.set(key, angles)
    return angles
  }
}

/** The whole row is context: training, evaluation, log-probabilities. */
export function rowNetwork(g: Builder, plan: WeightPlan, spec: BatchSpec, chosen?: Tensor): Network {
  const { batch, length } = spec
  const packed = spec.attention === 'segments'
  if (length > plan.model.config.contextLength)
    throw new EngineError('bad_argument', 'the rows are longer than the model can read', {
      expected: `at most ${plan.model.config.contextLength}`,
      got: String(length),
      fix: 'shorten max_length',
    })
  const ids = g.feed('ids', [batch, length], 'i32')
  const positions = packed
    ? g.feed('positions', [batch, length], 'i32')
    : g.constant(
        Int32Array.from({ length }, (_, i) => i),
        [1, length],
        'i32',
      )
  const angles = anglesAt(g, plan, positions, packed ? plan.model.config.contextLength : length)
  const masks = new Map<number | undefined, Tensor>()
  const mask = (window: number | undefined) => {
    const known = masks.get(window)
    if (known) return known
    const made = packed ? segmentMask(g, g.feed('segments', [batch, length], 'i32'), window) : causalMask(g, length, window)
    masks.set(window, made)
    return made
  }
  return makeNetwork({
    g,
    plan,
    ids,
    positions,
    chosen,
    attention: (_, call) => {
      const { q, k, v } = prepare(g, plan, call, batch, length, angles)
      return attend(
        g,
        groupQueries(g, q, batch, length, call),
        splitHeads(g, k, batch, length, call),
        splitHeads(g, v, batch, length, call),
        mask(call.window),
        length,
        call,
      )
    },
  })
}
