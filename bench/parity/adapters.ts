/** Cases of training/ with an adapter: PEFT's files in and out, the trajectory, and merging. */
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import { SafetensorsFile } from '../../engine/formats/safetensors'
import { type Adapted, adaptModel, withValues } from '../../engine/lora/adapter'
import { parseAdapterConfig } from '../../engine/lora/config'
import { loadAdapter, saveAdapter } from '../../engine/lora/files'
import { mergeAdapter } from '../../engine/lora/merge'
import { logits, planWeights, readWeight, writeWeights } from '../../engine/programs/index'
import { type Context, exists, type Json, readJson, Tensors } from './cases'
import { type Opened, openFixtureModel } from './models'
import { compareTrajectory, openTrainer, seenLogits } from './trainer'

/** PEFT's name of a parameter while it trains has the adapter's name in it. */
const fileName = (name: string) =>
  name
    .replace('.default.', '.')
    .replace('.base_layer.', '.')
    .replace(/\.(lora_magnitude_vector)\.(default\.)?weight$/, '.$1')
/** A head that has a change beside it is copied into PEFT's file; ours has none of the base. */
const COPIED = /\.base_layer\.weight$/
const key = (name: string) => `base_model.model.${name}`

export async function adapters(context: Context, at: string, topic: string, folder: string, expected: Json, data: Tensors): Promise<void> {
  const { report } = context
  const { tolerance_abs: tolerance } = expected
  if (!exists(folder, 'adapter_before')) return report.fail(at, 'unread', 'there is no adapter_before')
  const base = openFixtureModel(path.join(topic, expected.base))
  const tensors = new Tensors(folder, 'expected.safetensors')
  const adapted = loadAdapter(base, path.join(folder, 'adapter_before'))
  const trainer = await openTrainer(context, adapted, adapted.trainable, expected.hyperparameters, data)
  try {
    if (expected.trainable) {
      const names = (expected.trainable as string[]).map((name) => fileName(name).replace('.modules_to_save.', '.'))
      report.same(at, 'trainable names', adapted.trainable.map(key).sort(), names.sort())
    }
    await compareTrajectory(context, at, trainer, expected, data, tensors)
    const trained = await withValues(adapted, {
      names: adapted.trainable,
      read: (name) => readWeight(trainer.executable, trainer.plan, name),
    })
    const after = path.join(folder, 'adapter_after', 'adapter_model.safetensors')
    if (fs.existsSync(after)) compareValues(context, at, 'adapter weights', (name) => trained.read(name), after, tolerance.adapter_weight)
    await compareFiles(context, at, base, trained, folder, expected)
    await compareMerged(context, at, trained, tensors, expected, data)
    // E-2: nothing of the base has moved.
    for (const { name } of base.model.parameters) {
      const weight = trainer.plan.of.get(name)
      if (weight && !trainer.plan.trainable.has(name) && trainer.executable.variables.has(weight.name))
        report.near(at, `frozen ${name}`, await readWeight(trainer.executable, trainer.plan, name), base.read(name), 0)
    }
  } finally {
    trainer.close()
    tensors.close()
    base.close()
  }
}

/** All tensors of an adapter file against current values. */
function compareValues(
  context: Context,
  at: string,
  metric: string,
  read: (name: string) => Float32Array,
  file: string,
  tolerance: number,
): void {
  const want = SafetensorsFile.open(file)
  const names = [...want.tensors.keys()].filter((name) => !COPIED.test(name))
  context.report.near(
    at,
    `${metric} (${names.length} tensors)`,
    names.flatMap((name) => Array.from(read(fileName(name).slice(key('').length)))),
    names.flatMap((name) => Array.from(want.readFloat32(name))),
    tolerance,
  )
  want.close()
}

/** What we write has PEFT's keys, shapes and settings, and reads back to the same bits. */
async function compareFiles(
  context: Context,
  at: string,
  base: Opened,
  trained: Adapted<Opened>,
  folder: string,
  expected: Json,
): Promise<void> {
  const { report } = context
  const out = fs.mkdtempSync(path.join(os.tmpdir(), 'thaw-parity-'))
  try {
    await saveAdapter(out, trained)
    const written = new Tensors(out, 'adapter_model.safetensors')
    if (expected.adapter_file_keys)
      report.same(
        at,
        'keys and shapes of the written file',
        Object.fromEntries(written.names.sort().map((name) => [name, [...written.shape(name)]])),
        Object.fromEntries(
          Object.entries(expected.adapter_file_keys)
            .filter(([name]) => !COPIED.test(name))
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        ),
      )
    written.close()
    const [ours, theirs] = [readJson(out, 'adapter_config.json'), readJson(folder, 'adapter_before', 'adapter_config.json')]
    const sorted = (value: Json) => (Array.isArray(value) ? [...value].sort() : (value ?? null))
    // Layers are chosen by name in what we write, whatever the wish was: what counts is which layers are meant.
    const choosing = ['target_modules', 'layers_to_transform', 'layers_pattern', 'exclude_modules']
    const fields = Object.keys(ours).filter((field) => !choosing.includes(field))
    const [chosen, meant] = [ours, theirs].map((config) => [...adaptModel(base.model, parseAdapterConfig(config)).model.adapters.keys()])
    report.same(at, 'layers of the written configuration', chosen, meant)
    const pick = (config: Json) => Object.fromEntries(fields.map((field) => [field, sorted(config[field])]))
    report.same(at, `adapter_config.json (${fields.length} fields)`, pick(ours), pick(theirs))
    const again = loadAdapter(base, out)
    report.near(
      at,
      'written and read',
      trained.trainable.flatMap((name) => Array.from(again.read(name))),
      trained.trainable.flatMap((name) => Array.from(trained.read(name))),
      0,
    )
  } finally {
    fs.rmSync(out, { recursive: true, force: true })
  }
}

/** Merged weights, and the logits of the merged model. */
async function compareMerged(
  context: Context,
  at: string,
  trained: Adapted<Opened>,
  tensors: Tensors,
  expected: Json,
  data: Tensors,
): Promise<void> {
  const { report } = context
  const { tolerance_abs: tolerance } = expected
  const merged = mergeAdapter(trained)
  const names = tensors.names.filter((name) => name.startsWith('merged/')).map((name) => name.slice('merged/'.length))
  report.near(
    at,
    `merged weights (${names.length} tensors)`,
    names.flatMap((name) => Array.from(merged.read(name))),
    names.flatMap((name) => Array.from(tensors.floats(`merged/${name}`))),
    tolerance.merged_weight,
  )
  if (expected.merged_changed) {
    const differs = (name: string) => {
      const [a, b] = [merged.read(name), name in known ? trained.base.read(name) : null]
      return b === null || a.some((x, i) => x !== b[i])
    }
    const known = Object.fromEntries(trained.base.model.parameters.map(({ name }) => [name, true]))
    report.same(
      at,
      'weights that merging changes',
      merged.model.parameters
        .map(({ name }) => name)
        .filter(differs)
        .sort(),
      [...expected.merged_changed].sort(),
    )
  }
  if (!tensors.has('merged_logits')) return
  const [, , batch, length] = data.shape('input_ids') as [number, number, number, number]
  const plan = planWeights(merged.model, { trainable: [], precision: 'fp32' })
  const look = logits(plan, { batch, length })
  const executable = await context.backend.compile([look])
  try {
    await writeWeights(executable, plan, merged.read)
    const ids = Int32Array.from(data.numbers('input_ids').subarray(0, batch * length))
    const got = (await executable.run(look.name, { ids })).logits as Float32Array
    const seen = (values: Float32Array) => seenLogits(values, data, merged.model.config.vocabSize)
    report.near(at, 'merged logits', seen(got), seen(tensors.floats('merged_logits')), tolerance.merged_logits)
  } finally {
    executable.close()
  }
}
