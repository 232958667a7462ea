/**
 * What a trainer does (R-23 … R-26): runs node code, one node run at a time, and stays warm between them. It has no database and no network; it speaks
 * with its worker only, and dies with it. The registry and the engine come as arguments, so that tests run stub nodes through all of this.
 */
import type { LogLevel } from '../../nodes/_kit/context'
import type { AnyNode, PortDef, Registry } from '../../nodes/_kit/define-node'
import { type LineageEntry, ModelHandle, PORTS } from '../../nodes/_kit/ports'
import { AppError, assert, fromUnknown } from '../errors'
import { type Controls, createContext, type EngineFactory } from '../executor/context'
import { type FileSources, readFileParam } from '../files'
import type { ArtifactStore } from '../storage/artifact-store'
import { type FromTrainer, type LogLine, parseMessage, type Request, type RunMessage, ToTrainer } from './messages'

const BEAT_EVERY_MS = 1_000
/** Points and lines go in batches; the worker writes at most ten rows a second anyway (R-82). */
const BATCH_EVERY_MS = 50

export type TrainerDeps = {
  registry: Registry
  store: ArtifactStore
  files: FileSources
  cache: string
  /** Loads the engine's side; called before the first node that needs it. */
  loadEngine(): Promise<EngineFactory>
  /** Taken before the engine is loaded (R-20). */
  lockDevice(): Promise<unknown>
  /** Answers to inspections by kind. */
  inspect?(kind: string, request: Record<string, unknown>): Promise<unknown>
}

/** Starts serving the worker at the other end of the IPC channel. */
export function serveTrainer(deps: TrainerDeps): void {
  assert(process.send !== undefined, 'a trainer is started by a worker')
  const send = (message: FromTrainer) => {
    // A closed channel means the worker is gone, and we end (below).
    if (process.connected) process.send?.(message)
  }
  // Not `exit`: that would wait for the watchdog's thread, which is blocked in a read.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
  // Ctrl-C reaches the whole process group; when we end is the worker's decision.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
  setInterval(() => send({ type: 'beat' }), BEAT_EVERY_MS).unref()

  let current: { controls: Controls; answers: Map<number, Answer> } | null = null
  let engine: Promise<EngineFactory> | null = null
  const engineOnce = () => {
    engine ??= deps.lockDevice().then(() => deps.loadEngine())
    return engine
  }

  process.on('message', (raw: unknown) => {
    let message: ToTrainer
    try {
      message = parseMessage(ToTrainer, raw, 'worker')
    } catch (error) {
      send({ type: 'error', error: fromUnknown(error).toStored() })
      return
    }
    switch (message.type) {
      case 'run': {
        assert(current === null, 'a trainer runs one node at a time')
        const controls: Controls = { abort: new AbortController(), stop: new AbortController(), checkpointWanted: false }
        const answers = new Map<number, Answer>()
        current = { controls, answers }
        void runNode(deps, message, controls, answers, send, engineOnce)
          .then(send, (error) => send({ type: 'error', error: fromUnknown(error).toStored() }))
          .finally(() => {
            current = null
          })
        return
      }
      case 'inspect':
        void (async () => {
          if (!deps.inspect) throw new AppError('UNSUPPORTED', { message: `This trainer cannot answer "${message.kind}".` })
          return deps.inspect(message.kind, message.request)
        })().then(
          (result) => send({ type: 'inspected', id: message.id, result }),
          (error) => send({ type: 'error', error: fromUnknown(error).toStored() }),
        )
        return
      case 'stop':
        current?.controls.stop.abort()
        return
      case 'checkpoint':
        if (current) current.controls.checkpointWanted = true
        return
      case 'abort':
        current?.controls.abort.abort(new AppError('ABORTED', { message: 'The attempt was ended.' }))
        return
      case 'answer': {
        const waiting = current?.answers.get(message.ask)
        current?.answers.delete(message.ask)
        if (message.ok) waiting?.resolve(message.value)
        else
          waiting?.reject(
            AppError.fromStored(message.error ?? { code: 'INTERNAL', message: 'The worker gave no reason.', failure: 'internal' }),
          )
      }
    }
  })
  send({ type: 'ready', pid: process.pid })
}

type Answer = { resolve(value: unknown): void; reject(error: AppError): void }

async function runNode(
  deps: TrainerDeps,
  message: RunMessage,
  controls: Controls,
  answers: Map<number, Answer>,
  send: (message: FromTrainer) => void,
  engineOnce: () => Promise<EngineFactory>,
): Promise<FromTrainer> {
  const def = Object.hasOwn(deps.registry, message.nodeType) ? deps.registry[message.nodeType] : undefined
  if (!def) {
    throw new AppError('UNKNOWN_NODE_TYPE', {
      message: `This trainer does not know the node type "${message.nodeType}".`,
      where: message.node,
      got: message.nodeType,
    })
  }
  const inputs = parseInputs(def, message.inputs)
  const params = def.params.safeParse(message.params)
  if (!params.success) {
    throw new AppError('INVALID_PARAM', {
      message: `The params of ${def.title} are not valid.`,
      where: message.node,
      got: params.error.issues[0]?.message,
    })
  }

  let asked = 0
  const question = (build: (ask: number) => FromTrainer) =>
    new Promise<unknown>((resolve, reject) => {
      const ask = ++asked
      answers.set(ask, { resolve, reject })
      send(build(ask))
    })
  const request = (what: Request) => question((ask) => ({ type: 'ask', ask, request: what }))
  const batch = openBatch(send)
  try {
    const { ctx, stored, lastStep } = await createContext({
      facts: { ...message, lineage: lineageOf(inputs) },
      store: deps.store,
      controls,
      cache: deps.cache,
      readSource: (value) => readFileParam(deps.files, value),
      engine: async (host) => {
        const access = await (await engineOnce())(host)
        const { name, device, reason } = access.backend
        send({ type: 'backend', name, device, reason })
        return access
      },
      light: def.resource === 'light',
      outlet: {
        progress: batch.progress,
        metrics: batch.metrics,
        log: batch.log,
        checkpoint: async ({ step, manifest, metric, artifacts }) => {
          batch.flush()
          await question((ask) => ({ type: 'checkpoint', ask, step, manifest, ...(metric !== undefined && { metric }), artifacts }))
        },
        fetchModel: async (source) =>
          (await request({ kind: 'fetch-model', source })) as { path: string; name: string; license: string | null },
        curves: async (node) => (await request({ kind: 'curves', node })) as Record<string, number>[],
        secret: async (name) => (await request({ kind: 'secret', name })) as string,
      },
    })
    let outputs: Record<string, unknown>
    try {
      outputs = (await def.run({ params: params.data, inputs, ctx })) as Record<string, unknown>
    } catch (error) {
      // Whatever a node throws after it was asked to stop, stopping is what happened; what it had saved is kept.
      if (controls.stop.signal.aborted) return { type: 'stopped', step: lastStep() }
      throw nodeError(error, def, message.node)
    }
    return { type: 'output', outputs: parseOutputs(def, outputs, message.node), artifacts: stored() }
  } finally {
    batch.close()
  }
}

function parseInputs(def: AnyNode, values: Record<string, unknown>): Record<string, unknown> {
  const inputs: Record<string, unknown> = {}
  for (const [port, input] of Object.entries(def.inputs as Record<string, PortDef>)) {
    if (values[port] === undefined && input.optional) continue
    const parsed = PORTS[input.kind].safeParse(values[port])
    if (!parsed.success) {
      throw new AppError('INTERNAL', {
        message: `${def.title} was given something else than ${input.kind} at ${input.title}.`,
        where: port,
        expected: input.kind,
        got: parsed.error.issues[0]?.message,
      })
    }
    // Inputs are for reading only (R-64); a node that writes to one fails at once instead of changing what others see.
    inputs[port] = deepFreeze(parsed.data)
  }
  return inputs
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const inner of Object.values(value)) deepFreeze(inner)
  }
  return value
}

/** A fault is reported at the node that made it, by port. */
function parseOutputs(def: AnyNode, values: unknown, node: string): Record<string, unknown> {
  const given = (typeof values === 'object' && values !== null ? values : {}) as Record<string, unknown>
  const outputs: Record<string, unknown> = {}
  for (const [port, output] of Object.entries(def.outputs as Record<string, PortDef>)) {
    const parsed = PORTS[output.kind].safeParse(given[port])
    if (!parsed.success) {
      const issue = parsed.error.issues[0]
      throw new AppError('BAD_OUTPUT', {
        message: `${def.title} gave something else than ${output.kind} at ${output.title}.`,
        where: `${node}.${port}${issue && issue.path.length > 0 ? `.${issue.path.join('.')}` : ''}`,
        expected: output.kind,
        got: given[port] === undefined ? 'nothing' : issue?.message,
        fix: 'This is a fault of Thaw, not of your pipeline.',
      })
    }
    outputs[port] = parsed.data
  }
  const unknown = Object.keys(given).find((port) => !Object.hasOwn(def.outputs, port))
  if (unknown !== undefined) {
    throw new AppError('BAD_OUTPUT', {
      message: `${def.title} gave an output it does not declare.`,
      where: `${node}.${unknown}`,
      expected: Object.keys(def.outputs).join(', '),
      got: unknown,
    })
  }
  return outputs
}

function lineageOf(inputs: Record<string, unknown>): LineageEntry[] {
  for (const value of Object.values(inputs)) {
    const model = ModelHandle.safeParse(value)
    if (model.success) return model.data.lineage
  }
  return []
}

/** Nodes throw for what people can mend (`NodeError`) and break for what they cannot; only the first is the user's. */
function nodeError(error: unknown, def: AnyNode, node: string): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Error && error.name === 'NodeError') {
    const { code, param, where, expected, got, fix } = error as Error &
      Partial<Record<'code' | 'param' | 'where' | 'expected' | 'got' | 'fix', string>>
    return new AppError('BAD_DATA', {
      message: error.message,
      where: where ?? (param ? `${node}.${param}` : node),
      expected,
      got,
      fix,
      details: code,
      cause: error,
    })
  }
  const known = fromUnknown(error, { where: `${def.title} (${node})` })
  return known.code === 'INTERNAL' && known.details === undefined && error instanceof Error && error.stack
    ? new AppError('INTERNAL', { message: known.message, where: known.where, details: error.stack, cause: error })
    : known
}

/** Gathers what a node says and sends it a few times a second: a step every few milliseconds must not drown the channel. */
function openBatch(send: (message: FromTrainer) => void) {
  let points: Record<string, number>[] = []
  let lines: LogLine[] = []
  let progress: { done: number; total: number; unit: string } | null = null
  const flush = () => {
    if (lines.length > 0) send({ type: 'log', lines })
    if (points.length > 0) send({ type: 'metric', points })
    if (progress) send({ type: 'progress', ...progress })
    lines = []
    points = []
    progress = null
  }
  const timer = setInterval(flush, BATCH_EVERY_MS)
  return {
    progress(done: number, total: number, unit: string) {
      if (Number.isFinite(done) && Number.isFinite(total)) progress = { done, total, unit }
    },
    metrics(point: Record<string, number>) {
      points.push(point)
      if (points.length >= 500) flush()
    },
    log(text: string, level: LogLevel) {
      lines.push({ at: Date.now(), level, text })
    },
    flush,
    close() {
      clearInterval(timer)
      flush()
    },
  }
}
