/** Bundled and started by tests: waits for the file `<lock>.go`, takes the lock at that moment, holds it, and says what came of it. */
import { existsSync } from 'node:fs'
import { takeLock } from '../../server/lock-file'

const path = process.argv[2] as string
process.stdout.write('ready\n')
while (!existsSync(`${path}.go`)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1)
const lock = takeLock(path)
process.stdout.write(lock.taken ? 'taken\n' : 'refused\n')
setTimeout(() => process.exit(0), lock.taken ? 3_000 : 0)
