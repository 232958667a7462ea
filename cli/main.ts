/** `thaw run | plan | rerun | nodes | worker`: what Thaw does, without a browser. */
import { env } from '../server/env'
import { type AppError, fromUnknown } from '../server/errors'
import { nodesCommand } from './nodes'
import { rerunCommand } from './rerun'
import { planCommand, runCommand } from './run'
import { workerCommand } from './worker'

const HELP = `Usage: thaw <command>

  thaw run FILE    run a pipeline and wait for it
  thaw plan FILE   say what a run would do, and why
  thaw rerun N     run an earlier run again with new data
  thaw nodes       list the node types
  thaw worker      take work from the queue until stopped

thaw <command> --help tells more. Settings are environment variables: THAW_HOME (default ~/.thaw), THAW_CACHE, DATABASE_URL, HF_TOKEN.
`

const COMMANDS: Record<string, (args: string[]) => Promise<number>> = {
  run: runCommand,
  plan: planCommand,
  rerun: rerunCommand,
  nodes: nodesCommand,
  worker: workerCommand,
}

/** Where, what was expected, what came, what to do: every error in the same shape. */
export function complain(error: AppError): void {
  const lines = [`thaw: ${error.message}`]
  if (error.where) lines.push(`  where:    ${error.where}`)
  if (error.expected) lines.push(`  expected: ${error.expected}`)
  if (error.got) lines.push(`  got:      ${error.got}`)
  if (error.details && error.details !== error.message)
    lines.push(
      ...error.details
        .split('\n')
        .slice(0, 40)
        .map((line) => `  ${line}`),
    )
  if (error.fix) lines.push(`  fix:      ${error.fix}`)
  process.stderr.write(`${lines.join('\n')}\n`)
}

async function main(): Promise<number> {
  const [name, ...args] = process.argv.slice(2)
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (!command) {
    process.stderr.write(`thaw: There is no command "${name}".\n${HELP}`)
    return 1
  }
  // Settings are checked before anything is started.
  if (!args.includes('--help')) env()
  return command(args)
}

process.exitCode = await main().catch((error) => {
  complain(fromUnknown(error))
  return 1
})
// A worker that is told to end takes its time; nothing else is left to wait for.
process.exit()
