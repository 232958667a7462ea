import { expect, test } from 'vitest'
import { Builder } from '../../../engine/graph/builder'
import { tokenLoss } from '../../../engine/graph/layers/token-loss'
import { BACKENDS } from '../support/backend'
import { randomNumbers } from '../support/tiny'

const [ROWS, CLASSES] = [7, 50]
const next = randomNumbers(5)
const logits = Float32Array.from({ length: ROWS * CLASSES }, () => next() * 20)
const targets = Int32Array.from({ length: ROWS }, (_, i) => (i * 11) % CLASSES)
// Nearly certain, hopeless, and two equal largest ones.
logits[targets[0] as number] = 40
logits[CLASSES + (targets[1] as number)] = -90
logits[2 * CLASSES + (targets[2] as number)] = 30
logits[2 * CLASSES + 49] = 30
const upstream = Float32Array.from({ length: ROWS }, () => next() + 1)

/** In float64. */
function expected(row: number) {
  const own = Array.from(logits.subarray(row * CLASSES, (row + 1) * CLASSES))
  const target = targets[row] as number
  const others = own.filter((_, i) => i !== target)
  const top = Math.max(...others)
  const sum = top + Math.log(others.reduce((total, x) => total + Math.exp(x - top), 0))
  const rest = 1 / (1 + Math.exp((own[target] as number) - sum))
  const loss = Math.log1p(Math.exp(-Math.abs(sum - (own[target] as number)))) + Math.max(0, sum - (own[target] as number))
  const gradient = own.map((x, i) => (i === target ? -rest : rest * Math.exp(x - sum)) * (upstream[row] as number))
  return { loss, gradient }
}

test.each(['tensorflow', 'wasm', 'cpu'] as const)(
  'the loss of a token and its gradient are exact, also of a nearly certain one: %s',
  async (name) => {
    const g = new Builder()
    const x = g.feed('logits', [ROWS, CLASSES], 'f32')
    const loss = tokenLoss(g, x, g.feed('targets', [ROWS], 'i32'))
    const [gradient] = g.gradients(g.sum(g.mul(loss, g.feed('upstream', [ROWS], 'f32')), [0]), [x])
    const program = g.finish('loss', { loss, gradient: gradient as NonNullable<typeof gradient> })
    const executable = await (await BACKENDS[name]()).compile([program])
    const got = await executable.run('loss', { logits, targets, upstream })
    executable.close()
    for (let row = 0; row < ROWS; row++) {
      const want = expected(row)
      expect(Math.abs((got.loss?.[row] as number) - want.loss), `loss ${row}`).toBeLessThan(2e-6 * Math.max(1, want.loss))
      for (const [i, value] of want.gradient.entries())
        expect(Math.abs((got.gradient?.[row * CLASSES + i] as number) - value), `gradient ${row}, ${i}`).toBeLessThan(
          2e-6 * Math.abs(value) + 1e-9,
        )
    }
  },
)
