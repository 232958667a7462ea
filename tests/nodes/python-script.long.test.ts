/**
 * The exported script against our own training: the same rows, order, masks, optimizer and schedule give the same losses, step by step.
 * THAW_PYTHON names a Python with torch and transformers; without it the test is skipped.
 */
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { encodeRows, type Row } from '../../engine/data/encode'
import { readModelHeader } from '../../engine/inspect'
import { loadModel } from '../../engine/model'
import { train } from '../../engine/train/train'
import { registry } from '../../nodes'
import type { Registry } from '../../nodes/_kit/define-node'
import { emptyPipeline, type Pipeline } from '../../nodes/_kit/graph'
import { factKey, inferGraph } from '../../nodes/_kit/infer'
import { pythonScript } from '../../nodes/_kit/python-script'
import { tensorFlow } from '../engine/support/backend'
import { ROOT } from '../kit/product'
import { tempFolder } from '../kit/temp'

const MODEL = join(ROOT, 'models/thaw-tiny')
const args = {
  learning_rate: 0.002,
  num_train_epochs: 2,
  max_steps: -1,
  per_device_train_batch_size: 4,
  per_device_eval_batch_size: 8,
  gradient_accumulation_steps: 2,
  max_length: 128,
  lr_scheduler_type: 'cosine' as const,
  warmup_steps: 0.1,
  adam_beta1: 0.9,
  adam_beta2: 0.999,
  adam_epsilon: 1e-8,
  weight_decay: 0.05,
  max_grad_norm: 1,
  logging_steps: 1,
  eval_steps: 4,
  seed: 7,
  load_best_model_at_end: false,
}

test.skipIf(!process.env.THAW_PYTHON)(
  'E-13: the exported script trains with the same losses, validation losses and rates',
  async () => {
    await using scratch = await tempFolder()
    const rows = (await readFile(join(ROOT, 'templates/first-look/log.jsonl'), 'utf8'))
      .trim()
      .split('\n')
      .slice(0, 40)
      .map((line) => JSON.parse(line) as { prompt: string; completion: string })
    const parts = { train: rows.slice(0, 32), validation: rows.slice(32) }
    for (const [name, part] of Object.entries(parts))
      await writeFile(join(scratch.path, `${name}.jsonl`), part.map((row) => `${JSON.stringify(row)}\n`).join(''))

    const document: Pipeline = {
      ...emptyPipeline(),
      nodes: {
        model: { type: 'load-model', version: 1, params: { model: 'builtin:thaw-tiny' } },
        freeze: { type: 'freeze-layers', version: 1, params: { mode: 'last', count: 2 } },
        data: { type: 'load-data', version: 1, params: { file: 'x.jsonl' } },
        train: { type: 'train', version: 1, params: { ...args, train_on: 'completion', bf16: false } },
      },
      edges: [
        { from: { node: 'model', port: 'model' }, to: { node: 'freeze', port: 'model' } },
        { from: { node: 'freeze', port: 'model' }, to: { node: 'train', port: 'model' } },
        { from: { node: 'data', port: 'data' }, to: { node: 'train', port: 'data' } },
      ],
    }
    const header = { ...readModelHeader(MODEL), name: 'Thaw Tiny', license: null, downloaded: true }
    const facts = { [factKey({ kind: 'model', source: 'builtin:thaw-tiny' })]: { kind: 'model' as const, header } }
    const inferred = inferGraph(document, registry as Registry, facts).nodes.train?.inputs.model
    const names = inferred?.kind === 'model' ? (inferred.facts.trainable?.names ?? []) : []
    expect(names.length).toBeGreaterThan(10)
    const script = pythonScript(document, registry as Registry, facts, 'train', 'test')
    expect(script?.notes).toEqual([])
    await writeFile(join(scratch.path, 'train.py'), script?.text ?? '')
    const { stdout } = await promisify(execFile)(
      process.env.THAW_PYTHON ?? '',
      ['train.py', '--model', MODEL, '--train', 'train.jsonl', '--validation', 'validation.jsonl', '--out', 'tuned'],
      // One thread: two of torch wait for each other on a machine that is busy.
      { cwd: scratch.path, maxBuffer: 1 << 24, env: { ...process.env, OMP_NUM_THREADS: '1' } },
    )
    const theirs = stdout
      .trim()
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, number>)

    const model = loadModel(MODEL)
    const encode = (part: Row[]) =>
      encodeRows({ tokenizer: model.tokenizer, template: model.template, trainOn: 'completion' }, part, { maxLength: args.max_length })
    const ours: Record<string, number>[] = []
    for await (const event of train({
      backend: await tensorFlow(),
      weights: model,
      data: await encode(parts.train),
      validation: await encode(parts.validation),
      trainable: names,
      args: { ...args, bf16: false, cache_frozen_prefix: false },
      scratch: scratch.path,
      padId: model.padId,
    })) {
      if (event.type === 'step')
        ours.push({ step: event.step, loss: event.loss, grad_norm: event.grad_norm, learning_rate: event.learning_rate })
      if (event.type === 'eval') ours.push({ step: event.step, eval_loss: event.eval_loss })
    }
    model.close()
    expect(theirs.length).toBe(ours.length)
    let worst = 0
    for (const [i, point] of ours.entries())
      for (const [name, value] of Object.entries(point)) {
        const difference = Math.abs(value - (theirs[i]?.[name] ?? Number.NaN)) / Math.max(1, Math.abs(value))
        expect(difference, `${name} at step ${point.step}: ${value} here, ${theirs[i]?.[name]} there`).toBeLessThan(2e-3)
        if (name === 'loss') worst = Math.max(worst, difference)
      }
    console.log(
      `${ours.length} points; losses differ by at most ${worst.toExponential(1)}; from ${ours[0]?.loss?.toFixed(3)} to ${ours.at(-2)?.loss?.toFixed(3)}`,
    )
  },
  600_000,
)
