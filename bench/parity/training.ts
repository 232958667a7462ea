/** training/: twelve-step trajectories, resuming from a stored state, packing, and learning-rate schedules. */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { accumulate, evaluate, logits, planWeights, readMoment, readWeight, writeMoments, writeWeights } from '../../engine/programs/index'
import type { WeightSource } from '../../engine/session'
import { learningRateAt, SCHEDULES, scheduleOf } from '../../engine/train/schedules'
import { adapters } from './adapters'
import { type Context, exists, foldersIn, type Json, readJson, runCase, Tensors } from './cases'
import { compareGradients, labelFeeds, openFixtureModel } from './models'
import { largestDifference } from './report'
import { compareTrajectory, openTrainer, type Trainer } from './trainer'

/** Files that stand beside the cases. */
const BESIDE = ['schedules.json', 'trainer_check.json', 'summary.json']

export async function training(context: Context, topic: string): Promise<void> {
  const shared = exists(topic, 'data.safetensors') ? new Tensors(topic, 'data.safetensors') : null
  const bases = new Set<string>()
  for (const name of foldersIn(topic)) {
    const folder = path.join(topic, name)
    // Folders with weights and no expected values are what other cases start from.
    if (exists(folder, 'config.json') && !exists(folder, 'expected.json')) bases.add(name)
  }
  for (const name of foldersIn(topic)) {
    if (bases.has(name)) continue
    const folder = path.join(topic, name)
    await runCase(context, folder, async (at) => {
      if (!exists(folder, 'expected.json')) return context.report.fail(at, 'unread', 'the case has no expected.json')
      const expected = readJson(folder, 'expected.json')
      const data = exists(folder, 'data.safetensors') ? new Tensors(folder, 'data.safetensors') : shared
      if (expected.document_lengths || expected.models) return packing(context, at, topic, folder, expected)
      if (!data) return context.report.fail(at, 'unread', 'there is no data.safetensors')
      if (expected.lora || expected.adapter_file_keys) return adapters(context, at, topic, folder, expected, data)
      if (expected.completed_steps !== undefined) return resume(context, at, topic, folder, expected, data)
      if (expected.hyperparameters && expected.log) return trajectory(context, at, topic, folder, expected, data)
      return context.report.fail(at, 'unread', `unknown kind of case: ${Object.keys(expected).join(', ')}`)
    })
  }
  for (const name of fs.readdirSync(topic).filter((entry) => entry.endsWith('.json') && !BESIDE.includes(entry)))
    context.report.fail(path.relative(context.root, path.join(topic, name)), 'unread', 'no reference of this name')
  if (exists(topic, 'schedules.json'))
    await runCase(context, path.join(topic, 'schedules.json'), (at) => schedules(context, at, readJson(topic, 'schedules.json')))
  if (exists(topic, 'trainer_check.json'))
    await runCase(context, path.join(topic, 'trainer_check.json'), (at) => trainerCheck(context, at, topic))
}

function schedules(context: Context, at: string, file: Json): void {
  for (const c of file.schedules as Json[]) {
    const label = `${c.schedule}, warm-up ${c.warmup_steps}`
    if (!SCHEDULES.includes(c.schedule)) {
      context.report.skip(`${at}`, `the schedule ${c.schedule} is not built`)
      continue
    }
    const spec = scheduleOf(c.schedule, c.base_lr, c.warmup_steps, c.total_steps, c.options ?? {})
    const got = (c.lr_used_at_step as number[]).map((_, i) => learningRateAt(spec, i))
    context.report.near(at, label, [...got, learningRateAt(spec, c.total_steps)], [...c.lr_used_at_step, c.lr_after_last_step], 1e-12)
  }
}

/** What transformers' own Trainer logged of one of the cases, which the file does not name: its learning rates are ours. */
function trainerCheck(context: Context, at: string, topic: string): void {
  const logged = readJson(topic, 'trainer_check.json').trainer_logged_lr as number[]
  const candidates = foldersIn(topic)
    .filter((name) => exists(topic, name, 'expected.json'))
    .map((name) => readJson(topic, name, 'expected.json').hyperparameters)
    .filter((h) => h?.schedule && h.steps === logged.length)
    .map((h) => logged.map((_, i) => learningRateAt(scheduleOf(h.schedule, h.lr, h.warmup_steps, h.total_steps ?? h.steps), i)))
    .sort((a, b) => largestDifference(a, logged) - largestDifference(b, logged))
  const [closest] = candidates
  if (!closest) context.report.fail(at, 'unread', 'no case has as many steps')
  else context.report.near(at, "learning rates of transformers' Trainer", closest, logged, 1e-12)
}

/** The key third of GPT-2's joined bias has a gradient that is zero by algebra; Adam turns its noise into drift (fixtures NOTES 6). */
function comparable({ model }: WeightSource, name: string, values: Float32Array): number[] {
  const list = Array.from(values)
  if (model.modelType !== 'gpt2' || !name.endsWith('attn.c_attn.bias')) return list
  const third = list.length / 3
  return [...list.slice(0, third), ...list.slice(2 * third)]
}

async function compareFinal(context: Context, at: string, trainer: Trainer, tensors: Tensors, tolerance: Json): Promise<void> {
  const names = tensors.names.filter((name) => name.startsWith('final/')).map((name) => name.slice(6))
  const got: number[] = []
  const want: number[] = []
  for (const name of names) {
    got.push(...comparable(trainer.weights, name, await readWeight(trainer.executable, trainer.plan, name)))
    want.push(...comparable(trainer.weights, name, tensors.floats(`final/${name}`)))
  }
  context.report.near(at, `final weights (${names.length} tensors)`, got, want, tolerance.final_weight)
}

async function trajectory(context: Context, at: string, topic: string, folder: string, expected: Json, data: Tensors): Promise<void> {
  const { report } = context
  const opened = openFixtureModel(path.join(topic, expected.base))
  const trainer = await openTrainer(context, opened, expected.trainable as string[], expected.hyperparameters, data)
  const tensors = new Tensors(folder, 'expected.safetensors')
  try {
    const { plan, executable } = trainer
    await compareTrajectory(context, at, trainer, expected, data, tensors)
    await compareFinal(context, at, trainer, tensors, expected.tolerance_abs)
    const frozen = opened.model.parameters.map(({ name }) => name).filter((name) => !plan.trainable.has(name))
    for (const name of frozen) {
      // E-2: bit-identical. Parameters that no program uses are not even loaded, and cannot have changed.
      const weight = plan.of.get(name)
      if (weight && executable.variables.has(weight.name))
        report.near(at, `frozen ${name}`, await readWeight(executable, plan, name), opened.read(name), 0)
    }
  } finally {
    tensors.close()
    trainer.close()
    opened.close()
  }
}

async function resume(context: Context, at: string, topic: string, folder: string, expected: Json, data: Tensors): Promise<void> {
  const { report } = context
  const state = new Tensors(folder, `state_step${expected.completed_steps}.safetensors`)
  // The case names the one whose end it must reach.
  const sibling = foldersIn(topic).find((name) => String(expected.data_and_final_weights ?? '').includes(name))
  const reference = sibling ? readJson(topic, sibling, 'expected.json') : null
  const tolerance = expected.tolerance_abs ?? reference?.tolerance_abs
  if (!tolerance) return report.fail(at, 'unread', 'there is no tolerance, here or in the case it continues')
  const names = state.names.filter((name) => name.startsWith('weight/')).map((name) => name.slice(7))
  const opened = openFixtureModel(path.join(topic, expected.base))
  const trainer = await openTrainer(context, opened, names, expected.hyperparameters, data)
  try {
    const { executable, plan } = trainer
    await writeWeights(executable, plan, (name) => state.floats(`weight/${name}`))
    await writeMoments(executable, plan, 'first', (name) => state.floats(`exp_avg/${name}`))
    await writeMoments(executable, plan, 'second', (name) => state.floats(`exp_avg_sq/${name}`))
    const got = await trainer.run(expected.completed_steps, expected.hyperparameters.steps)
    report.near(at, 'remaining losses', got.loss, expected.remaining.loss, tolerance.loss)
    report.near(
      at,
      'remaining gradient norms, relative',
      got.gradNorm.map((norm, i) => norm / expected.remaining.grad_norm[i]),
      expected.remaining.grad_norm.map(() => 1),
      tolerance.grad_norm_rel,
    )
    report.near(at, 'remaining learning rates', got.rate, expected.remaining.lr, tolerance.lr ?? 1e-12)
    if (sibling) {
      const final = new Tensors(topic, sibling, 'expected.safetensors')
      await compareFinal(context, at, trainer, final, tolerance)
      final.close()
    }
  } finally {
    trainer.close()
    opened.close()
    state.close()
  }
}

async function packing(context: Context, at: string, topic: string, folder: string, expected: Json): Promise<void> {
  const tensors = new Tensors(folder, 'expected.safetensors')
  const [batch, length] = tensors.shape('packed/input_ids') as [number, number]
  const ids = Int32Array.from(tensors.numbers('packed/input_ids'))
  const positions = Int32Array.from(tensors.numbers('packed/position_ids'))
  // 0 stands for padding in our programs; documents count from 0 here, below 0 is padding.
  const segments = Int32Array.from(tensors.numbers('packed/document'), (document) => Math.max(0, document + 1))
  const { count, ...feeds } = labelFeeds(tensors.numbers('packed/labels'), batch, length)
  for (const [base, want] of Object.entries(expected.models as Json) as [string, Json][]) {
    await runCase(context, path.join(folder, base), async () => {
      const where = `${at}/${base}`
      const opened = openFixtureModel(path.join(topic, base))
      const plan = planWeights(opened.model, { trainable: opened.model.parameters.map(({ name }) => name), precision: 'fp32' })
      const shape = { batch, length, labels: count, attention: 'segments' as const }
      const programs = [evaluate(plan, shape), accumulate(plan, shape), logits(plan, { batch, length, attention: 'segments' })] as const
      const executable = await context.backend.compile(programs)
      try {
        await writeWeights(executable, plan, opened.read)
        const { loss } = await executable.run(programs[0].name, { ids, positions, segments, ...feeds }, ['loss'])
        context.report.near(where, 'packed loss', [(loss?.[0] as number) / count], [want.loss_packed], want.tolerance_abs.loss)
        context.report.near(
          where,
          'equals the unpacked loss',
          [(loss?.[0] as number) / count],
          [want.loss_unpacked],
          want.tolerance_abs.loss,
        )
        const got = (await executable.run(programs[2].name, { ids, positions, segments })).logits as Float32Array
        if (tensors.has(`${base}/packed_logits`))
          context.report.near(where, 'packed logits', got, tensors.floats(`${base}/packed_logits`), want.tolerance_abs.logits)
        await executable.run(programs[1].name, { ids, positions, segments, ...feeds, scale: Float32Array.of(1 / count) })
        const gradients = new Map<string, Float32Array>()
        for (const { name } of opened.model.parameters) gradients.set(name, await readMoment(executable, plan, name, 'gradient'))
        compareGradients(context, where, gradients, tensors, `${base}/grad/`, want)
      } finally {
        executable.close()
        opened.close()
      }
    })
  }
  tensors.close()
}
