/** Entry of a worker with stub nodes, for tests that kill it: `node stub-worker.mjs <slot> <trainer script> [limits as JSON]`. */
import { join } from 'node:path'
import { childEnv, env } from '../../server/env'
import { openFacts } from '../../server/facts'
import { ArtifactStore } from '../../server/storage/artifact-store'
import { openStorage } from '../../server/storage/db'
import { trainerEnv } from '../../server/workers/trainer-process'
import { startWorker } from '../../server/workers/work'
import { stubDigests, stubRegistry } from './stub-nodes'

const { home, root, cache, databaseUrl } = env()
const slot = Number(process.argv[2] ?? 0)
const storage = openStorage({ databaseUrl: databaseUrl ?? '', applicationName: 'thaw test worker' })
const store = new ArtifactStore(join(home, 'artifacts'))
const facts = openFacts({ files: { root, home, artifacts: store }, cache, inspectModel: () => Promise.reject(new Error('none')) })
const worker = await startWorker({
  storage,
  store,
  home,
  registry: stubRegistry,
  implDigests: stubDigests,
  thawVersion: 'test',
  slot,
  resources: ['cpu'],
  trainer: { script: process.argv[3] ?? '', args: [String(slot)], env: trainerEnv(childEnv(), { THAW_HOME: home, THAW_CACHE: cache }) },
  digestOf: (request) => facts.digestOf(request),
  fetchModel: async (source) => (await facts.localModel(source)) ?? Promise.reject(new Error('no models to fetch in tests')),
  inspections: true,
  secret: async () => null,
  limits: JSON.parse(process.argv[4] ?? '{}'),
  log: (line) => console.error(line),
})
process.send?.({ ready: worker.id })
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void worker.stop().then(() => process.exit(0)))
process.on('disconnect', () => process.exit(0))
