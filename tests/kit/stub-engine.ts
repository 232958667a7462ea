/** An engine that counts: a step adds to a sum, a checkpoint holds it, resuming gives the same sum as running through. Everything else refuses. */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { EngineAccess, TrainEvent } from '../../nodes/_kit/context'
import type { EngineFactory, EngineHost } from '../../server/executor/context'

type Args = {
  max_steps: number
  ms: number
  learning_rate: number
  crash_at: number
  crashes: number
  block_ms: number
  deaf: boolean
  journal: string
}
export const CHECKPOINT_EVERY = 5

/** What the training of so many steps comes to; a recurrence, so that no step can be left out or done twice. */
export function sumAfter(steps: number, rate: number): number {
  let sum = 1
  for (let step = 1; step <= steps; step++) sum = (sum * 1.5 + step * rate) % 1_000
  return sum
}

async function* train(host: EngineHost, args: Args): AsyncIterable<TrainEvent> {
  const saved = await host.checkpoint.latest()
  const state = saved ? (JSON.parse(await readState(host, saved.manifest)) as { step: number; sum: number }) : { step: 0, sum: 1 }
  let { step, sum } = state
  const save = async () => {
    const digest = await host.artifacts.put(JSON.stringify({ step, sum }))
    await host.checkpoint.save({ step, files: [{ path: 'state.json', digest, size: JSON.stringify({ step, sum }).length }] })
  }
  yield { type: 'start', totalSteps: args.max_steps, fromStep: step, trainedTokensPerEpoch: 1, rows: 1, dropped: 0, backend: 'stub' }
  while (step < args.max_steps) {
    host.signal.throwIfAborted()
    if (host.stop.aborted && !args.deaf) {
      await save()
      yield { type: 'stopped', step }
      return
    }
    step++
    if (args.crash_at === step && crashed(args.journal) < args.crashes) {
      appendFileSync(args.journal, 'crash\n')
      process.kill(process.pid, 'SIGKILL')
      await sleep(10_000)
    }
    if (step === 3 && args.block_ms > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, args.block_ms)
    await sleep(args.ms)
    sum = (sum * 1.5 + step * args.learning_rate) % 1_000
    yield {
      type: 'step',
      step,
      epoch: 0,
      loss: sum,
      grad_norm: 1,
      learning_rate: args.learning_rate,
      tokens_per_second: 1,
      num_tokens: step,
      seconds: 0.01,
    }
    if (step % CHECKPOINT_EVERY === 0 || host.takeCheckpointRequest()) await save()
  }
  const delta = await host.artifacts.put(`delta ${sum}`)
  yield { type: 'done', step, epochs: 1, delta, train_loss: sum, eval_loss: null, bestStep: null, seconds: 1 }
}

const crashed = (journal: string) =>
  existsSync(journal)
    ? readFileSync(journal, 'utf8')
        .split('\n')
        .filter((line) => line === 'crash').length
    : 0

async function readState(host: EngineHost, manifest: string): Promise<string> {
  const { files } = JSON.parse(await host.artifacts.readText(manifest)) as { files: { path: string; digest: string }[] }
  return host.artifacts.readText(files[0]?.digest ?? '')
}

const refuse = (): never => {
  throw new Error('The stub engine only trains.')
}

export const stubEngine: EngineFactory = (host): EngineAccess => ({
  backend: { name: 'cpu', device: 'stub', reason: 'a test' },
  importModel: refuse,
  header: refuse,
  train: (job) => train(host, job.args as unknown as Args),
  evaluate: refuse,
  score: refuse,
  tokens: refuse,
  generate: refuse,
  trial: refuse,
  gradients: refuse,
  divergence: refuse,
  singularValues: refuse,
  interpolate: refuse,
  exportFolder: refuse,
  exportAdapter: refuse,
})
