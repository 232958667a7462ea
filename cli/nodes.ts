/** `thaw nodes`: the catalogue. */
import { catalog } from '../nodes'
import { parse } from './arguments'

const HELP = `Usage: thaw nodes [--json]

Lists the node types. With --json: type, version, title, summary, ports and the JSON Schema of the params of each.
`

export async function nodesCommand(args: string[]): Promise<number> {
  const { flags } = parse(args, { flags: ['--json', '--help'], values: [] })
  if (flags.has('--help')) {
    process.stdout.write(HELP)
    return 0
  }
  const types = catalog()
  if (flags.has('--json')) {
    process.stdout.write(`${JSON.stringify(types)}\n`)
    return 0
  }
  const width = Math.max(...types.map((one) => one.type.length))
  for (const group of new Set(types.map((one) => one.group))) {
    process.stdout.write(`${group}\n`)
    for (const one of types) if (one.group === group) process.stdout.write(`  ${one.type.padEnd(width)}  ${one.summary}\n`)
  }
  return 0
}
