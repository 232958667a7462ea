/**
 * Inspections (ARCHITECTURE.md): questions that need a tokenizer outside a run. They are queue jobs of their own kind, answered by a second, small trainer
 * that never loads TensorFlow, so that a training in progress delays no answer and no answer costs a training its memory.
 */
import * as z from 'zod'
import { Digest } from '../../nodes/_kit/ports'
import { AppError, fromUnknown } from '../errors'
import { type Lease, POLL_EVERY_MS, type Queue, TOUCH_EVERY_MS } from '../executor/queue'
import type { Storage } from '../storage/db'
import { claimInspection, settleInspection } from '../storage/inspections'
import type { Fetched, FetchProgress } from './fetch'
import { lost, TrainerProcess, type TrainerSpec } from './trainer-process'

/** An idle inspector gives its memory back. */
const IDLE_MS = 60_000
/** A question that takes longer is answered with an error; its process is replaced. */
const ANSWER_MS = 60_000

const Message = z.looseObject({ role: z.string().max(64), content: z.string().max(200_000) })
/** A row as datasets hold it (F-32). */
const Row = z.union([
  z.object({ messages: z.array(Message).min(1).max(200) }),
  z.object({
    prompt: z.union([z.string().max(200_000), z.array(Message).min(1)]),
    completion: z.union([z.string().max(200_000), z.array(Message).min(1)]),
  }),
  z.object({ text: z.string().max(200_000) }),
])
/** As `load-model.model` names it. */
const Model = z.string().min(1).max(4_096)
const TrainOn = z.enum(['completion', 'assistant', 'last_turn', 'all']).default('completion')
export const TokensRequest = z.object({ model: Model, rows: z.array(Row).min(1).max(20), train_on: TrainOn })
export const DatasetTokensRequest = z.object({
  model: Model,
  /** The stored dataset and how many rows it has. */
  artifact: Digest,
  rows: z.int().min(0),
  train_on: TrainOn,
  /** Longest row that trains; null: no limit. */
  max_length: z.int().min(2).max(10_000_000).nullable().default(null),
  /** Rows computed together, and the seed of their order: what padding depends on. */
  batch: z.int().min(1).max(1_024).nullable().default(null),
  seed: z.int().min(0).default(0),
})
const REQUESTS = { tokens: TokensRequest, 'dataset-tokens': DatasetTokensRequest } as const
/** What the trainer is asked, once the model lies on this machine. */
export const TokensQuestion = TokensRequest.omit({ model: true }).extend({ path: z.string() })
export const DatasetTokensQuestion = DatasetTokensRequest.omit({ model: true }).extend({ path: z.string() })
export type DatasetTokensQuestion = z.output<typeof DatasetTokensQuestion>

export type InspectorDeps = {
  storage: Storage
  queue: Queue
  workerId: string
  trainer: TrainerSpec
  fetchModel(source: string, onProgress: FetchProgress, signal: AbortSignal): Promise<Fetched>
  log(line: string): void
}

export type Inspector = { wake(): void; stop(): Promise<void> }

export function startInspector(deps: InspectorDeps): Inspector {
  const { queue, storage } = deps
  let stopping = false
  let wake = () => {}
  let trainer: TrainerProcess | null = null
  let idle: NodeJS.Timeout | undefined

  async function ask(kind: string, request: Record<string, unknown>): Promise<unknown> {
    clearTimeout(idle)
    if (!trainer?.alive) trainer = await TrainerProcess.start(deps.trainer)
    const child = trainer
    const id = crypto.randomUUID()
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        child.listen((message) => {
          if (message.type === 'inspected' && message.id === id) resolve(message.result)
          else if (message.type === 'error') reject(AppError.fromStored(message.error))
        })
        void child.exited.then((exit) => reject(lost(exit)))
        timer = setTimeout(() => {
          child.kill()
          reject(
            new AppError('TRAINER_SILENT', { message: 'The answer took too long.', expected: `an answer within ${ANSWER_MS / 1_000} s` }),
          )
        }, ANSWER_MS)
        child.send({ type: 'inspect', id, kind, request })
      })
    } finally {
      clearTimeout(timer)
      child.listen(() => {})
      idle = setTimeout(() => {
        trainer?.kill()
        trainer = null
      }, IDLE_MS)
      idle.unref()
    }
  }

  async function answer(kind: string, request: Record<string, unknown>, signal: AbortSignal): Promise<unknown> {
    if (!Object.hasOwn(REQUESTS, kind)) {
      throw new AppError('UNSUPPORTED', {
        message: `There is no inspection "${kind}".`,
        expected: Object.keys(REQUESTS).join(', '),
        got: kind,
      })
    }
    const parsed = REQUESTS[kind as keyof typeof REQUESTS].safeParse(request)
    if (!parsed.success) {
      throw new AppError('INVALID_INPUT', {
        message: 'This question cannot be understood.',
        where: kind,
        got: z.prettifyError(parsed.error).slice(0, 1_000),
      })
    }
    const { model, ...rest } = parsed.data
    const { path } = await deps.fetchModel(model, () => {}, signal)
    return ask(kind, { ...rest, path })
  }

  async function handle(lease: Lease): Promise<void> {
    const row = await claimInspection(storage.db, lease.job.id, deps.workerId)
    if (!row) {
      await queue.complete(lease, storage.db)
      return
    }
    const aborted = new AbortController()
    const keep = setInterval(
      () =>
        void queue.touch(lease).then(
          (kept) => kept || aborted.abort(),
          () => {},
        ),
      TOUCH_EVERY_MS,
    )
    const result = await answer(row.kind, row.request, aborted.signal).then(
      (value) => ({ result: value }),
      (error) => ({ error: fromUnknown(error).toStored() }),
    )
    clearInterval(keep)
    await storage.db.transaction(async (tx) => {
      await settleInspection(tx, row.id, row.attempt, result)
      await queue.complete(lease, tx)
    })
  }

  async function loop(): Promise<void> {
    while (!stopping) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve
      })
      try {
        const lease = await queue.fetch(['inspect'])
        if (lease) {
          await handle(lease)
          continue
        }
      } catch (error) {
        deps.log(`an inspection was dropped: ${fromUnknown(error).message}`)
      }
      let timer: NodeJS.Timeout | undefined
      if (!stopping) {
        await Promise.race([
          woken,
          new Promise<void>((resolve) => {
            timer = setTimeout(resolve, POLL_EVERY_MS)
          }),
        ])
      }
      clearTimeout(timer)
    }
  }

  const ended = loop()
  return {
    wake: () => wake(),
    async stop() {
      stopping = true
      wake()
      // An answer is cheap to give again; a shutdown does not wait for one.
      clearTimeout(idle)
      trainer?.kill()
      await ended
      trainer?.kill()
    },
  }
}
