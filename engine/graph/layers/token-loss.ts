/** Cross-entropy over a vocabulary, arranged for few passes over the logits, which are by far the widest tensor of a step. */
import type { Builder } from '../builder'
import type { Tensor } from '../types'

/** Below every logit: its share of a softmax is exactly 0. */
const HIDDEN = -1e9

/**
 * −ln p(target) of each row in nats. logits float32 [n, classes], targets i32 [n] → float32 [n].
 *
 * The target is taken out of its row before the softmax. With q the softmax of the others, L their log-sum-exp, t the target's logit and
 * d = L − t: loss = ln(1 + eᵈ), and with r = σ(d) = 1 − p(target) the gradient is r · q, and −r at the target. Nothing cancels where the target is nearly
 * certain. L = max − ln max(q), since the largest logit has the largest share: the softmax is the only exponential of the vocabulary's
 * size. TensorFlow's own kernel takes two, and twice the passes.
 */
export function tokenLoss(g: Builder, logits: Tensor, targets: Tensor): Tensor {
  const [rows, classes] = logits.shape as [number, number]
  const places = g.add(
    targets,
    g.constant(
      Int32Array.from({ length: rows }, (_, i) => i * classes),
      [rows],
      'i32',
    ),
  )
  let share: Tensor
  let rest: Tensor
  return g.composite(
    [logits],
    () => {
      const flat = g.reshape(logits, [rows * classes])
      const own = g.gather(flat, places)
      // After the target was read, so that it can be taken out in place.
      const others = g.reshape(g.scatterAdd(g.after(flat, own), g.broadcast(g.fill(HIDDEN, 'f32'), [rows]), places), logits.shape)
      share = g.softmax(others)
      const whole = g.sub(g.max(others, [1]), g.log(g.max(share, [1])))
      const distance = g.sub(whole, own)
      rest = g.sigmoid(distance)
      const size = g.maximum(distance, g.neg(distance))
      return g.add(g.maximum(distance, g.fill(0, 'f32')), g.log(g.add(g.fill(1, 'f32'), g.exp(g.neg(size)))))
    },
    (dy) => {
      const factor = g.mul(dy, rest)
      const flat = g.reshape(g.mul(share, g.reshape(factor, [rows, 1])), [rows * classes])
      return [g.reshape(g.scatterAdd(flat, g.neg(factor), places), logits.shape)]
    },
  )
}
