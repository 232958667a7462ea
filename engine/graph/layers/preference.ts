/**
 * Losses over pairs of replies, and over single replies that were liked or not, from the log-probabilities of whole replies. Formulas as
 * published, conventions as in TRL 1.x; all tensors are float32.
 */
import type { Builder } from '../builder'
import type { Tensor } from '../types'

/** Compare with a reference model: DPO and its relatives. */
export const DPO_LOSSES = ['sigmoid', 'hinge', 'ipo', 'robust', 'apo_zero', 'apo_down', 'sppo_hard', 'nca_pair', 'sigmoid_norm'] as const
export type DpoLoss = (typeof DPO_LOSSES)[number]

export type PairLoss =
  | {
      readonly type: DpoLoss
      readonly beta: number /** Share of labels taken to be wrong: sigmoid and robust. */
      readonly labelSmoothing?: number
    }
  /** Odds of mean log-probabilities; with the cross-entropy of chosen prompt and reply beside it (nllWeight 1). No reference. */
  | { readonly type: 'orpo'; readonly beta: number }
  /** Mean log-probabilities and a margin gamma; no reference. */
  | { readonly type: 'simpo'; readonly beta: number; readonly gamma: number; readonly labelSmoothing?: number }
  /** Summed log-probabilities; no reference. */
  | { readonly type: 'cpo'; readonly beta: number; readonly labelSmoothing?: number }

export const needsReference = ({ type }: PairLoss): boolean => (DPO_LOSSES as readonly string[]).includes(type)

/** Of each pair, f32 [pairs]: Σ ln p over the reply, its tokens, and Σ ln p of the reference model (for losses that need it). */
export interface Pairs {
  readonly chosen: Tensor
  readonly rejected: Tensor
  readonly chosenTokens: Tensor
  readonly rejectedTokens: Tensor
  readonly chosenReference?: Tensor
  readonly rejectedReference?: Tensor
}

/** ln σ(x) = min(x, 0) − ln(1 + e^−|x|); derivative 1 − σ(x). */
export function logSigmoid(g: Builder, x: Tensor): Tensor {
  return g.composite(
    [x],
    () => {
      const low = g.minimum(x, g.fill(0, 'f32'))
      // −|x| = 2·min(x, 0) − x.
      return g.sub(low, g.log(g.add(g.fill(1, 'f32'), g.exp(g.sub(g.add(low, low), x)))))
    },
    (dy) => [g.mul(dy, g.sigmoid(g.neg(x)))],
  )
}

/** max(x, 0); derivative 0 at 0. */
function relu(g: Builder, x: Tensor): Tensor {
  const zero = g.fill(0, 'f32')
  return g.select(g.less(zero, x), x, g.mul(x, zero))
}

/** Loss and rewards of each pair, f32 [pairs]. Without the cross-entropy that ORPO and CPO add. */
export function pairLosses(g: Builder, loss: PairLoss, pairs: Pairs): { losses: Tensor; chosenRewards: Tensor; rejectedRewards: Tensor } {
  const c = (value: number) => g.fill(value, 'f32')
  const times = (x: Tensor, by: number) => g.mul(x, c(by))
  const mean = (sum: Tensor, tokens: Tensor) => g.div(sum, g.maximum(tokens, c(1)))
  const rewards = (chosen: Tensor, rejected: Tensor) =>
    g.withoutGradient(() => ({ chosenRewards: times(chosen, loss.beta), rejectedRewards: times(rejected, loss.beta) }))
  /** −(1 − ε)·ln σ(x) − ε·ln σ(−x) */
  const smoothed = (x: Tensor, epsilon: number) => {
    const right = g.neg(logSigmoid(g, x))
    return epsilon ? g.sub(times(right, 1 - epsilon), times(logSigmoid(g, g.neg(x)), epsilon)) : right
  }
  const means = () => [mean(pairs.chosen, pairs.chosenTokens), mean(pairs.rejected, pairs.rejectedTokens)] as const

  switch (loss.type) {
    case 'orpo': {
      const [chosen, rejected] = means()
      // ln(p / (1 − p)) of both, where p is the mean probability of a token in the geometric sense.
      const rest = (x: Tensor) => g.log(g.sub(c(1), g.exp(x)))
      const odds = g.sub(g.sub(chosen, rejected), g.sub(rest(chosen), rest(rejected)))
      return { losses: times(g.neg(logSigmoid(g, odds)), loss.beta), ...rewards(chosen, rejected) }
    }
    case 'simpo': {
      const [chosen, rejected] = means()
      const margin = g.sub(times(g.sub(chosen, rejected), loss.beta), c(loss.gamma))
      return { losses: smoothed(margin, loss.labelSmoothing ?? 0), ...rewards(chosen, rejected) }
    }
    case 'cpo': {
      const margin = times(g.sub(pairs.chosen, pairs.rejected), loss.beta)
      return { losses: smoothed(margin, loss.labelSmoothing ?? 0), ...rewards(pairs.chosen, pairs.rejected) }
    }
    default: {
      const { beta, labelSmoothing: epsilon = 0 } = loss
      const ratio = (value: Tensor, reference: Tensor | undefined) => (reference ? g.sub(value, reference) : value)
      const chosen = ratio(pairs.chosen, pairs.chosenReference)
      const rejected = ratio(pairs.rejected, pairs.rejectedReference)
      const margin = () => times(g.sub(chosen, rejected), beta)
      const byToken = () => g.sub(mean(chosen, pairs.chosenTokens), mean(rejected, pairs.rejectedTokens))
      const sigma = (x: Tensor) => g.sigmoid(times(x, beta))
      const nll = (x: Tensor) => g.neg(logSigmoid(g, x))
      const make: Readonly<Record<DpoLoss, () => Tensor>> = {
        sigmoid: () => smoothed(margin(), epsilon),
        sigmoid_norm: () => smoothed(times(byToken(), beta), epsilon),
        hinge: () => relu(g, g.sub(c(1), margin())),
        ipo: () => g.square(g.sub(byToken(), c(1 / (2 * beta)))),
        robust: () => {
          const x = margin()
          return times(g.add(times(nll(x), 1 - epsilon), times(logSigmoid(g, g.neg(x)), epsilon)), 1 / (1 - 2 * epsilon))
        },
        apo_zero: () => g.add(g.sub(c(1), sigma(chosen)), sigma(rejected)),
        apo_down: () => g.add(sigma(chosen), g.sub(c(1), g.sigmoid(margin()))),
        sppo_hard: () => g.add(g.square(g.sub(chosen, c(0.5 / beta))), g.square(g.add(rejected, c(0.5 / beta)))),
        nca_pair: () =>
          g.add(nll(times(chosen, beta)), times(g.add(nll(g.neg(times(chosen, beta))), nll(g.neg(times(rejected, beta)))), 0.5)),
      }
      return { losses: make[loss.type](), ...rewards(chosen, rejected) }
    }
  }
}

export type KtoLoss = { readonly type: 'kto'; readonly beta: number }

/**
 * KTO of single replies, f32 [rows]: 1 − σ(β·(ratio − kl)) where desirable is 1, 1 − σ(β·(kl − ratio)) where it is 0. `ratio` = Σ ln p − the
 * reference's; `kl` f32 [] is max(0, mean ratio over mismatched replies), a constant here.
 */
export function ktoLosses(g: Builder, { beta }: KtoLoss, ratio: Tensor, desirable: Tensor, kl: Tensor): Tensor {
  const sign = g.sub(g.mul(desirable, g.fill(2, 'f32')), g.fill(1, 'f32'))
  return g.sub(g.fill(1, 'f32'), g.sigmoid(g.mul(g.mul(g.sub(ratio, kl), sign), g.fill(beta, 'f32'))))
}
