/** preference/: losses, rewards and gradients of the preference losses over given logits. Cases are the keys that hold a `loss`. */
import * as path from 'node:path'
import { Builder } from '../../engine/graph/builder'
import { DPO_LOSSES, type DpoLoss, type KtoLoss, type PairLoss } from '../../engine/graph/layers/preference'
import { mismatchKl, type PreferenceSpec, preferenceLoss } from '../../engine/programs/preference'
import { type Context, exists, type Json, readJson, runCase, Tensors } from './cases'

type Side = { ids: Float64Array; attention: Float64Array; labels: Float64Array; logits: Float32Array }

export async function preference(context: Context, topic: string): Promise<void> {
  if (!exists(topic, 'expected.json'))
    return context.report.fail(path.relative(context.root, topic), 'unread', 'the topic has no expected.json')
  const expected = readJson(topic, 'expected.json')
  const tensors = new Tensors(topic, 'expected.safetensors')
  const side = (name: string): Side => ({
    ids: tensors.numbers(`${name}/input_ids`),
    attention: tensors.numbers(`${name}/attention_mask`),
    labels: tensors.numbers(`${name}/labels`),
    logits: Float32Array.from(tensors.numbers(`${name}/logits`)),
  })
  const [count, length, vocab] = tensors.shape('chosen/logits') as [number, number, number]
  const batch = new Batch([side('chosen'), side('rejected')], length, vocab)
  const references = Float32Array.from([...tensors.numbers('ref_chosen_logps'), ...tensors.numbers('ref_rejected_logps')])

  await runCase(context, path.join(topic, 'log-probabilities'), async (at) => {
    const { logProbs } = await batch.run(context, { type: 'cpo', beta: 1 }, {})
    const half = (from: number) => logProbs?.slice(from, from + count) as Float32Array
    near(context, at, 'chosen replies', half(0), expected.policy_chosen_logps, 1e-5)
    near(context, at, 'rejected replies', half(count), expected.policy_rejected_logps, 1e-5)
    context.report.same(at, 'chosen tokens', batch.replyTokens.slice(0, count), expected.chosen_tokens)
    context.report.same(at, 'rejected tokens', batch.replyTokens.slice(count), expected.rejected_tokens)
    if (expected.ref_chosen_logps) near(context, at, 'reference, chosen', references.slice(0, count), expected.ref_chosen_logps, 1e-6)
    if (expected.ref_rejected_logps) near(context, at, 'reference, rejected', references.slice(count), expected.ref_rejected_logps, 1e-6)
  })

  for (const [group, cases] of Object.entries(expected) as [string, Json][]) {
    if (!cases || typeof cases !== 'object' || !JSON.stringify(cases).includes('"loss"')) continue
    // A group is one case, or holds several.
    const named: [string, Json][] = 'loss' in cases ? [[group, cases]] : Object.entries(cases)
    for (const [name, want] of named) {
      await runCase(context, path.join(topic, name === group ? group : `${group}/${name}`), async (at) => {
        const loss = lossOf(group, name, want)
        if (!loss) return context.report.fail(at, 'unread', 'no loss of this name')
        const gradient = (end: string) =>
          [`${group}/${name}/grad_${end}`, `${name}/grad_${end}`].find((key) => tensors.has(key)) ?? `${name}/grad_${end}`
        const tolerance = expected.tolerance_abs
        if (loss.type === 'kto') {
          const single = new Batch([side(group)], length, vocab)
          const rows = single.rows
          const kl = mismatchKl(want.policy_kl_logps, want.ref_kl_logps)
          near(context, at, 'kl', [kl], [want.kl], 1e-12)
          const desirable = Float32Array.from(tensors.numbers(`${group}/desirable`))
          const got = await single.run(context, loss, {
            references: Float32Array.from(tensors.numbers(`${group}/ref_logps`)),
            desirable,
            kl: Float32Array.of(kl),
            rowWeights: desirable.map((liked) => (liked ? (want.desirable_weight ?? 1) : (want.undesirable_weight ?? 1))),
            scale: Float32Array.of(1 / rows),
          })
          relative(context, at, 'loss', got.loss, [want.loss], tolerance.float32_loss_relative)
          const weighted = Array.from(got.losses ?? [], (value, i) => value * (single.rowWeights?.[i] as number))
          near(context, at, 'of each row', weighted, want.per_example, 1e-5)
          context.report.near(at, 'gradient by the logits', got.gradient ?? [], tensors.numbers(gradient('logits')), tolerance.float32_grad)
          return
        }
        const nllWeight = want.nll_weight ?? (group === 'orpo' ? 1 : 0)
        const got = await batch.run(context, loss, { references, scale: Float32Array.of(1 / count) }, nllWeight, group === 'orpo')
        relative(context, at, 'loss', got.loss, [want.loss], tolerance.float32_loss_relative)
        const each = want.per_example ?? want.per_example_preference_term
        if (each) relative(context, at, 'of each pair', got.losses, each, tolerance.float32_loss_relative)
        if (want.chosen_rewards) near(context, at, 'chosen rewards', got.chosenRewards, want.chosen_rewards, 1e-5)
        if (want.rejected_rewards) near(context, at, 'rejected rewards', got.rejectedRewards, want.rejected_rewards, 1e-5)
        // Rewards are beta times what is compared.
        const logps = want.mean_logps ?? want.sum_logps ?? { chosen: want.chosen_mean_logps, rejected: want.rejected_mean_logps }
        const byBeta = (values: Float32Array | undefined) => Array.from(values ?? [], (value) => value / loss.beta)
        if (logps.chosen) near(context, at, 'chosen log-probabilities', byBeta(got.chosenRewards), logps.chosen, 1e-5)
        if (logps.rejected) near(context, at, 'rejected log-probabilities', byBeta(got.rejectedRewards), logps.rejected, 1e-5)
        if (want.log_odds) {
          // −ln σ(odds) = loss / beta.
          const odds = Array.from(got.losses ?? [], (value) => -Math.log(Math.expm1(value / loss.beta)))
          near(context, at, 'log odds', odds, want.log_odds, 1e-5)
        }
        const nll = want.chosen_nll_over_prompt_and_reply ?? want.chosen_nll_over_reply
        if (nll !== undefined) {
          const own = await batch.run(context, loss, { references, scale: Float32Array.of(0) }, 1, group === 'orpo')
          near(context, at, 'cross-entropy of the chosen side', own.loss, [nll], 1e-5)
        }
        const half = (got.gradient?.length ?? 0) / 2
        for (const [i, end] of ['chosen_logits', 'rejected_logits'].entries())
          context.report.near(
            at,
            `gradient by the ${end.replace('_', ' ')}`,
            got.gradient?.slice(i * half, (i + 1) * half) ?? [],
            tensors.numbers(gradient(end)),
            tolerance.float32_grad,
          )
      })
    }
  }
  tensors.close()
}

/** Which loss a case means: by its own settings, and its group where the name is a variant's. */
function lossOf(group: string, name: string, want: Json): PairLoss | KtoLoss | null {
  const { beta, gamma = 0, label_smoothing: labelSmoothing = 0 } = want
  if (group === 'kto') return { type: 'kto', beta }
  if (group === 'orpo') return { type: 'orpo', beta }
  if (group === 'simpo') return { type: 'simpo', beta, gamma, labelSmoothing }
  if (group === 'cpo') return { type: 'cpo', beta, labelSmoothing }
  const type = DPO_LOSSES.filter((known) => name === known || name === `${known}_label_smoothing`).at(-1) as DpoLoss | undefined
  return type ? { type, beta, labelSmoothing } : null
}

const near = (context: Context, at: string, metric: string, got: ArrayLike<number> | undefined, want: number[], tolerance: number) => {
  const scale = Math.max(1, ...want.map(Math.abs))
  context.report.near(at, metric, got ?? [], want, tolerance * scale)
}
const relative = (context: Context, at: string, metric: string, got: ArrayLike<number> | undefined, want: number[], tolerance: number) =>
  context.report.near(
    at,
    `${metric}, relative`,
    Array.from(got ?? [], (value, i) => value / (want[i] as number)),
    want.map(() => 1),
    tolerance,
  )

/** Rows of one or two sides, chosen first, with every label of reply and prompt. */
class Batch {
  readonly rows: number
  readonly replyTokens: number[]
  rowWeights: Float32Array | null = null
  readonly #length: number
  readonly #vocab: number
  readonly #logits: Float32Array
  readonly #feeds: { rows: Int32Array; targets: Int32Array; owners: Int32Array; weights: Float32Array }
  /** 1 on labels of the first side's reply, and of its prompt. */
  readonly #first: { reply: Float32Array; all: Float32Array }

  constructor(sides: readonly Side[], length: number, vocab: number) {
    this.#length = length
    this.#vocab = vocab
    this.#logits = Float32Array.from(sides.flatMap(({ logits }) => Array.from(logits)))
    const perSide = (sides[0] as Side).ids.length / length
    this.rows = perSide * sides.length
    const list: { row: number; target: number; owner: number; reply: number; first: boolean }[] = []
    for (const [s, { ids, attention, labels }] of sides.entries())
      for (let i = 0; i < ids.length; i++) {
        if (i % length === 0 || !attention[i]) continue
        const owner = s * perSide + Math.floor(i / length)
        const reply = (labels[i] as number) >= 0 ? 1 : 0
        list.push({ row: owner * length + (i % length) - 1, target: ids[i] as number, owner, reply, first: s === 0 })
      }
    this.#feeds = {
      rows: Int32Array.from(list, ({ row }) => row),
      targets: Int32Array.from(list, ({ target }) => target),
      owners: Int32Array.from(list, ({ owner }) => owner),
      weights: Float32Array.from(list, ({ reply }) => reply),
    }
    this.#first = {
      reply: Float32Array.from(list, ({ reply, first }) => (first ? reply : 0)),
      all: Float32Array.from(list, ({ first }) => (first ? 1 : 0)),
    }
    this.replyTokens = Array.from({ length: this.rows }, (_, row) =>
      list.reduce((sum, { owner, reply }) => sum + (owner === row ? reply : 0), 0),
    )
  }

  /** Runs the loss and its gradient by all logits. */
  async run(
    context: Context,
    loss: PairLoss | KtoLoss,
    given: Record<string, Float32Array>,
    nllWeight = 0,
    nllOverPrompt = false,
  ): Promise<Record<string, Float32Array>> {
    const labels = this.#feeds.rows.length
    const g = new Builder()
    const logits = g.feed('logits', [this.rows * this.#length, this.#vocab], 'f32')
    const entropy = g.crossEntropy(g.gather(logits, g.feed('rows', [labels], 'i32')), g.feed('targets', [labels], 'i32'))
    const spec: Omit<PreferenceSpec, 'length'> = { batch: this.rows, labels, loss, nllWeight }
    const result = preferenceLoss(g, spec, g.neg(entropy))
    const [gradient] = g.gradients(result.loss, [logits])
    const program = g.finish('preference', { ...result, ...(gradient && { gradient }) })
    const executable = await context.backend.compile([program])
    const nllWeights = nllOverPrompt ? this.#first.all : this.#first.reply
    const feeds: Record<string, Float32Array | Int32Array> = {
      logits: this.#logits,
      scale: Float32Array.of(1),
      rowWeights: new Float32Array(loss.type === 'kto' ? this.rows : this.rows / 2).fill(1),
      nllWeights,
      nllScale: Float32Array.of(1 / nllWeights.reduce((a, b) => a + b, 0)),
      ...this.#feeds,
      ...given,
    }
    this.rowWeights = feeds.rowWeights as Float32Array
    try {
      return (await executable.run(
        program.name,
        Object.fromEntries(Object.keys(program.feeds).map((name) => [name, feeds[name] as Float32Array])),
      )) as Record<string, Float32Array>
    } finally {
      executable.close()
    }
  }
}
