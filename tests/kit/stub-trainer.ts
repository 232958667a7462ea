/** Entry of a trainer with stub nodes; bundled by tests/kit/executor.ts and started by real workers. */
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { env } from '../../server/env'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { lockDevice } from '../../server/workers/device-lock'
import { openInspections } from '../../server/workers/inspect'
import { serveTrainer } from '../../server/workers/trainer-loop'
import { stubEngine } from './stub-engine'
import { stubRegistry } from './stub-nodes'

new Worker(new URL('./watchdog.mjs', import.meta.url), { env: {} }).unref()

const { home, root, cache } = env()
const store = new ArtifactStore(join(home, 'artifacts'))
serveTrainer({
  registry: stubRegistry,
  store,
  files: { root, home, artifacts: store },
  cache,
  loadEngine: async () => stubEngine,
  inspect: openInspections(store),
  lockDevice: () => lockDevice(`test-${home.replaceAll(/[^a-z0-9]/gi, '').slice(-40)}-${process.argv[2] ?? '0'}`),
})
