import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodePairs, encodeRated, type PairRow, type PreferenceSet } from '../../../engine/data/preferences'
import { createAdapter } from '../../../engine/lora/adapter'
import type { LoadedModel } from '../../../engine/model'
import type { WeightSource } from '../../../engine/session'
import { checkpointFolder } from '../../../engine/train/checkpoint'
import { comparesWithReference, type PreferenceOptions, preferenceObjective, referenceLogProbs } from '../../../engine/train/preference'
import { type TrainingArguments, type TrainingEvent, type TrainJob, train } from '../../../engine/train/train'
import { tensorFlow } from '../support/backend'
import { ARGUMENTS, loadTiny, SENTENCES } from '../support/tiny-gguf'

let scratch: string
let model: LoadedModel
beforeEach(() => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-prefer-'))
  model = loadTiny()
})
afterEach(() => {
  model.close()
  fs.rmSync(scratch, { recursive: true, force: true })
})

const ROWS: PairRow[] = SENTENCES.map((sentence, i) => ({
  prompt: `What was kept, ${i}?`,
  chosen: sentence.slice(0, 20 + 6 * i),
  rejected: `None ${'at all '.repeat(1 + (i % 3))}`,
}))
const encoder = () => ({ tokenizer: model.tokenizer, template: model.template, trainOn: 'completion' as const })
const pairs = (promptLabels = false, rows = ROWS) => encodePairs(encoder(), rows, { maxLength: 128, promptLabels })
const args: TrainingArguments = {
  ...ARGUMENTS,
  learning_rate: 2e-3,
  num_train_epochs: 2,
  per_device_train_batch_size: 2,
  per_device_eval_batch_size: 2,
  lr_scheduler_type: 'constant',
  warmup_steps: 0,
  weight_decay: 0,
  eval_steps: 0,
  load_best_model_at_end: false,
}

type Step = Extract<TrainingEvent, { type: 'step' }>
async function run(
  options: PreferenceOptions,
  set: PreferenceSet,
  { given = {}, weights = model, ...job }: Partial<TrainJob> & { given?: Partial<TrainingArguments>; weights?: WeightSource } = {},
) {
  const backend = await tensorFlow()
  const precision = given.bf16 ? 'bf16' : 'fp32'
  const references = comparesWithReference(options.loss)
    ? await referenceLogProbs(backend, model, set, { batch: 2, precision, padId: model.padId })
    : null
  const events: TrainingEvent[] = []
  const kept: string[] = []
  const values = new Map<string, Float32Array>()
  for await (const event of train({
    backend,
    weights,
    data: set,
    validation: set,
    objective: preferenceObjective({ data: set, validation: set }, options, references && { data: references, validation: references }),
    trainable: weights.model.parameters.filter(({ block }) => block === 1).map(({ name }) => name),
    args: { ...args, ...given },
    scratch,
    padId: model.padId,
    onCheckpoint: async (folder, _, { step }) => {
      fs.cpSync(folder, path.join(scratch, `kept-${step}`), { recursive: true })
      kept.push(path.join(scratch, `kept-${step}`))
    },
    ...job,
  })) {
    events.push(event)
    if (event.type === 'done') for (const name of event.weights.names) values.set(name, (await event.weights.read(name)).slice())
  }
  const steps = events.filter((event): event is Step => event.type === 'step')
  return { events, steps, kept, values, references }
}

describe('SCI-111, SCI-115: DPO against the model as it was', () => {
  it('begins at ln 2, draws margins that rise, and goes on after a stop bit for bit, the last short batch and frozen blocks included', async () => {
    const set = await pairs()
    const options = { loss: { type: 'sigmoid', beta: 0.5 } } as const
    const whole = await run(options, set, {
      given: { num_train_epochs: 4 },
      takeCheckpointRequest: (() => {
        let n = 0
        return () => ++n === 4
      })(),
    })
    expect(whole.steps.length).toBe(12)
    expect(whole.steps[0]?.loss).toBeCloseTo(Math.log(2), 4)
    expect(whole.steps[0]?.metrics['rewards/margins']).toBeCloseTo(0, 3)
    expect(whole.steps.at(-1)?.loss).toBeLessThan(0.4)
    const looks = whole.events.filter((event) => event.type === 'eval')
    expect(looks.at(-1)?.metrics).toMatchObject({ 'eval_rewards/accuracies': 1 })
    expect(looks.at(-1)?.metrics['eval_rewards/margins']).toBeGreaterThan(looks[0]?.metrics['eval_rewards/margins'] as number)
    const rest = await run(options, set, { given: { num_train_epochs: 4 }, resume: await checkpointFolder(whole.kept[0] as string) })
    expect(rest.steps.map(({ loss }) => loss)).toEqual(whole.steps.slice(4).map(({ loss }) => loss))
    for (const [name, value] of whole.values) expect(rest.values.get(name), name).toEqual(value)
    await expect(
      run({ loss: { type: 'sigmoid', beta: 0.4 } }, set, { resume: await checkpointFolder(whole.kept[0] as string) }),
    ).rejects.toThrow(/another training.*loss/)
  })

  it('E-5: accumulated batches of pairs equal one batch; an adapter begins at its base', async () => {
    const set = await pairs(false, ROWS.slice(0, 4))
    const options = { loss: { type: 'sigmoid', beta: 0.5 }, nllWeight: 0.5 } as const
    const large = await run(options, set, { given: { per_device_train_batch_size: 4 } })
    const small = await run(options, set, { given: { gradient_accumulation_steps: 2 } })
    expect(large.steps.length).toBe(2)
    large.steps.forEach(({ loss }, i) => {
      expect(Math.abs(loss - (small.steps[i]?.loss as number))).toBeLessThan(2e-5)
    })
    const adapted = createAdapter(model, { r: 4 }, { seed: 1 })
    const lora = await run({ loss: { type: 'sigmoid', beta: 0.5 } }, set, {
      weights: adapted,
      trainable: adapted.trainable,
      given: { num_train_epochs: 6, learning_rate: 1e-2 },
    })
    expect(lora.steps[0]?.loss).toBeCloseTo(Math.log(2), 4)
    expect(lora.steps.at(-1)?.loss).toBeLessThan(0.5)
  })
})

describe('first losses are those of the formulas over the log-probabilities of the replies', () => {
  /** Σ ln p and tokens of each reply, or of the whole row. */
  const scores = async (set: PreferenceSet, whole = false) => {
    const replies = whole ? set.rows.map(({ mask }) => mask) : set.replies
    const sums = await referenceLogProbs(
      await tensorFlow(),
      model,
      { ...set, replies },
      { batch: 2, precision: 'fp32', padId: model.padId },
    )
    return [...sums].map((sum, i) => ({ sum, tokens: (replies[i] as Uint8Array).subarray(1).reduce((a, b) => a + b, 0) }))
  }
  const all = { per_device_train_batch_size: ROWS.length, num_train_epochs: 1 }
  const nll = (x: number) => Math.log1p(Math.exp(-x))
  const mean = (list: number[]) => list.reduce((a, b) => a + b, 0) / list.length
  const n = ROWS.length

  it('SCI-112: ORPO, with the cross-entropy of chosen prompts and replies', async () => {
    const set = await pairs(true)
    const [of, chosen] = [await scores(set), (await scores(set, true)).slice(0, n)]
    const odds = (x: { sum: number; tokens: number }) => x.sum / x.tokens - Math.log1p(-Math.exp(x.sum / x.tokens))
    const preferred = mean(of.slice(0, n).map((x, i) => 0.1 * nll(odds(x) - odds(of[n + i] as (typeof of)[0]))))
    const entropy = -chosen.reduce((sum, x) => sum + x.sum, 0) / chosen.reduce((sum, x) => sum + x.tokens, 0)
    const { steps } = await run({ loss: { type: 'orpo', beta: 0.1 } }, set, { given: all })
    expect(steps[0]?.loss).toBeCloseTo(preferred + entropy, 4)
  })

  it('SCI-114: SimPO', async () => {
    const set = await pairs()
    const of = await scores(set)
    const margin = (i: number) =>
      2 * ((of[i]?.sum as number) / (of[i]?.tokens as number) - (of[n + i]?.sum as number) / (of[n + i]?.tokens as number))
    const { steps } = await run({ loss: { type: 'simpo', beta: 2, gamma: 1 } }, set, { given: { ...all, num_train_epochs: 6 } })
    expect(steps[0]?.loss).toBeCloseTo(mean(ROWS.map((_, i) => nll(margin(i) - 1))), 4)
    expect(steps.at(-1)?.loss).toBeLessThan(steps[0]?.loss as number)
  })

  it('SCI-113: KTO begins where wanted and unwanted replies weigh one half, and pulls them apart', async () => {
    const rows = ROWS.flatMap(({ prompt, chosen, rejected }) => [
      { prompt, completion: chosen, label: true },
      { prompt, completion: rejected, label: false },
    ])
    const set = await encodeRated(encoder(), rows, { maxLength: 128 })
    expect([set.pairs, set.rows.length, set.wanted?.length]).toEqual([10, 20, 10])
    const options = { loss: { type: 'kto', beta: 0.5 }, desirableWeight: 1, undesirableWeight: 0.5 } as const
    const { steps } = await run(options, set, { given: { per_device_train_batch_size: 4, num_train_epochs: 4 } })
    // Half of four rows wanted or not, by order: between (4·½·½)/4 and (4·½)/4.
    expect(steps[0]?.loss).toBeGreaterThanOrEqual(0.25 - 1e-4)
    expect(steps[0]?.loss).toBeLessThanOrEqual(0.5 + 1e-4)
    const last = steps.slice(-3).map(({ metrics }) => (metrics['rewards/chosen'] ?? 0) - (metrics['rewards/rejected'] ?? 0))
    expect(mean(last)).toBeGreaterThan(0.5)
    await expect(encodeRated(encoder(), rows.slice(0, 1), { maxLength: 128 })).rejects.toThrow(/two rows/)
  })
})

it('F-45: pairs with a reply that is too long are left out whole and listed; prompts are no part of the reply', async () => {
  const long = { prompt: 'Why?', chosen: 'So.', rejected: 'the ship '.repeat(200) }
  const set = await pairs(false, [...ROWS, long])
  expect([set.pairs, set.dropped]).toEqual([ROWS.length, [ROWS.length]])
  const first = set.rows[0]
  const start = first?.mask.indexOf(1) as number
  expect(model.tokenizer.decode([...(first?.ids.subarray(start) ?? [])], { skipSpecialTokens: true }).trim()).toBe(ROWS[0]?.chosen)
  const whole = await pairs(true)
  expect(whole.rows[0]?.labels).toBe((whole.rows[0]?.ids.length as number) - 1)
  expect(whole.replies[0]).toEqual(set.replies[0])
})
