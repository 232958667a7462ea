/** `thaw run` and `thaw plan`. With --json every line on standard output is one object of ARCHITECTURE.md's list; progress goes to standard error. */
import { randomUUID } from 'node:crypto'
import type { Plan } from '../nodes/_kit/plan'
import { FileHandle } from '../nodes/_kit/ports'
import { env } from '../server/env'
import { AppError, fromUnknown } from '../server/errors'
import { type LocalThaw, openLocal } from '../server/local'
import { parse } from './arguments'
import { openDocument } from './document'
import { type Events, openProgress } from './progress'

const RUN_HELP = `Usage: thaw run FILE [options]

Runs a pipeline file and waits for it. What is known from earlier runs is reused. Exit code 0 when the run succeeded, else 1.

  --set node.param=value   use another value for a param (repeatable)
  --input name=value       value for an input that the pipeline exposes (repeatable)
  --to node                run only what this node needs (repeatable)
  --json                   events as JSON lines; the last line holds every output
  --help                   this text

Relative paths in the file are meant from the file, those given here from the current folder. Ctrl-C stops and keeps the checkpoint; twice ends at once.
`
const PLAN_HELP = `Usage: thaw plan FILE [options]

Says what a run would do, node by node, and why. Nothing is run.

  --set node.param=value   use another value for a param (repeatable)
  --input name=value       value for an input that the pipeline exposes (repeatable)
  --to node                plan only what this node needs (repeatable)
  --json                   one JSON object
  --help                   this text
`
const OPTIONS = { flags: ['--json', '--help'], values: ['--set', '--input', '--to'] } as const

const print = (line: string) => process.stdout.write(`${line}\n`)
export const jsonOf = (plan: Plan) =>
  plan.nodes.map(({ node, type, action, reasons, key, cost }) => ({ node, type, action, reasons, key, cost }))

type Request = Awaited<ReturnType<typeof openDocument>> & { target: string[] | null }

async function requestOf(args: string[], help: string): Promise<{ json: boolean; request: Request } | null> {
  const parsed = parse(args, OPTIONS)
  if (parsed.flags.has('--help')) {
    process.stdout.write(help)
    return null
  }
  const [file, ...more] = parsed.positional
  if (file === undefined || more.length > 0) {
    throw new AppError('INVALID_INPUT', {
      message: file === undefined ? 'Which pipeline?' : 'One pipeline at a time.',
      expected: 'one pipeline file',
      got: parsed.positional.join(' ') || 'nothing',
      fix: 'For example: thaw run templates/first-look/pipeline.json',
    })
  }
  const opened = await openDocument(file, { set: parsed.values.get('--set') ?? [], input: parsed.values.get('--input') ?? [] })
  const target = parsed.values.get('--to') ?? null
  const unknown = target?.find((id) => !Object.hasOwn(opened.document.nodes, id))
  if (unknown !== undefined) {
    throw new AppError('INVALID_INPUT', {
      message: `The pipeline has no node "${unknown}".`,
      where: '--to',
      expected: Object.keys(opened.document.nodes).join(', '),
      got: unknown,
    })
  }
  return { json: parsed.flags.has('--json'), request: { ...opened, target } }
}

export async function planCommand(args: string[]): Promise<number> {
  const asked = await requestOf(args, PLAN_HELP)
  if (!asked) return 0
  const thaw = await openLocal(env(), { worker: false, log: (line) => process.stderr.write(`${line}\n`) })
  try {
    const plan = await thaw.plan(asked.request)
    if (asked.json) print(JSON.stringify({ nodes: jsonOf(plan) }))
    else printPlan(plan)
    return plan.summary.blocked > 0 ? 1 : 0
  } finally {
    await thaw.close()
  }
}

export function printPlan(plan: Plan): void {
  const width = Math.max(4, ...plan.nodes.map((node) => node.node.length))
  for (const node of plan.nodes) {
    print(`${node.action.padEnd(8)}  ${node.node.padEnd(width)}  ${node.reasons.map((reason) => reason.text).join(' ')}`)
  }
  for (const problem of plan.problems)
    if (problem.severity === 'warning') print(`note      ${(problem.node ?? '').padEnd(width)}  ${problem.message}`)
  print(plan.summary.text)
}

export async function runCommand(args: string[]): Promise<number> {
  const asked = await requestOf(args, RUN_HELP)
  if (!asked) return 0
  const { json, request } = asked
  const started = Date.now()
  let thaw: LocalThaw | null = null
  // Whoever reads the lines learns the end from the last one, also when the run never began.
  let told = false
  const tell = (result: Record<string, unknown>) => {
    told = true
    print(JSON.stringify({ type: 'result', ...result }))
  }
  try {
    thaw = await openLocal(env(), { worker: true, log: (line) => process.stderr.write(`${line}\n`) })
    return await run(thaw, request, json, started, tell)
  } catch (error) {
    if (json && !told) {
      tell({ status: 'failed', run: null, seconds: (Date.now() - started) / 1_000, outputs: {}, error: fromUnknown(error).toStored() })
    }
    throw error
  } finally {
    await thaw?.close()
  }
}

async function run(
  thaw: LocalThaw,
  request: Request,
  json: boolean,
  started: number,
  tell: (result: Record<string, unknown>) => void,
): Promise<number> {
  const plan = await thaw.plan(request)
  if (json) print(JSON.stringify({ type: 'plan', nodes: jsonOf(plan) }))
  else printPlan(plan)
  const made = await thaw.submit({ ...request, idempotencyKey: randomUUID() })
  return followRun(thaw, { ...made, name: request.name }, plan, json, started, tell)
}

/** Waits for a run, tells what happens, and ends with its outputs. @returns the exit code */
export async function followRun(
  thaw: LocalThaw,
  { run: id, number, name }: { run: string; number: number; name: string },
  plan: Plan,
  json: boolean,
  started: number,
  tell: (result: Record<string, unknown>) => void,
): Promise<number> {
  const progress: Events = openProgress({ json, print, plan })
  let interrupted = 0
  const onInterrupt = () => {
    interrupted++
    if (interrupted > 2) process.exit(130)
    progress.note(interrupted === 1 ? 'Stopping after this step; the checkpoint is kept. Again to end at once.' : 'Ending at once.')
    void thaw.stop(id, interrupted === 1 ? 'keep' : 'now').catch((error) => progress.note(fromUnknown(error).message))
  }
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onInterrupt)
  try {
    for await (const event of thaw.follow(id)) progress.event(event)
  } finally {
    progress.end()
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onInterrupt)
  }

  const { run: row, nodes } = await thaw.result(id)
  const outputs: Record<string, Record<string, unknown>> = {}
  for (const node of nodes) {
    if (!node.outputs) continue
    const ports: Record<string, unknown> = {}
    for (const [port, value] of Object.entries(node.outputs)) {
      const file = FileHandle.safeParse(value)
      ports[port] = file.success ? { ...file.data, path: await thaw.writeExport(name, file.data) } : value
    }
    outputs[node.nodeId] = ports
  }
  const seconds = (Date.now() - started) / 1_000
  const cause = nodes.find((node) => node.id === row.rootCause)
  if (json) {
    tell({
      status: row.status,
      run: id,
      number,
      seconds,
      outputs,
      ...(cause?.error && { error: { node: cause.nodeId, ...cause.error } }),
    })
  } else {
    for (const [node, ports] of Object.entries(outputs)) {
      for (const [port, value] of Object.entries(ports)) printOutput(node, port, value)
    }
    print(`Run ${number} ${row.status} after ${seconds.toFixed(1)} s.`)
  }
  if (row.status === 'failed' && cause?.error) {
    const error = AppError.fromStored(cause.error)
    throw new AppError(error.code, {
      message: `${cause.nodeId}: ${error.message}`,
      where: error.where,
      expected: error.expected,
      got: error.got,
      fix: error.fix,
      details: error.details,
    })
  }
  return row.status === 'succeeded' ? 0 : 1
}

function printOutput(node: string, port: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if ('path' in value) print(`${node}.${port}  ${String(value.path)}`)
  else if (Object.values(value).every((one) => typeof one === 'number')) {
    print(
      `${node}.${port}  ${Object.entries(value)
        .map(([name, number]) => `${name} ${Number(Number(number).toPrecision(4))}`)
        .join('  ')}`,
    )
  }
}
