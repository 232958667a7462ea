/**
 * Inspections (ARCHITECTURE.md): questions that need a tokenizer outside a run. They are queue jobs of their own kind, answered by a second, small trainer
 * that never loads TensorFlow, so that a training in progress delays no answer and no answer costs a training its memory.
 */
import * as z from 'zod'
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
export const TokensRequest = z.object({
  /** As `load-model.model` names it. */
  model: z.string().min(1).max(4_096),
  rows: z.array(Row).min(1).max(20),
  train_on: z.enum(['completion', 'assistant', 'last_turn', 'all']).default('completion'),
})
/** What the trainer is asked, once the model lies on this machine. */
export const TokensQuestion = TokensRequest.omit({ model: true }).extend({ path: z.string() })

export type TokenView = {
  /** Tokens in order; `text` is the piece of the rendered text that the token stands for. */
  rows: {
    tokens: { id: number; text: string; special: boolean; trained: boolean }[]
    trained: number
    endTrained: boolean
    error?: string
  }[]
}

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
    if (kind !== 'tokens') {
      throw new AppError('UNSUPPORTED', { message: `There is no inspection "${kind}".`, expected: 'tokens', got: kind })
    }
    const parsed = TokensRequest.safeParse(request)
    if (!parsed.success) {
      throw new AppError('INVALID_INPUT', {
        message: 'This question cannot be understood.',
        where: 'tokens',
        got: z.prettifyError(parsed.error).slice(0, 1_000),
      })
    }
    const { model, ...rest } = parsed.data
    const { path } = await deps.fetchModel(model, () => {}, signal)
    return ask('tokens', { ...rest, path })
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
