/**
 * Ten minutes of work as a trainer does it in a day: trainings with checkpoints and evaluations, one after the other in one process, with
 * answers in between. Memory and handles must not grow. THAW_SOAK_MINUTES shortens it.
 */
import * as fs from 'node:fs'
import * as path from 'node:path'
import { afterAll, expect, test } from 'vitest'
import {
  encodeRows,
  generate,
  InferenceSession,
  loadModel,
  promptOf,
  type Row,
  TRAINING_DEFAULTS,
  type TrainedWeights,
  train,
} from '../../../engine/index'
import { ROOT } from '../../kit/product'
import { tempFolder } from '../../kit/temp'
import { tensorFlow } from '../support/backend'

const minutes = Number(process.env.THAW_SOAK_MINUTES ?? 10)
const folder = await tempFolder('thaw soak ')
afterAll(() => folder[Symbol.asyncDispose]())

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] as number

test(
  'E-17: a long-lived trainer does not grow: memory and open files after many trainings are what they were after the first',
  async () => {
    const backend = await tensorFlow()
    const base = loadModel(path.join(ROOT, 'models/thaw-tiny'))
    const rows: Row[] = Array.from({ length: 64 }, (_, i) => ({
      prompt: `Item ${i} costs ${i * 7 + 3} dollars.`.repeat(1 + (i % 3)),
      completion: `{"price":${i * 7 + 3}}`,
    }))
    const data = await encodeRows({ ...base, trainOn: 'completion' }, rows, { maxLength: 128 })
    const trainable = base.model.parameters.map(({ name }) => name).filter((name) => /layers\.[345]\./.test(name))
    const samples: { seconds: number; rss: number; files: number; external: number }[] = []
    const from = performance.now()
    const seconds = () => (performance.now() - from) / 1000
    let steps = 0
    let trainings = 0
    while (seconds() < minutes * 60) {
      const scratch = path.join(folder.path, `run ${trainings++}`)
      for await (const event of train({
        backend,
        weights: base,
        data,
        validation: data,
        trainable,
        // Every other one is computed from the cache of the frozen blocks.
        args: { ...TRAINING_DEFAULTS, max_steps: 60, eval_steps: 20, ema_decay: 0.9, cache_frozen_prefix: trainings % 2 === 0 },
        scratch,
        checkpointSeconds: 1,
        onCheckpoint: async () => {},
      })) {
        if (event.type === 'step') steps = steps + 1
        if (event.type === 'done') await answers(event.weights)
      }
      fs.rmSync(scratch, { recursive: true, force: true })
      globalThis.gc?.()
      const { rss, external } = process.memoryUsage()
      samples.push({ seconds: seconds(), rss, external, files: fs.readdirSync('/proc/self/fd').length })
    }

    async function answers(weights: TrainedWeights): Promise<void> {
      const changed = new Map<string, Float32Array>()
      for (const name of weights.names) changed.set(name, (await weights.read(name)).slice())
      const session = new InferenceSession(backend, { model: base.model, read: (name) => changed.get(name) ?? base.read(name) })
      const prompts = rows.slice(0, 8).map((row) => promptOf(base, row)?.ids as number[])
      await generate(session, prompts, { maxNewTokens: 12, batch: 8, stopIds: base.stopIds, temperature: 0 })
      session.close()
    }

    // The first quarter fills caches and pools; after that each quarter must be like the one before.
    const quarter = (n: number) => samples.filter((s) => Math.min(3, Math.floor((4 * s.seconds) / (minutes * 60))) === n)
    const mb = (n: number, what: 'rss' | 'external') => median(quarter(n).map((s) => s[what])) / 1e6
    const report = [0, 1, 2, 3].map((n) => `${mb(n, 'rss').toFixed(0)} MB (${median(quarter(n).map((s) => s.files))} files)`).join(', ')
    console.log(`${trainings} trainings, ${steps} steps in ${minutes} minutes; by quarter: ${report}`)
    expect(trainings).toBeGreaterThan(8)
    // A leak of one copy of what trains (1.3 M parameters, 5 MB) a training would be hundreds of MB.
    expect(mb(3, 'rss') - mb(1, 'rss')).toBeLessThan(40)
    expect(mb(3, 'external') - mb(1, 'external')).toBeLessThan(20)
    expect(median(quarter(3).map((s) => s.files))).toBe(median(quarter(1).map((s) => s.files)))
    base.close()
  },
  (minutes * 60 + 240) * 1000,
)
