/**
 * The worker's end of a trainer (R-19, R-23, SEC-12, SEC-33): starts the child with a fixed program and an environment from a list, hears its messages,
 * and makes sure that it does not outlive us.
 */
import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { AppError, redact } from '../errors'
import { FromTrainer, parseMessage, type ToTrainer } from './messages'

/** All that a trainer may know of our environment; no database URL, key or token is among it. */
const PASSED_ON = [
  'PATH',
  'HOME',
  'TMPDIR',
  'TEMP',
  'TMP',
  'LANG',
  'LC_ALL',
  'TZ',
  'SystemRoot',
  'THAW_HOME',
  'THAW_CACHE',
  'THAW_TENSORFLOW_DIR',
  'CUDA_VISIBLE_DEVICES',
  'OMP_NUM_THREADS',
  'TF_NUM_INTRAOP_THREADS',
  'TF_NUM_INTEROP_THREADS',
  'TF_CPP_MIN_LOG_LEVEL',
  'TF_ENABLE_ONEDNN_OPTS',
] as const

export type TrainerEnv = Record<string, string> & { NODE_ENV: 'production' }
export function trainerEnv(own: Readonly<Record<string, string | undefined>>, extra: Readonly<Record<string, string>>): TrainerEnv {
  const env: Record<string, string> = {}
  for (const name of PASSED_ON) {
    const value = own[name]
    if (value !== undefined) env[name] = value
  }
  return { TF_CPP_MIN_LOG_LEVEL: '2', ...env, ...extra, NODE_ENV: 'production' }
}

/** Descriptor 4 is the pipe whose end of file means to the trainer that we are gone. */
const STDIO: StdioOptions = ['ignore', 'pipe', 'pipe', 'ipc', 'pipe']
const KEPT_LINES = 60
const READY_MS = 60_000

export type TrainerSpec = {
  /** Module that calls `serveTrainer`. */
  script: string
  args?: readonly string[]
  env: TrainerEnv
  /** Working folder: never the checkout or a user's folder. */
  cwd: string
}

export type TrainerExit = { code: number | null; signal: NodeJS.Signals | null; tail: string }

export class TrainerProcess {
  readonly pid: number
  /** When it last said anything. */
  lastHeard = Date.now()
  readonly exited: Promise<TrainerExit>
  #child: ChildProcess
  #ended: TrainerExit | null = null
  #listener: (message: FromTrainer) => void = () => {}

  private constructor(child: ChildProcess, pid: number) {
    this.#child = child
    this.pid = pid
    const lines: string[] = []
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8')
      stream?.on('data', (text: string) => {
        lines.push(...text.split('\n').filter((line) => line.trim() !== ''))
        lines.splice(0, Math.max(0, lines.length - KEPT_LINES))
      })
    }
    child.on('message', (raw) => {
      this.lastHeard = Date.now()
      try {
        this.#listener(parseMessage(FromTrainer, raw, 'trainer'))
      } catch (error) {
        const stored = error instanceof AppError ? error.toStored() : new AppError('INTERNAL', { message: String(error) }).toStored()
        this.#listener({ type: 'error', error: stored as never })
      }
    })
    this.exited = new Promise((resolve) => {
      // `close` comes after the last output, so the tail is whole.
      child.on('close', (code, signal) => {
        this.#ended = { code, signal, tail: redact(lines.join('\n')) }
        resolve(this.#ended)
      })
    })
  }

  /** @throws AppError TRAINER_LOST when it does not come up. */
  static async start(spec: TrainerSpec): Promise<TrainerProcess> {
    const node = [process.execPath, spec.script, ...(spec.args ?? [])]
    const [program = '', ...args] = hasSetpriv() ? ['setpriv', '--pdeathsig', 'KILL', '--no-new-privs', ...node] : node
    const child = spawn(program, args, {
      cwd: spec.cwd,
      env: spec.env,
      stdio: STDIO,
      serialization: 'json',
    })
    const failed = new Promise<never>((_, reject) => {
      // Stays for the child's whole life: an error nobody listens for would end the worker.
      child.on('error', (cause) =>
        reject(new AppError('TRAINER_LOST', { message: 'The trainer could not be started.', where: program, got: cause.message, cause })),
      )
    })
    failed.catch(() => {})
    if (child.pid === undefined) return failed
    // Writing to a dead trainer must not end the worker.
    child.stdio[4]?.on('error', () => {})
    const trainer = new TrainerProcess(child, child.pid)
    const ready = new Promise<void>((resolve) => {
      trainer.#listener = (message) => message.type === 'ready' && resolve()
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), READY_MS)
    })
    try {
      const first = await Promise.race([ready.then(() => 'ready' as const), trainer.exited, late, failed])
      if (first === 'ready') return trainer
      trainer.kill()
      throw lost(
        first === 'late' ? { code: null, signal: null, tail: '' } : first,
        first === 'late' ? 'did not get ready' : 'ended while it was starting',
      )
    } finally {
      clearTimeout(timer)
    }
  }

  get alive(): boolean {
    return this.#ended === null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  listen(listener: (message: FromTrainer) => void): void {
    this.#listener = listener
  }

  send(message: ToTrainer): void {
    // To a trainer that is ending nothing can be said; its exit tells the rest.
    if (this.#child.connected) this.#child.send(message, () => {})
  }

  /** SIGKILL: node code and TensorFlow get no chance to hold on. */
  kill(): void {
    if (this.alive) this.#child.kill('SIGKILL')
  }
}

let setpriv: boolean | undefined
function hasSetpriv(): boolean {
  setpriv ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0
  return setpriv
}

/** What an unasked end of a trainer means to people. */
export function lost(exit: TrainerExit, how = 'ended in the middle of its work'): AppError {
  const killed = exit.signal === 'SIGKILL'
  return new AppError('TRAINER_LOST', {
    message: `The trainer ${how}${killed ? '; the system killed it, most often because memory ran out' : ''}.`,
    expected: 'a trainer that works on',
    got: exit.signal ? `signal ${exit.signal}` : exit.code === null ? 'silence' : `exit code ${exit.code}`,
    fix: killed ? 'Close other programs, or give it less to hold (smaller batch or max_length).' : undefined,
    details: exit.tail || undefined,
  })
}
