/** `thaw worker`: takes work from the queue in the foreground. */
import { AppError } from '../server/errors'
import { parse } from './arguments'

const HELP = `Usage: thaw worker [--resource cpu,gpu] [--slot N]

Takes node runs from the queue of the running Thaw (or of DATABASE_URL) until it is stopped with Ctrl-C; what runs then is saved and given back.

  --resource   what to serve: cpu, gpu or both (default: what this machine has)
  --slot       number of this worker on this machine (default: the first free one)
`

export async function workerCommand(args: string[]): Promise<number> {
  const { flags, positional } = parse(args, { flags: ['--help'], values: ['--resource', '--slot'] })
  if (flags.has('--help')) {
    process.stdout.write(HELP)
    return 0
  }
  if (positional.length > 0) throw new AppError('INVALID_INPUT', { message: 'thaw worker takes no file.', got: positional.join(' ') })
  process.argv = [process.argv[0] ?? '', 'worker.mjs', ...args]
  // The program that the supervisor starts, in this process; it ends the process itself.
  await import(new URL('./worker.mjs', import.meta.url).href)
  return new Promise<number>(() => {})
}
