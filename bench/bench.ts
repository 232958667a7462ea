/**
 * `npm run bench [-- --json] [-- --quick | --all] [-- --steps N] [-- --only WORD]`: training speed of ours and of PyTorch in one run (E-11), taking turns
 * step by step because machines are noisy. THAW_PYTHON names a Python that has torch and transformers; without it ours is measured alone.
 * Prints a table (or JSON rows) and writes bench/RESULTS.md. Each of ours runs in a process of its own, so that peak memory is its own.
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import * as fs from 'node:fs'
import * as os from 'node:os'
import * as path from 'node:path'
import * as readline from 'node:readline'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { openBackend } from '../engine/backends/choose'
import { type Job, jobs, modelOf, trainableOf } from './jobs'
import { type Opened, openMatmul, openOurs } from './ours'

const checkout = path.dirname(import.meta.dirname)
const argv = process.argv.slice(2)
const flag = (name: string) => argv.includes(name)
const option = (name: string) => (argv.includes(name) ? argv[argv.indexOf(name) + 1] : undefined)
const STEPS = Number(option('--steps') ?? 8)
/** Not counted: compiling, first touches of memory, caches. */
const WARM_UP = 3
const PRODUCT = 2048
/** Times that each side measures its products, in turn; the best counts. */
const PEAK_ROUNDS = 6

type Answer = Record<string, number | string>
type Side = { ask(message: Record<string, unknown>): Promise<Answer>; end(): void }

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number

/** One of ours: this same bundle, started with `--side`. */
async function serveSide(): Promise<void> {
  const install = await import(pathToFileURL(path.join(checkout, 'scripts', 'engine-install.mjs')).href)
  const { backend, reason } = await openBackend({ addon: install.installedEngine()?.addon ?? null, reason: 'TensorFlow is not installed' })
  let opened: Opened | null = null
  const products = new Map<boolean, () => Promise<number>>()
  process.on('message', (message: { kind: string; job?: Job; bf16?: boolean }) => {
    void (async (): Promise<Answer> => {
      if (message.kind === 'hello') return { backend: reason }
      if (message.kind === 'matmul') {
        const bf16 = message.bf16 === true
        const product = products.get(bf16) ?? (await openMatmul(backend, PRODUCT, bf16))
        products.set(bf16, product)
        return { gflops: await product() }
      }
      if (message.kind === 'open') {
        opened = await openOurs(backend, message.job as Job)
        return { parameters: opened.parameters, flops: opened.flops }
      }
      if (message.kind === 'step') return (opened as Opened).step()
      return { peakBytes: backend.memory().peakBytes }
    })().then(
      (answer) => process.send?.(answer),
      (error) => process.send?.({ error: error instanceof Error ? error.message : String(error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
}

function startOurs(): Side {
  const child: ChildProcess = fork(fileURLToPath(import.meta.url), ['--side'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  return {
    ask: (message) =>
      new Promise((resolve, reject) => {
        const lost = () => reject(new Error('our side of the benchmark died'))
        child.once('exit', lost)
        child.once('message', (answer) => {
          child.off('exit', lost)
          resolve(answer as Answer)
        })
        child.send(message)
      }),
    end: () => child.disconnect(),
  }
}

function startTheirs(python: string): Side {
  const child = spawn(python, [path.join(checkout, 'bench', 'torch_baseline.py')], { stdio: ['pipe', 'pipe', 'ignore'] })
  const waiting: ((answer: Answer) => void)[] = []
  readline.createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)))
  child.on('exit', () => {
    for (const resolve of waiting.splice(0)) resolve({ error: 'the Python process ended' })
  })
  child.on('error', () => {})
  return {
    ask: (message) =>
      new Promise((resolve) => {
        waiting.push(resolve)
        child.stdin.write(`${JSON.stringify(message)}\n`)
      }),
    end: () => child.stdin.end(),
  }
}

type Measured = { tokensPerSecond: number; seconds: number; peakBytes: number; loss: number }
type Row = {
  name: string
  batch: number
  length: number
  precision: 'fp32' | 'bf16'
  ours: Measured & { gflops: number; peakShare: number }
  torch: Measured | null
  /** Ours over PyTorch's: above 1 is faster. */
  ratio: number | null
}

async function measure(job: Job, python: string | null, peaks: { ours: number }): Promise<Row> {
  const ours = startOurs()
  // PyTorch has no such cache: the row with it is compared with PyTorch's ordinary step.
  const theirs = python ? startTheirs(python) : null
  try {
    // Both at once: nothing is timed yet.
    const openTheirs = async () => {
      if (!theirs) return false
      await theirs.ask({ kind: 'hello', threads: os.availableParallelism() })
      const answer = await theirs.ask({
        kind: 'open',
        shape: job.shape,
        batch: job.batch,
        length: job.length,
        labels_per_row: job.labelsPerRow,
        bf16: job.bf16,
        trainable: trainableOf(modelOf(job.shape), job.firstTrained),
      })
      if (answer.error) console.error(`PyTorch: ${answer.error}`)
      return !answer.error
    }
    const [opened, torch] = await Promise.all([ours.ask({ kind: 'open', job }), openTheirs()])
    if (opened.error) throw new Error(String(opened.error))
    const times = { ours: [] as number[], torch: [] as number[] }
    let losses = { ours: 0, torch: 0 }
    for (let i = 0; i < WARM_UP + STEPS; i++) {
      const a = await ours.ask({ kind: 'step' })
      const b = torch && theirs ? await theirs.ask({ kind: 'step' }) : null
      if (a.error || b?.error) throw new Error(String(a.error ?? b?.error))
      losses = { ours: a.loss as number, torch: (b?.loss as number) ?? 0 }
      if (i < WARM_UP) continue
      times.ours.push(a.seconds as number)
      if (b) times.torch.push(b.seconds as number)
    }
    const tokens = job.batch * job.length
    const result = async (side: Side, seconds: number[], loss: number): Promise<Measured> => ({
      seconds: median(seconds),
      tokensPerSecond: tokens / median(seconds),
      peakBytes: (await side.ask({ kind: 'close' })).peakBytes as number,
      loss,
    })
    const mine = await result(ours, times.ours, losses.ours)
    const other = torch && theirs ? await result(theirs, times.torch, losses.torch) : null
    const gflops = (opened.flops as number) / mine.seconds / 1e9
    return {
      name: job.name,
      batch: job.batch,
      length: job.length,
      precision: job.bf16 ? 'bf16' : 'fp32',
      ours: { ...mine, gflops, peakShare: gflops / peaks.ours },
      torch: other,
      ratio: other && mine.tokensPerSecond / other.tokensPerSecond,
    }
  } finally {
    ours.end()
    theirs?.end()
  }
}

const gigabytes = (bytes: number) => (bytes / 1e9).toFixed(1)

function table(rows: readonly Row[]): string {
  const lines = [
    '| job | rows × tokens | ours, tokens/s | PyTorch, tokens/s | ratio | ours, GFLOP/s | share of peak | ours, GB | PyTorch, GB |',
    '|---|---|---|---|---|---|---|---|---|',
  ]
  for (const { name, batch, length, ours, torch, ratio } of rows) {
    lines.push(
      `| ${name} | ${batch} × ${length} | **${ours.tokensPerSecond.toFixed(0)}** | ${torch ? torch.tokensPerSecond.toFixed(0) : '–'} | ${ratio ? `${ratio.toFixed(2)} ×` : '–'} | ${ours.gflops.toFixed(0)} | ${(ours.peakShare * 100).toFixed(0)} % | ${gigabytes(ours.peakBytes)} | ${torch ? gigabytes(torch.peakBytes) : '–'} |`,
    )
  }
  return lines.join('\n')
}

async function main(): Promise<void> {
  const python = process.env.THAW_PYTHON ?? null
  const json = flag('--json')
  const peakSide = startOurs()
  const { backend } = await peakSide.ask({ kind: 'hello' })
  let versions = 'not measured: THAW_PYTHON names no Python with torch and transformers'
  let usable: string | null = null
  const torchSide = python ? startTheirs(python) : null
  if (python && torchSide) {
    const hello = await torchSide.ask({ kind: 'hello', threads: os.availableParallelism() })
    if (hello.error) versions = `${python}: ${hello.error}`
    else {
      usable = python
      versions = `PyTorch ${hello.torch}, transformers ${hello.transformers}, ${hello.threads} threads`
    }
  }
  const peaks = { fp32: 0, bf16: 0 }
  const torchPeaks = usable ? { fp32: 0, bf16: 0 } : null
  for (let round = 0; round < PEAK_ROUNDS; round++)
    for (const precision of ['fp32', 'bf16'] as const) {
      const asked = { kind: 'matmul', bf16: precision === 'bf16' }
      peaks[precision] = Math.max(peaks[precision], (await peakSide.ask(asked)).gflops as number)
      if (torchPeaks && torchSide)
        torchPeaks[precision] = Math.max(
          torchPeaks[precision],
          (await torchSide.ask({ ...asked, n: PRODUCT, repeats: 6 })).gflops as number,
        )
    }
  peakSide.end()
  torchSide?.end()
  const machine = `${os.cpus()[0]?.model ?? 'unknown CPU'}, ${os.availableParallelism()} cores, load ${os.loadavg()[0]?.toFixed(1)} before`
  const head = [
    `Machine: ${machine}. Ours: ${backend}. Theirs: ${versions}.`,
    `Product of ${PRODUCT} × ${PRODUCT} matrices, GFLOP/s: ours fp32 ${peaks.fp32.toFixed(0)}, bf16 ${peaks.bf16.toFixed(0)}${torchPeaks ? `; PyTorch fp32 ${torchPeaks.fp32.toFixed(0)}, bf16 ${torchPeaks.bf16.toFixed(0)}` : ''}.`,
  ]
  if (json) console.log(JSON.stringify({ type: 'machine', machine, backend, versions, peaks, torchPeaks }))
  else console.log(head.join('\n'))

  const only = option('--only')
  const rows: Row[] = []
  for (const job of jobs({ quick: flag('--quick'), all: flag('--all') }).filter(({ name }) => !only || name.includes(only))) {
    if (!json) console.log(`… ${job.name}`)
    const row = await measure(job, usable, { ours: job.bf16 ? peaks.bf16 : peaks.fp32 })
    rows.push(row)
    if (json) console.log(JSON.stringify({ type: 'row', ...row }))
    else console.log(`  ${row.ours.tokensPerSecond.toFixed(0)} tokens/s${row.ratio ? `, ${row.ratio.toFixed(2)} × PyTorch` : ''}`)
  }
  if (!json) console.log(`\n${table(rows)}`)
  if (!only) {
    const text = `# Benchmark\n\nWritten by \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}. Median of ${STEPS} steps after ${WARM_UP}, ours and theirs in turn.\n\n${head.join('\n')} Load of the machine afterwards: ${os.loadavg()[0]?.toFixed(1)} (2 to 3 is this benchmark alone on 2 cores; more means that other work ran beside it).\n\n${table(rows)}\n\nUseful work counts the products of the step as it is written, recomputation and padding not. PyTorch: eager, fused AdamW, clipping, autocast for bf16, denormals flushed.\n`
    fs.writeFileSync(path.join(checkout, 'bench', 'RESULTS.md'), text)
    if (!json) console.log('\nwritten to bench/RESULTS.md')
  }
}

if (flag('--side')) await serveSide()
else await main()
