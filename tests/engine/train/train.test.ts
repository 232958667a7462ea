import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { EncodedSet } from '../../../engine/data/encode'
import { evaluate } from '../../../engine/evaluate/evaluate'
import { generate } from '../../../engine/generate/generate'
import { createAdapter } from '../../../engine/lora/adapter'
import { loadAdapter, saveAdapter } from '../../../engine/lora/files'
import type { LoadedModel } from '../../../engine/model'
import { InferenceSession } from '../../../engine/session'
import { checkpointFolder } from '../../../engine/train/checkpoint'
import { type TrainingArguments, type TrainingEvent, type TrainJob, train } from '../../../engine/train/train'
import { tensorFlow } from '../support/backend'
import { ARGUMENTS, encoded, loadTiny, textRows } from '../support/tiny-gguf'

let scratch: string
let model: LoadedModel
let data: EncodedSet
let validation: EncodedSet
beforeEach(async () => {
  scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-train-'))
  model = loadTiny()
  data = await encoded(model, textRows(18))
  validation = await encoded(model, textRows(5))
})
afterEach(() => {
  model.close()
  fs.rmSync(scratch, { recursive: true, force: true })
})

const all = () => model.model.parameters.map(({ name }) => name)
const upper = () => all().filter((name) => /layers\.1\.|model\.norm/.test(name))

type Outcome = { events: TrainingEvent[]; losses: number[]; weights: Map<string, Float32Array>; checkpoints: string[] }

/** Runs a training to its end or to a stop, keeping its checkpoints in folders. */
async function run(args: Partial<TrainingArguments>, job: Partial<TrainJob> = {}): Promise<Outcome> {
  const out: Outcome = { events: [], losses: [], weights: new Map(), checkpoints: [] }
  const backend = await tensorFlow()
  for await (const event of train({
    backend,
    weights: model,
    data,
    validation,
    trainable: all(),
    args: { ...ARGUMENTS, ...args },
    scratch,
    padId: model.padId,
    onCheckpoint: async (folder, _files, { step }) => {
      const kept = path.join(scratch, `kept-${step}`)
      fs.rmSync(kept, { recursive: true, force: true })
      fs.cpSync(folder, kept, { recursive: true })
      out.checkpoints.push(kept)
    },
    ...job,
  })) {
    out.events.push(event)
    if (event.type === 'step') out.losses.push(event.loss)
    if (event.type === 'done' || event.type === 'stopped')
      for (const name of event.weights.names) out.weights.set(name, (await event.weights.read(name)).slice())
  }
  return out
}

const same = (a: Map<string, Float32Array>, b: Map<string, Float32Array>) => {
  expect([...a.keys()]).toEqual([...b.keys()])
  for (const [name, values] of a)
    expect(Buffer.from(values.buffer).equals(Buffer.from((b.get(name) as Float32Array).buffer)), name).toBe(true)
}

/** A request for a checkpoint at one step. */
const askAt = (step: number) => {
  let calls = 0
  return () => ++calls === step
}

describe('E-4, F-9: stop at step k and resume, bit for bit', () => {
  const variants: [string, Partial<TrainingArguments>, () => string[]][] = [
    ['all parameters, fp32, accumulation 2', { gradient_accumulation_steps: 2 }, all],
    ['averaged weights, keeping the best', { ema_decay: 0.9, eval_steps: 2 }, upper],
    ['Adafactor with its own kinds of state', { optim: 'adafactor', gradient_accumulation_steps: 2 }, all],
    [
      'Lion, rates falling by block, noise on the embeddings',
      { optim: 'lion', learning_rate: 2e-4, layerwise_lr_decay: 0.5, neftune_noise_alpha: 5 },
      all,
    ],
    ['upper block, bf16, cached frozen block', { bf16: true, load_best_model_at_end: false }, upper],
  ]
  it.each(variants)('%s', async (_, args, trainable) => {
    const whole = await run(args, { trainable: trainable(), takeCheckpointRequest: askAt(4) })
    expect(whole.losses.length).toBeGreaterThan(4)
    const at4 = path.join(scratch, 'kept-4')
    expect(whole.checkpoints[0]).toBe(at4)
    const rest = await run(args, { trainable: trainable(), resume: await checkpointFolder(at4) })
    expect(rest.events.find((event) => event.type === 'start')).toMatchObject({ fromStep: 4 })
    expect(rest.losses).toEqual(whole.losses.slice(4))
    same(rest.weights, whole.weights)
    const evals = (outcome: Outcome) =>
      outcome.events.filter((event) => event.type === 'eval').map((event) => [event.step, event.eval_loss])
    expect(evals(rest)).toEqual(evals(whole).filter(([step]) => (step as number) > 4))
  })

  it('R-47: a stop ends after the micro-batch with a checkpoint, from which the rest follows', async () => {
    const whole = await run({})
    const stop = new AbortController()
    const halted: TrainingEvent[] = []
    const backend = await tensorFlow()
    for await (const event of train({
      backend,
      weights: model,
      data,
      validation,
      trainable: all(),
      args: ARGUMENTS,
      scratch,
      padId: model.padId,
      stop: stop.signal,
      onCheckpoint: async (folder) => fs.cpSync(folder, path.join(scratch, 'halted'), { recursive: true }),
    })) {
      halted.push(event)
      if (event.type === 'step' && event.step === 5) stop.abort()
    }
    expect(halted.slice(-2)).toMatchObject([
      { type: 'checkpoint', step: 5 },
      { type: 'stopped', step: 5 },
    ])
    const rest = await run({}, { resume: await checkpointFolder(path.join(scratch, 'halted')) })
    expect(rest.losses).toEqual(whole.losses.slice(5))
    same(rest.weights, whole.weights)
  })

  it('R-65: a longer training goes on from the end of a shorter one', async () => {
    const args = { lr_scheduler_type: 'constant' as const, warmup_steps: 0, load_best_model_at_end: false }
    const short = await run({ ...args, num_train_epochs: 1 })
    const last = short.checkpoints.at(-1) as string
    const long = await run({ ...args, num_train_epochs: 2 }, { resume: await checkpointFolder(last) })
    const whole = await run({ ...args, num_train_epochs: 2 })
    expect([...short.losses, ...long.losses]).toEqual(whole.losses)
    same(long.weights, whole.weights)
  })

  it('R-65: with frozen blocks too, one epoch made two equals two at once, and only rows that are shown are computed before', async () => {
    const args = { lr_scheduler_type: 'constant', warmup_steps: 0, bf16: true, max_steps: -1 } as const
    const two = await run({ ...args, num_train_epochs: 2 }, { trainable: upper() })
    const one = await run({ ...args, num_train_epochs: 1 }, { trainable: upper() })
    expect(one.losses).toEqual(two.losses.slice(0, one.losses.length))
    const more = await run(
      { ...args, num_train_epochs: 2 },
      { trainable: upper(), resume: await checkpointFolder(one.checkpoints.at(-1) as string) },
    )
    expect(more.losses).toEqual(two.losses.slice(one.losses.length))
    same(more.weights, two.weights)

    const few = await run({ ...args, max_steps: 1 }, { trainable: upper() })
    expect(few.losses).toEqual(two.losses.slice(0, 1))
    const computed = few.events
      .filter((event) => event.type === 'preparing' && event.what.includes('frozen'))
      .map((e) => ('total' in e ? e.total : 0))
    expect(Math.min(...computed.filter((total) => total !== validation.rows.length))).toBeLessThan(data.rows.length)
  })

  it('F-9: other arguments, data or parameters are refused with the difference', async () => {
    await run({ num_train_epochs: 1 }, { takeCheckpointRequest: askAt(2) })
    const files = await checkpointFolder(path.join(scratch, 'kept-2'))
    await expect(run({ num_train_epochs: 1, learning_rate: 1e-3 }, { resume: files })).rejects.toThrow(
      /another training.*learning_rate: was 0.002, is 0.001/,
    )
    await expect(run({ num_train_epochs: 1 }, { resume: files, data: await encoded(model, textRows(17)) })).rejects.toThrow(/data: was/)
    await expect(run({ num_train_epochs: 1 }, { resume: files, identity: { base: 'other' } })).rejects.toThrow(/base: was null, is "other"/)
    await expect(run({ num_train_epochs: 1 }, { resume: files, trainable: upper() })).rejects.toThrow(/other parameters/)
  })

  it('F-8, R-70: a checkpoint that is cut or changed is refused', async () => {
    await run({ num_train_epochs: 1 }, { takeCheckpointRequest: askAt(2) })
    const folder = path.join(scratch, 'kept-2')
    expect(fs.readdirSync(folder)).toEqual([
      'complete.json',
      'data_state.json',
      'model.safetensors',
      'optimizer.safetensors',
      'rng_state.json',
      'scheduler.json',
      'trainer_state.json',
      'training_args.json',
    ])
    const weights = path.join(folder, 'model.safetensors')
    const bytes = fs.readFileSync(weights)
    bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1
    fs.writeFileSync(weights, bytes)
    await expect(checkpointFolder(folder)).rejects.toThrow(/model.safetensors of the checkpoint is damaged/)
    fs.rmSync(path.join(folder, 'complete.json'))
    await expect(checkpointFolder(folder)).rejects.toThrow(/not finished/)
  })
})

describe('what is trained', () => {
  it('E-2: only what is open changes; the cache of frozen blocks changes no loss', async () => {
    const cached = await run({}, { trainable: upper() })
    const plain = await run({ cache_frozen_prefix: false }, { trainable: upper() })
    expect(cached.events.some((event) => event.type === 'preparing' && event.what.includes('frozen'))).toBe(true)
    expect(plain.events.some((event) => event.type === 'preparing' && event.what.includes('frozen'))).toBe(false)
    cached.losses.forEach((loss, i) => {
      expect(Math.abs(loss - (plain.losses[i] as number))).toBeLessThan(1e-5)
    })
    expect([...cached.weights.keys()]).toEqual(upper())
    expect(fs.readdirSync(scratch).filter((name) => name.endsWith('.prefix'))).toEqual([])
  })

  it('E-5, F-3: two micro-batches of two equal one batch of four', async () => {
    const rows = await encoded(model, textRows(4))
    const large = await run(
      { num_train_epochs: 3, per_device_train_batch_size: 4, lr_scheduler_type: 'constant', warmup_steps: 0 },
      { data: rows },
    )
    const small = await run(
      {
        num_train_epochs: 3,
        per_device_train_batch_size: 2,
        gradient_accumulation_steps: 2,
        lr_scheduler_type: 'constant',
        warmup_steps: 0,
      },
      { data: rows },
    )
    expect(large.losses.length).toBe(3)
    large.losses.forEach((loss, i) => {
      expect(Math.abs(loss - (small.losses[i] as number))).toBeLessThan(2e-5)
    })
    for (const [name, values] of large.weights) {
      const other = small.weights.get(name) as Float32Array
      expect(Math.max(...values.map((x, i) => Math.abs(x - (other[i] as number)))), name).toBeLessThan(2e-4)
    }
  })

  it('E-7: bf16 losses stay within 1 % of fp32', async () => {
    const [exact, rounded] = [await run({ num_train_epochs: 10 }), await run({ num_train_epochs: 10, bf16: true })]
    expect(exact.losses.length).toBe(50)
    expect(Math.abs((rounded.losses.at(-1) as number) / (exact.losses.at(-1) as number) - 1)).toBeLessThan(0.01)
  })

  it('R-65: with averaged weights the losses stay, what is looked at and given out is the average, and a longer training goes on', async () => {
    const args = { lr_scheduler_type: 'constant', warmup_steps: 0, eval_steps: 2, load_best_model_at_end: false } as const
    const plain = await run({ ...args, num_train_epochs: 1 })
    const averaged = await run({ ...args, num_train_epochs: 1, ema_decay: 0.95 })
    expect(averaged.losses).toEqual(plain.losses)
    const evals = (outcome: Outcome) => outcome.events.flatMap((event) => (event.type === 'eval' ? [event.eval_loss] : []))
    expect(evals(averaged)).not.toEqual(evals(plain))
    const session = new InferenceSession(await tensorFlow(), {
      model: model.model,
      read: (name) => averaged.weights.get(name) as Float32Array,
    })
    const { loss } = await evaluate(session, validation, validation.rows.length, { batch: 4, padId: model.padId })
    session.close()
    expect(loss).toBeCloseTo(evals(averaged).at(-1) as number, 5)

    const whole = await run({ ...args, num_train_epochs: 2, ema_decay: 0.95 })
    const files = await checkpointFolder(averaged.checkpoints.at(-1) as string)
    const longer = await run({ ...args, num_train_epochs: 2, ema_decay: 0.95 }, { resume: files })
    same(longer.weights, whole.weights)
    await expect(run({ ...args, num_train_epochs: 2 }, { resume: files })).rejects.toThrow(/ema_decay: was 0.95, is null/)
  })

  it('a block below learns at a lower rate, and embeddings at the lowest', async () => {
    const args = { max_steps: 1, optim: 'lion', lr_scheduler_type: 'constant', warmup_steps: 0, weight_decay: 0, eval_steps: 0 } as const
    const { weights } = await run({ ...args, layerwise_lr_decay: 0.5 }, { validation: undefined })
    const moved = (name: string) =>
      Math.max(...(weights.get(name) as Float32Array).map((x, i) => Math.abs(x - (model.read(name)[i] as number))))
    // Lion moves every element by its rate: 2e-3 halved once a block.
    expect(moved('model.norm.weight')).toBeCloseTo(2e-3, 6)
    expect(moved('model.layers.1.mlp.up_proj.weight')).toBeCloseTo(2e-3, 6)
    expect(moved('model.layers.0.mlp.up_proj.weight')).toBeCloseTo(1e-3, 6)
    expect(moved('model.embed_tokens.weight')).toBeCloseTo(5e-4, 6)
  })

  it('early stopping ends when evaluations get no better, gives out the best, and ends there after a resume too', async () => {
    const args = {
      num_train_epochs: 30,
      eval_steps: 2,
      lr_scheduler_type: 'constant',
      warmup_steps: 0,
      learning_rate: 2e-2,
      early_stopping_patience: 2,
    } as const
    const outcome = await run(args)
    const evals = outcome.events.filter((event) => event.type === 'eval')
    const done = outcome.events.at(-1)
    const lowest = evals.reduce((a, b) => (b.eval_loss < a.eval_loss ? b : a))
    expect(done).toMatchObject({ type: 'done', endedEarly: true, bestStep: lowest.step, eval_loss: lowest.eval_loss })
    expect(evals.length - evals.indexOf(lowest)).toBe(3)
    const again = await run(args, { resume: await checkpointFolder(outcome.checkpoints.at(-1) as string) })
    expect(again.losses).toEqual([])
    expect(again.events.at(-1)).toMatchObject({ endedEarly: true, bestStep: lowest.step })
    same(again.weights, outcome.weights)
    // A threshold that no step gains ends it at the third look.
    const strict = await run({ ...args, early_stopping_threshold: 100 })
    expect(strict.events.filter((event) => event.type === 'eval').length).toBe(3)
  })

  it('load_best_model_at_end gives the weights of the lowest evaluation', async () => {
    const best = await run({ num_train_epochs: 3, eval_steps: 2 })
    const evals = best.events.filter((event) => event.type === 'eval')
    const lowest = evals.reduce((a, b) => (b.eval_loss < a.eval_loss ? b : a))
    expect(best.events.at(-1)).toMatchObject({ type: 'done', bestStep: lowest.step, eval_loss: lowest.eval_loss })
  })

  it('memorises a sentence and says it', async () => {
    const sentence = 'The keeper wrote the day.'
    const rows = await encoded(model, [{ text: sentence }])
    const outcome = await run(
      {
        num_train_epochs: 60,
        learning_rate: 1e-2,
        lr_scheduler_type: 'constant',
        warmup_steps: 0,
        eval_steps: 0,
        per_device_train_batch_size: 1,
        load_best_model_at_end: false,
      },
      { data: rows, validation: undefined },
    )
    expect(outcome.losses.at(-1)).toBeLessThan(0.1)
    const session = new InferenceSession(await tensorFlow(), {
      model: model.model,
      read: (name) => outcome.weights.get(name) as Float32Array,
    })
    const ids = model.tokenizer.encode(sentence).ids
    const [answer] = await generate(session, [ids.slice(0, 4)], {
      temperature: 0,
      maxNewTokens: 40,
      batch: 1,
      stopIds: [model.tokenizer.documentEnd as number],
    })
    session.close()
    expect(model.tokenizer.decode([...ids.slice(0, 4), ...(answer?.ids ?? [])])).toBe(sentence)
  })
})

describe('E-17, E-18: what goes wrong says so and leaves nothing behind', () => {
  it('a lost loss stops with step, learning rate and gradient norm', async () => {
    await expect(
      run({ learning_rate: 1e6, lr_scheduler_type: 'constant', warmup_steps: 0, max_grad_norm: 0, num_train_epochs: 20 }),
    ).rejects.toMatchObject({
      code: 'not_finite',
      got: expect.stringMatching(/learning rate 1000000, largest gradient norm/),
      where: expect.stringMatching(/step \d+/),
    })
  })

  it('settings out of range are refused by name, before anything is loaded', async () => {
    await expect(run({ learning_rate: -1 })).rejects.toThrow(/learning_rate is out of range/)
    await expect(run({ gradient_accumulation_steps: 0.5 })).rejects.toThrow(/gradient_accumulation_steps/)
    await expect(run({}, { trainable: [] })).rejects.toThrow(/nothing is trainable/)
    await expect(run({}, { trainable: ['model.layers.7.x'] })).rejects.toThrow(/no such parameter/)
  })

  it('F-22: a loaded adapter with dropout is scored as it is, and refused for training by name', async () => {
    const folder = path.join(scratch, 'adapter')
    await saveAdapter(folder, createAdapter(model, { r: 2, target_modules: ['up_proj'] }))
    const file = path.join(folder, 'adapter_config.json')
    fs.writeFileSync(file, JSON.stringify({ ...JSON.parse(fs.readFileSync(file, 'utf8')), lora_dropout: 0.1 }))
    const adapted = loadAdapter(model, folder)
    expect(adapted.config.lora_dropout).toBe(0.1)
    await expect(run({}, { weights: adapted, trainable: adapted.trainable })).rejects.toMatchObject({
      code: 'unsupported',
      where: 'lora_dropout',
      got: '0.1',
    })
  })

  it('leaving the loop frees the session, and live tensors stay constant from step 2 on', async () => {
    const backend = await tensorFlow()
    const before = backend.memory().variableBytes
    const live: number[] = []
    for await (const event of train({ backend, weights: model, data, trainable: all(), args: ARGUMENTS, scratch, padId: model.padId })) {
      if (event.type === 'step') live.push(backend.memory().liveTensors)
      if (event.type === 'step' && event.step === 6) break
    }
    expect(new Set(live.slice(1)).size).toBe(1)
    expect(backend.memory().variableBytes).toBe(before)
  })

  it('an abort ends it with `cancelled`', async () => {
    const abort = new AbortController()
    const events: TrainingEvent[] = []
    await expect(async () => {
      for await (const event of train({
        backend: await tensorFlow(),
        weights: model,
        data,
        trainable: all(),
        args: ARGUMENTS,
        scratch,
        signal: abort.signal,
      })) {
        events.push(event)
        if (event.type === 'step' && event.step === 2) abort.abort()
      }
    }).rejects.toMatchObject({ code: 'cancelled' })
    expect(events.filter((event) => event.type === 'step').length).toBe(2)
  })
})
