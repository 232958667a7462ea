/** Bundled and started by tests: takes a lock, holds it for two seconds, and says what came of it. */
import { takeLock } from '../../server/lock-file'

const lock = takeLock(process.argv[2] as string)
process.stdout.write(lock.taken ? 'taken\n' : 'refused\n')
setTimeout(() => process.exit(0), lock.taken ? 5_000 : 0)
