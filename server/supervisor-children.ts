/**
 * Keeps one child process alive. A child is `up`; when it ends it is `restarting` after 200 ms, doubling to 10 s, back to 200 ms after 10 s
 * of life; five ends within a minute make it `degraded`: it is still restarted, and people are told with its last lines.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, existsSync, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'
import type { ChildState } from './supervisor-state'

const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000
const HEALTHY_MS = 10_000
const DEGRADED = { ends: 5, withinMs: 60_000 }
const KEPT_LINES = 40
const LOG_BYTES = 5 * 1024 * 1024

export type ChildOptions = {
  name: string
  args: readonly string[]
  env: NodeJS.ProcessEnv
  cwd: string
  logFile: string
  /** How long a stopping child may take before it is killed. */
  graceMs: number
  onChange(): void
}

export class Child {
  readonly #options: ChildOptions
  readonly #log: WriteStream
  #process: ChildProcess | null = null
  #state: ChildState['state'] = 'restarting'
  #lines: string[] = []
  #delay = FIRST_DELAY_MS
  #ends: number[] = []
  #timer: ReturnType<typeof setTimeout> | undefined
  #stopping = false

  constructor(options: ChildOptions) {
    this.#options = options
    mkdirSync(dirname(options.logFile), { recursive: true, mode: 0o700 })
    if (existsSync(options.logFile) && statSync(options.logFile).size > LOG_BYTES) renameSync(options.logFile, `${options.logFile}.old`)
    this.#log = createWriteStream(options.logFile, { flags: 'a', mode: 0o600 })
    this.#log.on('error', () => {})
  }

  get state(): ChildState {
    return {
      name: this.#options.name,
      pid: this.#process?.pid ?? null,
      state: this.#state,
      lines: this.#state === 'up' ? [] : this.#lines.slice(-10),
    }
  }

  get lines(): readonly string[] {
    return this.#lines
  }

  start(): void {
    if (this.#stopping || this.#process) return
    const startedAt = Date.now()
    const child = spawn(process.execPath, this.#options.args, {
      cwd: this.#options.cwd,
      env: this.#options.env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A process group of its own: Ctrl-C in the terminal is for the supervisor, which then stops its children in order.
      detached: process.platform !== 'win32',
      windowsHide: true,
    })
    this.#process = child
    this.#log.write(`— ${new Date().toISOString()} ${this.#options.name} started as ${child.pid}\n`)
    for (const stream of [child.stdout, child.stderr]) this.#read(stream)
    let ended = false
    const end = (how: string) => {
      if (ended) return
      ended = true
      this.#process = null
      this.#log.write(`— ${new Date().toISOString()} ${this.#options.name} ended (${how})\n`)
      if (this.#stopping) return
      const now = Date.now()
      this.#ends = [...this.#ends.filter((at) => now - at < DEGRADED.withinMs), now]
      this.#state = this.#ends.length >= DEGRADED.ends ? 'degraded' : 'restarting'
      this.#delay = now - startedAt > HEALTHY_MS ? FIRST_DELAY_MS : Math.min(this.#delay * 2, LONGEST_DELAY_MS)
      this.#timer = setTimeout(() => this.start(), now - startedAt > HEALTHY_MS ? FIRST_DELAY_MS : this.#delay / 2)
      this.#options.onChange()
    }
    child.on('error', (error) => {
      this.#lines.push(String(error))
      end(error.message)
    })
    child.on('exit', (code, signal) => end(signal ?? `exit code ${code}`))
    // A degraded child shows its trouble until it has lived for a while.
    if (this.#state !== 'degraded') this.#state = 'up'
    else setTimeout(() => this.#recovered(child), HEALTHY_MS).unref()
    this.#options.onChange()
  }

  /** Ends the child and starts it again at once, for example because the database moved. */
  async restart(env: NodeJS.ProcessEnv): Promise<void> {
    await this.stop()
    this.#stopping = false
    this.#options.env = env
    this.#delay = FIRST_DELAY_MS
    this.start()
  }

  /** SIGTERM, then SIGKILL after the grace time or when `now` resolves. */
  async stop(now: Promise<unknown> = new Promise(() => {})): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    const child = this.#process
    if (!child) return
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    child.kill('SIGTERM')
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, this.#options.graceMs)
    })
    await Promise.race([gone, late, now])
    clearTimeout(timer)
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await gone
  }

  close(): void {
    this.#log.end()
  }

  #recovered(child: ChildProcess): void {
    if (this.#process !== child) return
    this.#state = 'up'
    this.#options.onChange()
  }

  #read(stream: NodeJS.ReadableStream | null): void {
    if (!stream) return
    let rest = ''
    stream.setEncoding('utf8')
    stream.on('data', (chunk: string) => {
      this.#log.write(chunk)
      const lines = (rest + chunk).split('\n')
      rest = (lines.pop() ?? '').slice(-8_192)
      this.#lines.push(...lines.filter((line) => line.trim() !== ''))
      this.#lines = this.#lines.slice(-KEPT_LINES)
    })
  }
}
