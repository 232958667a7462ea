/** Entry of the trainer process as shipped: the real registry, the real engine, the store of this THAW_HOME. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { registry } from '../../nodes'
import { env } from '../env'
import { ArtifactStore } from '../storage/artifact-store'
import { lockDevice } from './device-lock'
import { openInspections } from './inspect'
import { serveTrainer } from './trainer-loop'

new Worker(new URL('./watchdog.mjs', import.meta.url), { env: {} }).unref()

const { home, root, cache } = env()
const store = new ArtifactStore(join(home, 'artifacts'))
const [slot = '0', kind = 'cpu'] = process.argv.slice(2)
// One trainer per GPU of the machine; on the CPU, one per worker slot of this THAW_HOME.
const device = kind === 'gpu' ? `gpu-${slot}` : `cpu-${createHash('sha256').update(home).digest('hex').slice(0, 12)}-${slot}`

serveTrainer({
  registry,
  store,
  files: { root, home, artifacts: store },
  cache,
  loadEngine: async () => (await import('./engine-access')).openEngine({ cache, root }),
  lockDevice: () => lockDevice(device),
  inspect: openInspections(store),
})
