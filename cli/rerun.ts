/** `thaw rerun`: an earlier run again with new data, after a look at that data (R-100). */
import { randomUUID } from 'node:crypto'
import { nearest } from '../nodes/_kit/problems'
import { env } from '../server/env'
import { AppError, fromUnknown } from '../server/errors'
import { type LocalThaw, openLocal } from '../server/local'
import type { InputComparison } from '../server/rerun-data'
import { assignment, parse } from './arguments'
import { absolute, defOf, jsonOrText, widgetOf } from './document'
import { followRun, jsonOf, printPlan } from './run'

const HELP = `Usage: thaw rerun NUMBER --input name=value [options]

Runs an earlier run again with other data and waits for it. The new data is compared with the old first: columns, labels, lengths, repeats.

  --input name=value         other value for an exposed input (repeatable)
  --input name.param=value   another param of the node behind that input, such as contracts.prompt_column=body
  --start-from base|last     begin with the base model (default), or with the weights that the earlier run ended with
  --name text, --note text   what the new run is called, and why
  --plan                     compare and plan only
  --json                     events as JSON lines; the last line holds every output
  --help                     this text
`
const print = (line: string) => process.stdout.write(`${line}\n`)

export async function rerunCommand(args: string[]): Promise<number> {
  const parsed = parse(args, { flags: ['--json', '--plan', '--help'], values: ['--input', '--start-from', '--name', '--note'] })
  if (parsed.flags.has('--help')) {
    process.stdout.write(HELP)
    return 0
  }
  const [text, ...more] = parsed.positional
  const number = Number(text)
  if (text === undefined || more.length > 0 || !Number.isInteger(number) || number < 1)
    throw new AppError('INVALID_INPUT', {
      message: 'Which run?',
      expected: 'the number of one run',
      got: parsed.positional.join(' ') || 'nothing',
      fix: 'For example: thaw rerun 14 --input contracts=new.jsonl',
    })
  const startFrom = parsed.values.get('--start-from')?.at(-1) ?? 'base'
  if (startFrom !== 'base' && startFrom !== 'last')
    throw new AppError('INVALID_INPUT', { message: 'Start from what?', where: '--start-from', expected: 'base or last', got: startFrom })
  const json = parsed.flags.has('--json')
  const started = Date.now()
  let told = false
  const tell = (result: Record<string, unknown>) => {
    told = true
    print(JSON.stringify({ type: 'result', ...result }))
  }
  let thaw: LocalThaw | null = null
  try {
    thaw = await openLocal(env(), { worker: !parsed.flags.has('--plan'), log: (line) => process.stderr.write(`${line}\n`) })
    const earlier = await thaw.runOf(number)
    const inputs = await inputsFrom(thaw, earlier.id, parsed.values.get('--input') ?? [])
    const request = {
      run: earlier.id,
      inputs,
      startFrom: startFrom as 'base' | 'last',
      name: parsed.values.get('--name')?.at(-1) ?? null,
      note: parsed.values.get('--note')?.at(-1) ?? '',
    }
    const { data, plan } = await thaw.planRerun(request)
    if (json) print(JSON.stringify({ type: 'plan', data, nodes: jsonOf(plan) }))
    else {
      for (const one of data) printComparison(one)
      printPlan(plan)
    }
    if (parsed.flags.has('--plan')) return plan.summary.blocked > 0 ? 1 : 0
    const made = await thaw.rerun({ ...request, idempotencyKey: randomUUID() })
    if (!json) print(`Run ${made.number}, made from run ${number}. Compare: /runs/compare?ids=${earlier.id},${made.run}`)
    return await followRun(thaw, { ...made, name: earlier.pipelineName }, plan, json, started, tell)
  } catch (error) {
    if (json && !told)
      tell({ status: 'failed', run: null, seconds: (Date.now() - started) / 1_000, outputs: {}, error: fromUnknown(error).toStored() })
    throw error
  } finally {
    await thaw?.close()
  }
}

async function inputsFrom(thaw: LocalThaw, run: string, texts: readonly string[]): Promise<Record<string, unknown>> {
  const exposed = await thaw.inputsOf(run)
  return Object.fromEntries(
    texts.map((text) => {
      const { name, value } = assignment(text, '--input')
      const dot = name.indexOf('.')
      const id = dot === -1 ? name : name.slice(0, dot)
      const input = exposed.find((one) => one.id === id)
      if (!input) {
        const ids = exposed.map((one) => one.id)
        const meant = nearest(id, ids)
        throw new AppError('INVALID_PARAM', {
          message: `The run has no input "${id}"${meant ? `. Did you mean "${meant}"?` : '.'}`,
          where: `--input ${text}`,
          expected: ids.join(', ') || 'none; mark a param as an input first',
          got: id,
        })
      }
      const param = dot === -1 ? input.param : name.slice(dot + 1)
      return [name, absolute(jsonOrText(value), widgetOf(defOf(input.type), param), process.cwd())]
    }),
  )
}

function printComparison(data: InputComparison): void {
  print(`${data.title}: ${data.names.earlier} → ${data.names.later}${data.whole ? '' : ' (first part of large files)'}`)
  print(`  rows      ${data.rows.earlier} → ${data.rows.later}`)
  print(
    `  longest   ${data.lengths.earlier.longest} → ${data.lengths.later.longest} characters, median ${data.lengths.earlier.median} → ${data.lengths.later.median}`,
  )
  for (const one of data.columns) {
    if (one.later === null) print(`  column    ${one.name} is not there${one.suggestion ? `; probably ${one.suggestion}` : ''}`)
    else if (one.earlier === null) print(`  column    ${one.name} is new`)
    else if (one.later !== one.earlier) print(`  column    ${one.name}: ${one.earlier} → ${one.later}`)
  }
  const words = (list: readonly { value: string; rows: number }[]) => list.map(({ value, rows }) => `${value} (${rows})`).join(', ')
  for (const { column, added, removed } of data.labels) {
    if (added.length > 0) print(`  new       ${column}: ${words(added.slice(0, 10))}`)
    if (removed.length > 0) print(`  missing   ${column}: ${words(removed.slice(0, 10))}`)
  }
  if (data.repeated > 0) print(`  repeated  ${data.repeated} rows occur more than once`)
  if (data.shared > 0) print(`  known     ${data.shared} rows were in the earlier data as well`)
}
