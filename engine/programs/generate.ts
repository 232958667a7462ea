/** Reading rows, with the loss of their labels and the first word of what follows, and writing on: one token a row and call. */
import { EngineError } from '../errors'
import { Builder } from '../graph/builder'
import type { Program, Tensor } from '../graph/types'
import type { Network } from '../models/network'
import { type CacheSpec, type PackedRows, packedNetwork, stepNetwork } from './cached'
import { headLogits } from './network'
import type { Sides } from './sides'
import type { WeightPlan } from './weights'

/**
 * One or more sets of values (`Sides`) over the same rows. All rows lie end to end: token t of a row that begins at s is token s + t.
 * Feeds `ids` i32[tokens] and `positions` i32[tokens], 0 in unused room; `spread` i32[batch·length]: the token at place row·length + position,
 * 0 where there is none; `places` i32[tokens]: the place of each token, 0 in unused room.
 *
 * With `labels`: `rows` i32[labels] (the token before each label), `targets` i32[labels], `weights` f32[labels], as LabelSpec has them; fetch
 * `logProbs` f32[sides·labels] = weight · ln p(target).
 *
 * With `cacheLength`: `last` i32[batch], the last token of what is to be continued. Fetches `next` i32[sides·batch] (arg max: greedy) and
 * `logits` f32[sides·batch, vocab]; ask for the one you need. What `read` left in the caches behind that token is overwritten.
 */
export interface ReadSpec {
  readonly batch: number
  /** Positions of the longest row. */
  readonly length: number
  readonly tokens: number
  readonly labels?: number
  /** Positions the caches have room for: at least `length`, and what is written. */
  readonly cacheLength?: number
}

/** Feeds `ids` i32[sides·batch], the tokens just chosen, and `at` i32[sides·batch], their positions. Fetches as `read`. */
export type WriteSpec = Pick<ReadSpec, 'batch'> & Required<Pick<ReadSpec, 'cacheLength'>>

/** Rows of the head at a time: their logits are what takes memory. */
const HEAD_ROWS = 512

export function read(sides: Sides, spec: ReadSpec): Program {
  const { batch, length, tokens, labels = 0, cacheLength } = spec
  checkLength(sides, Math.max(length, cacheLength ?? 0))
  const g = new Builder()
  const feed = (name: string, size: number) => g.feed(name, [size], 'i32')
  const last = cacheLength === undefined ? [] : [feed('last', batch)]
  const labelled = labels ? [feed('rows', labels)] : []
  const rows: PackedRows = {
    batch,
    length,
    ids: g.reshape(feed('ids', tokens), [1, tokens]),
    positions: g.reshape(feed('positions', tokens), [1, tokens]),
    spread: feed('spread', batch * length),
    places: feed('places', tokens),
    chosen: g.concat([...last, ...labelled], 0),
  }
  const { outputs } = throughSides(sides, {
    trunk: (plan, copies) =>
      packedNetwork(g, plan, rows, { cache: cacheLength ? cacheFor('all', batch * copies, cacheLength) : undefined, copies }),
    branch: (plan, side) => packedNetwork(g, plan, rows, { cache: cacheLength ? cacheFor(`side${side}`, batch, cacheLength) : undefined }),
    part: (x) => x,
  })
  const fetches: Record<string, Tensor> = {}
  if (labels) {
    const from = last.length * batch
    fetches.logProbs = g.concat(
      outputs.map(({ plan, network, x }) => logProbs(g, plan, network, g.slice(x, [from, 0], [labels, x.shape[1] as number]), labels)),
      0,
    )
  }
  if (last.length)
    Object.assign(
      fetches,
      predict(
        g,
        sides,
        outputs.map((o) => ({ ...o, x: g.slice(o.x, [0, 0], [batch, o.x.shape[1] as number]) })),
      ),
    )
  return g.finish(
    [
      'read',
      nameOf(sides, batch),
      `x${length}-t${tokens}`,
      ...(labels ? [`l${labels}`] : []),
      ...(cacheLength ? [`of${cacheLength}`] : []),
    ].join('-'),
    fetches,
  )
}

/** One more token per row. Runs after a `read` of the same batch and cacheLength. */
export function write(sides: Sides, { batch, cacheLength }: WriteSpec): Program {
  checkLength(sides, cacheLength)
  const g = new Builder()
  const count = sides.plans.length * batch
  const [ids, at] = [g.feed('ids', [count], 'i32'), g.feed('at', [count], 'i32')]
  const part = (x: Tensor, side: number) => g.slice(x, [side * batch, ...x.shape.slice(1).map(() => 0)], [batch, ...x.shape.slice(1)])
  const { outputs } = throughSides(sides, {
    trunk: (plan, copies) => stepNetwork(g, plan, ids, at, cacheFor('all', batch * copies, cacheLength)),
    branch: (plan, side) => stepNetwork(g, plan, part(ids, side), part(at, side), cacheFor(`side${side}`, batch, cacheLength)),
    part,
  })
  return g.finish(`write-${nameOf(sides, batch)}-of${cacheLength}`, predict(g, sides, outputs))
}

const cacheFor = (name: string, rows: number, slots: number): CacheSpec => ({ name, rows, slots })
const nameOf = ({ plans }: Sides, batch: number): string => (plans.length > 1 ? `${plans.length}x${batch}` : `${batch}`)

function checkLength({ plans: [plan] }: Sides, length: number): void {
  const { contextLength } = (plan as WeightPlan).model.config
  if (length > contextLength)
    throw new EngineError('bad_argument', 'prompt and answer together are longer than the model can read', {
      expected: `at most ${contextLength}`,
      got: String(length),
      fix: 'shorten the prompt or max_new_tokens',
    })
}

type Output = { readonly plan: WeightPlan; readonly network: Network; readonly x: Tensor }

/** Blocks that all sides share once, the others for each. `part` cuts a side's rows out of what the shared blocks gave. */
function throughSides(
  { plans, shared }: Sides,
  make: {
    trunk(plan: WeightPlan, copies: number): Network
    branch(plan: WeightPlan, side: number): Network
    part(x: Tensor, side: number): Tensor
  },
): { outputs: Output[] } {
  const [first] = plans as readonly [WeightPlan]
  const { architecture, config } = first.model
  if (plans.length === 1) return { outputs: [{ plan: first, ...run(make.trunk(first, 1)) }] }

  function run(network: Network, from = 0, x = architecture.embed(network, config), to = config.blocks): { network: Network; x: Tensor } {
    let y = x
    for (let block = from; block < to; block++) y = architecture.block(network, config, block, y)
    return { network, x: y }
  }
  const trunk = shared > 0 ? run(make.trunk(first, plans.length), 0, undefined, shared) : null
  return {
    outputs: plans.map((plan, side) => {
      const network = make.branch(plan, side)
      return { plan, ...run(network, shared, trunk ? make.part(trunk.x, side) : undefined) }
    }),
  }
}

/** The last word of each row of each side. */
function predict(g: Builder, { sameHead }: Sides, outputs: readonly Output[]): { next: Tensor; logits: Tensor } {
  const joined = sameHead && outputs.length > 1
  const logits = joined
    ? headLogits(
        (outputs[0] as Output).plan,
        (outputs[0] as Output).network,
        g.concat(
          outputs.map(({ x }) => x),
          0,
        ),
      )
    : g.concat(
        outputs.map(({ plan, network, x }) => headLogits(plan, network, x)),
        0,
      )
  return { next: g.argMax(logits), logits }
}

/** weight · ln p(target) of rows x [labels, hidden], HEAD_ROWS at a time and one after the other. */
function logProbs(g: Builder, plan: WeightPlan, network: Network, x: Tensor, labels: number): Tensor {
  const [targets, weights] = [g.feed('targets', [labels], 'i32'), g.feed('weights', [labels], 'f32')]
  const parts: Tensor[] = []
  for (let at = 0; at < labels; at += HEAD_ROWS) {
    const count = Math.min(HEAD_ROWS, labels - at)
    const own = g.slice(x, [at, 0], [count, x.shape[1] as number])
    const before = parts.at(-1)
    const entropy = g.crossEntropy(headLogits(plan, network, before ? g.after(own, before) : own), g.slice(targets, [at], [count]))
    parts.push(entropy)
  }
  return g.neg(g.mul(g.concat(parts, 0), weights))
}
